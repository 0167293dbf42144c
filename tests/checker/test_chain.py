"""Chain form, normalised input and integer matrices against exact evaluation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import Differences, chain_form
from secateur.checker.domain import Domain
from secateur.checker.lowering import Affine, Network, lower
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds
from tests.checker.support import evaluate, exact_layers, random_chain
from tests.onnx_models import model_bytes, node

seeds = st.integers(0, 3000)


@given(seeds, st.data())
@settings(deadline=None, max_examples=60)
def test_chain_form_computes_the_same_neurons(seed: int, data: st.DataObject) -> None:
    network, domain, chain = random_chain(seed)
    t = [data.draw(st.fractions(0, 1, max_denominator=50)) for _ in domain.lower]
    x = [low + (high - low) * own for low, high, own in zip(domain.lower, domain.upper, t, strict=True)]
    expected, _ = evaluate(network, x)
    found = exact_layers(chain, t)
    assert [pre[: layer.own] for pre, layer in zip(found, chain.layers, strict=True)] == expected


def test_columns_are_scaled_by_their_norm() -> None:
    """c = 27 - E for a norm in [2^(E-1), 2^E); nothing is lost of numbers with few bits."""
    affine = Affine(4, [{0: 1, 1: 3 * 4}, {0: 0, 1: -4}])
    (layer,) = chain_form(Network(1, (1, 2), (affine,), Affine(1, [{2: 1}])), Domain((Fraction(0),), (Fraction(1),))).layers
    assert layer.exponents == [24, 28]  # norms 4 and 1/4
    assert layer.quantised == [[3 << 24, 1 << 26], [-1 << 24, 0]]
    assert layer.inexact == [False, False]


def test_the_value_of_a_difference_is_passed_through_as_it_is() -> None:
    """Layer 3 reads both neurons of layer 1: the carrier of the difference is linear, that of the ReLU neuron is none."""
    layers = Affine(1, [{1: 1}, {1: -1}]), Affine(1, [{2: 1}]), Affine(1, [{2: 1, 3: 1, 4: 1}])
    network = Network(1, (1, 2, 4, 5), layers, Affine(1, [{5: 1}]))
    chain = chain_form(network, Domain((Fraction(-1),), (Fraction(1),)), [Differences({1: 0}, 0)])
    assert [layer.linear for layer in chain.layers] == [frozenset(), frozenset({2}), frozenset()]


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_integer_matrices_keep_their_promises(seed: int) -> None:
    _, _, chain = random_chain(seed)
    for layer in chain.layers:
        for j, (c, inexact) in enumerate(zip(layer.exponents, layer.inexact, strict=True)):
            column = [Fraction(row[j], layer.denominator) for row in layer.rows]
            quantised = [Fraction(row[j]) / Fraction(2) ** c for row in layer.quantised]
            errors = [abs(a - b) for a, b in zip(column, quantised, strict=True)]
            assert max(errors) <= (Fraction(2) ** -(c + 1) if inexact else 0)
            assert sum(abs(row[j]) for row in layer.quantised) <= 1 << 28
            assert any(column) == any(row[j] for row in layer.quantised)


def test_the_input_is_carried_behind_the_own_neurons() -> None:
    nodes = [node("Gemm", ["x", "w"], "z0"), node("Relu", ["z0"], "r0"), node("Gemm", ["r0", "w"], "z1"),
             node("Add", ["z1", "x"], "s"), node("Relu", ["s"])]  # fmt: skip
    data = model_bytes(nodes, {"w": np.eye(2, dtype=np.float32)}, inputs={"x": [1, 2]}, outputs={"y": [1, 2]})
    chain = chain_form(lower(data), Domain((Fraction(-1), Fraction(2)), (Fraction(3), Fraction(2))))
    first, second = chain.layers
    assert (first.own, len(first.rows), second.own, len(second.rows)) == (2, 4, 2, 2)
    assert [[Fraction(v, first.denominator) for v in row] for row in first.rows] == [
        [4, 0, -1], [0, 0, 2], [1, 0, 0], [0, 1, 0],
    ]  # fmt: skip
    assert [[Fraction(v, second.denominator) for v in row] for row in second.rows] == [
        [1, 0, 4, 0, -1], [0, 1, 0, 0, 2],
    ]  # fmt: skip


def test_column_exponents_out_of_range_are_refused() -> None:
    tiny = np.array([[1e-300]])
    nodes = [node("MatMul", ["x", "w"], "z"), node("Relu", ["z"])]
    data = model_bytes(nodes, {"w": tiny}, inputs={"x": [1, 1]}, outputs={"y": [1, 1]}, input_type=11, output_type=11)
    with pytest.raises(Refusal, match="out of range"):
        chain_form(lower(data), Domain((Fraction(0),), (Fraction(1),)))


@given(seeds, st.data())
@settings(deadline=None, max_examples=60)
def test_root_bounds_hold_at_every_point(seed: int, data: st.DataObject) -> None:
    _, domain, chain = random_chain(seed)
    root = RootBounds(chain)
    t = [data.draw(st.fractions(0, 1, max_denominator=50)) for _ in domain.lower]
    for k, pre in enumerate(exact_layers(chain, t), 1):
        interval = root.interval(k)
        for i, z in enumerate(pre):
            low, high = (
                Fraction(interval.lower[i], interval.denominator),
                Fraction(interval.upper[i], interval.denominator),
            )
            assert Fraction(root.bounds(k)[0][i]) <= low <= z <= high <= Fraction(root.bounds(k)[1][i])
