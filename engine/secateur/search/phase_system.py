"""The exact side of the phase search: a residual problem as integer rows, and what a vector of multipliers proves about it.

The linear relaxation of a `Problem` under chosen phases is a system of rows over boxed columns: the inputs, and for every ReLU
its pre-activation z and its output r. A phase only moves bounds of these (z and r of its neuron, and the row r - z), so the
weighted sum of rows that refutes the system under some phases is a *sum of separate gains*, one for each phase. That makes all
that a search wants from a refutation cheap and exact: the phases it needs, and phases that it would refute as well.

All numbers are Python integers over two common denominators. Nothing here knows where the multipliers come from, or trusts them.
Reference: Neumaier and Shcherbina, Safe bounds in linear and mixed-integer linear programming, Math. Program. 99 (2004).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur_encodings import LinearForm, Problem, Relu, Row

__all__ = ["Literal", "PhaseSystem", "SystemRow", "UnstableRelu", "Weighed", "as_integers", "neuron_of", "phase_system"]

Literal = int
"""A phase: k + 1 for "ReLU k is active" (z >= 0), -(k + 1) for "ReLU k is inactive" (z <= 0)."""

_ZERO = Fraction(0)


def neuron_of(literal: Literal) -> int:
    """The index of the ReLU that a literal speaks of."""
    return abs(literal) - 1


@dataclass(frozen=True)
class SystemRow:
    """lower <= sum of coefficient * column <= upper (None: no bound); the upper bound is excluded where `strict`.

    Coefficients are over `PhaseSystem.coefficient_unit`, bounds over the product of both units.
    """

    terms: tuple[tuple[int, int], ...]
    lower: int | None
    upper: int | None
    strict: bool = False


@dataclass(frozen=True)
class UnstableRelu:
    """Where a ReLU with both phases open stands: its columns z and r, its row r - z >= 0, and the row of its triangle."""

    pre: int
    output: int
    gap: int
    triangle: int


@dataclass(frozen=True)
class Weighed:
    """What one vector of multipliers says: the weighted rows cannot meet the boxes where base + gains of the phases > 0.

    `strict`: the sum has an excluded bound in it, so a total of 0 refutes, too. `gains` are >= 0; without one a phase gains 0.
    """

    base: int
    strict: bool
    gains: Mapping[Literal, int]
    multipliers: Sequence[int] = ()

    def total(self, phases: Iterable[Literal]) -> int:
        return self.base + sum(self.gains.get(literal, 0) for literal in phases)

    def core(self, phases: Sequence[Literal], kept: Sequence[Literal] = ()) -> tuple[Literal, ...] | None:
        """Phases out of `phases` (and all of `kept`) that these multipliers refute; None where they do not refute them all.

        Those with the smallest gains are dropped first, as long as the rest is still refuted.
        """
        surplus = self.total(phases) + self.total(kept) - self.base
        if not self._refuted(surplus):
            return None
        needed = []
        for literal in sorted(phases, key=lambda each: self.gains.get(each, 0)):
            gain = self.gains.get(literal, 0)
            if self._refuted(surplus - gain):
                surplus -= gain
            else:
                needed.append(literal)
        return (*needed, *kept)

    def refuted_with(self, phases: Sequence[Literal]) -> list[Literal]:
        """Further phases that these multipliers refute together with `phases`."""
        total = self.total(phases)
        return [literal for literal, gain in self.gains.items() if gain and self._refuted(total + gain)]

    def _refuted(self, surplus: int) -> bool:
        return surplus > 0 or (surplus == 0 and self.strict)


@dataclass(frozen=True, eq=False)
class PhaseSystem:
    """The relaxation of a problem with all phases open, exactly.

    Columns: the inputs, then z of every ReLU, then r of every ReLU; each shifted and scaled so that it is of size 1:
    input = origins + scales * column, z = relu_scales[k] * column. Rows: for every ReLU the definition of z (row
    `definitions[k]`), r - z, and its triangle where both phases are open; then the rows of the problem, over `goal_units`, from
    `first_goal` on. `relus[k]` is None where its bounds fix its phase.
    """

    problem: Problem
    rows: tuple[SystemRow, ...]
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    relus: tuple[UnstableRelu | None, ...]
    definitions: tuple[int, ...]
    first_goal: int
    coefficient_unit: int
    column_unit: int
    origins: tuple[Fraction, ...]
    scales: tuple[Fraction, ...]
    relu_scales: tuple[Fraction, ...]
    goal_units: tuple[Fraction, ...]

    def point(self, columns: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The input point of these columns, moved into the box."""
        inputs = zip(self.problem.inputs, self.origins, self.scales, columns, strict=False)
        return tuple(min(max(o + s * t, box.lower), box.upper) for box, o, s, t in inputs)

    def weigh(self, multipliers: Sequence[int]) -> Weighed:
        """The exact meaning of one integer multiplier per row: positive ones weigh the upper bound, negative ones the lower.

        Any integers are sound. One whose bound does not exist is left out. `ValueError` where their number is wrong.
        """
        sums, base, strict = [0] * len(self.lower), 0, False
        for row, y in zip(self.rows, multipliers, strict=True):
            bound = row.upper if y > 0 else row.lower
            if y == 0 or bound is None:
                continue
            base -= y * bound
            strict = strict or (row.strict and y > 0)
            for column, coefficient in row.terms:
                sums[column] += y * coefficient
        base += sum(c * (low if c > 0 else high) for c, low, high in zip(sums, self.lower, self.upper, strict=True))
        return Weighed(base, strict, self._gains(sums, multipliers), multipliers)

    def weights(self, multipliers: Sequence[int]) -> tuple[list[Fraction], list[Fraction]]:
        """The same argument by back-substitution: weights of the problem's rows, and of each ReLU the multiple of z for its r.

        The weighted sum of the problem's rows, in which r_k is replaced by weight_k z_k from the last ReLU to the first, has the
        coefficients over the input that this combination has; what each replacement costs at most is its own affair.
        """
        goals = zip(multipliers[self.first_goal :], self.goal_units, strict=True)
        relus = zip(self.definitions, self.relu_scales, strict=True)
        return [max(y, 0) / unit for y, unit in goals], [-multipliers[row] / scale for row, scale in relus]

    def _gains(self, sums: Sequence[int], multipliers: Sequence[int]) -> dict[Literal, int]:
        """How much each phase adds: it moves one end of the box of z to zero, and the upper bound of r or of r - z."""
        gains = {}
        for k, relu in enumerate(self.relus):
            if relu is None:
                continue
            z, r, y = sums[relu.pre], sums[relu.output], multipliers[relu.gap]
            upper = self.rows[relu.gap].upper or 0
            gains[k + 1] = -max(z, 0) * self.lower[relu.pre] + max(y, 0) * upper
            gains[-k - 1] = -min(z, 0) * self.upper[relu.pre] - min(r, 0) * self.upper[relu.output]
        return gains

    def bounds_under(self, literal: Literal) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(lower, upper) of z, of r, and of the row r - z of an unstable ReLU in one phase."""
        relu = self.unstable(neuron_of(literal))
        low, high, top = self.lower[relu.pre], self.upper[relu.pre], self.upper[relu.output]
        if literal > 0:
            return (0, high), (0, top), (0, 0)
        return (low, 0), (0, 0), (0, self.rows[relu.gap].upper or 0)

    def slack_terms(self, i: int) -> dict[int, int]:
        """What an LP over these rows adds to row i: columns after the system's own, by which the row may be missed.

        First the one that all goals share, then two for every ReLU, for the definition of z.
        """
        first = len(self.lower)
        if i >= self.first_goal:
            return {first: -1}
        if i not in self.definitions:
            return {}
        k = self.definitions.index(i)
        return {first + 1 + 2 * k: -1, first + 2 + 2 * k: 1}

    def unstable(self, neuron: int) -> UnstableRelu:
        """The place of a ReLU with both phases open; `ValueError` for another one."""
        relu = self.relus[neuron]
        if relu is None:
            raise ValueError(f"the bounds of ReLU {neuron} fix its phase")
        return relu


def as_integers(multipliers: Sequence[Fraction]) -> list[int]:
    """The same multipliers, all times their common denominator."""
    unit = math.lcm(*(y.denominator for y in multipliers))
    return [y.numerator * (unit // y.denominator) for y in multipliers]


# --- building


@dataclass(frozen=True)
class _Draft:
    """A row in fractions."""

    terms: Mapping[int, Fraction]
    lower: Fraction | None
    upper: Fraction | None
    strict: bool = False


class _Columns:
    """Which column each variable of a problem has, and the change of units between them."""

    def __init__(self, problem: Problem) -> None:
        self._inputs, self._relus = len(problem.inputs), len(problem.relus)
        self.origins = tuple(interval.lower for interval in problem.inputs)
        sizes = [interval.upper - interval.lower for interval in problem.inputs]
        sizes += [max(abs(relu.lower), abs(relu.upper)) for relu in problem.relus]
        self.scales = tuple(map(_power_of_two, sizes))

    def pre(self, k: int) -> int:
        return self._inputs + k

    def output(self, k: int) -> int:
        return self._inputs + self._relus + k

    def composed(self, form: LinearForm) -> tuple[dict[int, Fraction], Fraction]:
        """A form over the problem's variables as (coefficients by column, constant)."""
        terms, constant = {}, form.constant
        for v, c in form.terms:
            if v < self._inputs:
                constant += c * self.origins[v]
            terms[v if v < self._inputs else v + self._relus] = c * self.scales[v]
        return terms, constant


