"""Deciding rows: they mean what they say, solvers confirm true ones, and a false one is never passed over."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from secateur.network import Network, read_onnx
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction.confirm import Confirmation, confirm_claims, confirm_rows, refutation
from secateur.residual import ResidualSolver, Sat, Unsat, solver_versions
from secateur.search import DecidingRow, PhaseEvidence, PhaseResult, decide_phases, deciding_rows
from secateur.specification import Domain, read_domain
from secateur_encodings import available_solvers
from tests.reduction.runs import BUNDLED, EXPECTED

UNIT = 2**24
HALF = ((0, 0), (UNIT // 2, UNIT))
ROW = ((1, 0, -1), (Fraction(-1), Fraction(1, 3)))
TRUE: DecidingRow = (*ROW, Fraction(1, 2), *HALF)
"""1/2 - t0 + t1 / 3 >= 0 for t0 <= 1/2: with equality at one corner."""
FALSE: DecidingRow = (*ROW, Fraction(1, 2) - Fraction(1, 10**30), *HALF)


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def analysed(request: pytest.FixtureRequest) -> tuple[Network, Domain, PhaseResult]:
    network = read_onnx(BUNDLED / f"{request.param}.onnx")
    domain = read_domain(BUNDLED / f"{request.param}.domain.json")
    return network, domain, decide_phases(network, domain, PruneOptions(solver="none"), SilentProgress())


@pytest.mark.parametrize("choice", ["z3", "cvc5", "both"])
def test_true_rows_are_confirmed(choice: str) -> None:
    with ResidualSolver(choice) as solver:
        found = confirm_rows([TRUE, TRUE], solver, SilentProgress(), 60.0)
    assert found == Confirmation(2, 2, solver_versions(choice))


@pytest.mark.parametrize("choice", ["z3", "cvc5", "both"])
def test_a_false_row_raises_with_the_point(choice: str) -> None:
    with (
        ResidualSolver(choice) as solver,
        pytest.raises(RuntimeError, match=r"layer 1, neuron 0 was proven inactive, but .* \(exact\)"),
    ):
        confirm_rows([TRUE, FALSE], solver, SilentProgress(), 60.0)


def test_the_question_is_exact_at_the_boundary() -> None:
    corner = (Fraction(1, 2), Fraction(0))
    assert not refutation(TRUE).satisfied(corner)
    assert refutation(FALSE).satisfied(corner)
    assert not refutation(FALSE).satisfied((Fraction(1, 2) + Fraction(1, UNIT), Fraction(0)))


def test_without_a_solver_nothing_is_confirmed() -> None:
    with ResidualSolver("none") as solver:
        assert confirm_rows([TRUE], solver, SilentProgress(), 60.0) == Confirmation(1, 0, None)


def test_an_undecided_row_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secateur.reduction.confirm.ROW_LIMIT", 0.0)
    with ResidualSolver("z3") as solver:
        assert confirm_rows([TRUE], solver, SilentProgress(), 60.0) == Confirmation(1, 0, solver_versions("z3"))


def test_nothing_is_asked_when_the_time_is_up() -> None:
    with ResidualSolver("z3") as solver:
        assert confirm_rows([TRUE], solver, SilentProgress(), 0.0) == Confirmation(0, 0, solver_versions("z3"), late=1)


def test_solvers_are_named_with_their_versions() -> None:
    versions = available_solvers()
    assert solver_versions("z3") == f"z3 {versions['z3']}"
    assert solver_versions("both") == f"z3 {versions['z3']} and cvc5 {versions['cvc5']}"
    assert solver_versions("none") == ""


def decided_by_rows(evidence: PhaseEvidence) -> list[tuple[int, int, int]]:
    """All claims but those whose tree is one leaf that multipliers refute."""
    alone = {claim for tree in evidence.trees if tree.refuted and len(tree.symbols) == 1 for claim in tree.claims}
    return [claim for claim in evidence.claims if claim not in alone]


def test_there_is_one_row_for_every_claim(analysed: Any) -> None:
    network, domain, phases = analysed
    rows = deciding_rows(network, domain, phases.evidence)
    assert sorted(row[0] for row in rows) == sorted(decided_by_rows(phases.evidence))
    for _, coefficients, constant, low, high in rows:
        assert all(0 <= lo <= hi <= UNIT for lo, hi in zip(low, high, strict=True))
        ends = zip(coefficients, low, high, strict=True)
        assert constant + sum(a * Fraction(lo if a > 0 else hi, UNIT) for a, lo, hi in ends) >= 0


def test_rows_bound_the_pre_activation_exactly(analysed: Any) -> None:
    network, domain, phases = analysed
    source = random.Random(5)
    for row in deciding_rows(network, domain, phases.evidence):
        (layer, neuron, sign), coefficients, constant, low, high = row
        t = [Fraction(source.randint(a, b), UNIT) for a, b in zip(low, high, strict=True)]
        point = [lo + width * s for lo, width, s in zip(domain.lower, domain.widths(), t, strict=True)]
        z = network.exact(point).pre_activations[layer - 1][neuron]
        assert sign * z >= constant + sum(a * s for a, s in zip(coefficients, t, strict=True))


def test_every_claim_of_the_bundled_networks_is_confirmed(analysed: Any) -> None:
    network, domain, phases = analysed
    with ResidualSolver("z3") as solver:
        found = confirm_claims(network, domain, phases.evidence, solver, SilentProgress(), 60.0)
    count = len(decided_by_rows(phases.evidence))
    assert found == Confirmation(count, count, solver_versions("z3"))
    assert len(phases.evidence.claims) in {31, 8}
    assert count >= len(phases.evidence.claims) - 2


def test_no_claims_no_questions(analysed: Any) -> None:
    network, domain, _ = analysed
    with ResidualSolver("z3") as solver:
        found = confirm_claims(network, domain, PhaseEvidence(()), solver, SilentProgress(), 60.0)
        assert solver._children["z3"].process_id is None
    assert (found.asked, found.confirmed) == (0, 0)


@pytest.mark.parametrize(("row", "kind"), [(TRUE, Unsat), (FALSE, Sat)])
def test_solvers_and_refutation_agree(row: DecidingRow, kind: type) -> None:
    with ResidualSolver("both") as solver:
        assert isinstance(solver.solve(refutation(row), 20.0), kind)
