"""Rows: lower bounds of pre-activations by backward substitution (FORMAT.md, section 4).

Start reading at `lower_rows`. All floats hold exact integers or exact dyadic numbers (rounding.py), so results do not depend on
threads, vector width or fused operations. Written for speed: the two loops that take most of the time are in microkernel.py; the
rest avoids floating-point reductions (maxima are taken over bit patterns, sums with eight independent accumulators, exact and
hence order-free) and takes powers of two from a table. Options and buffers travel as `NamedTuple`s of arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from secateur.bounds.microkernel import LANES, PANEL_COLUMNS, TILE_ROWS, affine_panel, multiply_tile, round_row, scale_row
from secateur.bounds.powers import REACH, exponent_of, floor_to_bits, kernel, power
from secateur.bounds.relaxing import WHOLE, clear, largest_value, relax
from secateur.bounds.rounding import BITS, EXACT, GRID_BITS, VOID
from secateur.bounds.slack import set_slack, weigh_slack

__all__ = ["MIX_BITS", "lower_rows", "pack", "set_reach"]

Floats = NDArray[np.float64]

_CHARGE_BITS = 16
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""
MIX_BITS = 20
"""A mixed row is a sum of target rows with integer weights up to 2**20; its scale starts at 2**-20."""


@njit(cache=True, inline="always")
def packed_width(k, s):
    """Length of the packed rows of layer k: what counts of the source, the bias, zeros up to whole vectors."""
    width = s.alive_counts[k - 1, WHOLE] + 1
    return width + -width % LANES


@njit(cache=True, inline="always")
def packed(k, net, s):
    """The packed matrix of layer k, one row at least."""
    height, width = max(_INTEGER(1), s.alive_counts[k, WHOLE]), packed_width(k, s)
    return s.packed[net.offsets[k] : net.offsets[k] + height * width].reshape((height, width))


@njit(cache=True, inline="always")
def gather_row(k, neuron, factor, net, target, at, s):
    """Put factor * Q[neuron] of layer k at target[at:], packed."""
    begin, alive, count = net.offsets[k] + neuron * net.strides[k], s.alive[k - 1], s.alive_counts[k - 1, WHOLE]
    source, row = net.weights[begin : begin + net.strides[k]], target[at : at + packed_width(k, s)]
    for c in range(count):
        row[c] = factor * source[np.uint64(alive[c])]  # unsigned: numba asks of others whether they count from the end
    row[count] = factor * source[net.sizes[k - 1]]
    for c in range(count + 1, len(row)):
        row[c] = 0.0


@kernel
def pack(k, net, s):
    """Gather what counts on this sub-domain of the matrix of layer k: rows of neurons that do, columns of sources that do.

    Rows then go through the network by whole vectors of what counts; neurons that are constantly 0 cost nothing.
    """
    width = packed_width(k, s)
    for t in range(s.alive_counts[k, WHOLE]):
        gather_row(k, s.alive[k, t], 1.0, net, s.packed, net.offsets[k] + t * width, s)


@njit(cache=True, inline="always")
def _spread(row, target, alive, count):
    """A packed row at the places of its neurons, with zeros between."""
    clear(target, len(target))
    for c in range(count):
        target[alive[c]] = row[c]


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
def _multiply(left, count, size, matrix, out, extent, bias, terms, nonzero):
    """out[r] = sum over i < size of left[r, i] * matrix[i], for the first `count` rows (and, in tiles, some after them).

    Several rows at once are computed for the columns before `extent` and for column `bias`, a single row for all.
    """
    width = matrix.shape[1]
    if count > 1:
        last = bias - bias % LANES
        for r in range(0, count, TILE_ROWS):
            for c in range(0, extent, LANES):
                multiply_tile(left, r, size, matrix, out, c)
            if last >= extent:
                multiply_tile(left, r, size, matrix, out, last)
        return
    for t in range(size):
        terms[t], nonzero[t] = left[0, t], t
    for c in range(0, width, PANEL_COLUMNS):
        affine_panel(matrix, terms, nonzero, size, 0.0, out[0], _INTEGER(0), c, min(width, c + PANEL_COLUMNS))


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
def _start_rows(k, count, net, s):
    """Step 0: the rows sign * Q[target] of layer k, exponent 0, weight 1."""
    for r in range(count):
        gather_row(k, s.targets[r], s.signs[r], net, s.products[r], _INTEGER(0), s)
        s.exponents[r] = 0
        s.weights[r] = 1.0
        s.slack_weights[r] = s.slack[net.neurons[k] + s.targets[r]]
        s.constants[r] = 0.0


@njit(cache=True, inline="always")
def _start_mixed_row(k, count, net, s):
    """Step 0 for one row that is the sum of mix[r] * sign * Q[target] over `count` targets of layer k."""
    row, part = s.products[0], s.terms
    width = packed_width(k, s)
    clear(row, width)
    total, loss = 0.0, 0.0
    for r in range(count):
        factor = s.mix[r]
        if factor == 0.0:
            continue
        total += factor
        loss += factor * s.slack[net.neurons[k] + s.targets[r]]
        gather_row(k, s.targets[r], factor * s.signs[r], net, part, _INTEGER(0), s)
        for j in range(width):
            row[j] += part[j]
    s.exponents[0] = MIX_BITS
    s.weights[0], s.slack_weights[0] = total, loss
    s.constants[0] = 0.0


@njit(cache=True, inline="always")
def _absorb(k, h, count, net, extent, s):
    """Steps 1 and 2: charge bias, matrix error and float32 rounding, round the rows to 24 bits."""
    bias = s.alive_counts[h, WHOLE]
    column = net.columns[h + 1]
    grid = net.grids[k]
    bias_grid = grid - net.exponents[column + net.sizes[h]]
    charge_grid = grid - net.grids[h + 1] - BITS
    rounds = len(net.slack) > 0
    reach_grid = grid - 1 - net.grids[h]
    for r in range(count):
        constant = s.products[r, bias]
        s.products[r, bias] = 0.0
        largest = scale_row(s.products, r, s.scales, column, extent)
        e = s.exponents[r]
        shift = BITS - exponent_of(largest) if largest > 0 else 0
        if not (
            abs(shift) <= REACH
            and abs(bias_grid - e) <= REACH
            and abs(charge_grid - e) <= REACH
            and abs(reach_grid - e - shift) <= REACH
        ):
            s.constants[r] = -np.inf
            clear(s.rows[r], extent)
            continue
        shifted = np.floor(constant * power(bias_grid - e))
        charge = np.ceil(s.weights[r] * s.charges[h + 1] * power(charge_grid - e))
        rounded = np.ceil(s.reach[h] * power(reach_grid - e - shift)) if largest > 0 else 0.0
        # Exponents of slack are below 40: the table of powers reaches that far beyond REACH.
        slack = np.ceil(s.slack_weights[r] * power(charge_grid - e + s.slack_exponents[h + 1])) if rounds else 0.0
        round_row(s.products, s.rows, r, extent, power(shift))
        s.exponents[r] = e + shift
        if abs(shifted) < VOID and charge < VOID and rounded < VOID and slack < VOID:
            s.constants[r] += shifted - charge - rounded - slack
        else:
            s.constants[r] = -np.inf


@njit(cache=True, inline="always")
def _concretise(k, count, net, low, high, s):
    """Step 3: the rows' smallest values over the box."""
    n = net.sizes[0]
    for r in range(count):
        shift = net.grids[k] - s.exponents[r] - GRID_BITS
        row, inputs = s.rows[r], s.row_inputs[r]
        if abs(shift) > REACH:
            s.constants[r] = -np.inf
            continue
        unit = power(shift)
        for j in range(n):
            a = row[j]
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
    if count < targets:
        _start_mixed_row(k, targets, net, s)
    else:
        _start_rows(k, count, net, s)
    for h in range(k - 1, -1, -1):
        _absorb(k, h, count, net, s.alive_counts[h, part], s)
        if h == 0:
            break
        if kept:
            for r in range(count):
                own = s.coefficients[s.places[r], net.neurons[h] : net.neurons[h + 1]]
                _spread(s.rows[r], own, s.alive[h], s.alive_counts[h, part])
        relax(k, h, count, net, part, chosen, s)
        if len(net.slack) > 0:
            weigh_slack(h, count, net, s.alive_counts[h, part], s)
        before, bias = s.alive_counts[h - 1, part], s.alive_counts[h - 1, WHOLE]
        _multiply(s.rows, count, s.alive_counts[h, part], packed(h, net, s), s.products, before, bias, s.terms, s.nonzero)
    _concretise(k, count, net, low, high, s)
