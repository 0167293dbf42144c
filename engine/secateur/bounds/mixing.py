"""Weights for the rows of a goal that are bounded together (FORMAT.md, section 8).

Any weights are sound: they are chosen in IEEE doubles, rounded to integers, and the mixed row is bounded exactly.
"""

from __future__ import annotations

import numpy as np

from secateur.bounds.powers import REACH, copy, kernel, power
from secateur.bounds.rounding import GRID_BITS
from secateur.bounds.rows import MIX_BITS

__all__ = ["as_slants", "mixed_threshold", "weigh"]

CALLS_INTO = "619632db6f3b0d98"  # a digest of what this file calls into (see powers.py)
_SHIFTS = 48
_FIRST_SHIFT = 0.8
_SHIFT_DECAY = 0.93


@kernel
def as_slants(k, count, net, low, high, s):
    """The rows of a goal as floats over the box's own coordinates in [0, 1], each divided by its size. False if one is void."""
    n = net.sizes[0]
    unit = power(-net.grids[k])
    for r in range(count):
        if s.constants[r] == -np.inf or abs(s.exponents[r]) > REACH - GRID_BITS:
            return False
        scale = power(-s.exponents[r] - GRID_BITS)
        constant = s.constants[r] * unit
        size = 0.0
        for i in range(n):
            a = s.row_inputs[r, i] * scale * (high[i] - low[i])
            constant -= min(0.0, a)
            s.slant[r, i] = a
            size += abs(a)
        size += abs(constant)
        s.slant[r, n] = constant
        s.trial[r] = 1.0 / size if size > 0.0 else 1.0
        for i in range(n + 1):
            s.slant[r, i] *= s.trial[r]
    return True


@kernel
def weigh(count, n, low, high, s):
    """Weights of a goal's rows, by multiplicative updates on max over weights of min over the box; any weights are sound.

    Sets mix (integers up to 2**20) and middle, a point of the box where the rows are about as small as they can be together.
    """
    s.share[:count] = 1.0 / count
    copy(s.share, s.mix, count)
    s.middle[:] = 0.0
    best, step, travelled = -np.inf, _FIRST_SHIFT, 0.0
    for _ in range(_SHIFTS):
        value = _lowest_corner(count, n, s)
        for i in range(n):
            s.middle[i] += step * s.point[i]
        travelled += step
        if value > best:
            best = value
            copy(s.share, s.mix, count)
        _shift(count, n, step, s)
        step *= _SHIFT_DECAY
    for i in range(n):
        s.middle[i] = low[i] + (high[i] - low[i]) * (s.middle[i] / travelled)
    largest = 0.0
    for r in range(count):
        s.mix[r] *= s.trial[r]
        largest = max(largest, s.mix[r])
    for r in range(count):
        s.mix[r] = np.rint(s.mix[r] / largest * 2.0**MIX_BITS)


@kernel
def _lowest_corner(count, n, s):
    """The smallest value over the box of the rows weighted by `share`; `point` is the corner (in [0, 1]) where it is taken."""
    value = 0.0
    for r in range(count):
        value += s.share[r] * s.slant[r, n]
    for i in range(n):
        a = 0.0
        for r in range(count):
            a += s.share[r] * s.slant[r, i]
        value += min(0.0, a)
        s.point[i] = 1.0 if a < 0.0 else 0.0
    return value


@kernel
def _shift(count, n, step, s):
    """Move weight towards the rows that are large at `point`."""
    total = 0.0
    for r in range(count):
        gain = s.slant[r, n]
        for i in range(n):
            gain += s.slant[r, i] * s.point[i]
        s.share[r] *= 1.0 + step * gain
        total += s.share[r]
    for r in range(count):
        s.share[r] /= total


@kernel
def mixed_threshold(count, s):
    """The least value of the mixed row that refutes the goal: 0 if one of its summands must be negative."""
    for r in range(count):
        if s.mix[r] >= 1.0 and s.thresholds[r] == 0.0:
            return 0.0
    return 1.0
