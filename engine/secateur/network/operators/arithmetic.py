"""Operators that are affine whenever at most one factor of each product depends on the input."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from secateur.network.exact import ExactArray
from secateur.network.maps import UnsupportedError
from secateur.network.operators.node import FLOAT_TYPES, Node, Operator
from secateur.network.symbolic import Tensor

__all__ = ["OPERATORS"]

_NONLINEAR = "the product of two values that both depend on the input is not piecewise linear"


def _add(node: Node) -> Tensor:
    return node.required(0) + node.required(1)


def _sum(node: Node) -> Tensor:
    return reduce(add, (node.required(i) for i in range(len(node.inputs))))


def _sub(node: Node) -> Tensor:
    return node.required(0) - node.required(1)


def _neg(node: Node) -> Tensor:
    return -node.required(0)


def _mul(node: Node) -> Tensor:
    left, right = node.required(0), node.required(1)
    left.check_type(right)
    if not (left.is_constant or right.is_constant):
        raise UnsupportedError(_NONLINEAR)
    return left.scaled(right.bias) if right.is_constant else right.scaled(left.bias)


def _div(node: Node) -> Tensor:
    dividend, divisor = node.required(0), node.constant(1, "divisor")
    dividend.check_type(divisor)
    if dividend.element_type not in FLOAT_TYPES:
        raise UnsupportedError("a division of integers", "fold the constants first")
    try:
        return dividend.scaled(divisor.bias.reciprocal())
    except ZeroDivisionError:
        raise UnsupportedError("a division by zero") from None


def _transposed(tensor: Tensor) -> Tensor:
    """The last two axes exchanged."""
    return tensor.take(np.swapaxes(tensor.positions(), -1, -2))


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1.0 else tensor.scaled(ExactArray.full((), factor))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """The matrix product of two tensors of rank 2 or more, one of them constant with unit leading axes."""
    left.check_type(right)
    if right.is_constant:
        return left.times_matrix(_weights(right))
    if left.is_constant:
        # (A X) transposed is X transposed times A transposed: one rule for both sides.
        return _transposed(_transposed(right).times_matrix(_weights(_transposed(left))))
    raise UnsupportedError(_NONLINEAR)


def _weights(tensor: Tensor) -> ExactArray:
    if tensor.size != int(np.prod(tensor.shape[-2:])):
        raise UnsupportedError(f"a stack of weight matrices of shape {list(tensor.shape)}", "unroll it")
    return tensor.bias.reshape(tensor.shape[-2:])


def _matmul(node: Node) -> Tensor:
    left, right = node.required(0), node.required(1)
    if not (left.shape and right.shape):
        raise UnsupportedError("a matrix product with a scalar")
    # A vector on the left is a row, on the right a column; its axis leaves the result again.
    wide_left = left.reshape((1, *left.shape)) if len(left.shape) == 1 else left
    wide_right = right.reshape((*right.shape, 1)) if len(right.shape) == 1 else right
    result = _product(wide_left, wide_right)
    leading = max(wide_left.shape[:-2], wide_right.shape[:-2], key=len)
    shape = [*[1] * (len(leading) + 2 - len(result.shape)), *result.shape]
    if len(right.shape) == 1:
        del shape[-1]
    if len(left.shape) == 1:
        del shape[len(shape) - (1 if len(right.shape) == 1 else 2)]
    return result.reshape(shape)


def _gemm(node: Node) -> Tensor:
    left, right = node.required(0), node.required(1)
    if len(left.shape) != 2 or len(right.shape) != 2:
        raise UnsupportedError(f"Gemm of shapes {list(left.shape)} and {list(right.shape)}, not of two matrices")
    left = _transposed(left) if node.integer("transA", 0) else left
    right = _transposed(right) if node.integer("transB", 0) else right
    product = _scaled(_product(left, right), node.number("alpha", 1.0))
    addend = node.optional(2)
    if addend is None:
        return product
    return product + _scaled(addend, node.number("beta", 1.0)).broadcast(product.shape)


OPERATORS: dict[str, Operator] = {
    "Add": _add,
    "Div": _div,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mul": _mul,
    "Neg": _neg,
    "Sub": _sub,
    "Sum": _sum,
}
