"""The performance core: rows, refreshes and claims of a batch of sub-domains (FORMAT.md, sections 4 to 6).

Plain arrays in, plain arrays changed in place; the typed layer is bounds/batch.py. All floats hold exact integers or exact
dyadic numbers (rounding.py), so results do not depend on threads, vector width or fused operations; the two places that
only *choose* multipliers use IEEE operations in a fixed order. Start reading at `evaluate_batch`.

Written for LLVM's vectoriser: loops over columns carry no branches and no floating-point reductions. Maxima are taken over
bit patterns (integers order like magnitudes), sums with eight independent accumulators (exact, hence order-free), powers
of two come from a table, and products of many rows with a matrix are left to microkernel.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from secateur.bounds.microkernel import LANES, TILE_ROWS, exchange_row, multiply_tile, round_row, scale_row
from secateur.bounds.quantised import KernelNetwork
from secateur.bounds.rounding import BITS, GRID_BITS, VOID

__all__ = ["Scratch", "Work", "evaluate_batch"]

Floats = NDArray[np.float64]

_TABLE = np.ldexp(1.0, np.arange(-1000, 1001))
_CENTRE = 1000
_REACH = 960
"""Exponents beyond this make a row void: powers of two must stay normal numbers."""
_UNIT = 2.0**GRID_BITS
_MASK = np.int64(0x7FFFFFFFFFFFFFFF)
_EXACT = 2.0**53
_CHARGE_BITS = 16
_FIRST_STEP = 4.0
_STEP_DECAY = 0.75


class Scratch(NamedTuple):
    """Buffers of one worker; contents carry nothing from one sub-domain to the next.

    rows, products : (2 n, n + 1) for the widest layer n, both rounded up to whole tiles; terms : (n + 1,);
    slopes : (4, n + 1), relaxation of the current layer as `exchange_row` reads it; sums : (2,);
    alive, targets : (2 n,) indices; signs : (2 n,);
    exponents, constants, weights : (2 n,) per row; row_inputs : (2 n, n_0) coefficients at the input;
    reach, charges : (K + 2,) S_h and D_h; alphas, coefficients, values, losses : one per neuron;
    influence : (neurons, n_0), |input coefficient| x width of each refreshed neuron;
    point, best_row, new_low, new_high, scores : (n_0,); outputs : (n + 1,).
    """

    rows: Floats
    products: Floats
    terms: Floats
    slopes: Floats
    sums: Floats
    alive: NDArray[np.int64]
    targets: NDArray[np.int64]
    signs: Floats
    exponents: NDArray[np.int64]
    constants: Floats
    weights: Floats
    row_inputs: Floats
    reach: Floats
    charges: Floats
    alphas: Floats
    coefficients: Floats
    best_coefficients: Floats
    values: Floats
    losses: Floats
    influence: Floats
    point: Floats
    best_row: Floats
    new_low: Floats
    new_high: Floats
    scores: Floats
    outputs: Floats


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


@njit(cache=True, inline="always")
def _power(exponent):
    """2**exponent, exactly; callers keep |exponent| within the table."""
    return _TABLE[exponent + _CENTRE]


@njit(cache=True)
def _sum_exact(terms, count):
    """Sum of integers below 2**53 in all partial sums: exact, so eight accumulators may share the work."""
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = 0.0
    whole = count - count % 8
    for i in range(0, whole, 8):
        a0 += terms[i]
        a1 += terms[i + 1]
        a2 += terms[i + 2]
        a3 += terms[i + 3]
        a4 += terms[i + 4]
        a5 += terms[i + 5]
        a6 += terms[i + 6]
        a7 += terms[i + 7]
    for i in range(whole, count):
        a0 += terms[i]
    return ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7))


@njit(cache=True)
def _multiply(left, count, alive, alive_count, matrix, out):
    """out[r] = sum over alive i of left[r, i] * matrix[i], for the first `count` rows (and, in tiles, some after them)."""
    width = matrix.shape[1]
    if count > 1:
        for r in range(0, count, TILE_ROWS):
            for c in range(0, width, LANES):
                multiply_tile(left, r, alive, alive_count, matrix, out, c)
        return
    p, x = out[0], left[0]
    for j in range(width):
        p[j] = 0.0
    whole = alive_count - alive_count % 4
    for i in range(0, whole, 4):
        i0, i1, i2, i3 = alive[i], alive[i + 1], alive[i + 2], alive[i + 3]
        w0, w1, w2, w3 = matrix[i0], matrix[i1], matrix[i2], matrix[i3]
        x0, x1, x2, x3 = x[i0], x[i1], x[i2], x[i3]
        for j in range(width):
            p[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
    for i in range(whole, alive_count):
        i0 = alive[i]
        w0, x0 = matrix[i0], x[i0]
        for j in range(width):
            p[j] += x0 * w0[j]


@njit(cache=True, inline="always")
def _exponent_of(bits):
    """E with 2**(E-1) <= m < 2**E for a positive normal double given by its bits."""
    return (bits >> 52) - 1022


@njit(cache=True)
def _clear(row, size):
    for j in range(size):
        row[j] = 0.0


@njit(cache=True)
def _floor_bits(value, bits):
    """The largest number with `bits` significant bits not above an exact value."""
    if value == 0.0:
        return 0.0
    e = _exponent_of(np.float64(abs(value)).view(np.int64))
    return np.floor(value * _power(bits - e)) * _power(e - bits)


@njit(cache=True)
def _reach(h, net, upper, s):
    """Set S_h and D_{h+1} (FORMAT.md, section 4) from the bounds of source h; infinite where they leave the exact range."""
    size = net.sizes[h]
    start = net.neurons[h]
    column = net.columns[h + 1]
    grid = net.grids[h + 1]
    fine = _power(grid + BITS)
    own = _power(net.grids[h])
    for j in range(size):
        rbar = 1.0 if h == 0 else max(0.0, np.float64(upper[start + j]))
        s.terms[j] = np.ceil(net.deltas[column + j] * rbar * fine)
        s.outputs[j] = np.ceil(rbar * own)
    total = _sum_exact(s.terms, size) + np.ceil(net.deltas[column + size] * fine)
    span = np.float64(size) if h == 0 else _sum_exact(s.outputs, size)
    s.reach[h] = span if span < _EXACT else np.inf
    s.charges[h + 1] = -_floor_bits(-total, _CHARGE_BITS) if total < _EXACT else np.inf


@njit(cache=True, inline="always")
def _start_rows(k, count, net, s):
    """Step 0: the rows sign * Q[target] of layer k, exponent 0, weight 1."""
    width = net.strides[k]
    offset = net.offsets[k]
    for r in range(count):
        begin = offset + s.targets[r] * width
        sign = s.signs[r]
        row = s.products[r]
        for j in range(width):
            row[j] = sign * net.weights[begin + j]
        s.exponents[r] = 0
        s.weights[r] = 1.0
        s.constants[r] = 0.0


@njit(cache=True, inline="always")
def _absorb(k, h, count, net, s):
    """Steps 1 and 2: charge bias and matrix error, round the rows to 24 bits."""
    size = net.sizes[h]
    column = net.columns[h + 1]
    grid = net.grids[k]
    bias_grid = grid - net.exponents[column + size]
    charge_grid = grid - net.grids[h + 1] - BITS
    slack_grid = grid - 1 - net.grids[h]
    for r in range(count):
        constant = s.products[r, size]
        s.products[r, size] = 0.0
        largest = scale_row(s.products, r, net.scales, column, size)
        e = s.exponents[r]
        shift = BITS - _exponent_of(largest) if largest > 0 else 0
        if not (
            abs(shift) <= _REACH
            and abs(bias_grid - e) <= _REACH
            and abs(charge_grid - e) <= _REACH
            and abs(slack_grid - e - shift) <= _REACH
        ):
            s.constants[r] = -np.inf
            _clear(s.rows[r], size)
            continue
        bias = np.floor(constant * _power(bias_grid - e))
        charge = np.ceil(s.weights[r] * s.charges[h + 1] * _power(charge_grid - e))
        slack = np.ceil(s.reach[h] * _power(slack_grid - e - shift)) if largest > 0 else 0.0
        round_row(s.products, s.rows, r, size, _power(shift))
        s.exponents[r] = e + shift
        if abs(bias) < VOID and charge < VOID and slack < VOID:
            s.constants[r] += bias - charge - slack
        else:
            s.constants[r] = -np.inf


@njit(cache=True, inline="always")
def _layer_slopes(h, net, lower, upper, alphas, s):
    """Slopes and bounds of layer h for `_relax`; stable neurons get such that the formula is exact. Returns the alive count."""
    start = net.neurons[h]
    count = 0
    positive, negative, lows, highs = s.slopes[0], s.slopes[1], s.slopes[2], s.slopes[3]
    size = net.sizes[h]
    for j in range(size, size + (-size) % LANES):
        positive[j] = negative[j] = lows[j] = highs[j] = 0.0
    for j in range(size):
        low, high = np.float64(lower[start + j]), np.float64(upper[start + j])
        lows[j] = highs[j] = 0.0
        if high <= 0.0:
            positive[j] = negative[j] = 0.0
            continue
        s.alive[count] = j
        count += 1
        if low >= 0.0:
            positive[j] = negative[j] = 1.0
        else:
            positive[j] = alphas[start + j]
            negative[j] = high / (high - low)
            lows[j] = low
            highs[j] = high
    return count


@njit(cache=True, inline="always")
def _relax(k, h, count, net, s):
    """Step 4: from coefficients of r_j to multipliers of z_j, and what the exchange costs."""
    size = net.sizes[h]
    for r in range(count):
        shift = net.grids[k] - s.exponents[r]
        row = s.rows[r]
        if abs(shift) > _REACH:
            s.constants[r] = -np.inf
            _clear(row, size)
            continue
        exchange_row(s.rows, r, s.slopes, size, _power(shift), s.sums)
        cost = s.sums[0]
        s.weights[r] = s.sums[1]
        if cost > -VOID:
            s.constants[r] += cost
        else:
            s.constants[r] = -np.inf


@njit(cache=True, inline="always")
def _concretise(k, count, net, low, high, s):
    """Step 3: the rows' smallest values over the box."""
    n = net.sizes[0]
    for r in range(count):
        shift = net.grids[k] - s.exponents[r] - GRID_BITS
        row, inputs = s.rows[r], s.row_inputs[r]
        if abs(shift) > _REACH:
            s.constants[r] = -np.inf
            continue
        unit = _power(shift)
        for j in range(n):
            a = row[j]
            s.terms[j] = np.floor(a * (low[j] if a > 0.0 else high[j]) * unit)
            inputs[j] = a
        total = _sum_exact(s.terms, n)
        if abs(total) < VOID:
            s.constants[r] += total
        else:
            s.constants[r] = -np.inf


