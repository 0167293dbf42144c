"""Nodes of the compiled arithmetic: refresh, goals, contraction and splits (sections 5, 6, 8 and 9 of the format)."""

from __future__ import annotations

from typing import Any

import numpy as np

from secateur.checker.fast_differences import down24, phases
from secateur.checker.fast_layout import (
    DIFFERENCE,
    LANES,
    OUT,
    RELU,
    ROWS,
    ZERO,
    Box,
    Floats,
    Integers,
    Pool,
    System,
    Work,
    copy,
    entry,
    inlined,
    kernel,
    power,
)
from secateur.checker.fast_rows import prepare_source, propagate, start_row
from secateur.checker.nodes import (
    CONTRADICTION,
    LEAF_OPEN,
    MIXED_EXPONENT,
    REFUTED_CLOSED,
    SPLIT_CLOSED,
    TOO_NARROW,
    TRUSTED_CLOSED,
)

__all__ = ["CALLS_INTO", "visit_all"]

CALLS_INTO = "26f3a9b66d69cc03"  # a digest of fast_differences.py, fast_layout.py, fast_rows.py, fast_slack.py and nodes.py

_OPEN, _CLOSED, _UNMIXED = 0, 1, 2  # of a goal; the last: still open, and its rows cannot be mixed
_MIX_SCALE = float(1 << MIXED_EXPONENT)


@inlined
def _pre_activations(system: System, work: Work, h: int) -> None:
    """work.z of layer h at the point, in the order of section 5: four columns at a time, each sum from left to right."""
    below, width, bias = system.start[h - 1], system.width[h], system.size[h - 1]
    base, count = system.column_start[h], 0
    columns, z, chosen, scaled = system.columns[base:], work.z, work.neuron, work.reach
    for place in range(below, below + work.alives[h - 1]):
        if work.point[place] != 0.0:
            chosen[count], scaled[count] = work.alive[place], work.point[place] * work.scale[place]
            count += 1
    while count % 4:
        chosen[count], scaled[count] = 0, 0.0  # adds zeros
        count += 1
    scale = power(-system.bias_exponent[h])
    for i in range(width):  # to the end of a vector: what is behind the neurons is 0
        z[i] = columns[bias * width + i] * scale
    for t in range(0, count, 4):
        x0, x1, x2, x3 = scaled[t], scaled[t + 1], scaled[t + 2], scaled[t + 3]
        c0, c1 = columns[chosen[t] * width :], columns[chosen[t + 1] * width :]
        c2, c3 = columns[chosen[t + 2] * width :], columns[chosen[t + 3] * width :]
        for i in range(width):
            z[i] = (((z[i] + c0[i] * x0) + c1[i] * x1) + c2[i] * x2) + c3[i] * x3


@kernel
def _improve(system: System, work: Work, k: int, box: Box, gain: float, row: int) -> None:
    """New slopes from the least point of the row (section 5); a difference neuron has near = 0
    where it has no chord, and a factor or a constant that is 0."""
    low, high = box
    kept, slopes = work.kept[row], work.slopes[work.lane[row]]
    for j in range(system.size[0]):
        work.point[j] = (low[j] if kept[j] > 0.0 else high[j]) * 2.0**-24
    for h in range(1, k):
        _pre_activations(system, work, h)
        for c in range(system.start[h], system.start[h] + work.alives[h]):
            z, below, above, a = work.z[work.alive[c]], work.lower[c], work.upper[c], kept[c]
            work.point[c] = z
            if system.kind[system.start[h] + work.alive[c]] == DIFFERENCE:
                if a >= 0.0:
                    work.point[c] = work.rise[c] * (z - work.rise_near[c]) + work.rise_constant[c]
                else:
                    work.point[c] = work.fall[c] * (z - work.fall_near[c]) + work.fall_constant[c]
            elif above > 0.0:  # unstable
                work.point[c] = slopes[c] * z if a >= 0.0 else work.fall[c] * (z - below)
                if a > 0.0:
                    slope = slopes[c] + gain * (z / (above - below))
                    slopes[c] = 1.0 if slope > 1.0 else slope if slope > 0.0 else 0.0


