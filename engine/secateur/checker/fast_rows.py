"""Rows of the compiled arithmetic (section 4 of the format; 9 for difference neurons, 11 for rounding): many at a time."""

from __future__ import annotations

import math

import numpy as np

from secateur.checker.fast_differences import phases, prepare_differences, relax_differences
from secateur.checker.fast_layout import (
    DIFFERENCE,
    LANES,
    LIMIT_DOUBLE,
    LINEAR,
    MAX_EXPONENT,
    OUT,
    RELU,
    VOID_DOUBLE,
    Box,
    Floats,
    Integers,
    System,
    Work,
    copy,
    entry,
    inlined,
    kernel,
    padded,
    pick,
    power,
)
from secateur.checker.fast_slack import charge_rows, prepare_charges

__all__ = ["CALLS_INTO", "prepare_error", "prepare_source", "propagate", "start_row"]

CALLS_INTO = "e16af288e108a980"  # of fast_differences.py, fast_layout.py, fast_slack.py and nodes.py (see the second's head)

_Factors = tuple[Floats, Floats, Floats]  # fall, lower, upper of one source
_Slopes = tuple[Floats, Integers, int]  # a row for each lane, the lane of each row, and where the source begins


@entry
def prepare_error(system: System, work: Work, h: int, reach: Floats) -> None:
    """D_{h+1}, and what rounding can do to layer h + 1, from rbar of source h (as long as the source is wide)."""
    k, s = h + 1, system.start[h]
    d = system.bias_delta[k]
    for j in range(system.size[h]):
        d += np.ceil(system.delta[s + j] * reach[j])
    if 0.0 < d < LIMIT_DOUBLE:
        surplus = max(math.frexp(d)[1] - 16, 0)
        d = np.ceil(d * power(-surplus)) * power(surplus)
    if system.rounds:
        largest = prepare_charges(system, work, h, reach)
        if largest >= LIMIT_DOUBLE:
            d = largest
    work.error[k] = d


@inlined
def _find_alive(system: System, work: Work, h: int, lower: Floats, upper: Floats) -> None:
    """Which neurons of source h >= 1 are not dead, and which places this gives to rows."""
    s, n, count, first, end = system.start[h], system.size[h], 0, 0, 0
    for j in range(n):
        kind = system.kind[s + j]
        if kind == DIFFERENCE:
            signs = phases(system, h, j, lower, upper)
            if signs[0] and signs[2]:
                continue
            first, end = (first if end else count), count + 1
        elif kind == RELU and upper[j] <= 0.0:
            continue
        work.alive[s + count] = j
        count += 1
    span = padded(count)
    for place in range(s + count, s + span):
        work.alive[place] = n
    work.alives[h], work.span[h], work.first_difference[h], work.end_difference[h] = count, span, first, end


@inlined
def _prepare_others(system: System, work: Work, h: int, lower: Floats, upper: Floats) -> None:
    """What rows need of the ReLU and linear neurons of source h that are alive; their rbar in work.reach, 0 for all others."""
    s, count, span = system.start[h], work.alives[h], work.span[h]
    work.reach[: system.size[h]] = 0.0
    for factors in (work.rise, work.fall, work.lower, work.upper):
        factors[s : s + span] = 0.0
    for place in range(s, s + span):
        work.scale[place] = system.scale[s + work.alive[place]]
        work.alive_charge[place] = work.charge[s + work.alive[place]]
    for place in range(s, s + count):
        j = work.alive[place]
        below, above = lower[j], upper[j]
        if system.kind[s + j] == LINEAR:
            work.rise[place] = work.fall[place] = 1.0
            work.reach[j] = max(-below, above, 0.0)
        elif system.kind[s + j] == RELU:
            work.reach[j] = above
            if below >= 0.0:
                work.rise[place] = work.fall[place] = 1.0
            else:
                work.rise[place] = 1.0 if above > -below else 0.0
                work.fall[place] = above / (above - below)
                work.lower[place], work.upper[place] = below, above