def _power_of_two(size: Fraction) -> Fraction:
    """A power of two within a factor of two of a size; 1 for 0."""
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    return Fraction(2) ** exponent if size else Fraction(1)


def phase_system(problem: Problem) -> PhaseSystem:
    """The relaxation of a problem: its triangles, and its rows, in integers."""
    columns = _Columns(problem)
    boxes = [(_ZERO, (x.upper - x.lower) / s) for x, s in zip(problem.inputs, columns.scales, strict=False)]
    scales = columns.scales[len(problem.inputs) :]
    boxes += [(relu.lower / s, relu.upper / s) for relu, s in zip(problem.relus, scales, strict=True)]
    boxes += [(relu.output_range.lower / s, relu.output_range.upper / s) for relu, s in zip(problem.relus, scales, strict=True)]
    drafts: list[_Draft] = []
    places: list[UnstableRelu | None] = []
    definitions = []
    for k, (relu, scale) in enumerate(zip(problem.relus, scales, strict=True)):
        first = len(drafts)
        definitions.append(first)
        drafts += _relu_rows(columns, k, relu, scale)
        both = relu.lower < 0 < relu.upper
        places.append(UnstableRelu(columns.pre(k), columns.output(k), first + 1, first + 2) if both else None)
    goals = [_goal(columns, row) for row in problem.rows]
    scaled = _Scaled((*drafts, *(draft for draft, _ in goals)), tuple(boxes))
    return PhaseSystem(
        problem,
        *scaled.integers(),
        tuple(places),
        tuple(definitions),
        len(drafts),
        scaled.coefficient_unit,
        scaled.column_unit,
        columns.origins,
        columns.scales[: len(problem.inputs)],
        scales,
        tuple(unit for _, unit in goals),
    )


