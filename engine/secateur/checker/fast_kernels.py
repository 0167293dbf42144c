"""The same rows, refresh, goals, contraction and splits as `python_arithmetic`, compiled, with integers in doubles.

Why doubles are exact here. Every integer below 2^53 is a double, and sums and products of integers are exact while
they stay below it:

* |mu_j| <= |a_j| <= 2^24 and sum_i |Q_ij| <= 2^28 per column, so every partial sum of mu Q, in any order, is at most
  2^52; w = sum |mu_j| <= 8192 * 2^24 = 2^37, and D has 16 significant bits, so w D has at most 53. The weights of a mixed
  row are at most 2^20.
* a p, mu l and (a - mu) u are products of 24-bit numbers; factors 2^x only move the exponent.
* the terms of a row are tested against 2^46 before they are used (the void rule), and at most 31 layers add four of
  them each: |const| < 2^53. Sums of terms of one sign that pass 2^53 stay above it after rounding, so the test is exact;
  the sum of step 3 has both signs, and is given up (`OUT`) if the magnitudes add up to 2^53.
* exponents are confined (`fast_arithmetic._fits`, and `MAX_EXPONENT` here), so nothing overflows or becomes subnormal.

Where a tree leaves this range, the plain arithmetic takes over. No fastmath, ever.
Matrices are flat arrays of rows; source h occupies `width[h]` places from `start[h]` in every per-source array, of
which the first n_h are neurons, the next is the bias column, and the rest is zero.

Numba compiles a kernel again for every type of argument, and an integer literal has a type of its own: `_ZERO` and `_ONE`,
which have not, stand where one would be passed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from secateur.checker.nodes import (
    CONTRADICTION,
    LEAF_OPEN,
    LIMIT,
    MIXED_EXPONENT,
    SPLIT_CLOSED,
    TOO_NARROW,
    TRUSTED_CLOSED,
    VOID,
)

__all__ = ["MAX_EXPONENT", "OUT", "ROWS", "Floats", "Integers", "Pool", "System", "Work", "prepare_error", "visit_all"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_Box = tuple[Floats, Floats]  # low and high
_Factors = tuple[Floats, Floats, Floats, Floats]  # rise, fall, lower, upper of one source
Function = TypeVar("Function", bound=Callable[..., Any])

OUT = 9  # the status of a node whose numbers leave the exact range
_OPEN, _CLOSED, _UNMIXED = 0, 1, 2  # of a goal; the last: still open, and its rows cannot be mixed
MAX_EXPONENT = 400  # of a row; far below the exponents that keep a row from cutting or being mixed (section 8)
ROWS = 64  # rows propagated together; even
_VOID, _LIMIT, _MIX_SCALE = float(VOID), float(LIMIT), float(1 << MIXED_EXPONENT)
_REACH = 1000
_ZERO, _ONE = cast(int, np.int64(0)), cast(int, np.int64(1))
_POWERS = np.ldexp(1.0, np.arange(-_REACH, _REACH + 1))


def _entry(function: Function) -> Function:
    """Compiles what Python calls."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def _kernel(function: Function) -> Function:
    """Compiles what only other kernels call: without the wrapper for Python, which takes longest to compile."""
    options: dict[str, Any] = {
        "cache": True,
        "nogil": True,
        "error_model": "numpy",
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    return cast(Function, njit(**options)(function))


class System(NamedTuple):
    """One network and the goals of one tree, as arrays."""

    size: Integers  # [h] n_h
    width: Integers  # [h] padded size of source h
    start: Integers  # [h] first place of source h
    grid: Integers  # [h] G_h, G_0 = 0
    rows: Floats  # Q, row i of layer k at row_start[k] + i * width[k-1]; row n_k is zero
    row_start: Integers
    columns: Floats  # Q, column j of layer k at column_start[k] + j * width[k]; column n_{k-1} is the bias
    column_start: Integers
    scale: Floats  # per source: 2^-c of the columns of the layer above; 0 at the bias
    bias_exponent: Integers  # [k] c of the bias column of layer k
    delta: Floats  # per source: delta_j 2^(G+24) of the layer above
    bias_delta: Floats  # [k] ceil(delta_bias 2^(G_k+24))
    goal_layer: Integers
    goal_first: Integers  # the targets of goal g are numbers goal_first[g] to goal_first[g + 1] - 1
    threshold: Floats  # [target]
    target_neuron: Integers
    target_sign: Floats
    steps: int


class Pool(NamedTuple):
    """The states of waiting nodes; a node is a row."""

    low: Floats
    high: Floats
    lower: Floats  # [node, place - width[0]]
    upper: Floats
    open: NDArray[np.uint8]


class Work(NamedTuple):
    """Scratch of one thread, overwritten by every node."""

    p: Floats  # [row, place] P of step 1
    a: Floats  # [place] a of step 2, then scratch
    term: Floats
    mu: Floats  # [row, place]; at the input, the a of step 2
    value: Floats  # [row] const
    exponent: Integers
    weight: Floats
    void: NDArray[np.uint8]
    neuron: Integers  # neurons of rows, or of a point
    rise: Floats  # per source: the factor of mu where a >= 0, with default slopes
    fall: Floats  # per source: the factor where a < 0
    lower: Floats  # per source: l of unstable neurons, else 0
    upper: Floats
    slopes: Floats  # per source: as `rise`, while a goal improves them
    kept: Floats  # per source: the a of the last row that was computed alone
    active: Integers  # per source: the neurons with u > 0, filled up to a multiple of four with n_h
    actives: Integers
    total: Floats  # [h] S_h
    error: Floats  # [k] D_k
    point: Floats  # per source: values of the relaxed row's least point
    best: Floats  # [coordinate] a of the best row
    left_low: Floats  # [goal, coordinate] what the goal leaves of the box
    left_high: Floats
    tilt: Floats  # [target, coordinate] g of section 8
    constant: Floats  # [target] c
    unit: Floats  # [target] t
    share: Floats  # [target]
    mix: Floats  # [target] the best shares, then the weights lambda
    upper_end: Floats  # [coordinate] p


@_kernel
def _power(x: int) -> float:
    return _POWERS[x + _REACH]  # type: ignore[no-any-return]


@_entry
def prepare_error(system: System, work: Work, h: int, reach: Floats) -> None:
    """D_{h+1}, from rbar of source h."""
    k, s = h + 1, system.start[h]
    d = system.bias_delta[k]
    for j in range(system.size[h]):
        d += np.ceil(system.delta[s + j] * reach[j])
    if 0.0 < d < _LIMIT:
        surplus = max(math.frexp(d)[1] - 16, 0)
        d = np.ceil(d * _power(-surplus)) * _power(surplus)
    work.error[k] = d


@_kernel
def _prepare_source(system: System, work: Work, h: int, lower: Floats, upper: Floats, last: int) -> None:
    """Everything that rows need of source h >= 1, from the bounds of a node (arrays of n_h)."""
    s, n = system.start[h], system.size[h]
    scale, total, count = _power(system.grid[h]), 0.0, 0
    for j in range(n):
        below, above = lower[j], upper[j]
        work.rise[s + j] = work.fall[s + j] = work.lower[s + j] = work.upper[s + j] = 0.0
        work.term[j] = 0.0
        if above > 0.0:
            work.active[s + count] = j
            count += 1
            work.term[j] = above
            total += np.ceil(above * scale)
            if below >= 0.0:
                work.rise[s + j] = work.fall[s + j] = 1.0
            else:
                work.rise[s + j] = 1.0 if above > -below else 0.0
                work.fall[s + j] = above / (above - below)
                work.lower[s + j], work.upper[s + j] = below, above
    while count % 4:
        work.active[s + count] = n
        count += 1
    work.actives[h], work.total[h] = count, total
    if h < last:
        prepare_error(system, work, h, work.term)


@_kernel
def _relax(a: Floats, factors: _Factors, scale: float, term: Floats, mu: Floats) -> tuple[float, float]:
    """Step 4: fills mu; the sum that is added to the constant, and sum |mu|."""
    rise, fall, lower, upper = factors
    for j in range(len(a)):  # two loops: with fewer arrays in each, the compiler vectorises them
        up, down = rise[j], fall[j]  # both are read: no branch
        mu[j] = np.rint(a[j] * (up if a[j] >= 0.0 else down))
    for j in range(len(a)):
        low, high = -mu[j] * lower[j], (a[j] - mu[j]) * upper[j]
        least = low if low < high else high
        term[j] = np.floor((least if least < 0.0 else 0.0) * scale)
    t0 = t1 = t2 = t3 = w0 = w1 = w2 = w3 = 0.0
    for j in range(0, len(a), 4):
        t0 += term[j]
        t1 += term[j + 1]
        t2 += term[j + 2]
        t3 += term[j + 3]
        w0 += abs(mu[j])
        w1 += abs(mu[j + 1])
        w2 += abs(mu[j + 2])
        w3 += abs(mu[j + 3])
    return (t0 + t1) + (t2 + t3), (w0 + w1) + (w2 + w3)


@_kernel
def _corner(a: Floats, low: Floats, high: Floats, scale: float) -> tuple[float, float]:
    """Step 3: the sum, and the sum of magnitudes."""
    total = magnitude = 0.0
    for j in range(len(low)):
        term = np.floor(a[j] * (low[j] if a[j] > 0.0 else high[j]) * scale)
        total += term
        magnitude += abs(term)
    return total, magnitude


@_kernel
def _largest(p: Floats, scale: Floats, out: Floats) -> float:
    """out = v of step 2; the largest |v|."""
    for j in range(len(scale)):
        out[j] = p[j] * scale[j]
    m0 = m1 = m2 = m3 = 0.0
    for j in range(0, len(scale), 4):
        m0 = max(m0, abs(out[j]))
        m1 = max(m1, abs(out[j + 1]))
        m2 = max(m2, abs(out[j + 2]))
        m3 = max(m3, abs(out[j + 3]))
    return max(m0, m1, m2, m3)


@_kernel
def _advance(system: System, work: Work, k: int, h: int, count: int, slopes: Floats, box: _Box) -> int:
    """Steps 1 to 4 at source h for `count` rows of layer k; rows may become void. Returns 0, or OUT."""
    s, n, width, grid = system.start[h], system.size[h], system.width[h], system.grid[k]
    scale, d, total_reach = system.scale[s : s + width], work.error[h + 1], work.total[h]
    factors = (slopes[s:], work.fall[s:], work.lower[s:], work.upper[s:])
    term = work.term
    for r in range(count):
        if work.void[r]:
            continue
        work.void[r] = 1  # until every term has been tested
        if d >= _LIMIT:
            continue
        p, e, a = work.p[r], work.exponent[r], (work.a if h > 0 else work.mu[r])[:width]
        bias = np.floor(p[n] * _power(grid - e - system.bias_exponent[h + 1]))
        error = np.ceil(work.weight[r] * d * _power(grid - e - system.grid[h + 1] - 24))
        largest, charge = _largest(p, scale, a), 0.0
        if largest > 0.0:
            shift = 24 - math.frexp(largest)[1]
            e += shift
            if total_reach >= _LIMIT:
                continue
            if abs(e) > MAX_EXPONENT:
                return OUT
            factor = _power(shift)
            for j in range(width):
                a[j] = np.rint(a[j] * factor)
            charge = np.ceil(total_reach * _power(grid - e - 1 - system.grid[h]))
        if count == 1:
            work.kept[s : s + width] = a
        if h == 0:
            total, magnitude = _corner(a, box[0], box[1], _power(grid - e - 24))
            if magnitude >= _LIMIT:
                return OUT
        else:
            total, work.weight[r] = _relax(a, factors, _power(grid - e), term, work.mu[r])
        if abs(bias) < _VOID and error < _VOID and charge < _VOID and abs(total) < _VOID:
            work.void[r] = 0
            work.value[r] += bias - error - charge + total
            work.exponent[r] = e
    return 0


@_kernel
def _multiply(system: System, work: Work, h: int, count: int) -> None:
    """P = mu Q^h for rows 0 to count - 1 (rounded up to an even number), inactive neurons left out."""
    width, base, s = system.width[h - 1], system.row_start[h], system.start[h]
    q = system.rows
    for r in range(0, count, 2):
        p0, p1, m0, m1 = work.p[r], work.p[r + 1], work.mu[r], work.mu[r + 1]
        p0[:width] = 0.0
        p1[:width] = 0.0
        for t in range(s, s + work.actives[h], 4):
            j0, j1, j2, j3 = work.active[t], work.active[t + 1], work.active[t + 2], work.active[t + 3]
            q0 = q[base + j0 * width : base + (j0 + 1) * width]
            q1 = q[base + j1 * width : base + (j1 + 1) * width]
            q2 = q[base + j2 * width : base + (j2 + 1) * width]
            q3 = q[base + j3 * width : base + (j3 + 1) * width]
            a0, a1, a2, a3 = m0[j0], m0[j1], m0[j2], m0[j3]
            b0, b1, b2, b3 = m1[j0], m1[j1], m1[j2], m1[j3]
            for c in range(width):
                p0[c] += (a0 * q0[c] + a1 * q1[c]) + (a2 * q2[c] + a3 * q3[c])
                p1[c] += (b0 * q0[c] + b1 * q1[c]) + (b2 * q2[c] + b3 * q3[c])


@_kernel
def _rows(system: System, work: Work, k: int, count: int, slopes: Floats, box: _Box) -> int:
    """Section 4 for `count` rows of layer k that have been started (an odd count: one more row is scratch).

    Sets value, exponent and void of each; `work.mu` of a row ends as the a of the input. Returns 0, or OUT.
    """
    for h in range(k - 1, -1, -1):
        if _advance(system, work, k, h, count, slopes, box):
            return OUT
        if h > 0:
            _multiply(system, work, h, count)
    return 0


@_kernel
def _start_row(work: Work, r: int, row: Floats, sign: float) -> None:
    """Row number r begins as a row of Q, or its negative."""
    p = work.p[r]
    for j in range(len(row)):
        p[j] = sign * row[j]
    work.value[r], work.exponent[r], work.weight[r], work.void[r] = 0.0, 0, 1.0, 0


@_kernel
def _down24(x: float) -> float:
    """The greatest number of at most 24 significant bits that is <= x; exact for |x| < 2^53 2^200."""
    if x == 0.0:
        return 0.0
    exponent = math.frexp(x)[1]
    return np.floor(x * _power(24 - exponent)) * _power(exponent - 24)  # type: ignore[no-any-return]


@_kernel
def _refresh(system: System, work: Work, pool: Pool, slot: int, last: int) -> int:
    """Section 6, step 1. Returns 0, CONTRADICTION or OUT."""
    box = (pool.low[slot], pool.high[slot])
    for k in range(1, last):
        first, n = system.start[k] - system.width[0], system.size[k]
        lower, upper = pool.lower[slot, first : first + n], pool.upper[slot, first : first + n]
        width, scale, i = system.width[k - 1], _power(-system.grid[k]), 0
        matrix = system.rows[system.row_start[k] :]
        while i < n:
            count = _ZERO
            while i < n and count < ROWS:
                if lower[i] < 0.0 < upper[i]:
                    work.neuron[count] = i
                    row = matrix[i * width : (i + 1) * width]
                    _start_row(work, count, row, 1.0)
                    _start_row(work, count + 1, row, -1.0)
                    count += 2
                i += 1
            if _rows(system, work, k, count, work.rise, box):
                return OUT
            for r in range(0, count, 2):
                j = work.neuron[r]
                if not work.void[r]:
                    lower[j] = max(lower[j], _down24(work.value[r] * scale))
                if not work.void[r + 1]:
                    upper[j] = min(upper[j], -_down24(work.value[r + 1] * scale))
                if lower[j] > upper[j]:
                    return CONTRADICTION
        _prepare_source(system, work, k, lower, upper, last)
    return 0


@_kernel
def _pre_activations(system: System, work: Work, h: int) -> None:
    """z of layer h at the point, in the order of section 5: four columns at a time, each sum from left to right."""
    s, below, n, width = system.start[h], system.start[h - 1], system.size[h], system.width[h]
    inputs, base, count = system.size[h - 1], system.column_start[h], 0
    columns, z, chosen, scaled = system.columns[base:], work.point[s : s + n], work.neuron, work.term
    for j in range(inputs):
        if work.point[below + j] != 0.0:
            chosen[count], scaled[count] = j, work.point[below + j] * system.scale[below + j]
            count += 1
    while count % 4:
        chosen[count], scaled[count] = 0, 0.0  # adds zeros
        count += 1
    scale = _power(-system.bias_exponent[h])
    for i in range(n):
        z[i] = columns[inputs * width + i] * scale
    for t in range(0, count, 4):
        x0, x1, x2, x3 = scaled[t], scaled[t + 1], scaled[t + 2], scaled[t + 3]
        c0, c1 = columns[chosen[t] * width :], columns[chosen[t + 1] * width :]
        c2, c3 = columns[chosen[t + 2] * width :], columns[chosen[t + 3] * width :]
        for i in range(n):
            z[i] = (((z[i] + c0[i] * x0) + c1[i] * x1) + c2[i] * x2) + c3[i] * x3


@_kernel
def _improve(system: System, work: Work, k: int, box: _Box, gain: float) -> None:
    """New slopes from the least point of the kept row (section 5)."""
    low, high = box
    for j in range(system.size[0]):
        work.point[j] = (low[j] if work.kept[j] > 0.0 else high[j]) * 2.0**-24
    for h in range(1, k):
        _pre_activations(system, work, h)
        for j in range(system.start[h], system.start[h] + system.size[h]):
            z, below, above, a = work.point[j], work.lower[j], work.upper[j], work.kept[j]
            if above > 0.0:  # unstable
                work.point[j] = work.slopes[j] * z if a >= 0.0 else work.fall[j] * (z - below)
                if a > 0.0:
                    slope = work.slopes[j] + gain * (z / (above - below))
                    work.slopes[j] = 1.0 if slope > 1.0 else slope if slope > 0.0 else 0.0
            elif work.fall[j] == 0.0:  # inactive
                work.point[j] = 0.0


@_kernel
def _cut(work: Work, g: int, box: _Box, a: Floats, value: float, shift: int) -> None:
    """What goal g leaves shrinks by a row that is too low; `shift` is 24 + e - G."""
    need = np.ceil(-value * _power(shift))
    for i in range(len(box[0])):
        left, right, size = box[0][i], box[1][i], abs(a[i])
        width = right - left
        if size != 0.0 and need < width * size:  # both sides are integers below 2^48
            d = float(int(need) // int(size) + 1)
            if d < width and a[i] > 0.0:
                work.left_high[g, i] = min(work.left_high[g, i], left + d)
            elif d < width:
                work.left_low[g, i] = max(work.left_low[g, i], right - d)


@_kernel
def _tilt(work: Work, target: int, box: _Box, a: Floats, c: float, unit: float) -> None:
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


@_kernel
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
            mix[:m] = share[:m]
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


@_kernel
def _single_rows(system: System, work: Work, g: int, box: _Box) -> int:
    """Section 8, step 1: _CLOSED, _OPEN with the tilts of all rows, _UNMIXED, or OUT."""
    k, first, end, status = system.goal_layer[g], system.goal_first[g], system.goal_first[g + 1], _OPEN
    width, grid = system.width[k - 1], system.grid[k]
    matrix = system.rows[system.row_start[k] :]
    for begin in range(first, end, ROWS):
        count = min(ROWS, end - begin)
        for r in range(count):
            i = system.target_neuron[begin + r]
            _start_row(work, r, matrix[i * width : (i + 1) * width], system.target_sign[begin + r])
        if _rows(system, work, k, count, work.rise, box):
            return OUT
        for r in range(count):
            value, e, a = work.value[r], work.exponent[r], work.mu[r]
            if work.void[r]:
                status = _UNMIXED
            elif value >= system.threshold[begin + r]:
                return _CLOSED
            else:
                _cut(work, g, box, a, value, 24 + e - grid)
                _tilt(work, begin + r - first, box, a, value * _power(-grid), _power(-e - 24))
    return status


@_kernel
def _start_goal(system: System, work: Work, g: int) -> None:
    """Row 0 begins as the goal's only target, or as the mixture of all of them."""
    k, first, m = system.goal_layer[g], system.goal_first[g], system.goal_first[g + 1] - system.goal_first[g]
    width, p, weight = system.width[k - 1], work.p[0], 0.0
    p[:width] = 0.0
    for r in range(m):
        factor = system.target_sign[first + r] * work.mix[r]
        start = system.row_start[k] + system.target_neuron[first + r] * width
        weight += work.mix[r]
        for j in range(width):
            p[j] += factor * system.rows[start + j]
    work.value[0], work.exponent[0], work.weight[0], work.void[0] = 0.0, MIXED_EXPONENT if m > 1 else 0, weight, 0


@_kernel
def _threshold(system: System, work: Work, g: int) -> float:
    """At what value the goal's only target, or the mixture of all, closes it: 0 where one that must be negative is part of it."""
    first = system.goal_first[g]
    for r in range(system.goal_first[g + 1] - first):
        if system.threshold[first + r] == 0.0 and work.mix[r] >= 1.0:
            return 0.0
    return 1.0


@_kernel
def _best_row(system: System, work: Work, g: int, box: _Box) -> int:
    """Section 5 for the row of goal g; the best one cuts. Returns _OPEN, _CLOSED or OUT."""
    k, n, threshold = system.goal_layer[g], system.size[0], _threshold(system, work, g)
    work.slopes[:] = work.rise
    best, exponent, gain = -np.inf, 0, 4.0
    for it in range(system.steps + 1):
        _start_goal(system, work, g)
        if _rows(system, work, k, _ONE, work.slopes, box):
            return OUT
        if work.void[0]:
            break
        if work.value[0] > best:
            best, exponent = work.value[0], work.exponent[0]
            work.best[:n] = work.mu[0, :n]
        if best >= threshold:
            return _CLOSED
        if it < system.steps:
            _improve(system, work, k, box, gain)
            gain *= 0.75
    if best > -np.inf:
        _cut(work, g, box, work.best, best, 24 + exponent - system.grid[k])
    return _OPEN


@_kernel
def _goal(system: System, work: Work, g: int, box: _Box) -> int:
    """Section 8 (and 5) for goal g: _OPEN with what it leaves of the box, _CLOSED, or OUT."""
    m, status = system.goal_first[g + 1] - system.goal_first[g], _OPEN
    low, high = work.left_low[g], work.left_high[g]
    low[:], high[:] = box[0], box[1]
    if m > 1:
        status = _single_rows(system, work, g, box)
        if status == _OPEN:
            _mix(work, m, len(low))
    else:
        work.mix[0] = 1.0
    if status == _OPEN:
        status = _best_row(system, work, g, box)
    if status in (_CLOSED, OUT):
        return status
    for i in range(len(low)):
        if low[i] > high[i]:
            return _CLOSED
    return _OPEN


@_kernel
def _contract(work: Work, goals: Any, low: Floats, high: Floats) -> None:
    """Shrinks the box in place to the hull of what the open goals leave; `goals` marks these."""
    for i in range(len(low)):
        least, most = high[i], low[i]
        for g in range(len(goals)):
            if goals[g]:
                least, most = min(least, work.left_low[g, i]), max(most, work.left_high[g, i])
        low[i], high[i] = least, most


@_kernel
def _split(pool: Pool, slot: int, spare: int, coordinate: int) -> int:
    """Section 6, step 5: the first child replaces the node, the second fills `spare`."""
    left, right = pool.low[slot, coordinate], pool.high[slot, coordinate]
    if right - left < 2.0:
        return TOO_NARROW
    pool.low[spare], pool.high[spare] = pool.low[slot], pool.high[slot]
    pool.lower[spare], pool.upper[spare], pool.open[spare] = (
        pool.lower[slot],
        pool.upper[slot],
        pool.open[slot],
    )
    pool.high[slot, coordinate] = pool.low[spare, coordinate] = np.floor((left + right) * 0.5)
    return 0


@_kernel
def _visit(system: System, work: Work, pool: Pool, slot: int, spare: int, symbol: int) -> tuple[int, int]:
    """One node: (status, first open goal)."""
    goals, low, high = pool.open[slot], pool.low[slot], pool.high[slot]
    last = _ZERO
    for g in range(len(goals)):
        if goals[g]:
            last = max(last, system.goal_layer[g])
    status = _refresh(system, work, pool, slot, last)
    if status:
        return status, 0
    first = -1
    for g in range(len(goals)):
        if goals[g]:
            status = _goal(system, work, g, (low, high))
            if status == OUT:
                return OUT, 0
            if status == _CLOSED:
                goals[g] = 0
            elif first < 0:
                first = g
    if symbol == 0:
        return (LEAF_OPEN, first) if first >= 0 else (0, 0)
    trusted = symbol > len(low)
    if first < 0:
        return (TRUSTED_CLOSED if trusted else SPLIT_CLOSED), 0
    if trusted:
        return 0, 0
    _contract(work, goals, low, high)
    return _split(pool, slot, spare, symbol - 1), 0


@_entry
def visit_all(system: System, work: Work, pool: Pool, jobs: Integers, results: Integers, begin: int, step: int) -> None:
    """Jobs (slot, spare, symbol) number begin, begin + step, ...; results are (status, goal)."""
    for job in range(begin, len(jobs), step):
        results[job, 0], results[job, 1] = _visit(system, work, pool, jobs[job, 0], jobs[job, 1], jobs[job, 2])
