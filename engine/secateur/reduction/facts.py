"""What has been proven about a network on a domain, and the exact ranges that follow from it.

The rewriter acts on claimed phases only: a bound never lets a neuron vanish (no certificate would cover
that); it chooses shifts and bounds rounding errors. Facts that contradict exact interval arithmetic raise,
because they can only come from a fault of ours: a rewrite built on them would be wrong, and a quiet repair
would hide it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np

from secateur.network.linear import Dense
from secateur.network.model import Affine, Network
from secateur.reduction.exact import Rationals, rational_matrix, rational_vector, scaled_integers

__all__ = [
    "ContradictoryFactsError",
    "Facts",
    "Phase",
    "Range",
    "affine_ranges",
    "layer_ranges",
    "relu_range",
]

# Ranges are rounded outward to multiples of 2**-96, so that numbers stay short however deep the network is.
_FRACTION_BITS = 96


class Phase(Enum):
    """What is proven about a pre-activation z on the domain."""

    INACTIVE = "inactive"
    """z <= 0 everywhere."""
    ACTIVE = "active"
    """z >= 0 everywhere."""
    UNSTABLE = "unstable"
    """Nothing is claimed."""


class ContradictoryFactsError(RuntimeError):
    """Two facts about one neuron exclude each other on a domain that is not empty."""


@dataclass(frozen=True, slots=True)
class Range:
    """Proven bounds of one value on the domain; None where none is known."""

    lower: Fraction | None = None
    upper: Fraction | None = None

    def meet(self, other: Range) -> Range:
        """What both ranges allow together."""
        lowers = [v for v in (self.lower, other.lower) if v is not None]
        uppers = [v for v in (self.upper, other.upper) if v is not None]
        return Range(max(lowers, default=None), min(uppers, default=None))

    @property
    def is_empty(self) -> bool:
        return self.lower is not None and self.upper is not None and self.lower > self.upper


@dataclass(frozen=True)
class Facts:
    """Proven facts on a domain D.

    lower, upper : a box that contains D, one rational per input.
    phases : for each ReLU layer, for each neuron.
    layer_bounds : for each ReLU layer, proven lower and upper bounds of its pre-activations on D (rationals
        or floats, infinite where none is known); empty if there are none. Interval arithmetic is always
        added.
    """

    lower: Sequence[Fraction]
    upper: Sequence[Fraction]
    phases: Sequence[Sequence[Phase]]
    layer_bounds: Sequence[tuple[Sequence[Fraction | float], Sequence[Fraction | float]]] = ()

    def check_shape(self, network: Network) -> None:
        """Raise ValueError unless these facts are about a network of this shape."""
        expected = [network.input_size, network.input_size, *network.sizes]
        found = [len(self.lower), len(self.upper), *(len(layer) for layer in self.phases)]
        if found != expected:
            raise ValueError(f"facts of shape {found} for a network of shape {expected}")
        sizes = [(len(lower), len(upper)) for lower, upper in self.layer_bounds]
        if sizes and sizes != [(size, size) for size in network.sizes]:
            raise ValueError(f"layer bounds of shape {sizes} for ReLU layers of sizes {network.sizes}")


_CLAIMED = {
    Phase.INACTIVE: Range(None, Fraction(0)),
    Phase.ACTIVE: Range(Fraction(0), None),
    Phase.UNSTABLE: Range(),
}


def relu_range(z: Range) -> Range:
    """The range of max(0, z)."""
    zero = Fraction(0)
    return Range(max(zero, z.lower or zero), None if z.upper is None else max(zero, z.upper))


def layer_ranges(network: Network, facts: Facts) -> tuple[tuple[Range, ...], ...]:
    """Ranges of all pre-activations on D: interval arithmetic met with the proven bounds and phases.

    Raises ContradictoryFactsError if these exclude each other.
    """
    sources = [_box(facts)]
    layers: list[tuple[Range, ...]] = []
    for k, layer in enumerate(network.layers):
        computed = affine_ranges(layer, sources)
        given = _given_ranges(facts, k) or (Range(),) * layer.size
        ranges = tuple(
            _consistent([own, said, _CLAIMED[phase]], k, i)
            for i, (own, said, phase) in enumerate(zip(computed, given, facts.phases[k], strict=True))
        )
        layers.append(ranges)
        sources.append(tuple(map(relu_range, ranges)))
    return tuple(layers)


def _box(facts: Facts) -> tuple[Range, ...]:
    box = tuple(Range(lower, upper) for lower, upper in zip(facts.lower, facts.upper, strict=True))
    for i, side in enumerate(box):
        if side.is_empty:
            raise ContradictoryFactsError(f"input {i} has lower bound {side.lower} above upper bound {side.upper}")
    return box


def _given_ranges(facts: Facts, layer: int) -> tuple[Range, ...]:
    if not facts.layer_bounds:
        return ()
    lower, upper = facts.layer_bounds[layer]
    return tuple(Range(_finite(lo), _finite(hi)) for lo, hi in zip(lower, upper, strict=True))


def _finite(bound: Fraction | float) -> Fraction | None:
    if isinstance(bound, Fraction):
        return bound
    return None if math.isinf(bound) else Fraction(bound)


def _consistent(ranges: Sequence[Range], layer: int, neuron: int) -> Range:
    met = Range()
    for part in ranges:
        met = met.meet(part)
    if met.is_empty:
        raise ContradictoryFactsError(
            f"layer {layer}, neuron {neuron}: interval, bounds and phase give the lower bound"
            f" {float(met.lower or 0):g} above the upper bound {float(met.upper or 0):g}"
        )
    return met


def affine_ranges(affine: Affine, sources: Sequence[Sequence[Range]]) -> tuple[Range, ...]:
    """Ranges of an affine function of sources with these ranges, by exact interval arithmetic.

    Ranges are rounded outward. A map that is no matrix gives none: multiplying a convolution out would cost
    more than its bounds are worth here.
    """
    if not all(isinstance(term.map, Dense) for term in affine.terms):
        return (Range(),) * affine.size
    low = rational_vector(affine.rational_bias())
    high = low.copy()
    unknown_low = np.zeros(affine.size, dtype=bool)
    unknown_high = unknown_low.copy()
    for term in affine.terms:
        weights, scale = scaled_integers(rational_matrix(term.map.dense()))
        positive, negative = np.where(weights > 0, weights, 0), np.where(weights < 0, weights, 0)
        lower, no_lower = _vector([r.lower for r in sources[term.source]])
        upper, no_upper = _vector([r.upper for r in sources[term.source]])
        low += _sum_of_products(positive, lower, negative, upper, scale)
        high += _sum_of_products(positive, upper, negative, lower, scale)
        unknown_low |= (positive != 0) @ no_lower | (negative != 0) @ no_upper
        unknown_high |= (positive != 0) @ no_upper | (negative != 0) @ no_lower
    unit = 2**_FRACTION_BITS
    return tuple(
        Range(
            None if unknown_low[i] else Fraction(math.floor(low[i] * unit), unit),
            None if unknown_high[i] else Fraction(math.ceil(high[i] * unit), unit),
        )
        for i in range(affine.size)
    )


def _vector(bounds: Sequence[Fraction | None]) -> tuple[Rationals, np.typing.NDArray[np.bool_]]:
    """The known bounds, zero elsewhere, and where none is known."""
    values = rational_vector(Fraction(0) if v is None else v for v in bounds)
    return values, np.array([v is None for v in bounds], dtype=bool)


def _sum_of_products(a: Rationals, x: Rationals, b: Rationals, y: Rationals, scale: int) -> Rationals:
    """(a x + b y) / scale, exactly, for integer matrices a, b and rational vectors x, y."""
    u, u_scale = scaled_integers(x)
    v, v_scale = scaled_integers(y)
    total = (a @ u) * v_scale + (b @ v) * u_scale
    return rational_vector(Fraction(int(t), scale * u_scale * v_scale) for t in total)
