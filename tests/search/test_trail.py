"""Unit propagation and learning against the truth tables of random clauses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from secateur.search.trail import Clause, Trail


def satisfiable(clauses: list[Clause], neurons: int) -> bool:
    tables = itertools.product((-1, 1), repeat=neurons)
    return any(all(any(table[abs(x) - 1] * x > 0 for x in clause) for clause in clauses) for table in tables)


def decided(clauses: list[Clause], neurons: int) -> bool:
    """Whether clauses, met one by one as conflicts of full assignments, have a model: the loop of the phase search."""
    trail = Trail(neurons)
    while True:
        conflict = trail.propagate()
        if conflict is None:
            conflict = next((c for c in clauses if all(trail.value(x) < 0 for x in c)), None)
        if conflict is not None:
            assert all(trail.value(x) < 0 for x in conflict)
            if trail.learn(conflict) is None:
                return False
            continue
        choice = next((k + 1 for k, phase in enumerate(trail.phases) if not phase), None)
        if choice is None:
            return True
        trail.decide(choice if len(trail.literals) % 2 else -choice)


@pytest.mark.parametrize("seed", range(8))
def test_random_clauses_are_decided_as_their_truth_table_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = set()
    for _ in range(12):
        neurons = 7
        clauses = [
            tuple(int(k + 1) * int(rng.choice([-1, 1])) for k in rng.choice(neurons, size=rng.integers(1, 4), replace=False))
            for _ in range(22)
        ]
        found = decided(clauses, neurons)
        assert found == satisfiable(clauses, neurons)
        answers.add(found)
        found = decided(clauses[:8], neurons)
        assert found == satisfiable(clauses[:8], neurons)
        answers.add(found)
    assert answers == {False, True}


def test_a_learned_clause_implies_its_last_literal() -> None:
    trail = Trail(3)
    trail.decide(1)
    trail.decide(2)
    trail.decide(3)
    assert trail.learn((-1, -3))  # 2 had no part in it: back to the first level
    assert trail.phases == [1, 0, -1]
    assert trail.decisions == [1]
    assert trail.propagate() is None
    trail.decide(2)
    assert trail.learn((-1, -2))
    assert trail.phases == [1, -1, -1]
    assert trail.learn((2, 3))  # both are consequences of the first decision
    assert trail.phases == [-1, 0, 0]
    assert trail.decisions == []
    assert trail.learn((1,)) is None


def test_implied_literals_carry_their_reason_into_the_learned_clause() -> None:
    trail = Trail(4)
    trail.decide(1)
    trail.imply(2, (2, -1))
    trail.decide(3)
    trail.imply(4, (4, -3, -2))
    assert trail.learn((-4, -3, -1))  # 4 because of 3 and 2: one literal of this level is left, -3
    assert trail.literals == [1, 2, -3]
    assert trail.propagate() is None


def test_an_empty_conflict_ends_the_search() -> None:
    trail = Trail(1)
    trail.decide(1)
    assert trail.learn(()) is None
