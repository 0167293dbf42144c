"""The operators of ONNX that lower to affine maps and ReLU layers."""

from __future__ import annotations

from secateur.network.operators import arithmetic, movement, piecewise, windowed
from secateur.network.operators.node import FLOAT_TYPES, Node, Operator, constant_tensor

__all__ = ["FLOAT_TYPES", "OPERATORS", "Node", "Operator", "constant_tensor"]

OPERATORS: dict[str, Operator] = {
    **arithmetic.OPERATORS,
    **movement.OPERATORS,
    **piecewise.OPERATORS,
    **windowed.OPERATORS,
}
