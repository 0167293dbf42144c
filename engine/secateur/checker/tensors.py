"""Tensors whose elements are exact affine expressions, and the operations on them that lowering needs.

An expression is a dict from symbol to integer numerator; symbol 0 stands for the constant 1. All elements of a tensor
share one denominator. A constant tensor holds plain integers instead of dicts.

Every tensor knows its ONNX element type. Tensors of integers are shapes, axes and indices: they can be moved about, but
integer arithmetic wraps and truncates, so every arithmetic function here refuses them, and mixtures of float types.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from secateur.checker.refusal import Refusal

__all__ = [
    "FLOAT_TYPES",
    "Expression",
    "Tensor",
    "add",
    "broadcast",
    "combined",
    "concatenate",
    "expressions",
    "fits",
    "float_type",
    "linear_combination",
    "matrix_product",
    "multiply",
    "reciprocal",
    "reshaped",
    "scalar",
    "scaled",
    "select",
    "strides",
    "take",
    "transposed",
]

Expression = dict[int, int]
FLOAT_TYPES = {1: "f", 10: "e", 11: "d"}  # ONNX element type -> struct code
INDEX_TYPES = (6, 7)  # int32, int64
MAX_CELLS = 1 << 24


@dataclass(frozen=True)
class Tensor:
    """Row-major cells over one denominator: all integers (a constant), or all expressions."""

    shape: tuple[int, ...]
    denominator: int
    cells: Sequence[int] | Sequence[Expression]
    constant: bool
    element_type: int

    def __post_init__(self) -> None:
        if len(self.cells) > MAX_CELLS or len(self.cells) != math.prod(self.shape):
            raise Refusal("onnx", "shapes", f"a tensor of shape {list(self.shape)} is too large or inconsistent")

    def integers(self) -> list[int]:
        """The values of a constant over denominator 1."""
        if not self.constant or self.element_type not in INDEX_TYPES or self.denominator != 1:
            raise Refusal("onnx", "shapes", "a constant of integers is needed for a shape or an index")
        return [cell for cell in self.cells if isinstance(cell, int)]


def expressions(tensor: Tensor) -> list[Expression]:
    """The cells as expressions, also those of a constant."""
    return [cell if isinstance(cell, dict) else ({0: cell} if cell else {}) for cell in tensor.cells]


def strides(shape: Sequence[int]) -> list[int]:
    """Row-major strides, in elements."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def scalar(numerator: int, denominator: int, element_type: int) -> Tensor:
    return Tensor((), denominator, [numerator], True, element_type)


def reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same cells in another shape of as many elements."""
    return replace(tensor, shape=shape)


def take(tensor: Tensor, shape: tuple[int, ...], offsets: Iterable[Sequence[int]]) -> Tensor:
    """The tensor of the given shape whose element at (i, j, ...) is cell offsets[0][i] + offsets[1][j] + ..."""
    if math.prod(shape) > MAX_CELLS:
        raise Refusal("onnx", "shapes", f"a tensor of shape {list(shape)} is too large")
    cells = [tensor.cells[sum(position)] for position in product(*offsets)]
    return replace(tensor, shape=shape, cells=cells)  # type: ignore[arg-type]  # one kind only


def select(tensor: Tensor, chosen: dict[int, list[int]]) -> Tensor:
    """The given indices along the given axes, everything along the others."""
    steps = strides(tensor.shape)
    indices = [chosen.get(axis, list(range(size))) for axis, size in enumerate(tensor.shape)]
    offsets = [[steps[axis] * i for i in own] for axis, own in enumerate(indices)]
    return take(tensor, tuple(map(len, indices)), offsets)


def transposed(tensor: Tensor, order: list[int]) -> Tensor:
    """The tensor with its axes in the given order."""
    if sorted(order) != list(range(len(tensor.shape))):
        raise Refusal("onnx", "shapes", f"{order} is no order of {len(tensor.shape)} axes")
    steps, shape = strides(tensor.shape), tuple(tensor.shape[axis] for axis in order)
    return take(tensor, shape, [[steps[a] * i for i in range(tensor.shape[a])] for a in order])


def fits(tensor: Tensor, element_type: int) -> bool:
    """Whether all values of a constant are numbers of a float type."""
    code = FLOAT_TYPES[element_type]
    for cell in tensor.cells:
        try:
            (value,) = struct.unpack(code, struct.pack(code, int(cell) / tensor.denominator))  # type: ignore[arg-type]
        except OverflowError:
            return False
        numerator, denominator = value.as_integer_ratio()
        if numerator * tensor.denominator != cell * denominator:
            return False
    return True


def broadcast(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor stretched to `shape` by the usual rules; it must not need to be cut."""
    if tensor.shape == shape:
        return tensor
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    if len(own) != len(shape) or any(a not in (1, b) for a, b in zip(own, shape, strict=True)):
        raise Refusal("onnx", "shapes", f"{list(tensor.shape)} cannot be stretched to {list(shape)}")
    steps = [0 if size == 1 else step for size, step in zip(own, strides(own), strict=True)]
    return take(tensor, shape, [[step * i for i in range(n)] for step, n in zip(steps, shape, strict=True)])


def common_shape(left: Tensor, right: Tensor) -> tuple[int, ...]:
    """The shape to which both broadcast."""
    rank = max(len(left.shape), len(right.shape))
    pairs = zip(*((1,) * (rank - len(t.shape)) + t.shape for t in (left, right)), strict=True)
    shape = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise Refusal("onnx", "shapes", f"{list(left.shape)} and {list(right.shape)} do not fit together")
        shape.append(b if a == 1 else a)
    return tuple(shape)


