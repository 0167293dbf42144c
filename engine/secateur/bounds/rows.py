"""Rows: lower bounds of pre-activations by backward substitution (FORMAT.md, section 4).

Start reading at `lower_rows`. All floats hold exact integers or exact dyadic numbers (rounding.py), so results do not depend on
threads, vector width or fused operations. Written for speed: rows go in tiles of eight, and the loops over a tile's neurons are
in microkernel.py. Options and buffers travel as `NamedTuple`s of arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from secateur.bounds.microkernel import LANES, charge_tile, multiply_block, round_tile, scale_tile
from secateur.bounds.powers import REACH, floor_to_bits, kernel, power
from secateur.bounds.relaxing import WHOLE, clear, largest_value, relax
from secateur.bounds.rounding import BITS, EXACT, GRID_BITS, VOID
from secateur.bounds.slack import set_slack, weigh_slack

__all__ = ["MIX_BITS", "lower_rows", "pack", "set_reach"]

CALLS_INTO = "ac65b4caf23bfb83"  # a digest of what this file calls into (see powers.py)
Floats = NDArray[np.float64]

_CHARGE_BITS = 16
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""
MIX_BITS = 20
"""A mixed row is a sum of target rows with integer weights up to 2**20; its scale starts at 2**-20."""


@njit(cache=True, inline="always")
def _packed_width(k, s):
    """Length of the packed rows of layer k: what counts of the source, the bias, zeros up to whole vectors."""
    width = s.alive_counts[k - 1, WHOLE] + 1
    return width + -width % LANES


@njit(cache=True, inline="always")
def _packed(k, net, s):
    """The packed matrix of layer k, one row at least."""
    height, width = max(_INTEGER(1), s.alive_counts[k, WHOLE]), _packed_width(k, s)
    return s.packed[net.offsets[k] : net.offsets[k] + height * width].reshape((height, width))


@kernel
def pack(k, net, s):
    """Gather what counts on this sub-domain of the matrix of layer k: rows of neurons that do, columns of sources that do.

    Rows then go through the network by whole vectors of what counts; neurons that are constantly 0 cost nothing.
    """
    alive, count, bias = s.alive[k - 1], s.alive_counts[k - 1, WHOLE], net.sizes[k - 1]
    matrix = _packed(k, net, s)
    for t in range(s.alive_counts[k, WHOLE]):
        begin, row = net.offsets[k] + s.alive[k, t] * net.strides[k], matrix[t]
        source = net.weights[begin : begin + net.strides[k]]
        for c in range(count):
            row[c] = source[np.uint64(alive[c])]  # unsigned: numba asks of others whether they count from the end
        row[count] = source[bias]
        for c in range(count + 1, len(row)):
            row[c] = 0.0


@njit(cache=True, inline="always")
def _keep(h, first, count, net, s):
    """Put the rows' coefficients at the hidden neurons of layer h at their places, with zeros for neurons that do not count."""
    for lane in range(count):
        own = s.coefficients[s.places[first + lane], net.neurons[h] : net.neurons[h + 1]]
        clear(own, len(own))
        for c in range(s.alive_counts[h, WHOLE]):
            own[s.alive[h, c]] = s.rows[LANES * c + lane]


@njit(cache=True, inline="always")
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


@njit(cache=True, inline="always")
def _multiply(h, net, part, s):
    """Products of the rows' multipliers at layer h with its matrix: coefficients at the source before it, and of its bias."""
    size, matrix = s.alive_counts[h, part], _packed(h, net, s)
    extent, bias = s.alive_counts[h - 1, part], s.alive_counts[h - 1, WHOLE]
    last = bias - bias % LANES
    for c in range(0, extent, LANES):
        multiply_block(s.rows, size, matrix, s.products, c)
    if last >= extent:
        multiply_block(s.rows, size, matrix, s.products, last)


@kernel
def set_reach(h, net, lower, upper, s):
    """Set S_h and D_{h+1} (FORMAT.md, section 4) from the bounds of source h; infinite where they leave the exact range.

    Where float32 rounding counts, also what it may add to each neuron of layer h + 1; D is infinite too where that is too much.
    """
    size = net.sizes[h]
    start = net.neurons[h]
    column = net.columns[h + 1]
    grid = net.grids[h + 1]
    fine = power(grid + BITS)
    own = power(net.grids[h])
    for j in range(size):
        rbar = 1.0 if h == 0 else largest_value(j, start, h, net, lower, upper)
        s.terms[j] = np.ceil(net.deltas[column + j] * rbar * fine)
        s.outputs[j] = np.ceil(rbar * own)
    total = _sum_exact(s.terms, size) + np.ceil(net.deltas[column + size] * fine)
    span = np.float64(size) if h == 0 else _sum_exact(s.outputs, size)
    s.reach[h] = span if span < EXACT else np.inf
    s.charges[h + 1] = -floor_to_bits(-total, _CHARGE_BITS) if total < EXACT else np.inf
    if len(net.slack) > 0 and not set_slack(h, net, lower, upper, s):
        s.charges[h + 1] = np.inf


