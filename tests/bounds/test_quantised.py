"""The integer form of a network: exact chain form, exact quantisation, exact root intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import ChainLayer, chain_form, quantise, root, root_bounds
from secateur.bounds.rounding import ceil_to_bits, floor_to_bits
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from tests.bounds.support import boxes, chain_values, random_network
from tests.strategies import networks, skip_networks

quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_chain_form_has_the_values_of_the_network(network: Network, data: st.DataObject) -> None:
    lower, upper = data.draw(boxes(network.input_size))
    t = [data.draw(st.fractions(0, 1, max_denominator=99)) for _ in lower]
    x = [low + (high - low) * s for low, high, s in zip(lower, upper, t, strict=True)]
    layers = chain_form(network, lower, upper)
    expected = network.exact(x).pre_activations
    for layer, values, own in zip(layers, chain_values(layers, t), expected, strict=True):
        assert tuple(values[: layer.own]) == own
        assert all(v >= 0 for v in values[layer.own :])


@quiet
@given(networks(), st.data())
def test_quantisation_errors_are_charged(network: Network, data: st.DataObject) -> None:
    lower, upper = data.draw(boxes(network.input_size))
    quantised = quantise(network, lower, upper)
    net = quantised.kernel
    for k, layer in enumerate(quantised.layers, start=1):
        columns = layer.in_size + 1
        stride = net.strides[k]
        padded = net.weights[net.offsets[k] : net.offsets[k] + layer.size * stride].reshape(layer.size, stride)
        q = padded[:, :columns]
        assert not padded[:, columns:].any()
        turned = net.transposed[net.turned[k] : net.turned[k] + layer.size * columns].reshape(columns, layer.size)
        assert (q == turned.T).all()
        assert (np.abs(q).sum(axis=0) <= 2**28).all()
        for j in range(columns):
            scale = Fraction(net.scales[net.columns[k] + j])
            delta = Fraction(net.deltas[net.columns[k] + j])
            for i in range(layer.size):
                assert abs(layer.rows[i][j] - Fraction(q[i, j]) * scale) <= delta


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
        low, high = [floor_to_bits(e[0]) for e in ends], [ceil_to_bits(e[1]) for e in ends]
        for i in range(layer.size):
            sign = facts.get((k, i), 0)
            low[i] = max(low[i], zero) if sign > 0 else low[i]
            high[i] = min(high[i], zero) if sign < 0 else high[i]
        result.append([tuple(e[0] for e in ends), tuple(e[1] for e in ends), tuple(low), tuple(high)])
        ranges = [(max(a, zero), max(b, zero)) for a, b in zip(low, high, strict=True)]
    return result


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_root_bounds_are_those_of_fractions_to_the_bit(network: Network, data: st.DataObject) -> None:
    layers = chain_form(network, *data.draw(boxes(network.input_size)))
    neurons = [(k, i) for k, layer in enumerate(layers, start=1) for i in range(layer.size)]
    facts = data.draw(st.dictionaries(st.sampled_from(neurons), st.sampled_from([-1, 1])))
    bounds, slow = root_bounds(layers, facts), slow_root_bounds(layers, facts)
    assert list(bounds.exact_lower) == [layer[0] for layer in slow]
    assert list(bounds.exact_upper) == [layer[1] for layer in slow]
    assert list(map(Fraction, bounds.lower.tolist())) == [v for layer in slow for v in layer[2]]
    assert list(map(Fraction, bounds.upper.tolist())) == [v for layer in slow for v in layer[3]]


def fresh_copy(network: Network) -> Network:
    """The same network as other objects: nothing is remembered about it."""
    affines = [Affine(a.terms, a.bias, a.exact_bias) for a in (*network.layers, network.output)]
    return Network(network.input_size, tuple(affines[:-1]), affines[-1])


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_what_is_kept_from_other_boxes_changes_no_bit(network: Network, data: st.DataObject) -> None:
    for _ in range(2):
        quantise(network, *data.draw(boxes(network.input_size)))
    box = data.draw(boxes(network.input_size))
    again, fresh = quantise(network, *box), quantise(fresh_copy(network), *box)
    for one, other in zip(again.kernel, fresh.kernel, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    assert [layer.rows for layer in again.layers] == [layer.rows for layer in fresh.layers]
    assert again.bounds.lower.tobytes() == fresh.bounds.lower.tobytes()
    assert again.bounds.upper.tobytes() == fresh.bounds.upper.tobytes()


def test_layers_that_do_not_read_the_input_are_kept() -> None:
    network = random_network([2, 4, 3, 1], 0)
    first, second = (chain_form(network, (Fraction(0),) * 2, (Fraction(n),) * 2) for n in (1, 2))
    assert first[0] is not second[0]
    assert first[1] is second[1]


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


def test_absurd_weights_are_refused() -> None:
    huge = Network(
        1,
        (Affine((Term(0, Dense(np.array([[2.0**1000]]))),), np.array([0.0])),),
        Affine((Term(1, Dense(np.array([[1.0]]))),), np.array([0.0])),
    )
    with pytest.raises(InputError, match=r"weights of magnitude 2\*\*1001 are outside the supported range"):
        quantise(huge, (Fraction(0),), (Fraction(1),))


def tiny_units() -> Network:
    """N(x) = relu(2**184 (a - 2 b + e) - 1/2) with a, b, e = relu(2**-160 (x - 0.3 + d, 0, -d)): not 0 at x = 0.3.

    Bounds of the first layer are far below the range of float32; rounding them to 0 would make it inactive.
    """
    s, d, c = 2.0**-160, 2.0**-23, 0.3
    first = Affine((Term(0, Dense(np.full((3, 1), s))),), s * np.array([d - c, -c, -d - c]))
    second = Affine((Term(1, Dense(2.0**184 * np.array([[1.0, -2.0, 1.0]]))),), np.array([-0.5]))
    return Network(1, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))


def test_bounds_outside_float32_are_refused_and_not_rounded() -> None:
    network = tiny_units()
    box = (Fraction(0),), (Fraction(1),)
    quantised = quantise(network, *box)
    with pytest.raises(InputError, match=r"bounds outside the range of float32 on the domain; rescale the network's layers"):
        root(quantised, root_bounds(quantised.layers, {}), 1)


def test_bounds_outside_doubles_are_refused() -> None:
    first = Affine((Term(0, Dense(np.array([[2.0**800]]))),), np.zeros(1))
    second = Affine((Term(1, Dense(np.array([[2.0**800]]))),), np.zeros(1))
    network = Network(1, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))
    with pytest.raises(InputError, match="bounds outside the range of doubles"):
        quantise(network, (Fraction(0),), (Fraction(1),))