def linear_combination(pairs: Iterable[tuple[int, Expression]]) -> Expression:
    """sum of weight * expression, without zero coefficients."""
    total: Expression = {}
    get = total.get
    for weight, expression in pairs:
        if weight:
            for symbol, value in expression.items():
                total[symbol] = get(symbol, 0) + weight * value
    return {symbol: value for symbol, value in total.items() if value}


def combined(
    tensors: Sequence[Tensor], shape: tuple[int, ...], denominator: int, cells: list[Expression], constant: bool
) -> Tensor:
    """The tensor computed from `tensors`, of their type; holds integers where all expressions are known to be constant."""
    values = [cell.get(0, 0) for cell in cells] if constant else cells
    return Tensor(shape, denominator, values, constant, common_type(tensors))


def common_type(tensors: Sequence[Tensor]) -> int:
    """The element type that all tensors have."""
    first, *others = {tensor.element_type for tensor in tensors}
    if others:
        raise Refusal("onnx", "types", "one operator reads tensors of different element types")
    return first


def float_type(*tensors: Tensor) -> int:
    """The float type that the operands of an arithmetic operator have in common."""
    common = common_type(tensors)
    if common not in FLOAT_TYPES:
        raise Refusal("onnx", "types", "arithmetic on integers is not supported: they are shapes, axes and indices")
    return common


def add(left: Tensor, right: Tensor, sign: int = 1) -> Tensor:
    """left + sign * right, with broadcasting."""
    float_type(left, right)
    shape = common_shape(left, right)
    denominator = math.lcm(left.denominator, right.denominator)
    a, b = denominator // left.denominator, sign * (denominator // right.denominator)
    rows = zip(expressions(broadcast(left, shape)), expressions(broadcast(right, shape)), strict=True)
    cells = [linear_combination(((a, x), (b, y))) for x, y in rows]
    return combined((left, right), shape, denominator, cells, left.constant and right.constant)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """left * right with broadcasting; one of them must be constant."""
    float_type(left, right)
    if not right.constant:
        left, right = right, left
    if not right.constant:
        raise Refusal("onnx", "products", "a product of two tensors that both depend on the input is not supported")
    shape = common_shape(left, right)
    pairs = zip(broadcast(right, shape).cells, expressions(broadcast(left, shape)), strict=True)
    cells = [linear_combination((pair,)) for pair in pairs]  # type: ignore[arg-type]  # a constant holds integers
    return combined((left, right), shape, left.denominator * right.denominator, cells, left.constant)


def scaled(tensor: Tensor, numerator: int, denominator: int) -> Tensor:
    """numerator / denominator times the tensor."""
    return multiply(tensor, scalar(numerator, denominator, tensor.element_type))


def reciprocal(tensor: Tensor) -> Tensor:
    """1 / tensor, elementwise, of a constant without zeros."""
    float_type(tensor)
    values = [cell for cell in tensor.cells if isinstance(cell, int)]
    if not tensor.constant or not all(values):
        raise Refusal("onnx", "products", "division needs a constant divisor without zeros")
    common = math.lcm(*values)
    return replace(tensor, denominator=common, cells=[common // value * tensor.denominator for value in values])


def matrix_product(left: Tensor, right: Tensor) -> Tensor:
    """[m, k] x [k, n] -> [m, n]; one of them must be constant."""
    float_type(left, right)
    (m, k), (k2, n) = left.shape, right.shape
    if k != k2:
        raise Refusal("onnx", "products", f"a {m} x {k} matrix cannot be multiplied by a {k2} x {n} matrix")
    if right.constant:
        weights, rows = right.cells, expressions(left)
        pairs = [(weights[j::n], rows[i * k : (i + 1) * k]) for i in range(m) for j in range(n)]
    elif left.constant:
        weights, rows = left.cells, expressions(right)
        pairs = [(weights[i * k : (i + 1) * k], rows[j::n]) for i in range(m) for j in range(n)]
    else:
        raise Refusal("onnx", "products", "a product of two matrices that both depend on the input is not supported")
    cells = [linear_combination(zip(w, r, strict=True)) for w, r in pairs]  # type: ignore[arg-type]  # constants
    constant = left.constant and right.constant
    return combined((left, right), (m, n), left.denominator * right.denominator, cells, constant)


def concatenate(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """The tensors joined along `axis`; all other sizes and the element types must agree."""
    first = tensors[0].shape
    if any(t.shape[:axis] + t.shape[axis + 1 :] != first[:axis] + first[axis + 1 :] for t in tensors):
        raise Refusal("onnx", "shapes", "the parts of a concatenation do not fit together")
    denominator = math.lcm(*(t.denominator for t in tensors))
    constant = all(t.constant for t in tensors)
    parts = []
    for t in tensors:
        factor = denominator // t.denominator
        parts.append([linear_combination(((factor, cell),)) for cell in expressions(t)])
    sizes = [t.shape[axis] for t in tensors]
    inner = math.prod(first[axis + 1 :])
    cells: list[Expression] = []
    for outer in range(math.prod(first[:axis])):
        for part, size in zip(parts, sizes, strict=True):
            cells += part[outer * size * inner : (outer + 1) * size * inner]
    return combined(tensors, (*first[:axis], sum(sizes), *first[axis + 1 :]), denominator, cells, constant)
