"""The encodings of a problem, and above all of its ReLUs, as pySMT formulas.

Start at `encode`. Every encoding states the box, the bounds of each pre-activation z, 0 <= r <= max(0,
upper), and each row; they differ in how r = max(0, z) is said. There is no upper line of the triangle
relaxation: case splits imply it, and with it in place the solvers were slower.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur_encodings.problem import Interval, LinearForm, Problem, Relu, Row

__all__ = ["COEFFICIENT_BITS", "Encoding", "Formula", "encode"]

# pySMT carries no types; a formula is one of its FNodes and an environment one of its Environments.
Formula = Any
Environment = Any

#: Bits that a coefficient keeps in a rounded row.
COEFFICIENT_BITS = 24

ZERO = Fraction(0)


class Encoding(enum.Enum):
    """How r = max(0, z) is said.

    `CASE_SPLIT`: r >= 0, r >= z, and (r <= z or r <= 0). Exact.
    `ITE`: r = ite(z >= 0, z, 0). Exact.
    `ROUNDED`: the case split over rows rounded to 24 bits with a rigorous slack. A relaxation: every solution
    of the problem is one of the formula, so `unsat` transfers and `sat` does not.
    """

    CASE_SPLIT = "case-split"
    ITE = "ite"
    ROUNDED = "rounded"


@dataclass(frozen=True)
class _Band:
    """A linear form known to a slack: low <= form - sum of terms <= high at every solution.

    `quantum` is the unit to which right-hand sides may be rounded, outward; None to keep them exact.
    """

    terms: tuple[tuple[int, Fraction], ...]
    low: Fraction
    high: Fraction
    quantum: Fraction | None = None

    def down(self, value: Fraction) -> Fraction:
        return value if self.quantum is None else value // self.quantum * self.quantum

    def up(self, value: Fraction) -> Fraction:
        return -self.down(-value)


def encode(problem: Problem, encoding: Encoding, env: Environment) -> tuple[list[Formula], list[Formula]]:
    """The input symbols and the assertions of a problem.

    Requires: `env` is a pySMT Environment made for this query, and entered (`with Environment() as env`).
        pySMT asks the entered one for the types of formulas and keeps what it learns: without entering, each
        query slows the next.
    Returns: the symbols of the inputs, in order, and the assertions, whose conjunction is the query.
    Method: one symbol per variable of the problem; see `Encoding`.
    Soundness: every solution of the problem satisfies the assertions, extended by its ReLU values. With an
        exact encoding the converse holds too.
    Reference: Katz et al., Reluplex, CAV 2017 (the case split); Ehlers, ATVA 2017 (bounds stated with it).
    """
    writer = _Writer(problem, env.formula_manager, encoding)
    assertions = [
        *writer.boxes(),
        *(formula for k, relu in enumerate(problem.relus) for formula in writer.relu(k, relu)),
        *(writer.row(row) for row in problem.rows),
    ]
    return writer.symbols[: len(problem.inputs)], assertions


class _Writer:
    """Builds the formulas of one problem in one environment."""

    def __init__(self, problem: Problem, manager: Any, encoding: Encoding) -> None:
        from pysmt.typing import REAL

        self.problem, self.manager, self.encoding = problem, manager, encoding
        count = len(problem.inputs)
        names = [f"x{i}" for i in range(count)] + [f"r{k}" for k in range(len(problem.relus))]
        self.symbols = [manager.Symbol(name, REAL) for name in names]

    def boxes(self) -> Iterator[Formula]:
        for symbol, interval in zip(self.symbols, self.problem.inputs, strict=False):
            yield self._at_least(symbol, interval.lower)
            yield self._at_most(symbol, interval.upper)

    def relu(self, index: int, relu: Relu) -> Iterator[Formula]:
        """The assertions of one ReLU.

        Requires: the stated bounds hold at every point that matters (see `Relu`).
        Returns: bounds of z, bounds of r, and the link between the two.
        Method: with z = t + s, where t are the rounded terms and s lies in [low, high]: low <= r - t, and r -
            t <= high or r <= 0. Eliminating s by hand spares one variable per ReLU, and loses nothing.
        Soundness: a solution has r = 0 or r = z, and r >= z; both sides follow from t + low <= z <= t + high.
        Reference: `Encoding`; design measurements in the project's references.
        """
        band = self._band(relu.pre)
        r, t = self.symbols[len(self.problem.inputs) + index], self._sum(band.terms)
        yield self._at_least(t, band.down(relu.lower - band.high))
        yield self._at_most(t, band.up(relu.upper - band.low))
        yield self._at_least(r, ZERO)
        yield self._at_most(r, band.up(relu.output_range.upper))
        if self.encoding is Encoding.ITE:
            yield self._ite(r, t, band.low)
        else:
            yield from self._case_split(r, t, band)

    def row(self, row: Row) -> Formula:
        """One row; rounded, it is relaxed by the low end of its slack, and stays strict where it was."""
        band = self._band(row.form)
        relation = self.manager.LT if row.strict else self.manager.LE
        return relation(self._sum(band.terms), self._real(band.up(row.bound - band.low)))

    def _case_split(self, r: Formula, t: Formula, band: _Band) -> Iterator[Formula]:
        difference = self.manager.Minus(r, t)
        yield self._at_least(difference, band.low)
        yield self.manager.Or(self._at_most(difference, band.high), self._at_most(r, ZERO))

    def _ite(self, r: Formula, t: Formula, constant: Fraction) -> Formula:
        z = self.manager.Plus(t, self._real(constant))
        zero = self._real(ZERO)
        return self.manager.Equals(r, self.manager.Ite(self.manager.GE(z, zero), z, zero))

    def _band(self, form: LinearForm) -> _Band:
        if self.encoding is Encoding.ROUNDED:
            return _rounded(form, self.problem.ranges)
        return _Band(form.terms, form.constant, form.constant)

    def _sum(self, terms: Sequence[tuple[int, Fraction]]) -> Formula:
        if not terms:
            return self._real(ZERO)
        return self.manager.Plus([self.manager.Times(self._real(c), self.symbols[v]) for v, c in terms])

    def _at_least(self, left: Formula, bound: Fraction) -> Formula:
        return self.manager.GE(left, self._real(bound))

    def _at_most(self, left: Formula, bound: Fraction) -> Formula:
        return self.manager.LE(left, self._real(bound))

    def _real(self, value: Fraction) -> Formula:
        return self.manager.Real((value.numerator, value.denominator))


def _rounded(form: LinearForm, ranges: Sequence[Interval]) -> _Band:
    """A form with coefficients of at most 24 bits, and the slack that pays for it.

    Requires: `ranges[v]` holds variable v at every solution of the problem.
    Returns: terms whose coefficients are integer multiples of one power of two, with low and high multiples
    of it too.
    Method: each coefficient c is rounded to the nearest multiple q. The rest (c - q) v lies in an interval
        that exact interval arithmetic gives; the sum of these and the constant, rounded outward, is [low,
        high].
    Soundness: at every solution form - sum q v = constant + sum (c - q) v, which lies in [low, high].
    Reference: Neumaier and Shcherbina, Safe bounds in linear and mixed-integer programming, 2004 (the same
    argument).
    """
    if not form.terms:
        return _Band((), form.constant, form.constant)
    quantum = _power_of_two_above(max(abs(c) for _, c in form.terms)) / 2**COEFFICIENT_BITS
    terms, low, high = [], form.constant, form.constant
    for v, c in form.terms:
        q = round(c / quantum) * quantum
        rest = ranges[v].scaled(c - q)
        low, high = low + rest.lower, high + rest.upper
        if q:
            terms.append((v, q))
    return _Band(tuple(terms), low // quantum * quantum, -(-high // quantum) * quantum, quantum)


def _power_of_two_above(value: Fraction) -> Fraction:
    """A power of two in [value, 4 value] for a positive value."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length() + 1
    return Fraction(2) ** exponent
