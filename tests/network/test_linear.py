"""Dense and Conv: float action, exact action and matrix are the same map."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Conv, Dense, LinearMap
from secateur.network.exact import ExactArray
from tests.strategies import exact_points, float32_weights, small_dyadics


def naive(matrix: list[list[Fraction]], point: tuple[Fraction, ...]) -> list[Fraction]:
    return [sum((w * x for w, x in zip(row, point, strict=True)), Fraction(0)) for row in matrix]


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    groups = draw(st.integers(1, 2))
    depth, per_group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel_shape = (groups * per_group, depth, draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    size = int(np.prod(kernel_shape))
    weights = draw(st.lists(float32_weights(), min_size=size, max_size=size))
    dilations = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel_shape[2:], dilations, strict=True)]
    small = st.integers(0, 2)
    plane = (reach[0] + draw(small), reach[1] + draw(small))
    return Conv(
        np.array(weights).reshape(kernel_shape),
        (groups * depth, *plane),
        strides=(draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        pads=(draw(small), draw(small), draw(small), draw(small)),
        dilations=dilations,
        groups=groups,
    )


def naive_convolution(map_: Conv, point: tuple[Fraction, ...]) -> list[Fraction]:
    """The definition in ONNX's words: seven nested loops."""
    (channels, height, width), (out, down, across) = map_.in_shape, map_.out_shape
    x = np.array(point, dtype=object).reshape(channels, height, width)
    result = []
    for m in range(out):
        first = m // (out // map_.groups) * map_.kernel.shape[1]
        for i in range(down):
            for j in range(across):
                total = Fraction(0)
                for c, a, b in np.ndindex(map_.kernel.shape[1:]):
                    row = i * map_.strides[0] - map_.pads[0] + a * map_.dilations[0]
                    column = j * map_.strides[1] - map_.pads[1] + b * map_.dilations[1]
                    if 0 <= row < height and 0 <= column < width:
                        total += Fraction(float(map_.kernel[m, c, a, b])) * x[first + c, row, column]
                result.append(total)
    return result


@given(convolutions(), st.data())
@settings(deadline=None, max_examples=40)
def test_a_convolution_is_its_definition_in_every_form(map_: Conv, data: st.DataObject) -> None:
    point = data.draw(exact_points(map_.in_size))
    expected = naive_convolution(map_, point)
    assert map_.apply_exact(point) == expected
    assert map_.dense().apply_exact(point) == expected
    batch = np.array([[float(x) for x in point], [1.0] * map_.in_size])
    np.testing.assert_allclose(map_.apply(batch), map_.dense().apply(batch), rtol=1e-12, atol=1e-12)
    assert (map_.in_size, map_.out_size) == (map_.dense().in_size, map_.dense().out_size)


@given(convolutions(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_the_transposed_action_is_that_of_the_transposed_matrix(map_: Conv, seed: int) -> None:
    batch = np.random.default_rng(seed).integers(-8, 9, (3, map_.out_size)) / 8
    expected = batch @ map_.dense().weight
    np.testing.assert_allclose(map_.apply_transposed(batch), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(map_.dense().apply_transposed(batch), expected, rtol=1e-12, atol=1e-12)


@given(st.lists(st.one_of(small_dyadics(), float32_weights()), min_size=6, max_size=6), exact_points(3))
@settings(deadline=None, max_examples=40)
def test_dense_applies_its_rationals(weights: list[float], point: tuple[Fraction, ...]) -> None:
    map_ = Dense(np.array(weights).reshape(2, 3))
    assert map_.apply_exact(point) == naive(map_.rationals(), point)
    assert map_.rationals() == [[Fraction(w) for w in weights[:3]], [Fraction(w) for w in weights[3:]]]


@given(st.lists(st.fractions(max_denominator=99), min_size=6, max_size=6), exact_points(3))
@settings(deadline=None, max_examples=40)
def test_exact_entries_win_over_their_floats(entries: list[Fraction], point: tuple[Fraction, ...]) -> None:
    array = ExactArray.of_fractions(entries, (2, 3))
    map_ = Dense(array.floats, array.rationals)
    assert map_.rationals() == [entries[:3], entries[3:]]
    assert map_.apply_exact(point) == naive(map_.rationals(), point)


def test_sizes_and_parameters() -> None:
    dense: LinearMap = Dense(np.ones((2, 3)))
    conv: LinearMap = Conv(np.ones((4, 1, 2, 2)), (2, 3, 3), groups=2)
    assert (dense.in_size, dense.out_size, dense.parameter_count) == (3, 2, 6)
    assert (conv.in_size, conv.out_size, conv.parameter_count) == (18, 16, 16)


@pytest.mark.parametrize("wrong", [{"strides": (0, 1)}, {"pads": (0, -1, 0, 0)}, {"dilations": (3, 1)}, {"dilations": (0, 1)}])
def test_a_convolution_without_windows_is_refused(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="no window"):
        Conv(np.ones((1, 1, 2, 2)), (1, 3, 3), **wrong).apply(np.ones((1, 9)))  # type: ignore[arg-type]
