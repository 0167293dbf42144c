"""The weights of a mixed row (section 8 of the format, step 2): which sum of a goal's rows has the greatest lower bound.

IEEE doubles in exactly the order of the format, so that every machine and both arithmetics choose the same integers.
Whatever they choose, the row that is mixed with them is a valid one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from secateur.checker.nodes import MIXED_EXPONENT

__all__ = ["Line", "mixing_weights"]

UPDATES = 48


@dataclass(frozen=True)
class Line:
    """A row as it is on a box: value at the least corner 2^-grid, coefficients 2^-exponent (section 4)."""

    value: int
    exponent: int
    coefficients: Sequence[int]


def _normalised(line: Line, grid: int, widths: Sequence[int]) -> tuple[float, list[float], float]:
    """(c, g, t): the row at the lower corner of the box and its rise along each coordinate, times t; their sizes add up to 1."""
    c, unit, size = line.value * math.ldexp(1.0, -grid), math.ldexp(1.0, -line.exponent - 24), 0.0
    slopes = [(a * unit) * width for a, width in zip(line.coefficients, widths, strict=True)]
    for g in slopes:
        c = c - min(0.0, g)
        size = size + abs(g)
    size = size + abs(c)
    t = 1.0 / size if size != 0.0 else 1.0
    return c * t, [g * t for g in slopes], t


def _least(shares: list[float], constants: list[float], slopes: list[list[float]]) -> tuple[float, list[bool]]:
    """The least value of the mixed row over the box, and in which coordinates it is taken at the upper end."""
    value, ends = 0.0, []
    for share, c in zip(shares, constants, strict=True):
        value = value + share * c
    for column in zip(*slopes, strict=True):
        total = 0.0
        for share, g in zip(shares, column, strict=True):
            total = total + share * g
        value = value + min(0.0, total)
        ends.append(total < 0.0)
    return value, ends


def _updated(
    shares: list[float], constants: list[float], slopes: list[list[float]], ends: list[bool], step: float
) -> list[float]:
    """Multiplicative weights: a row that is greater at the least point of the mixture gains."""
    total, raised = 0.0, []
    for share, gain, row in zip(shares, constants, slopes, strict=True):
        for g, upper in zip(row, ends, strict=True):
            gain = gain + g * upper  # noqa: PLW2901 - a running sum
        raised.append(share * (1.0 + step * gain))
        total = total + raised[-1]
    return [share / total for share in raised]


def mixing_weights(lines: Sequence[Line], grid: int, widths: Sequence[int]) -> list[int]:
    """The integers lambda of two or more rows on a box of these widths (in units of 2^-24)."""
    parts = [_normalised(line, grid, widths) for line in lines]
    constants, slopes = [part[0] for part in parts], [part[1] for part in parts]
    shares = mix = [1.0 / len(lines)] * len(lines)
    best, step = -math.inf, 0.8
    for _ in range(UPDATES):
        value, ends = _least(shares, constants, slopes)
        if value > best:
            best, mix = value, shares
        shares = _updated(shares, constants, slopes, ends, step)
        step = step * 0.93
    mix = [share * part[2] for share, part in zip(mix, parts, strict=True)]
    top = max(mix)
    return [round((share / top) * math.ldexp(1.0, MIXED_EXPONENT)) for share in mix]
