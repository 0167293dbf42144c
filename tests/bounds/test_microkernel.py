"""The vector loops against the same formulas in Python numbers: equal to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from secateur.bounds.microkernel import (
    LANES,
    PANEL_COLUMNS,
    TILE_ROWS,
    affine_panel,
    exchange_row,
    multiply_tile,
    round_row,
    scale_row,
)

Floats = NDArray[np.float64]


@njit
def product(left, count, matrix, out):  # type: ignore[no-untyped-def]
    for r in range(0, left.shape[0], TILE_ROWS):
        for c in range(0, matrix.shape[1], LANES):
            multiply_tile(left, r, count, matrix, out, c)


@njit
def panel(matrix, scaled, nonzero, count, scale, out, first, begin, end):  # type: ignore[no-untyped-def]
    affine_panel(matrix, scaled, nonzero, count, scale, out, first, begin, end)


@njit
def exchange(rows, row, slopes, size, unit, sums):  # type: ignore[no-untyped-def]
    exchange_row(rows, row, slopes, size, unit, sums)


@njit
def scale(products, row, scales, first, size):  # type: ignore[no-untyped-def]
    return scale_row(products, row, scales, first, size)


@njit
def rounded(products, rows, row, size, factor):  # type: ignore[no-untyped-def]
    round_row(products, rows, row, size, factor)


@pytest.mark.parametrize("count", [0, 1, 5, 23])
def test_products_are_exact(count: int) -> None:
    rng = np.random.default_rng(count)
    left = rng.integers(-(2**24), 2**24, (16, 24)).astype(float)
    matrix = rng.integers(-(2**23), 2**23, (24, 40)).astype(float)
    out = np.full((16, 40), 7.0)
    product(left, count, matrix, out)
    expected = left[:, :count].astype(object) @ matrix[:count].astype(object) if count else np.zeros((16, 40))
    assert (out == expected).all()


@pytest.mark.parametrize("width", [8, 9, 15, 16, 33, 50, 63, PANEL_COLUMNS])
@pytest.mark.parametrize("count", [0, 1, 11])
def test_panels_round_after_every_step_from_left_to_right(width: int, count: int) -> None:
    rng = np.random.default_rng(width * 100 + count)
    begin, end = 3, 3 + width
    matrix = rng.standard_normal((13, end + 2)) * 10.0 ** rng.integers(-8, 8, (13, 1))
    scaled = rng.standard_normal(12)
    nonzero = rng.permutation(12).astype(np.int64)
    out = np.full(end + 7, 7.0)
    panel(matrix, scaled, nonzero, count, 0.3, out, 4, begin, end)
    for c in range(begin, end):
        total = float(matrix[-1, c]) * 0.3
        for t in range(count):
            total = total + float(matrix[nonzero[t], c]) * float(scaled[t])
        assert out[4 + c] == total
    assert (out[: 4 + begin] == 7.0).all()
    assert (out[4 + end :] == 7.0).all()


def test_the_last_columns_are_computed_with_some_before_them() -> None:
    rng = np.random.default_rng(0)
    matrix, scaled, out = rng.standard_normal((5, 19)), rng.standard_normal(4), np.zeros(19)
    nonzero = np.arange(4)
    for begin, end in ((0, 16), (16, 19)):
        panel(matrix, scaled, nonzero, 4, 1.0, out, 0, begin, end)
    totals = matrix[4]
    for t in range(4):
        totals = totals + matrix[t] * scaled[t]
    assert (out == totals).all()


@pytest.mark.parametrize("size", [1, 7, 8, 19])
def test_exchange_follows_the_format(size: int) -> None:
    rng = np.random.default_rng(size)
    padded = size + -size % LANES
    rows = rng.integers(-(2**24), 2**24, (3, padded)).astype(float)
    slopes = np.zeros((6, padded))
    slopes[0, :size] = rng.uniform(0, 1, size)
    high = rng.uniform(0.1, 2.0, size).astype(np.float32)
    low = -rng.uniform(0.1, 2.0, size).astype(np.float32)
    slopes[1, :size] = high / (high - low)
    slopes[2, :size], slopes[3, :size] = low, high
    slopes[4, :size] = rng.integers(0, 2, size) * rng.uniform(0.1, 2.0, size).astype(np.float32)
    slopes[5, :size] = -rng.integers(0, 2, size) * rng.uniform(0.1, 2.0, size).astype(np.float32)
    unit, sums, before = 2.0**-3, np.zeros(2), rows.copy()
    exchange(rows, 1, slopes, size, unit, sums)
    mus = [round(a * (slopes[0, j] if a >= 0 else slopes[1, j])) for j, a in enumerate(before[1, :size])]
    costs = [
        math.floor(min(0.0, -mu * slopes[4 if a >= 0 else 2, j], (a - mu) * slopes[5 if a >= 0 else 3, j]) * unit)
        for j, (a, mu) in enumerate(zip(before[1], mus, strict=False))
    ]
    assert rows[1, :size].tolist() == mus
    assert not rows[1, size:].any()
    assert sums.tolist() == [sum(costs), sum(map(abs, mus))]
    assert (rows[[0, 2]] == before[[0, 2]]).all()


@pytest.mark.parametrize("size", [1, 8, 13])
def test_scaling_finds_the_largest_magnitude_and_rounding_goes_to_even(size: int) -> None:
    rng = np.random.default_rng(size)
    padded = size + -size % LANES
    products = np.zeros((2, padded))
    products[1, :size] = rng.integers(-(2**50), 2**50, size)
    scales = np.ldexp(1.0, rng.integers(-9, 9, 3 + padded))
    expected = products[1, :size] * scales[3 : 3 + size]
    bits = scale(products, 1, scales, 3, size)
    assert (products[1, :size] == expected).all()
    assert np.int64(bits).view(np.float64) == np.abs(expected).max()
    rows = np.ones((2, padded))
    halves = np.zeros((2, padded))
    halves[0, :size] = np.arange(size) - 3.5
    rounded(halves, rows, 0, size, 1.0)
    assert rows[0, :size].tolist() == [round(v) for v in np.arange(size) - 3.5]
    assert (rows[1] == 1.0).all()
