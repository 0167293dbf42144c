"""Removal beyond phases: whatever is claimed holds at exact points, and the checker says so too."""

from __future__ import annotations

import json
import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from secateur.api import prune
from secateur.checker import Accepted, check
from secateur.errors import InputError
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction.model_file import ModelFile
from secateur.reduction.pipeline import Reduction, Stopwatch, analyse, reduce, relaxed
from secateur.reduction.summary import summarise
from secateur.residual import ResidualSolver
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison, Decision
from tests.bounds.support import random_network
from tests.boxes import cube
from tests.reduction.runs import BUNDLED, checked

F = Fraction


def reduced(network: Network, domain: Domain, claim: Comparison, seconds: float = 10.0) -> tuple[Reduction, Reduction]:
    """The exact reduction, and the one that the claim admits."""
    data = to_model_bytes(network)
    model = ModelFile(Path("original.onnx"), data, parse_onnx(data, "original.onnx"))
    progress = SilentProgress()
    options = PruneOptions(timeout=seconds, jobs=1, solver="none")
    watch = Stopwatch(progress)
    analysis = analyse(model, domain, options, watch, progress)
    exact = reduce(analysis, F(0), watch)
    with ResidualSolver("none") as solver:
        result, interrupted = relaxed(analysis, exact, claim, solver, time.monotonic() + seconds, progress)
        assert not interrupted
        return exact, result


def points(size: int, count: int) -> list[tuple[Fraction, ...]]:
    rng = np.random.default_rng(3)
    return [tuple(F(int(q), 1 << 20) for q in rng.integers(-(1 << 20), (1 << 20) + 1, size)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_outputs_stay_within_the_tolerance(seed: int, tmp_path: Path) -> None:
    network = random_network([3, 12, 10, 2], seed)
    exact, result = reduced(network, cube(3), Agreement(F(1, 2)))
    assert result.network.neuron_count < exact.network.neuron_count
    assert result.linearised
    for point in points(3, 200):
        pair = [n.exact(point).output for n in (result.analysis.model.network, result.network)]
        assert max(abs(a - b) for a, b in zip(*pair, strict=True)) <= F(1, 2)
    verdict = checked(result, tmp_path)
    assert isinstance(verdict, Accepted), verdict
    assert "1/2" in verdict.statement or "0.5" in verdict.statement


@pytest.mark.parametrize("rule", ["argmax", "argmin"])
def test_winners_stay_the_same(rule: str, tmp_path: Path) -> None:
    network = random_network([3, 12, 10, 3], 7)
    claim = Decision(rule, F(1, 4))
    exact, result = reduced(network, cube(3), claim)
    assert result.network.neuron_count < exact.network.neuron_count
    sign = 1 if rule == "argmax" else -1
    decided = 0
    for point in points(3, 300):
        before, after = ([sign * y for y in n.exact(point).output] for n in (result.analysis.model.network, result.network))
        winner = max(range(3), key=before.__getitem__)
        if all(before[winner] - before[k] > F(1, 4) for k in range(3) if k != winner):
            decided += 1
            assert all(after[winner] > after[k] for k in range(3) if k != winner)
    assert decided > 50
    verdict = checked(result, tmp_path)
    assert isinstance(verdict, Accepted), verdict


def test_what_is_said_of_a_neuron_is_true_of_it() -> None:
    """Proven phases are told from those that were only given, neuron by neuron and in the counts of the steps."""
    _, result = reduced(random_network([3, 12, 10, 2], 2), cube(3), Agreement(F(1, 2)))
    summary = summarise(result, None, b"", {}, 0.0)
    statuses = summary["neuron_status"]
    for entry in summary["removed"]:
        status = statuses[entry["layer"] - 1][entry["neuron"]]["status"]
        if entry["kind"] == "phase":
            assert entry["why"] == f"{status} on D"
        else:
            assert status == "both"
            assert entry["why"].startswith("linearised: ") == (entry["kind"] == "relaxed")
    mixed = 0
    for step in summary["steps"]:
        own = [statuses[step["layer"] - 1][i]["status"] for i in step["removed"]]
        for status, sign in (("inactive", "never positive"), ("active", "never negative")):
            assert sum(map(int, re.findall(rf"(\d+) {sign}", step["detail"]))) == own.count(status)
        given = sum((step["layer"], i) in result.linearised for i in step["removed"])
        assert (f"{given} linearised" in step["detail"]) == (given > 0)
        mixed += 0 < given < len(own)
    assert mixed


def test_nothing_is_relaxed_where_nothing_may_change() -> None:
    """All neurons matter by more than the tolerance: the exact reduction stands."""
    network = random_network([2, 4, 2], 1)
    exact, result = reduced(network, cube(2), Agreement(F(1, 10**6)), seconds=3.0)
    assert result is exact


def test_prune_keeps_outputs_of_the_bundled_network_within_a_tolerance(tmp_path: Path) -> None:
    wine = BUNDLED / "wine.onnx"
    result = prune(wine, BUNDLED / "wine.domain.json", out=tmp_path / "out", tolerance="0.5", timeout=20.0, solver="none", jobs=2)
    assert result.network.neuron_count < 41  # what phases alone leave
    assert result.summary["options"]["timeout"] == 20.0  # not the half of it that phases get
    assert result.tolerance == F(1, 2)
    kinds = {entry["kind"] for entry in result.summary["removed"]}
    assert {"phase", "relaxed"} <= kinds
    assert len(result.summary["removed"]) >= 72 - result.network.neuron_count
    verdict = check(tmp_path / "out")
    assert isinstance(verdict, Accepted)
    assert "relaxed" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("rule", ["argmax", "argmin"])
def test_prune_preserves_decisions_of_the_bundled_network(rule: str, tmp_path: Path) -> None:
    wine, decision = BUNDLED / "wine.onnx", Decision(rule, F(1, 2))
    result = prune(
        wine, BUNDLED / "wine.domain.json", out=tmp_path / "out", preserve=decision, timeout=20.0, solver="none", jobs=2
    )
    assert result.tolerance is None
    assert "result" in {entry["kind"] for entry in result.summary["removed"]}
    verdict = check(tmp_path / "out")
    assert isinstance(verdict, Accepted)
    assert {"argmax": "greater", "argmin": "less"}[rule] in verdict.statement
    agreement = json.loads((tmp_path / "out" / "summary.json").read_text())["agreement"]
    assert agreement["points"] > 0
    assert agreement["changed"] == 0
    assert agreement["max_difference"] > 0.01  # outputs changed: the decision alone was kept
    assert "linearised without a change of decision" in (tmp_path / "out" / "report.html").read_text()


def test_a_tolerance_and_a_decision_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        PruneOptions(tolerance=F(1), preserve=Decision())


def test_a_decision_needs_two_outputs(tmp_path: Path) -> None:
    network = random_network([2, 3, 1], 0)
    model = tmp_path / "net.onnx"
    model.write_bytes(to_model_bytes(network))
    with pytest.raises(InputError, match="the decision: with 1 output there is none"):
        prune(model, ((-1, -1), (1, 1)), preserve=Decision(), timeout=5.0)
