"""The inner loops of rows' way through the network, written for vector registers.

Eight rows go together, as a *tile*: a flat array in which the eight rows' entries for a neuron stand side by side, then those for
the next neuron, and so on. What is done to a row is then one vector instruction for eight, and nothing is ever summed across a
register. LLVM's vectoriser leaves much of the machine's speed on the table here (it keeps sums in memory, and gives up where many
arrays might overlap), so these loops are built from vector instructions, which LLVM lowers to whatever the processor has. All
numbers are integers below 2**53 or products that doubles hold exactly (rounding.py), so neither order nor width nor fusing
changes a result. Only `affine_panel` also serves numbers that are rounded: it fuses nothing and keeps their order.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from secateur.bounds.powers import REACH
from secateur.bounds.rounding import BITS, VOID

__all__ = ["LANES", "PANEL_COLUMNS", "affine_panel", "charge_tile", "exchange_tile", "multiply_block", "round_tile", "scale_tile"]

CALLS_INTO = "344e242e4f97c4d1"  # a digest of what this file calls into (see powers.py)
LANES = 8
"""Rows of a tile, and numbers of a vector."""
PANEL_COLUMNS = 8 * LANES
"""What a panel holds in registers."""

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_WORDS = ir.VectorType(_INDEX, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_FIRST_LANE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


@intrinsic
def multiply_block(_: Any, left: Any, size: Any, matrix: Any, out: Any, column: Any) -> Any:
    """out[c] = sum over j < size of left[j] * matrix[j, c], for column <= c < column + 8.

    left, out : tiles; matrix : C-contiguous float64 with all these columns. Products and sums are exact. Nothing is checked.
    """
    return types.none(left, types.int64, matrix, out, types.int64), _generate_block


def _generate_block(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    left, matrix, out = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 3))
    size, column = args[1], args[4]
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(LANES)]
    for total in sums:
        builder.store(_ZERO, total)
    with cgutils.for_range(builder, size, intp=_INDEX) as loop:
        rows = _load(builder, left.data, _lanes(builder, loop.index))
        start = builder.gep(matrix.data, [builder.add(_offset(builder, matrix, loop.index, 0), column)])
        for c, total in enumerate(sums):
            weight = _broadcast(builder, builder.load(builder.gep(start, [_INDEX(c)])))
            builder.store(_fused(builder, rows, weight, builder.load(total)), total)
    for c, total in enumerate(sums):
        _store(builder, builder.load(total), out.data, _lanes(builder, builder.add(column, _INDEX(c))))
    return context.get_dummy_value()


@intrinsic
def affine_panel(
    _: Any, matrix: Any, scaled: Any, nonzero: Any, count: Any, scale: Any, out: Any, first: Any, begin: Any, end: Any
) -> Any:
    """out[first + c] = matrix[-1, c] * scale + sum over t < count of matrix[nonzero[t], c] * scaled[t], for begin <= c < end.

    The summands of each element are added from left to right, none fused. matrix : C-contiguous float64; scaled, out : float64;
    nonzero : int64 indices of rows. begin < end <= begin + 64, and end >= 8: fewer than 8 columns are computed with some before
    them, which come out the same whenever they are. Nothing is checked.
    """
    signature = types.none(matrix, scaled, nonzero, types.int64, types.float64, out, types.int64, types.int64, types.int64)
    return signature, _generate_panels


def _generate_panels(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """A loop for each number of vectors, so that every sum stays in a register."""
    size = builder.sub(args[8], args[7])
    vectors = builder.udiv(builder.add(size, _INDEX(LANES - 1)), _INDEX(LANES))
    done = builder.append_basic_block("done")
    choice = builder.switch(vectors, done)
    for width in range(1, PANEL_COLUMNS // LANES + 1):
        block = builder.append_basic_block(f"panel{width}")
        choice.add_case(_INDEX(width), block)
        with builder.goto_block(block):
            _generate_panel(context, builder, signature, args, width)
            builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


def _generate_panel(context: Any, builder: Any, signature: Any, args: Any, width: int) -> None:
    matrix, scaled, nonzero, out = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 2, 5))
    count, scale, first, begin, end = args[3], args[4], args[6], args[7], args[8]
    # The last vector ends where the columns end, and may repeat what the one before computes.
    columns = [builder.add(begin, _INDEX(LANES * v)) for v in range(width - 1)] + [builder.sub(end, _INDEX(LANES))]
    last_row = builder.sub(builder.extract_value(matrix.shape, 0), _INDEX(1))
    bias, factor = builder.gep(matrix.data, [_offset(builder, matrix, last_row, 0)]), _broadcast(builder, scale)
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in columns]
    for column, total in zip(columns, sums, strict=True):
        builder.store(builder.fmul(_load(builder, bias, column), factor), total)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        index = builder.load(builder.gep(nonzero.data, [loop.index]))
        row = builder.gep(matrix.data, [_offset(builder, matrix, index, 0)])
        factor = _broadcast(builder, builder.load(builder.gep(scaled.data, [loop.index])))
        for column, total in zip(columns, sums, strict=True):
            product = builder.fmul(_load(builder, row, column), factor)
            builder.store(builder.fadd(builder.load(total), product), total)
    start = builder.gep(out.data, [first])
    for column, total in zip(columns, sums, strict=True):
        _store(builder, builder.load(total), start, column)


def _offset(builder: Any, array: Any, row: Any, more: int) -> Any:
    """Elements before row `row + more`."""
    stride = builder.udiv(builder.extract_value(array.strides, 0), _INDEX(8))
    return builder.mul(builder.add(row, _INDEX(more)), stride)


def _broadcast(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    return builder.shuffle_vector(builder.insert_element(nothing, value, ir.IntType(32)(0)), nothing, _FIRST_LANE)


@intrinsic
def exchange_tile(
    _: Any, rows: Any, slopes: Any, own: Any, chosen: Any, size: Any, grid: Any, state: Any, first: Any, extra: Any, spread: Any
) -> Any:
    """Exchange the coefficients a of eight rows for multipliers mu, in place (FORMAT.md, section 4, step 4).

    rows : a tile. slopes : float64 (6, n), C-contiguous: slope for a >= 0, slope for a < 0, then l and u for a < 0, l and u for
    a >= 0 of each neuron. own : a tile of slopes for a >= 0, read instead if `chosen`. grid : of the rows' target. state :
    exponents, constants and weights of all rows, those of the tile from `first` on. The weights become sum |mu|; to the
    constants is added, in units of the grid, sum floor(min(0, -mu l, (a - mu) u)) and `extra`, a sum of terms whose magnitudes
    add up to `spread`; they become -inf where that is too much or exponents are out of range. Nothing is checked.
    """
    signature = types.none(rows, slopes, own, types.boolean, types.int64, types.int64, state, types.int64, extra, spread)
    return signature, _generate_exchange


def _generate_exchange(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    rows, slopes, own, extra, spread = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1, 2, 8, 9))
    exponents, constants, weights = _state(context, builder, signature.args[6], args[6], args[7])
    tables = [builder.gep(slopes.data, [_offset(builder, slopes, _INDEX(k), 0)]) for k in range(6)]
    chosen = _flag(builder, args[3])
    shift = builder.sub(_broadcast(builder, args[5]), _load(builder, exponents, _INDEX(0)))
    sound, unit = _within_reach(builder, shift), _power(builder, shift)
    cost, weight = (cgutils.alloca_once(builder, _VECTOR) for _ in range(2))
    for total in (cost, weight):
        builder.store(_ZERO, total)
    with cgutils.for_range(builder, args[4], intp=_INDEX) as loop:
        place = _lanes(builder, loop.index)
        a, free = _load(builder, rows.data, place), _load(builder, own.data, place)
        default, negative, *ends = (_broadcast(builder, builder.load(builder.gep(table, [loop.index]))) for table in tables)
        positive = builder.select(chosen, free, default)
        upward = builder.fcmp_ordered(">=", a, _ZERO)
        low, high = (builder.select(upward, ends[k + 2], ends[k]) for k in range(2))
        mu = _call(builder, "rint", builder.fmul(a, builder.select(upward, positive, negative)))
        mu = builder.select(sound, mu, _ZERO)
        at_low = builder.fmul(builder.fneg(mu), low)
        at_high = builder.fmul(builder.fsub(a, mu), high)
        worst = builder.select(builder.fcmp_ordered("<", at_low, at_high), at_low, at_high)
        worst = builder.select(builder.fcmp_ordered("<", worst, _ZERO), worst, _ZERO)
        term = _call(builder, "floor", builder.fmul(worst, unit))
        builder.store(builder.fadd(builder.load(cost), term), cost)
        builder.store(builder.fadd(builder.load(weight), _call(builder, "fabs", mu)), weight)
        _store(builder, mu, rows.data, place)
    total = builder.load(cost)
    size = builder.fsub(_load(builder, spread.data, _INDEX(0)), total)
    terms = builder.fadd(total, _load(builder, extra.data, _INDEX(0)))
    _add(builder, constants, terms, builder.and_(sound, builder.fcmp_ordered("<", size, _constant(VOID))))
    _store(builder, builder.load(weight), weights, _INDEX(0))
    return context.get_dummy_value()


@intrinsic
def charge_tile(
    _: Any, biases: Any, bias: Any, peaks: Any, state: Any, first: Any, grids: Any, charges: Any, factors: Any
) -> Any:
    """What steps 1 and 2 of section 4 add to the constants of eight rows, and the factors by which they are rounded to 24 bits.

    biases : a tile, whose entry number `bias` are the coefficients of the bias. peaks : the rows' largest coefficients. state :
    exponents, constants, weights and losses by float32 rounding of all rows, those of the tile from `first` on. grids : exponents
    of the units of bias, charges, span and losses, less those of the rows. charges : of the layer's errors, and S. Exponents grow
    by those of the factors; constants become -inf, and the factors 0, where something is out of range. Nothing is checked.
    """
    signature = types.none(biases, types.int64, peaks, state, types.int64, grids, charges, factors)
    return signature, _generate_charge


def _generate_charge(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    biases, peaks, factors = (make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2, 7))
    exponents, constants, weights, losses = _state(context, builder, signature.args[3], args[3], args[4])
    bias_grid, charge_grid, span_grid, loss_grid = (_broadcast(builder, v) for v in cgutils.unpack_tuple(builder, args[5]))
    error, span = (_broadcast(builder, v) for v in cgutils.unpack_tuple(builder, args[6]))
    exponent, largest = _load(builder, exponents, _INDEX(0)), _load(builder, peaks, _INDEX(0))
    some = builder.fcmp_ordered(">", largest, _ZERO)
    own = builder.lshr(builder.bitcast(largest, _WORDS), _whole(52))  # E + 1022 of a number in [2**(E - 1), 2**E)
    shift = builder.select(some, builder.sub(_whole(BITS + 1022), own), _whole(0))
    shifts = [builder.sub(grid, exponent) for grid in (bias_grid, charge_grid, span_grid, loss_grid)]
    shifts[2] = builder.sub(shifts[2], shift)
    sound = _within_reach(builder, shift)
    for other in shifts[:3]:
        sound = builder.and_(sound, _within_reach(builder, other))
    bias, charge, span_unit, loss_unit = (_power(builder, other) for other in shifts)
    constant = _call(builder, "floor", builder.fmul(_load(builder, biases, _lanes(builder, args[1])), bias))
    charge = _call(builder, "ceil", builder.fmul(builder.fmul(_load(builder, weights, _INDEX(0)), error), charge))
    rounded = builder.select(some, _call(builder, "ceil", builder.fmul(span, span_unit)), _ZERO)
    loss = _call(builder, "ceil", builder.fmul(_load(builder, losses, _INDEX(0)), loss_unit))
    fine = builder.and_(sound, builder.fcmp_ordered("<", _call(builder, "fabs", constant), _constant(VOID)))
    for term in (charge, rounded, loss):
        fine = builder.and_(fine, builder.fcmp_ordered("<", term, _constant(VOID)))
        constant = builder.fsub(constant, term)
    _add(builder, constants, constant, fine)
    _store(builder, builder.select(sound, _power(builder, shift), _ZERO), factors, _INDEX(0))
    _store(builder, builder.select(sound, builder.add(exponent, shift), exponent), exponents, _INDEX(0))
    return context.get_dummy_value()


def _state(context: Any, builder: Any, kinds: Any, arrays: Any, first: Any) -> list[Any]:
    """Pointers to the tile's part of arrays over all rows."""
    views = zip(kinds, cgutils.unpack_tuple(builder, arrays), strict=True)
    return [builder.gep(make_array(kind)(context, builder, view).data, [first]) for kind, view in views]


