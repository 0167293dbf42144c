"""Magnitudes of the joined network of two networks that are computed in float32, and of its row layer (section 11)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from secateur.checker.float32 import FloatNetwork
from secateur.checker.joined import Form, Joined, in_terms_of, substituted, weighted_sum
from secateur.checker.lowering import Affine
from secateur.checker.records import PairClaim, Plan
from secateur.checker.row_layer import over_one_denominator
from secateur.checker.slack import Magnitudes
from secateur.checker.two_networks import TwoNetworks

__all__ = ["joined_magnitudes", "row_magnitude"]


class _Levels:
    """M and nu of J, level by level."""

    def __init__(self, floats: tuple[FloatNetwork, FloatNetwork], inputs: TwoNetworks, plan: Plan, both: Joined) -> None:
        self._floats, self._reduced, self._both = floats, inputs.reduced, both
        self._layer_at = {level: layer for layer, level in enumerate(plan.levels, 1)}

    def level(self, level: int) -> tuple[Affine, int]:
        own, other = (floats.hidden for floats in self._floats)
        count, layer = len(self._both.network.layers[level - 1].rows), self._layer_at.get(level)
        rows: list[Form] = [(1, {})] * count
        nu = 0
        if level <= len(own.layers):
            affine, nu = own.layers[level - 1], own.roundings[level - 1]
            rows[: len(affine.rows)] = [in_terms_of(affine, row, self._both.original) for row in affine.rows]
        if layer is not None:
            affine, nu = other.layers[layer - 1], max(nu, other.roundings[layer - 1])
            for j, row in enumerate(affine.rows):
                self._place(rows, level, self._reduced.starts[layer] + j, in_terms_of(affine, row, self._both.reduced))
        return over_one_denominator(rows), nu

    def _place(self, rows: list[Form], level: int, symbol: int, magnitude: Form) -> None:
        """M' of a neuron of N' in the place of its separate or difference neuron: the newest symbol in its output."""
        place = max(self._both.reduced[symbol][1]) - self._both.network.starts[level]
        partner = self._both.differences[level - 1].partners.get(place)
        one = Fraction(1)
        rows[place] = magnitude if partner is None else weighted_sum([(one, magnitude), (one, rows[partner])])


def row_magnitude(value: Form, known: Sequence[Form]) -> Form:
    """sum |a_i| M_i of a row value sum a_i v_i of symbols 1, 2, ...; its constant adds nothing. `known` are M_1, M_2, ..."""
    sizes = {symbol: abs(a) for symbol, a in value[1].items() if symbol}
    return substituted((value[0], sizes), dict(enumerate(known, 1)))


def joined_magnitudes(
    claim: PairClaim, values: Sequence[Form], inputs: TwoNetworks, plan: Plan, both: Joined
) -> Magnitudes | None:
    """M and nu of all levels of J, and of its row layer, whose values are functions of the compared ones (see `pair_goals`)."""
    if inputs.floats is None:
        return None
    own, other = inputs.floats
    levels = _Levels(inputs.floats, inputs, plan, both)
    found = [levels.level(level) for level in range(1, len(both.network.layers) + 1)]
    if claim.layers is None:
        known = [in_terms_of(own.output, row, both.original) for row in own.output.rows]
        known += [in_terms_of(other.output, row, both.reduced) for row in other.output.rows]
        rows = over_one_denominator([row_magnitude(value, known) for value in values])
        found.append((rows, max(own.output_roundings, other.output_roundings)))
    else:  # computed values themselves
        found.append((Affine(1, [{} for _ in values]), 0))
    return Magnitudes(tuple(affine for affine, _ in found), tuple(nu for _, nu in found))
