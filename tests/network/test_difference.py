"""Two networks as one that carries differences, against exact evaluation of both."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Affine, Dense, Network, Term
from secateur.network.difference import DifferenceNetwork, Pairing, difference_network, paired_by_position
from tests.differences import joined_values, network_pairs
from tests.reduction.support import chain
from tests.strategies import exact_points, networks

F = Fraction
quiet = settings(deadline=None, max_examples=60)


def unit_box(network: Network) -> tuple[np.ndarray, np.ndarray]:
    return -np.ones(network.input_size), np.ones(network.input_size)


@quiet
@given(network_pairs(), st.data())
def test_outputs_are_those_of_both_networks(pair: tuple[Network, Network, Pairing], data: st.DataObject) -> None:
    first, second, pairing = pair
    joined = difference_network(first, second, pairing, unit_box(first))
    point = data.draw(exact_points(first.input_size))
    _, output = joined_values(joined, point)
    assert tuple(output) == first.exact(point).output + second.exact(point).output


@quiet
@given(network_pairs(), st.data())
def test_pre_activations_are_those_of_both_networks(pair: tuple[Network, Network, Pairing], data: st.DataObject) -> None:
    first, second, pairing = pair
    joined = difference_network(first, second, pairing, unit_box(first))
    point = data.draw(exact_points(first.input_size))
    z, _ = joined_values(joined, point)
    ours, theirs = first.exact(point).pre_activations, second.exact(point).pre_activations
    for level, values in enumerate(z, start=1):
        floats = np.array([float(v) for v in values])
        ends = np.nextafter(floats, -np.inf), np.nextafter(floats, np.inf)
        if level <= len(ours):
            require_inside(joined.first_ranges(level, *ends), ours[level - 1])
        if level in joined.levels:
            layer = joined.levels.index(level) + 1
            require_inside(joined.second_ranges(layer, *ends), theirs[layer - 1])


def require_inside(ranges: tuple[np.ndarray, np.ndarray], values: tuple[Fraction, ...]) -> None:
    assert len(ranges[0]) == len(values)
    for low, value, high in zip(ranges[0], values, ranges[1], strict=True):
        slack = 1e-9 * (1.0 + abs(low))
        assert low - slack <= value <= high + slack


@quiet
@given(networks())
def test_a_network_shares_everything_with_itself(network: Network) -> None:
    joined = difference_network(network, network, paired_by_position(network, network), unit_box(network))
    assert joined.network.sizes == network.sizes
    assert all((place.difference == -1).all() for place in joined.places)


def test_differences_begin_at_the_first_changed_layer() -> None:
    first = _two_layers(1.0)
    second = _two_layers(1.0 + 2.0**-20)
    joined = difference_network(first, second, paired_by_position(first, second), unit_box(first))
    assert joined.network.sizes == (2, 4)
    assert joined.shifts[0] == 40  # nothing differs there
    assert 10 <= joined.shifts[1] <= 24
    assert joined.partners[1].tolist() == [-1, -1, 0, 1]


@pytest.mark.parametrize(
    ("levels", "partners"),
    [
        ((1,), ((0, 1), (0, 1))),
        ((1, 1), ((0, 1), (0, 1))),
        ((2, 1), ((0, 1), (0, 1))),
        ((0, 1), ((0, 1), (0, 1))),
        ((1, 2), ((0, 0), (0, 1))),
        ((1, 2), ((0, 2), (0, 1))),
        ((1, 3), ((0, 1), (0, None))),
        ((1, 2), ((0,), (0, 1))),
    ],
)
def test_pairings_that_do_not_fit_are_refused(levels: tuple[int, ...], partners: tuple[tuple[int | None, ...], ...]) -> None:
    network = _two_layers(1.0)
    with pytest.raises(ValueError, match=r"pairing|partners"):
        difference_network(network, network, Pairing(levels, partners), unit_box(network))


def test_networks_of_other_inputs_are_refused() -> None:
    one = Network(1, (), Affine((Term(0, Dense(np.ones((1, 1)))),), np.zeros(1)))
    two = Network(2, (), Affine((Term(0, Dense(np.ones((1, 2)))),), np.zeros(1)))
    with pytest.raises(ValueError, match="input sizes"):
        difference_network(one, two, Pairing((), ()), unit_box(one))


def _two_layers(factor: float) -> Network:
    layer = Affine((Term(0, Dense(np.array([[1.0, -1.0], [0.5, 1.0]]))),), np.array([0.1, 0.2]))
    other = Affine((Term(1, Dense(factor * np.array([[1.0, -1.0], [0.5, 1.0]]))),), np.array([0.1, 0.2]))
    return Network(2, (layer, other), Affine((Term(2, Dense(np.ones((1, 2)))),), np.zeros(1)))


def test_given_shifts_are_kept() -> None:
    first, second = _two_layers(1.0), _two_layers(1.25)
    joined: DifferenceNetwork = difference_network(first, second, paired_by_position(first, second), unit_box(first), [0, 5])
    assert joined.shifts == (0, 5)
    assert [row[0] for row in joined.network.layers[1].terms[0].map.dense().rationals()[2:]] == [F(8), F(4)]


def test_shifts_leave_the_first_networks_coefficients_their_bits() -> None:
    """relu(x + 4) twice against once, doubled: the change is 0, but its coefficients are as long as the original's."""
    first = chain(([[1], [1]], [4, 4]), ([[1, 1], [1, 0]], [0, 0]), ([[1, 1]], [0]))
    second = chain(([[1]], [4]), ([[2], [1]], [0, 0]), ([[1, 1]], [0]))
    pairing = Pairing((1, 2), ((None,), (0, 1)))
    joined = difference_network(first, second, pairing, unit_box(first))
    assert joined.shifts[1] == 5  # of 40 that the values would admit: the same length, and four bits more
    assert joined.partners[1].tolist() == [-1, -1, 0, 1]
