"""The vector loops of `secateur.bounds.microkernel` in plain numpy, for runs in which nothing is compiled.

Intrinsics cannot be called from Python, so with `NUMBA_DISABLE_JIT=1` this file stands in for that module
(`benchmarks/mutate_kernels.py` copies it there). The arguments are the same; the tests of the module hold for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.powers import REACH
from secateur.bounds.rounding import BITS, VOID

__all__ = [
    "LANES",
    "PANEL_COLUMNS",
    "affine_panel",
    "charge_tile",
    "exchange_tile",
    "multiply_block",
    "round_tile",
    "scale_tile",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

LANES = 8
PANEL_COLUMNS = 64


def _entries(tile: Floats, size: int) -> Floats:
    return tile[: LANES * size].reshape(size, LANES)


def _powers(exponents: Indices) -> Floats:
    return np.ldexp(1.0, np.clip(exponents, -1022, 1023))


def multiply_block(left: Floats, size: int, matrix: Floats, out: Floats, column: int) -> None:
    """out[c] = sum over j < size of left[j] * matrix[j, c], for column <= c < column + 8."""
    block = matrix[:size, column : column + LANES].T @ _entries(left, size)
    out[LANES * column : LANES * (column + LANES)] = block.ravel()


def affine_panel(
    matrix: Floats, scaled: Floats, nonzero: Indices, count: int, scale: float, out: Floats, first: int, begin: int, end: int
) -> None:
    """out[first + c] = matrix[-1, c] * scale + sum over t < count of matrix[nonzero[t], c] * scaled[t], from left to right."""
    total = matrix[-1, begin:end] * scale
    for t in range(count):
        total = total + matrix[nonzero[t], begin:end] * scaled[t]
    out[first + begin : first + end] = total


def exchange_tile(
    rows: Floats,
    slopes: Floats,
    own: Floats,
    chosen: bool,
    size: int,
    grid: int,
    state: tuple[Indices, Floats, Floats],
    first: int,
    extra: Floats,
    spread: Floats,
) -> None:
    """Exchange the coefficients of eight rows for multipliers, in place; what it costs goes to their constants."""
    exponents, constants, weights = (array[first : first + LANES] for array in state)
    tables = slopes[:, :size, None]
    sound = np.abs(grid - exponents) <= REACH
    a = _entries(rows, size)
    upward = a >= 0.0
    mu = np.rint(a * np.where(upward, _entries(own, size) if chosen else tables[0], tables[1])) * sound
    low, high = np.where(upward, tables[4], tables[2]), np.where(upward, tables[5], tables[3])
    worst = np.minimum(np.minimum(-mu * low, (a - mu) * high), 0.0)
    cost = np.floor(worst * _powers(grid - exponents)).sum(axis=0)
    constants[:] = np.where(sound & (spread - cost < VOID), constants + (cost + extra), -np.inf)
    weights[:] = np.abs(mu).sum(axis=0)
    a[:] = mu


def charge_tile(
    biases: Floats,
    bias: int,
    peaks: Floats,
    state: tuple[Indices, Floats, Floats, Floats],
    first: int,
    grids: tuple[int, int, int, int],
    charges: tuple[float, float],
    factors: Floats,
) -> None:
    """What steps 1 and 2 of section 4 add to the constants of eight rows, and the factors by which they are rounded."""
    exponents, constants, weights, losses = (array[first : first + LANES] for array in state)
    shift = np.where(peaks > 0.0, BITS - np.frexp(peaks)[1], 0).astype(np.int64)
    shifts = np.array(grids)[:, None] - exponents
    shifts[2] -= shift
    sound = (np.abs(np.vstack([shift, shifts[:3]])) <= REACH).all(axis=0)
    with np.errstate(invalid="ignore"):
        constant = np.floor(biases[LANES * bias : LANES * (bias + 1)] * _powers(shifts[0]))
        charge = np.ceil(weights * charges[0] * _powers(shifts[1]))
        rounded = np.where(peaks > 0.0, np.ceil(charges[1] * _powers(shifts[2])), 0.0)
        loss = np.ceil(losses * _powers(shifts[3]))
        fine = sound & (np.abs(constant) < VOID) & (charge < VOID) & (rounded < VOID) & (loss < VOID)
        constants[:] = np.where(fine, constants + (constant - charge - rounded - loss), -np.inf)
    factors[:] = np.where(sound, _powers(shift), 0.0)
    exponents += np.where(sound, shift, 0)


def scale_tile(tile: Floats, scales: Floats, first: int, size: int, peaks: Floats) -> None:
    """tile[j] *= scales[first + j] for j < size; `peaks` receives the largest magnitude of each row."""
    entries = _entries(tile, size)
    entries *= scales[first : first + size, None]
    peaks[:] = np.abs(entries).max(axis=0, initial=0.0)


def round_tile(products: Floats, rows: Floats, size: int, factors: Floats) -> None:
    """rows[j] = round-half-even(products[j] * factors) for j < size."""
    _entries(rows, size)[:] = np.rint(_entries(products, size) * factors)
