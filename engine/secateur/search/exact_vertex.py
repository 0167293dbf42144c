"""Exact vertices: the solution and the multipliers that a basis of the LP stands for, in rationals.

Floats cannot decide a tie: a row that is met with equality only, or a refutation with nothing to spare. The basis where the LP
stopped says which bounds hold with equality; solving those equations exactly gives a point and multipliers without any rounding.
They are proposals like the floats were: the caller checks them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction

from secateur.search.phase_system import Literal, PhaseSystem, neuron_of
from secateur.search.warm_lp import LpBasis

__all__ = ["exact_multipliers", "exact_point"]

_MOST_EQUATIONS = 160
"""Equations up to which a vertex is worth computing: 0.1 s at most for residuals of ACAS Xu, whose numbers reach 1,400 bits."""

_Matrix = list[dict[int, Fraction]]


def exact_multipliers(system: PhaseSystem, basis: LpBasis, *, elastic: bool, deadline: float) -> list[Fraction] | None:
    """One multiplier per row that makes every basic column indifferent; None where the basis is singular or too large.

    What counts is the largest violation of the goals, or, `elastic`, by how much the definitions are missed in total.
    """
    rows, columns = basis.nonbasic_rows, basis.basic_columns
    transposed: _Matrix = [{} for _ in columns]
    for position, i in enumerate(rows):
        entries = _entries(system, i)
        for place, column in enumerate(columns):
            if column in entries:
                transposed[place][position] = entries[column]
    width = len(system.lower)
    costs = [Fraction(-int((column > width) if elastic else (column == width))) for column in columns]
    found = _solved(transposed, costs, deadline)
    if found is None:
        return None
    multipliers = [Fraction(0)] * len(system.rows)
    for i, y in zip(rows, found, strict=True):
        multipliers[i] = y
    return multipliers


def exact_point(system: PhaseSystem, basis: LpBasis, phases: Sequence[Literal], deadline: float) -> tuple[Fraction, ...] | None:
    """The inputs at the vertex of the plain LP under `phases`; None where the basis is singular or too large."""
    column_bounds, row_bounds = _bounds(system, phases)
    width = len(system.lower)
    fixed = {
        j: Fraction(column_bounds[j][j in basis.upper_columns], system.column_unit)
        for j in range(width)
        if j not in set(basis.basic_columns)
    }
    places = {column: place for place, column in enumerate(basis.basic_columns)}
    matrix: _Matrix = []
    targets = []
    for i in basis.nonbasic_rows:
        bound = row_bounds[i][i in basis.upper_rows]
        if bound is None:
            return None
        entries = _entries(system, i)
        matrix.append({places[c]: a for c, a in entries.items() if c in places})
        known = sum((a * fixed[c] for c, a in entries.items() if c in fixed), Fraction(0))
        targets.append(Fraction(bound, system.column_unit * system.coefficient_unit) - known)
    found = _solved(matrix, targets, deadline)
    if found is None:
        return None
    inputs = len(system.problem.inputs)
    return system.point([found[places[j]] if j in places else fixed[j] for j in range(inputs)])


def _entries(system: PhaseSystem, i: int) -> dict[int, Fraction]:
    """Row i of the LP, with the columns that only the LP has."""
    entries = {c: Fraction(a, system.coefficient_unit) for c, a in system.rows[i].terms}
    return entries | {c: Fraction(a) for c, a in system.slack_terms(i).items()}


_Bounds = list[tuple[int | None, int | None]]


def _bounds(system: PhaseSystem, phases: Sequence[Literal]) -> tuple[list[tuple[int, int]], _Bounds]:
    columns = list(zip(system.lower, system.upper, strict=True))
    rows: _Bounds = [(row.lower, row.upper) for row in system.rows]
    for literal in phases:
        relu = system.unstable(neuron_of(literal))
        columns[relu.pre], columns[relu.output], rows[relu.gap] = system.bounds_under(literal)
    return columns, rows


def _solved(matrix: Sequence[Mapping[int, Fraction]], targets: Sequence[Fraction], deadline: float) -> list[Fraction] | None:
    """The solution of a square sparse system by elimination; None where it is singular, too large, or out of time."""
    size = len(targets)
    if len(matrix) != size or size > _MOST_EQUATIONS:
        return None
    rest = [(dict(row), target) for row, target in zip(matrix, targets, strict=True)]
    done: list[tuple[int, dict[int, Fraction], Fraction]] = []
    while rest:
        if time.monotonic() > deadline:
            return None
        rest.sort(key=lambda equation: -len(equation[0]))
        row, target = rest.pop()
        if not row:
            return None
        # The pivot that the fewest other equations hold: the least filling.
        pivot = min(row, key=lambda c: sum(c in other for other, _ in rest))
        rest = [_eliminated(other, its, row, target, pivot) if pivot in other else (other, its) for other, its in rest]
        done.append((pivot, row, target))
    values: dict[int, Fraction] = {}
    for pivot, row, target in reversed(done):
        values[pivot] = (target - sum((a * values[c] for c, a in row.items() if c != pivot), Fraction(0))) / row[pivot]
    return [values[c] for c in range(size)]


def _eliminated(
    row: dict[int, Fraction], target: Fraction, by: dict[int, Fraction], its: Fraction, pivot: int
) -> tuple[dict[int, Fraction], Fraction]:
    factor = row[pivot] / by[pivot]
    left = dict(row)
    for column, a in by.items():
        left[column] = left.get(column, Fraction(0)) - factor * a
    return {c: a for c, a in left.items() if a}, target - factor * its
