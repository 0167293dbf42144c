"""Networks side by side mean exactly what the parts mean."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import chain_form
from secateur.network import Affine, Conv, Dense, Network, Term
from secateur.network.join import deepened, side_by_side
from tests.bounds.support import chain_values
from tests.strategies import exact_points, networks, skip_networks

F = Fraction
quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def ensembles(draw: st.DrawFn) -> tuple[list[Network], list[list[int]], int]:
    """One to three networks of any depth, and where their inputs lie: shared, permuted, repeated, some places unread."""
    one = st.one_of(networks(max_layers=3, max_width=3), skip_networks(max_layers=3))
    parts = draw(st.lists(one, min_size=1, max_size=3))
    size = draw(st.integers(1, 4))
    places = [draw(st.lists(st.integers(0, size - 1), min_size=p.input_size, max_size=p.input_size)) for p in parts]
    return parts, places, size


def own_traces(
    parts: Sequence[Network], places: Sequence[Sequence[int]], point: Sequence[Fraction]
) -> list[list[list[Fraction]]]:
    """For each part all its layers' values, and its outputs last, at its own inputs."""
    traces = [part.exact([point[i] for i in where]) for part, where in zip(parts, places, strict=True)]
    return [[*map(list, t.pre_activations), list(t.output)] for t in traces]


@quiet
@given(ensembles(), st.data())
def test_outputs_are_those_of_the_parts(ensemble: tuple[list[Network], list[list[int]], int], data: st.DataObject) -> None:
    parts, places, size = ensemble
    joined = side_by_side(parts, places, size)
    assert (joined.input_size, joined.output_size) == (size, sum(p.output_size for p in parts))
    for _ in range(3):
        point = data.draw(exact_points(size))
        trace, own = joined.exact(point), own_traces(parts, places, point)
        assert list(trace.output) == [v for part in own for v in part[-1]]
        for k, values in enumerate(trace.pre_activations):
            assert list(values) == [v for part in own if k < len(part) - 1 for v in part[k]]


@quiet
@given(ensembles(), st.data())
def test_the_chain_form_carries_shallow_parts_past_deeper_ones(
    ensemble: tuple[list[Network], list[list[int]], int], data: st.DataObject
) -> None:
    parts, places, size = ensemble
    joined = side_by_side(parts, places, size)
    with_rows = Network(size, (*joined.layers, joined.output), Affine((), np.zeros(0)))
    lower, upper = (F(-1, 3),) * size, (F(2),) * size
    layers = chain_form(with_rows, lower, upper)
    t = data.draw(st.lists(st.fractions(0, 1, max_denominator=64), min_size=size, max_size=size))
    point = [low + (high - low) * s for low, high, s in zip(lower, upper, t, strict=True)]
    outputs = [v for part in own_traces(parts, places, point) for v in part[-1]]
    assert chain_values(layers, t)[-1] == outputs


@quiet
@given(ensembles(), st.integers(0, 10**6))
def test_floats_are_evaluated_alike(ensemble: tuple[list[Network], list[list[int]], int], seed: int) -> None:
    parts, places, size = ensemble
    points = np.random.default_rng(seed).uniform(-2, 2, (5, size))
    outputs = np.concatenate([p.forward(points[:, w]) for p, w in zip(parts, places, strict=True)], axis=1)
    np.testing.assert_allclose(side_by_side(parts, places, size).forward(points), outputs, rtol=1e-9, atol=1e-3)


def affine_only(weights: Sequence[Sequence[float]], bias: Sequence[float]) -> Network:
    return Network(len(weights[0]), (), Affine((Term(0, Dense(np.array(weights))),), np.array(bias)))


def test_one_network_over_its_own_inputs_is_itself() -> None:
    network = affine_only([[1.0, 2.0]], [3.0])
    assert side_by_side([network], [range(2)], 2) is network
    assert side_by_side([network], [[1, 0]], 2).exact([F(10), F(1)]).output == (F(24),)
    assert side_by_side([network], [range(2)], 3).input_size == 3


