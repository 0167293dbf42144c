"""Integer columns of a layer's matrix [W | b], with exponents and errors (FORMAT.md, section 2), as the kernels read them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.near import Near
from secateur.bounds.rounding import COLUMN_BITS, binary_exponent
from secateur.errors import InputError

__all__ = ["PADDING", "Columns", "columns_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Entry = Callable[[int, int], Fraction]

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


def columns_of(near: Near, entry: Entry) -> Columns:
    """The columns of a matrix that is known nearly; `entry` gives its exact values where that leaves a doubt.

    InputError where weights are outside the range of exponents.
    """
    exponents = _exponents(near, entry)
    if (np.abs(exponents) > _MAX_EXPONENT).any():
        worst = COLUMN_BITS - exponents[np.abs(exponents).argmax()]
        raise InputError(f"weights of magnitude 2**{worst} are outside the supported range")
    integers, inexact = _rounded(near, exponents, entry)
    deltas = np.where(inexact, np.ldexp(0.5, -exponents.astype(np.int32)), 0.0)
    height, width = integers.shape
    padded = np.zeros((height, width + -width % PADDING))
    padded[:, :width] = integers
    return Columns(
        padded.ravel(), padded.shape[1], integers.T.ravel(), exponents, np.ldexp(1.0, -exponents.astype(np.int32)), deltas
    )


def _rounded(near: Near, exponents: Integers, entry: Entry) -> tuple[Floats, Flags]:
    """The nearest integers to the scaled entries, halves to even, and which columns have an entry that is none."""
    # Scaling by powers of two and rounding half to even are exact operations on doubles.
    shifts = exponents.astype(np.int32)
    scaled = np.ldexp(near.floats, shifts)
    integers = np.rint(scaled)
    hit = (integers == scaled) & ((scaled != 0.0) | (near.floats == 0.0))
    if near.errors is None:
        return integers, ~hit.all(axis=0)
    gaps, errors = np.abs(scaled - integers), np.ldexp(near.errors, shifts)
    certain = near.errors == 0.0
    inexact = (certain & ~hit) | (~certain & (gaps > errors))
    missed = inexact.any(axis=0)
    # In doubt: near a half, or perhaps an integer in a column that has nothing else for sure.
    doubtful = ~certain & ((gaps + errors >= 0.5 - 2.0**-40) | (~inexact & ~missed))
    for i, j in zip(*(index.tolist() for index in np.nonzero(doubtful)), strict=True):
        integers[i, j], whole = _nearest(entry(i, j), int(exponents[j]))
        missed[j] |= not whole
    return integers, missed


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


def _exponents(near: Near, entry: Entry) -> Integers:
    """c = COLUMN_BITS - E for columns whose 1-norm lies in [2**(E - 1), 2**E); 0 for columns of zeros."""
    if not near.floats.shape[0]:
        return np.zeros(near.floats.shape[1], dtype=np.int64)
    norms = np.abs(near.floats).sum(axis=0)
    # The sums are rounded: next to a power of two, and where the errors reach as far, exact arithmetic decides.
    slack = norms * 2.0**-36
    if near.errors is not None:
        slack += near.errors.sum(axis=0)
    exponents = np.frexp(norms)[1]
    with np.errstate(invalid="ignore"):
        doubtful = (np.frexp(norms - slack)[1] != exponents) | (np.frexp(norms + slack)[1] != exponents) | ~np.isfinite(norms)
    result: Integers = COLUMN_BITS - exponents.astype(np.int64)
    result[norms == 0.0] = 0
    for j in np.flatnonzero(doubtful).tolist():
        norm = sum((abs(entry(i, j)) for i in range(near.floats.shape[0])), Fraction(0))
        result[j] = COLUMN_BITS - binary_exponent(norm) if norm else 0
    return result
