"""Sub-domains: refresh, claims, contraction and splits of a batch (FORMAT.md, sections 5 and 6).

Plain arrays in, plain arrays changed in place; the typed layer is bounds/batch.py. Start reading at `evaluate_batch`. Bounds come
from rows.py and are exact; only `_propagate` and `_improve_slopes`, which *choose* slopes, and the split score round, and the
former do so in a fixed order of IEEE operations, which a checker repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from secateur.bounds.quantised import KernelNetwork
from secateur.bounds.rounding import BITS, GRID_BITS
from secateur.bounds.rows import REACH, floor_to_bits, lower_rows, new_scratch, power, set_reach

__all__ = ["Work", "evaluate_batch"]

Floats = NDArray[np.float64]

_UNIT = 2.0**GRID_BITS
_FIRST_STEP = 4.0
_STEP_DECAY = 0.75


class Work(NamedTuple):
    """A batch of B sub-domains, changed in place.

    box_low, box_high : (B, n_0) integers 0 .. 2**24; lower, upper : (B, neurons) float32, bounds with 24 bits;
    open_claims : (B, C); claims : (C, 3) layer, neuron, sign; steps : slope optimisation steps;
    split : (B,) coordinate to split, -1 for a leaf, -2 where no coordinate can be split, -3 for contradictory bounds;
    hits : (B, C) whether a float evaluation found the claim violated; hit_points : (B, n_0), in units of 2**-24;
    margins : (B, C) value of the best row in units of the claim's layer (closed claims: at least 0).
    rows : (B, C, n_0) coefficients of the best row over the normalised input.
    """

    box_low: Floats
    box_high: Floats
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    open_claims: NDArray[np.bool_]
    claims: NDArray[np.int64]
    steps: int
    split: NDArray[np.int64]
    hits: NDArray[np.bool_]
    hit_points: Floats
    margins: Floats
    rows: Floats


@njit(cache=True)
def _default_slopes(first, last, lower, upper, alphas):
    for v in range(first, last):
        alphas[v] = 1.0 if upper[v] > -lower[v] else 0.0


@njit(cache=True)
def _refresh(k, net, low, high, lower, upper, s):
    """Tighten the unstable neurons of layer k. False if bounds contradict each other, which a sound bound cannot do."""
    start = net.neurons[k]
    count = 0
    for j in range(net.sizes[k]):
        if lower[start + j] < 0.0 and upper[start + j] > 0.0:
            s.targets[count] = j
            s.signs[count] = 1.0
            s.targets[count + 1] = j
            s.signs[count + 1] = -1.0
            count += 2
    if count == 0:
        return True
    lower_rows(k, count, net, low, high, lower, upper, s.alphas, s)
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


@njit(cache=True)
def _relaxed_outputs(z, lower, upper, slopes, coefficients, outputs, size):
    """Outputs of the relaxed neurons of one layer (section 5), in IEEE doubles."""
    for i in range(size):
        low, high = np.float64(lower[i]), np.float64(upper[i])
        gap = high - low
        chord = (high / (gap if gap > 0.0 else 1.0)) * (z[i] - low)
        unstable = slopes[i] * z[i] if coefficients[i] >= 0.0 else chord
        outputs[i] = 0.0 if high <= 0.0 else (z[i] if low >= 0.0 else unstable)


@njit(cache=True)
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


@njit(cache=True)
def _propagate(last, net, lower, upper, relaxed, s):
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
            part = slice(first, first + n)
            _relaxed_outputs(z, lower[part], upper[part], s.alphas[part], s.coefficients[part], s.outputs, n)
        else:
            for i in range(n):
                s.outputs[i] = max(z[i], 0.0)


@njit(cache=True)
def _improve_slopes(k, step, net, low, high, lower, upper, s):
    """Section 5: move the slopes along the subgradient at the row's minimiser."""
    for j in range(net.sizes[0]):
        s.point[j] = (low[j] if s.rows[0, j] > 0.0 else high[j]) / _UNIT
    _propagate(k - 1, net, lower, upper, True, s)
    for v in range(net.neurons[k]):
        if lower[v] < 0.0 and upper[v] > 0.0 and s.coefficients[v] > 0.0:
            high_v, low_v = np.float64(upper[v]), np.float64(lower[v])
            moved = s.alphas[v] + step * (s.values[v] / (high_v - low_v))
            s.alphas[v] = min(1.0, max(0.0, moved))