@inlined
def _gather(system: System, work: Work, h: int) -> None:
    """Where the rows of layer h's matrix are that belong to alive neurons; copies these with their alive columns."""
    s, width, base, begin = system.start[h], system.width[h - 1], system.row_start[h], system.gathered_start[h]
    count, span, below = work.alives[h], work.span[h - 1], system.start[h - 1]
    for c in range(count):
        row = base + work.alive[s + c] * width
        work.row_place[s + c] = row
        if begin >= 0:
            work.row_place[s + c] = begin + c * span
            own, target = system.rows[row : row + width], work.gathered[begin + c * span : begin + (c + 1) * span]
            pick(own, work.alive[below : below + span], target)
    while count % 4:
        work.row_place[s + count] = work.row_place[s]  # which is multiplied by 0
        count += 1


@kernel
def prepare_source(system: System, work: Work, h: int, lower: Floats, upper: Floats, last: int) -> None:
    """Everything that rows need of source h >= 1, from the bounds of a node (arrays of n_h)."""
    scale, total = power(system.grid[h]), 0.0
    _find_alive(system, work, h, lower, upper)
    _prepare_others(system, work, h, lower, upper)
    if work.first_difference[h] < work.end_difference[h]:
        prepare_differences(system, work, h, lower, upper)
    for j in range(system.size[h]):
        total += np.ceil(work.reach[j] * scale)
    work.total[h] = total
    _gather(system, work, h)
    if h < last:
        prepare_error(system, work, h, work.reach)


@kernel
def _largest(p: Floats, scale: Floats, v: Floats, largest: Floats) -> None:
    """v of step 2, and the largest |v| of each row."""
    for r in range(len(largest)):
        own, target = p[r], v[r]
        for j in range(len(scale)):
            target[j] = own[j] * scale[j]
        m0 = m1 = m2 = m3 = 0.0
        for j in range(0, len(scale), 4):
            m0 = max(m0, abs(target[j]))
            m1 = max(m1, abs(target[j + 1]))
            m2 = max(m2, abs(target[j + 2]))
            m3 = max(m3, abs(target[j + 3]))
        largest[r] = max(m0, m1, m2, m3)


@kernel
def _round(a: Floats, factor: Floats, width: int) -> None:
    """a of step 2, from v in place."""
    for r in range(len(factor)):
        own, scale = a[r], factor[r]
        for j in range(width):
            own[j] = np.rint(own[j] * scale)


@kernel
def _corners(a: Floats, box: Box, scaling: Floats, total: Floats, magnitude: Floats) -> None:
    """Step 3: the sum, and the sum of magnitudes."""
    low, high = box
    for r in range(len(scaling)):
        own, scale, total[r], magnitude[r] = a[r], scaling[r], 0.0, 0.0
        for j in range(len(low)):
            term = np.floor(own[j] * (low[j] if own[j] > 0.0 else high[j]) * scale)
            total[r] += term
            magnitude[r] += abs(term)


@kernel
def _relax(a: Floats, slopes: _Slopes, factors: _Factors, scaling: Floats, term: Floats, mu: Floats) -> None:
    """Step 4: mu of all neurons, and the terms of ReLU neurons."""
    (of_lanes, lanes, s), (fall, lower, upper) = slopes, factors
    for r in range(len(scaling)):
        own, multiplier, target, scale, rise = a[r], mu[r], term[r], scaling[r], of_lanes[lanes[r], s:]
        for j in range(len(fall)):  # two loops: with fewer arrays in each, the compiler vectorises them
            up, down = rise[j], fall[j]  # both are read: no branch
            multiplier[j] = np.rint(own[j] * (up if own[j] >= 0.0 else down))
        for j in range(len(fall)):
            low, high = -multiplier[j] * lower[j], (own[j] - multiplier[j]) * upper[j]
            least = low if low < high else high
            target[j] = np.floor((least if least < 0.0 else 0.0) * scale)