def test_inputs_that_share_a_place_are_added_exactly() -> None:
    # 1 + 2**-60 is no float64 number: the sum has to be kept as a rational.
    network = affine_only([[1.0, 2.0**-60]], [0.0])
    joined = side_by_side([network], [[0, 0]], 1)
    assert joined.exact([F(1)]).output == (1 + F(1, 2**60),)


def test_rational_weights_and_biases_survive() -> None:
    third = Dense(np.array([[1 / 3]]), np.array([[F(1, 3)]], dtype=object))
    network = Network(1, (), Affine((Term(0, third),), np.array([0.1]), (F(1, 10),)))
    joined = side_by_side([network, affine_only([[1.0]], [0.5]), network], [[0], [1], [1]], 2)
    assert joined.exact([F(3, 7), F(3)]).output == (F(1, 7) + F(1, 10), F(7, 2), F(11, 10))


def test_networks_without_layers_stand_beside_deep_ones() -> None:
    relu = Affine((Term(0, Dense(np.array([[1.0]]))),), np.zeros(1))
    deep = Network(
        1, (relu, Affine((Term(1, Dense(np.array([[-1.0]]))),), np.ones(1))), Affine((Term(2, Dense(np.eye(1))),), np.zeros(1))
    )
    joined = side_by_side([affine_only([[2.0]], [0.0]), deep], [[0], [0]], 1)
    assert joined.sizes == (1, 1)
    assert joined.exact([F(1, 4)]).output == (F(1, 2), F(3, 4))
    assert joined.exact([F(-1)]).output == (F(-2), F(1))


def test_convolutions_are_multiplied_out() -> None:
    kernel = np.array([1.0, -0.5]).reshape(1, 1, 1, 2)
    layer = Affine((Term(0, Conv(kernel, (1, 1, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)),), np.array([0.25, 0.0]))
    network = Network(3, (layer,), Affine((Term(1, Dense(np.ones((1, 2)))),), np.zeros(1)))
    joined = side_by_side([network, network], [[0, 1, 2], [2, 2, 0]], 3)
    point = (F(1, 3), F(1), F(-2))
    expected = [network.exact(p).output[0] for p in (point, (point[2], point[2], point[0]))]
    assert list(joined.exact(point).output) == expected


@pytest.mark.parametrize("places", [[[0], [2]], [[0, 1], [0]]])
def test_places_that_do_not_fit_are_refused(places: list[list[int]]) -> None:
    network = affine_only([[1.0]], [0.0])
    with pytest.raises((IndexError, ValueError)):
        side_by_side([network, network], places, 2)


@quiet
@given(networks(max_layers=3, max_width=3), st.integers(0, 3), st.data())
def test_a_deepened_network_is_the_same_function(network: Network, more: int, data: st.DataObject) -> None:
    depth = len(network.layers) + more
    deeper = deepened(network, depth)
    assert (len(deeper.layers), deeper.is_chain) == (depth, True)
    for _ in range(3):
        point = data.draw(exact_points(network.input_size))
        assert deeper.exact(point).output == network.exact(point).output


def test_inputs_of_both_signs_are_carried_through_and_rationals_kept() -> None:
    third = Dense(np.array([[1 / 3, -1.0]]), np.array([[F(1, 3), F(-1)]], dtype=object))
    deeper = deepened(Network(2, (), Affine((Term(0, third),), np.array([0.1]), (F(1, 10),))), 2)
    assert deeper.sizes == (4, 4)
    for point in ([F(-3), F(2)], [F(3), F(-2)]):
        assert deeper.exact(point).output == (point[0] / 3 - point[1] + F(1, 10),)


def test_what_cannot_be_deepened_is_refused() -> None:
    layer = Affine((Term(0, Dense(np.eye(1))),), np.zeros(1))
    plain = Network(1, (layer,), Affine((Term(1, Dense(np.eye(1))),), np.zeros(1)))
    past = Network(1, (layer,), Affine((Term(0, Dense(np.eye(1))), Term(1, Dense(np.eye(1)))), np.zeros(1)))
    assert deepened(plain, 1) is plain
    for network, depth in ((plain, 0), (past, 2)):
        with pytest.raises(ValueError, match="plain feed-forward"):
            deepened(network, depth)
