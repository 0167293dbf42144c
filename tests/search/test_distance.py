"""Certified distances of two networks against what is known exactly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from secateur.network import Affine, Dense, Network, Term
from secateur.network.join import side_by_side
from secateur.progress import SilentProgress
from secateur.search.distance import Distance, largest_difference
from secateur.specification import Domain
from tests.bounds.support import random_network
from tests.boxes import box
from tests.search.piecewise import piecewise_range
from tests.search.queries import layered
from tests.search.test_pairing import shifted

F = Fraction


def distance(networks: Sequence[Network], domain: Domain, *, tolerance: float = 0.01, seconds: float = 20.0) -> Distance:
    return largest_difference(networks, domain, tolerance, 0, time.monotonic() + seconds, SilentProgress())


def require_consistent(networks: Sequence[Network], domain: Domain, found: Distance) -> None:
    """The lower bound is attained where it says; the upper one is not exceeded by samples."""
    assert domain.contains(found.point)
    assert found.outputs == tuple(network.exact(found.point).output for network in networks)
    apart = [abs(a - b) for a, b in zip(*found.outputs, strict=True)]
    assert apart[found.output] == max(apart) == found.lower <= found.upper
    low, high = found.floats()
    assert F(low) <= found.lower
    assert found.upper <= F(high)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = [a + (b - a) * F(int(rng.integers(0, 65)), 64) for a, b in zip(domain.lower, domain.upper, strict=True)]
        outputs = [network.exact(x).output for network in networks]
        assert max(abs(a - b) for a, b in zip(*outputs, strict=True)) <= found.upper


def difference_of(first: Network, second: Network) -> Network:
    """y - y' as a network of its own, for one output."""
    both = side_by_side([first, second], [range(first.input_size)] * 2, first.input_size)
    terms = [Term(t.source, Dense(t.map.dense().weight[:1] - t.map.dense().weight[1:])) for t in both.output.terms]
    output = Affine(tuple(terms), both.output.bias[:1] - both.output.bias[1:])
    return Network(both.input_size, both.layers, output, both.interface)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("related", [True, False])
def test_the_true_distance_lies_between_the_bounds(seed: int, related: bool) -> None:
    first = random_network([1, 6, 5, 1], seed)
    second = shifted(first, 2.0**-9) if related else random_network([1, 4, 4, 4, 1], seed + 50)
    domain = box(("-2", "1.5"))
    found = distance((first, second), domain)
    require_consistent((first, second), domain, found)
    low, high = piecewise_range(difference_of(first, second), domain, 0)
    assert found.finished
    assert found.lower <= max(-low, high) <= found.upper
    assert found.upper - found.lower <= found.lower / 100


def test_the_distance_is_that_of_the_worst_output() -> None:
    """relu(x) in three outputs against 2 relu(x), relu(x) / 2 and relu(x) on [-1, 1]: 1 in the first, at 1."""
    first = layered(([[1.0]], [0.0]), ([[1.0], [1.0], [1.0]], [0.0] * 3))
    second = layered(([[1.0]], [0.0]), ([[2.0], [0.5], [1.0]], [0.0] * 3))
    found = distance((first, second), box(("-1", "1")))
    require_consistent((first, second), box(("-1", "1")), found)
    assert (found.lower, found.output, found.point) == (F(1), 0, (F(1),))
    assert found.finished
    assert found.upper <= F(101, 100)


def test_several_inputs_and_outputs() -> None:
    first = random_network([3, 8, 8, 3], 7)
    second = shifted(first, 2.0**-10)
    domain = box(*[("-1", "1")] * 3)
    coarse, fine = (distance((first, second), domain, tolerance=t) for t in (0.5, 0.02))
    for found in (coarse, fine):
        require_consistent((first, second), domain, found)
        assert found.finished
    assert fine.lower <= coarse.upper
    assert coarse.lower <= fine.upper
    assert coarse.statistics.nodes < fine.statistics.nodes


def test_a_network_has_no_distance_from_itself() -> None:
    network = random_network([3, 8, 8, 2], 1)
    found = distance((network, network), box(*[("-1", "1/3")] * 3), tolerance=0.0)
    assert (found.lower, found.upper, found.finished) == (0, 0, True)


def test_equal_functions_of_different_shape_are_close() -> None:
    """relu(x) and relu(x) with a dead neuron: no pairs, and no width; what stays is the resolution."""
    first = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
    second = layered(([[1.0], [1.0]], [0.0, -5.0]), ([[1.0, 1.0]], [0.0]))
    found = distance((first, second), box(("-1", "1")), seconds=2.0)
    assert found.lower == 0
    assert found.upper <= F(1, 2**20)


def test_a_single_point_has_an_exact_distance() -> None:
    first, second = random_network([2, 5, 2], 1), random_network([2, 5, 2], 2)
    domain = box(("1/3", "1/3"), ("-1/7", "-1/7"))
    found = distance((first, second), domain)
    require_consistent((first, second), domain, found)
    assert found.lower == found.upper


def test_bounds_hold_when_time_is_short() -> None:
    first, second = random_network([12, 60, 60, 60, 2], 1), random_network([12, 60, 60, 60, 2], 2)
    domain = box(*[("-1", "1")] * 12)
    begun = time.monotonic()
    found = distance((first, second), domain, seconds=0.5)
    assert time.monotonic() - begun < 5.0
    require_consistent((first, second), domain, found)
    assert not found.finished
