"""Root bounds are those of exact arithmetic to the bit, however they come about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import ChainLayer, chain_form, root_bounds
from secateur.bounds.root import integer_ends
from secateur.bounds.rounding import ceil_to_bits, floor_to_bits
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from tests.bounds.support import boxes, chain_values, float_boxes, in_float32, random_network
from tests.strategies import networks, skip_networks

quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_root_bounds_enclose_exact_values(network: Network, data: st.DataObject) -> None:
    lower, upper = data.draw(boxes(network.input_size))
    layers = chain_form(network, lower, upper)
    bounds = root_bounds(layers, {})
    t = [data.draw(st.fractions(0, 1, max_denominator=9)) for _ in lower]
    flat = [z for layer in chain_values(layers, t) for z in layer]
    assert all(
        Fraction(float(low)) <= z <= Fraction(float(high)) for low, z, high in zip(bounds.lower, flat, bounds.upper, strict=True)
    )
    assert (bounds.lower == bounds.lower.astype(np.float32)).all()
    assert (bounds.upper == bounds.upper.astype(np.float32)).all()


def slow_root_bounds(layers: Sequence[ChainLayer], facts: Mapping[tuple[int, int], int]) -> list[list[tuple[Fraction, ...]]]:
    """By layer: exact lower and upper ends, and both rounded outward to 24 bits, term by term in fractions."""
    zero, result = Fraction(0), []
    ranges = [(Fraction(0), Fraction(1))] * layers[0].in_size
    for k, layer in enumerate(layers, start=1):
        ends = []
        for row in layer.rows:
            terms = [(w * a, w * b) if w > 0 else (w * b, w * a) for w, (a, b) in zip(row, ranges, strict=False)]
            ends.append((row[-1] + sum(t[0] for t in terms), row[-1] + sum(t[1] for t in terms)))
        for i, sigma in enumerate([] if layer.slack is None else layer.slack.tolist()):
            error = Fraction(sigma[-1]) + sum(Fraction(c) * max(r) for c, r in zip(sigma, ranges, strict=False))
            ends[i] = ends[i][0] - error, ends[i][1] + error
        low, high = [floor_to_bits(e[0]) for e in ends], [ceil_to_bits(e[1]) for e in ends]
        for i in range(layer.size):
            sign = facts.get((k, i), 0)
            low[i] = max(low[i], zero) if sign > 0 else low[i]
            high[i] = min(high[i], zero) if sign < 0 else high[i]
        result.append([tuple(e[0] for e in ends), tuple(e[1] for e in ends), tuple(low), tuple(high)])
        ranges = [(max(a, zero), max(b, zero)) for a, b in zip(low, high, strict=True)]
    return result


COUNTS = st.one_of(st.none(), st.integers(0, 1 << 20))
"""Roundings in a layer; None where exact values are meant."""


@quiet
@given(st.one_of(networks(), skip_networks()), COUNTS, st.data())
def test_root_bounds_are_those_of_fractions_to_the_bit(network: Network, count: int | None, data: st.DataObject) -> None:
    network = network if count is None else in_float32(network, count)
    layers = chain_form(network, *data.draw(boxes(network.input_size)))
    neurons = [(k, i) for k, layer in enumerate(layers, start=1) for i in range(layer.size)]
    facts = data.draw(st.dictionaries(st.sampled_from(neurons), st.sampled_from([-1, 1])))
    bounds, slow = root_bounds(layers, facts), slow_root_bounds(layers, facts)
    assert list(bounds.exact_lower) == [layer[0] for layer in slow]
    assert list(bounds.exact_upper) == [layer[1] for layer in slow]
    assert list(map(Fraction, bounds.lower.tolist())) == [v for layer in slow for v in layer[2]]
    assert list(map(Fraction, bounds.upper.tolist())) == [v for layer in slow for v in layer[3]]


def by_integers(layers: Sequence[ChainLayer]) -> list[tuple[list[float], list[float]]]:
    ends, low, high = [], np.zeros(layers[0].in_size), np.ones(layers[0].in_size)
    for layer in layers:
        lower, upper = integer_ends(layer, low, high)
        ends.append((lower.tolist(), upper.tolist()))
        low, high = np.maximum(lower, 0.0), np.maximum(upper, 0.0)
    return ends


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([[5, 30, 30, 20], [40, 25, 10], [3, 64, 1]]), st.data())
def test_wide_layers_have_the_bounds_of_integers(seed: int, sizes: list[int], data: st.DataObject) -> None:
    layers = chain_form(random_network(sizes, seed), *data.draw(float_boxes(sizes[0])))
    assert [(e.lower.tolist(), e.upper.tolist()) for e in root_bounds(layers, {}).ends] == by_integers(layers)


@settings(deadline=None, max_examples=25)
@given(skip_networks(max_layers=4), st.data())
def test_floats_box_bounds_are_those_of_fractions(network: Network, data: st.DataObject) -> None:
    layers = chain_form(network, *data.draw(float_boxes(network.input_size)))
    slow = slow_root_bounds(layers, {})
    bounds = root_bounds(layers, {})
    assert list(map(Fraction, bounds.lower.tolist())) == [v for layer in slow for v in layer[2]]
    assert list(map(Fraction, bounds.upper.tolist())) == [v for layer in slow for v in layer[3]]
    assert not np.signbit(bounds.lower[bounds.lower == 0.0]).any()
    assert not np.signbit(bounds.upper[bounds.upper == 0.0]).any()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([2.0**-130, 2.0**-210, 2.0**150, 2.0**210]))
def test_extreme_weights_get_exact_bounds_too(seed: int, scale: float) -> None:
    """Products of them underflow or overflow float64 in the second layer; the third brings them back."""
    network = random_network([3, 6, 6, 4, 1], seed)
    factors = [scale, scale, 1.0, 1 / scale, 1.0]
    scaled = [
        Affine((Term(k, Dense(a.terms[0].map.dense().weight * factor)),), a.bias * factor * (scale if k == 1 else 1.0))
        for k, (a, factor) in enumerate(zip((*network.layers, network.output), factors, strict=False))
    ]
    layers = chain_form(Network(3, tuple(scaled[:-1]), scaled[-1]), (Fraction(-1, 3),) * 3, (Fraction(1, 7),) * 3)
    assert [(e.lower.tolist(), e.upper.tolist()) for e in root_bounds(layers, {}).ends] == by_integers(layers)


def test_bounds_that_shrink_from_layer_to_layer_are_refused_once_doubles_cannot_hold_them() -> None:
    """No weight is extreme, but products of the last layers' bounds underflow: floats alone would make them 0."""
    network = random_network([3, 8, 8, 8, 8, 8, 8, 1], 0)
    shrunk = [
        Affine((Term(k, Dense(np.abs(a.terms[0].map.dense().weight) * 2.0**-190)),), np.zeros(8))
        for k, a in enumerate(network.layers)
    ]
    layers = chain_form(Network(3, tuple(shrunk), network.output), (Fraction(1, 3),) * 3, (Fraction(1, 2),) * 3)
    assert all(layer.is_moderate for layer in layers)
    assert [(e.lower.tolist(), e.upper.tolist()) for e in root_bounds(layers[:5], {}).ends] == by_integers(layers[:5])
    with pytest.raises(InputError, match="bounds outside the range of doubles"):
        root_bounds(layers, {})


