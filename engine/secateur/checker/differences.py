"""Difference neurons: what the signs of both pre-activations say about the difference of the outputs (section 9 of the format).

A difference neuron has the pre-activation delta = 2^s (z' - z_p) and the value d = 2^s (max(0, z') - max(0, z_p)). d always lies
between 0 and delta, grows with z' and falls with z_p; z_p >= 0 gives d >= delta, z' >= 0 gives d <= delta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from secateur.checker.chain import ChainLayer
from secateur.checker.exact import down24_double

__all__ = ["Difference", "Relation", "above", "below", "differences_of", "value_ranges"]

SLACK = 2.0**-50  # of the magnitudes of two summands: more than the rounding of their sum and of the steps after it


class Relation(Enum):
    """What bounds a_j d in step 4 of a row: mu_j delta alone, 0, a line with a constant, or a constant alone."""

    DELTA = 0
    ZERO = 1
    CHORD = 2
    CONSTANT = 3


@dataclass(frozen=True)
class Difference:
    """A difference neuron within bounds l <= delta <= u, and its phases: z_p (from) and z' (to), below or above 0 for certain.

    Its value d lies between `low` and `high`.
    """

    lower: float
    upper: float
    from_below: bool
    from_above: bool
    to_below: bool
    to_above: bool
    low: float
    high: float

    @property
    def least(self) -> float:
        """l' = min(0, l)."""
        return min(0.0, self.lower)

    @property
    def greatest(self) -> float:
        """u' = max(0, u)."""
        return max(0.0, self.upper)

    @property
    def zero(self) -> bool:
        """Whether the value is 0."""
        return self.from_below and self.to_below

    @property
    def linear(self) -> bool:
        """Whether the value is the pre-activation."""
        return self.from_above and self.to_above

    def relation(self, rising: bool) -> Relation:
        """How d is bounded from below (`rising`: a_j >= 0) or from above, by the first rule that applies."""
        if self.linear:
            return Relation.DELTA
        if self.zero:
            return Relation.ZERO
        middle = (self.lower + self.upper) * 0.5
        positive, negative = (self.from_above, self.from_below) if rising else (self.to_above, self.to_below)
        if positive and (self.low <= middle if rising else self.high >= middle):
            return Relation.DELTA
        chord = self.low <= self.least * 0.5 if rising else self.high >= self.greatest * 0.5
        if not positive and not negative and self.greatest - self.least > 0.0 and chord:
            return Relation.CHORD
        return Relation.CONSTANT


def below(x: float, y: float) -> float:
    """A number of 24 bits that is <= x + y, by IEEE doubles in this order."""
    return down24_double((x + y) - SLACK * (abs(x) + abs(y)))


def above(x: float, y: float) -> float:
    """A number of 24 bits that is >= x + y, by IEEE doubles in this order."""
    return -down24_double(-((x + y) + SLACK * (abs(x) + abs(y))))


def _difference(own: tuple[float, float], partner: tuple[float, float], shift: int) -> Difference:
    """A difference neuron within bounds of its own and of its partner."""
    lower, upper = own
    low, high = (math.ldexp(bound, shift) for bound in partner)  # 2^s l_p, 2^s u_p
    if lower == upper == 0.0:
        return Difference(lower, upper, True, False, True, False, 0.0, 0.0)
    from_below, from_above, to_below, to_above = high <= 0.0, low >= 0.0, upper <= -high, lower >= -low
    if from_above and to_above:
        ends = lower, upper
    elif from_below and to_below:
        ends = 0.0, 0.0
    else:
        a_low = below(max(0.0, below(low, lower)), -max(0.0, high))
        a_high = above(max(0.0, above(high, upper)), -max(0.0, low))
        ends = (
            max(a_low, 0.0 if from_below else min(0.0, lower)),
            min(a_high, 0.0 if to_below else max(0.0, upper)),
        )
    return Difference(lower, upper, from_below, from_above, to_below, to_above, *ends)


def differences_of(layer: ChainLayer, lower: Sequence[float], upper: Sequence[float]) -> dict[int, Difference]:
    """The difference neurons of a layer, by position, within the layer's bounds."""
    return {i: _difference((lower[i], upper[i]), (lower[p], upper[p]), layer.shift) for i, p in layer.partners.items()}


def value_ranges(layer: ChainLayer, lower: Sequence[float], upper: Sequence[float]) -> tuple[list[float], list[float]]:
    """Least and greatest values that the neurons of a layer can have within the bounds of their pre-activations."""
    low, high = [max(0.0, bound) for bound in lower], [max(0.0, bound) for bound in upper]
    for i in layer.linear:
        low[i], high[i] = lower[i], upper[i]
    for i, difference in differences_of(layer, lower, upper).items():
        low[i], high[i] = difference.low, difference.high
    return low, high
