"""Claims about float32 arithmetic from end to end: asked, proven, certified, checked, and compared with evaluations."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import secateur
from secateur.checker import check
from secateur.cli import main
from tests.onnx_models import model_bytes, node

BOX = '{"lower": ["-1", "-1"], "upper": ["1", "1"]}'


def weights(seed: int, sizes: tuple[int, ...] = (2, 6, 6, 2)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = [shape for a, b in pairwise(sizes) for shape in ((a, b), (b,))]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def network(path: Path, arrays: list[np.ndarray]) -> Path:
    """Layers of MatMul, Add and Relu."""
    nodes, value = [], "x"
    for k in range(0, len(arrays), 2):
        last = k + 2 == len(arrays)
        nodes += [node("MatMul", [value, f"w{k}"], f"p{k}"), node("Add", [f"p{k}", f"w{k + 1}"], "y" if last else f"z{k}")]
        if not last:
            nodes.append(node("Relu", [f"z{k}"], f"r{k}"))
            value = f"r{k}"
    stored = {f"w{k}": array for k, array in enumerate(arrays)}
    path.write_bytes(model_bytes(nodes, stored, inputs={"x": [1, 2]}, outputs={"y": None}))
    return path


def evaluated(arrays: list[np.ndarray], point: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One float32 evaluation, every sum in an order of its own."""
    value = point.astype(np.float32)
    for k in range(0, len(arrays), 2):
        sums = []
        for column, bias in zip(arrays[k].T, arrays[k + 1], strict=True):
            terms = np.append(value * column, bias)
            total = np.float32(0)
            for term in rng.permutation(terms):
                total = np.float32(total + term)
            sums.append(total)
        value = np.array(sums, np.float32)
        if k + 2 < len(arrays):
            value = np.maximum(value, 0)
    return value


def query(path: Path, rows: str) -> Path:
    box = "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))" for i in range(2))
    names = "".join(f"(declare-const {v}_{i} Real)" for v in "XY" for i in range(2))
    path.write_text(names + box + rows)
    return path


@pytest.mark.parametrize("seed", range(3))
def test_a_proven_tolerance_bounds_evaluations_in_any_order(tmp_path: Path, seed: int) -> None:
    first = weights(seed)
    second = [np.float32(1 + 2.0**-18) * array for array in first]
    files = network(tmp_path / "a.onnx", first), network(tmp_path / "b.onnx", second)
    (tmp_path / "box.json").write_text(BOX)
    rng = np.random.default_rng(seed)
    worst = 0.0
    for _ in range(60):
        point = rng.uniform(-1, 1, 2).astype(np.float32)
        gap = evaluated(first, point, rng).astype(float) - evaluated(second, point, rng).astype(float)
        worst = max(worst, float(np.abs(gap).max()))
    proven = []
    for exponent in (6, 8, 10, 12, 14):
        verdict = secateur.equivalent(
            *files, tmp_path / "box.json", epsilon=Fraction(1, 1 << exponent), semantics="float32", timeout=10, solver="none"
        )
        if not isinstance(verdict, secateur.Holds):
            break
        proven.append(2.0**-exponent)
    assert worst > 0
    assert len(proven) >= 2
    assert worst <= proven[-1]


def test_rounding_refutes_nothing_but_is_not_proven_away(tmp_path: Path) -> None:
    """Two evaluations of one network differ: over the reals they do not, and equality is provable there only."""
    file = network(tmp_path / "a.onnx", weights(5))
    (tmp_path / "box.json").write_text(BOX)

    def asked(semantics: str) -> secateur.Verdict:
        return secateur.equivalent(file, file, tmp_path / "box.json", epsilon=0, semantics=semantics, timeout=3, solver="none")

    assert isinstance(asked("real"), secateur.Holds)
    assert isinstance(asked("float32"), secateur.Unknown)


