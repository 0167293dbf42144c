"""Partitions cover the domain without a gap, by exact cuts that never touch a coordinate of width 0."""

from __future__ import annotations

from fractions import Fraction

import pytest

from secateur.errors import InputError
from secateur.reduction.slicing.partition import Partition, Region, analyse_region, halves
from secateur.specification import Domain
from tests.reduction.support import chain

THIRD = Domain((Fraction(1, 3), Fraction(5)), (Fraction(2, 3), Fraction(5)))


def test_halves_share_a_face_and_are_the_box() -> None:
    first, second = halves(THIRD, 0)
    assert (first.lower, first.upper) == ((Fraction(1, 3), 5), (Fraction(1, 2), 5))
    assert (second.lower, second.upper) == ((Fraction(1, 2), 5), (Fraction(2, 3), 5))


def test_a_coordinate_without_width_is_not_cut() -> None:
    with pytest.raises(InputError, match="coordinate 1 has width 0 and cannot be cut"):
        halves(THIRD, 1)


def test_preorder_puts_the_first_half_first() -> None:
    partition = Partition(Region(Domain((Fraction(0),), (Fraction(8),))))
    first, _ = partition.split(partition.root, 0)
    partition.split(first, 0)
    assert [(r.box.lower[0], r.box.upper[0]) for r in partition.preorder()] == [(0, 8), (0, 4), (0, 2), (2, 4), (4, 8)]
    assert [r.box.lower[0] for r in partition.slices()] == [0, 2, 4]
    assert partition.count == 3


def test_the_cut_is_where_most_neurons_become_stable() -> None:
    # Two neurons switch at x1 = 0, none anywhere along x0 (z = x0 + 4 > 0).
    network = chain(([[0, 1], [0, -1], [1, 0]], [0, 0, 4]), ([[1, 1, 1]], [0]))
    region = Region(Domain((Fraction(-1),) * 2, (Fraction(1),) * 2))
    analysis = analyse_region(network, region, region.box, 0)
    assert analysis.unstable == 2
    assert analysis.coordinate == 1
    assert analysis.facts.claims == ((1, 2, 1),)


def test_of_equal_cuts_the_coordinate_that_was_cut_least() -> None:
    network = chain(([[1, 1]], [9]), ([[1]], [0]))
    whole = Domain((Fraction(0),) * 2, (Fraction(1), Fraction(100)))
    narrow = Region(Domain((Fraction(0),) * 2, (Fraction(1, 2), Fraction(100))))
    assert analyse_region(network, narrow, whole, 0).coordinate == 1
    assert analyse_region(network, Region(whole), whole, 0).coordinate == 0


def test_a_point_is_not_cut() -> None:
    network = chain(([[1]], [0]), ([[1]], [0]))
    point = Region(Domain((Fraction(3),), (Fraction(3),)))
    assert analyse_region(network, point, point.box, 0).coordinate is None
