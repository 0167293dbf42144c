"""Specifications from arrays, without a file: a box, and a condition on the outputs that shall hold on all of it.

    Specification(Box(lower, upper), outputs @ C <= d)
    robust(x, eps=0.03, label=7)

Floats count as the rationals they are, strings are read exactly, and everything below is computed in rationals. What is verified
is the negation, as for any query: `Specification.query` makes it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.specification.domain import Domain
from secateur.specification.numerals import exact_rational
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Row, Variable, fold
from secateur.specification.vnnlib.query import NetworkDeclaration, Query, TensorDeclaration

__all__ = ["Box", "Condition", "LinearForms", "Numbers", "Specification", "outputs", "robust"]

Numbers: TypeAlias = Sequence[Any] | NDArray[Any] | Fraction | float | str
"""A number, or an array of them: numpy's or Python's numbers, rationals, or strings, which are read exactly."""

Rationals: TypeAlias = tuple[Fraction, ...]


def Box(lower: Numbers, upper: Numbers) -> Domain:  # noqa: N802 - it reads as the class of what it returns
    """The closed box of all x with lower <= x <= upper.

    Parameters
    ----------
    lower, upper : one bound per input, of any shape (row-major, as the network flattens it), both of the same.

    Returns
    -------
    The box as an exact `Domain`. InputError for bounds that are not finite, not of one shape, or the wrong way round.
    """
    low, high = _array(lower, "Box, lower"), _array(upper, "Box, upper")
    if low.shape != high.shape or not low.shape:
        problem = f"lower bounds of shape {low.shape} and upper bounds of shape {high.shape} are no box"
        raise InputError(problem, where="Box", remedy="give two arrays with one bound per input")
    return Domain(_rationals(low, "Box, lower bound"), _rationals(high, "Box, upper bound"), "Box")


class Condition(ABC):
    """A claim about the outputs; combine with `&` and `|`.

    No truth value: Python would evaluate `low <= outputs @ C <= high` to its second half, so `bool()` raises.
    """

    @abstractmethod
    def formula(self, output_count: int) -> Formula:
        """The claim over a network's outputs. InputError where it has not as many as the condition speaks about."""

    def __and__(self, other: Condition) -> Condition:
        return _Joined(And, (self, other)) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: Condition) -> Condition:
        return _Joined(Or, (self, other)) if isinstance(other, Condition) else NotImplemented

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition has no truth value: combine two of them with & or |, not with `and` or a chain of <=")


@dataclass(frozen=True)
class _Joined(Condition):
    node: type[And] | type[Or]
    parts: tuple[Condition, ...]

    def formula(self, output_count: int) -> Formula:
        return self.node(tuple(part.formula(output_count) for part in self.parts))


@dataclass(frozen=True)
class _Linear(Condition):
    """coefficients[r] . y <= bounds[r] for every r, or < where strict."""

    coefficients: tuple[Rationals, ...]
    bounds: Rationals
    strict: bool

    def formula(self, output_count: int) -> Formula:
        if len(self.coefficients[0]) != output_count:
            raise InputError(
                f"the condition is about {len(self.coefficients[0])} outputs, the network has {output_count}",
                remedy="give C one row per output",
            )
        rows = zip(self.coefficients, self.bounds, strict=True)
        return And(tuple(Row(_sparse(row), bound, self.strict) for row, bound in rows))


@dataclass(frozen=True)
class _Largest(Condition):
    """One output is larger than every other."""

    label: int

    def formula(self, output_count: int) -> Formula:
        if self.label >= output_count:
            raise InputError(f"label {self.label} is out of range, the network has {output_count} outputs")
        if output_count == 1:
            raise InputError("the network has one output, so no label can be larger than another", remedy="bound the output")
        others = (j for j in range(output_count) if j != self.label)
        return And(tuple(Row(self._below(j), Fraction(0), strict=True) for j in others))

    def _below(self, other: int) -> tuple[tuple[Variable, Fraction], ...]:
        terms = ((Variable(Kind.OUTPUT, other), Fraction(1)), (Variable(Kind.OUTPUT, self.label), Fraction(-1)))
        return tuple(sorted(terms))


@dataclass(frozen=True)
class LinearForms:
    """The linear forms y @ C over the outputs y; comparing them with numbers gives a `Condition`, which claims all of them.

    coefficients : for each form those of all outputs.
    """

    coefficients: tuple[Rationals, ...]

    __array_ufunc__ = None  # `array >= forms` must come here too, and not be taken apart by numpy

    def __le__(self, bounds: Numbers) -> Condition:
        return self._below(bounds, strict=False)

    def __lt__(self, bounds: Numbers) -> Condition:
        return self._below(bounds, strict=True)

    def __ge__(self, bounds: Numbers) -> Condition:
        return self._above(bounds, strict=False)

    def __gt__(self, bounds: Numbers) -> Condition:
        return self._above(bounds, strict=True)

    def _below(self, bounds: Numbers, *, strict: bool) -> Condition:
        return _Linear(self.coefficients, self._bounds(bounds), strict)

    def _above(self, bounds: Numbers, *, strict: bool) -> Condition:
        negated = tuple(tuple(-c for c in row) for row in self.coefficients)
        return _Linear(negated, tuple(-b for b in self._bounds(bounds)), strict)

    def _bounds(self, bounds: Numbers) -> Rationals:
        array, count = _array(bounds, "outputs @ C, bounds"), len(self.coefficients)
        if array.shape not in {(), (count,)}:
            problem = f"bounds of shape {array.shape} for {count} linear forms"
            raise InputError(problem, where="outputs @ C", remedy="give one number, or one per form")
        return _rationals(array, "outputs @ C, bound") * (1 if array.shape else count)