@njit(cache=True)
def _rows(k, count, net, low, high, lower, upper, alphas, s):
    """Lower bounds of the first `count` targets of layer k: constants (-inf where void), row_inputs, exponents.

    With a single row, `coefficients` receives its a_j at every hidden neuron before layer k.
    """
    _start_rows(k, count, net, s)
    for h in range(k - 1, -1, -1):
        _absorb(k, h, count, net, s)
        if h == 0:
            break
        if count == 1:
            start = net.neurons[h]
            for j in range(net.sizes[h]):
                s.coefficients[start + j] = s.rows[0, j]
        alive_count = _layer_slopes(h, net, lower, upper, alphas, s)
        _relax(k, h, count, net, s)
        width = net.strides[h]
        offset = net.offsets[h]
        matrix = net.weights[offset : offset + net.sizes[h] * width].reshape((net.sizes[h], width))
        _multiply(s.rows, count, s.alive, alive_count, matrix, s.products)
    _concretise(k, count, net, low, high, s)


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
    _rows(k, count, net, low, high, lower, upper, s.alphas, s)
    unit = _power(-net.grids[k])
    for r in range(0, count, 2):
        v = start + s.targets[r]
        if s.constants[r] > -np.inf:
            lower[v] = max(lower[v], np.float32(_floor_bits(s.constants[r], BITS) * unit))
        if s.constants[r + 1] > -np.inf:
            upper[v] = min(upper[v], np.float32(-_floor_bits(s.constants[r + 1], BITS) * unit))
        if lower[v] > upper[v]:
            return False
        scale, other = _power(-s.exponents[r]), _power(-s.exponents[r + 1])
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
        _rows(k, 1, net, low, high, lower, upper, s.alphas, s)
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
        if value > -np.inf and a != 0.0 and abs(shift) <= _REACH:
            need = np.ceil(-value * _power(shift))
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
    scale = _power(-exponent) if abs(exponent) <= _REACH else 0.0
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
        _reach(0, net, upper, s)
    for k in range(1, kmax):
        if not _refresh(k, net, work.box_low[b], work.box_high[b], lower, upper, s):
            return -1
        _default_slopes(net.neurons[k], net.neurons[k + 1], lower, upper, s.alphas)
        _reach(k, net, upper, s)
    return kmax