@pytest.mark.parametrize("sign", [1, -1])
def test_an_end_that_no_double_holds_is_refused_and_not_rounded_to_zero(sign: int) -> None:
    """z = sign (x - 1/2) on [1/2 + 10**-400, 1]: floats cannot tell its end from 0."""
    layer = Affine((Term(0, Dense(np.array([[float(sign)]]))),), np.array([-sign / 2]))
    network = Network(1, (layer,), Affine((Term(1, Dense(np.array([[1.0]]))),), np.zeros(1)))
    layers = chain_form(network, (Fraction(1, 2) + Fraction(1, 10**400),), (Fraction(1),))
    with pytest.raises(InputError, match="bounds outside the range of doubles"):
        root_bounds(layers, {})


def test_ends_next_to_and_on_numbers_of_24_bits() -> None:
    """2**30 r + w r' for tiny w: the float sum is a number of 24 bits, the exact one is a little beside it, or is not."""
    tiny = [0.0, 2.0**-60, -(2.0**-60)]
    weight = np.array([[2.0**30, w] for w in tiny])
    first = Affine((Term(0, Dense(np.eye(2))),), np.zeros(2))
    second = Affine((Term(1, Dense(weight)),), np.zeros(3))
    network = Network(2, (first, second), Affine((Term(2, Dense(np.eye(3))),), np.zeros(3)))
    bounds = root_bounds(chain_form(network, (Fraction(1),) * 2, (Fraction(1),) * 2), {})
    unit = 2.0 ** (30 - 23)
    assert bounds.ends[1].lower.tolist() == [2.0**30, 2.0**30, 2.0**30 - unit / 2]
    assert bounds.ends[1].upper.tolist() == [2.0**30, 2.0**30 + unit, 2.0**30]


def test_interval_rule_is_exact_on_the_first_layer() -> None:
    """z = x0 - x1 - 1 on [0, 1]^2 reaches 0 in a corner: inactive, and by no margin at all."""
    tie = Network(
        2,
        (Affine((Term(0, Dense(np.array([[1.0, -1.0]]))),), np.array([-1.0])),),
        Affine((Term(1, Dense(np.array([[1.0]]))),), np.array([0.0])),
    )
    box = ((Fraction(0), Fraction(0)), (Fraction(1), Fraction(1)))
    assert root_bounds(chain_form(tie, *box), {}).decides((1, 0, -1))
    assert not root_bounds(chain_form(tie, *box), {}).decides((1, 0, 1))
    wider = ((Fraction(0), Fraction(0)), (Fraction(1) + Fraction(1, 10**30), Fraction(1)))
    assert not root_bounds(chain_form(tie, *wider), {}).decides((1, 0, -1))
