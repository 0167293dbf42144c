"""Certificates of verdicts on queries: what the engine writes, the checker accepts, in both arithmetics and strictly."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from secateur.checker import Accepted, Refused, check
from secateur.errors import InputError
from secateur.network import Network, to_model_bytes
from secateur.oracle import Engine
from secateur.search import Holds, Violated
from tests.reduction.support import chain

ARITHMETICS: tuple[Literal["fast", "exact"], ...] = ("fast", "exact")


def network_file(folder: Path, seed: int, sizes: tuple[int, ...] = (3, 8, 8, 3)) -> tuple[Path, np.ndarray]:
    """A random network, and its outputs at many points of [-1, 1]^n."""
    rng = np.random.default_rng(seed)
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    matrices = [np.round(rng.normal(size=shape) * 4) / 4 for shape in shapes]
    biases = [np.round(rng.normal(size=shape[0]) * 4) / 8 for shape in shapes]
    network = chain(*((m.tolist(), b.tolist()) for m, b in zip(matrices, biases, strict=True)))
    path = folder / f"net{seed}.onnx"
    path.write_bytes(to_model_bytes(network))
    return path, network.forward(rng.uniform(-1, 1, (4000, sizes[0])))


def query_file(folder: Path, inputs: int, outputs: int, condition: str, name: str = "query.vnnlib") -> Path:
    """The box [-1, 1]^n and a condition on the outputs, as VNN-LIB 1.0."""
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)] + [f"(declare-const Y_{i} Real)" for i in range(outputs)]
    lines += [f"(assert (>= X_{i} -1))\n(assert (<= X_{i} 1))" for i in range(inputs)]
    path = folder / name
    path.write_text("\n".join([*lines, f"(assert {condition})"]) + "\n")
    return path


def unsat_condition(values: np.ndarray) -> str:
    """A disjunction of a conjunction and of single rows that no sample satisfies, with some room."""
    room = np.ptp(values, axis=0)
    top, low = values.max(axis=0) + room, values.min(axis=0) - room
    together = float((values[:, 0] + values[:, 1]).max() + room[0] + room[1])
    half = together / 2
    rows = f"(and (>= Y_0 {half:.6f}) (>= Y_1 {half:.6f})) (>= Y_2 {top[2]:.6f})"
    return f"(or {rows} (and (<= Y_2 {low[2]:.6f}) (< Y_0 {top[0]:.6f})))"


@pytest.mark.parametrize("seed", range(6))
def test_a_refutation_is_accepted_in_both_arithmetics(tmp_path: Path, seed: int) -> None:
    model, values = network_file(tmp_path, seed)
    query = query_file(tmp_path, 3, 3, unsat_condition(values))
    target = tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        verdict = engine.verify(model, query, timeout=60, certificate=target)
    assert isinstance(verdict, Holds)
    assert sum(len(p.symbols) for p in verdict.proofs) >= 1
    for arithmetic in ARITHMETICS:
        outcome = check(target, strict=True, arithmetic=arithmetic)
        assert isinstance(outcome, Accepted), outcome
        assert "no x satisfies" in outcome.statement
        assert query.name in outcome.statement


def test_trees_of_many_nodes_are_accepted(tmp_path: Path) -> None:
    model, values = network_file(tmp_path, 11, (3, 12, 12, 12, 3))
    top = float(values[:, 0].max()) * 1.02 + 0.05
    query = query_file(tmp_path, 3, 3, f"(and (>= Y_0 {top:.6f}) (>= Y_1 {values[:, 1].mean():.6f}))")
    target = tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        verdict = engine.verify(model, query, timeout=120, certificate=target)
    if isinstance(verdict, Holds):
        assert verdict.statistics.nodes > 1
    assert isinstance(check(target, strict=True), Accepted)


def test_a_witness_is_certified(tmp_path: Path) -> None:
    model, values = network_file(tmp_path, 3)
    query = query_file(tmp_path, 3, 3, f"(>= Y_0 {np.quantile(values[:, 0], 0.9):.6f})")
    target = tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        verdict = engine.verify(model, query, timeout=60, certificate=target)
    assert isinstance(verdict, Violated)
    outcome = check(target, strict=True)
    assert isinstance(outcome, Accepted)
    assert "satisfies" in outcome.statement


def test_packed_files_are_named_as_they_are(tmp_path: Path) -> None:
    model, values = network_file(tmp_path, 4)
    plain = query_file(tmp_path, 3, 3, f"(>= Y_0 {values[:, 0].max() + 2:.6f})")
    query = tmp_path / "packed.vnnlib.gz"
    query.write_bytes(gzip.compress(plain.read_bytes()))
    packed = tmp_path / "packed.onnx.gz"
    packed.write_bytes(gzip.compress(model.read_bytes()))
    target = tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        assert isinstance(engine.verify(packed, query, timeout=60, certificate=target), Holds)
    assert isinstance(check(target, strict=True), Accepted)


def test_another_query_or_network_is_refused(tmp_path: Path) -> None:
    model, values = network_file(tmp_path, 5)
    query = query_file(tmp_path, 3, 3, f"(>= Y_0 {values[:, 0].max() + 2:.6f})")
    target = tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        assert isinstance(engine.verify(model, query, timeout=60, certificate=target), Holds)
    other = query_file(tmp_path, 3, 3, f"(>= Y_0 {values[:, 0].max() - 2:.6f})", "other.vnnlib")
    assert isinstance(check(target, query=other), Refused)
    foreign, _ = network_file(tmp_path, 6)
    assert isinstance(check(target, original=foreign), Refused)


def test_what_no_certificate_can_speak_about(tmp_path: Path) -> None:
    model, values = network_file(tmp_path, 7)
    query = query_file(tmp_path, 3, 3, f"(>= Y_0 {values[:, 0].max() + 2:.6f})")
    with Engine(jobs=1, solver="none") as engine:
        with pytest.raises(InputError, match="folder does not exist"):
            engine.verify(model, query, timeout=60, certificate=tmp_path / "missing" / "out.secateur")
        two = tmp_path / "two.vnnlib"
        declare = "(declare-network {0} (declare-input X{0} float32 [1,3]) (declare-output Y{0} float32 [1,3]))\n"
        bounds = "".join(f"(assert (and (>= X{n}[0,{i}] -1) (<= X{n}[0,{i}] 1)))\n" for n in "fg" for i in range(3))
        head = "(vnnlib-version <2.0>)\n" + declare.format("f") + declare.format("g")
        two.write_text(head + bounds + "(assert (> Yf[0,0] Yg[0,0]))\n")
        with pytest.raises(InputError, match="one network"):
            engine.verify({"f": model, "g": model}, two, timeout=60, certificate=tmp_path / "out.secateur")
        for own in (model, query):
            before = own.read_bytes()
            with pytest.raises(InputError, match="would overwrite"):
                engine.verify(model, query, timeout=60, certificate=own)
            assert own.read_bytes() == before
        for folder in (tmp_path, Path(), Path("/")):
            with pytest.raises(InputError, match="is a folder; name a file in it"):
                engine.verify(model, query, timeout=60, certificate=folder)
    assert not (tmp_path / "out.secateur").exists()


def triangle(scale: float) -> Network:
    """scale (|x + y| - |x| - |y|): at most 0, and 0 on a cone, which no split and no rounded number decides."""
    signs = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]
    return chain((signs, [0.0] * 6), ([[-scale] * 4 + [scale] * 2], [0.0]))


@pytest.mark.parametrize("scale", [1.0, float(np.float32(0.1))], ids=str)
def test_an_exact_tie_is_certified_without_trust(tmp_path: Path, scale: float) -> None:
    """Over a strict condition that is met with equality: exact multipliers show it (section 13), nobody's word is needed."""
    model = tmp_path / "triangle.onnx"
    model.write_bytes(to_model_bytes(triangle(scale)))
    query, target = query_file(tmp_path, 2, 1, "(> Y_0 0)"), tmp_path / "out.secateur"
    with Engine(jobs=1, solver="none") as engine:
        verdict = engine.verify(model, query, timeout=60, certificate=target)
    assert isinstance(verdict, Holds)
    assert sum(len(proof.refuted) for proof in verdict.proofs) > 0
    for arithmetic in ARITHMETICS:
        outcome = check(target, strict=True, arithmetic=arithmetic)
        assert isinstance(outcome, Accepted), outcome
        assert "refuted by exact multipliers" in outcome.statement


def test_the_same_tie_with_a_condition_that_admits_it_has_a_witness(tmp_path: Path) -> None:
    model = tmp_path / "triangle.onnx"
    model.write_bytes(to_model_bytes(triangle(1.0)))
    with Engine(jobs=1, solver="none") as engine:
        verdict = engine.verify(model, query_file(tmp_path, 2, 1, "(>= Y_0 0)"), timeout=60)
    assert isinstance(verdict, Violated)
