"""Redundancy claims by their definition: a network with neurons replaced, evaluated, and put to an exact solver with all of them.

Shares nothing with the engine: nothing is folded; a replaced neuron is an affine form of its z, the others are ReLUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.network import Affine, Network
from secateur.reduction.linearise import Line
from secateur.reduction.redundancy_claim import RedundancyClaim
from secateur.specification import Domain
from secateur_encodings import Encoding, Interval, LinearForm, Problem, Relu, Row, Sat, Unsat, solve
from tests.secateur_encodings.support import range_of

__all__ = ["exact_answer", "replaced_values"]

ZERO = Fraction(0)
Lines = Mapping[int, Line]


def replaced_values(
    network: Network, layer: int, lines: Lines, point: Sequence[Fraction]
) -> tuple[list[list[Fraction]], list[Fraction]]:
    """The outputs r of all layers, those of replaced neurons being their lines', and the outputs."""
    values: list[Sequence[Fraction]] = [point]
    for k, affine in enumerate(network.layers, start=1):
        replaced = lines if k == layer else {}
        z = affine.apply_exact(values)
        values.append([replaced[i].slope * v + replaced[i].constant if i in replaced else max(ZERO, v) for i, v in enumerate(z)])
    return [list(v) for v in values[1:]], network.output.apply_exact(values)


@dataclass(eq=False)
class _Encoder:
    """Variables are the inputs, then the outputs of the ReLUs in order."""

    domain: Domain

    def __post_init__(self) -> None:
        self.ranges = [Interval(a, b) for a, b in zip(self.domain.lower, self.domain.upper, strict=True)]
        self.inputs = list(self.ranges)
        self.relus: list[Relu] = []

    def run(self, network: Network, layer: int, lines: Lines) -> tuple[list[list[LinearForm]], list[list[LinearForm]]]:
        """Forms of z by layer and the outputs last, and of r by source."""
        values = [[LinearForm.of({i: Fraction(1)}) for i in range(len(self.inputs))]]
        pre = []
        for k, affine in enumerate((*network.layers, network.output), start=1):
            pre.append(_forms(affine, values))
            replaced = lines if k == layer else {}
            values.append([_line(z, replaced[i]) if i in replaced else self._relu(z) for i, z in enumerate(pre[-1])])
        return pre, values[1:-1]

    def _relu(self, z: LinearForm) -> LinearForm:
        bounds = range_of(z, self.ranges)
        self.relus.append(Relu(z, bounds.lower, bounds.upper))
        self.ranges.append(Interval(max(ZERO, bounds.lower), max(ZERO, bounds.upper)))
        return LinearForm.of({len(self.ranges) - 1: Fraction(1)})

    def satisfiable(self, rows: Sequence[Row]) -> bool | None:
        problem = Problem(tuple(self.inputs), tuple(self.relus), tuple(rows))
        match solve(problem, "z3", encoding=Encoding.CASE_SPLIT, limit=10.0):
            case Sat():
                return True
            case Unsat():
                return False
        return None


def exact_answer(network: Network, domain: Domain, claim: RedundancyClaim, lines: Lines) -> bool | None:
    """Whether the claim is true, the neurons being replaced by these lines; None where the solver gives up."""
    encoder = _Encoder(domain)
    pre, values = encoder.run(network, claim.layer, {})
    if claim.kind == "phase":
        z = [pre[claim.layer - 1][i] for i in claim.neurons]
        signs = [[encoder.satisfiable([_below(_scaled(form, -s), ZERO, True)]) for s in (1, -1)] for form in z]
        if any(all(found) for found in signs):
            return False
        return None if any(None in found for found in signs) else True
    second_pre, second = encoder.run(network, claim.layer, lines)
    watched = claim.watched_layer(network)
    pairs = (pre[-1], second_pre[-1]) if watched is None else (values[watched - 1], second[watched - 1])
    answers = [encoder.satisfiable(rows) for rows in _violations(claim, *pairs)]
    return False if True in answers else None if None in answers else True


def _violations(claim: RedundancyClaim, ours: list[LinearForm], theirs: list[LinearForm]) -> Iterator[list[Row]]:
    if claim.kind != "result":
        for one, other in zip(ours, theirs, strict=True):
            for a, b in ((one, other), (other, one)):
                yield [_below(_sum(b, _scaled(a, -1)), -(claim.tolerance or ZERO), True)]
        return
    sign = 1 if claim.decision in {None, "argmax"} else -1
    for i, winner in enumerate(ours):
        rest = [k for k in range(len(ours)) if k != i]
        wins = [_below(_scaled(_sum(ours[k], _scaled(winner, -1)), sign), -(claim.margin or ZERO), True) for k in rest]
        for k in rest:
            yield [*wins, _below(_scaled(_sum(theirs[i], _scaled(theirs[k], -1)), sign), ZERO, False)]


def _below(form: LinearForm, bound: Fraction, strict: bool) -> Row:
    return Row(LinearForm.of(dict(form.terms)), bound - form.constant, strict)


def _scaled(form: LinearForm, factor: Fraction | int) -> LinearForm:
    return LinearForm.of({v: c * factor for v, c in form.terms}, form.constant * factor)


def _sum(*forms: LinearForm) -> LinearForm:
    terms: dict[int, Fraction] = {}
    for form in forms:
        for v, c in form.terms:
            terms[v] = terms.get(v, ZERO) + c
    return LinearForm.of(terms, sum((form.constant for form in forms), ZERO))


def _line(z: LinearForm, line: Line) -> LinearForm:
    return _sum(_scaled(z, line.slope), LinearForm.of({}, line.constant))


def _forms(affine: Affine, values: Sequence[Sequence[LinearForm]]) -> list[LinearForm]:
    parts: list[list[LinearForm]] = [[LinearForm.of({}, b)] for b in affine.rational_bias()]
    for term in affine.terms:
        for i, row in enumerate(term.map.dense().rationals()):
            parts[i] += [_scaled(values[term.source][j], weight) for j, weight in enumerate(row) if weight]
    return [_sum(*forms) for forms in parts]
