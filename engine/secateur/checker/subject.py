"""What the evidence of refuted leaves speaks about (section 13 of the format): exact networks, boxes and bounds.

Evidence is about the network as it is, not about its chain form or its integer matrices; in a certificate about two networks
about both, side by side, and not about their joined network. A leaf's bounds are those of the chain form, so each neuron
knows the neurons there from whose bounds its own follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from secateur.checker.domain import Domain
from secateur.checker.exact import mantissa
from secateur.checker.joined import Form, Joined
from secateur.checker.lowering import Affine, Network
from secateur.checker.nodes import FULL, Goal, LeafState
from secateur.checker.records import Plan
from secateur.checker.row_layer import over_one_denominator
from secateur.checker.tensors import Expression

__all__ = ["Region", "Row", "Subject", "about_one", "side_by_side"]

Place = tuple[int, int, int]  # layer (from 0) and position in the chain form, and the weight of its bound


@dataclass(frozen=True)
class Row:
    """A row of a goal: sum expression[s] s / denominator is negative, or at most 0 if it is not `strict`."""

    denominator: int
    expression: Expression
    strict: bool


@dataclass(frozen=True)
class Region:
    """The box of a leaf, and bounds that all neurons have on it, as integers.

    Input j lies between low[j] and high[j], over `denominator`; the pre-activation of the neuron with symbol v between
    bounds[v][0] and bounds[v][1], over `unit`.
    """

    low: list[int]
    high: list[int]
    denominator: int
    bounds: Mapping[int, tuple[int, int]]
    unit: int


def _box(domain: Domain, leaf: LeafState) -> tuple[list[int], list[int], int]:
    """The box of a leaf in terms of the input: low, high and their denominator."""
    ends = list(zip(domain.lower, domain.upper, leaf.low, leaf.high, strict=True))
    low = [lower + (upper - lower) * Fraction(own, FULL) for lower, upper, own, _ in ends]
    high = [lower + (upper - lower) * Fraction(own, FULL) for lower, upper, _, own in ends]
    common = math.lcm(*(end.denominator for end in (*low, *high)))
    return [int(end * common) for end in low], [int(end * common) for end in high], common


@dataclass(frozen=True)
class Subject:
    """The exact networks of a tree as one network, whose layers with the neurons of its goals come last, and the tree's domain.

    `sides` holds the symbols of each layer's neurons: of one network, or of N and of N'. A neuron has its bounds by `reads`, as
    a sum of those of neurons of the chain form, whose layers begin with the symbols `starts`; or it is a neuron there
    with the same symbol.
    """

    network: Network
    domain: Domain
    sides: tuple[tuple[range, ...], ...]
    starts: tuple[int, ...]
    reads: Mapping[int, Form]

    def symbol(self, name: Sequence[int]) -> int | None:
        """The neuron [layer, neuron], or [side, layer, neuron] of two networks; None where there is none."""
        side, layer, neuron = name if len(self.sides) > 1 else (0, *name)
        layers = self.sides[side] if side < len(self.sides) else ()
        return layers[layer - 1][neuron] if layer <= len(layers) and neuron < len(layers[layer - 1]) else None

    def rows(self, goal: Goal) -> list[Row]:
        """What would have to hold for the goal to fail."""
        layer = self.network.layers[goal.layer - 1]
        return [
            Row(layer.denominator, {s: sign * c for s, c in layer.rows[i].items()}, threshold == 0)
            for (i, sign), threshold in zip(goal.targets, goal.thresholds, strict=True)
        ]

    @cached_property
    def _scale(self) -> int:
        return math.lcm(*(form[0] for form in self.reads.values()))

    def _places(self, symbol: int, layer: int) -> list[Place]:
        """Where a neuron's bounds come from, with weights over `_scale`."""
        if symbol not in self.reads:
            return [(layer - 1, symbol - self.starts[layer], self._scale)]
        denominator, terms = self.reads[symbol]
        return [(layer - 1, own - self.starts[layer], c * (self._scale // denominator)) for own, c in terms.items()]

    @cached_property
    def _neurons(self) -> list[list[tuple[int, list[Place]]]]:
        """The neurons of each layer that the chain form has bounds of, with the places of these."""
        starts = self.network.starts
        spans = [(k, range(starts[k], starts[k] + self.network.size(k))) for k in range(1, len(self.starts))]
        return [[(symbol, self._places(symbol, k)) for symbol in span] for k, span in spans]

    def region(self, leaf: LeafState) -> Region:
        """A leaf in exact integers, with the bounds of all neurons that it has some for."""
        sides = [[[mantissa(bound) for bound in layer] for layer in side] for side in (leaf.lower, leaf.upper)]
        finer = max((-exponent for side in sides for layer in side for _, exponent in layer), default=0)
        lower, upper = ([[m << finer + x for m, x in layer] for layer in side] for side in sides)

        def total(side: list[list[int]], places: list[Place]) -> int:
            return sum(side[k][i] * weight for k, i, weight in places)

        neurons = [own for layer in self._neurons[: len(lower)] for own in layer]
        bounds = {symbol: (total(lower, places), total(upper, places)) for symbol, places in neurons}
        return Region(*_box(self.domain, leaf), bounds, self._scale << finer)


def about_one(network: Network, domain: Domain) -> Subject:
    """A network whose goals are about its own layers, or about a row layer that has been added to it."""
    layers = range(1, len(network.layers) + 1)
    side = tuple(range(network.starts[k], network.starts[k] + network.size(k)) for k in layers)
    return Subject(network, domain, (side,), network.starts, {})


def side_by_side(original: Network, reduced: Network, plan: Plan) -> tuple[Joined, tuple[tuple[range, ...], ...]]:
    """N and N' as one network that has a layer for each level; the symbols of each one's neurons, by its layers."""
    layer_at = {level: layer for layer, level in enumerate(plan.levels, 1)}
    known: list[dict[int, int]] = [{s: s for s in range(1 + original.input_size)} for _ in range(2)]
    sides: tuple[list[range], list[range]] = ([], [])
    starts, following = [1], 1 + original.input_size
    layers: list[Affine] = []
    for level in range(1, len(plan.shifts) + 1):
        starts.append(following)
        forms: list[Form] = []
        for side, network, layer in ((0, original, level), (1, reduced, layer_at.get(level, len(reduced.layers) + 1))):
            if layer > len(network.layers):
                continue
            affine, first = network.layers[layer - 1], starts[-1] + len(forms)
            forms += [(affine.denominator, {known[side][s]: c for s, c in row.items()}) for row in affine.rows]
            sides[side].append(range(first, first + len(affine.rows)))
            known[side] |= {network.starts[layer] + i: first + i for i in range(len(affine.rows))}
        layers.append(over_one_denominator(forms))
        following += len(forms)
    network = Network(original.input_size, tuple(starts), tuple(layers), Affine(1, []))
    forms_of = [{s: (1, {own: 1}) for s, own in side.items()} for side in known]
    return Joined(network, (), forms_of[0], forms_of[1]), (tuple(sides[0]), tuple(sides[1]))