def test_a_margin_below_what_rounding_may_do_is_not_proven(tmp_path: Path) -> None:
    """y = relu(x) / 3 + relu(-x) / 3 is at most 1/3 in exact weights; float32 sums may exceed that by a rounding."""
    third = np.float32(1 / 3)
    arrays = [np.array([[1, -1], [0, 0]], np.float32), np.zeros(2, np.float32), np.full((2, 2), third), np.zeros(2, np.float32)]
    file = network(tmp_path / "a.onnx", arrays)
    for margin, holds in ((Fraction(1, 1 << 40), False), (Fraction(1, 1000), True)):
        bound = Fraction(float(third)) + margin
        asked = query(tmp_path / "q.vnnlib", f"(assert (>= Y_0 {float(bound):.60f}))")
        real, floats = (secateur.verify(file, asked, semantics=s, timeout=5, solver="none") for s in ("real", "float32"))
        assert isinstance(real, secateur.Holds)
        assert isinstance(floats, secateur.Holds if holds else secateur.Unknown)


@pytest.mark.parametrize("arithmetic", ["fast", "exact"])
def test_certificates_are_accepted_and_say_what_they_are_about(tmp_path: Path, arithmetic: str) -> None:
    arrays = weights(7)
    file, other = network(tmp_path / "a.onnx", arrays), network(tmp_path / "b.onnx", [np.float32(1.001) * a for a in arrays])
    (tmp_path / "box.json").write_text(BOX)
    top = secateur.bounds(file, secateur.Box([-1, -1], [1, 1]), timeout=5).upper[0]
    asked = query(tmp_path / "q.vnnlib", f"(assert (>= Y_0 {top + 0.01:.6f}))")
    with secateur.Engine(solver="none") as engine:
        verdicts = [
            engine.verify(file, asked, semantics="float32", timeout=20, certificate=tmp_path / "q.secateur"),
            engine.equivalent(
                file, other, tmp_path / "box.json", epsilon="1", semantics="float32", timeout=20,
                certificate=tmp_path / "e.secateur",
            ),
            engine.equivalent(
                file, file, tmp_path / "box.json", decision="argmax", margin="1/10", semantics="float32", timeout=20,
                certificate=tmp_path / "d.secateur",
            ),
        ]  # fmt: skip
    assert [type(verdict) for verdict in verdicts] == [secateur.Holds] * 3
    for name in ("q", "e", "d"):
        outcome = check(tmp_path / f"{name}.secateur", strict=True, arithmetic=arithmetic)  # type: ignore[arg-type]
        assert isinstance(outcome, secateur.Accepted), outcome
        assert "float32" in outcome.statement


def test_a_reduced_network_is_compared_neuron_by_neuron(tmp_path: Path) -> None:
    """The reduced network has other shapes: its neurons are found by their values."""
    bundled = Path(__file__).parents[1] / "benchmarks" / "networks"
    secateur.prune(bundled / "iris.onnx", bundled / "iris.domain.json", out=tmp_path / "pruned", timeout=30, solver="none")
    verdict = secateur.equivalent(
        bundled / "iris.onnx", tmp_path / "pruned" / "reduced.onnx", bundled / "iris.domain.json",
        epsilon="0.05", semantics="float32", timeout=60, solver="none",
    )  # fmt: skip
    assert isinstance(verdict, secateur.Holds)


def test_commands_take_the_semantics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(network(tmp_path / "a.onnx", weights(3)))
    (tmp_path / "box.json").write_text(BOX)
    common = ["--domain", str(tmp_path / "box.json"), "--epsilon", "1", "--timeout", "20"]
    assert main(["equiv", file, file, *common, "--semantics", "float32"]) == 0
    assert capsys.readouterr().out == "holds\n"
    asked = str(query(tmp_path / "q.vnnlib", "(assert (>= Y_0 1000))"))
    assert main(["verify", asked, "--network", file, "--semantics", "float32", "--timeout", "20"]) == 0
    assert capsys.readouterr().out == "unsat\n"
    with pytest.raises(secateur.InputError, match="unknown semantics 'float16'"):
        secateur.verify(file, asked, semantics="float16")
