"""Linear forms and the conditions made of them, while a query is read.

A `Linear` is consumed by the one expression it is an operand of, so sums may extend an operand in place: a
sum of n terms costs n steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from secateur.specification.vnnlib.formula import And, Coefficients, Formula, Or, Row, Variable

__all__ = ["Linear", "NonlinearError", "add", "compare", "multiply", "subtract"]

_ONE = Fraction(1)


class NonlinearError(ValueError):
    """A product of two operands that both depend on variables; holds one variable of each."""

    def __init__(self, first: Variable, second: Variable) -> None:
        super().__init__("nonlinear product")
        self.factors = (first, second)


@dataclass(slots=True)
class Linear:
    """sum of terms[v] * v + constant; coefficients may be zero where terms cancelled."""

    terms: dict[Variable, Fraction]
    constant: Fraction

    def accumulate(self, other: Linear, factor: int = 1) -> None:
        """Add factor * other, in place."""
        self.constant += factor * other.constant
        for variable, coefficient in other.terms.items():
            self.terms[variable] = self.terms.get(variable, Fraction(0)) + factor * coefficient

    def scale(self, factor: Fraction) -> None:
        """Multiply by a constant, in place."""
        self.constant *= factor
        for variable in self.terms:
            self.terms[variable] *= factor

    def leading(self) -> Variable | None:
        """The first variable it really depends on; None for a constant."""
        return next((variable for variable, coefficient in self.terms.items() if coefficient), None)

    def coefficients(self) -> Coefficients:
        """The nonzero terms, sorted by variable."""
        return tuple(sorted((v, c) for v, c in self.terms.items() if c))


def add(operands: list[Linear]) -> Linear:
    """The sum; the longest operand becomes the result, so that nested sums stay linear in time."""
    longest = max(range(len(operands)), key=lambda i: len(operands[i].terms))
    for index, operand in enumerate(operands):
        if index != longest:
            operands[longest].accumulate(operand)
    return operands[longest]


def subtract(operands: list[Linear]) -> Linear:
    """The first operand minus the others; the negative of a single one."""
    first, *others = operands
    if not others:
        first.scale(-_ONE)
    for operand in others:
        first.accumulate(operand, -1)
    return first


def multiply(operands: list[Linear]) -> Linear:
    """The product; raises `NonlinearError` where more than one operand depends on variables."""
    product, *others = operands
    for operand in others:
        first, second = product.leading(), operand.leading()
        if first is not None and second is not None:
            raise NonlinearError(first, second)
        if first is None:
            product, operand = operand, product  # noqa: PLW2901 - the constant one scales the other
        product.scale(operand.constant)
    return product


def compare(relation: str, left: Linear, right: Linear) -> Formula:
    """The condition `left relation right`; the relation is one of <=, <, >=, >, ==, = and !=."""
    left.accumulate(right, -1)
    coefficients, bound = left.coefficients(), -left.constant
    opposite = tuple((v, -c) for v, c in coefficients)
    match relation:
        case "<=" | "<":
            return Row(coefficients, bound, relation == "<")
        case ">=" | ">":
            return Row(opposite, -bound, relation == ">")
        case "!=":
            return Or((Row(coefficients, bound, True), Row(opposite, -bound, True)))
        case _:
            return And((Row(coefficients, bound, False), Row(opposite, -bound, False)))
