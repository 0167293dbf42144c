"""The inner loops of a row's way through the network, written for vector registers.

Nine tenths of a search's time goes into multiplying rows with matrices and exchanging coefficients for multipliers. LLVM's
vectoriser leaves much of the machine's speed on the table there (it keeps sums in memory, and gives up where many arrays might
overlap), so these loops are built from vector instructions, which LLVM lowers to whatever the processor has. Multiplication and
addition are separate and unflagged; all numbers are integers below 2**53 or products that doubles hold exactly (rounding.py), so
neither order nor width changes a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["LANES", "TILE_ROWS", "exchange_row", "multiply_tile", "round_row", "scale_row"]

LANES = 8
TILE_ROWS = 8

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_FIRST_LANE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


@intrinsic
def multiply_tile(_: Any, left: Any, row: Any, alive: Any, count: Any, matrix: Any, out: Any, column: Any) -> Any:
    """out[row:row+8, column:column+8] = left[row:row+8, alive[:count]] @ matrix[alive[:count], column:column+8].

    left, matrix, out : C-contiguous float64 matrices that have all these elements; alive : int64 indices. Nothing is checked.
    """
    signature = types.none(left, types.int64, alive, types.int64, matrix, out, types.int64)
    return signature, _generate_tile


def _generate_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    views = [make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 4, 5)]
    left, alive, matrix, out = views
    row, count, column = args[1], args[3], args[6]
    rows = [builder.gep(left.data, [_offset(builder, left, row, k)]) for k in range(TILE_ROWS)]
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(TILE_ROWS)]
    for total in sums:
        builder.store(_ZERO, total)
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        index = builder.load(builder.gep(alive.data, [loop.index]))
        place = builder.gep(matrix.data, [builder.add(_offset(builder, matrix, index, 0), column)])
        weights = builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=8)
        for start, total in zip(rows, sums, strict=True):
            factor = _broadcast(builder, builder.load(builder.gep(start, [index])))
            builder.store(builder.fadd(builder.load(total), builder.fmul(factor, weights)), total)
    for k, total in enumerate(sums):
        place = builder.gep(out.data, [builder.add(_offset(builder, out, row, k), column)])
        builder.store(builder.load(total), builder.bitcast(place, _VECTOR.as_pointer()), align=8)
    return context.get_dummy_value()


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
    vector = builder.load(largest)
    result = builder.extract_element(vector, ir.IntType(32)(0))
    for lane in range(1, LANES):
        other = builder.extract_element(vector, ir.IntType(32)(lane))
        result = builder.select(builder.icmp_signed(">", other, result), other, result)
    return result


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
    total = builder.extract_element(vector, ir.IntType(32)(0))
    for lane in range(1, LANES):
        total = builder.fadd(total, builder.extract_element(vector, ir.IntType(32)(lane)))
    return total
