"""Sub-domains: refresh, goals, contraction and splits of a batch (FORMAT.md, sections 5 and 6).

A *goal* is a set of target rows s z of one layer, and what is to be shown on a sub-domain is that they are not all negative (or
not all <= 0) at once: some sum of them with weights >= 0 is not. A claim about a neuron's phase is a goal of one row.

Plain arrays in, plain arrays changed in place; the typed layer is bounds/batch.py. Start reading at `evaluate_batch`. Bounds come
from rows.py and are exact; only `_propagate` and `_improve_slopes`, which *choose* slopes, and the split score round, and the
former do so in a fixed order of IEEE operations, which a checker repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from secateur.bounds.differences import LINEAR, RELU, chord_down, chord_up, phases_of
from secateur.bounds.quantised import KernelNetwork
from secateur.bounds.rounding import BITS, GRID_BITS
from secateur.bounds.rows import (
    MIX_BITS,
    REACH,
    floor_to_bits,
    kernel,
    lower_rows,
    new_scratch,
    power,
    set_reach,
)

__all__ = ["Work", "evaluate_batch"]

Floats = NDArray[np.float64]

_UNIT = 2.0**GRID_BITS
_FIRST_STEP = 4.0
_STEP_DECAY = 0.75
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""
_SHIFTS = 48
_FIRST_SHIFT = 0.8
_SHIFT_DECAY = 0.93


class Work(NamedTuple):
    """A batch of B sub-domains, changed in place.

    box_low, box_high : (B, n_0) integers 0 .. 2**24; lower, upper : (B, neurons) float32, bounds with 24 bits;
    open_goals : (B, C); goals : (C, 2) first target, number of targets; targets : (T, 4) layer, neuron, sign, least value of the
    row that closes its goal (0 or 1, in units of the layer's grid); steps : slope optimisation steps;
    split : (B,) coordinate to split, -1 for a leaf, -2 where no coordinate can be split, -3 for contradictory bounds;
    hits : (B, C) whether a float evaluation violates the goal; hit_points : (B, n_0), in units of 2**-24;
    margins : (B, C) value of the best row in units of the goal's layer.
    rows : (B, C, n_0) coefficients of the best row over the normalised input.
    """

    box_low: Floats
    box_high: Floats
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    open_goals: NDArray[np.bool_]
    goals: NDArray[np.int64]
    targets: NDArray[np.int64]
    steps: int
    split: NDArray[np.int64]
    hits: NDArray[np.bool_]
    hit_points: Floats
    margins: Floats
    rows: Floats


@kernel
def _default_slopes(first, last, lower, upper, alphas):
    for v in range(first, last):
        alphas[v] = 1.0 if upper[v] > -lower[v] else 0.0


@njit(cache=True, inline="always")
def _phases(v, first, layer, net, lower, upper):
    """Known phases of difference neuron v of a layer whose neurons begin at `first`."""
    p = first + net.kinds[v]
    return phases_of(np.float64(lower[v]), np.float64(upper[v]), np.float64(lower[p]), np.float64(upper[p]), net.growth[layer])


@njit(cache=True, inline="always")
def _is_loose(v, first, layer, net, lower, upper):
    """Whether tighter bounds of neuron v would serve anybody."""
    kind = net.kinds[v]
    if kind == RELU:
        return lower[v] < 0.0 and upper[v] > 0.0
    if kind == LINEAR:
        return False
    known = _phases(v, first, layer, net, lower, upper)
    return not (known[0] and known[2])


@kernel
def _refresh(k, net, low, high, lower, upper, s):
    """Tighten the unstable and difference neurons of layer k. False if bounds contradict each other, which sound ones cannot."""
    start = net.neurons[k]
    count, leading = _INTEGER(0), _INTEGER(0)
    for j in range(net.sizes[k]):
        if _is_loose(start + j, start, k, net, lower, upper):
            s.chosen[count] = j
            count += 1
            if j < net.leads[k]:
                leading = count
    # The first network's neurons depend on nothing but themselves: their rows are shorter.
    return _tighten_chosen(k, _INTEGER(0), leading, net, net.leads, low, high, lower, upper, s) and _tighten_chosen(
        k, leading, count, net, net.sizes, low, high, lower, upper, s
    )


@kernel
def _tighten_chosen(k, begin, end, net, extents, low, high, lower, upper, s):
    """Tighten the neurons chosen[begin:end] of layer k. False if bounds contradict each other."""
    if begin == end:
        return True
    start = net.neurons[k]
    count = 2 * (end - begin)
    for i in range(end - begin):
        s.targets[2 * i] = s.targets[2 * i + 1] = s.chosen[begin + i]
        s.signs[2 * i], s.signs[2 * i + 1] = 1.0, -1.0
    lower_rows(k, count, count, net, extents, low, high, lower, upper, s.alphas, s)
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
            from_below, from_above, to_below, to_above = _phases(v, first, h, net, lower, upper)
            if upward:
                line = chord_up(low, high) * (z - max(0.0, high))
                s.outputs[i] = 0.0 if from_below else (z if from_above else line)
            else:
                line = chord_down(low, high) * (z - min(0.0, low))
                s.outputs[i] = 0.0 if to_below else (z if to_above else line)


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
            _relaxed_outputs(h, net, lower, upper, s)
        else:
            _outputs(h, net, s)


@kernel
def _improve_slopes(k, step, net, low, high, lower, upper, s):
    """Section 5: move the slopes along the subgradient at the row's minimiser."""
    for j in range(net.sizes[0]):
        s.point[j] = (low[j] if s.rows[0, j] > 0.0 else high[j]) / _UNIT
    _propagate(k - 1, net, lower, upper, True, s)
    for v in range(net.neurons[k]):
        if net.kinds[v] == RELU and lower[v] < 0.0 and upper[v] > 0.0 and s.coefficients[v] > 0.0:
            high_v, low_v = np.float64(upper[v]), np.float64(lower[v])
            moved = s.alphas[v] + step * (s.values[v] / (high_v - low_v))
            s.alphas[v] = min(1.0, max(0.0, moved))


@kernel
def _bound_goal(k, count, threshold, steps, net, low, high, lower, upper, s):
    """Section 5: the best row for the mixed (or only) target. Returns (value, exponent); best_row, best_coefficients."""
    best, exponent = -np.inf, 0
    step = _FIRST_STEP
    for it in range(steps + 1):
        lower_rows(k, _INTEGER(1), count, net, net.sizes, low, high, lower, upper, s.alphas, s)
        value = s.constants[0]
        if value > best:
            best = value
            exponent = s.exponents[0]
            for i in range(net.sizes[0]):
                s.best_row[i] = s.row_inputs[0, i]
            for v in range(net.neurons[k]):
                s.best_coefficients[v] = s.coefficients[v]
        if best >= threshold or it == steps or value == -np.inf:
            break
        _improve_slopes(k, step, net, low, high, lower, upper, s)
        step *= _STEP_DECAY
    return best, exponent


@kernel
def _cut(value, exponent, grid, row, net, low, high, s):
    """Section 6, step 4: narrow keep_low .. keep_high to where a row with this smallest value on the box may still be <= 0."""
    shift = GRID_BITS + exponent - grid
    if value == -np.inf or abs(shift) > REACH:
        return
    need = np.ceil(-value * power(shift))
    for i in range(net.sizes[0]):
        a = row[i]
        width = high[i] - low[i]
        size = abs(a)
        if a != 0.0 and need < width * size:
            # need < 2**48 and size < 2**25: the rounded quotient cannot cross an integer, so its floor is exact.
            d = np.floor(need / size) + 1.0
            if d < width:
                if a > 0.0:
                    s.keep_high[i] = min(s.keep_high[i], low[i] + d)
                else:
                    s.keep_low[i] = max(s.keep_low[i], high[i] - d)


@kernel
def _as_slants(k, count, net, low, high, s):
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
def _weigh(count, n, low, high, s):
    """Weights of a goal's rows, by multiplicative updates on max over weights of min over the box; any weights are sound.

    Sets mix (integers up to 2**20) and middle, a point of the box where the rows are about as small as they can be together.
    """
    s.share[:count] = 1.0 / count
    s.mix[:count] = s.share[:count]
    s.middle[:] = 0.0
    best, step, travelled = -np.inf, _FIRST_SHIFT, 0.0
    for _ in range(_SHIFTS):
        value = _lowest_corner(count, n, s)
        for i in range(n):
            s.middle[i] += step * s.point[i]
        travelled += step
        if value > best:
            best = value
            s.mix[:count] = s.share[:count]
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
def _single_rows(k, count, net, low, high, lower, upper, s):
    """Each row of a goal alone: cuts the box. Returns (largest value, exponent, whether a row closes), its row in best_row."""
    lower_rows(k, count, count, net, net.sizes, low, high, lower, upper, s.alphas, s)
    best, exponent, closes = -np.inf, 0, False
    for r in range(count):
        closes = closes or s.constants[r] >= s.thresholds[r]
        _cut(s.constants[r], s.exponents[r], net.grids[k], s.row_inputs[r], net, low, high, s)
        if s.constants[r] > best:
            best, exponent = s.constants[r], s.exponents[r]
            for i in range(net.sizes[0]):
                s.best_row[i] = s.row_inputs[r, i]
    return best, exponent, closes


@kernel
def _mixed_threshold(count, s):
    """The least value of the mixed row that refutes the goal: 0 if one of its summands must be negative."""
    for r in range(count):
        if s.mix[r] >= 1.0 and s.thresholds[r] == 0.0:
            return 0.0
    return 1.0


@kernel
def _check_point(b, g, k, net, work, s):
    """Note the point as a candidate for exact replay if a float evaluation there violates the goal."""
    _propagate(k, net, work.lower[b], work.upper[b], False, s)
    z = s.values[net.neurons[k] : net.neurons[k + 1]]
    first = work.goals[g, 0]
    for t in range(first, first + work.goals[g, 1]):
        value = z[work.targets[t, 1]] * work.targets[t, 2]
        if value > 0.0 or (value == 0.0 and work.targets[t, 3] == 0):
            return
    work.hits[b, g] = True
    for j in range(net.sizes[0]):
        work.hit_points[b, j] = s.point[j] * _UNIT


@kernel
def _look_for_violation(b, g, k, net, low, high, work, s):
    """Evaluate the network in floats where the goal's row is smallest, and where its rows are small together."""
    for j in range(net.sizes[0]):
        corner = low[j] if s.best_row[j] > 0.0 else high[j]
        s.point[j] = corner / _UNIT
    _check_point(b, g, k, net, work, s)
    if work.goals[g, 1] > 1 and not work.hits[b, g]:
        for j in range(net.sizes[0]):
            s.point[j] = np.floor(s.middle[j]) / _UNIT
        _check_point(b, g, k, net, work, s)


@kernel
def _collect_losses(k, net, lower, upper, s, exponent):
    """What relaxing each unstable neuron costs the claim's row: the split score's first factor."""
    scale = power(-exponent) if abs(exponent) <= REACH else 0.0
    for h in range(1, k):
        first = net.neurons[h]
        for v in range(first, net.neurons[h + 1]):
            low, high = np.float64(lower[v]), np.float64(upper[v])
            if low < 0.0 and high > 0.0:
                a = s.best_coefficients[v]
                s.losses[v] += abs(a) * _area(v, first, h, a >= 0.0, low, high, net, lower, upper) * scale


@kernel
def _area(v, first, layer, upward, low, high, net, lower, upper):
    """How far the relaxation of a neuron with bounds low < 0 < high lies from it at worst, per unit of its coefficient."""
    kind = net.kinds[v]
    chord = -low * high / (high - low)
    if kind == RELU:
        return min(high, -low) if upward else chord
    if kind == LINEAR:
        return 0.0
    known = _phases(v, first, layer, net, lower, upper)
    free = (known[0] or known[1]) if upward else (known[2] or known[3])
    return 0.0 if free else chord


@kernel
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


@kernel
def _tighten(b, net, work, s):
    """Refresh all layers before the last that an open goal is about. Returns that layer, or -1 on contradictory bounds."""
    kmax = 0
    for g in range(len(work.goals)):
        if work.open_goals[b, g]:
            kmax = max(kmax, work.targets[work.goals[g, 0], 0])
    lower, upper = work.lower[b], work.upper[b]
    s.influence[: net.neurons[kmax]] = 0.0
    s.losses[: net.neurons[kmax]] = 0.0
    s.scores[:] = 0.0
    if kmax > 0:
        set_reach(_INTEGER(0), net, lower, upper, s)
    for k in range(1, kmax):
        if not _refresh(k, net, work.box_low[b], work.box_high[b], lower, upper, s):
            return -1
        _default_slopes(net.neurons[k], net.neurons[k + 1], lower, upper, s.alphas)
        set_reach(k, net, lower, upper, s)
    return kmax


@kernel
def _note(b, g, value, exponent, net, work, s):
    """What the best row of a goal is."""
    work.margins[b, g] = value
    if value > -np.inf:
        scale = power(-exponent)
        for i in range(net.sizes[0]):
            work.rows[b, g, i] = s.best_row[i] * scale


@kernel
def _bounded(b, g, net, work, s):
    """Bound one open goal and cut the box by it. True if that closes it, else its losses and scores are collected."""
    low, high, lower, upper = work.box_low[b], work.box_high[b], work.lower[b], work.upper[b]
    first, count = work.goals[g, 0], work.goals[g, 1]
    k = work.targets[first, 0]
    for r in range(count):
        s.targets[r] = work.targets[first + r, 1]
        s.signs[r] = np.float64(work.targets[first + r, 2])
        s.thresholds[r] = np.float64(work.targets[first + r, 3])
    for i in range(net.sizes[0]):
        s.keep_low[i], s.keep_high[i], s.middle[i] = low[i], high[i], low[i]
    _default_slopes(_INTEGER(0), net.neurons[k], lower, upper, s.alphas)
    threshold = s.thresholds[0]
    if count > 1:
        value, exponent, closes = _single_rows(k, count, net, low, high, lower, upper, s)
        if closes or not _as_slants(k, count, net, low, high, s):
            _note(b, g, value, exponent, net, work, s)
            return closes
        _weigh(count, net.sizes[0], low, high, s)
        threshold = _mixed_threshold(count, s)
    value, exponent = _bound_goal(k, count, threshold, work.steps, net, low, high, lower, upper, s)
    _note(b, g, value, exponent, net, work, s)
    if value >= threshold:
        return True
    _cut(value, exponent, net.grids[k], s.best_row, net, low, high, s)
    if value > -np.inf:
        for i in range(net.sizes[0]):
            s.scores[i] += 0.25 * abs(work.rows[b, g, i])
        _collect_losses(k, net, lower, upper, s, exponent)
        _look_for_violation(b, g, k, net, low, high, work, s)
    return False


@kernel
def _try_goal(b, g, net, work, s):
    """One open goal: close it, or widen new_low .. new_high by what it leaves of the box."""
    n = net.sizes[0]
    closed = _bounded(b, g, net, work, s)
    for i in range(n):
        closed = closed or s.keep_low[i] > s.keep_high[i]
    if closed:
        work.open_goals[b, g] = False
        return
    for i in range(n):
        s.new_low[i] = min(s.new_low[i], s.keep_low[i])
        s.new_high[i] = max(s.new_high[i], s.keep_high[i])


@kernel
def _evaluate(b, net, work, s):
    """One node: refresh, goals, contraction, split choice (FORMAT.md, section 6)."""
    kmax = _tighten(b, net, work, s)
    if kmax < 0:
        work.split[b] = -3
        return
    low, high = work.box_low[b], work.box_high[b]
    for i in range(net.sizes[0]):
        s.new_low[i], s.new_high[i] = high[i], low[i]
    still_open = 0
    for g in range(len(work.goals)):
        if work.open_goals[b, g]:
            _try_goal(b, g, net, work, s)
            still_open += work.open_goals[b, g]
    if still_open == 0:
        work.split[b] = -1
        return
    work.split[b] = _best_split(kmax, net, work.lower[b], work.upper[b], s)
    for i in range(net.sizes[0]):
        low[i], high[i] = s.new_low[i], s.new_high[i]


@njit(cache=True, parallel=True, nogil=True)
def evaluate_batch(net: KernelNetwork, work: Work, workers: int) -> None:
    """Evaluate every sub-domain of a batch, in place; `workers` slices run side by side, each with its own scratch."""
    batch = len(work.box_low)
    for w in prange(workers):
        s = new_scratch(net)
        for b in range(w, batch, workers):
            _evaluate(b, net, work, s)
