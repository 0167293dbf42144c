"""What rounding in float32 can do to the pre-activations of a layer, column by column (section 11 of the format).

A computed pre-activation differs from its exact affine function of the computed values before it by at most gamma M(|x|, r);
M has coefficients >= 0. A row pays for this as it pays for the quantisation of its matrix: by the largest entry of each column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from secateur.checker.domain import Domain
from secateur.checker.exact import up24
from secateur.checker.lowering import Affine
from secateur.checker.refusal import Refusal

__all__ = ["MAX_ROUNDINGS", "OF_REALS", "Magnitudes", "column_error", "column_slack", "gamma", "reach"]

MAX_ROUNDINGS = 1 << 20
OF_REALS = "a solver's word is about the reals, not about float32 arithmetic"
PRECISION = 24  # significant bits of float32: u = 2^-24


@dataclass(frozen=True)
class Magnitudes:
    """M and nu of ReLU layers 1, 2, ..., by symbols of the network; magnitudes on symbols of the input are those on |x|."""

    layers: tuple[Affine, ...]
    roundings: tuple[int, ...]


def gamma(roundings: int) -> Fraction:
    """nu u / (1 - nu u)."""
    return Fraction(roundings, (1 << PRECISION) - roundings)


def reach(domain: Domain) -> list[Fraction]:
    """X_j: the largest magnitude of each input."""
    return [max(abs(low), abs(high)) for low, high in zip(domain.lower, domain.upper, strict=True)]


def column_error(exponent: int, inexact: bool, slack: float) -> float:
    """delta = 2^-(c+1) or 0, or, with a slack sigma > 0, up24(delta + sigma)."""
    delta = math.ldexp(1.0, -(exponent + 1)) if inexact else 0.0
    return up24(*(Fraction(delta) + Fraction(slack)).as_integer_ratio()) if slack else delta


def _rounded_up(roundings: int, magnitude: Fraction) -> float:
    return up24(*(gamma(roundings) * magnitude).as_integer_ratio())


def _largest(values: Iterable[int]) -> int:
    return max(values, default=0)


def column_slack(magnitudes: Magnitudes, layer: int, place: Mapping[int, int], domain: Domain) -> list[float]:
    """sigma of all columns of a chain layer, the bias last; `place` is where the symbols that it reads stand."""
    affine, roundings, inputs = magnitudes.layers[layer - 1], magnitudes.roundings[layer - 1], len(domain.lower)
    reaches = reach(domain)
    common = math.lcm(*(value.denominator for value in reaches))
    weights = [common, *(int(value * common) for value in reaches)]  # of the constant and of the inputs
    bias = _largest(sum(c * weights[s] for s, c in row.items() if s <= inputs) for row in affine.rows)
    largest: dict[int, int] = {}
    for row in affine.rows:
        for symbol, value in row.items():
            if symbol > inputs:
                largest[symbol] = max(value, largest.get(symbol, 0))
    if largest.keys() - place.keys():
        reason = "it computes with a value whose exact coefficients cancel, and that the chain form does not carry to it"
        raise Refusal("float32", f"layer {layer}", reason)
    slack = [0.0] * len(place) + [_rounded_up(roundings, Fraction(bias, common * affine.denominator))]
    for symbol, value in largest.items():
        slack[place[symbol]] = _rounded_up(roundings, Fraction(value, affine.denominator))
    return slack
