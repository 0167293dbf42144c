"""The rows of a query's disjuncts as one more ReLU layer, and each disjunct as a goal about it (section 8 of the format)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from secateur.checker.lowering import Affine, Network
from secateur.checker.query import Disjunct, QueryRow
from secateur.checker.tensors import Expression, linear_combination

__all__ = ["RowGoal", "goals", "with_row_layer"]


@dataclass(frozen=True)
class RowGoal:
    """Disjunct `number` of the query: not all of its rows, `count` neurons of the row layer from `first`, hold."""

    number: int
    layer: int
    first: int
    count: int
    strict: bool

    @property
    def targets(self) -> tuple[tuple[int, int], ...]:
        return tuple((i, 1) for i in range(self.first, self.first + self.count))

    @property
    def threshold(self) -> int:
        """Rows that must be negative cannot add up to 0; others can, but not to more."""
        return 0 if self.strict else 1

    @property
    def kind(self) -> Literal["disjunct"]:
        return "disjunct"

    def __str__(self) -> str:
        return str(self.number)


def goals(disjuncts: Sequence[Disjunct], layer: int, number: int) -> list[RowGoal]:
    """The goals of consecutive disjuncts, the first of which has this number, about rows in row layer `layer`."""
    found, first = [], 0
    for place, disjunct in enumerate(disjuncts):
        strict = all(row.strict for row in disjunct.rows)
        found.append(RowGoal(number + place, layer, first, len(disjunct.rows), strict))
        first += len(disjunct.rows)
    return found


def _scale(row: QueryRow) -> Fraction:
    """A power of two that brings the largest coefficient near 1."""
    largest = max(abs(a) for _, a in (*row.inputs, *row.outputs))
    shift = largest.numerator.bit_length() - largest.denominator.bit_length()
    return Fraction(1, 1 << shift) if shift >= 0 else Fraction(1 << -shift)


def _row_value(row: QueryRow, output: Affine) -> tuple[int, Expression]:
    """scale (a . v - b) as (denominator, expression in the network's symbols)."""
    scale = _scale(row)
    inputs, outputs = ([(i, a * scale) for i, a in own] for own in (row.inputs, row.outputs))
    bound = row.bound * scale
    common = math.lcm(bound.denominator, *(a.denominator for _, a in (*inputs, *outputs)))
    own = {0: -int(bound * common * output.denominator)}
    own |= {1 + i: int(a * common * output.denominator) for i, a in inputs}
    pairs = [(int(a * common), output.rows[j]) for j, a in outputs]
    return common * output.denominator, linear_combination([(1, own), *pairs])


def with_row_layer(network: Network, rows: Sequence[QueryRow]) -> Network:
    """The network with the row values as the pre-activations of one more layer, which nobody reads."""
    values = [_row_value(row, network.output) for row in rows]
    common = math.lcm(*(denominator for denominator, _ in values))
    layer = Affine(common, [{s: c * (common // own) for s, c in expression.items()} for own, expression in values])
    start = network.starts[-1] + network.size(len(network.layers))
    return Network(network.input_size, (*network.starts, start), (*network.layers, layer), network.output)
