"""The inner loops of a row's way through the network, written for vector registers.

Nine tenths of a search's time goes into multiplying rows with matrices and exchanging coefficients for multipliers. LLVM's
vectoriser leaves much of the machine's speed on the table there (it keeps sums in memory, and gives up where many arrays might
overlap), so these loops are built from vector instructions, which LLVM lowers to whatever the processor has. Multiplication and
addition are separate and unflagged; all numbers are integers below 2**53 or products that doubles hold exactly (rounding.py), so
neither order nor width changes a result. Only `affine_panel` also serves numbers that are rounded: it keeps their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["LANES", "PANEL_COLUMNS", "TILE_ROWS", "affine_panel", "exchange_row", "multiply_tile", "round_row", "scale_row"]

LANES = 8
TILE_ROWS = 8
PANEL_COLUMNS = 8 * LANES
"""What a panel holds in registers."""

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_FIRST_LANE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


@intrinsic
def multiply_tile(_: Any, left: Any, row: Any, count: Any, matrix: Any, out: Any, column: Any) -> Any:
    """out[row:row+8, column:column+8] = left[row:row+8, :count] @ matrix[:count, column:column+8].

    left, matrix, out : C-contiguous float64 matrices that have all these elements. Nothing is checked.
    """
    signature = types.none(left, types.int64, types.int64, matrix, out, types.int64)
    return signature, _generate_tile


def _generate_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    left, matrix, out = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 3, 4))
    row, count, column = args[1], args[2], args[5]
    rows = [builder.gep(left.data, [_offset(builder, left, row, k)]) for k in range(TILE_ROWS)]
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(TILE_ROWS)]
    for total in sums:
        builder.store(_ZERO, total)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        place = builder.gep(matrix.data, [builder.add(_offset(builder, matrix, loop.index, 0), column)])
        weights = builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=8)
        for start, total in zip(rows, sums, strict=True):
            factor = _broadcast(builder, builder.load(builder.gep(start, [loop.index])))
            builder.store(builder.fadd(builder.load(total), builder.fmul(factor, weights)), total)
    for k, total in enumerate(sums):
        place = builder.gep(out.data, [builder.add(_offset(builder, out, row, k), column)])
        builder.store(builder.load(total), builder.bitcast(place, _VECTOR.as_pointer()), align=8)
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
    lanes = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(lanes, ir.Constant(_VECTOR, ir.Undefined), _FIRST_LANE)


@intrinsic
def exchange_row(_: Any, rows: Any, row: Any, slopes: Any, size: Any, unit: Any, sums: Any) -> Any:
    """Exchange the coefficients a of one row for multipliers mu, in place (FORMAT.md, section 4, step 4).

    slopes : float64 (6, n), C-contiguous: slope for a >= 0, slope for a < 0, then l and u for a < 0, l and u for a >= 0 of each
    neuron; neurons from `size` to the next multiple of 8 must be there, with zeros. sums : receives
    sum floor(min(0, -mu l, (a - mu) u) unit) and sum |mu|. Nothing is checked.
    """
    signature = types.none(rows, types.int64, slopes, types.int64, types.float64, sums)
    return signature, _generate_exchange


def _generate_exchange(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    rows, slopes, sums = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 5))
    start = builder.gep(rows.data, [_offset(builder, rows, args[1], 0)])
    tables = [builder.gep(slopes.data, [_offset(builder, slopes, _INDEX(k), 0)]) for k in range(6)]
    unit = _broadcast(builder, args[4])
    cost, weight = (cgutils.alloca_once(builder, _VECTOR) for _ in range(2))
    for total in (cost, weight):
        builder.store(_ZERO, total)
    with _chunks(builder, args[3]) as first:
        a = _load(builder, start, first)
        positive, negative, *ends = (_load(builder, table, first) for table in tables)
        upward = builder.fcmp_ordered(">=", a, _ZERO)
        low, high = (builder.select(upward, ends[k + 2], ends[k]) for k in range(2))
        mu = _call(builder, "rint", builder.fmul(a, builder.select(upward, positive, negative)))
        at_low = builder.fmul(builder.fneg(mu), low)
        at_high = builder.fmul(builder.fsub(a, mu), high)
        worst = builder.select(builder.fcmp_ordered("<", at_low, at_high), at_low, at_high)
        worst = builder.select(builder.fcmp_ordered("<", worst, _ZERO), worst, _ZERO)
        term = _call(builder, "floor", builder.fmul(worst, unit))
        builder.store(builder.fadd(builder.load(cost), term), cost)
        builder.store(builder.fadd(builder.load(weight), _call(builder, "fabs", mu)), weight)
        _store(builder, mu, start, first)
    for k, total in enumerate((cost, weight)):
        builder.store(_sum_lanes(builder, builder.load(total)), builder.gep(sums.data, [_INDEX(k)]))
    return context.get_dummy_value()


@intrinsic
def scale_row(_: Any, products: Any, row: Any, scales: Any, first: Any, size: Any) -> Any:
    """products[row, j] *= scales[first + j] for j < size and on to the next multiple of 8.

    Returns the bits of the largest magnitude; bits of non-negative doubles order like the numbers. Both arrays must reach
    that far. Nothing is checked.
    """
    return types.int64(products, types.int64, scales, types.int64, types.int64), _generate_scale


def _generate_scale(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    products, scales = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2))
    start = builder.gep(products.data, [_offset(builder, products, args[1], 0)])
    table = builder.gep(scales.data, [args[3]])
    words = ir.VectorType(_INDEX, LANES)
    largest = cgutils.alloca_once(builder, words)
    builder.store(ir.Constant(words, [0] * LANES), largest)
    with _chunks(builder, args[4]) as first:
        scaled = builder.fmul(_load(builder, start, first), _load(builder, table, first))
        _store(builder, scaled, start, first)
        bits = builder.bitcast(_call(builder, "fabs", scaled), words)
        known = builder.load(largest)
        builder.store(builder.select(builder.icmp_signed(">", bits, known), bits, known), largest)

    def larger(one: Any, other: Any) -> Any:
        return builder.select(builder.icmp_signed(">", one, other), one, other)

    return _reduce(builder, builder.load(largest), larger)


@intrinsic
def round_row(_: Any, products: Any, rows: Any, row: Any, size: Any, scale: Any) -> Any:
    """rows[row, j] = round-half-even(products[row, j] * scale) for j < size and on to the next multiple of 8."""
    return types.none(products, rows, types.int64, types.int64, types.float64), _generate_round


def _generate_round(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    products, rows = (make_array(signature.args[i])(context, builder, args[i]) for i in (0, 1))
    source, target = (builder.gep(a.data, [_offset(builder, a, args[2], 0)]) for a in (products, rows))
    scale = _broadcast(builder, args[4])
    with _chunks(builder, args[3]) as first:
        _store(builder, _call(builder, "rint", builder.fmul(_load(builder, source, first), scale)), target, first)
    return context.get_dummy_value()


@contextmanager
def _chunks(builder: Any, size: Any) -> Iterator[Any]:
    """A loop over the vectors that cover `size` elements; yields the index of the first lane."""
    count = builder.udiv(builder.add(size, _INDEX(LANES - 1)), _INDEX(LANES))
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        yield builder.mul(loop.index, _INDEX(LANES))


def _store(builder: Any, value: Any, start: Any, index: Any) -> None:
    builder.store(value, builder.bitcast(builder.gep(start, [index]), _VECTOR.as_pointer()), align=8)


def _load(builder: Any, start: Any, index: Any) -> Any:
    return builder.load(builder.bitcast(builder.gep(start, [index]), _VECTOR.as_pointer()), align=8)


def _call(builder: Any, name: str, value: Any) -> Any:
    function = ir.FunctionType(_VECTOR, [_VECTOR])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.v{LANES}f64"), [value])


def _sum_lanes(builder: Any, vector: Any) -> Any:
    return _reduce(builder, vector, builder.fadd)


def _reduce(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """All lanes combined, halves with halves."""
    lanes = ir.IntType(32)
    half = LANES // 2
    while half:
        upper = ir.Constant(ir.VectorType(lanes, LANES), [half + lane % half for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), upper))
        half //= 2
    return builder.extract_element(vector, lanes(0))
