"""Exact and float evaluation against a transparent twin, and the views of a network."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secateur.network
from secateur.network import Affine, Dense, Network, Term, as_chain
from tests.strategies import exact_points, networks, skip_networks, small_dyadics

ANY_NETWORK = st.one_of(networks(), skip_networks())


def twin(network: Network, point: tuple[Fraction, ...]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Plain Fraction loops: pre-activations by layer, and outputs."""
    values: list[list[Fraction]] = [list(point)]
    pre = []
    for affine in (*network.layers, network.output):
        z = [Fraction(b) for b in affine.bias.tolist()]
        for term in affine.terms:
            for i, row in enumerate(term.map.dense().weight.tolist()):
                for w, x in zip(row, values[term.source], strict=True):
                    z[i] += Fraction(w) * x
        pre.append(z)
        values.append([max(v, Fraction(0)) for v in z])
    return pre[:-1], pre[-1]


@given(ANY_NETWORK, st.data())
@settings(deadline=None, max_examples=50)
def test_exact_evaluation_is_the_definition(network: Network, data: st.DataObject) -> None:
    point = data.draw(exact_points(network.input_size))
    trace, (pre, output) = network.exact(point), twin(network, point)
    assert [list(z) for z in trace.pre_activations] == pre
    assert list(trace.output) == output


@given(st.one_of(networks(weights=small_dyadics()), skip_networks(weights=small_dyadics())), st.data())
@settings(deadline=None, max_examples=50)
def test_float_evaluation_is_exact_where_nothing_rounds(network: Network, data: st.DataObject) -> None:
    size = network.input_size
    batch = [data.draw(st.lists(small_dyadics(), min_size=size, max_size=size)) for _ in range(3)]
    outputs, pre = network.forward(np.array(batch)), network.pre_activations(np.array(batch))
    for i, point in enumerate(batch):
        trace = network.exact([Fraction(x) for x in point])
        assert [Fraction(v) for v in outputs[i].tolist()] == list(trace.output)
        for z, exact in zip(pre, trace.pre_activations, strict=True):
            assert [Fraction(v) for v in z[i].tolist()] == list(exact)


@given(networks())
@settings(deadline=None, max_examples=20)
def test_a_chain_is_seen_as_one(network: Network) -> None:
    assert network.is_chain
    affines = (*network.layers, network.output)
    for (matrix, affine), expected in zip(as_chain(network), affines, strict=True):
        assert affine is expected
        assert matrix is expected.terms[0].map


def test_a_skip_connection_is_no_chain() -> None:
    one = Term(0, Dense(np.ones((1, 1))))
    layer = Affine((one,), np.zeros(1))
    network = Network(1, (layer,), Affine((one, Term(1, Dense(np.ones((1, 1))))), np.zeros(1)))
    assert not network.is_chain
    assert (network.sizes, network.neuron_count, network.output_size) == ((1,), 1, 1)
    with pytest.raises(ValueError, match="skip connections"):
        as_chain(network)


def test_an_exact_bias_wins_over_its_floats() -> None:
    third = Fraction(1, 3)
    affine = Affine((Term(0, Dense(np.ones((1, 1)))),), np.array([1 / 3]), (third,))
    assert affine.rational_bias() == (third,)
    assert affine.apply_exact([[third]]) == [2 * third]


def test_the_public_names_are_the_meant_ones() -> None:
    assert sorted(secateur.network.__all__) == [
        "Affine", "Conv", "Dense", "ExactTrace", "Interface", "LinearMap", "Network", "Replay",
        "SUPPORTED_OPSETS", "Term", "Wire", "Wiring",
        "as_chain", "keeps_weights_outside", "parse_onnx", "read_onnx", "to_model_bytes", "with_all_weights", "write_onnx",
    ]  # fmt: skip
    assert all(hasattr(secateur.network, name) for name in secateur.network.__all__)