class _Outputs:
    """The outputs of the network that is asked about: `outputs @ C` are linear forms over them."""

    def __matmul__(self, C: Numbers) -> LinearForms:
        """C : shape (outputs,) for one form, or (outputs, forms)."""
        array = _array(C, "outputs @ C")
        shape = array.shape
        if len(shape) not in {1, 2} or not all(shape):
            problem = f"a matrix of shape {shape} gives no linear forms"
            raise InputError(problem, where="outputs @ C", remedy="C has shape (outputs,) or (outputs, forms)")
        width = shape[1] if len(shape) > 1 else 1
        entries = _rationals(array, "outputs @ C, entry")
        return LinearForms(tuple(entries[form::width] for form in range(width)))


outputs = _Outputs()


@dataclass(frozen=True)
class Specification:
    """The claim that a condition holds for the outputs of a network everywhere on a box."""

    box: Domain
    condition: Condition

    def __repr__(self) -> str:
        return f"<Specification: a condition on the outputs everywhere on {self.box!r}>"

    def query(self, output_count: int, element_type: str = "float32") -> Query:
        """Is there a counterexample, a point of the box where the condition is false?

        One network `N` with input X and output Y of that type. InputError where the condition is not about as many outputs.
        """
        n = self.box.dimension
        network = NetworkDeclaration(
            "N",
            (TensorDeclaration("X", Kind.INPUT, element_type, (n,), 0),),
            (),
            (TensorDeclaration("Y", Kind.OUTPUT, element_type, (output_count,), 0),),
        )
        one = Fraction(1)
        bounds: list[Formula] = []
        for i, (low, high) in enumerate(zip(self.box.lower, self.box.upper, strict=True)):
            variable = Variable(Kind.INPUT, i)
            bounds += [Row(((variable, -one),), -low, strict=False), Row(((variable, one),), high, strict=False)]
        negation = _negated(self.condition.formula(output_count))
        return Query("2.0", (network,), (*bounds, negation), self.box.description)


def robust(x: Numbers, eps: Numbers, label: int, *, lower: Numbers | None = None, upper: Numbers | None = None) -> Specification:
    """Local robustness: wherever each input is within eps of x, output `label` is larger than every other.

    Parameters
    ----------
    x : one value per input, of any shape. eps : the radius, or one per input. label : number of an output. lower, upper : what
    the inputs are clipped to, numbers or one per input, such as 0 and 1 for pixels.

    Returns
    -------
    The specification, exact: x - eps is no rounded difference. A counterexample is a point where some other output is at least
    that of `label`. InputError for values that are not finite, a negative radius or label, or nothing left by the clipping.
    """
    if isinstance(label, bool) or not isinstance(label, int | np.integer) or label < 0:
        raise InputError(f"label {label!r} is no number of an output", where="robust", remedy="give an integer from 0")
    array = _array(x, "robust, x")
    if not array.shape:
        raise InputError("x is one number, not an array", where="robust", remedy="give one value per input")
    shape, centre = array.shape, _rationals(array, "robust, x")
    radius = _spread(eps, shape, "eps")
    if any(r < 0 for r in radius):
        raise InputError("the radius eps is negative", where="robust")
    low: Rationals = tuple(c - r for c, r in zip(centre, radius, strict=True))
    high: Rationals = tuple(c + r for c, r in zip(centre, radius, strict=True))
    if lower is not None:
        low = tuple(map(max, low, _spread(lower, shape, "lower")))
    if upper is not None:
        high = tuple(map(min, high, _spread(upper, shape, "upper")))
    return Specification(Domain(low, high, "robust"), _Largest(int(label)))


def _spread(values: Numbers, shape: tuple[int, ...], name: str) -> Rationals:
    """A number for each element of an array of that shape."""
    array = _array(values, f"robust, {name}")
    if array.shape not in {(), shape}:
        problem = f"{name} has shape {array.shape}, x has {shape}"
        raise InputError(problem, where="robust", remedy="give one number, or one per input")
    exact = _rationals(array, f"robust, {name}")
    return exact if array.shape else exact * math.prod(shape)


def _array(values: Numbers, where: str) -> NDArray[Any]:
    """The values as an array, none of them changed. InputError where rows differ in length."""
    try:
        return np.asarray(values, dtype=None if isinstance(values, np.ndarray) else object)
    except ValueError:
        raise InputError("these arrays are not all of one shape", where=where) from None


def _rationals(array: NDArray[Any], where: str) -> Rationals:
    """All values in row-major order, exactly. InputError names the first that is no finite number."""
    entries = array.ravel().tolist()
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8 and np.isfinite(array).all():
        return tuple(map(Fraction, entries))
    return tuple(exact_rational(v, f"{where} {i}" if array.shape else where) for i, v in enumerate(entries))


def _sparse(row: Rationals) -> tuple[tuple[Variable, Fraction], ...]:
    return tuple((Variable(Kind.OUTPUT, j), c) for j, c in enumerate(row) if c)


def _negated(formula: Formula) -> Formula:
    return fold(formula, Row.negated, lambda node, parts: (Or if isinstance(node, And) else And)(tuple(parts)))
