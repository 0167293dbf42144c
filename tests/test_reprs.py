"""What a notebook shows of a result: one line that says what matters, however much the result holds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secateur
from secateur.api import read_model
from secateur.network import to_model_bytes
from secateur.specification.numerals import shown
from tests.reduction.runs import BUNDLED
from tests.search.queries import layered

WINE, BOX = BUNDLED / "wine.onnx", BUNDLED / "wine.domain.json"
IRIS, IRIS_BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a.onnx`: y = |x|, and `b.onnx`: 3/2 max(0, x)."""
    path = tmp_path_factory.mktemp("networks")
    for name, weights in (("a", [1, 1]), ("b", [1.5, 0])):
        (path / f"{name}.onnx").write_bytes(to_model_bytes(layered(([[1], [-1]], [0, 0]), ([weights], [0]))))
    return path


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """Every public result, by what its line has to begin with."""
    first, second, box = folder / "a.onnx", folder / "b.onnx", secateur.Box([-1], [2])
    output = secateur.outputs @ [1]
    pruned = secateur.prune(IRIS, IRIS_BOX, solver="none", jobs=1, out=folder / "pruned")
    sliced = secateur.slice_network(first, box, slices=2, jobs=1, timeout=30)
    with secateur.Engine(jobs=2, solver="none", seed=3) as engine:
        return {
            "<PruneResult: N and N' agree exactly on D; 24 of 32 neurons left, in '": pruned,
            "<PhaseResult: 8 inactive, ": pruned.phases,
            "<PhaseEvidence: ": pruned.phases.evidence,
            "<Network: 4 inputs, 2 ReLU layers, 24 neurons, 3 outputs>": pruned.network,
            "<Domain of dimension 4: (4.12, 1.879, 0.704, -0.02) to (8.081, ": pruned.domain,
            "<Accepted: Verified: for all x in D, max |N(x) - N'(x)| = 0, where N = iris.onnx": secateur.check(folder / "pruned"),
            "Exported(claim=": secateur.export(folder / "pruned", folder / "claims"),
            "<FamilyResult: 2 slices, 1.0 of 2 neurons left in the mean: on every slice of D, its network": sliced,
            "<Family 'the family': 2 slices, 1 inputs of float32>": sliced.family(),
            "<Engine: jobs 2, solver none, seed 3>": engine,
            "<Specification: a condition on the outputs everywhere on <Domain": secateur.Specification(box, output <= 1),
            "Holds(statistics=": engine.verify(first, secateur.Specification(box, output <= 3)),
            "Violated(statistics=": engine.verify(first, secateur.Specification(box, output <= 1)),
            "Unknown(statistics=": secateur.Unknown("too hard", timed_out=True),
            "<OutputBounds of 1 outputs: (": engine.bounds(first, box),
            "<Distance: 1 to 1": engine.distance(first, second, box),
            "<Redundancy: ": engine.redundancy(first, secateur.RedundancyClaim(1, (0,), "forward"), box),
            "ModelFile(path=": read_model(WINE),
        }


def test_every_result_is_one_short_line(results: dict[str, Any]) -> None:
    for begins, result in results.items():
        line = repr(result)
        assert line.startswith(begins), line
        assert len(line) < 400, line
        assert "\n" not in line


def test_a_counterexample_shows_its_point(results: dict[str, Any]) -> None:
    assert "witness=<Witness: inputs (" in repr(results["Violated(statistics="])
    assert "Violated(statistics=" in repr(results["<Redundancy: "])


def test_large_results_stay_short() -> None:
    wide = secateur.Box(np.zeros(784), np.ones(784))
    assert repr(wide) == "<Domain of dimension 784: (0, 0, 0, 0, ...) to (1, 1, 1, 1, ...), Box>"
    certified = secateur.prune(WINE, BOX, solver="none", jobs=1)
    assert repr(certified) == "<PruneResult: N and N' agree exactly on D; 41 of 72 neurons left>"
    assert len(repr(certified.reduction)) < 2_000


def test_numbers_are_shown_about_whatever_their_size() -> None:
    huge = Fraction(7**6_000, 3)
    assert shown([Fraction(1, 3), Fraction(-2), huge]) == "(0.333333, -2, 1.29157e+5070)"
    assert shown([]) == "()"
