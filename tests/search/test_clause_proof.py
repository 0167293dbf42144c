"""Proofs by clauses: what the end does not need goes, and what does not follow is noticed."""

from __future__ import annotations

import pytest

from secateur.search.clause_proof import Step, trimmed

LEMMA = (1,)
"""Multipliers of a lemma, which nobody looks at here."""


def test_what_the_end_does_not_need_goes() -> None:
    used = [Step((1, 2), LEMMA), Step((1, -2), LEMMA), Step((-1,), LEMMA)]
    idle = [Step((3, 4), LEMMA), Step((3, 1, 2)), Step((1, 3))]
    steps = [used[0], idle[0], used[1], idle[1], idle[2], Step((1,)), used[2], Step(())]
    assert trimmed(steps) == [used[0], used[1], Step((1,)), used[2], Step(())]


def test_a_lemma_that_is_the_empty_clause_needs_nothing_else() -> None:
    assert trimmed([Step((1, 2), LEMMA), Step((), LEMMA)]) == [Step((), LEMMA)]


def test_implied_literals_are_traced_to_their_reasons() -> None:
    """Under -1: 2 by the first, 3 by the second, and the third is false; the fourth implies something that nobody asks for."""
    steps = [Step((1, 2), LEMMA), Step((-2, 3), LEMMA), Step((-3, -2), LEMMA), Step((-2, 4), LEMMA), Step((1,))]
    assert trimmed(steps) == [*steps[:3], steps[4]]


@pytest.mark.parametrize(
    "steps", [[Step((1, 2), LEMMA), Step((1,))], [Step(())], [Step((1,), LEMMA), Step((-1,), LEMMA), Step((3, 2)), Step((2,))]]
)
def test_a_clause_that_does_not_follow_is_noticed(steps: list[Step]) -> None:
    if len(steps) == 4:  # (3, 2) follows, for the clauses before it contradict each other; without one of them it does not
        assert trimmed(steps)
        steps = steps[1:]
    with pytest.raises(ValueError, match="does not follow"):
        trimmed(steps)
