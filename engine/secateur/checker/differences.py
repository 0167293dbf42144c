"""Difference neurons: what the signs of both pre-activations say about the difference of the outputs (section 9 of the format).

A difference neuron has the pre-activation delta = 2^s (z' - z_p) and the value d = 2^s (max(0, z') - max(0, z_p)). d always lies
between 0 and delta; z_p >= 0 gives d >= delta, z' >= 0 gives d <= delta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from secateur.checker.chain import ChainLayer

__all__ = ["Difference", "differences_of", "value_ranges"]


@dataclass(frozen=True)
class Difference:
    """A difference neuron within bounds l <= delta <= u, and its phases: z_p (from) and z' (to), below or above 0 for certain."""

    lower: float
    upper: float
    from_below: bool
    from_above: bool
    to_below: bool
    to_above: bool

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
        """Whether both outputs are 0."""
        return self.from_below and self.to_below

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest value of d."""
        if self.from_above and self.to_above:
            return self.lower, self.upper
        return 0.0 if self.from_below else self.least, 0.0 if self.to_below else self.greatest


def differences_of(layer: ChainLayer, lower: Sequence[float], upper: Sequence[float]) -> dict[int, Difference]:
    """The difference neurons of a layer, by position, within the layer's bounds."""
    found = {}
    for i, p in layer.partners.items():
        below, above = (-math.ldexp(bound, layer.shift) for bound in (upper[p], lower[p]))  # -u_p 2^s, -l_p 2^s
        phases = upper[p] <= 0.0, lower[p] >= 0.0, upper[i] <= below, lower[i] >= above
        found[i] = Difference(lower[i], upper[i], *phases)
    return found


def value_ranges(layer: ChainLayer, lower: Sequence[float], upper: Sequence[float]) -> tuple[list[float], list[float]]:
    """Least and greatest values that the neurons of a layer can have within the bounds of their pre-activations."""
    low, high = [max(0.0, bound) for bound in lower], [max(0.0, bound) for bound in upper]
    for i in layer.linear:
        low[i], high[i] = lower[i], upper[i]
    for i, difference in differences_of(layer, lower, upper).items():
        low[i], high[i] = difference.value_range
    return low, high
