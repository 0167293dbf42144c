"""Sliding windows over a plane: the geometry that convolutions and poolings share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """Windows of a (height, width) plane; fields as in `Conv`. ValueError where not one window fits."""

    in_shape: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.strides, *self.dilations) < 1 or min(self.pads) < 0 or min(self.out_shape) < 1:
            raise ValueError(f"no window of shape {self.kernel} fits into a plane of shape {self.in_shape}")

    @property
    def out_shape(self) -> tuple[int, int]:
        """Number of windows (down, across)."""
        return (self._slack(0) // self.strides[0] + 1, self._slack(1) // self.strides[1] + 1)

    @property
    def covers_all(self) -> bool:
        """Whether the strides end at the far edge, so that rounding the count up or down is the same."""
        return all(self._slack(axis) % self.strides[axis] == 0 for axis in (0, 1))

    def _slack(self, axis: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        return self.in_shape[axis] + self.pads[axis] + self.pads[axis + 2] - reach

    @cached_property
    def table(self) -> NDArray[np.intp]:
        """Shape (windows, taps), both row-major: the flat cell each tap meets, or -1 for padding."""
        rows, columns = self._cells(0), self._cells(1)
        inside = (rows >= 0)[:, None, :, None] & (columns >= 0)[None, :, None, :]
        cells = rows[:, None, :, None] * self.in_shape[1] + columns[None, :, None, :]
        return np.where(inside, cells, -1).reshape(rows.shape[0] * columns.shape[0], -1)

    def _cells(self, axis: int) -> NDArray[np.intp]:
        """Coordinates along one axis, shape (windows, taps), with -1 outside."""
        starts = np.arange(self.out_shape[axis]) * self.strides[axis] - self.pads[axis]
        cells = starts[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
        return np.where((cells >= 0) & (cells < self.in_shape[axis]), cells, -1)
