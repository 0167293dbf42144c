"""The vector loops against the same formulas in Python numbers: equal to the last bit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from secateur.bounds.microkernel import (
    LANES,
    PANEL_COLUMNS,
    affine_panel,
    charge_tile,
    exchange_tile,
    multiply_block,
    round_tile,
    scale_tile,
)
from secateur.bounds.powers import REACH

Floats = NDArray[np.float64]
VOID = 2.0**46


@njit
def product(left, size, matrix, out):  # type: ignore[no-untyped-def]
    for c in range(0, matrix.shape[1], LANES):
        multiply_block(left, size, matrix, out, c)


@njit
def panel(matrix, scaled, nonzero, count, scale, out, first, begin, end):  # type: ignore[no-untyped-def]
    affine_panel(matrix, scaled, nonzero, count, scale, out, first, begin, end)


@njit
def exchange(rows, slopes, own, chosen, size, grid, state, first, extra, spread):  # type: ignore[no-untyped-def]
    exchange_tile(rows, slopes, own, chosen, size, grid, state, first, extra, spread)


@njit
def charge(biases, bias, peaks, state, first, grids, charges, factors):  # type: ignore[no-untyped-def]
    charge_tile(biases, bias, peaks, state, first, grids, charges, factors)


@njit
def scale(tile, scales, first, size, peaks):  # type: ignore[no-untyped-def]
    scale_tile(tile, scales, first, size, peaks)


@njit
def rounded(products, rows, size, factors):  # type: ignore[no-untyped-def]
    round_tile(products, rows, size, factors)


def tile(rows: Floats) -> Floats:
    """Eight rows, side by side."""
    return rows.T.ravel().copy()


@pytest.mark.parametrize("size", [0, 1, 5, 23])
def test_products_are_exact(size: int) -> None:
    rng = np.random.default_rng(size)
    left = rng.integers(-(2**24), 2**24, (LANES, 24)).astype(float)
    matrix = rng.integers(-(2**23), 2**23, (24, 40)).astype(float)
    out = np.full(LANES * 40, 7.0)
    product(tile(left), size, matrix, out)
    expected = left[:, :size].astype(object) @ matrix[:size].astype(object) if size else np.zeros((LANES, 40))
    assert (expected == out.reshape(40, LANES).T).all()


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


def relaxation(rng: np.random.Generator, size: int) -> Floats:
    """Slopes as kernels make them: of unstable neurons, some with a chord from above and some with one from below too."""
    slopes = np.zeros((6, size + 3))
    slopes[0, :size] = rng.uniform(0, 1, size)
    high = rng.uniform(0.1, 2.0, size).astype(np.float32)
    low = -rng.uniform(0.1, 2.0, size).astype(np.float32)
    slopes[1, :size] = high / (high - low)
    slopes[2, :size], slopes[3, :size] = low, high
    slopes[4, :size] = rng.integers(0, 2, size) * rng.uniform(0.1, 2.0, size).astype(np.float32)
    slopes[5, :size] = -rng.integers(0, 2, size) * rng.uniform(0.1, 2.0, size).astype(np.float32)
    return slopes


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("size", [1, 7, 19])
def test_exchange_follows_the_format(size: int, chosen: bool) -> None:
    rng = np.random.default_rng(size)
    before = rng.integers(-(2**24), 2**24, (LANES, size)).astype(float)
    slopes, free = relaxation(rng, size), rng.uniform(0, 1, (LANES, size))
    rows, first, grid = tile(before), 8, 20
    exponents = np.arange(16) + 14
    constants, weights, extra = np.full(16, 5.0), np.full(16, 3.0), np.arange(8.0)
    exchange(rows, slopes, tile(free), chosen, size, grid, (exponents, constants, weights), first, extra, 2 * extra)
    for lane in range(LANES):
        a_row, r = before[lane], first + lane
        positive = free[lane] if chosen else slopes[0]
        mus = [round(a * (positive[j] if a >= 0 else slopes[1, j])) for j, a in enumerate(a_row)]
        ends = [(4, 5) if a >= 0 else (2, 3) for a in a_row]
        unit = 2.0 ** (grid - int(exponents[r]))
        costs = [
            math.floor(min(0.0, -mu * slopes[low, j], (a - mu) * slopes[high, j]) * unit)
            for j, (a, mu, (low, high)) in enumerate(zip(a_row, mus, ends, strict=True))
        ]
        assert rows.reshape(size, LANES)[:, lane].tolist() == mus
        assert constants[r] == 5.0 + sum(costs) + lane
        assert weights[r] == sum(map(abs, mus))
    assert constants[:8].tolist() == [5.0] * 8
    assert weights[:8].tolist() == [3.0] * 8


def test_exchange_voids_rows_beyond_the_powers_and_sums_that_are_too_large() -> None:
    rng = np.random.default_rng(0)
    slopes, rows = relaxation(rng, 4), tile(np.full((LANES, 4), 1000.0))
    exponents = np.zeros(LANES, dtype=np.int64)
    exponents[1], exponents[2], exponents[3] = -REACH - 1, REACH + 1, REACH
    spread = np.array([VOID, 0, 0, 0, VOID / 2, 0, 0, 0])
    constants, weights, none = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    exchange(rows, slopes, rows.copy(), False, 4, 0, (exponents, constants, weights), 0, none, spread)
    assert np.isneginf(constants).tolist() == [True, True, True, False, False, False, False, False]
    assert not rows.reshape(4, LANES)[:, [1, 2]].any()
    assert rows.reshape(4, LANES)[:, [0, 3]].any()


def test_charges_follow_the_format() -> None:
    rng = np.random.default_rng(3)
    exponents, constants = np.arange(16) - 4, np.full(16, 100.0)
    weights, losses = np.full(16, 3.0) + np.arange(16), np.arange(16.0)
    biases = rng.integers(-(2**50), 2**50, 3 * LANES).astype(float)
    peaks = np.array([0.0, 1.0, 2.0**24, 2.0**24 - 1, 3.5, 2.0**-30, 2.0**50, 0.75])
    grids, charges, factors, first = (3, -5, 7, -9), (11.0, 13.0), np.full(LANES, 7.0), 8
    before = exponents.copy()
    charge(biases, 2, peaks, (exponents, constants, weights, losses), first, grids, charges, factors)
    for lane, peak in enumerate(peaks.tolist()):
        e = int(before[first + lane])
        shift = 24 - math.frexp(peak)[1] if peak else 0
        unit = [Fraction(2) ** (grid - e) for grid in grids]
        terms = [
            math.floor(Fraction(biases[2 * LANES + lane]) * unit[0]),
            -math.ceil(Fraction(weights[first + lane]) * 11 * unit[1]),
            -math.ceil(13 * unit[2] / Fraction(2) ** shift) if peak else 0,
            -math.ceil(Fraction(losses[first + lane]) * unit[3]),
        ]
        fits = all(abs(term) < VOID for term in terms)
        assert constants[first + lane] == (100 + sum(terms) if fits else -math.inf)
        assert exponents[first + lane] == e + shift
        assert factors[lane] == 2.0**shift
    assert exponents[:first].tolist() == before[:first].tolist()
    assert constants[:first].tolist() == [100.0] * 8
    assert np.isneginf(constants[first:]).any()
    assert not np.isneginf(constants[first:]).all()


@pytest.mark.parametrize(("place", "value"), [(0, REACH + 1), (1, -REACH - 1), (2, REACH + 20)])
def test_charges_void_rows_whose_exponents_are_out_of_range(place: int, value: int) -> None:
    grids = [0, 0, 0, 0]
    grids[place] = value
    exponents, constants, factors = np.zeros(LANES, np.int64), np.zeros(LANES), np.ones(LANES)
    peaks, weights, losses = np.full(LANES, 2.0**23), np.ones(LANES), np.zeros(LANES)
    charge(np.zeros(LANES), 0, peaks, (exponents, constants, weights, losses), 0, tuple(grids), (0.0, 0.0), factors)
    assert np.isneginf(constants).all()
    assert not factors.any()
    assert not exponents.any()


@pytest.mark.parametrize("place", range(4))
def test_each_charge_voids_rows_from_its_limit_on(place: int) -> None:
    for size in (VOID - 1, VOID):
        bias, weight, span, loss = (size if place == k else 0.0 for k in range(4))
        exponents, constants, factors = np.zeros(LANES, np.int64), np.zeros(LANES), np.ones(LANES)
        state = (exponents, constants, np.full(LANES, weight), np.full(LANES, loss))
        charge(np.full(LANES, bias), 0, np.full(LANES, 2.0**23), state, 0, (0,) * 4, (1.0, span), factors)
        assert (constants == (-np.inf if size == VOID else size if place == 0 else -size)).all()


def test_infinite_charges_void_rows_even_where_nothing_is_charged() -> None:
    exponents, constants, factors = np.zeros(LANES, np.int64), np.zeros(LANES), np.ones(LANES)
    weights = np.array([0.0, 1.0] * 4)
    charge(
        np.zeros(LANES), 0, np.ones(LANES), (exponents, constants, weights, np.zeros(LANES)), 0, (0,) * 4, (np.inf, 0.0), factors
    )
    assert np.isneginf(constants).all()


@pytest.mark.parametrize("size", [1, 8, 13])
def test_scaling_finds_the_largest_magnitudes_and_rounding_goes_to_even(size: int) -> None:
    rng = np.random.default_rng(size)
    products = rng.integers(-(2**50), 2**50, (LANES, size)).astype(float)
    scales, peaks = np.ldexp(1.0, rng.integers(-9, 9, 3 + size)), np.zeros(LANES)
    own = tile(products)
    scale(own, scales, 3, size, peaks)
    expected = products * scales[3 : 3 + size]
    assert (expected == own.reshape(size, LANES).T).all()
    assert (peaks == np.abs(expected).max(axis=1)).all()
    halves, factors = np.arange(size) - 3.5, np.array([1.0, 2.0, 0.5, 0.0, 4.0, 1.0, 1.0, 1.0])
    rows = np.ones(LANES * size + 1)
    rounded(tile(np.tile(halves, (LANES, 1))), rows, size, factors)
    for lane, factor in enumerate(factors.tolist()):
        assert rows[:-1].reshape(size, LANES)[:, lane].tolist() == [round(v * factor) for v in halves.tolist()]
    assert rows[-1] == 1.0
