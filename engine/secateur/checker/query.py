"""The query file: which points satisfy a VNN-LIB query, and the polytopes that make it up.

The assertions become one tree of conjunctions: the rows of a conjunction itself, and its disjunctions, each a choice
among further conjunctions. The disjuncts of the query are the choices in lexicographic order (FORMAT.md, section 8).
Nothing here calls itself, so depth is bounded by the file only; disjuncts are made one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from secateur.checker.query_syntax import Compound, Formula, QueryRow, read_syntax
from secateur.checker.query_tokens import Tokens, query_text
from secateur.checker.refusal import Refusal

__all__ = ["Disjunct", "Query", "QueryRow", "read_query"]


@dataclass(frozen=True, slots=True)
class Disjunct:
    """The box lower_i <= x_i <= upper_i, and the rows that hold besides (all but the non-strict ones over one single input)."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    rows: tuple[QueryRow, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Conjunction:
    """Rows and disjunctions that hold together, each kind in the order of the file."""

    rows: list[QueryRow] = field(default_factory=list)
    choices: list[list[_Conjunction]] = field(default_factory=list)


def _signed_parts(compound: Compound, positive: bool) -> tuple[bool, list[tuple[Formula, bool]]]:
    """The parts of a compound or of its negation, each with its own sign, and whether they hold together (or in turn)."""
    if compound.operator in {"and", "or"}:
        return (compound.operator == "and") == positive, [(part, positive) for part in compound.parts]
    if compound.operator == "not":
        return True, [(compound.parts[0], not positive)]
    *premises, conclusion = compound.parts  # a => b is (or (not a) b); a => b => c is a => (b => c)
    return not positive, [*((part, not positive) for part in premises), (conclusion, positive)]


def _conjunction(assertions: Iterable[Formula]) -> _Conjunction:
    """The tree of the assertions: negations resolved, conjunctions in conjunctions and single choices dissolved in place."""
    root = _Conjunction()
    agenda = [(formula, True, root) for formula in reversed(tuple(assertions))]
    while agenda:
        formula, positive, target = agenda.pop()
        if isinstance(formula, QueryRow):
            target.rows.append(formula if positive else formula.negation())
            continue
        together, parts = _signed_parts(formula, positive)
        if together or len(parts) == 1:
            agenda.extend((part, sign, target) for part, sign in reversed(parts))
        else:
            choice = [_Conjunction() for _ in parts]
            target.choices.append(choice)
            agenda.extend((part, sign, child) for (part, sign), child in zip(parts, choice, strict=True))
    return root


class _Region:
    """Bounds and rows gathered along the choices made so far; what the last ones added can be taken back."""

    def __init__(self, input_size: int) -> None:
        self._lower: list[Fraction | None] = [None] * input_size
        self._upper: list[Fraction | None] = [None] * input_size
        self._changes: list[tuple[list[Fraction | None], int, Fraction | None]] = []
        self._rows: list[QueryRow] = []

    def mark(self) -> tuple[int, int]:
        return len(self._changes), len(self._rows)

    def return_to(self, mark: tuple[int, int]) -> None:
        changes, rows = mark
        while len(self._changes) > changes:
            side, i, value = self._changes.pop()
            side[i] = value
        del self._rows[rows:]

    def add(self, rows: Iterable[QueryRow]) -> bool:
        """Whether some point may be left: no row without coefficients is false, and no bounds contradict each other."""
        for row in rows:
            if row.outputs or len(row.inputs) > 1:
                self._rows.append(row)
            elif not row.inputs:
                if row.bound < 0 or (row.strict and row.bound == 0):
                    return False
            else:
                if row.strict:
                    self._rows.append(row)
                if not self._tighten(*row.inputs[0], row.bound):
                    return False
        return True

    def _tighten(self, i: int, coefficient: Fraction, bound: Fraction) -> bool:
        """Add coefficient * x_i <= bound; whether x_i has values left."""
        value = bound / coefficient
        side, sign = (self._upper, 1) if coefficient > 0 else (self._lower, -1)
        old = side[i]
        if old is None or sign * value < sign * old:
            self._changes.append((side, i, old))
            side[i] = value
        low, high = self._lower[i], self._upper[i]
        return low is None or high is None or low <= high

    def disjunct(self, number: int) -> Disjunct:
        sides = []
        for side, name in ((self._lower, "lower"), (self._upper, "upper")):
            bounds = tuple(bound for bound in side if bound is not None)
            if len(bounds) < len(side):
                missing = next(i for i, bound in enumerate(side) if bound is None)
                raise Refusal("query", f"disjunct {number}", f"input {missing} has no {name} bound")
            sides.append(bounds)
        return Disjunct(sides[0], sides[1], tuple(self._rows))


_Pending = tuple[list[_Conjunction], "_Pending"] | None  # disjunctions to choose from, the next one first


class Query:
    """A query about one network with `input_size` inputs and `output_size` outputs."""

    def __init__(self, input_size: int, output_size: int, assertions: Iterable[Formula]) -> None:
        self.input_size, self.output_size = input_size, output_size
        self._root = _conjunction(assertions)

    def disjuncts(self) -> Iterator[Disjunct]:
        """The disjuncts in order, contradictory ones left out; Refusal at one whose box has an open side."""
        region = _Region(self.input_size)
        agenda: list[tuple[_Conjunction, _Pending, tuple[int, int]]] = [(self._root, None, region.mark())]
        number = 0
        while agenda:
            chosen, pending, mark = agenda.pop()
            region.return_to(mark)
            if not region.add(chosen.rows):
                continue  # whatever is chosen further, the contradiction stays
            for choice in reversed(chosen.choices):
                pending = (choice, pending)
            if pending is None:
                yield region.disjunct(number)
                number += 1
            else:
                choice, rest = pending
                agenda.extend((child, rest, region.mark()) for child in reversed(choice))

    def holds_at(self, inputs: Sequence[Fraction], outputs: Sequence[Fraction]) -> bool:
        """Whether every assertion is true at a point."""
        for values, size, what in ((inputs, self.input_size, "inputs"), (outputs, self.output_size, "outputs")):
            if len(values) != size:
                raise Refusal("query", "point", f"{len(values)} {what}, but the query has {size}")
        found = [self._root]
        for conjunction in found:  # grows: every conjunction stands before those it chooses from
            for choice in conjunction.choices:
                found.extend(choice)
        true: set[int] = set()
        for conjunction in reversed(found):
            if all(_row_holds(row, inputs, outputs) for row in conjunction.rows) and all(
                any(id(child) in true for child in choice) for choice in conjunction.choices
            ):
                true.add(id(conjunction))
        return id(self._root) in true


def _row_holds(row: QueryRow, inputs: Sequence[Fraction], outputs: Sequence[Fraction]) -> bool:
    value = sum((a * inputs[i] for i, a in row.inputs), Fraction(0)) + sum((a * outputs[j] for j, a in row.outputs), Fraction(0))
    return value < row.bound if row.strict else value <= row.bound


def read_query(data: bytes) -> Query:
    """The query of a VNN-LIB file (1.0 or 2.0, plain or gzipped); Refusal for anything that is not understood."""
    syntax = read_syntax(Tokens(query_text(data)))
    return Query(syntax.input_size, syntax.output_size, syntax.assertions)
