"""One node of a graph as the operators see it: inputs already lowered, attributes already Python values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray
from secateur.network.maps import UnsupportedError
from secateur.network.symbolic import FLOAT_TYPES, Lowering, Tensor

__all__ = ["FLOAT_TYPES", "Node", "Operator", "constant_tensor"]


@dataclass(frozen=True)
class Node:
    """`inputs` are in the order of the standard, None where one was left out; `opset` is the model's."""

    op: str
    opset: int
    inputs: tuple[Tensor | None, ...]
    attributes: Mapping[str, Any]
    output_count: int
    lowering: Lowering

    def optional(self, position: int) -> Tensor | None:
        return self.inputs[position] if position < len(self.inputs) else None

    def required(self, position: int) -> Tensor:
        tensor = self.optional(position)
        if tensor is None:
            raise UnsupportedError(f"input {position} is missing")
        return tensor

    def constant(self, position: int, meaning: str) -> Tensor:
        """An input that must be known when the graph is read."""
        tensor = self.required(position)
        if not tensor.is_constant:
            raise UnsupportedError(f"the {meaning} is computed from the input of the network, not a constant")
        return tensor

    def integers(self, name: str, position: int | None = None) -> list[int] | None:
        """Integers from an attribute (older opsets) or a constant input (newer ones); None if not given."""
        if name in self.attributes:
            return [int(v) for v in self.attributes[name]]
        if position is None or self.optional(position) is None:
            return None
        return [int(v) for v in self.constant(position, name).bias.fractions()]

    def integer(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A float attribute: ONNX stores float32, and so are its defaults."""
        return float(np.float32(self.attributes.get(name, default)))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)


Operator = Callable[[Node], Tensor | tuple[Tensor, ...]]


def constant_tensor(values: NDArray[Any], name: str) -> Tensor:
    """A stored array as a tensor without terms; `name` is for the message if its values are no weights."""
    kind = values.dtype.name
    if kind in FLOAT_TYPES:
        if not np.isfinite(values).all():
            raise UnsupportedError(f"{name} holds NaN or infinite values", "repair or retrain the network")
        return Tensor(ExactArray(values.astype(np.float64)), element_type=kind)
    if values.dtype.kind not in "iub":
        raise UnsupportedError(f"{name} holds elements of type {kind}", "store it as float32 or float64")
    return Tensor(ExactArray.of_fractions([Fraction(int(v)) for v in values.ravel()], values.shape), element_type=kind)
