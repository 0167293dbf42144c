"""Tightening the bounds of a layer on one sub-domain (FORMAT.md, section 6, step 1, and section 9)."""

from __future__ import annotations

import numpy as np
from numba import njit

from secateur.bounds.differences import LINEAR, RELU
from secateur.bounds.powers import floor_to_bits, kernel, power
from secateur.bounds.relaxing import LEADING, WHOLE, phases
from secateur.bounds.rounding import BITS
from secateur.bounds.rows import lower_rows

__all__ = ["refresh"]

CALLS_INTO = "f690811a5f3d7524"  # a digest of what this file calls into (see powers.py)
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""


@njit(cache=True, inline="always")
def _is_loose(v, first, layer, net, lower, upper):
    """Whether tighter bounds of neuron v would serve anybody."""
    kind = net.kinds[v]
    if kind == RELU:
        return lower[v] < 0.0 and upper[v] > 0.0
    if kind == LINEAR:
        return False
    known = phases(v, first, layer, net, lower, upper)
    return not (known[0] and known[2])


@njit(cache=True, inline="always")
def _choose_loose(k, net, lower, upper, s):
    """List the neurons of layer k that are to be tightened. Returns their number, and that of the leading ones."""
    start = net.neurons[k]
    for j in range(net.sizes[k]):
        s.wanted[j] = _is_loose(start + j, start, k, net, lower, upper)
    for j in range(net.leads[k], net.sizes[k]):
        partner = net.kinds[start + j]
        if partner >= 0 and s.wanted[j]:  # a partner's bounds tell in which phases a difference is
            known = phases(start + j, start, k, net, lower, upper)
            s.wanted[partner] = s.wanted[partner] or not (known[1] and known[3])
    count, leading = _INTEGER(0), _INTEGER(0)
    for j in range(net.sizes[k]):
        if s.wanted[j]:
            s.chosen[count] = j
            count += 1
            if j < net.leads[k]:
                leading = count
    return count, leading


@kernel
def refresh(k, net, low, high, lower, upper, s):
    """Tighten the unstable and difference neurons of layer k. False if bounds contradict each other, which sound ones cannot."""
    count, leading = _choose_loose(k, net, lower, upper, s)
    # The first network's neurons depend on nothing but themselves: their rows are shorter.
    return _tighten_chosen(k, _INTEGER(0), leading, net, LEADING, low, high, lower, upper, s) and _tighten_chosen(
        k, leading, count, net, WHOLE, low, high, lower, upper, s
    )


@njit(cache=True, inline="always")
def _tighten_chosen(k, begin, end, net, part, low, high, lower, upper, s):
    """Tighten the neurons chosen[begin:end] of layer k. False if bounds contradict each other."""
    if begin == end:
        return True
    start = net.neurons[k]
    count = 2 * (end - begin)
    for i in range(end - begin):
        s.targets[2 * i] = s.targets[2 * i + 1] = s.chosen[begin + i]
        s.signs[2 * i], s.signs[2 * i + 1] = 1.0, -1.0
    lower_rows(k, count, count, net, part, low, high, False, False, s)
    unit = power(-net.grids[k])
    for r in range(0, count, 2):
        v = start + s.targets[r]
        if s.constants[r] > -np.inf:
            lower[v] = max(lower[v], np.float32(floor_to_bits(s.constants[r], BITS) * unit))
        if s.constants[r + 1] > -np.inf:
            upper[v] = min(upper[v], np.float32(-floor_to_bits(s.constants[r + 1], BITS) * unit))
        if lower[v] > upper[v]:
            return False
        scale, other = power(-s.exponents[r]), power(-s.exponents[r + 1])
        for i in range(net.sizes[0]):
            s.influence[v, i] = 0.5 * (abs(s.row_inputs[r, i]) * scale + abs(s.row_inputs[r + 1, i]) * other)
    return True
