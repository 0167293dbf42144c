"""Attempts: proofs, points against a claim, and neither where it is time to stop."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from secateur.network.difference import paired_by_position
from secateur.residual import ResidualSolver
from secateur.search import Attempt, Until, attempt
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison, Decision, comparison_query
from tests.reduction.support import chain

F = Fraction
BOX = Domain((F(-1), F(-1)), (F(1), F(1)))
FIRST = chain(([[1, 1], [1, -1]], [0, 0]), ([[1, 1], [1, -1]], [0, 0]))
SECOND = chain(([[1, 1], [1, -1]], [0, 0.125]), ([[1, 1], [1, -1]], [0, 0]))


def attempted(claim: Comparison, *, stopped: bool = False, seconds: float = 20.0) -> Attempt:
    query = comparison_query(claim, BOX, 2, ["float32"] * 2)
    pairing = paired_by_position(FIRST, SECOND)
    until = Until(time.monotonic() + seconds, lambda: stopped)
    with ResidualSolver("none") as solver:
        return attempt(query, [FIRST, SECOND], pairing, {}, solver, until, steps=1)


def test_what_holds_is_proven() -> None:
    found = attempted(Agreement(F(1, 7)))
    assert found.proof is not None
    assert (found.proof.steps, found.proof.trusted) == (1, 0)
    assert found.nodes == len(found.proof.symbols)


def test_what_does_not_hold_meets_a_point() -> None:
    found = attempted(Agreement(F(1, 16)))
    assert found.proof is None
    assert found.points
    for point in found.points:
        outputs = [network.exact(point).output for network in (FIRST, SECOND)]
        assert max(abs(a - b) for a, b in zip(*outputs, strict=True)) > F(1, 16)


@pytest.mark.parametrize(("stopped", "seconds"), [(True, 20.0), (False, 0.0)])
def test_whoever_is_stopped_claims_nothing(stopped: bool, seconds: float) -> None:
    found = attempted(Decision("argmax", F(1, 2)), stopped=stopped, seconds=seconds)
    assert (found.proof, found.points) == (None, ())
