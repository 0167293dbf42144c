"""Goals on one sub-domain: bound their rows, cut the box by them, look for points against them (FORMAT.md, sections 5, 6, 8).

Start reading at `try_goals`. Goals of one row each that are about the same layer go through the network together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from secateur.bounds.differences import FREE, LINE, LINEAR, RELU, lower_form, upper_form, value_range
from secateur.bounds.mixing import as_slants, mixed_threshold, weigh
from secateur.bounds.powers import REACH, copy, kernel, power
from secateur.bounds.propagation import UNIT, evaluate_at_point, improve_slopes
from secateur.bounds.relaxing import WHOLE, default_slope, phases
from secateur.bounds.rounding import GRID_BITS
from secateur.bounds.rows import lower_rows
from secateur.bounds.scratch import GROUP

__all__ = ["Work", "try_goals"]

CALLS_INTO = "2b65396f3444699a"  # a digest of what this file calls into (see powers.py)
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


@njit(cache=True, inline="always")
def _start_slopes(k, place, net, lower, upper, s):
    """The default slopes of all neurons before layer k, for the row at a place."""
    alphas = s.alphas[place]
    for v in range(net.neurons[k]):
        alphas[v] = default_slope(np.float64(lower[v]), np.float64(upper[v]))


@njit(cache=True, inline="always")
def _keep_best(k, r, place, net, s):
    """Row r is the best of its place so far."""
    s.best[place], s.best_exponents[place] = s.constants[r], s.exponents[r]
    copy(s.row_inputs[r], s.best_rows[place], s.best_rows.shape[1])
    copy(s.coefficients[place], s.best_coefficients[place], net.neurons[k])


@kernel
def _bound_rows(k, count, targets, steps, net, low, high, lower, upper, s):
    """Section 5 for `count` rows of layer k, until they reach their limits: best value, exponent, row, coefficients by place.

    Either each row is one of `targets`, or the only one is their mixture.
    """
    for p in range(count):
        s.places[p] = p
        s.best[p], s.best_exponents[p] = -np.inf, 0
    mixed, left, step = count < targets, count, _FIRST_STEP
    for it in range(steps + 1):
        lower_rows(k, left, targets if mixed else left, net, WHOLE, low, high, it > 0, True, s)
        going = _INTEGER(0)
        for r in range(left):
            place, value = s.places[r], s.constants[r]
            if value > s.best[place]:
                _keep_best(k, r, place, net, s)
            if s.best[place] >= s.limits[place] or value == -np.inf or it == steps:
                continue
            if it == 0:
                _start_slopes(k, place, net, lower, upper, s)
            improve_slopes(k, r, place, step, net, low, high, lower, upper, s)
            if not mixed:
                s.targets[going], s.signs[going] = s.targets[r], s.signs[r]
            s.places[going] = place
            going += 1
        if going == 0:
            return
        left, step = going, step * _STEP_DECAY


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
def _single_rows(k, count, net, low, high, s):
    """Each row of a goal alone: cuts the box. Puts the best in place 0; returns whether a row closes the goal."""
    lower_rows(k, count, count, net, WHOLE, low, high, False, False, s)
    s.best[0], closes = -np.inf, False
    for r in range(count):
        closes = closes or s.constants[r] >= s.thresholds[r]
        _cut(s.constants[r], s.exponents[r], net.grids[k], s.row_inputs[r], net, low, high, s)
        if s.constants[r] > s.best[0]:
            s.best[0], s.best_exponents[0] = s.constants[r], s.exponents[r]
            copy(s.row_inputs[r], s.best_rows[0], s.best_rows.shape[1])
    return closes


@njit(cache=True, inline="always")
def _check_point(b, g, k, net, work, s):
    """Note the point as a candidate for exact replay if a float evaluation there violates the goal."""
    evaluate_at_point(k, net, s)
    z = s.values[net.neurons[k] : net.neurons[k + 1]]
    first = work.goals[g, 0]
    for t in range(first, first + work.goals[g, 1]):
        value = z[work.targets[t, 1]] * work.targets[t, 2]
        if value > 0.0 or (value == 0.0 and work.targets[t, 3] == 0):
            return
    work.hits[b, g] = True
    for j in range(net.sizes[0]):
        work.hit_points[b, j] = s.point[j] * UNIT


@njit(cache=True, inline="always")
def _look_for_violation(b, g, place, k, net, low, high, work, s):
    """Evaluate the network in floats where the goal's row is smallest, and where its rows are small together."""
    for j in range(net.sizes[0]):
        corner = low[j] if s.best_rows[place, j] > 0.0 else high[j]
        s.point[j] = corner / UNIT
    _check_point(b, g, k, net, work, s)
    if work.goals[g, 1] > 1 and not work.hits[b, g]:
        for j in range(net.sizes[0]):
            s.point[j] = np.floor(s.middle[j]) / UNIT
        _check_point(b, g, k, net, work, s)


