"""The disjunctive normal form of a conjunction of formulas, streamed.

Depth-first over the choices of the disjunctions, with one box and one list of rows that grow and shrink: what
all disjuncts share is added once, and a choice that empties the box is left at once with everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Polytope, Row

__all__ = ["Conjunction", "conjunctions"]

_Pending: TypeAlias = "tuple[Or, _Pending] | None"
_Bounds: TypeAlias = list[Fraction | None]


@dataclass(slots=True)
class Conjunction:
    """A box and rows under construction, with the way back.

    `conflict` is the input whose bounds contradict each other, -1 where a constant condition is false, None
    where nothing is contradictory so far.
    """

    lower: _Bounds
    upper: _Bounds
    rows: list[Row] = field(default_factory=list)
    conflict: int | None = None
    _trail: list[tuple[_Bounds, int, Fraction | None]] = field(default_factory=list)

    def mark(self) -> tuple[int, int]:
        """Where to come back to."""
        return len(self._trail), len(self.rows)

    def undo(self, mark: tuple[int, int]) -> None:
        """Forget everything added since the mark."""
        bounds, rows = mark
        while len(self._trail) > bounds:
            side, index, value = self._trail.pop()
            side[index] = value
        del self.rows[rows:]
        self.conflict = None

    def assume(self, formula: Formula, pending: _Pending) -> _Pending:
        """Add what must hold; the disjunctions met go in front of the pending ones. Stops at a conflict."""
        todo: list[Formula] = [formula]
        choices: list[Or] = []
        while todo and self.conflict is None:
            part = todo.pop()
            if isinstance(part, Row):
                self._add(part)
            elif isinstance(part, And) or len(part.children) == 1:
                todo.extend(reversed(tuple(part.children)))
            else:
                choices.append(part)
        for choice in reversed(choices):
            pending = (choice, pending)
        return pending

    def polytope(self) -> Polytope:
        return Polytope(tuple(self.lower), tuple(self.upper), tuple(self.rows))

    def _add(self, row: Row) -> None:
        if not row.coefficients:
            self.conflict = None if row.holds(()) else -1
            return
        (variable, coefficient), *others = row.coefficients
        is_bound = not others and variable.kind is Kind.INPUT
        if is_bound:
            self._tighten(variable.position, _divided(row.bound, coefficient), coefficient > 0)
        if row.strict or not is_bound:
            self.rows.append(row)

    def _tighten(self, index: int, value: Fraction, is_upper: bool) -> None:
        side, other = (self.upper, self.lower) if is_upper else (self.lower, self.upper)
        known, opposite = side[index], other[index]
        if known is not None and (known <= value if is_upper else known >= value):
            return
        self._trail.append((side, index, known))
        side[index] = value
        if opposite is not None and (value < opposite if is_upper else value > opposite):
            self.conflict = index


def _divided(bound: Fraction, coefficient: Fraction) -> Fraction:
    """The quotient; by 1 and -1, which nearly all coefficients are, in a fraction of the time."""
    match coefficient.numerator if coefficient.denominator == 1 else 0:
        case 1:
            return bound
        case -1:
            return -bound
        case _:
            return bound / coefficient


def conjunctions(formulas: Iterable[Formula], input_count: int) -> Iterator[Polytope]:
    """The polytopes whose union is the conjunction of the formulas, in order."""
    state = Conjunction([None] * input_count, [None] * input_count)
    pending = state.assume(And(tuple(formulas)), None)
    if state.conflict is not None:
        return
    if pending is None:
        yield state.polytope()
        return
    branches = [_branches(state, pending)]
    while branches:
        following = next(branches[-1], None)
        if following is None:
            branches.pop()
        elif following.pending is None:
            yield state.polytope()
        else:
            branches.append(_branches(state, following.pending))


@dataclass(frozen=True, slots=True)
class _Branch:
    """A consistent choice, made in the state, and the disjunctions still to be decided."""

    pending: _Pending


def _branches(state: Conjunction, pending: tuple[Or, _Pending]) -> Iterator[_Branch]:
    """Make the choices of the first pending disjunction one after the other; undo each afterwards."""
    choice, rest = pending
    mark = state.mark()
    for child in choice.children:
        following = state.assume(child, rest)
        if state.conflict is None:
            yield _Branch(following)
        state.undo(mark)
