"""Rows of the compiled arithmetic (section 4 of the format; 9 for difference neurons, 11 for rounding): many at a time."""

from __future__ import annotations

import math

import numpy as np

from secateur.checker.fast_differences import Lines, prepare_differences, relax_differences
from secateur.checker.fast_layout import (
    LIMIT_DOUBLE,
    LINEAR,
    MAX_EXPONENT,
    OUT,
    RELU,
    VOID_DOUBLE,
    Box,
    Floats,
    System,
    Work,
    copy,
    entry,
    kernel,
    power,
)
from secateur.checker.fast_slack import charge_of, prepare_charges

__all__ = ["CALLS_INTO", "prepare_error", "prepare_source", "propagate", "start_row"]

CALLS_INTO = "b00ca2a617cb37d4"  # of fast_differences.py, fast_layout.py, fast_slack.py and nodes.py (see the second's head)

_Factors = tuple[Floats, Floats, Floats, Floats]  # rise, fall, lower, upper of one source


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


@kernel
def _prepare_others(system: System, work: Work, h: int, lower: Floats, upper: Floats) -> None:
    """Factors of the ReLU and linear neurons of source h, and their rbar in work.term; nothing of difference neurons."""
    s = system.start[h]
    for j in range(system.size[h]):
        below, above = lower[j], upper[j]
        work.rise[s + j] = work.fall[s + j] = work.lower[s + j] = work.upper[s + j] = 0.0
        work.term[j] = 0.0
        if system.kind[s + j] == LINEAR:
            work.rise[s + j] = work.fall[s + j] = 1.0
            work.term[j] = max(-below, above, 0.0)
        elif system.kind[s + j] == RELU and above > 0.0:
            work.term[j] = above
            if below >= 0.0:
                work.rise[s + j] = work.fall[s + j] = 1.0
            else:
                work.rise[s + j] = 1.0 if above > -below else 0.0
                work.fall[s + j] = above / (above - below)
                work.lower[s + j], work.upper[s + j] = below, above


@kernel
def prepare_source(system: System, work: Work, h: int, lower: Floats, upper: Floats, last: int) -> None:
    """Everything that rows need of source h >= 1, from the bounds of a node (arrays of n_h)."""
    s, n, first, end = system.start[h], system.size[h], system.first_difference[h], system.end_difference[h]
    scale, total, count = power(system.grid[h]), 0.0, 0
    _prepare_others(system, work, h, lower, upper)
    if first < end:
        prepare_differences(system, work, h, lower, upper)
    for j in range(n):
        total += np.ceil(work.term[j] * scale)
        if work.rise[s + j] != 0.0 or work.fall[s + j] != 0.0:
            work.active[s + count] = j
            count += 1
    while count % 4:
        work.active[s + count] = n
        count += 1
    work.actives[h], work.total[h] = count, total
    if h < last:
        prepare_error(system, work, h, work.term)


@kernel
def _relax(a: Floats, factors: _Factors, scale: float, term: Floats, mu: Floats) -> None:
    """Step 4: mu of all neurons, and the terms of ReLU neurons."""
    rise, fall, lower, upper = factors
    for j in range(len(a)):  # two loops: with fewer arrays in each, the compiler vectorises them
        up, down = rise[j], fall[j]  # both are read: no branch
        mu[j] = np.rint(a[j] * (up if a[j] >= 0.0 else down))
    for j in range(len(a)):
        low, high = -mu[j] * lower[j], (a[j] - mu[j]) * upper[j]
        least = low if low < high else high
        term[j] = np.floor((least if least < 0.0 else 0.0) * scale)


@kernel
def _sums(term: Floats, mu: Floats) -> tuple[float, float]:
    """The sum of the terms, and sum |mu|."""
    t0 = t1 = t2 = t3 = w0 = w1 = w2 = w3 = 0.0
    for j in range(0, len(mu), 4):
        t0 += term[j]
        t1 += term[j + 1]
        t2 += term[j + 2]
        t3 += term[j + 3]
        w0 += abs(mu[j])
        w1 += abs(mu[j + 1])
        w2 += abs(mu[j + 2])
        w3 += abs(mu[j + 3])
    return (t0 + t1) + (t2 + t3), (w0 + w1) + (w2 + w3)


@kernel
def _magnitude(term: Floats) -> float:
    """The sum of the terms' magnitudes."""
    t0 = t1 = t2 = t3 = 0.0
    for j in range(0, len(term), 4):
        t0 += abs(term[j])
        t1 += abs(term[j + 1])
        t2 += abs(term[j + 2])
        t3 += abs(term[j + 3])
    return (t0 + t1) + (t2 + t3)


@kernel
def _relax_all(
    a: Floats, factors: _Factors, lines: Lines, differences: tuple[int, int], scale: float, term: Floats, mu: Floats
) -> tuple[float, float, float]:
    """Step 4 for all neurons of a source, the difference neurons from `differences[0]` to `differences[1]`: fills mu.

    Returns the sum that is added to the constant, the sum of its terms' magnitudes, and sum |mu|.
    """
    _relax(a, factors, scale, term, mu)
    first, end = differences
    if first < end:
        relax_differences(a[first:end], lines, scale, term[first:], mu[first:])
    total, weight = _sums(term, mu)
    magnitude = _magnitude(term[: len(mu)]) if first < end else -total  # terms of ReLU neurons are at most 0
    return total, magnitude, weight


