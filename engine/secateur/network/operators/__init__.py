"""The operators of ONNX that lower to affine maps and ReLU layers."""

from __future__ import annotations

from secateur.network.operators import arithmetic, movement, piecewise, windowed
from secateur.network.operators.node import FLOAT_TYPES, Node, Operator, constant_tensor

__all__ = ["FLOAT_TYPES", "OPERATORS", "REMEDIES", "Node", "Operator", "constant_tensor"]

OPERATORS: dict[str, Operator] = {
    **arithmetic.OPERATORS,
    **movement.OPERATORS,
    **piecewise.OPERATORS,
    **windowed.OPERATORS,
}

_CUT = "cut the file before it (onnx.utils.extract_model)"
_ORDER = f"where it is the last node it keeps the order of the outputs: {_CUT}, and ask about decisions"
REMEDIES = {
    "ArgMax": f"{_CUT}, and ask about decisions",
    "ArgMin": f"{_CUT}, and ask about decisions",
    "BatchNormalization": "it divides by a square root, which is no rational number: fold it into the layer before it",
    "LogSoftmax": _ORDER,
    "Sigmoid": _ORDER,
    "Softmax": _ORDER,
    "Tanh": _ORDER,
}
"""What to do about operators that networks often have and that are not supported."""