def _relu_rows(columns: _Columns, k: int, relu: Relu, scale: Fraction) -> list[_Draft]:
    """z = pre; 0 <= r - z <= max(0, -lower) (0 where it is active); and (u - l) r - u z <= -u l where both phases are open."""
    terms, constant = columns.composed(relu.pre)
    z, r = columns.pre(k), columns.output(k)
    one, zero = Fraction(1), _ZERO
    definition = {c: -a / scale for c, a in terms.items()} | {z: one}
    low, high = relu.lower / scale, relu.upper / scale
    rows = [
        _Draft(definition, constant / scale, constant / scale),
        _Draft({z: -one, r: one}, zero, max(zero, -low)),
    ]
    if low < 0 < high:
        rows.append(_Draft({z: -high, r: high - low}, None, -high * low))
    return rows


def _goal(columns: _Columns, row: Row) -> tuple[_Draft, Fraction]:
    """The row over its unit, and the unit."""
    terms, constant = columns.composed(row.form)
    unit = _power_of_two(max(map(abs, terms.values()), default=_ZERO))
    return _Draft({c: a / unit for c, a in terms.items()}, None, (row.bound - constant) / unit, row.strict), unit


class _Scaled:
    """Drafts and boxes over common denominators: one of all coefficients, one of all bounds."""

    def __init__(self, drafts: Sequence[_Draft], boxes: Sequence[tuple[Fraction, Fraction]]) -> None:
        self._drafts, self._boxes = drafts, boxes
        self.coefficient_unit = math.lcm(*(a.denominator for draft in drafts for a in draft.terms.values()))
        ends = [bound for draft in drafts for bound in (draft.lower, draft.upper) if bound is not None]
        self.column_unit = math.lcm(*(end.denominator for end in (*ends, *(e for box in boxes for e in box))))

    def integers(self) -> tuple[tuple[SystemRow, ...], tuple[int, ...], tuple[int, ...]]:
        """The rows, and the lower and upper bounds of the columns."""
        rows = tuple(self._row(draft) for draft in self._drafts)
        lower, upper = (tuple(_times(box[end], self.column_unit) for box in self._boxes) for end in (0, 1))
        return rows, lower, upper

    def _row(self, draft: _Draft) -> SystemRow:
        terms = tuple((column, _times(a, self.coefficient_unit)) for column, a in draft.terms.items())
        return SystemRow(terms, self._bound(draft.lower), self._bound(draft.upper), draft.strict)

    def _bound(self, value: Fraction | None) -> int | None:
        return None if value is None else _times(value, self.column_unit) * self.coefficient_unit


def _times(value: Fraction, unit: int) -> int:
    """value * unit, for a unit that is a multiple of its denominator."""
    return value.numerator * (unit // value.denominator)
