"""What rounding in float32 can do to the pre-activations of a layer, neuron by neuron (section 11 of the format).

A computed pre-activation differs from its exact affine function of the computed values before it by at most gamma M(|x|, r);
M has coefficients >= 0. On a box this is one number for each neuron, and a row pays it as often as its multiplier says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.checker.domain import Domain
from secateur.checker.exact import ceil_shift, scaled_ceil, up24
from secateur.checker.lowering import Affine
from secateur.checker.nodes import LIMIT, SLACK_BITS
from secateur.checker.refusal import Refusal

__all__ = ["MAX_ROUNDINGS", "NONE", "OF_REALS", "Charges", "Magnitudes", "charges", "gamma", "neuron_slack", "reach"]

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


@dataclass(frozen=True)
class Charges:
    """s_i 2^shift is what rounding can do to neuron i of a layer on one box, in units of 2^-(G + 24).

    Neurons beyond the end of `sizes` (pass-through neurons, and all of them over the reals) are exact.
    """

    sizes: Sequence[int]
    shift: int

    def of(self, multipliers: Mapping[int, int]) -> int:
        """v: what a row pays that has these multipliers of the layer's neurons."""
        own = ((i, mu) for i, mu in multipliers.items() if i < len(self.sizes))
        return sum(abs(mu) * self.sizes[i] for i, mu in own) if self.sizes else 0


LEAST_CONSTANT = 2.0**-100  # of the bias column, where anything is rounded
NONE = Charges((), 0)


def charges(slack: Sequence[Sequence[float]], reach: Sequence[float], grid: int) -> Charges | None:
    """s_i and f of a layer with these sigma, for sources with these rbar; None where an S_i reaches 2^53."""
    if not slack:
        return NONE
    columns = [*reach, 1.0]
    totals = [sum(scaled_ceil(own, grid + PRECISION, r) for own, r in zip(row, columns, strict=True) if own) for row in slack]
    largest = max(totals)
    if largest >= LIMIT:
        return None
    shift = max(0, (largest - 1).bit_length() - SLACK_BITS) if largest else 0
    return Charges([ceil_shift(total, -shift) for total in totals], shift)


def neuron_slack(magnitudes: Magnitudes, layer: int, place: Mapping[int, int], domain: Domain) -> list[list[float]]:
    """sigma of a chain layer's own neurons, a row for each, the bias last; `place` is where the symbols that it reads stand."""
    affine, inputs, width = magnitudes.layers[layer - 1], len(domain.lower), len(place)
    reaches = reach(domain)
    common = math.lcm(*(value.denominator for value in reaches))
    weights = [common, *(int(value * common) for value in reaches)]  # of the constant and of the inputs
    factor = gamma(magnitudes.roundings[layer - 1]) / (common * affine.denominator)
    rows = []
    for row in affine.rows:
        outer = {symbol: value for symbol, value in row.items() if symbol > inputs and value}
        if outer.keys() - place.keys():
            reason = "it computes with a value whose exact coefficients cancel, and that the chain form does not carry to it"
            raise Refusal("float32", f"layer {layer}", reason)
        slack = [0.0] * (width + 1)
        constant = _scaled_up24(factor, sum(c * weights[s] for s, c in row.items() if s <= inputs))
        slack[width] = max(constant, LEAST_CONSTANT) if factor else 0.0
        for symbol, value in outer.items():
            slack[place[symbol]] = _scaled_up24(factor, common * value)
        rows.append(slack)
    return rows


def _scaled_up24(factor: Fraction, value: int) -> float:
    return up24(factor.numerator * value, factor.denominator)
