"""Affine functions of a network's sources as blocks of matrices: stacked, selected, subtracted and scaled, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray
from secateur.network.linear import Dense
from secateur.network.model import Affine, Term

__all__ = ["AffineRows", "add_block", "bias_column", "spread"]

Integers = NDArray[np.int64]
_LARGEST_SHIFT = 40
_MORE_BITS = 4
"""How many bits longer than the first network's coefficients over one of its neurons a scaled change may be: one column of an
integer matrix holds both, and what the longer ones take of its bits the others lose."""


def bias_column(affine: Affine) -> ExactArray:
    """The constants of an affine function, shape (size, 1)."""
    return ExactArray.of_fractions(list(affine.rational_bias()), (affine.size, 1))


def add_block(blocks: dict[int, ExactArray], source: int, matrix: ExactArray) -> None:
    """Add a matrix to the block of a source."""
    blocks[source] = blocks[source] + matrix if source in blocks else matrix


def spread(matrix: ExactArray, columns: Integers, width: int) -> ExactArray:
    """The matrix with its columns at other (distinct) places among `width`."""
    height = matrix.shape[0]
    return matrix.placed((height, width), (np.arange(height)[:, None], columns[None, :]))


@dataclass(frozen=True, eq=False)
class AffineRows:
    """A matrix for each source that is read, of shape (rows, values of the source), and constants of shape (rows, 1)."""

    blocks: Mapping[int, ExactArray]
    bias: ExactArray

    def __neg__(self) -> AffineRows:
        return AffineRows({s: -m for s, m in self.blocks.items()}, -self.bias)

    def __add__(self, other: AffineRows) -> AffineRows:
        blocks = dict(self.blocks)
        for source, matrix in other.blocks.items():
            add_block(blocks, source, matrix)
        return AffineRows(blocks, self.bias + other.bias)

    def __sub__(self, other: AffineRows) -> AffineRows:
        return self + -other

    def scaled(self, factor: Fraction) -> AffineRows:
        """Multiplied by a number."""
        number = ExactArray.of_fractions([factor], (1, 1))
        return AffineRows({s: m * number for s, m in self.blocks.items()}, self.bias * number)

    def room(self, changes: AffineRows) -> int:
        """The largest shift with which changes are not much longer than these rows in any column that both read."""
        room = _LARGEST_SHIFT
        pairs = [(self.blocks[s], changes.blocks[s]) for s in self.blocks if s in changes.blocks]
        for own, change in [*pairs, (self.bias, changes.bias)]:
            size, moved = (np.abs(a.floats).max(axis=0, initial=0.0) for a in (own, change))
            both = (size > 0.0) & (moved > 0.0)
            if both.any():
                room = min(room, int(np.frexp(size[both] / moved[both])[1].min()) + _MORE_BITS)
        return max(room, 0)

    @classmethod
    def stacked(cls, parts: Sequence[AffineRows]) -> AffineRows:
        """The parts below each other."""
        sources = sorted({s for part in parts for s in part.blocks})
        blocks = {}
        for source in sources:
            width = next(part.blocks[source].shape[1] for part in parts if source in part.blocks)
            blocks[source] = ExactArray.concatenated(
                [part.blocks.get(source, ExactArray(np.zeros((part.size, width)))) for part in parts]
            )
        return cls(blocks, ExactArray.concatenated([part.bias for part in parts] or [ExactArray(np.zeros((0, 1)))]))

    @property
    def size(self) -> int:
        return int(self.bias.shape[0])

    def take(self, rows: Sequence[int]) -> AffineRows:
        index = np.array(rows, dtype=np.intp)
        blocks = {s: m.rearranged(lambda a: a[index]) for s, m in self.blocks.items()}
        return AffineRows(blocks, self.bias.rearranged(lambda a: a[index]))

    def nonzero(self) -> list[int]:
        """The rows that are not identically 0."""
        arrays = [*self.blocks.values(), self.bias]
        some = np.zeros(self.size, dtype=bool)
        for array in arrays:
            entries = array.floats if array.rationals is None else array.rationals
            some |= (entries != 0).any(axis=1)
        return np.flatnonzero(some).tolist()

    def affine(self) -> Affine:
        """The same as a layer or output of a network."""
        return Affine.of(tuple(Term(s, Dense.of(m)) for s, m in sorted(self.blocks.items())), self.bias)
