"""Arrays of exact rational numbers that stay plain float64 for as long as float64 can hold them.

Lowering composes stored weights: subtract a mean, multiply by a matrix, add a bias. A network means the exact
result of that, so each operation here first tries float64 and *proves* that nothing was rounded (error-free
transformations, or a count of bits); only where something was does it fall back to integers and fractions.
Common networks never leave float64.

Sources: Knuth's TwoSum and Dekker's TwoProduct, as in Ogita, Rump and Oishi, "Accurate sum and dot product"
(2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactArray", "Floats", "Objects", "common_denominator", "exact_affine", "scaled_floats", "two_product"]

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

_SPLITTER = 2.0**27 + 1  # Veltkamp's constant: halves a 53-bit significand
_SAFE_EXPONENT = 400  # products of numbers in 2^[-400, 400] neither overflow nor lose bits below


def common_denominator(values: Iterable[Fraction]) -> int:
    """The least common multiple of the denominators."""
    return math.lcm(*{v.denominator for v in values})


def scaled_floats(values: Floats) -> tuple[Objects, int]:
    """Python integers n (shape alike) and a power of two d with values == n / d; values must be finite."""
    if values.size == 0:
        return values.astype(object), 1
    shift = max(0, -int(_lowest_bits(values).min(initial=0)))
    with np.errstate(over="ignore"):
        scaled = np.ldexp(values, shift)
    if np.abs(scaled).max() < 2.0**62:
        return scaled.astype(np.int64).astype(object), 1 << shift
    ratios = [v.as_integer_ratio() for v in values.ravel().tolist()]
    return _objects([n * ((1 << shift) // d) for n, d in ratios], values.shape), 1 << shift


def _lowest_bits(values: Floats) -> NDArray[np.int64]:
    """Exponent of the lowest set bit of each value; 0 for zeros (which every power of two divides)."""
    significand, exponent = np.frexp(values)
    integer = np.ldexp(significand, 53).astype(np.int64)
    lowest = np.frexp((integer & -integer).astype(np.float64))[1] - 1
    return np.where(values == 0.0, 0, exponent.astype(np.int64) - 53 + lowest)


def _objects(values: Sequence[object], shape: tuple[int, ...]) -> Objects:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


@dataclass(frozen=True, eq=False)
class ExactArray:
    """Rational numbers of any shape: `rationals` where some are no float64 numbers, else only `floats`."""

    floats: Floats
    rationals: Objects | None = None

    @classmethod
    def full(cls, shape: tuple[int, ...], value: float = 0.0) -> ExactArray:
        return cls(np.full(shape, value))

    @classmethod
    def of_fractions(cls, values: Sequence[Fraction], shape: tuple[int, ...]) -> ExactArray:
        """From rationals in row-major order; OverflowError where one is beyond float64."""
        floats = [v.numerator / v.denominator for v in values]
        if all(f.as_integer_ratio() == (v.numerator, v.denominator) for f, v in zip(floats, values, strict=True)):
            return cls(np.array(floats, dtype=np.float64).reshape(shape))
        return cls(np.array(floats).reshape(shape), _objects(values, shape))

    @classmethod
    def of_integers(cls, numerators: Objects, denominator: int) -> ExactArray:
        """The array numerators / denominator."""
        return cls.of_fractions([Fraction(n, denominator) for n in numerators.ravel().tolist()], numerators.shape)

    @classmethod
    def concatenated(cls, parts: Sequence[ExactArray]) -> ExactArray:
        """The parts joined along their first axis."""
        floats = np.concatenate([part.floats for part in parts])
        if all(part.rationals is None for part in parts):
            return cls(floats)
        return cls.of_fractions([v for part in parts for v in part.fractions()], floats.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.floats.shape

    @property
    def size(self) -> int:
        return self.floats.size

    @property
    def is_zero(self) -> bool:
        # Rationals are kept only where some are no floats; such an array is not zero.
        return self.rationals is None and not self.floats.any()

    @property
    def is_one(self) -> bool:
        return self.rationals is None and bool((self.floats == 1.0).all())

    def entry(self, row: int, column: int) -> Fraction:
        """An exact value of a matrix."""
        array = self.floats if self.rationals is None else self.rationals
        return Fraction(array[row, column])

    def fractions(self) -> list[Fraction]:
        """The exact values in row-major order."""
        if self.rationals is not None:
            return list(self.rationals.ravel().tolist())
        return [Fraction(f) for f in self.floats.ravel().tolist()]

    def integers(self) -> tuple[Objects, int]:
        """Python integers n (shape alike) and d > 0 with self == n / d."""
        if self.rationals is None:
            return scaled_floats(self.floats)
        values = self.fractions()
        d = common_denominator(values)
        return _objects([v.numerator * (d // v.denominator) for v in values], self.shape), d

    def rearranged(self, move: Callable[[NDArray[Any]], NDArray[Any]]) -> ExactArray:
        """Any selection, permutation or reshaping of the entries, given as a function on arrays."""
        floats = np.asarray(move(self.floats))  # numpy turns 0-d results into scalars
        if self.rationals is None:
            return ExactArray(floats)
        rationals = np.asarray(move(self.rationals))
        return ExactArray.of_fractions(rationals.ravel().tolist(), rationals.shape)

    def reshape(self, shape: tuple[int, ...]) -> ExactArray:
        return self.rearranged(lambda a: a.reshape(shape))

    def broadcast(self, shape: tuple[int, ...]) -> ExactArray:
        return self if self.shape == shape else self.rearranged(lambda a: np.broadcast_to(a, shape))

    def placed(self, shape: tuple[int, ...], at: tuple[Any, ...]) -> ExactArray:
        """Zeros of this shape with the entries put at the (distinct) positions `at`, a numpy index."""

        def place(entries: NDArray[Any]) -> NDArray[Any]:
            target = np.full(shape, Fraction(0) if entries.dtype == object else 0.0, dtype=entries.dtype)
            target[at] = entries
            return target

        return self.rearranged(place)

    def __neg__(self) -> ExactArray:
        return self.rearranged(np.negative)

    def __sub__(self, other: ExactArray) -> ExactArray:
        return self + -other

    def __add__(self, other: ExactArray) -> ExactArray:
        return self._elementwise(other, _exact_sum, Fraction.__add__)

    def __mul__(self, other: ExactArray) -> ExactArray:
        if other.is_one:
            return self.broadcast(np.broadcast_shapes(self.shape, other.shape))
        return self._elementwise(other, _exact_product, Fraction.__mul__)

    def reciprocal(self) -> ExactArray:
        """1 / self; ZeroDivisionError where an entry is zero."""
        return ExactArray.of_fractions([1 / v for v in self.fractions()], self.shape)

    def _elementwise(
        self,
        other: ExactArray,
        fast: Callable[[Floats, Floats], Floats | None],
        slow: Callable[[Fraction, Fraction], Fraction],
    ) -> ExactArray:
        if self.rationals is None and other.rationals is None:
            result = fast(self.floats, other.floats)
            if result is not None:
                return ExactArray(np.asarray(result))
        shape = np.broadcast_shapes(self.shape, other.shape)
        left, right = self.broadcast(shape).fractions(), other.broadcast(shape).fractions()
        return ExactArray.of_fractions(list(map(slow, left, right)), shape)

    def __matmul__(self, other: ExactArray) -> ExactArray:
        """Matrix product of shapes (m, k) and (k, n)."""
        if self.rationals is None and other.rationals is None:
            result = _exact_matmul(self.floats, other.floats)
            if result is not None:
                return ExactArray(result)
        (left, d), (right, e) = self.integers(), other.integers()
        product = np.zeros((left.shape[0], right.shape[1]), dtype=object)
        for i, row in enumerate(left):
            support = np.flatnonzero(row)  # pooling and block-diagonal matrices are mostly zeros
            if support.size:
                product[i] = row[support].dot(right[support])
        return ExactArray.of_integers(product, d * e)


def _exact_sum(a: Floats, b: Floats) -> Floats | None:
    """a + b if no entry is rounded: Knuth's TwoSum finds the error exactly."""
    with np.errstate(all="ignore"):
        total = a + b
        part = total - a
        error = (a - (total - part)) + (b - part)
    return total if not error.any() else None  # an overflow makes the error NaN, which counts as non-zero