@kernel
def _sums(term: Floats, mu: Floats, width: int, total: Floats, weight: Floats) -> None:
    """The sum that step 4 adds to the constant, and sum |mu|."""
    for r in range(len(total)):
        own, multiplier = term[r], mu[r]
        t0 = t1 = t2 = t3 = w0 = w1 = w2 = w3 = 0.0
        for j in range(0, width, 4):
            t0 += own[j]
            t1 += own[j + 1]
            t2 += own[j + 2]
            t3 += own[j + 3]
            w0 += abs(multiplier[j])
            w1 += abs(multiplier[j + 1])
            w2 += abs(multiplier[j + 2])
            w3 += abs(multiplier[j + 3])
        total[r], weight[r] = (t0 + t1) + (t2 + t3), (w0 + w1) + (w2 + w3)


@kernel
def _magnitudes(term: Floats, width: int, magnitude: Floats) -> None:
    """The sum of the terms' magnitudes."""
    for r in range(len(magnitude)):
        own = term[r]
        t0 = t1 = t2 = t3 = 0.0
        for j in range(0, width, 4):
            t0 += abs(own[j])
            t1 += abs(own[j + 1])
            t2 += abs(own[j + 2])
            t3 += abs(own[j + 3])
        magnitude[r] = (t0 + t1) + (t2 + t3)


@inlined
def _charge(system: System, work: Work, k: int, h: int, count: int) -> int:
    """Steps 1 and 2 at source h for `count` rows of layer k but for a itself: what they add to the constant, and by what v is
    multiplied: 0 in a void row. Returns 0, or OUT.
    """
    n, grid, d, total_reach = work.alives[h], system.grid[k], work.error[h + 1], work.total[h]
    for r in range(count):
        e, largest, shift = work.exponent[r], work.largest[r], 0
        work.factor[r] = 0.0
        if work.void[r]:
            continue
        work.void[r] = 1  # until every term has been tested
        if d >= LIMIT_DOUBLE or (largest > 0.0 and total_reach >= LIMIT_DOUBLE):
            continue
        bias = np.floor(work.p[r, n] * power(grid - e - system.bias_exponent[h + 1]))
        unit = grid - e - system.grid[h + 1] - 24
        error, charge = np.ceil(work.weight[r] * d * power(unit)), 0.0
        rounding = np.ceil(work.rounding[r] * power(unit + work.charge_shift[h + 1])) if system.rounds else 0.0
        if largest > 0.0:
            shift = 24 - math.frexp(largest)[1]
            e += shift
            if abs(e) > MAX_EXPONENT:
                return OUT
            charge = np.ceil(total_reach * power(grid - e - 1 - system.grid[h]))
        if abs(bias) < VOID_DOUBLE and error < VOID_DOUBLE and rounding < VOID_DOUBLE and charge < VOID_DOUBLE:
            work.void[r], work.exponent[r], work.factor[r] = 0, e, power(shift)
            work.scaling[r] = power(grid - e - (24 if h == 0 else 0))
            work.value[r] += bias - error - rounding - charge
    return 0


@inlined
def _relax_all(system: System, work: Work, h: int, count: int, slopes: Floats) -> None:
    """Step 4 at source h for `count` rows."""
    s, width, first, end = system.start[h], work.span[h], work.first_difference[h], work.end_difference[h]
    own, scaling = slice(s, s + width), work.scaling[:count]
    factors = (work.fall[own], work.lower[own], work.upper[own])
    _relax(work.a, (slopes, work.lane, s), factors, scaling, work.term, work.mu)
    if first < end:
        own = slice(s + first, s + end)
        rise = (work.rise_near[own], work.rise_far[own], work.rise_constant[own])
        fall = (work.fall_near[own], work.fall_far[own], work.fall_constant[own])
        relax_differences(work.a, first, rise, fall, scaling, work.term, work.mu)
        _magnitudes(work.term, width, work.magnitude[:count])
    _sums(work.term, work.mu, width, work.total_term[:count], work.weight)
    if system.rounds:
        charge_rows(work.mu, work.alive_charge[s : s + width], work.rounding[:count])


