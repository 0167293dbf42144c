"""What runtimes may do to scales of float32 networks, and the constants that this is safe for (section 11, *Scales*).

A factor of a Mul or a divisor may be multiplied into the weights next to it, or applied to other values than in the graph;
`check_constants` refuses constants that could overflow or underflow then.
"""

from __future__ import annotations

from dataclasses import dataclass

from secateur.checker.onnx_model import Node
from secateur.checker.refusal import Refusal
from secateur.checker.tensors import FLOAT_TYPES, Tensor, scalar

__all__ = ["PLAIN", "SCALED", "SCALES", "Limits", "check_constants"]

FLOAT = 1  # the ONNX element type
SCALES = ("Mul", "Div")
PRODUCTS = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True)
class Limits:
    """`underflow` (eta) covers what is lost near 0; no value may exceed `largest` (Lambda), which is 2^exponent."""

    underflow: Tensor
    exponent: int

    @property
    def largest(self) -> int:
        return 1 << self.exponent


PLAIN = Limits(scalar(1, 1 << 125, FLOAT), 126)
SCALED = Limits(scalar(1, 1 << 72, FLOAT), 94)  # where the output depends on a Mul or a Div


def _ranges(operator: str) -> list[tuple[int, int]]:
    """Exponents of the least and the greatest magnitude of constants, operand by operand."""
    if operator in SCALES:
        return [(-16, 16)] * 2
    return [(-SCALED.exponent, 16)] * 2 if operator in PRODUCTS else []  # not for a bias


def check_constants(node: Node, operands: list[Tensor], step: str) -> None:
    """Refuses a node of a network with scales whose constants might overflow or underflow when scales are moved."""
    if node.operator == "Gemm" and node.number("beta", 1.0) != (1, 1):
        raise Refusal("float32", step, "beta is not 1, in a network with Mul or Div: where a runtime applies those is not known")
    ranges = _ranges(node.operator)
    for number, tensor in enumerate(operands):
        if tensor.constant and tensor.element_type in FLOAT_TYPES:
            _check_range(tensor, ranges[number] if number < len(ranges) else (None, SCALED.exponent), step)


def _check_range(tensor: Tensor, exponents: tuple[int | None, int], step: str) -> None:
    sizes = [abs(cell) for cell in tensor.cells if isinstance(cell, int) and cell]
    low, high = exponents
    if not sizes:
        return
    words = "a runtime may multiply it by others"
    if max(sizes) > tensor.denominator << high:
        raise Refusal("float32", step, f"a constant is larger than 2^{high}, in a network with Mul or Div: {words}")
    if low is not None and min(sizes) << -low < tensor.denominator:
        raise Refusal("float32", step, f"a constant is smaller than 2^{low}, in a network with Mul or Div: {words}")
