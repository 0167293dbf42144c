"""The exact value of a network at a rational point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from secateur.checker.lowering import Affine, Network

__all__ = ["evaluate"]


def _over_one_denominator(values: Sequence[Fraction]) -> tuple[list[int], int]:
    common = math.lcm(*(value.denominator for value in values))
    return [value.numerator * (common // value.denominator) for value in values], common


def _affine(affine: Affine, symbols: list[int], denominator: int) -> tuple[list[int], int]:
    """The rows' values, over one denominator; `symbols[s]` / denominator is the value of symbol s."""
    return [sum(c * symbols[s] for s, c in row.items()) for row in affine.rows], affine.denominator * denominator


def evaluate(network: Network, point: Sequence[Fraction], layer: int | None = None) -> list[Fraction]:
    """The outputs at an input, or those of a ReLU layer; integers over one denominator, which grows from layer to layer."""
    values, denominator = _over_one_denominator(point)
    symbols = [denominator, *values]  # the constant 1, the inputs, then the neurons' outputs
    for own in network.layers[:layer]:
        pre, finer = _affine(own, symbols, denominator)
        factor = finer // denominator
        symbols, denominator = [value * factor for value in symbols] + [max(0, z) for z in pre], finer
    if layer is not None:
        first = network.starts[layer]
        return [Fraction(value, denominator) for value in symbols[first : first + network.size(layer)]]
    outputs, denominator = _affine(network.output, symbols, denominator)
    return [Fraction(value, denominator) for value in outputs]
