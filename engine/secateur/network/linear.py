"""Linear maps between layers: dense matrices and convolutions.

A map knows its float64 action on a batch, its exact action on one rational point, and its matrix. A dense
matrix whose exact entries are no float64 numbers (a composition of two stored matrices, say) carries them as
rationals beside the nearest floats, so that nothing downstream has to ask where a weight came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import mul
from typing import Protocol

import numpy as np

from secateur.network.exact import ExactArray, Floats, Objects, common_denominator, scaled_floats
from secateur.network.windows import Windows

__all__ = ["Conv", "Dense", "LinearMap"]


class LinearMap(Protocol):
    """What every linear map offers."""

    @property
    def in_size(self) -> int: ...

    @property
    def out_size(self) -> int: ...

    @property
    def parameter_count(self) -> int:
        """Stored weights (a convolution counts its kernel once)."""
        ...

    def apply(self, batch: Floats) -> Floats:
        """Shape (batch, in_size) to (batch, out_size), in float64."""
        ...

    def apply_transposed(self, batch: Floats) -> Floats:
        """The transposed map: shape (batch, out_size) to (batch, in_size), in float64; it pulls gradients back."""
        ...

    def apply_exact(self, point: Sequence[Fraction]) -> list[Fraction]:
        """The exact image of one rational point."""
        ...

    def dense(self) -> Dense:
        """The same map as a matrix."""
        ...


def _scaled_point(point: Sequence[Fraction]) -> tuple[list[int], int]:
    """Integers n and d > 0 with point == n / d."""
    d = common_denominator(point)
    return [x.numerator * (d // x.denominator) for x in point], d


@dataclass(frozen=True, eq=False)
class Dense:
    """A matrix of shape (out_size, in_size); `exact` holds rationals where `weight` only approximates."""

    weight: Floats
    exact: Objects | None = None

    @classmethod
    def of(cls, array: ExactArray) -> Dense:
        """The map whose matrix is this one; `array` gives it back."""
        return cls(array.floats, array.rationals)

    @property
    def in_size(self) -> int:
        return int(self.weight.shape[1])

    @property
    def out_size(self) -> int:
        return int(self.weight.shape[0])

    @property
    def parameter_count(self) -> int:
        return int(self.weight.size)

    def apply(self, batch: Floats) -> Floats:
        return batch @ self.weight.T

    def apply_transposed(self, batch: Floats) -> Floats:
        return batch @ self.weight

    def array(self) -> ExactArray:
        """The matrix as exact numbers."""
        return ExactArray(self.weight, self.exact)

    def rationals(self) -> list[list[Fraction]]:
        """The exact entries, row by row."""
        if self.exact is not None:
            return [list(row) for row in self.exact.tolist()]
        return [[Fraction(w) for w in row] for row in self.weight.tolist()]

    @cached_property
    def _scaled_rows(self) -> tuple[list[list[int]], int]:
        # Integers with one common denominator: a dot product costs no greatest common divisor.
        numerators, denominator = self.array().integers()
        return numerators.tolist(), denominator

    def apply_exact(self, point: Sequence[Fraction]) -> list[Fraction]:
        rows, denominator = self._scaled_rows
        numerators, scale = _scaled_point(point)
        return [Fraction(sum(map(mul, row, numerators)), denominator * scale) for row in rows]

    def dense(self) -> Dense:
        return self


@dataclass(frozen=True, eq=False)
class Conv:
    """A 2-D convolution of flattened (channels, height, width) tensors, without bias, as ONNX defines it.

    Parameters
    ----------
    kernel : shape (out_channels, in_channels / groups, height, width); its float64 values are the exact
    weights. in_shape : (in_channels, height, width). A 1-D convolution has height 1 here and in the kernel.
    strides, dilations : (vertical, horizontal). pads : zeros added (top, left, bottom, right). groups :
    blocks of channels that do not mix.
    """

    kernel: Floats
    in_shape: tuple[int, int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    @cached_property
    def _windows(self) -> Windows:
        height, width = self.kernel.shape[2:]
        return Windows(self.in_shape[1:], (height, width), self.strides, self.pads, self.dilations)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(out_channels, height, width)."""
        return (self.kernel.shape[0], *self._windows.out_shape)

    @property
    def in_size(self) -> int:
        return int(np.prod(self.in_shape))

    @property
    def out_size(self) -> int:
        return int(np.prod(self.out_shape))

    @property
    def parameter_count(self) -> int:
        return int(self.kernel.size)

    def apply(self, batch: Floats) -> Floats:
        n, (channels, height, width) = batch.shape[0], self.in_shape
        cells = np.zeros((n, channels, height * width + 1))  # the last cell is the padding
        cells[:, :, :-1] = batch.reshape(n, channels, height * width)
        grouped = cells.reshape(n, self.groups, channels // self.groups, -1)
        taps = self._tap_matrices()
        table = self._windows.table
        # One product per tap keeps the memory at one copy of the input, whatever the size of the kernel.
        total = np.zeros((n, self.groups, taps.shape[2], table.shape[0]))
        for tap, cell in zip(taps, table.T, strict=True):
            total += tap @ grouped[:, :, :, cell]
        return total.reshape(n, -1)

    def apply_transposed(self, batch: Floats) -> Floats:
        n, (channels, height, width) = batch.shape[0], self.in_shape
        taps = np.swapaxes(self._tap_matrices(), 2, 3)
        table = self._windows.table
        grouped = batch.reshape(n, self.groups, self.kernel.shape[0] // self.groups, table.shape[0])
        cells = np.zeros((n, self.groups, channels // self.groups, height * width + 1))
        for tap, cell in zip(taps, table.T, strict=True):
            # One tap meets each cell at most once, except the padding, which nobody reads.
            cells[:, :, :, cell] += tap @ grouped
        return cells[..., :-1].reshape(n, -1)

    def _tap_matrices(self) -> Floats:
        """The kernel as (taps, groups, out_channels / groups, in_channels / groups)."""
        out_channels, depth = self.kernel.shape[:2]
        blocks = self.kernel.reshape(self.groups, out_channels // self.groups, depth, -1)
        return np.ascontiguousarray(np.moveaxis(blocks, 3, 0))

    @cached_property
    def _scaled_kernel(self) -> tuple[list[list[int]], int]:
        numerators, denominator = scaled_floats(self.kernel)
        return numerators.reshape(self.kernel.shape[0], -1).tolist(), denominator

    def apply_exact(self, point: Sequence[Fraction]) -> list[Fraction]:
        rows, denominator = self._scaled_kernel
        numerators, scale = _scaled_point(point)
        per_group, result = len(rows) // self.groups, []
        patches = [self._patches(numerators, group) for group in range(self.groups)]
        for channel, row in enumerate(rows):
            for patch in patches[channel // per_group]:
                result.append(Fraction(sum(map(mul, row, patch)), denominator * scale))
        return result

    def _patches(self, numerators: list[int], group: int) -> list[list[int]]:
        """For each position the input values that the kernel of this group meets, in the kernel's order."""
        depth, area = self.kernel.shape[1], self.in_shape[1] * self.in_shape[2]
        first = group * depth
        cells = [[*numerators[c * area : (c + 1) * area], 0] for c in range(first, first + depth)]
        return [[cell[j] for cell in cells for j in window] for window in self._windows.table.tolist()]

    def dense(self) -> Dense:
        table = self._windows.table
        positions, area = table.shape[0], self.in_shape[1] * self.in_shape[2]
        out_channels, depth = self.kernel.shape[:2]
        flat = self.kernel.reshape(out_channels, depth, -1)
        weight = np.zeros((out_channels, positions, self.in_shape[0], area))
        position, tap = np.nonzero(table >= 0)
        for channel in range(out_channels):
            first = channel // (out_channels // self.groups) * depth
            for d in range(depth):
                # Two taps of a window never meet the same cell, so plain assignment is enough.
                weight[channel, position, first + d, table[position, tap]] = flat[channel, d, tap]
        return Dense(weight.reshape(self.out_size, self.in_size))