@inlined
def _advance(system: System, work: Work, k: int, h: int, count: int, slopes: Floats, box: Box) -> int:
    """Steps 1 to 4 at source h for `count` rows of layer k; rows may become void. Returns 0, or OUT.

    Every step is one for all rows: a call for each row takes longer than what it does.
    """
    s, width, differences = system.start[h], work.span[h], work.first_difference[h] < work.end_difference[h]
    _largest(work.p, work.scale[s : s + width], work.a, work.largest[:count])
    if _charge(system, work, k, h, count):
        return OUT
    _round(work.a, work.factor[:count], width)
    for r in range(min(count, LANES)):
        copy(work.a[r, :width], work.kept[r, s:])
    if h == 0:
        _corners(work.a, box, work.scaling[:count], work.total_term, work.magnitude)
    else:
        _relax_all(system, work, h, count, slopes)
    for r in range(count):
        if work.void[r]:
            continue
        total = work.total_term[r]
        if h == 0 and work.magnitude[r] >= LIMIT_DOUBLE:
            return OUT
        # terms of ReLU neurons have one sign, so that their sum is enough; of step 3 the sum is what counts
        work.void[r] = (work.magnitude[r] if differences else abs(total)) >= VOID_DOUBLE
        work.value[r] += total
    return 0


@kernel
def _multiply(mu: Floats, q: Floats, places: Integers, p: Floats, width: int, count: int) -> None:
    """P = mu Q for rows 0 to count - 1 (rounded up to an even number); the rows of Q begin at `places`, a multiple of four."""
    for r in range(0, count, 2):
        p0, p1, m0, m1 = p[r], p[r + 1], mu[r], mu[r + 1]
        p0[:width] = 0.0
        p1[:width] = 0.0
        for t in range(0, len(places), 4):
            q0, q1, q2, q3 = q[places[t] :], q[places[t + 1] :], q[places[t + 2] :], q[places[t + 3] :]
            a0, a1, a2, a3 = m0[t], m0[t + 1], m0[t + 2], m0[t + 3]
            b0, b1, b2, b3 = m1[t], m1[t + 1], m1[t + 2], m1[t + 3]
            if not (a0 != 0.0 or a1 != 0.0 or a2 != 0.0 or a3 != 0.0 or b0 != 0.0 or b1 != 0.0 or b2 != 0.0 or b3 != 0.0):
                continue  # rows of N read nothing of N', nor of the differences
            for c in range(width):
                p0[c] += (a0 * q0[c] + a1 * q1[c]) + (a2 * q2[c] + a3 * q3[c])
                p1[c] += (b0 * q0[c] + b1 * q1[c]) + (b2 * q2[c] + b3 * q3[c])


@inlined
def _descend(system: System, work: Work, h: int, count: int) -> None:
    """P of step 4, from the multipliers of source h >= 1, at the places of source h - 1."""
    s, below, span = system.start[h], system.start[h - 1], work.span[h - 1]
    places = work.row_place[s : s + (work.alives[h] + 3) // 4 * 4]
    if system.gathered_start[h] >= 0:
        _multiply(work.mu, work.gathered, places, work.p, span, count)
    else:
        _multiply(work.mu, system.rows, places, work.p, system.width[h - 1], count)
        for r in range(count):
            pick(work.p[r], work.alive[below : below + span], work.p[r])


@kernel
def propagate(system: System, work: Work, k: int, count: int, slopes: Floats, box: Box) -> int:
    """Section 4 for `count` rows of layer k that have been started (an odd count: one more row is scratch).

    slopes : a row for each lane. Sets value, exponent and void of each row; `work.a` of it ends as the a of the input. Returns 0,
    or OUT.
    """
    for h in range(k - 1, -1, -1):
        if _advance(system, work, k, h, count, slopes, box):
            return OUT
        if h > 0:
            _descend(system, work, h, count)
    return 0


@kernel
def start_row(system: System, work: Work, r: int, k: int, i: int, sign: float) -> None:
    """Row number r begins as neuron i of layer k, or its negative."""
    below, row = system.start[k - 1], system.row_start[k] + i * system.width[k - 1]
    p, alive, q = work.p[r], work.alive[below : below + work.span[k - 1]], system.rows[row:]
    for c in range(len(alive)):
        p[c] = sign * q[alive[c]]
    work.value[r], work.exponent[r], work.weight[r], work.void[r], work.lane[r] = 0.0, 0, 1.0, 0, 0
    work.rounding[r] = work.charge[system.start[k] + i]