def _flag(builder: Any, value: Any) -> Any:
    return builder.trunc(value, ir.IntType(1)) if value.type.width > 1 else value


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _whole(value: int) -> Any:
    return ir.Constant(_WORDS, [value] * LANES)


def _within_reach(builder: Any, exponents: Any) -> Any:
    below = builder.icmp_signed(">=", exponents, _whole(-REACH))
    return builder.and_(below, builder.icmp_signed("<=", exponents, _whole(REACH)))


def _power(builder: Any, exponents: Any) -> Any:
    """2**exponents of normal numbers; anything where they are none."""
    return builder.bitcast(builder.shl(builder.add(exponents, _whole(1023)), _whole(52)), _VECTOR)


def _add(builder: Any, target: Any, terms: Any, fine: Any) -> None:
    """target += terms where these are fine, -inf elsewhere."""
    total = builder.fadd(_load(builder, target, _INDEX(0)), terms)
    _store(builder, builder.select(fine, total, _constant(float("-inf"))), target, _INDEX(0))


@intrinsic
def scale_tile(_: Any, tile: Any, scales: Any, first: Any, size: Any, peaks: Any) -> Any:
    """tile[j] *= scales[first + j] for j < size; `peaks` receives the largest magnitude of each row. Nothing is checked."""
    return types.none(tile, scales, types.int64, types.int64, peaks), _generate_scale


