"""The two rules that refute a goal on the box of a leaf (section 13 of the format), in exact integers.

A clause says that one of its literals is true wherever all rows of the goal hold on the box. `lemma_holds` shows a clause by
multipliers, `Clauses.imply` by unit propagation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from secateur.checker.joined import weighted_sum
from secateur.checker.lowering import Network
from secateur.checker.subject import Region, Row
from secateur.checker.tensors import Expression

__all__ = ["Clauses", "least_gap", "least_value", "lemma_holds"]

Bounds = Mapping[int, tuple[int, int]]


def least_gap(a: int, mu: int, low: int, high: int) -> int:
    """The least value of a max(0, z) - mu z for low <= z <= high."""
    ends = min(a * max(0, low) - mu * low, a * max(0, high) - mu * high)
    return min(0, ends) if low < 0 < high else ends


def least_value(
    network: Network, layers: int, form: tuple[int, Expression], multipliers: Mapping[int, int], region: Region, bounds: Bounds
) -> int:
    """A number with the sign of a lower bound of a form on a region, whose neurons are of the first so many layers.

    Wherever a neuron v has the coefficient A, A r_v is replaced by mu z_v and the least of what that leaves; mu is v's
    multiplier, if it has one. `bounds` are those of all neurons, over the region's unit.
    """
    denominator, terms = form
    terms, constant = dict(terms), 0  # over `denominator`, and over `denominator` and the unit
    for layer in range(layers, 0, -1):
        affine, passed = network.layers[layer - 1], []
        for symbol, row in enumerate(affine.rows, network.starts[layer]):
            a = terms.pop(symbol, 0)
            low, high = bounds[symbol]
            mu = multipliers[symbol] * denominator if symbol in multipliers else a if low >= 0 else 0
            if a or mu:
                constant += least_gap(a, mu, low, high)
            if mu:
                passed.append((mu, row))
        if passed:
            terms = {symbol: c * affine.denominator for symbol, c in terms.items()}
            for mu, row in passed:
                for symbol, c in row.items():
                    terms[symbol] = terms.get(symbol, 0) + mu * c
            denominator, constant = denominator * affine.denominator, constant * affine.denominator
    value = terms.pop(0, 0) * region.denominator
    value += sum(c * (region.low if c > 0 else region.high)[symbol - 1] for symbol, c in terms.items())
    return value * region.unit + constant * region.denominator


def _supposed(phases: Mapping[int, bool], bounds: Bounds) -> dict[int, tuple[int, int]]:
    """The bounds of neurons that are supposed to be active (True) or inactive."""
    return {
        symbol: (max(bounds[symbol][0], 0), bounds[symbol][1]) if active else (bounds[symbol][0], min(bounds[symbol][1], 0))
        for symbol, active in phases.items()
    }


def lemma_holds(
    network: Network,
    region: Region,
    rows: Sequence[Row],
    phases: Mapping[int, bool],
    weights: Sequence[int],
    multipliers: Mapping[int, int],
) -> bool:
    """Whether the rows cannot all hold where the neurons are in these phases, as weights >= 0 and multipliers show.

    Neurons are symbols of the network; all that can matter have bounds in the region.
    """
    supposed = _supposed(phases, region.bounds)
    if any(low > high for low, high in supposed.values()):
        return True
    form = weighted_sum((Fraction(weight), (row.denominator, row.expression)) for weight, row in zip(weights, rows, strict=True))
    bounds = {**region.bounds, **supposed}
    layers = network.source(max(bounds)) if bounds else 0
    least = least_value(network, layers, form, multipliers, region, bounds)
    strict = any(weight > 0 and row.strict for weight, row in zip(weights, rows, strict=True))
    return least > 0 or (least == 0 and strict)


class Clauses:
    """Clauses that hold; a literal is a number other than 0, and its negative the opposite."""

    def __init__(self) -> None:
        self._clauses: list[tuple[int, ...]] = []
        self._with: dict[int, list[int]] = defaultdict(list)  # the clauses that contain a literal
        self._units: list[int] = []  # literals of the clauses that have one only
        self._contradiction = False

    def add(self, clause: tuple[int, ...]) -> None:
        """One more clause that holds; no literal stands in it twice."""
        for literal in clause:
            self._with[literal].append(len(self._clauses))
        self._clauses.append(clause)
        self._units += clause if len(clause) == 1 else ()
        self._contradiction = self._contradiction or not clause

    def imply(self, clause: tuple[int, ...]) -> bool:
        """Whether a clause follows by unit propagation."""
        waiting = [*clause, *(-literal for literal in self._units)]  # to become false
        false: set[int] = set()
        left: dict[int, int] = {}  # how many literals of a clause are not false
        while waiting and not self._contradiction:
            literal = waiting.pop()
            if literal in false:
                continue
            false.add(literal)
            for number in self._with.get(literal, ()):
                own = self._clauses[number]
                left[number] = left.get(number, len(own)) - 1
                if left[number] == 0:
                    return True
                if left[number] == 1:
                    waiting += [-other for other in own if other not in false]
        return self._contradiction
