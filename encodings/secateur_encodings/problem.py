"""A small piecewise-linear constraint problem over the rationals, and its exact evaluation.

This is the whole language between the engine and the SMT solvers: boxed input variables, ReLUs in order, and
linear rows, all of which must hold together. The engine states its residual queries in it, `relu.py` turns it
into formulas, and every model that a solver returns is replayed here, in exact arithmetic, before anybody
believes it.

Variables are numbered: the inputs first, then the outputs of the ReLUs in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

__all__ = ["Interval", "LinearForm", "Problem", "Relu", "Row"]

ZERO = Fraction(0)


@dataclass(frozen=True)
class Interval:
    """The closed interval [lower, upper]; `ValueError` where it would be empty."""

    lower: Fraction
    upper: Fraction

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise ValueError(f"empty interval [{self.lower}, {self.upper}]")

    def __contains__(self, value: Fraction) -> bool:
        return self.lower <= value <= self.upper

    def scaled(self, factor: Fraction) -> Interval:
        """The interval of `factor * v` for v in this one."""
        ends = (factor * self.lower, factor * self.upper)
        return Interval(min(ends), max(ends))


@dataclass(frozen=True)
class LinearForm:
    """sum of coefficient * variable, plus `constant`.

    `terms` are (variable, nonzero coefficient), variables ascending; `ValueError` otherwise.

    """

    terms: tuple[tuple[int, Fraction], ...]
    constant: Fraction = ZERO

    def __post_init__(self) -> None:
        variables = [variable for variable, _ in self.terms]
        if any(a >= b for a, b in pairwise(variables)):
            raise ValueError("the variables of a linear form must ascend")
        if any(coefficient == 0 for _, coefficient in self.terms):
            raise ValueError("a linear form lists only nonzero coefficients")

    @classmethod
    def of(cls, coefficients: Mapping[int, Fraction], constant: Fraction = ZERO) -> LinearForm:
        """The form with these coefficients by variable; zeros are left out."""
        return cls(tuple(sorted((v, c) for v, c in coefficients.items() if c)), constant)

    def value(self, values: Sequence[Fraction]) -> Fraction:
        """The form at `values`, indexed by variable."""
        return sum((c * values[v] for v, c in self.terms), self.constant)

    def check_within(self, count: int) -> None:
        """`ValueError` unless every variable is one of the first `count`."""
        if self.terms and not 0 <= self.terms[0][0] <= self.terms[-1][0] < count:
            raise ValueError(f"a linear form reads a variable outside the first {count}")


@dataclass(frozen=True)
class Relu:
    """r = max(0, z) for the pre-activation z = `pre` over earlier variables, with `lower` <= z <= `upper`.

    The bounds are part of the problem: whoever states it has proved them for every point that matters, or
    means them as a constraint (a phase that a search has chosen).
    """

    pre: LinearForm
    lower: Fraction
    upper: Fraction

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise ValueError(f"contradictory pre-activation bounds [{self.lower}, {self.upper}]")

    @property
    def output_range(self) -> Interval:
        return Interval(max(ZERO, self.lower), max(ZERO, self.upper))


@dataclass(frozen=True)
class Row:
    """`form` <= `bound`, or `form` < `bound` where `strict`."""

    form: LinearForm
    bound: Fraction
    strict: bool = False

    def holds(self, values: Sequence[Fraction]) -> bool:
        value = self.form.value(values)
        return value < self.bound if self.strict else value <= self.bound


@dataclass(frozen=True)
class Problem:
    """Is there a point of the input box at which all bounds of all ReLUs and all rows hold?

    `ValueError` where a form reads a variable that is not defined before it.
    """

    inputs: tuple[Interval, ...]
    relus: tuple[Relu, ...] = ()
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        for k, relu in enumerate(self.relus):
            relu.pre.check_within(len(self.inputs) + k)
        for row in self.rows:
            row.form.check_within(self.variable_count)

    @property
    def variable_count(self) -> int:
        return len(self.inputs) + len(self.relus)

    @cached_property
    def ranges(self) -> tuple[Interval, ...]:
        """An interval for every variable, implied by the box and the stated bounds."""
        return (*self.inputs, *(relu.output_range for relu in self.relus))

    def evaluate(self, inputs: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The exact values of all variables at one input point; `ValueError` where its length is wrong."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"a point of {len(self.inputs)} coordinates is needed, not {len(inputs)}")
        values = list(inputs)
        for relu in self.relus:
            values.append(max(ZERO, relu.pre.value(values)))
        return tuple(values)

    def satisfied(self, inputs: Sequence[Fraction]) -> bool:
        """Whether the point is in the box, within every ReLU's bounds, and on the right side of every row."""
        values = self.evaluate(inputs)
        return (
            all(x in interval for x, interval in zip(inputs, self.inputs, strict=True))
            and all(relu.lower <= relu.pre.value(values) <= relu.upper for relu in self.relus)
            and all(row.holds(values) for row in self.rows)
        )