@njit(cache=True)
def _try_claim(b, c, net, work, s):
    """One open claim: close it, or collect what it says about contraction, splitting and violations."""
    low, high, lower, upper = work.box_low[b], work.box_high[b], work.lower[b], work.upper[b]
    k = work.claims[c, 0]
    value, exponent = _bound_claim(work.claims[c], work.steps, net, low, high, lower, upper, s)
    work.margins[b, c] = value
    if value > -np.inf:
        scale = _power(-exponent)
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


@njit(cache=True)
def _scratch(net):
    """Fresh buffers for one worker."""
    widest = 1
    for size in net.sizes:
        widest = max(widest, size)
    n, neurons, layers = net.sizes[0], net.neurons[-1], len(net.sizes) + 1
    rows = 2 * widest + (-2 * widest) % TILE_ROWS
    width = widest + 1 + (-widest - 1) % LANES
    return Scratch(
        np.zeros((rows, width)),
        np.zeros((rows, width)),
        np.zeros(widest + 1),
        np.zeros((4, width)),
        np.zeros(2),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows),
        np.zeros(rows, np.int64),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros((rows, n)),
        np.zeros(layers),
        np.zeros(layers),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros((neurons, n)),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(widest + 1),
    )


@njit(cache=True, parallel=True)
def evaluate_batch(net: KernelNetwork, work: Work, workers: int) -> None:
    """Evaluate every sub-domain of a batch, in place; `workers` slices run side by side, each with its own scratch."""
    batch = len(work.box_low)
    for w in prange(workers):
        s = _scratch(net)
        for b in range(w, batch, workers):
            _evaluate(b, net, work, s)
