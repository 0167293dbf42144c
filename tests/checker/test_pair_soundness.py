"""Whatever a tree proves about two networks is true: against exact values of both networks, evaluated without the joined one."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from secateur.checker.evaluation import evaluate
from secateur.checker.pair_rows import broken_at
from tests.checker.pair_cases import PairCase, claim_of, gap_points, networks_of, prove, random_pair, with_claim


def holds(case: PairCase, point: list[Fraction]) -> bool:
    both, claim = networks_of(case), claim_of(case)
    layers = claim.layers or (None, None)
    return broken_at(claim, evaluate(both.original, point, layers[0]), evaluate(both.reduced, point, layers[1])) is None


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_what_a_tree_proves_is_true(first: int) -> None:
    found: Counter[str] = Counter()
    for seed in range(first, first + 100):
        case = with_claim(random_pair(seed), seed)
        true = all(holds(case, point) for point in gap_points(case, seed + 1))
        proven = prove(case, limit=12)
        assert true or not proven, seed
        found["proven" if proven else "open" if true else "false"] += 1
    assert min(found[own] for own in ("proven", "false")) > 15, found
