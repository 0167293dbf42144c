"""Formulas over linear atoms with exact rational coefficients, and the polytopes they are unions of.

A formula is in negation normal form: `And`, `Or` and rows `a . v <= b` (or `<`). An equality is two rows, an
inequality `!=` a disjunction of two strict ones. Files nest as deep as they like, so nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple, TypeAlias, TypeVar

__all__ = [
    "And",
    "Coefficients",
    "Formula",
    "Kind",
    "Or",
    "Polytope",
    "Row",
    "Valuation",
    "Variable",
    "fold",
    "holds",
]

T = TypeVar("T")


class Kind(IntEnum):
    """What a variable stands for; the order is that of the data's way through a network."""

    INPUT = 0
    HIDDEN = 1
    OUTPUT = 2


class Variable(NamedTuple):
    """One scalar: number `position` of its kind, counted over all tensors in order of declaration."""

    kind: Kind
    position: int


Coefficients: TypeAlias = tuple[tuple[Variable, Fraction], ...]
Valuation: TypeAlias = Sequence[Sequence[Fraction]]
"""Exact values of all variables, by kind and position: (inputs, hidden, outputs)."""


class Row(NamedTuple):
    """The condition sum of coefficient * variable <= bound, or < bound where `strict`.

    Coefficients are sorted by variable and never zero. No coefficients: a constant condition, 0 <= bound. A
    named tuple because a query may have millions.
    """

    coefficients: Coefficients
    bound: Fraction
    strict: bool

    def holds(self, values: Valuation) -> bool:
        """Whether the condition is true at exact values."""
        zero = Fraction(0)
        total = sum((c * values[v.kind][v.position] for v, c in self.coefficients), zero)
        return total < self.bound or (not self.strict and total == self.bound)

    def negated(self) -> Row:
        """The opposite condition: -a . v < -b, or <= where this one is strict."""
        return Row(tuple((v, -c) for v, c in self.coefficients), -self.bound, not self.strict)


@dataclass(frozen=True, slots=True)
class And:
    """True where all children are."""

    children: Sequence[Formula]


@dataclass(frozen=True, slots=True)
class Or:
    """True where some child is."""

    children: Sequence[Formula]


Formula: TypeAlias = Row | And | Or


@dataclass(frozen=True, slots=True)
class Polytope:
    """A convex set of (inputs, hidden, outputs): a closed box over the inputs, cut by rows.

    `lower` and `upper` have one entry per input of the query, None where it is unbounded. Strict bounds of a
    single input appear in the box, closed, and again as a strict row, so that box and rows together are
    exact.
    """

    lower: tuple[Fraction | None, ...]
    upper: tuple[Fraction | None, ...]
    rows: tuple[Row, ...]

    def contains(self, inputs: Sequence[Fraction], outputs: Sequence[Fraction], hidden: Sequence[Fraction] = ()) -> bool:
        """Whether the exact point lies in the polytope."""
        bounds = zip(self.lower, inputs, self.upper, strict=True)
        inside = all((low is None or low <= x) and (high is None or x <= high) for low, x, high in bounds)
        return inside and all(row.holds((inputs, hidden, outputs)) for row in self.rows)


def holds(formula: Formula, values: Valuation) -> bool:
    """Whether a formula is true at exact values; stops at the first child that decides."""
    open_nodes: list[tuple[bool, Iterator[Formula]]] = []
    while True:
        if isinstance(formula, Row):
            result = formula.holds(values)
        else:
            result = isinstance(formula, And)  # what the node is as long as no child decides it
            open_nodes.append((result, iter(formula.children)))
        while open_nodes:
            undecided, children = open_nodes[-1]
            child = next(children, None) if result is undecided else None
            if child is not None:
                formula = child
                break
            open_nodes.pop()
        else:
            return result


def fold(formula: Formula, leaf: Callable[[Row], T], join: Callable[[And | Or, list[T]], T]) -> T:
    """Rebuild bottom-up: `leaf` of every row, `join` of every node and its children's results."""
    done: list[T] = []
    open_nodes: list[tuple[And | Or, Iterator[Formula], list[T]]] = []
    into = done
    node: Formula | None = formula
    while True:
        if isinstance(node, Row):
            into.append(leaf(node))
        elif node is not None:
            open_nodes.append((node, iter(node.children), into))
            into = []
        else:
            closed, _, outer = open_nodes.pop()
            outer.append(join(closed, into))
            into = outer
        if not open_nodes:
            return done[0]
        node = next(open_nodes[-1][1], None)