def _generate_scale(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    tile, scales, peaks = (make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 1, 4))
    table = builder.gep(scales, [args[2]])
    largest = cgutils.alloca_once(builder, _VECTOR)
    builder.store(_ZERO, largest)
    with cgutils.for_range(builder, args[3], intp=_INDEX) as loop:
        place = _lanes(builder, loop.index)
        factor = _broadcast(builder, builder.load(builder.gep(table, [loop.index])))
        scaled = builder.fmul(_load(builder, tile, place), factor)
        _store(builder, scaled, tile, place)
        size, known = _call(builder, "fabs", scaled), builder.load(largest)
        builder.store(builder.select(builder.fcmp_ordered(">", size, known), size, known), largest)
    _store(builder, builder.load(largest), peaks, _INDEX(0))
    return context.get_dummy_value()


@intrinsic
def round_tile(_: Any, products: Any, rows: Any, size: Any, factors: Any) -> Any:
    """rows[j] = round-half-even(products[j] * factors) for j < size; one factor for each row. Nothing is checked."""
    return types.none(products, rows, types.int64, factors), _generate_round


def _generate_round(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    products, rows, factors = (make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 1, 3))
    factor = _load(builder, factors, _INDEX(0))
    with cgutils.for_range(builder, args[2], intp=_INDEX) as loop:
        place = _lanes(builder, loop.index)
        _store(builder, _call(builder, "rint", builder.fmul(_load(builder, products, place), factor)), rows, place)
    return context.get_dummy_value()


def _lanes(builder: Any, index: Any) -> Any:
    """Where entry number `index` of a tile begins."""
    return builder.mul(index, _INDEX(LANES))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, where that is exact: fused if the processor can."""
    function = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.fmuladd.v{LANES}f64"), [a, b, c])


def _store(builder: Any, value: Any, start: Any, index: Any) -> None:
    builder.store(value, builder.bitcast(builder.gep(start, [index]), value.type.as_pointer()), align=8)


def _load(builder: Any, start: Any, index: Any) -> Any:
    kind = ir.VectorType(start.type.pointee, LANES)
    return builder.load(builder.bitcast(builder.gep(start, [index]), kind.as_pointer()), align=8)


def _call(builder: Any, name: str, value: Any) -> Any:
    function = ir.FunctionType(_VECTOR, [_VECTOR])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.v{LANES}f64"), [value])
