"""The joined network J of two networks N and N' (section 9 of the format), in exact rationals.

Paired neurons of N' appear in J as their differences from their partners in N. Where both are the same function they are shared,
and J has nothing for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.checker.chain import Differences
from secateur.checker.lowering import Affine, Network
from secateur.checker.records import Plan
from secateur.checker.refusal import Refusal
from secateur.checker.row_layer import over_one_denominator
from secateur.checker.tensors import Expression, linear_combination

__all__ = ["Form", "Joined", "in_terms_of", "joined", "substituted", "weighted_sum"]

Form = tuple[int, Expression]  # denominator, and numerators by symbol
Pair = tuple[int, int, int, int]


@dataclass(frozen=True)
class Joined:
    """J without its row layer; what N and N' compute, as functions of J's values, by the symbols of each."""

    network: Network
    differences: tuple[Differences, ...]
    original: Mapping[int, Form]
    reduced: Mapping[int, Form]


def weighted_sum(terms: Iterable[tuple[Fraction, Form]]) -> Form:
    """sum of weight * form."""
    known = [(weight.numerator, weight.denominator * form[0], form[1]) for weight, form in terms]
    common = math.lcm(*(denominator for _, denominator, _ in known))
    return common, linear_combination((weight * (common // own), expression) for weight, own, expression in known)


def in_terms_of(affine: Affine, row: Expression, known: Mapping[int, Form]) -> Form:
    """A row of a network, with forms in place of the network's own symbols."""
    return substituted((affine.denominator, row), known)


def substituted(form: Form, known: Mapping[int, Form]) -> Form:
    """A form, with forms in place of its symbols."""
    denominator, terms = weighted_sum((Fraction(c), known[symbol]) for symbol, c in form[1].items())
    return denominator * form[0], terms


def _by_position(original: Network, reduced: Network, levels: Sequence[int]) -> Iterable[Pair]:
    for layer, level in enumerate(levels, 1):
        if level <= len(original.layers):
            for i in range(min(original.size(level), reduced.size(layer))):
                yield level, i, layer, i


def _check_pair(pair: Pair, original: Network, reduced: Network, levels: Sequence[int], where: str) -> None:
    for network, (layer, neuron), name in ((original, pair[:2], "original"), (reduced, pair[2:], "reduced")):
        if layer > len(network.layers) or neuron >= network.size(layer):
            raise Refusal("header", where, f"the {name} network has no neuron {neuron} of layer {layer}")
    if levels[pair[2] - 1] != pair[0]:
        reason = f"layer {pair[2]} of the reduced network is at level {levels[pair[2] - 1]}, not {pair[0]}"
        raise Refusal("header", where, reason)


def _partners(original: Network, reduced: Network, plan: Plan) -> list[dict[int, int]]:
    """For each layer of N' the partners of its neurons, after all of the plan has been compared with the networks."""
    if len(plan.levels) != len(reduced.layers):
        reason = f"{len(plan.levels)} levels for {len(reduced.layers)} layers of the reduced network"
        raise Refusal("header", "levels", reason)
    highest = max((len(original.layers), *plan.levels))
    if len(plan.shifts) != highest:
        raise Refusal("header", "shifts", f"{len(plan.shifts)} shifts for {highest} levels")
    found: list[dict[int, int]] = [{} for _ in reduced.layers]
    given = plan.pairs if plan.pairs != "position" else _by_position(original, reduced, plan.levels)
    for number, pair in enumerate(given):
        _check_pair(pair, original, reduced, plan.levels, f"pairs[{number}]")
        found[pair[2] - 1][pair[3]] = pair[1]
    return found


class _Joiner:
    """Builds J level by level."""

    def __init__(self, original: Network, reduced: Network, plan: Plan, sharing: bool) -> None:
        self.original, self.reduced, self.plan, self.sharing = original, reduced, plan, sharing
        self.partners = _partners(original, reduced, plan)
        self.layer_at = {level: layer for layer, level in enumerate(plan.levels, 1)}
        outside: dict[int, Form] = {s: (1, {s: 1}) for s in range(1 + original.input_size)}
        self.known = dict(outside), dict(outside)  # of N and of N'
        self.starts = [1]
        self.next = 1 + original.input_size
        self.layers: list[Affine] = []
        self.differences: list[Differences] = []

    def run(self) -> Joined:
        for level in range(1, len(self.plan.shifts) + 1):
            self._level(level)
        network = Network(self.original.input_size, tuple(self.starts), tuple(self.layers), Affine(1, []))
        return Joined(network, tuple(self.differences), *self.known)

    def _fresh(self) -> Form:
        self.next += 1
        return 1, {self.next - 1: 1}

    def _level(self, level: int) -> None:
        self.starts.append(self.next)
        own = self._pre_activations(self.original, level, self.known[0])
        for i in range(len(own)):
            self.known[0][self.original.starts[level] + i] = self._fresh()
        layer = self.layer_at.get(level, 0)
        other = self._pre_activations(self.reduced, layer, self.known[1]) if layer else []
        partners = self.partners[layer - 1] if layer else {}
        separate = [j for j in range(len(other)) if j not in partners]
        for j in separate:
            self.known[1][self.reduced.starts[layer] + j] = self._fresh()
        forms, places = own + [other[j] for j in separate], {}
        for j, p in sorted(partners.items()):
            form = self._paired(level, layer, j, weighted_sum([(Fraction(1), other[j]), (Fraction(-1), own[p])]))
            if form is not None:
                places[len(forms)] = p
                forms.append(form)
        self.layers.append(over_one_denominator(forms))
        self.differences.append(Differences(places, self.plan.shifts[level - 1]))

    def _pre_activations(self, network: Network, layer: int, known: Mapping[int, Form]) -> list[Form]:
        if layer > len(network.layers):
            return []
        affine = network.layers[layer - 1]
        return [in_terms_of(affine, row, known) for row in affine.rows]

    def _paired(self, level: int, layer: int, j: int, distance: Form) -> Form | None:
        """The pre-activation of neuron j's difference neuron, `distance` being z' - z_p; None where it is shared."""
        partner = self.known[0][self.original.starts[level] + self.partners[layer - 1][j]]
        scale = Fraction(1 << self.plan.shifts[level - 1])
        shared = self.sharing and not distance[1]
        output = partner if shared else weighted_sum([(Fraction(1), partner), (1 / scale, self._fresh())])
        self.known[1][self.reduced.starts[layer] + j] = output
        return None if shared else weighted_sum([(scale, distance)])


def joined(original: Network, reduced: Network, plan: Plan, sharing: bool = True) -> Joined:
    """J; refuses a plan that does not fit the networks, which have as many inputs.

    Without `sharing` every paired neuron has a difference neuron: the same function may be computed in two ways (section 11).
    """
    return _Joiner(original, reduced, plan, sharing).run()
