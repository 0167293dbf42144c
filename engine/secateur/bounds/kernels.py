"""Sub-domains: refresh, goals, contraction and splits of a batch (FORMAT.md, sections 5 and 6).

A *goal* is a set of target rows s z of one layer, and what is to be shown on a sub-domain is that they are not all negative (or
not all <= 0) at once: some sum of them with weights >= 0 is not. A claim about a neuron's phase is a goal of one row.

Plain arrays in, plain arrays changed in place; the typed layer is bounds/batch.py. Start reading at `evaluate_batch`. Bounds come
from rows.py and are exact; only `propagate` and `improve_slopes`, which *choose* slopes, and the split score round, and the
former do so in a fixed order of IEEE operations, which a checker repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from secateur.bounds.differences import FREE, LINE, LINEAR, RELU, lower_form, upper_form, value_range
from secateur.bounds.mixing import as_slants, mixed_threshold, weigh
from secateur.bounds.powers import REACH, kernel, power
from secateur.bounds.propagation import UNIT, improve_slopes, propagate
from secateur.bounds.quantised import KernelNetwork
from secateur.bounds.refresh import refresh
from secateur.bounds.relaxing import phases
from secateur.bounds.rounding import GRID_BITS
from secateur.bounds.rows import lower_rows, set_reach
from secateur.bounds.scratch import new_scratch

__all__ = ["Work", "evaluate_batch"]

Floats = NDArray[np.float64]

_FIRST_STEP = 4.0
_STEP_DECAY = 0.75
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""


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
        improve_slopes(k, step, net, low, high, lower, upper, s)
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
def _check_point(b, g, k, net, work, s):
    """Note the point as a candidate for exact replay if a float evaluation there violates the goal."""
    propagate(k, net, work.lower[b], work.upper[b], False, s)
    z = s.values[net.neurons[k] : net.neurons[k + 1]]
    first = work.goals[g, 0]
    for t in range(first, first + work.goals[g, 1]):
        value = z[work.targets[t, 1]] * work.targets[t, 2]
        if value > 0.0 or (value == 0.0 and work.targets[t, 3] == 0):
            return
    work.hits[b, g] = True
    for j in range(net.sizes[0]):
        work.hit_points[b, j] = s.point[j] * UNIT


@kernel
def _look_for_violation(b, g, k, net, low, high, work, s):
    """Evaluate the network in floats where the goal's row is smallest, and where its rows are small together."""
    for j in range(net.sizes[0]):
        corner = low[j] if s.best_row[j] > 0.0 else high[j]
        s.point[j] = corner / UNIT
    _check_point(b, g, k, net, work, s)
    if work.goals[g, 1] > 1 and not work.hits[b, g]:
        for j in range(net.sizes[0]):
            s.point[j] = np.floor(s.middle[j]) / UNIT
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
    known = phases(v, first, layer, net, lower, upper)
    p = first + kind
    least, most = value_range(low, high, np.float64(lower[p]), np.float64(upper[p]), net.growth[layer], known)
    form = lower_form(low, high, least, known)[0] if upward else upper_form(low, high, most, known)[0]
    return 0.0 if form == FREE else (chord if form == LINE else most - least)


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
        if not refresh(k, net, work.box_low[b], work.box_high[b], lower, upper, s):
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
        if closes or not as_slants(k, count, net, low, high, s):
            _note(b, g, value, exponent, net, work, s)
            return closes
        weigh(count, net.sizes[0], low, high, s)
        threshold = mixed_threshold(count, s)
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
