"""Relaxing one layer's neurons: slopes, constants, and what the exchange of coefficients for multipliers costs.

FORMAT.md, section 4, step 4, and section 9. Start reading at `prepare_relaxation` and `relax`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from secateur.bounds.differences import LINE, LINEAR, RELU, VALUE, lower_form, phases_of, upper_form, value_range
from secateur.bounds.microkernel import LANES, exchange_tile
from secateur.bounds.powers import REACH, kernel, power

__all__ = ["LEADING", "WHOLE", "clear", "default_slope", "largest_value", "phases", "prepare_relaxation", "relax"]

CALLS_INTO = "06bc1daaf8f0161c"  # a digest of what this file calls into (see powers.py)
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""
LEADING, WHOLE = np.int64(0), np.int64(1)
"""Parts of layers that rows may depend on: the first network's neurons, or all."""


@njit(cache=True, inline="always")
def phases(v, first, layer, net, lower, upper):
    """Known phases of difference neuron v of a layer whose neurons begin at `first`."""
    p = first + net.kinds[v]
    return phases_of(np.float64(lower[v]), np.float64(upper[v]), np.float64(lower[p]), np.float64(upper[p]), net.growth[layer])


@kernel
def clear(row, size):
    for j in range(size):
        row[j] = 0.0


@njit(cache=True, inline="always")
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
def default_slope(low, high):
    """The slope of an unstable neuron for coefficients >= 0, as long as nobody has chosen another."""
    return 1.0 if high > -low else 0.0


@kernel
def prepare_relaxation(h, net, lower, upper, s):
    """Slopes, bounds and constants of those neurons of layer h that count on this sub-domain; exact ones need no relaxing.

    Rows of the leading part read no others: slopes of those behind them meet coefficients of 0 only. Neurons that are constantly
    0 count for nothing in a row.
    """
    start, leads, slopes, alive, loose = net.neurons[h], net.leads[h], s.slopes[h], s.alive[h], s.loose[h]
    column = net.columns[h + 1]
    count, choices, steady = _INTEGER(0), _INTEGER(0), _INTEGER(0)
    for j in range(net.sizes[h]):
        if j == leads:
            s.alive_counts[h, LEADING], s.steady_counts[h, LEADING] = count, steady
        v = start + j
        low, high = np.float64(lower[v]), np.float64(upper[v])
        kind = net.kinds[v]
        if kind == RELU:
            lives = high > 0.0
            if low < 0.0 and lives:
                _set_slopes(slopes, count, default_slope(low, high), high / (high - low))
                slopes[2, count], slopes[3, count] = low, high
                loose[choices] = count
                choices += 1
            elif lives:
                _set_slopes(slopes, count, 1.0, 1.0)
        elif kind == LINEAR:
            lives = True
            _set_slopes(slopes, count, 1.0, 1.0)
        else:
            p = start + kind
            base_low, base_high = np.float64(lower[p]), np.float64(upper[p])
            known = phases_of(low, high, base_low, base_high, net.growth[h])
            lives = not (known[0] and known[2])
            if lives:
                least, most = value_range(low, high, base_low, base_high, net.growth[h], known)
                steady = _set_difference_slopes(steady, h, count, low, high, least, most, known, s)
        if lives:
            s.scales[column + count] = net.scales[column + j]
            alive[count] = j
            count += 1
    if leads == net.sizes[h]:
        s.alive_counts[h, LEADING], s.steady_counts[h, LEADING] = count, steady
    s.alive_counts[h, WHOLE], s.steady_counts[h, WHOLE] = count, steady
    s.loose_counts[h] = choices


@njit(cache=True, inline="always")
def _set_slopes(slopes, j, positive, negative):
    """Slopes of one neuron that cost nothing."""
    slopes[0, j], slopes[1, j] = positive, negative
    slopes[2, j] = slopes[3, j] = slopes[4, j] = slopes[5, j] = 0.0


@kernel
def _set_difference_slopes(steady, h, j, low, high, least, most, known, s):
    """Slopes of the difference neuron at place j with values in [least, most], and what they cost (section 9).

    Returns the number of neurons with a constant, counting this one if it has one.
    """
    below, above = min(0.0, low), max(0.0, high)
    lower, positive = lower_form(low, high, least, known)
    upper, negative = upper_form(low, high, most, known)
    slopes = s.slopes[h]
    _set_slopes(slopes, j, positive, negative)
    if lower == LINE:
        slopes[4, j], slopes[5, j] = above, below
    if upper == LINE:
        slopes[2, j], slopes[3, j] = below, above
    if VALUE in (lower, upper):
        s.steady[h, steady] = j
        s.constant_low[h, steady] = least if lower == VALUE else 0.0
        s.constant_high[h, steady] = most if upper == VALUE else 0.0
        steady += 1
    return steady


@njit(cache=True, inline="always")
def relax(k, h, first, count, net, part, chosen, s):
    """Step 4: from coefficients of r_j to multipliers of z_j, and what the exchange costs, for a tile of `count` rows at layer h.

    chosen : whether each row has slopes of its own, `alphas` at its place.
    """
    size, state = s.alive_counts[h, part], (s.exponents, s.constants, s.weights)
    if s.steady_counts[h, part] > 0:
        _add_steady(k, h, first, net, part, s)
    if chosen:
        _spread_slopes(h, first, count, size, net, s)
    exchange_tile(s.rows, s.slopes[h], s.own, chosen, size, net.grids[k], state, first, s.totals, s.magnitudes)
    if s.steady_counts[h, part] > 0:
        clear(s.totals, LANES)
        clear(s.magnitudes, LANES)


@kernel
def _add_steady(k, h, first, net, part, s):
    """What the neurons with a constant in place of a slope add to the rows of a tile."""
    for lane in range(LANES):
        shift = net.grids[k] - s.exponents[first + lane]
        unit = power(shift) if abs(shift) <= REACH else 0.0
        for i in range(s.steady_counts[h, part]):
            a = s.rows[LANES * s.steady[h, i] + lane]
            term = np.floor(a * (s.constant_low[h, i] if a >= 0.0 else s.constant_high[h, i]) * unit)
            s.totals[lane] += term
            s.magnitudes[lane] += abs(term)


@njit(cache=True, inline="always")
def _spread_slopes(h, first, count, size, net, s):
    """A tile of the rows' slopes: the default ones, and their own where there is a choice."""
    for c in range(size):
        for lane in range(LANES):
            s.own[LANES * c + lane] = s.slopes[h, 0, c]
    for i in range(s.loose_counts[h]):
        c = s.loose[h, i]
        for lane in range(count):
            s.own[LANES * c + lane] = s.alphas[s.places[first + lane], net.neurons[h] + s.alive[h, c]]
