"""The integer form of a network: exact chain form, exact quantisation, exact root intervals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import chain_form, quantise, root, root_bounds
from secateur.bounds.columns import columns_of
from secateur.bounds.near import Near
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from tests.bounds.support import boxes, chain_values, float_boxes, random_network
from tests.strategies import networks, skip_networks

quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

ties = st.integers(-(2**17), 2**17).map(lambda n: 125 * n * 2.0**-20)
"""Float32 weights whose products with a width of 0.002 or 0.06 are, in floats, halves of the units that are rounded to."""


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


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(networks(), skip_networks(), networks(weights=ties)), st.data())
def test_nearly_known_layers_have_the_columns_of_exact_ones(network: Network, data: st.DataObject) -> None:
    for layer in chain_form(network, *data.draw(st.one_of(boxes(network.input_size), float_boxes(network.input_size)))):
        exact = layer.matrix.fractions()
        entries = [layer.exact.entry(i, j) for i in range(layer.size) for j in range(layer.in_size + 1)]
        assert entries == exact
        errors = np.zeros_like(layer.near.floats) if layer.near.errors is None else layer.near.errors
        near = zip(layer.near.floats.ravel().tolist(), errors.ravel().tolist(), exact, strict=True)
        assert all(abs(Fraction(f) - v) <= Fraction(e) for f, e, v in near)
        found, slow = layer.columns, columns_of(Near.of(layer.matrix), layer.matrix.entry)
        assert found.stride == slow.stride
        for name in ("integers", "turned", "exponents", "scales", "deltas"):
            assert getattr(found, name).tobytes() == getattr(slow, name).tobytes(), name


def test_what_floats_take_for_ties_and_integers_is_decided_exactly() -> None:
    """125 n 2**-k times 0.002 is n 2**-(k + 2) in floats, and a little more exactly: 0.001 as a float is more than 1/1000."""
    odd, even = [1, 3, 5, 7], [2, 4, 6, 8]
    weight = 125 * np.array([[2.0**20, 2.0**20], *([a * 2.0**-7, b * 2.0**-7] for a, b in zip(odd, even, strict=True))])
    output = Affine((Term(1, Dense(np.ones((1, 5)))),), np.zeros(1))
    network = Network(2, (Affine((Term(0, Dense(weight)),), np.zeros(5)),), output)
    layer = chain_form(network, (Fraction(-0.001),) * 2, (Fraction(0.001),) * 2)[0]
    columns = layer.columns
    assert columns.exponents[:2].tolist() == [8, 8]
    assert columns.integers.reshape(5, columns.stride)[:, :2].T.tolist() == [[2.0**26, 1, 2, 3, 4], [2.0**26, 1, 2, 3, 4]]
    assert columns.deltas[:2].tolist() == [2.0**-9, 2.0**-9]
    slow = columns_of(Near.of(layer.matrix), layer.matrix.entry)
    assert [c.tobytes() for c in columns if isinstance(c, np.ndarray)] == [c.tobytes() for c in slow if isinstance(c, np.ndarray)]


def test_only_what_is_in_doubt_is_looked_up() -> None:
    """A float32 times 0.002 can look like a tie in floats, hardly anything else needs an exact entry."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(40, 3)).astype(np.float32).astype(np.float64)
    output = Affine((Term(1, Dense(np.ones((1, 40)))),), np.zeros(1))
    network = Network(3, (Affine((Term(0, Dense(weight)),), np.ones(40)),), output)
    centre, radius = Fraction(0.1), Fraction(0.001)
    layer = chain_form(network, (centre - radius,) * 3, (centre + radius,) * 3)[0]
    asked: list[tuple[int, int]] = []

    def entry(row: int, column: int) -> Fraction:
        asked.append((row, column))
        return layer.exact.entry(row, column)

    found, slow = columns_of(layer.near, entry), columns_of(Near.of(layer.matrix), layer.matrix.entry)
    assert found.integers.tobytes() == slow.integers.tobytes()
    assert len(asked) <= 3


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
