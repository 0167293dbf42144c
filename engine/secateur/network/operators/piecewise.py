"""Operators with kinks, each rewritten with max(0, .): one new ReLU layer per use of `Lowering.relu`."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

import numpy as np

from secateur.network.exact import ExactArray
from secateur.network.maps import UnsupportedError
from secateur.network.operators.node import Node, Operator
from secateur.network.symbolic import Lowering, Tensor

__all__ = ["OPERATORS", "maximum"]

_ONE = ExactArray.full((), 1.0)


def maximum(lowering: Lowering, left: Tensor, right: Tensor) -> Tensor:
    """max(a, b) = b + max(0, a - b)."""
    if left.is_constant:  # then the constant is the base, and only one side reads earlier layers
        left, right = right, left
    return right + lowering.relu(left - right)


def _minimum(lowering: Lowering, left: Tensor, right: Tensor) -> Tensor:
    return -maximum(lowering, -left, -right)


def _relu(node: Node) -> Tensor:
    return node.lowering.relu(node.required(0))


def _leaky(node: Node, slope: ExactArray) -> Tensor:
    """A slope s below zero: s x + (1 - s) max(0, x)."""
    x = node.required(0)
    return x.scaled(slope) + node.lowering.relu(x).scaled(_ONE - slope)


def _leaky_relu(node: Node) -> Tensor:
    return _leaky(node, ExactArray.full((), node.number("alpha", 0.01)))


def _prelu(node: Node) -> Tensor:
    return _leaky(node, node.constant(1, "slope").broadcast(node.required(0).shape).bias)


def _abs(node: Node) -> Tensor:
    x = node.required(0)
    return node.lowering.relu(x).scaled(ExactArray.full((), 2.0)) - x


def _max(node: Node) -> Tensor:
    return reduce(lambda a, b: maximum(node.lowering, a, b), _all_inputs(node))


def _min(node: Node) -> Tensor:
    return reduce(lambda a, b: _minimum(node.lowering, a, b), _all_inputs(node))


def _all_inputs(node: Node) -> list[Tensor]:
    return [node.required(i) for i in range(len(node.inputs))]


def _clip(node: Node) -> Tensor:
    """min(high, max(x, low)), which is also what ONNX says where low exceeds high."""
    x = node.required(0)
    low, high = _limit(node, x, "min", 1), _limit(node, x, "max", 2)
    x = x if low is None else maximum(node.lowering, x, low)
    return x if high is None else _minimum(node.lowering, x, high)


def _limit(node: Node, x: Tensor, name: str, position: int) -> Tensor | None:
    """A bound of Clip for x; None for none, which ONNX also writes as the least or greatest finite number of the type."""
    tensor = node.optional(position)
    if tensor is None and name in node.attributes:
        tensor = Tensor(ExactArray.full((), node.number(name, 0.0)), element_type=x.element_type)
    if tensor is None:
        return None
    if not tensor.is_constant or tensor.size != 1:
        raise UnsupportedError(f"the {name} of a Clip that is no single constant")
    (value,), greatest = tensor.bias.fractions(), Fraction(float(np.finfo(x.element_type).max))
    unbounded = value <= -greatest if name == "min" else value >= greatest
    return None if unbounded else tensor.reshape(())


OPERATORS: dict[str, Operator] = {
    "Abs": _abs,
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Max": _max,
    "Min": _min,
    "PRelu": _prelu,
    "Relu": _relu,
}