@njit(cache=True, inline="always")
def _collect_losses(k, place, net, lower, upper, s):
    """What relaxing each unstable neuron costs the goal's row: the split score's first factor."""
    exponent, coefficients = s.best_exponents[place], s.best_coefficients[place]
    scale = power(-exponent) if abs(exponent) <= REACH else 0.0
    for h in range(1, k):
        first = net.neurons[h]
        for v in range(first, net.neurons[h + 1]):
            low, high = np.float64(lower[v]), np.float64(upper[v])
            if low < 0.0 and high > 0.0:
                a = coefficients[v]
                s.losses[v] += abs(a) * _area(v, first, h, a >= 0.0, low, high, net, lower, upper) * scale


@njit(cache=True, inline="always")
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


@njit(cache=True, inline="always")
def _note(b, g, place, net, work, s):
    """What the best row of a goal is."""
    work.margins[b, g] = s.best[place]
    if s.best[place] > -np.inf:
        scale = power(-s.best_exponents[place])
        for i in range(net.sizes[0]):
            work.rows[b, g, i] = s.best_rows[place, i] * scale


@njit(cache=True, inline="always")
def _keep_box(low, high, s):
    for i in range(len(low)):
        s.keep_low[i], s.keep_high[i] = low[i], high[i]


@njit(cache=True, inline="always")
def _finish(b, g, place, k, net, work, s):
    """Close a goal by the best row at its place; or cut the box by it, collect losses and scores, and look for points."""
    low, high, value = work.box_low[b], work.box_high[b], s.best[place]
    _note(b, g, place, net, work, s)
    if value >= s.limits[place]:
        work.open_goals[b, g] = False
        return
    _cut(value, s.best_exponents[place], net.grids[k], s.best_rows[place], net, low, high, s)
    if value > -np.inf:
        for i in range(net.sizes[0]):
            s.scores[i] += 0.25 * abs(work.rows[b, g, i])
        _collect_losses(k, place, net, work.lower[b], work.upper[b], s)
        _look_for_violation(b, g, place, k, net, low, high, work, s)
    _widen(b, g, work, s)


@njit(cache=True, inline="always")
def _widen(b, g, work, s):
    """Widen new_low .. new_high by what a goal leaves of the box; if that is nothing, the goal is closed."""
    n = len(s.keep_low)
    for i in range(n):
        if s.keep_low[i] > s.keep_high[i]:
            work.open_goals[b, g] = False
            return
    for i in range(n):
        s.new_low[i] = min(s.new_low[i], s.keep_low[i])
        s.new_high[i] = max(s.new_high[i], s.keep_high[i])


@kernel
def _try_together(b, first, end, net, work, s):
    """Goals first .. end - 1, as far as they are open: of one row each, about one layer, at most GROUP."""
    low, high, lower, upper = work.box_low[b], work.box_high[b], work.lower[b], work.upper[b]
    k, count = work.targets[work.goals[first, 0], 0], _INTEGER(0)
    for g in range(first, end):
        if work.open_goals[b, g]:
            target = work.targets[work.goals[g, 0]]
            s.targets[count], s.signs[count], s.limits[count] = target[1], np.float64(target[2]), np.float64(target[3])
            s.members[count] = g
            count += 1
    _bound_rows(k, count, count, work.steps, net, low, high, lower, upper, s)
    for p in range(count):
        _keep_box(low, high, s)
        _finish(b, s.members[p], p, k, net, work, s)


@kernel
def _try_mixed(b, g, net, work, s):
    """One goal of several rows."""
    low, high, lower, upper = work.box_low[b], work.box_high[b], work.lower[b], work.upper[b]
    first, count = work.goals[g, 0], work.goals[g, 1]
    k = work.targets[first, 0]
    for r in range(count):
        s.targets[r] = work.targets[first + r, 1]
        s.signs[r] = np.float64(work.targets[first + r, 2])
        s.thresholds[r] = np.float64(work.targets[first + r, 3])
    _keep_box(low, high, s)
    closes = _single_rows(k, count, net, low, high, s)
    if closes or not as_slants(k, count, net, low, high, s):
        _note(b, g, _INTEGER(0), net, work, s)
        if closes:
            work.open_goals[b, g] = False
        else:
            _widen(b, g, work, s)
        return
    weigh(count, net.sizes[0], low, high, s)
    s.limits[0] = mixed_threshold(count, s)
    _bound_rows(k, _INTEGER(1), count, work.steps, net, low, high, lower, upper, s)
    _finish(b, g, _INTEGER(0), k, net, work, s)


@kernel
def _end_of_group(b, first, work):
    """Up to which goal those from `first` on, an open one of one row, go through the network together."""
    k, count, g = work.targets[work.goals[first, 0], 0], 0, first
    while g < len(work.goals):
        if work.open_goals[b, g]:
            if count == GROUP or work.goals[g, 1] > 1 or work.targets[work.goals[g, 0], 0] != k:
                break
            count += 1
        g += 1
    return g


@kernel
def try_goals(b, net, work, s):
    """Every open goal: close it, or widen new_low .. new_high by what it leaves of the box. Returns how many stay open."""
    g, still_open = _INTEGER(0), _INTEGER(0)
    while g < len(work.goals):
        end = g + 1
        if work.open_goals[b, g]:
            if work.goals[g, 1] > 1:
                _try_mixed(b, g, net, work, s)
            else:
                end = _end_of_group(b, g, work)
                _try_together(b, g, end, net, work, s)
        for each in range(g, end):
            still_open += work.open_goals[b, each]
        g = end
    return still_open
