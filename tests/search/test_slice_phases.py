"""Phases of one of many boxes: everything proven holds at every point, facts of larger boxes are used, budgets are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from secateur.bounds import Claim
from secateur.network import Affine, Dense, Network, Term
from secateur.search import EarlierTurn, decide_slice, prove_at_once, sample, standing
from secateur.specification import Domain
from tests.boxes import cube


def never() -> bool:
    return False


def random_network(seed: int, sizes: Sequence[int] = (3, 8, 8, 8), skip: bool = False) -> Network:
    """Layers of the given sizes; with `skip`, the last one reads the input too."""
    random = np.random.default_rng(seed)
    layers = []
    for k, (before, own) in enumerate(pairwise(sizes)):
        terms = [Term(k, Dense(np.float32(random.normal(size=(own, before))).astype(np.float64)))]
        if skip and k == len(sizes) - 2:
            terms = [Term(0, Dense(np.float32(random.normal(size=(own, sizes[0]))).astype(np.float64))), *terms]
        layers.append(Affine(tuple(terms), np.float32(random.normal(size=own)).astype(np.float64)))
    output = Affine((Term(len(layers), Dense(np.ones((2, sizes[-1])))),), np.zeros(2))
    return Network(sizes[0], tuple(layers), output)


def violations(network: Network, domain: Domain, claims: Sequence[Claim], seed: int) -> list[Claim]:
    """Claims that an exact evaluation at random points and all corners refutes."""
    random = np.random.default_rng(seed)
    n = domain.dimension
    corners = [[Fraction(i >> j & 1) for j in range(n)] for i in range(1 << n)]
    inner = [[Fraction(int(v), 1 << 12) for v in row] for row in random.integers(0, (1 << 12) + 1, (60, n))]
    wrong = []
    for point in corners + inner:
        x = [lo + w * t for lo, w, t in zip(domain.lower, domain.widths(), point, strict=True)]
        values = network.exact(x).pre_activations
        wrong += [(k, i, s) for k, i, s in claims if values[k - 1][i] * s < 0]
    return wrong


@pytest.mark.parametrize("seed", range(8))
def test_what_is_proven_holds_at_every_point_and_nothing_is_left_open(seed: int) -> None:
    network, domain = random_network(seed, skip=seed % 2 == 1), cube(3, -0.5, 0.25)
    phases = decide_slice(network, domain, (), (seed,), 20.0, never)
    claims = phases.evidence.claims
    assert claims
    assert not violations(network, domain, claims, seed)
    assert not phases.undecided
    assert phases.needed == 0.0
    assert set(sample(network, domain, (seed, 1)).claims) >= set(claims)


def test_the_sample_knows_ties_and_both_signs() -> None:
    # z = x + 1 >= 0 with a tie at the corner, z = x, z = -x - 1 <= 0
    layer = Affine((Term(0, Dense(np.array([[1.0], [1.0], [-1.0]]))),), np.array([1.0, 0.0, -1.0]))
    network = Network(1, (layer,), Affine((Term(1, Dense(np.ones((1, 3)))),), np.zeros(1)))
    assert sample(network, cube(1), (0,)).claims == ((1, 0, 1), (1, 2, -1))
    assert decide_slice(network, cube(1), (), (0,), 5.0, never).evidence.interval == ((1, 0, 1), (1, 2, -1))


@pytest.mark.parametrize("seed", range(4))
def test_moved_points_meet_what_random_ones_miss_and_drop_nothing_true(seed: int) -> None:
    # z = 0.04 - |x - 0.3| - |y - 0.3| - |w - 0.3| is positive on a hundred-thousandth of the box, and never below -4
    peak = np.repeat(np.eye(3), 2, axis=0) * np.array([1.0, -1.0] * 3)[:, None]
    first = Affine((Term(0, Dense(peak)),), np.array([-0.3, 0.3] * 3))
    second = Affine((Term(1, Dense(np.array([[-1.0] * 6, [1.0] * 6]))),), np.array([0.04, 0.0]))
    network = Network(3, (first, second), Affine((Term(2, Dense(np.ones((1, 2)))),), np.zeros(1)))
    candidates = sample(network, cube(3), (seed,))
    assert {(2, 0, -1), (2, 1, 1)} <= set(candidates.claims)
    assert standing(network, cube(3), candidates, [(2, 0, -1), (2, 1, 1)], (seed,)) == [(2, 1, 1)]


def test_facts_of_a_larger_box_are_not_proven_again() -> None:
    network = random_network(1)
    outer, inner = cube(3, -0.5, 0.5), Domain((Fraction(0),) * 3, (Fraction(1, 2),) * 3)
    known = decide_slice(network, outer, (), (0,), 20.0, never).evidence.claims
    evidence = decide_slice(network, inner, known, (0,), 20.0, never).evidence
    assert known
    assert not {c[:2] for c in evidence.claims} & {c[:2] for c in known}
    assert all(tree.uses >= len(known) for tree in evidence.trees)


@pytest.mark.parametrize("seed", [0, 1, 3])  # networks that need trees there
def test_a_later_turn_goes_on_from_what_was_proven(seed: int) -> None:
    network, domain = random_network(seed), cube(3, -0.5, 0.25)
    known = prove_at_once(network, cube(3, -0.5, 0.5), (), [(1, i, s) for i in range(8) for s in (-1, 1)]).claims
    begun = decide_slice(network, domain, known, (seed,), 0.0, never)
    first = begun.evidence.claims
    later = decide_slice(network, domain, known, (seed,), 20.0, never, EarlierTurn(first, begun.undecided))
    whole = decide_slice(network, domain, known, (seed,), 20.0, never)
    assert first
    assert {c[:2] for c in later.evidence.claims} <= {c[:2] for c in begun.undecided}
    assert later.evidence.trees
    assert later.evidence.interval == ()
    assert all(tree.uses >= len(known) + len(first) for tree in later.evidence.trees)
    assert sorted((*first, *later.evidence.claims)) == sorted(whole.evidence.claims)
    assert not later.undecided


def test_what_is_proven_at_once_is_intervals_and_single_nodes() -> None:
    network, domain = random_network(2), cube(3, -0.25, 0.25)
    evidence = prove_at_once(network, domain, (), sample(network, domain, (0,)).claims)
    assert evidence.claims
    assert [tree.nodes for tree in evidence.trees] in ([], [1])
    assert not violations(network, domain, evidence.claims, 0)


def test_candidates_that_are_false_are_dropped_not_proven() -> None:
    network, domain = random_network(3), cube(3)
    every = [(k, i, s) for k, size in enumerate(network.sizes, 1) for i in range(size) for s in (-1, 1)]
    for claim in every:
        evidence = prove_at_once(network, domain, (), [claim])
        assert not violations(network, domain, evidence.claims, 0)


def test_a_budget_is_kept_and_whoever_says_stop_is_heard() -> None:
    network, domain = random_network(4, (8, 60, 60, 60, 60)), cube(8, -0.5, 0.5)
    began = time.monotonic()
    limited = decide_slice(network, domain, (), (0,), 0.5, never)
    assert time.monotonic() - began < 5.0
    stopped = decide_slice(network, domain, (), (0,), 600.0, lambda: True)
    assert time.monotonic() - began < 10.0
    assert set(stopped.undecided) >= set(limited.undecided)
    assert stopped.undecided
    assert stopped.needed > 0.0
