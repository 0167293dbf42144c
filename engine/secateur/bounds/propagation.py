"""Values of a network, or of its relaxation, at one point, in IEEE doubles (FORMAT.md, section 5).

They choose slopes, and look for points against a goal; no bound rests on them. Those that choose slopes follow a fixed order of
operations, which a checker repeats.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from secateur.bounds.differences import FREE, LINE, LINEAR, RELU, lower_form, upper_form, value_range
from secateur.bounds.microkernel import LANES, PANEL_COLUMNS, affine_panel
from secateur.bounds.powers import kernel
from secateur.bounds.relaxing import WHOLE, clear, phases
from secateur.bounds.rounding import GRID_BITS

__all__ = ["UNIT", "evaluate_at_point", "improve_slopes"]

CALLS_INTO = "c3b791e175eaadb1"  # a digest of what this file calls into (see powers.py)
UNIT = 2.0**GRID_BITS


@njit(cache=True, inline="always")
def _relaxed_outputs(h, place, net, lower, upper, s):
    """Outputs of the neurons of layer h, relaxed for the row at a place (section 5), in IEEE doubles."""
    first, slopes = net.neurons[h], s.slopes[h]
    coefficients, alphas, values = s.coefficients[place, first:], s.alphas[place, first:], s.values[first:]
    clear(s.outputs, net.sizes[h])
    for c in range(s.alive_counts[h, WHOLE]):
        # Factors of stable neurons are 1, so this holds for them as well.
        i = s.alive[h, c]
        upward, chord = alphas[i] * values[i], slopes[1, c] * (values[i] - slopes[2, c])
        s.outputs[i] = upward if coefficients[i] >= 0.0 else chord
    if net.leads[h] < net.sizes[h]:
        _relaxed_differences(h, place, net, lower, upper, s)


@kernel
def _relaxed_differences(h, place, net, lower, upper, s):
    """The same for those neurons of layer h that are no ReLUs."""
    first = net.neurons[h]
    for i in range(net.sizes[h]):
        v = first + i
        z, kind = s.values[v], net.kinds[v]
        if kind == LINEAR:
            s.outputs[i] = z
        elif kind != RELU:
            low, high = np.float64(lower[v]), np.float64(upper[v])
            known = phases(v, first, h, net, lower, upper)
            base_low, base_high = np.float64(lower[first + kind]), np.float64(upper[first + kind])
            least, most = value_range(low, high, base_low, base_high, net.growth[h], known)
            if s.coefficients[place, v] >= 0.0:
                form, slope = lower_form(low, high, least, known)
                corner, value = max(0.0, high), least
            else:
                form, slope = upper_form(low, high, most, known)
                corner, value = min(0.0, low), most
            s.outputs[i] = slope * z if form == FREE else (slope * (z - corner) if form == LINE else value)


@njit(cache=True, inline="always")
def _outputs(h, net, s):
    """Outputs of the neurons of layer h themselves, in IEEE doubles."""
    first = net.neurons[h]
    values = s.values[first:]
    for i in range(net.sizes[h]):
        s.outputs[i] = values[i] if values[i] > 0.0 else 0.0
    if net.leads[h] == net.sizes[h]:
        return
    for i in range(net.sizes[h]):
        kind = net.kinds[first + i]
        if kind == LINEAR:
            s.outputs[i] = values[i]
        elif kind != RELU:
            base = values[kind]
            s.outputs[i] = (max(0.0, base + values[i] / net.growth[h]) - max(0.0, base)) * net.growth[h]


@njit(cache=True, inline="always")
def _affine(matrix, scales, m, n, x, scaled, nonzero, z, first):
    """z[first:] = M (x, 1) in IEEE doubles, summands in ascending order; `matrix` is column-major, its last column the bias."""
    count = 0
    for j in range(m):  # without a branch, which nobody could predict
        nonzero[count] = j
        scaled[count] = x[j] * scales[j]
        count += x[j] != 0.0
    if n < LANES:
        for i in range(n):
            total = matrix[m, i] * scales[m]
            for c in range(count):
                total = total + matrix[nonzero[c], i] * scaled[c]
            z[first + i] = total
        return
    for c in range(0, n, PANEL_COLUMNS):
        affine_panel(matrix, scaled, nonzero, count, scales[m], z, first, c, min(n, c + PANEL_COLUMNS))


@njit(cache=True, inline="always")
def _pre_activations(h, net, s):
    """Values of layer h from the outputs of the layer before."""
    m, n = net.sizes[h - 1], net.sizes[h]
    first, column, offset = net.neurons[h], net.columns[h], net.turned[h]
    matrix = net.transposed[offset : offset + n * (m + 1)].reshape((m + 1, n))
    _affine(matrix, net.scales[column : column + m + 1], m, n, s.outputs, s.terms, s.nonzero, s.values, first)


@kernel
def evaluate_at_point(last, net, s):
    """Float values of layers 1 .. last at `point`."""
    for j in range(net.sizes[0]):
        s.outputs[j] = s.point[j]
    for h in range(1, last + 1):
        _pre_activations(h, net, s)
        _outputs(h, net, s)


@kernel
def improve_slopes(k, r, place, step, net, low, high, lower, upper, s):
    """Section 5: move the slopes of row r, which are at `place`, along the subgradient at the row's minimiser."""
    for j in range(net.sizes[0]):
        s.outputs[j] = (low[j] if s.row_inputs[r, j] > 0.0 else high[j]) / UNIT
    coefficients, alphas = s.coefficients[place], s.alphas[place]
    for h in range(1, k):
        _pre_activations(h, net, s)
        _relaxed_outputs(h, place, net, lower, upper, s)
    for h in range(1, k):
        first = net.neurons[h]
        for i in range(s.loose_counts[h]):
            v = first + s.alive[h, s.loose[h, i]]
            if coefficients[v] > 0.0:
                high_v, low_v = np.float64(upper[v]), np.float64(lower[v])
                moved = alphas[v] + step * (s.values[v] / (high_v - low_v))
                alphas[v] = min(1.0, max(0.0, moved))