@kernel
def _cut(work: Work, g: int, box: Box, a: Floats, value: float, shift: int) -> None:
    """What goal g leaves shrinks by a row that is too low; `shift` is 24 + e - G."""
    need = np.ceil(-value * power(shift))
    for i in range(len(box[0])):
        left, right, size = box[0][i], box[1][i], abs(a[i])
        width = right - left
        if size != 0.0 and need < width * size:  # both sides are integers below 2^48
            d = float(int(need) // int(size) + 1)
            if d < width and a[i] > 0.0:
                work.left_high[g, i] = min(work.left_high[g, i], left + d)
            elif d < width:
                work.left_low[g, i] = max(work.left_low[g, i], right - d)


@kernel
def _tilt(work: Work, target: int, box: Box, a: Floats, c: float, unit: float) -> None:
    """A row as the mixture sees it: c, g and t of section 8, step 2."""
    size, g = 0.0, work.tilt[target]
    for i in range(len(box[0])):
        g[i] = (a[i] * unit) * (box[1][i] - box[0][i])
        c = c - min(0.0, g[i])
        size = size + abs(g[i])
    size = size + abs(c)
    t = 1.0 / size if size != 0.0 else 1.0
    for i in range(len(box[0])):
        g[i] = g[i] * t
    work.constant[target], work.unit[target] = c * t, t


@kernel
def _mix(work: Work, m: int, n: int) -> None:
    """Section 8, step 2, from the tilts on: fills work.mix with the integers lambda."""
    share, mix, constant, tilt, upper = work.share, work.mix, work.constant, work.tilt, work.upper_end
    best, step = -np.inf, 0.8
    for r in range(m):
        share[r] = 1.0 / m
    for _ in range(48):
        value, total = 0.0, 0.0
        for r in range(m):
            value = value + share[r] * constant[r]
        for i in range(n):
            slope = 0.0
            for r in range(m):
                slope = slope + share[r] * tilt[r, i]
            value = value + min(0.0, slope)
            upper[i] = 1.0 if slope < 0.0 else 0.0
        if value > best:
            best = value
            copy(share[:m], mix)
        for r in range(m):
            gain = constant[r]
            for i in range(n):
                gain = gain + tilt[r, i] * upper[i]
            share[r] = share[r] * (1.0 + step * gain)
            total = total + share[r]
        for r in range(m):
            share[r] = share[r] / total
        step = step * 0.93
    top = 0.0
    for r in range(m):
        mix[r] = mix[r] * work.unit[r]
        top = max(top, mix[r])
    for r in range(m):
        mix[r] = np.rint((mix[r] / top) * _MIX_SCALE)


@kernel
def _single_rows(system: System, work: Work, g: int, box: Box) -> int:
    """Section 8, step 1: _CLOSED, _OPEN with the tilts of all rows, _UNMIXED, or OUT."""
    k, first, end, status = system.goal_layer[g], system.goal_first[g], system.goal_first[g + 1], _OPEN
    grid = system.grid[k]
    for begin in range(first, end, ROWS):
        count = min(ROWS, end - begin)
        for r in range(count):
            start_row(system, work, r, k, system.target_neuron[begin + r], system.target_sign[begin + r])
        if propagate(system, work, k, count, work.default, box):
            return OUT
        for r in range(count):
            value, e, a = work.value[r], work.exponent[r], work.a[r]
            if work.void[r]:
                status = _UNMIXED
            elif value >= system.threshold[begin + r]:
                return _CLOSED
            else:
                _cut(work, g, box, a, value, 24 + e - grid)
                _tilt(work, begin + r - first, box, a, value * power(-grid), power(-e - 24))
    return status


@kernel
def _start_goal(system: System, work: Work, row: int, g: int) -> None:
    """A row begins as the goal's only target, or as the mixture of all of them."""
    k, first, m = system.goal_layer[g], system.goal_first[g], system.goal_first[g + 1] - system.goal_first[g]
    p, weight, rounding, alive = work.p[row], 0.0, 0.0, work.alive[system.start[k - 1] :]
    span, width = work.span[k - 1], system.width[k - 1]
    p[:span] = 0.0
    for r in range(m):
        factor = system.target_sign[first + r] * work.mix[r]
        start = system.row_start[k] + system.target_neuron[first + r] * width
        weight += work.mix[r]
        rounding += work.mix[r] * work.charge[system.start[k] + system.target_neuron[first + r]]
        for c in range(span):
            p[c] += factor * system.rows[start + alive[c]]
    work.value[row], work.exponent[row], work.weight[row], work.void[row] = 0.0, MIXED_EXPONENT if m > 1 else 0, weight, 0
    work.rounding[row] = rounding


@kernel
def _threshold(system: System, work: Work, g: int) -> float:
    """At what value the goal's only target, or the mixture of all, closes it: 0 where one that must be negative is part of it."""
    first = system.goal_first[g]
    for r in range(system.goal_first[g + 1] - first):
        if system.threshold[first + r] == 0.0 and work.mix[r] >= 1.0:
            return 0.0
    return 1.0


@kernel
def _gather_goals(system: System, work: Work, goals: Any, begin: int) -> int:
    """Gathers goals that are open from number `begin` on: one that has several targets, or those after it that have one target
    in its layer. Returns how many.
    """
    count = 0
    for g in range(begin, len(goals)):
        single = system.goal_first[g + 1] - system.goal_first[g] == 1
        if not goals[g]:
            continue
        if count and not (single and system.goal_layer[g] == system.goal_layer[work.goal[0]]):
            break
        work.goal[count] = g
        count += 1
        if not single or count == LANES:
            break
    return count


@kernel
def _goes_on(system: System, work: Work, goals: Any, row: int) -> bool:
    """Notes a row that is better than those of its lane before. Whether another may close the goal: false where this one has
    done so (which takes the goal's mark), or is void.
    """
    lane = work.lane[row]
    if work.void[row]:
        return False
    if work.value[row] > work.best_value[lane]:
        work.best_value[lane], work.best_exponent[lane] = work.value[row], work.exponent[row]
        copy(work.a[row, : system.size[0]], work.best[lane])
    if work.best_value[lane] >= _threshold(system, work, work.goal[lane]):
        goals[work.goal[lane]] = 0
    return bool(goals[work.goal[lane]])


@kernel
def _best_rows(system: System, work: Work, goals: Any, count: int, box: Box) -> int:
    """Section 5 for the rows of the `count` goals that have been gathered; the best one of each cuts. Returns 0, or OUT."""
    k, gain, rows = system.goal_layer[work.goal[0]], 4.0, count
    for lane in range(count):
        copy(work.rise, work.slopes[lane])
        work.best_value[lane], work.lane[lane] = -np.inf, lane
    for it in range(system.steps + 1):
        for r in range(rows):
            _start_goal(system, work, r, work.goal[work.lane[r]])
        if propagate(system, work, k, rows, work.slopes, box):
            return OUT
        begun, rows = rows, ZERO
        for r in range(begun):
            if _goes_on(system, work, goals, r):
                if it < system.steps:
                    _improve(system, work, k, box, gain, r)
                work.lane[rows] = work.lane[r]
                rows += 1
        if rows == 0:
            break
        gain *= 0.75
    for lane in range(count):
        g, value = work.goal[lane], work.best_value[lane]
        if goals[g] and value > -np.inf:
            _cut(work, g, box, work.best[lane], value, 24 + work.best_exponent[lane] - system.grid[k])
    return 0


@kernel
def _settle_gathered(system: System, work: Work, goals: Any, count: int, box: Box) -> int:
    """Section 8 (and 5) for the `count` goals that have been gathered; as `_settle`."""
    first, status = work.goal[0], _OPEN
    targets = system.goal_first[first + 1] - system.goal_first[first]
    for lane in range(count):
        copy(box[0], work.left_low[work.goal[lane]])
        copy(box[1], work.left_high[work.goal[lane]])
    if targets > 1:
        status = _single_rows(system, work, first, box)
        if status == _OPEN:
            _mix(work, targets, len(box[0]))
    else:
        work.mix[0] = 1.0
    if status == _OPEN:
        status = _best_rows(system, work, goals, count, box)
    elif status == _CLOSED:
        goals[first] = 0
    for lane in range(count):
        low, high = work.left_low[work.goal[lane]], work.left_high[work.goal[lane]]
        for i in range(len(low)):
            if low[i] > high[i]:
                goals[work.goal[lane]] = 0
    return OUT if status == OUT else 0


@kernel
def _settle(system: System, work: Work, goals: Any, box: Box) -> int:
    """All open goals: takes the mark of those that are closed, and finds what the others leave of the box. Returns 0, or OUT."""
    begin = ZERO
    while begin < len(goals):
        count = _gather_goals(system, work, goals, begin)
        if count == 0:
            break
        if _settle_gathered(system, work, goals, count, box):
            return OUT
        begin = work.goal[count - 1] + 1
    return 0


@kernel
def _choose(system: System, work: Work, k: int, lower: Floats, upper: Floats) -> int:
    """Fills work.chosen with the neurons of layer k that are refreshed, and says how many these are."""
    s, count, needed = system.start[k], 0, work.needed
    for i in range(len(lower)):
        needed[i] = system.kind[s + i] == RELU and lower[i] < 0.0 < upper[i]
    for i in range(system.first_difference[k], system.end_difference[k]):
        from_below, from_above, to_below, to_above = phases(system, k, i, lower, upper)
        if not (from_below and to_below):
            needed[i] = 1
            if not (from_above and to_above):
                needed[system.partner[s + i]] = 1
    for i in range(len(lower)):
        if needed[i]:
            work.chosen[count] = i
            count += 1
    return count


@kernel
def _refresh(system: System, work: Work, pool: Pool, slot: int, last: int) -> int:
    """Section 6, step 1. Returns 0, CONTRADICTION or OUT."""
    box = (pool.low[slot], pool.high[slot])
    for k in range(1, last):
        first, n, scale = system.start[k] - system.width[0], system.size[k], power(-system.grid[k])
        lower, upper = pool.lower[slot, first : first + n], pool.upper[slot, first : first + n]
        chosen = _choose(system, work, k, lower, upper)
        for begin in range(0, chosen, ROWS // 2):
            count = 2 * min(ROWS // 2, chosen - begin)
            for r in range(0, count, 2):
                i = work.chosen[begin + r // 2]
                start_row(system, work, r, k, i, 1.0)
                start_row(system, work, r + 1, k, i, -1.0)
            if propagate(system, work, k, count, work.default, box):
                return OUT
            for r in range(0, count, 2):
                j = work.chosen[begin + r // 2]
                if not work.void[r]:
                    lower[j] = max(lower[j], down24(work.value[r] * scale))
                if not work.void[r + 1]:
                    upper[j] = min(upper[j], -down24(work.value[r + 1] * scale))
                if lower[j] > upper[j]:
                    return CONTRADICTION
        prepare_source(system, work, k, lower, upper, last)
    return 0


@kernel
def _contract(work: Work, goals: Any, low: Floats, high: Floats) -> None:
    """Shrinks the box in place to the hull of what the open goals leave; `goals` marks these."""
    for i in range(len(low)):
        least, most = high[i], low[i]
        for g in range(len(goals)):
            if goals[g]:
                least, most = min(least, work.left_low[g, i]), max(most, work.left_high[g, i])
        low[i], high[i] = least, most


@kernel
def _split(pool: Pool, slot: int, spare: int, coordinate: int) -> int:
    """Section 6, step 5: the first child replaces the node, the second fills `spare`."""
    left, right = pool.low[slot, coordinate], pool.high[slot, coordinate]
    if right - left < 2.0:
        return TOO_NARROW
    copy(pool.low[slot], pool.low[spare])
    copy(pool.high[slot], pool.high[spare])
    copy(pool.lower[slot], pool.lower[spare])
    copy(pool.upper[slot], pool.upper[spare])
    copy(pool.open[slot], pool.open[spare])
    pool.high[slot, coordinate] = pool.low[spare, coordinate] = np.floor((left + right) * 0.5)
    return 0


@kernel
def _visit(system: System, work: Work, pool: Pool, slot: int, spare: int, symbol: int) -> tuple[int, int]:
    """One node: (status, first open goal)."""
    goals, low, high = pool.open[slot], pool.low[slot], pool.high[slot]
    last = ZERO
    for g in range(len(goals)):
        if goals[g]:
            last = max(last, system.goal_layer[g])
    status = _refresh(system, work, pool, slot, last)
    if status:
        return status, 0
    if _settle(system, work, goals, (low, high)):
        return OUT, 0
    first = -1
    for g in range(len(goals) - 1, -1, -1):
        first = g if goals[g] else first
    if symbol == 0:
        return (LEAF_OPEN, first) if first >= 0 else (0, 0)
    trusted, refuted = symbol == len(low) + 1, symbol == len(low) + 2
    if first < 0:
        return (TRUSTED_CLOSED if trusted else REFUTED_CLOSED if refuted else SPLIT_CLOSED), 0
    _contract(work, goals, low, high)
    if trusted or refuted:
        return 0, 0
    return _split(pool, slot, spare, symbol - 1), 0


@entry
def visit_all(system: System, work: Work, pool: Pool, jobs: Integers, results: Integers, begin: int, step: int) -> None:
    """Jobs (slot, spare, symbol) number begin, begin + step, ...; results are (status, goal)."""
    for job in range(begin, len(jobs), step):
        results[job, 0], results[job, 1] = _visit(system, work, pool, jobs[job, 0], jobs[job, 1], jobs[job, 2])
