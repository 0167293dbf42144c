"""What float32 rounding takes from a row: one number for each neuron and sub-domain (FORMAT.md, section 11).

A float32 evaluation of neuron i is off by at most sum_j sigma_ij rbar_j on a sub-domain. `set_slack` sums that up in integers and
rounds it up to few bits; a row with multipliers mu then loses at most sum |mu_i| times that, which `weigh_slack` finds. All sums
are of integers, exact below 2**53 and recognised beyond. Networks that stand for functions over the reals have no slack
(`net.slack` is empty), and skip all this.
"""

from __future__ import annotations

import numpy as np

from secateur.bounds.microkernel import LANES
from secateur.bounds.powers import exponent_of, kernel, power
from secateur.bounds.relaxing import largest_value
from secateur.bounds.rounding import BITS, EXACT, SLACK_BITS

__all__ = ["set_slack", "weigh_slack"]

CALLS_INTO = "a38faddb467e2577"  # a digest of what this file calls into (see powers.py)
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""


@kernel
def set_slack(h, net, lower, upper, s):
    """Set s_i and f of layer h + 1 from the bounds of source h. False if a sum leaves the exact range."""
    size, first = net.sizes[h], net.neurons[h + 1]
    count, offset = net.sizes[h + 1], net.turned[h + 1]
    matrix = net.slack[offset : offset + count * (size + 1)].reshape((size + 1, count))
    sums = s.slack[first : first + count]
    fine = power(net.grids[h + 1] + BITS)
    for i in range(count):
        sums[i] = np.ceil(matrix[size, i] * fine)
    if h > 0:  # normalised inputs have none: it is in the bias column
        for j in range(size):
            rbar = largest_value(j, net.neurons[h], h, net, lower, upper)
            if rbar > 0.0:
                _add(sums, matrix[j], rbar * fine)
    largest = 0.0
    for i in range(count):
        largest = max(largest, sums[i])
    s.slack_exponents[h + 1] = _excess(largest)
    unit = power(-s.slack_exponents[h + 1])
    for i in range(count):
        sums[i] = np.ceil(sums[i] * unit)
    return largest < EXACT


@kernel
def _add(sums, column, factor):
    for i in range(len(sums)):
        sums[i] += np.ceil(column[i] * factor)


@kernel
def _excess(largest):
    """The smallest f >= 0 with `largest`, an integer, at most 2**(SLACK_BITS + f); 0 beyond the exact range."""
    if largest <= 2.0**SLACK_BITS or largest >= EXACT:
        return _INTEGER(0)
    # The exponent of largest - 1 is that of the power of two from `largest` on.
    return exponent_of(np.float64(largest - 1.0).view(np.int64)) - SLACK_BITS


@kernel
def weigh_slack(h, first, net, size, s):
    """What a tile of rows of multipliers of the first `size` neurons of layer h that count lose, in units of 2**f."""
    losses = s.slack_weights[first : first + LANES]
    for lane in range(LANES):
        losses[lane] = 0.0
    for c in range(size):
        own, row = s.slack[net.neurons[h] + s.alive[h, c]], s.rows[LANES * c : LANES * (c + 1)]
        for lane in range(LANES):
            losses[lane] += abs(row[lane]) * own