@kernel
def _corner(a: Floats, low: Floats, high: Floats, scale: float) -> tuple[float, float]:
    """Step 3: the sum, and the sum of magnitudes."""
    total = magnitude = 0.0
    for j in range(len(low)):
        term = np.floor(a[j] * (low[j] if a[j] > 0.0 else high[j]) * scale)
        total += term
        magnitude += abs(term)
    return total, magnitude


@kernel
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


@kernel
def _advance(system: System, work: Work, k: int, h: int, count: int, slopes: Floats, box: Box) -> int:
    """Steps 1 to 4 at source h for `count` rows of layer k; rows may become void. Returns 0, or OUT."""
    s, n, width, grid = system.start[h], system.size[h], system.width[h], system.grid[k]
    scale, d, total_reach = system.scale[s : s + width], work.error[h + 1], work.total[h]
    own_charge = work.charge[s : s + (width if system.rounds else 0)]
    differences = (system.first_difference[h], system.end_difference[h])
    first = s + differences[0]
    factors = (slopes[s:], work.fall[s:], work.lower[s:], work.upper[s:])
    lines = (
        work.rise_near[first:],
        work.rise_far[first:],
        work.rise_constant[first:],
        work.fall_near[first:],
        work.fall_far[first:],
        work.fall_constant[first:],
    )
    for r in range(count):
        if work.void[r]:
            continue
        work.void[r] = 1  # until every term has been tested
        if d >= LIMIT_DOUBLE:
            continue
        p, e, a = work.p[r], work.exponent[r], (work.a if h > 0 else work.mu[r])[:width]
        bias = np.floor(p[n] * power(grid - e - system.bias_exponent[h + 1]))
        unit = grid - e - system.grid[h + 1] - 24
        error = np.ceil(work.weight[r] * d * power(unit))
        rounding = np.ceil(work.rounding[r] * power(unit + work.charge_shift[h + 1])) if system.rounds else 0.0
        largest, charge = _largest(p, scale, a), 0.0
        if largest > 0.0:
            shift = 24 - math.frexp(largest)[1]
            e += shift
            if total_reach >= LIMIT_DOUBLE:
                continue
            if abs(e) > MAX_EXPONENT:
                return OUT
            factor = power(shift)
            for j in range(width):
                a[j] = np.rint(a[j] * factor)
            charge = np.ceil(total_reach * power(grid - e - 1 - system.grid[h]))
        if count == 1:
            copy(a, work.kept[s:])
        if h == 0:
            total, magnitude = _corner(a, box[0], box[1], power(grid - e - 24))
            if magnitude >= LIMIT_DOUBLE:
                return OUT
            magnitude = abs(total)
        else:
            mu = work.mu[r, :width]
            scaling = power(grid - e)
            total, magnitude, work.weight[r] = _relax_all(a, factors, lines, differences, scaling, work.term, mu)
            work.rounding[r] = charge_of(mu, own_charge)
        charges = error < VOID_DOUBLE and rounding < VOID_DOUBLE and charge < VOID_DOUBLE
        if abs(bias) < VOID_DOUBLE and charges and magnitude < VOID_DOUBLE:
            work.void[r] = 0
            work.value[r] += bias - error - rounding - charge + total
            work.exponent[r] = e
    return 0


@kernel
def _multiply(system: System, work: Work, h: int, count: int) -> None:
    """P = mu Q^h for rows 0 to count - 1 (rounded up to an even number), without the neurons that have mu = 0."""
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
            if not (a0 != 0.0 or a1 != 0.0 or a2 != 0.0 or a3 != 0.0 or b0 != 0.0 or b1 != 0.0 or b2 != 0.0 or b3 != 0.0):
                continue  # rows of N read nothing of N', nor of the differences
            for c in range(width):
                p0[c] += (a0 * q0[c] + a1 * q1[c]) + (a2 * q2[c] + a3 * q3[c])
                p1[c] += (b0 * q0[c] + b1 * q1[c]) + (b2 * q2[c] + b3 * q3[c])


@kernel
def propagate(system: System, work: Work, k: int, count: int, slopes: Floats, box: Box) -> int:
    """Section 4 for `count` rows of layer k that have been started (an odd count: one more row is scratch).

    Sets value, exponent and void of each; `work.mu` of a row ends as the a of the input. Returns 0, or OUT.
    """
    for h in range(k - 1, -1, -1):
        if _advance(system, work, k, h, count, slopes, box):
            return OUT
        if h > 0:
            _multiply(system, work, h, count)
    return 0


@kernel
def start_row(work: Work, r: int, row: Floats, sign: float, charge: float) -> None:
    """Row number r begins as a row of Q, or its negative; `charge` is the s_i of its neuron."""
    p = work.p[r]
    for j in range(len(row)):
        p[j] = sign * row[j]
    work.value[r], work.exponent[r], work.weight[r], work.rounding[r], work.void[r] = 0.0, 0, 1.0, charge, 0
