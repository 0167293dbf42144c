"""Exact algebra of linear maps: composing, selecting rows, adding and stacking.

Reading a network moves elements about far more often than it multiplies matrices, so a map that only picks
and scales coordinates (`Monomial`) is kept apart until something forces a matrix. Every function returns
exactly the map it is named for; where float64 cannot hold an entry, the matrix carries rationals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray
from secateur.network.linear import Conv, Dense

__all__ = [
    "Map",
    "Monomial",
    "UnsupportedError",
    "added",
    "check_size",
    "composed",
    "materialised",
    "selected",
    "stacked",
]

_MAX_ENTRIES = 2**26  # 512 MB of float64: beyond, lowering to a matrix would only exhaust the memory


class UnsupportedError(ValueError):
    """Something of a graph cannot be lowered exactly; the reader adds file and node."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


@dataclass(frozen=True, eq=False)
class Monomial:
    """Row i is scale[i] times coordinate index[i] of an input of `in_size` coordinates."""

    index: NDArray[np.intp]
    scale: ExactArray
    in_size: int

    @classmethod
    def identity(cls, size: int) -> Monomial:
        return cls(np.arange(size), ExactArray.full((size,), 1.0), size)

    @property
    def out_size(self) -> int:
        return len(self.index)

    @property
    def is_identity(self) -> bool:
        return self.scale.is_one and np.array_equal(self.index, np.arange(self.in_size))


Map = Monomial | Dense | Conv


def check_size(rows: int, columns: int) -> None:
    """UnsupportedError for a matrix of more entries than lowering is willing to store."""
    if rows * columns > _MAX_ENTRIES:
        raise UnsupportedError(f"a matrix of {rows} x {columns} entries would be needed", "use a smaller network")


def materialised(map_: Map) -> Dense | Conv:
    """The same map without `Monomial`, for a `Term` of a network."""
    if isinstance(map_, Conv):
        return map_
    matrix = _matrix(map_)
    return Dense(np.ascontiguousarray(matrix.weight), matrix.exact)  # transposed views would cost every kernel


def _matrix(map_: Map) -> Dense:
    check_size(map_.out_size, map_.in_size)
    if not isinstance(map_, Monomial):
        return map_.dense()
    return Dense.of(map_.scale.placed((map_.out_size, map_.in_size), (np.arange(map_.out_size), map_.index)))


def composed(outer: Dense | Conv, inner: Map) -> Map:
    """outer after inner."""
    if isinstance(inner, Monomial):
        if inner.is_identity:
            return outer
        used = np.flatnonzero(inner.scale.floats) if inner.scale.rationals is None else np.arange(inner.out_size)
        if len(np.unique(inner.index[used])) == len(used):
            return _columns_moved(_matrix(outer), inner, used)
    left, right = _matrix(outer), _matrix(inner)
    check_size(left.out_size, right.in_size)
    return Dense.of(left.array() @ right.array())


def _columns_moved(outer: Dense, inner: Monomial, used: NDArray[np.intp]) -> Dense:
    """outer after a monomial whose used rows read different coordinates: a product without sums."""
    check_size(outer.out_size, inner.in_size)
    scaled = outer.array().rearranged(lambda a: a[:, used]) * inner.scale.rearranged(lambda a: a[used])
    return Dense.of(scaled.placed((outer.out_size, inner.in_size), (slice(None), inner.index[used])))


def selected(map_: Map, rows: NDArray[np.intp], scale: ExactArray) -> Map:
    """Row i of the result is scale[i] times row rows[i] of the map."""
    if isinstance(map_, Monomial):
        factors = map_.scale.rearranged(lambda a: a[rows]) * scale
        return Monomial(map_.index[rows], factors, map_.in_size)
    if isinstance(map_, Conv) and Monomial(rows, scale, map_.out_size).is_identity:
        return map_
    check_size(len(rows), map_.in_size)
    return Dense.of(_matrix(map_).array().rearranged(lambda a: a[rows]) * scale.reshape((-1, 1)))


def added(left: Map, right: Map) -> Map:
    """The sum of two maps of the same shape."""
    if isinstance(left, Monomial) and isinstance(right, Monomial) and np.array_equal(left.index, right.index):
        return Monomial(left.index, left.scale + right.scale, left.in_size)
    return Dense.of(_matrix(left).array() + _matrix(right).array())


def stacked(parts: list[Map]) -> Map:
    """The rows of all parts, one below the other."""
    if all(isinstance(part, Monomial) for part in parts):
        monomials = [part for part in parts if isinstance(part, Monomial)]
        scales = ExactArray.concatenated([m.scale for m in monomials])
        return Monomial(np.concatenate([m.index for m in monomials]), scales, parts[0].in_size)
    check_size(sum(part.out_size for part in parts), parts[0].in_size)
    return Dense.of(ExactArray.concatenated([_matrix(part).array() for part in parts]))
