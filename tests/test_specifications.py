"""The oracle as a script uses it: specifications from arrays, and certified ranges, on ONNX files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import secateur
from secateur.network import to_model_bytes
from tests.search.queries import layered

F = Fraction


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = (|a| + |b|, max(a, b)), as float32."""
    first = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, -1]]
    path = tmp_path / "net.onnx"
    path.write_bytes(to_model_bytes(layered((first, [0] * 5), ([[1, 1, 1, 1, 0], [0, 0, 1, -1, 1]], [0, 0]))))
    return path


@pytest.fixture
def engine() -> secateur.Engine:
    return secateur.Engine(jobs=1, solver="none")


BOX = secateur.Box([-1, -2], [1, 0.5])


def test_a_true_specification_holds(engine: secateur.Engine, model: Path) -> None:
    claim = (secateur.outputs @ [1, 0] <= 3) & (secateur.outputs @ [[0, 1], [1, -1]] >= [-1.5, -0.25])
    with engine:
        assert isinstance(engine.verify(model, secateur.Specification(BOX, claim)), secateur.Holds)
        assert isinstance(engine.verify({"N": model}, secateur.Specification(BOX, claim)), secateur.Holds)


def test_a_false_one_is_violated_by_a_point_that_is_evaluated(engine: secateur.Engine, model: Path) -> None:
    with engine:
        verdict = engine.verify(model, secateur.Specification(BOX, secateur.outputs @ [1, 0] <= 2.9))
    assert isinstance(verdict, secateur.Violated)
    assert BOX.contains(verdict.witness.exact_inputs)
    assert sum(map(abs, verdict.witness.exact_inputs)) == verdict.witness.exact_outputs[0][0] > F(2.9)
    assert verdict.witness.text().startswith("X float32 [2]\n")


@pytest.mark.parametrize(("eps", "expected"), [(0.24, secateur.Holds), (0.26, secateur.Violated)])
def test_robustness_ends_at_the_boundary(engine: secateur.Engine, model: Path, eps: float, expected: type) -> None:
    """|a| + |b| > max(a, b) unless one is 0 and the other is not negative: from (0.5, -0.25), at a distance of 0.25."""
    with engine:
        assert isinstance(engine.verify(model, secateur.robust(np.array([0.5, -0.25]), eps, label=0)), expected)


def test_clipping_keeps_a_counterexample_out(engine: secateur.Engine, model: Path) -> None:
    with engine:
        assert isinstance(engine.verify(model, secateur.robust([0.5, -0.25], 0.3, 0, upper=[1, -0.1])), secateur.Holds)


def test_a_double_network_gets_a_double_witness(engine: secateur.Engine, tmp_path: Path) -> None:
    path = tmp_path / "double.onnx"
    path.write_bytes(to_model_bytes(layered(([[1]], [0]), ([[1]], [0]), element_type="float64")))
    with engine:
        verdict = engine.verify(path, secateur.Specification(secateur.Box([0], [1]), secateur.outputs @ [1] < 1))
    assert isinstance(verdict, secateur.Violated)
    assert verdict.witness.text().startswith("X float64 [1]\n1.0\n")


def test_many_boxes_of_one_network_get_the_verdicts_of_fresh_engines(engine: secateur.Engine, model: Path) -> None:
    rng = np.random.default_rng(0)
    with engine:
        for x in rng.uniform(-1, 1, (8, 2)).astype(np.float32):
            claim = secateur.robust(x, 0.25, 0)
            warm, fresh = engine.verify(model, claim), secateur.verify(model, claim, jobs=1, solver="none")
            safe = min(float(np.abs(x).min()), 1.0) > 0.25 or x.max() < -0.25
            assert type(warm) is type(fresh) is (secateur.Holds if safe else secateur.Violated)


def test_specifications_that_do_not_fit_are_refused(engine: secateur.Engine, model: Path) -> None:
    claim = secateur.outputs @ [1, 2, 3] <= 0
    with engine:
        with pytest.raises(secateur.InputError, match=r"net.onnx: the condition is about 3 outputs, the network has 2"):
            engine.verify(model, secateur.Specification(BOX, claim))
        with pytest.raises(secateur.InputError, match=r"net.onnx: the domain has 3 coordinates but the network has 2 inputs"):
            engine.verify(model, secateur.robust([0, 0, 0], 1, 0))
        with pytest.raises(secateur.InputError, match=r"net.onnx: label 2 is out of range"):
            engine.verify(model, secateur.robust([0, 0], 1, 2))
        with pytest.raises(secateur.InputError, match="a specification is about one network, not 2; give one file"):
            engine.verify({"f": model, "g": model}, secateur.robust([0, 0], 1, 0))


def test_bounds_of_a_file(engine: secateur.Engine, model: Path) -> None:
    with engine:
        found = engine.bounds(model, BOX)
    assert found.finished
    for j, (low, high) in enumerate([(F(0), F(3)), (F(-1), F(1))]):
        assert found.lower[j] <= low <= found.attained_lower[j] <= low + F(3, 100)
        assert high - F(3, 100) <= found.attained_upper[j] <= high <= found.upper[j]
    alone = secateur.bounds(model, BOX, jobs=1)
    assert (alone.lower, alone.upper) == (found.lower, found.upper)


def test_bounds_refuse_what_makes_no_sense(engine: secateur.Engine, model: Path) -> None:
    with engine:
        with pytest.raises(secateur.InputError, match="the domain has 1 coordinates but the network has 2 inputs"):
            engine.bounds(model, secateur.Box([0], [1]))
        with pytest.raises(secateur.InputError, match="tolerance nan is no share of a width"):
            engine.bounds(model, BOX, tolerance=float("nan"))
        with pytest.raises(secateur.InputError, match="time limit 0 is not a positive number"):
            engine.bounds(model, BOX, timeout=0)
        with pytest.raises(secateur.InputError, match=r"missing.onnx: cannot be read"):
            engine.bounds(model.with_name("missing.onnx"), BOX)
