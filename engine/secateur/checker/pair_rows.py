"""Statements about two networks: in words, as goals on the row layer of the joined network, and at a point (section 9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from secateur.checker.joined import Form, Joined, in_terms_of, weighted_sum
from secateur.checker.lowering import Network
from secateur.checker.records import PairClaim
from secateur.checker.refusal import Refusal
from secateur.checker.row_layer import RowGoal

__all__ = ["FLOATS", "REALS", "broken_at", "compared_sizes", "compared_values", "pair_goals", "statement"]

ONE: Form = (1, {0: 1})
Goal = tuple[str, list[tuple[Form, bool]]]  # its name, and its rows, with whether they are strict


REALS, FLOATS = "for all x in D", "for all float32 x in D and every float32 evaluation of N and N'"


def statement(claim: PairClaim, everywhere: str = REALS) -> str:
    """What is claimed, in words; `everywhere` is REALS, or FLOATS for a statement about float32 arithmetic."""
    if claim.rule == "agree":
        relation = "= 0" if claim.bound == 0 else f"<= {claim.bound}"
        if claim.layers is None:
            return f"{everywhere}, max |N(x) - N'(x)| {relation}"
        layers = "r of ReLU layer {} of N and r' of ReLU layer {} of N'".format(*claim.layers)
        return f"{everywhere}, max |r(x) - r'(x)| {relation} for the outputs {layers}"
    greater = "greater" if claim.rule == "argmax" else "less"
    lead = f" by more than {claim.bound}" if claim.bound else ""
    leads = f"{greater} than all others"
    return f"{everywhere}, if an output of N is {leads}{lead}, the same output of N' is {leads}"


def compared_sizes(claim: PairClaim, original: Network, reduced: Network, where: str) -> int:
    """How many values of each network the claim compares; refuses a claim that does not fit the networks."""
    rule = "agree" if claim.rule == "agree" else "decision"
    if claim.layers is not None:
        for layer, network, name in zip(claim.layers, (original, reduced), ("original", "reduced"), strict=True):
            if layer > len(network.layers):
                raise Refusal("header", f"{where}.layer", f"the {name} network has no layer {layer}")
        left, right = original.size(claim.layers[0]), reduced.size(claim.layers[1])
        if left != right:
            raise Refusal(rule, "layer", f"{left} neurons against {right} in the reduced network")
        return left
    left, right = len(original.output.rows), len(reduced.output.rows)
    if left != right:
        raise Refusal(rule, "outputs", f"{left} outputs against {right} in the reduced network")
    if rule == "decision" and left < 2:
        raise Refusal(rule, "outputs", "a decision needs two outputs or more")
    return left


def _compared(network: Network, known: Mapping[int, Form], layer: int | None) -> list[Form]:
    """The outputs of a network, or of one of its layers, as functions of J's values."""
    if layer is None:
        return [in_terms_of(network.output, row, known) for row in network.output.rows]
    return [known[network.starts[layer] + i] for i in range(network.size(layer))]


def _agreement(claim: PairClaim, y: Sequence[Form], other: Sequence[Form]) -> Iterator[Goal]:
    noun = "output" if claim.layers is None else "neuron"
    for i, (a, b) in enumerate(zip(y, other, strict=True)):
        for above, below, names in ((a, b, ("N", "N'")), (b, a, ("N'", "N"))):
            value = weighted_sum([(claim.bound, ONE), (Fraction(-1), above), (Fraction(1), below)])
            yield f"{noun} {i} of {names[0]} exceeds that of {names[1]} by more than {claim.bound}", [(value, True)]


def _decision(claim: PairClaim, y: Sequence[Form], other: Sequence[Form]) -> Iterator[Goal]:
    sign, side = (Fraction(1), "below") if claim.rule == "argmax" else (Fraction(-1), "above")
    for i in range(len(y)):
        rivals = [k for k in range(len(y)) if k != i]
        leads = [(weighted_sum([(claim.bound, ONE), (-sign, y[i]), (sign, y[k])]), True) for k in rivals]
        for j in rivals:
            kept = weighted_sum([(sign, other[i]), (-sign, other[j])])
            change = weighted_sum([(claim.bound, ONE), (-sign, y[i]), (sign, y[j]), (Fraction(1), kept)])  # the others imply it
            yield f"output {i} leads in N, and output {j} is not {side} it in N'", [*leads, (kept, False), (change, True)]


def compared_values(claim: PairClaim, original: Network, reduced: Network, both: Joined) -> dict[int, Form]:
    """What a row of `pair_goals` can contain, as functions of J's values."""
    layers = claim.layers or (None, None)
    y, other = _compared(original, both.original, layers[0]), _compared(reduced, both.reduced, layers[1])
    return dict(enumerate([ONE, *y, *other]))


def pair_goals(claim: PairClaim, size: int, layer: int) -> tuple[list[Form], list[RowGoal]]:
    """The values of the row layer, number `layer`, and the goals about them: each says that the claim fails in one way.

    The values are functions of what is compared: symbols 1 to `size` are y of N, the next ones y' of N'.
    """
    y, other = ([(1, {1 + first + i: 1}) for i in range(size)] for first in (0, size))
    rows: list[Form] = []
    goals = []
    for name, own in (_agreement if claim.rule == "agree" else _decision)(claim, y, other):
        strict = tuple(row[1] for row in own)
        goals.append(RowGoal(name, layer, len(rows), strict, "case"))
        rows += [row[0] for row in own]
    return rows, goals


def broken_at(claim: PairClaim, y: Sequence[Fraction], other: Sequence[Fraction]) -> int | None:
    """The first index where the claim is false for these values of N and N'; None where it holds."""
    if claim.rule == "agree":
        return next((i for i, (a, b) in enumerate(zip(y, other, strict=True)) if abs(a - b) > claim.bound), None)
    sign = 1 if claim.rule == "argmax" else -1
    for i in range(len(y)):
        rivals = [k for k in range(len(y)) if k != i]
        leads = all(sign * (y[i] - y[k]) > claim.bound for k in rivals)
        if leads and not all(sign * (other[i] - other[k]) > 0 for k in rivals):
            return i
    return None
