"""Trees over joined networks in both arithmetics, bit for bit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.nodes import OutOfRange
from tests.checker.pair_cases import PairCase, close_pair, problem, prove, random_pair, with_claim
from tests.checker.twins import Twins

seeds = st.integers(0, 1 << 30)


def twins_of(case: PairCase) -> Twins:
    proof = problem(case)
    return Twins(proof.chain, proof.grid, proof.goals, proof.steps)


@given(seeds)
@settings(deadline=None, max_examples=300)
def test_both_arithmetics_agree_on_every_integer(seed: int) -> None:
    rng = random.Random(seed)
    case = with_claim(random_pair(seed), seed)
    wild = rng.random() < 0.2
    case.grid = [rng.randint(-20, 60) if wild else rng.randint(20, 36) for _ in range(len(case.shifts) + 1)]
    try:
        twins = twins_of(case)
        for _ in range(6):
            symbol = rng.choice([rng.randint(1, case.inputs)] * 8 + [0, case.inputs + 1])
            if twins.waiting:
                twins.visit(symbol)
    except OutOfRange:  # the fast arithmetic says so itself
        assert wild or max(case.shifts) > 12


@pytest.mark.parametrize("seed", [0, 2, 4, 6, 10, 15, 21, 28])
def test_both_arithmetics_agree_along_whole_trees(seed: int) -> None:
    case = close_pair(seed)
    assert prove(case, limit=100)
    assert len(case.symbols) >= 9
    twins = twins_of(case)
    assert [twins.visit(symbol).fault for symbol in case.symbols] == [0] * len(case.symbols)
    assert not twins.waiting


@pytest.mark.parametrize("seed", [1, 3])
def test_both_arithmetics_agree_on_wide_networks(seed: int) -> None:
    """More neurons are refreshed in a layer than are propagated at once."""
    twins = twins_of(close_pair(seed, sizes=(3, 40, 36, 2)))
    for symbol in (1, 2, 3, 1):
        twins.visit(symbol)
