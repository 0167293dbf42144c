"""Certified output ranges, against exact evaluation, against ranges that are known, and at deadlines."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.network import Network
from secateur.progress import SilentProgress
from secateur.search.ranges import OutputBounds, output_bounds
from secateur.search.sides import Ranged
from secateur.specification import Domain
from tests.bounds.support import boxes, random_network
from tests.boxes import box
from tests.search.piecewise import piecewise_range
from tests.search.queries import layered
from tests.strategies import networks, skip_networks

F = Fraction
quiet = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def ranges(network: Network, domain: Domain, *, tolerance: float = 0.01, seconds: float = 20.0) -> OutputBounds:
    return output_bounds(Ranged(network, domain), tolerance, 0, time.monotonic() + seconds, SilentProgress())


def require_consistent(network: Network, domain: Domain, found: OutputBounds) -> None:
    """What holds of every result: certified outside attained, and attained where it says."""
    for j in range(network.output_size):
        assert found.lower[j] <= found.attained_lower[j] <= found.attained_upper[j] <= found.upper[j]
        assert domain.contains(found.lowest_at[j])
        assert domain.contains(found.highest_at[j])
        assert network.exact(found.lowest_at[j]).output[j] == found.attained_lower[j]
        assert network.exact(found.highest_at[j]).output[j] == found.attained_upper[j]


def gap(found: OutputBounds, j: int) -> Fraction:
    return max(found.attained_lower[j] - found.lower[j], found.upper[j] - found.attained_upper[j])


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_bounds_enclose_what_points_attain(network: Network, data: st.DataObject) -> None:
    domain = Domain(*data.draw(boxes(network.input_size)))
    found = ranges(network, domain, seconds=0.5)
    require_consistent(network, domain, found)
    for _ in range(3):
        t = [data.draw(st.fractions(0, 1, max_denominator=9)) for _ in domain.lower]
        x = [a + (b - a) * s for a, b, s in zip(domain.lower, domain.upper, t, strict=True)]
        values = network.exact(x).output
        assert all(low <= v <= high for low, v, high in zip(found.lower, values, found.upper, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_the_true_range_within_the_tolerance(seed: int) -> None:
    network, domain = random_network([1, 6, 5, 2], seed), box((-2, 1.5))
    found = ranges(network, domain, tolerance=1e-3)
    require_consistent(network, domain, found)
    assert found.finished
    for j in range(2):
        low, high = piecewise_range(network, domain, j)
        assert found.lower[j] <= low <= found.attained_lower[j]
        assert found.attained_upper[j] <= high <= found.upper[j]
        assert gap(found, j) <= F(1, 1000) * (high - low)


def test_several_inputs_and_outputs_of_different_size() -> None:
    """y = |a| + |b|, y' = 1000 max(a, b), y'' = (a - b) / 4096 on [-1, 2] x [-3, 1]."""
    first = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, -1]]
    second = [[1, 1, 1, 1, 0], [0, 0, 1000, -1000, 1000], [2.0**-12, -(2.0**-12), -(2.0**-12), 2.0**-12, 0]]
    network, domain = layered((first, [0] * 5), (second, [0, 0, 0])), box((-1, 2), (-3, 1))
    found = ranges(network, domain)
    require_consistent(network, domain, found)
    assert found.finished
    for j, (low, high) in enumerate([(F(0), F(5)), (F(-1000), F(2000)), (F(-2, 4096), F(5, 4096))]):
        assert found.lower[j] <= low <= found.attained_lower[j]
        assert found.attained_upper[j] <= high <= found.upper[j]
        assert gap(found, j) <= (high - low) / 100


def test_a_smaller_tolerance_gives_nested_bounds() -> None:
    network, domain = random_network([2, 8, 8, 1], 3), box((-1, 1), (-1, 1))
    results = [ranges(network, domain, tolerance=t) for t in (0.3, 0.01, 0.0001)]
    for coarse, fine in itertools.pairwise(results):
        assert fine.finished
        assert fine.lower[0] <= coarse.attained_lower[0]
        assert coarse.attained_upper[0] <= fine.upper[0]
        assert gap(fine, 0) < gap(coarse, 0)
    assert results[0].statistics.nodes < results[-1].statistics.nodes


def test_zero_tolerance_ends_where_nothing_can_be_split_any_more() -> None:
    network, domain = layered(([[1], [-1]], [0, 0]), ([[1, 1]], [0])), box((-1, 3))
    found = ranges(network, domain, tolerance=0.0)
    assert found.statistics.seconds < 10
    assert (found.attained_lower[0], found.attained_upper[0]) == (0, 3)
    assert gap(found, 0) <= F(8, 1 << 24)


