"""Relaxing one layer's neurons: slopes, constants, and what the exchange of coefficients for multipliers costs.

FORMAT.md, section 4, step 4, and section 9. Start reading at `layer_slopes` and `relax`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from secateur.bounds.differences import LINE, LINEAR, RELU, VALUE, lower_form, phases_of, upper_form, value_range
from secateur.bounds.microkernel import LANES, exchange_row
from secateur.bounds.powers import REACH, kernel, power
from secateur.bounds.rounding import VOID

__all__ = ["clear", "largest_value", "layer_slopes", "phases", "relax"]

_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""


@njit(cache=True, inline="always")
def phases(v, first, layer, net, lower, upper):
    """Known phases of difference neuron v of a layer whose neurons begin at `first`."""
    p = first + net.kinds[v]
    return phases_of(np.float64(lower[v]), np.float64(upper[v]), np.float64(lower[p]), np.float64(upper[p]), net.growth[layer])


@kernel
def clear(row, size):
    for j in range(size):
        row[j] = 0.0


@kernel
def largest_value(j, first, layer, net, lower, upper):
    """Largest magnitude of the value of neuron j of a layer whose neurons begin at `first`."""
    kind = net.kinds[first + j]
    low, high = np.float64(lower[first + j]), np.float64(upper[first + j])
    if kind == RELU:
        return max(0.0, high)
    if kind == LINEAR:
        return max(0.0, high, -low)
    p = first + kind
    base_low, base_high, growth = np.float64(lower[p]), np.float64(upper[p]), net.growth[layer]
    known = phases_of(low, high, base_low, base_high, growth)
    least, most = value_range(low, high, base_low, base_high, growth, known)
    return max(abs(least), abs(most))


@njit(cache=True, inline="always")
def layer_slopes(h, net, size, lower, upper, alphas, s):
    """Slopes and bounds of the first `size` neurons of layer h for `relax`, exact ones where nothing needs relaxing.

    Returns how many neurons are alive, and lists them; and how many have a constant in place of a slope on some side.
    """
    start = net.neurons[h]
    count, steady = _INTEGER(0), _INTEGER(0)
    for j in range(size, size + (-size) % LANES):
        _set_slopes(s.slopes, j, 0.0, 0.0)
    for j in range(size):
        v = start + j
        low, high = np.float64(lower[v]), np.float64(upper[v])
        kind = net.kinds[v]
        if kind == RELU:
            alive = high > 0.0
            if low < 0.0 and alive:
                _set_slopes(s.slopes, j, alphas[v], high / (high - low))
                s.slopes[2, j], s.slopes[3, j] = low, high
            else:
                _set_slopes(s.slopes, j, 1.0 if alive else 0.0, 1.0 if alive else 0.0)
        elif kind == LINEAR:
            alive = True
            _set_slopes(s.slopes, j, 1.0, 1.0)
        else:
            p = start + kind
            base_low, base_high = np.float64(lower[p]), np.float64(upper[p])
            known = phases_of(low, high, base_low, base_high, net.growth[h])
            alive = not (known[0] and known[2])
            least, most = value_range(low, high, base_low, base_high, net.growth[h], known)
            steady = _set_difference_slopes(steady, j, low, high, least, most, known, s)
        if alive:
            s.alive[count] = j
            count += 1
    return count, steady


@njit(cache=True, inline="always")
def _set_slopes(slopes, j, positive, negative):
    """Slopes of one neuron that cost nothing."""
    slopes[0, j], slopes[1, j] = positive, negative
    slopes[2, j] = slopes[3, j] = slopes[4, j] = slopes[5, j] = 0.0


@kernel
def _set_difference_slopes(steady, j, low, high, least, most, known, s):
    """Slopes of a difference neuron with values in [least, most], and what they cost (section 9).

    Returns the number of neurons with a constant, counting this one if it has one.
    """
    below, above = min(0.0, low), max(0.0, high)
    lower, positive = lower_form(low, high, least, known)
    upper, negative = upper_form(low, high, most, known)
    _set_slopes(s.slopes, j, positive, negative)
    if lower == LINE:
        s.slopes[4, j], s.slopes[5, j] = above, below
    if upper == LINE:
        s.slopes[2, j], s.slopes[3, j] = below, above
    if VALUE in (lower, upper):
        s.steady[steady] = j
        s.constant_low[steady] = least if lower == VALUE else 0.0
        s.constant_high[steady] = most if upper == VALUE else 0.0
        steady += 1
    return steady


@njit(cache=True, inline="always")
def relax(k, count, net, size, steady, s):
    """Step 4: from coefficients of r_j to multipliers of z_j, and what the exchange costs; `steady` neurons have constants."""
    for r in range(count):
        shift = net.grids[k] - s.exponents[r]
        row = s.rows[r]
        if abs(shift) > REACH:
            s.constants[r] = -np.inf
            clear(row, size)
            continue
        unit = power(shift)
        total, magnitude = 0.0, 0.0
        for i in range(steady):
            a = row[s.steady[i]]
            term = np.floor(a * (s.constant_low[i] if a >= 0.0 else s.constant_high[i]) * unit)
            total += term
            magnitude += abs(term)
        exchange_row(s.rows, r, s.slopes, size, unit, s.sums)
        cost = s.sums[0]
        s.weights[r] = s.sums[1]
        if magnitude - cost < VOID:
            s.constants[r] += cost + total
        else:
            s.constants[r] = -np.inf
