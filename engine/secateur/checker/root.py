"""Root bounds of all neurons by exact interval arithmetic, with the facts known so far (sections 3 and 11 of the format)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.checker.chain import Chain
from secateur.checker.differences import value_ranges
from secateur.checker.exact import down24, mantissa, up24
from secateur.checker.records import Claim
from secateur.checker.refusal import Refusal

__all__ = ["Interval", "RootBounds", "check_interval_rule"]


@dataclass(frozen=True)
class Interval:
    """Exact bounds of a layer's pre-activations before rounding: lower[i] / denominator <= z_i <= upper[i] / ..."""

    lower: list[int]
    upper: list[int]
    denominator: int


def _row_bounds(row: list[int], low: list[int], high: list[int]) -> tuple[int, int]:
    """Least and greatest value of sum_j row_j r_j for low_j <= r_j <= high_j (the bias column left out)."""
    least = greatest = 0
    for weight, below, above in zip(row, low, high, strict=False):
        if weight > 0:
            least += weight * below
            greatest += weight * above
        elif weight < 0:
            least += weight * above
            greatest += weight * below
    return least, greatest


def _rounding(slack: Sequence[Sequence[float]], low: list[int], high: list[int], shift: int) -> tuple[list[int], int]:
    """Integers (s_1, s_2, ...; x): rounding changes neuron i of a layer by at most s_i 2^-(shift + x), for source values as in
    `_row_bounds`; those are integers over 2^shift. Neurons beyond the end of the list are exact.
    """
    reach = [max(abs(ends[0]), abs(ends[1])) for ends in zip(low, high, strict=True)] + [1 << shift]
    terms = [[(mantissa(own), r) for own, r in zip(row, reach, strict=True) if own] for row in slack]
    finer = max((-exponent for row in terms for (_, exponent), _ in row), default=0)
    return [sum((m << exponent + finer) * r for (m, exponent), r in row) for row in terms], finer


class RootBounds:
    """Bounds of every neuron on the whole domain; facts sharpen them and all later layers."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._facts: list[dict[int, list[str]]] = [{} for _ in range(len(chain.layers) + 1)]
        self._intervals: list[Interval] = []  # of layers 1, 2, ... as far as they are valid
        self._bounds: list[tuple[list[float], list[float]]] = []

    def add(self, claim: Claim) -> None:
        """Takes note of an established fact."""
        self._facts[claim.layer].setdefault(claim.neuron, []).append(claim.phase)
        del self._intervals[claim.layer :]
        del self._bounds[claim.layer - 1 :]

    def interval(self, layer: int) -> Interval:
        """The unrounded interval bounds of a layer."""
        while len(self._intervals) < layer:
            self._intervals.append(self._compute(len(self._intervals) + 1))
        return self._intervals[layer - 1]

    def bounds(self, layer: int) -> tuple[list[float], list[float]]:
        """l and u of a layer: 24 significant bits, clipped by the facts about its neurons."""
        while len(self._bounds) < layer:
            self._bounds.append(self._rounded(len(self._bounds) + 1))
        return self._bounds[layer - 1]

    def _compute(self, layer: int) -> Interval:
        matrix = self.chain.layers[layer - 1]
        low, high, shift = self._source(layer - 1)
        pairs = [_row_bounds(row, low, high) for row in matrix.rows]
        biases = [row[-1] << shift for row in matrix.rows]
        slack, finer = _rounding(matrix.slack, low, high, shift)
        slacks = [own * matrix.denominator for own in slack] + [0] * (len(pairs) - len(slack))
        rows = list(zip(pairs, biases, slacks, strict=True))
        return Interval(
            [(least + bias << finer) - own for (least, _), bias, own in rows],
            [(greatest + bias << finer) + own for (_, greatest), bias, own in rows],
            matrix.denominator << shift + finer,
        )

    def _source(self, source: int) -> tuple[list[int], list[int], int]:
        """Integers (low, high, x): the outputs of a source lie between low_j 2^-x and high_j 2^-x."""
        if source == 0:
            return [0] * self.chain.input_size, [1] * self.chain.input_size, 0
        ranges = value_ranges(self.chain.layers[source - 1], *self.bounds(source))
        sides = [[mantissa(bound) for bound in side] for side in ranges]
        shift = max((-exponent for side in sides for _, exponent in side), default=0)
        low, high = ([m << (x + shift) for m, x in side] for side in sides)
        return low, high, shift

    def _rounded(self, layer: int) -> tuple[list[float], list[float]]:
        interval = self.interval(layer)
        lower = [down24(value, interval.denominator) for value in interval.lower]
        upper = [up24(value, interval.denominator) for value in interval.upper]
        for neuron, phases in self._facts[layer].items():
            if "inactive" in phases:
                upper[neuron] = min(upper[neuron], 0.0)
            if "active" in phases:
                lower[neuron] = max(lower[neuron], 0.0)
        for neuron, (below, above) in enumerate(zip(lower, upper, strict=True)):
            if below > above:
                raise Refusal("bounds", f"layer {layer}", f"a fact about neuron {neuron} contradicts its bounds")
        return lower, upper


def check_interval_rule(claim: Claim, root: RootBounds, step: str) -> None:
    """The interval rule: y_hi <= 0 (inactive) or y_lo >= 0 (active), exactly."""
    interval = root.interval(claim.layer)
    low, high = interval.lower[claim.neuron], interval.upper[claim.neuron]
    if (high > 0) if claim.phase == "inactive" else (low < 0):
        raise Refusal("interval", step, f"interval arithmetic does not show '{claim}'")