@njit(cache=True)
def _bound_claim(claim, steps, net, low, high, lower, upper, s):
    """Section 5: the best row for one claim (layer, neuron, sign). Returns (value, exponent); best_row, best_coefficients."""
    k = claim[0]
    best, exponent = -np.inf, 0
    _default_slopes(0, net.neurons[k], lower, upper, s.alphas)
    step = _FIRST_STEP
    for it in range(steps + 1):
        s.targets[0] = claim[1]
        s.signs[0] = np.float64(claim[2])
        lower_rows(k, 1, net, low, high, lower, upper, s.alphas, s)
        value = s.constants[0]
        if value > best:
            best = value
            exponent = s.exponents[0]
            for i in range(net.sizes[0]):
                s.best_row[i] = s.row_inputs[0, i]
            for v in range(net.neurons[k]):
                s.best_coefficients[v] = s.coefficients[v]
        if best >= 0.0 or it == steps or value == -np.inf:
            break
        _improve_slopes(k, step, net, low, high, lower, upper, s)
        step *= _STEP_DECAY
    return best, exponent


@njit(cache=True)
def _shrink(value, exponent, grid, net, low, high, s):
    """Section 6, step 4, for one open claim: widen new_low .. new_high by what the claim leaves."""
    for i in range(net.sizes[0]):
        keep_low, keep_high = low[i], high[i]
        a = s.best_row[i]
        width = high[i] - low[i]
        shift = GRID_BITS + exponent - grid
        if value > -np.inf and a != 0.0 and abs(shift) <= REACH:
            need = np.ceil(-value * power(shift))
            size = abs(a)
            if need < width * size:
                # need < 2**48 and size < 2**25: the rounded quotient cannot cross an integer, so its floor is exact.
                d = np.floor(need / size) + 1.0
                if d < width:
                    if a > 0.0:
                        keep_high = low[i] + d
                    else:
                        keep_low = high[i] - d
        s.new_low[i] = min(s.new_low[i], keep_low)
        s.new_high[i] = max(s.new_high[i], keep_high)


@njit(cache=True)
def _look_for_violation(b, c, k, net, low, high, work, s):
    """Evaluate the network in floats where the claim's row is smallest; a hit is a candidate for exact replay."""
    for j in range(net.sizes[0]):
        corner = low[j] if s.best_row[j] > 0.0 else high[j]
        s.point[j] = corner / _UNIT
    _propagate(k, net, work.lower[b], work.upper[b], False, s)
    z = s.values[net.neurons[k] : net.neurons[k + 1]]
    if z[work.claims[c, 1]] * work.claims[c, 2] < 0.0:
        work.hits[b, c] = True
        for j in range(net.sizes[0]):
            work.hit_points[b, j] = s.point[j] * _UNIT


@njit(cache=True)
def _collect_losses(k, net, lower, upper, s, exponent):
    """What relaxing each unstable neuron costs the claim's row: the split score's first factor."""
    scale = power(-exponent) if abs(exponent) <= REACH else 0.0
    for v in range(net.neurons[k]):
        low, high = np.float64(lower[v]), np.float64(upper[v])
        if low < 0.0 and high > 0.0:
            a = s.best_coefficients[v]
            area = min(high, -low) if a >= 0.0 else -low * high / (high - low)
            s.losses[v] += abs(a) * area * scale