def test_an_affine_network_is_exact_at_once() -> None:
    network, domain = layered(([[2, -1], [0.5, 0.25]], [1, 0])), box((-1, 1), (0, 4))
    found = ranges(network, domain)
    assert (found.lower, found.upper) == ((-5, F(-1, 2)), (3, F(3, 2)))
    assert (found.attained_lower, found.attained_upper) == (found.lower, found.upper)
    assert found.finished
    assert found.statistics.nodes == 0


def test_a_point_has_its_exact_value() -> None:
    network, domain = random_network([2, 5, 2], 0), Domain((F(1, 3), F(-1, 7)), (F(1, 3), F(-1, 7)))
    found = ranges(network, domain, tolerance=0.0)
    values = network.exact(domain.lower).output
    assert found.lower == found.upper == found.attained_lower == found.attained_upper == values
    assert found.finished


def test_thin_boxes_are_bounded_along_what_is_left() -> None:
    network, domain = random_network([2, 5, 2], 1), Domain((F(1, 3), F(-1)), (F(1, 3), F(1)))
    found = ranges(network, domain)
    require_consistent(network, domain, found)
    assert found.finished
    assert all(point[0] == F(1, 3) for point in (*found.lowest_at, *found.highest_at))


def test_a_constant_output_is_certified() -> None:
    """Behind dead neurons intervals are exact, whatever the bias."""
    network = layered(([[1.0], [-1.0]], [-9, -9]), ([[1, 1]], [0.1]))
    found = ranges(network, box((-1, 1)), tolerance=0.0)
    assert found.lower == found.upper == (F(0.1),)
    assert found.finished


def test_after_the_deadline_what_is_known_still_holds() -> None:
    network, domain = random_network([5, 20, 20, 3], 2), box(*[(-2, 2)] * 5)
    rushed, late = ranges(network, domain, seconds=0.0), ranges(network, domain, tolerance=1e-6, seconds=1.0)
    for found in (rushed, late):
        require_consistent(network, domain, found)
        assert not found.finished
    assert rushed.statistics.nodes == 0
    assert late.statistics.nodes > 0
    assert all(a < b for a, b in zip(rushed.lower, late.lower, strict=True))
    assert all(a > b for a, b in zip(rushed.upper, late.upper, strict=True))


def test_many_outputs_share_the_time_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    import secateur.search.ranges as module

    network, domain = random_network([2, 6, 5], 4), box((-1, 1), (-1, 1))
    together = ranges(network, domain)
    monkeypatch.setattr(module, "_MOST_SIDES", 3)
    apart = ranges(network, domain)
    for found in (together, apart):
        require_consistent(network, domain, found)
        assert found.finished
    assert all(low <= high for low, high in zip(together.lower, apart.attained_lower, strict=True))


def test_a_full_frontier_goes_depth_first_and_ends_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import secateur.search.ranges as module

    network, domain = random_network([2, 8, 8, 1], 3), box((-1, 1), (-1, 1))
    monkeypatch.setattr(module, "_FRONTIER_BYTES", 1)
    found = ranges(network, domain, tolerance=1e-4)
    require_consistent(network, domain, found)
    assert found.finished
    assert gap(found, 0) <= F(1, 9_999) * (found.attained_upper[0] - found.attained_lower[0])


def test_arrays_are_rounded_outward() -> None:
    network, domain = random_network([2, 5, 2], 0), Domain((F(1, 3), F(-1, 7)), (F(1, 3), F(-1, 7)))
    found = ranges(network, domain)
    lower, upper = found.arrays()
    for low, exact, high in zip(lower.tolist(), found.lower, upper.tolist(), strict=True):
        assert F(low) < exact < F(high)
        assert np.nextafter(low, np.inf) == high


def test_networks_beyond_the_kernels_are_refused() -> None:
    with pytest.raises(InputError, match="outside the supported range"):
        ranges(layered(([[2.0**999]], [0]), ([[1]], [0])), box((0, 1)))


def points_of(domain: Domain, count: int) -> Sequence[tuple[Fraction, ...]]:
    rng = np.random.default_rng(0)
    t = rng.random((count, domain.dimension))
    return [tuple(a + (b - a) * F(s) for a, b, s in zip(domain.lower, domain.upper, row, strict=True)) for row in t.tolist()]


def test_bounds_hold_on_a_deeper_network() -> None:
    network, domain = random_network([3, 12, 12, 12, 2], 7), box(*[(-1, 1)] * 3)
    found = ranges(network, domain, tolerance=0.05)
    require_consistent(network, domain, found)
    assert found.finished
    for x in points_of(domain, 50):
        assert all(low <= v <= high for low, v, high in zip(found.lower, network.exact(x).output, found.upper, strict=True))
