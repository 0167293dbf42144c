"""Exact linear algebra on matrices of rationals (object arrays of `Fraction`), and what a type can store.

Products go through integers over a common denominator: weights are dyadic almost always, and Python integers
multiply several times faster than fractions, which reduce after every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.linear import Dense
from secateur.network.model import Affine, Term

__all__ = [
    "Arithmetic",
    "Rationals",
    "affine_from_rationals",
    "coarse_ceiling",
    "dense_from_rationals",
    "multiply",
    "nonzero",
    "rational_matrix",
    "rational_vector",
    "row_basis",
    "scaled_integers",
    "zero_map",
]

Rationals = NDArray[np.object_]

# A Mersenne prime whose residues multiply within int64.
_PRIME = 2**31 - 1
# Exact elimination beyond this rank costs seconds: its numbers grow with every pivot.
_LARGEST_EXACT_RANK = 64
# Bits of a chosen shift: few enough for every element type (float16 has 11), and for exact sums with a bias.
_SHIFT_BITS = 8


@dataclass(frozen=True)
class Arithmetic:
    """Which new numbers a rewrite may introduce.

    element_type : numpy name of the type that the weights are stored in.
    exact_only : True if every new number must be a number of that type; False if rounding it later is
        allowed, so that it need only lie in the range of the type.
    """

    element_type: str
    exact_only: bool

    def accepts(self, values: Iterable[Fraction]) -> bool:
        """Whether all these numbers may be stored."""
        kind = np.dtype(self.element_type).type
        largest = Fraction(float(np.finfo(kind).max))
        for value in values:
            if abs(value) > largest:
                return False
            if self.exact_only and Fraction(float(kind(float(value)))) != value:
                return False
        return True


def rational_vector(values: Iterable[Fraction]) -> Rationals:
    """A one-dimensional object array."""
    items = list(values)
    vector = np.empty(len(items), dtype=object)
    vector[:] = items
    return vector


def rational_matrix(dense: Dense) -> Rationals:
    """The exact entries of a dense map, shape (out_size, in_size)."""
    if dense.exact is not None:
        return dense.exact
    flat = rational_vector(Fraction(w) for w in dense.weight.ravel().tolist())
    return flat.reshape(dense.weight.shape)


def dense_from_rationals(matrix: Rationals) -> Dense:
    """The dense map with these entries; it carries rationals only if some entry is no float64 number."""
    weight = np.array([float(v) for v in matrix.ravel()], dtype=np.float64).reshape(matrix.shape)
    stored = all(Fraction(w) == v for w, v in zip(weight.ravel().tolist(), matrix.ravel(), strict=True))
    return Dense(weight, None if stored else matrix)


def affine_from_rationals(terms: tuple[Term, ...], bias: Iterable[Fraction]) -> Affine:
    """An affine function with an exactly given bias."""
    exact = tuple(bias)
    floats = np.array([float(v) for v in exact], dtype=np.float64)
    stored = all(Fraction(f) == v for f, v in zip(floats.tolist(), exact, strict=True))
    return Affine(terms, floats, None if stored else exact)


def zero_map(rows: int, columns: int) -> Dense:
    """The map to zero."""
    return Dense(np.zeros((rows, columns)))


def nonzero(dense: Dense) -> NDArray[np.bool_]:
    """Which entries differ from zero, exactly."""
    stored = dense.weight if dense.exact is None else dense.exact
    return np.asarray(stored != 0, dtype=np.bool_)


def scaled_integers(values: Rationals) -> tuple[Rationals, int]:
    """Integers n (shape alike) and one denominator d > 0 with values = n / d."""
    flat = values.ravel().tolist()
    common = math.lcm(*{v.denominator for v in flat})
    scaled = rational_vector(v.numerator * (common // v.denominator) for v in flat)
    return scaled.reshape(values.shape), common


def multiply(left: Rationals, right: Rationals) -> Rationals:
    """The exact product of a matrix with a matrix or vector."""
    a, a_scale = scaled_integers(left)
    b, b_scale = scaled_integers(right)
    product, scale = np.asarray(a @ b, dtype=object), a_scale * b_scale
    return rational_vector(Fraction(int(v), scale) for v in product.ravel()).reshape(product.shape)


def coarse_ceiling(value: Fraction) -> Fraction:
    """A short binary number that is at least max(0, value), and less than 1 % above it.

    Few bits on purpose: such a shift is stored exactly by every element type, and often bias - shift is too.
    """
    if value <= 0:
        return Fraction(0)
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - _SHIFT_BITS
    unit = Fraction(2) ** exponent
    return math.ceil(value / unit) * unit


def row_basis(matrix: Rationals) -> tuple[list[int], Rationals] | None:
    """Fewer rows that span all rows: indices B and T with matrix = T matrix[B], or None.

    The rank is first taken modulo a prime, where it can only be too small, so full-rank matrices (nearly all)
    cost no rational elimination; the identity that is returned has been multiplied out.
    """
    integers, _ = scaled_integers(matrix)
    rows, columns = _modular_pivots(integers)
    if not 0 < len(rows) < min(matrix.shape) or len(rows) > _LARGEST_EXACT_RANK:
        return None
    basis = matrix[rows]
    # T basis = matrix, restricted to the pivot columns: transposed, each row is a right-hand side.
    transform = _solve(basis[:, columns].T.tolist(), matrix[:, columns].T.tolist())
    if transform is None:
        return None
    coefficients = np.array(transform, dtype=object).T
    return (rows, coefficients) if bool(np.all(multiply(coefficients, basis) == matrix)) else None


def _modular_pivots(matrix: Rationals) -> tuple[list[int], list[int]]:
    """Rows and columns of a submatrix of full rank modulo a prime; the rows come in ascending order."""
    rest = (matrix % _PRIME).astype(np.int64)
    rows: list[int] = []
    columns: list[int] = []
    for i in range(rest.shape[0]):
        support = np.flatnonzero(rest[i])
        if not len(support):
            continue
        column = int(support[0])
        pivot = rest[i] * pow(int(rest[i, column]), -1, _PRIME) % _PRIME
        rest[i + 1 :] = (rest[i + 1 :] - np.outer(rest[i + 1 :, column], pivot) % _PRIME) % _PRIME
        rows.append(i)
        columns.append(column)
    return rows, columns


def _solve(matrix: Sequence[Sequence[Fraction]], right: Sequence[Sequence[Fraction]]) -> list[list[Fraction]] | None:
    """X with matrix X = right by exact elimination, or None if the square matrix is singular."""
    table = [[*a, *b] for a, b in zip(matrix, right, strict=True)]
    size = len(table)
    for k in range(size):
        pivot = next((i for i in range(k, size) if table[i][k]), None)
        if pivot is None:
            return None
        table[k], table[pivot] = table[pivot], table[k]
        inverse = 1 / table[k][k]
        table[k] = [v * inverse for v in table[k]]
        for i in range(size):
            factor = table[i][k]
            if i != k and factor:
                table[i] = [v - factor * w if w else v for v, w in zip(table[i], table[k], strict=True)]
    return [row[size:] for row in table]
