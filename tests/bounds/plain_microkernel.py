"""The vector loops of `secateur.bounds.microkernel` in plain numpy, for runs in which nothing is compiled.

Intrinsics cannot be called from Python, so with `NUMBA_DISABLE_JIT=1` this file stands in for that module
(`benchmarks/mutate_kernels.py` copies it there). The arguments are the same; the tests of the module hold for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LANES", "PANEL_COLUMNS", "TILE_ROWS", "affine_panel", "exchange_row", "multiply_tile", "round_row", "scale_row"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

LANES = 8
TILE_ROWS = 8
PANEL_COLUMNS = 64


def _padded(size: int) -> int:
    return size + -size % LANES


def multiply_tile(left: Floats, row: int, count: int, matrix: Floats, out: Floats, column: int) -> None:
    """out[row:row+8, column:column+8] = left[row:row+8, :count] @ matrix[:count, column:column+8]."""
    rows, columns = slice(row, row + TILE_ROWS), slice(column, column + LANES)
    out[rows, columns] = left[rows, :count] @ matrix[:count, columns]


def affine_panel(
    matrix: Floats, scaled: Floats, nonzero: Indices, count: int, scale: float, out: Floats, first: int, begin: int, end: int
) -> None:
    """out[first + c] = matrix[-1, c] * scale + sum over t < count of matrix[nonzero[t], c] * scaled[t], from left to right."""
    total = matrix[-1, begin:end] * scale
    for t in range(count):
        total = total + matrix[nonzero[t], begin:end] * scaled[t]
    out[first + begin : first + end] = total


def exchange_row(rows: Floats, row: int, slopes: Floats, size: int, unit: float, sums: Floats) -> None:
    """Exchange the coefficients of one row for multipliers, in place; `sums` receives the terms' sum and sum |mu|."""
    a, tables = rows[row, : _padded(size)], slopes[:, : _padded(size)]
    upward = a >= 0.0
    mu = np.rint(a * np.where(upward, tables[0], tables[1]))
    low, high = np.where(upward, tables[4], tables[2]), np.where(upward, tables[5], tables[3])
    worst = np.minimum(np.minimum(-mu * low, (a - mu) * high), 0.0)
    sums[0], sums[1] = np.floor(worst * unit).sum(), np.abs(mu).sum()
    a[:] = mu


def scale_row(products: Floats, row: int, scales: Floats, first: int, size: int) -> np.int64:
    """products[row, j] *= scales[first + j]; the bits of the largest magnitude."""
    own = products[row, : _padded(size)]
    own *= scales[first : first + _padded(size)]
    return np.abs(own).max(initial=0.0).view(np.int64)  # type: ignore[no-any-return]


def round_row(products: Floats, rows: Floats, row: int, size: int, scale: float) -> None:
    """rows[row, j] = round-half-even(products[row, j] * scale)."""
    end = _padded(size)
    rows[row, :end] = np.rint(products[row, :end] * scale)
