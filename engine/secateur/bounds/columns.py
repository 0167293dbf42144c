"""Integer columns of a layer's matrix [W | b], with exponents and errors (FORMAT.md, section 2), as the kernels read them."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.rounding import COLUMN_BITS, binary_exponent
from secateur.errors import InputError
from secateur.network.exact import ExactArray

__all__ = ["PADDING", "Columns", "columns_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PADDING = 8
"""Rows are padded to a multiple of this, for vector registers."""
_MAX_EXPONENT = 900


class Columns(NamedTuple):
    """A matrix Q with Q_ij 2**-c_j near the exact entries.

    integers : Q row-major, rows padded with zeros to length `stride`, flat. turned : Q column-major without padding, flat.
    exponents : c_j. scales : 2**-c_j. deltas : the largest error of column j, or more.
    """

    integers: Floats
    stride: int
    turned: Floats
    exponents: Integers
    scales: Floats
    deltas: Floats


def columns_of(matrix: ExactArray) -> Columns:
    """InputError where weights are outside the range of exponents."""
    exponents = _exponents(matrix)
    if (np.abs(exponents) > _MAX_EXPONENT).any():
        worst = COLUMN_BITS - exponents[np.abs(exponents).argmax()]
        raise InputError(f"weights of magnitude 2**{worst} are outside the supported range")
    integers, exact = _rounded(matrix, exponents)
    deltas = np.where(exact.all(axis=0), 0.0, np.ldexp(0.5, -exponents.astype(np.int32)))
    height, width = integers.shape
    padded = np.zeros((height, width + -width % PADDING))
    padded[:, :width] = integers
    return Columns(
        padded.ravel(), padded.shape[1], integers.T.ravel(), exponents, np.ldexp(1.0, -exponents.astype(np.int32)), deltas
    )


def _rounded(matrix: ExactArray, exponents: Integers) -> tuple[Floats, NDArray[np.bool_]]:
    """The nearest integers to the scaled entries, halves to even, and which of them are exact."""
    if matrix.rationals is None:
        # Scaling by powers of two and rounding half to even are exact operations on doubles.
        scaled = np.ldexp(matrix.floats, exponents.astype(np.int32))
        integers = np.rint(scaled)
        return integers, (integers == scaled) & ((scaled != 0.0) | (matrix.floats == 0.0))
    shifts = exponents.tolist()
    pairs = [_nearest(v, shifts[i % len(shifts)]) for i, v in enumerate(matrix.rationals.ravel().tolist())]
    values = np.array([q for q, _ in pairs], dtype=np.float64).reshape(matrix.shape)
    return values, np.array([exact for _, exact in pairs], dtype=bool).reshape(matrix.shape)


def _nearest(value: Fraction, shift: int) -> tuple[int, bool]:
    """round(value * 2**shift), half to even, and whether that is exact; in integers, fractions cost several times more."""
    numerator, denominator = value.numerator, value.denominator
    if shift >= 0:
        numerator <<= shift
    else:
        denominator <<= -shift
    quotient, rest = divmod(numerator, denominator)
    up = 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1)
    return quotient + up, not rest


def _exponents(matrix: ExactArray) -> Integers:
    """c = COLUMN_BITS - E for columns whose 1-norm lies in [2**(E - 1), 2**E); 0 for columns of zeros."""
    if not matrix.shape[0]:
        return np.zeros(matrix.shape[1], dtype=np.int64)
    norms = np.abs(matrix.floats).sum(axis=0)
    part, exponents = np.frexp(norms)
    # The sums are rounded: next to a power of two, and where floats only approximate, exact arithmetic decides.
    slack = 2.0**-36
    doubtful = (part < 0.5 + slack) | (part > 1.0 - slack) | ~np.isfinite(norms)
    result: Integers = COLUMN_BITS - exponents.astype(np.int64)
    for j in np.flatnonzero(doubtful):
        column = matrix.rearranged(lambda a, j=j: a[:, j]).fractions()  # type: ignore[misc]
        norm = sum(map(abs, column), Fraction(0))
        result[j] = COLUMN_BITS - binary_exponent(norm) if norm else 0
    return result
