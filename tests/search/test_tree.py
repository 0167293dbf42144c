"""The split tree: complete, replayable, resumable."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pytest

from secateur.bounds import Claim, Goal, QuantisedNetwork, quantise, root, root_bounds
from secateur.search.tree import SplitTree
from tests.bounds.support import UNIT, chain_values, random_network

FAR = math.inf


def network_with_inactive_neurons() -> tuple[QuantisedNetwork, list[Claim]]:
    """Third-layer neurons that no sample ever activates, on a box where one node does not prove it."""
    network = random_network([3, 16, 16, 8, 2], seed=3, shift=-0.25)
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    highest = network.pre_activations(points)[2].max(axis=0)
    claims = [(3, int(i), -1) for i in np.flatnonzero(highest < -0.02)]
    return quantise(network, (Fraction(-1),) * 3, (Fraction(1),) * 3), claims


def new_tree(network: QuantisedNetwork, claims: list[Claim]) -> SplitTree:
    return SplitTree(network, root(network, root_bounds(network.layers, {}), len(claims)), [Goal.of(c) for c in claims], 3)


def leaves(symbols: list[int], low: list[int], high: list[int]) -> list[tuple[list[int], list[int]]]:
    """The boxes of a tree's leaves by plain halving (contraction left out), consuming the preorder stream."""
    symbol = symbols.pop(0)
    if symbol == 0:
        return [(low, high)]
    i = symbol - 1
    middle = (low[i] + high[i]) // 2
    first = leaves(symbols, low, [*high[:i], middle, *high[i + 1 :]])
    return first + leaves(symbols, [*low[:i], middle, *low[i + 1 :]], high)


def test_a_finished_tree_is_a_complete_binary_tree() -> None:
    network, claims = network_with_inactive_neurons()
    assert len(claims) >= 2
    tree = new_tree(network, claims)
    assert tree.advance(FAR) == []
    assert tree.finished
    proof = tree.proof()
    assert proof.nodes == tree.nodes > 3
    symbols = [int(s) for s in proof.symbols]
    assert len(leaves(symbols, [0] * 3, [UNIT] * 3)) == (proof.nodes + 1) // 2
    assert symbols == []
    assert (tree.proven_share == 1.0).all()


def test_interrupting_and_resuming_gives_the_same_claims() -> None:
    network, claims = network_with_inactive_neurons()
    tree = new_tree(network, claims)
    turns = 0
    while not tree.finished:
        assert tree.advance(FAR, most_nodes=1) == []
        assert ((tree.proven_share >= 0) & (tree.proven_share <= 1)).all()
        turns += 1
    assert turns > 1
    whole = new_tree(network, claims)
    whole.advance(FAR)
    assert (tree.proof().symbols == whole.proof().symbols).all()


def test_an_unfinished_tree_is_no_proof() -> None:
    network, claims = network_with_inactive_neurons()
    tree = new_tree(network, claims)
    tree.advance(time.monotonic() - 1.0)
    assert tree.nodes == 0
    with pytest.raises(ValueError, match="not finished"):
        tree.proof()


def test_a_false_claim_ends_in_a_hit_that_replays() -> None:
    network, _ = network_with_inactive_neurons()
    for claim in [(3, i, s) for i in range(8) for s in (-1, 1)]:
        tree = new_tree(network, [claim])
        hits = tree.advance(FAR, most_nodes=5_000)
        for hit in hits:
            z = chain_values(network.layers, [Fraction(q, UNIT) for q in hit.point])
            assert claim[2] * z[2][claim[1]] < Fraction(1, 10**6)
        assert hits or tree.finished


def test_the_tightest_sub_domain_of_each_claim_is_recorded() -> None:
    network, claims = network_with_inactive_neurons()
    tree = new_tree(network, claims)
    tree.advance(FAR)
    for tightest, (layer, neuron, sign) in zip(tree.proof().tightest, claims, strict=True):
        assert 0 <= tightest.margin < math.inf
        corner = [Fraction(q, UNIT) for q in tightest.low]
        assert sign * chain_values(network.layers, corner)[layer - 1][neuron] >= Fraction(tightest.margin)