@njit(cache=True)
def _best_split(kmax, net, lower, upper, s):
    """The coordinate whose halving promises most; -2 where none is wider than one grid step.

    Score: sum over unstable neurons of loss x |input coefficient| x width / (u - l), plus a quarter of the claim rows'
    |coefficient| x width. Any choice is sound.
    """
    n = net.sizes[0]
    for v in range(net.neurons[kmax]):
        if s.losses[v] > 0.0:
            share = s.losses[v] / (np.float64(upper[v]) - np.float64(lower[v]))
            for i in range(n):
                s.scores[i] += share * s.influence[v, i]
    best, choice = -1.0, -2
    for i in range(n):
        width = s.new_high[i] - s.new_low[i]
        score = s.scores[i] * width
        if width >= 2.0 and score > best:
            best, choice = score, i
    return choice


@njit(cache=True)
def _tighten(b, net, work, s):
    """Refresh all layers before the last that an open claim is about. Returns that layer, or -1 on contradictory bounds."""
    kmax = 0
    for c in range(len(work.claims)):
        if work.open_claims[b, c]:
            kmax = max(kmax, work.claims[c, 0])
    lower, upper = work.lower[b], work.upper[b]
    s.influence[: net.neurons[kmax]] = 0.0
    s.losses[: net.neurons[kmax]] = 0.0
    s.scores[:] = 0.0
    if kmax > 0:
        set_reach(0, net, upper, s)
    for k in range(1, kmax):
        if not _refresh(k, net, work.box_low[b], work.box_high[b], lower, upper, s):
            return -1
        _default_slopes(net.neurons[k], net.neurons[k + 1], lower, upper, s.alphas)
        set_reach(k, net, upper, s)
    return kmax


@njit(cache=True)
def _try_claim(b, c, net, work, s):
    """One open claim: close it, or collect what it says about contraction, splitting and violations."""
    low, high, lower, upper = work.box_low[b], work.box_high[b], work.lower[b], work.upper[b]
    k = work.claims[c, 0]
    value, exponent = _bound_claim(work.claims[c], work.steps, net, low, high, lower, upper, s)
    work.margins[b, c] = value
    if value > -np.inf:
        scale = power(-exponent)
        for i in range(net.sizes[0]):
            work.rows[b, c, i] = s.best_row[i] * scale
    if value >= 0.0:
        work.open_claims[b, c] = False
        return
    _shrink(value, exponent, net.grids[k], net, low, high, s)
    if value > -np.inf:
        for i in range(net.sizes[0]):
            s.scores[i] += 0.25 * abs(work.rows[b, c, i])
        _collect_losses(k, net, lower, upper, s, exponent)
        _look_for_violation(b, c, k, net, low, high, work, s)


@njit(cache=True)
def _evaluate(b, net, work, s):
    """One node: refresh, claims, contraction, split choice (FORMAT.md, section 6)."""
    kmax = _tighten(b, net, work, s)
    if kmax < 0:
        work.split[b] = -3
        return
    low, high = work.box_low[b], work.box_high[b]
    for i in range(net.sizes[0]):
        s.new_low[i], s.new_high[i] = high[i], low[i]
    still_open = 0
    for c in range(len(work.claims)):
        if work.open_claims[b, c]:
            _try_claim(b, c, net, work, s)
            still_open += work.open_claims[b, c]
    if still_open == 0:
        work.split[b] = -1
        return
    work.split[b] = _best_split(kmax, net, work.lower[b], work.upper[b], s)
    for i in range(net.sizes[0]):
        low[i], high[i] = s.new_low[i], s.new_high[i]


@njit(cache=True, parallel=True)
def evaluate_batch(net: KernelNetwork, work: Work, workers: int) -> None:
    """Evaluate every sub-domain of a batch, in place; `workers` slices run side by side, each with its own scratch."""
    batch = len(work.box_low)
    for w in prange(workers):
        s = new_scratch(net)
        for b in range(w, batch, workers):
            _evaluate(b, net, work, s)
