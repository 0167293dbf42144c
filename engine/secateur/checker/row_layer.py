"""The rows of a query's disjuncts as one more ReLU layer, and each disjunct as a goal about it (section 8 of the format)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.checker.lowering import Affine, Network
from secateur.checker.query import Disjunct, QueryRow
from secateur.checker.tensors import Expression, linear_combination

__all__ = ["RowGoal", "goals", "over_one_denominator", "row_magnitudes", "with_exact_rows", "with_layer", "with_row_layer"]


@dataclass(frozen=True)
class RowGoal:
    """Not all rows of a disjunct hold: neurons of the row layer, as many as `strict` is long, from `first` on.

    `strict` tells of each row whether it holds only where its value is negative.
    """

    name: str
    layer: int
    first: int
    strict: tuple[bool, ...]
    kind: str = "disjunct"

    @property
    def targets(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.first + i, 1) for i in range(len(self.strict)))

    @property
    def thresholds(self) -> tuple[int, ...]:
        """A row that must be negative cannot be 0; any other can, but not more."""
        return tuple(0 if strict else 1 for strict in self.strict)

    def __str__(self) -> str:
        return self.name


def goals(disjuncts: Sequence[Disjunct], layer: int, number: int) -> list[RowGoal]:
    """The goals of consecutive disjuncts, the first of which has this number, about rows in row layer `layer`."""
    found, first = [], 0
    for place, disjunct in enumerate(disjuncts):
        strict = tuple(row.strict for row in disjunct.rows)
        found.append(RowGoal(str(number + place), layer, first, strict))
        first += len(strict)
    return found


def _scale(row: QueryRow) -> Fraction:
    """A power of two that brings the largest coefficient near 1."""
    largest = max(abs(a) for _, a in (*row.inputs, *row.outputs))
    shift = largest.numerator.bit_length() - largest.denominator.bit_length()
    return Fraction(1, 1 << shift) if shift >= 0 else Fraction(1 << -shift)


def _row_value(row: QueryRow, scale: Fraction, output: Affine) -> tuple[int, Expression]:
    """scale (a . v - b) as (denominator, expression in the network's symbols)."""
    inputs, outputs = ([(i, a * scale) for i, a in own] for own in (row.inputs, row.outputs))
    bound = row.bound * scale
    common = math.lcm(bound.denominator, *(a.denominator for _, a in (*inputs, *outputs)))
    own = {0: -int(bound * common * output.denominator)}
    own |= {1 + i: int(a * common * output.denominator) for i, a in inputs}
    pairs = [(int(a * common), output.rows[j]) for j, a in outputs]
    return common * output.denominator, linear_combination([(1, own), *pairs])


def with_layer(network: Network, values: Sequence[tuple[int, Expression]]) -> Network:
    """The network with values (denominator, expression in its symbols) as the pre-activations of one more layer."""
    start = network.starts[-1] + network.size(len(network.layers))
    layer = over_one_denominator(values)
    return Network(network.input_size, (*network.starts, start), (*network.layers, layer), network.output)


def over_one_denominator(values: Sequence[tuple[int, Expression]]) -> Affine:
    """Values (denominator, expression) as rows of one affine function."""
    common = math.lcm(*(denominator for denominator, _ in values))
    return Affine(common, [{s: c * (common // own) for s, c in expression.items()} for own, expression in values])


def with_row_layer(network: Network, rows: Sequence[QueryRow]) -> Network:
    """The network with the row values as the pre-activations of one more layer, which nobody reads."""
    return with_layer(network, [_row_value(row, _scale(row), network.output) for row in rows])


def with_exact_rows(network: Network, rows: Sequence[QueryRow]) -> Network:
    """As `with_row_layer`, but the row values are not scaled (section 13)."""
    return with_layer(network, [_row_value(row, Fraction(1), network.output) for row in rows])


def row_magnitudes(rows: Sequence[QueryRow], output: Affine) -> Affine:
    """M of the row values, from that of the outputs: inputs and bounds are exact (section 11)."""
    sizes = [QueryRow((), tuple((j, abs(a)) for j, a in row.outputs), Fraction(0), row.strict) for row in rows]
    return over_one_denominator([_row_value(own, _scale(row), output) for own, row in zip(sizes, rows, strict=True)])