def _exact_product(a: Floats, b: Floats) -> Floats | None:
    """a * b if no entry is rounded: Dekker's TwoProduct finds the error, in the range checked first."""
    if not (_is_moderate(a) and _is_moderate(b)):
        return None
    product, error = two_product(a, b)
    return product if not error.any() else None


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The rounded product and its error, exactly (Dekker), for numbers that are 0 or within 2**-400 .. 2**400 in magnitude."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)


def _halves(a: Floats) -> tuple[Floats, Floats]:
    shifted = _SPLITTER * a
    high = shifted - (shifted - a)
    return high, a - high


def _is_moderate(a: Floats) -> bool:
    magnitudes = np.abs(a[a != 0.0])
    limit = 2.0**_SAFE_EXPONENT
    return magnitudes.size == 0 or bool(magnitudes.max() < limit and magnitudes.min() > 1 / limit)


def _exact_matmul(a: Floats, b: Floats) -> Floats | None:
    """a @ b if no order of summation can round.

    All terms of an entry, and so all partial sums, are multiples of one power of two 2^q; if the sum of their
    magnitudes stays below 2^(q + 53), each partial sum is a float64 number. One bit is left for the rounding
    of the bound itself.
    """
    if not (_is_moderate(a) and _is_moderate(b)):
        return None
    magnitude = np.abs(a) @ np.abs(b)
    lowest = _row_minimum(a)[:, None] + _row_minimum(b.T)[None, :]
    return a @ b if bool((magnitude < np.ldexp(1.0, lowest + 52)).all()) else None


def exact_affine(weights: Floats, point: Floats, bias: Floats) -> Floats | None:
    """weights @ point + bias, all of which are columns but the matrix, if nothing is rounded; None otherwise."""
    product = _exact_matmul(weights, point)
    return None if product is None else _exact_sum(product, bias)


def _row_minimum(a: Floats) -> NDArray[np.int64]:
    """Exponent of the lowest bit set in each row; 0 for rows of zeros."""
    lowest = np.where(a == 0.0, np.iinfo(np.int64).max, _lowest_bits(a)).min(axis=1, initial=np.iinfo(np.int64).max)
    return np.where(lowest == np.iinfo(np.int64).max, 0, lowest)
