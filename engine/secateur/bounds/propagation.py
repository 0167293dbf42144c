"""Values of a network, or of its relaxation, at one point, in IEEE doubles (FORMAT.md, section 5).

They choose slopes, and look for points against a goal; no bound rests on them. Those that choose slopes follow a fixed order of
operations, which a checker repeats.
"""

from __future__ import annotations

import numpy as np

from secateur.bounds.differences import FREE, LINE, LINEAR, RELU, lower_form, upper_form, value_range
from secateur.bounds.powers import kernel
from secateur.bounds.relaxing import phases
from secateur.bounds.rounding import GRID_BITS

__all__ = ["UNIT", "improve_slopes", "propagate"]

UNIT = 2.0**GRID_BITS


@kernel
def _relaxed_outputs(h, net, lower, upper, s):
    """Outputs of the relaxed neurons of layer h (section 5), in IEEE doubles."""
    first = net.neurons[h]
    for i in range(net.sizes[h]):
        v = first + i
        z, low, high = s.values[v], np.float64(lower[v]), np.float64(upper[v])
        upward = s.coefficients[v] >= 0.0
        kind = net.kinds[v]
        if kind == RELU:
            gap = high - low
            chord = (high / (gap if gap > 0.0 else 1.0)) * (z - low)
            s.outputs[i] = 0.0 if high <= 0.0 else (z if low >= 0.0 else (s.alphas[v] * z if upward else chord))
        elif kind == LINEAR:
            s.outputs[i] = z
        else:
            known = phases(v, first, h, net, lower, upper)
            base_low, base_high = np.float64(lower[first + kind]), np.float64(upper[first + kind])
            least, most = value_range(low, high, base_low, base_high, net.growth[h], known)
            if upward:
                form, slope = lower_form(low, high, least, known)
                corner, value = max(0.0, high), least
            else:
                form, slope = upper_form(low, high, most, known)
                corner, value = min(0.0, low), most
            s.outputs[i] = slope * z if form == FREE else (slope * (z - corner) if form == LINE else value)


@kernel
def _outputs(h, net, s):
    """Outputs of the neurons of layer h themselves, in IEEE doubles."""
    first = net.neurons[h]
    for i in range(net.sizes[h]):
        z = s.values[first + i]
        kind = net.kinds[first + i]
        if kind == RELU:
            s.outputs[i] = max(z, 0.0)
        elif kind == LINEAR:
            s.outputs[i] = z
        else:
            base = s.values[first + kind]
            s.outputs[i] = (max(0.0, base + z / net.growth[h]) - max(0.0, base)) * net.growth[h]


@kernel
def _affine(matrix, scales, m, n, x, scaled, alive, z):
    """z = M (x, 1) in IEEE doubles, summands in ascending order; `matrix` is column-major, its last column the bias."""
    count = 0
    for j in range(m):
        if x[j] != 0.0:
            alive[count] = j
            scaled[count] = x[j] * scales[j]
            count += 1
    bias, scale = matrix[m], scales[m]
    for i in range(n):
        z[i] = bias[i] * scale
    whole = count - count % 4
    for c in range(0, whole, 4):
        w0, w1, w2, w3 = matrix[alive[c]], matrix[alive[c + 1]], matrix[alive[c + 2]], matrix[alive[c + 3]]
        x0, x1, x2, x3 = scaled[c], scaled[c + 1], scaled[c + 2], scaled[c + 3]
        for i in range(n):
            z[i] = (((z[i] + w0[i] * x0) + w1[i] * x1) + w2[i] * x2) + w3[i] * x3
    for c in range(whole, count):
        w0, x0 = matrix[alive[c]], scaled[c]
        for i in range(n):
            z[i] = z[i] + w0[i] * x0


@kernel
def propagate(last, net, lower, upper, relaxed, s):
    """Float values of layers 1 .. last at `point`, through the network or its relaxation for the last row."""
    for j in range(net.sizes[0]):
        s.outputs[j] = s.point[j]
    for h in range(1, last + 1):
        m, n = net.sizes[h - 1], net.sizes[h]
        first, column, offset = net.neurons[h], net.columns[h], net.turned[h]
        matrix = net.transposed[offset : offset + n * (m + 1)].reshape((m + 1, n))
        z = s.values[first : first + n]
        _affine(matrix, net.scales[column : column + m + 1], m, n, s.outputs, s.terms, s.alive, z)
        if relaxed:
            _relaxed_outputs(h, net, lower, upper, s)
        else:
            _outputs(h, net, s)


@kernel
def improve_slopes(k, step, net, low, high, lower, upper, s):
    """Section 5: move the slopes along the subgradient at the row's minimiser."""
    for j in range(net.sizes[0]):
        s.point[j] = (low[j] if s.rows[0, j] > 0.0 else high[j]) / UNIT
    propagate(k - 1, net, lower, upper, True, s)
    for v in range(net.neurons[k]):
        if net.kinds[v] == RELU and lower[v] < 0.0 and upper[v] > 0.0 and s.coefficients[v] > 0.0:
            high_v, low_v = np.float64(upper[v]), np.float64(lower[v])
            moved = s.alphas[v] + step * (s.values[v] / (high_v - low_v))
            s.alphas[v] = min(1.0, max(0.0, moved))