@njit(cache=True, inline="always")
def _start_rows(k, first, count, net, s):
    """Step 0: the rows sign * Q[target] of layer k, exponent 0, weight 1; rows of zeros behind them."""
    alive, size, bias = s.alive[k - 1], s.alive_counts[k - 1, WHOLE], net.sizes[k - 1]
    for lane in range(LANES):
        r = first + lane
        s.exponents[r] = 0
        s.weights[r] = 1.0
        s.constants[r] = 0.0
        if lane >= count:
            for c in range(size + 1):
                s.products[LANES * c + lane] = 0.0
            continue
        s.slack_weights[r] = s.slack[net.neurons[k] + s.targets[r]]
        begin, sign = net.offsets[k] + s.targets[r] * net.strides[k], s.signs[r]
        source = net.weights[begin : begin + net.strides[k]]
        for c in range(size):
            s.products[LANES * c + lane] = sign * source[np.uint64(alive[c])]
        s.products[LANES * size + lane] = sign * source[bias]


@njit(cache=True, inline="always")
def _start_mixed_row(k, count, net, s):
    """Step 0 for one row that is the sum of mix[r] * sign * Q[target] over `count` targets of layer k."""
    alive, size, bias = s.alive[k - 1], s.alive_counts[k - 1, WHOLE], net.sizes[k - 1]
    clear(s.products, LANES * (size + 1))
    total, loss = 0.0, 0.0
    for r in range(count):
        factor = s.mix[r]
        if factor == 0.0:
            continue
        total += factor
        loss += factor * s.slack[net.neurons[k] + s.targets[r]]
        begin = net.offsets[k] + s.targets[r] * net.strides[k]
        source = net.weights[begin : begin + net.strides[k]]
        factor *= s.signs[r]
        for c in range(size):
            s.products[LANES * c] += factor * source[np.uint64(alive[c])]
        s.products[LANES * size] += factor * source[bias]
    for lane in range(LANES):
        s.exponents[lane] = MIX_BITS
        s.weights[lane], s.slack_weights[lane] = total, loss
        s.constants[lane] = 0.0


@njit(cache=True, inline="always")
def _absorb(k, h, first, net, extent, s):
    """Steps 1 and 2: charge bias, matrix error and float32 rounding, round the rows to 24 bits."""
    column, grid = net.columns[h + 1], net.grids[k]
    bias_grid = grid - net.exponents[column + net.sizes[h]]
    charge_grid = grid - net.grids[h + 1] - BITS
    # Exponents of slack are below 40: powers reach that far beyond REACH.
    grids = (bias_grid, charge_grid, grid - 1 - net.grids[h], charge_grid + s.slack_exponents[h + 1])
    state = (s.exponents, s.constants, s.weights, s.slack_weights)
    scale_tile(s.products, s.scales, column, extent, s.peaks)
    charge_tile(s.products, s.alive_counts[h, WHOLE], s.peaks, state, first, grids, (s.charges[h + 1], s.reach[h]), s.factors)
    round_tile(s.products, s.rows, extent, s.factors)


@njit(cache=True, inline="always")
def _concretise(k, first, count, net, low, high, s):
    """Step 3: the rows' smallest values over the box."""
    n = net.sizes[0]
    for lane in range(count):
        r = first + lane
        shift = net.grids[k] - s.exponents[r] - GRID_BITS
        inputs = s.row_inputs[r]
        if abs(shift) > REACH:
            s.constants[r] = -np.inf
            clear(inputs, n)
            continue
        unit = power(shift)
        for j in range(n):
            a = s.rows[LANES * j + lane]
            s.terms[j] = np.floor(a * (low[j] if a > 0.0 else high[j]) * unit)
            inputs[j] = a
        total = _sum_exact(s.terms, n)
        if abs(total) < VOID:
            s.constants[r] += total
        else:
            s.constants[r] = -np.inf


@kernel
def lower_rows(k, count, targets, net, part, low, high, chosen, kept, s):
    """Lower bounds of the first `targets` targets of layer k: constants (-inf where void), row_inputs, exponents.

    `part`: what the targets can depend on. `count` is the number of rows: as many as targets, or one: then their sum with the
    integer weights `mix`, times 2**-20. chosen : whether each row has slopes of its own, by its place in `places`. kept :
    whether `coefficients` shall receive, at that place, each row's a_j at every hidden neuron before layer k.
    """
    for first in range(0, count, LANES):
        together = min(LANES, count - first)
        if count < targets:
            _start_mixed_row(k, targets, net, s)
        else:
            _start_rows(k, first, together, net, s)
        for h in range(k - 1, 0, -1):
            _absorb(k, h, first, net, s.alive_counts[h, part], s)
            if kept:
                _keep(h, first, together, net, s)
            relax(k, h, first, together, net, part, chosen, s)
            if len(net.slack) > 0:
                weigh_slack(h, first, net, s.alive_counts[h, part], s)
            _multiply(h, net, part, s)
        _absorb(k, _INTEGER(0), first, net, net.sizes[0], s)
        _concretise(k, first, together, net, low, high, s)
