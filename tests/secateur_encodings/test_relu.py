"""The encodings, formula by formula: what each point satisfies, without a solver."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysmt.environment import Environment

from secateur_encodings import Encoding, Interval, LinearForm, Problem, Relu, Row
from secateur_encodings.relu import COEFFICIENT_BITS, encode
from tests.secateur_encodings.support import fractions, problems

#: Where a coordinate lies between its bounds.
SHARES = st.sampled_from([Fraction(n, 8) for n in range(9)])
EXACT = (Encoding.CASE_SPLIT, Encoding.ITE)


def formula_holds(problem: Problem, encoding: Encoding, values: tuple[Fraction, ...]) -> bool:
    """Whether the encoding is true at these values of all variables, by pySMT's own exact evaluation."""
    with Environment() as env:
        _, assertions = encode(problem, encoding, env)
        names = [f"x{i}" for i in range(len(problem.inputs))] + [f"r{k}" for k in range(len(problem.relus))]
        manager = env.formula_manager
        known = {manager.get_symbol(name): manager.Real(value) for name, value in zip(names, values, strict=True)}
        result = env.simplifier.simplify(env.substituter.substitute(manager.And(assertions), known))
        assert result.is_bool_constant()
        return bool(result.constant_value())


def points(problem: Problem, data: st.DataObject) -> list[Fraction]:
    part = [data.draw(SHARES) for _ in problem.inputs]
    return [x.lower + t * (x.upper - x.lower) for x, t in zip(problem.inputs, part, strict=True)]


@pytest.mark.parametrize("encoding", EXACT)
@settings(max_examples=40, deadline=None)
@given(problem=problems(), data=st.data())
def test_exact_encodings_hold_exactly_at_the_solutions(encoding: Encoding, problem: Problem, data: st.DataObject) -> None:
    inputs = points(problem, data)
    assert formula_holds(problem, encoding, problem.evaluate(inputs)) == problem.satisfied(inputs)


@settings(max_examples=40, deadline=None)
@given(problem=problems(), data=st.data())
def test_the_rounded_encoding_holds_at_every_solution(problem: Problem, data: st.DataObject) -> None:
    inputs = points(problem, data)
    values = problem.evaluate(inputs)
    # Rows that are just satisfied: the tightest case for the outward rounding.
    rows = tuple(Row(row.form, row.form.value(values)) for row in problem.rows)
    relus = tuple(
        Relu(relu.pre, min(relu.lower, relu.pre.value(values)), max(relu.upper, relu.pre.value(values))) for relu in problem.relus
    )
    tight = Problem(problem.inputs, relus, rows)
    assert tight.satisfied(inputs)
    assert formula_holds(tight, Encoding.ROUNDED, values)


@pytest.mark.parametrize("encoding", EXACT)
@settings(max_examples=40, deadline=None)
@given(value=fractions(), shift=fractions().filter(lambda s: s != 0))
def test_a_wrong_relu_value_satisfies_no_exact_encoding(encoding: Encoding, value: Fraction, shift: Fraction) -> None:
    problem = Problem(
        (Interval(-abs(value), abs(value)),),
        (Relu(LinearForm(((0, Fraction(1)),)), -abs(value), abs(value)),),
    )
    right = max(Fraction(0), value)
    assert formula_holds(problem, encoding, (value, right))
    assert not formula_holds(problem, encoding, (value, right + shift))


def numerals(problem: Problem, encoding: Encoding) -> list[Fraction]:
    """The coefficients that the formulas of a problem multiply variables with."""
    with Environment() as env:
        _, assertions = encode(problem, encoding, env)
        stack: list[Any] = list(assertions)
        found = []
        while stack:
            node = stack.pop()
            if node.is_times():
                found += [Fraction(a.constant_value()) for a in node.args() if a.is_real_constant()]
            stack += node.args()
    return found


@settings(max_examples=40, deadline=None)
@given(problems())
def test_rounded_coefficients_are_short(problem: Problem) -> None:
    for coefficient in numerals(problem, Encoding.ROUNDED):
        assert coefficient.denominator & (coefficient.denominator - 1) == 0
        numerator = abs(coefficient.numerator)
        odd_part = numerator // (numerator & -numerator)
        assert odd_part.bit_length() <= COEFFICIENT_BITS


def test_exact_coefficients_are_those_of_the_problem() -> None:
    third = Fraction(1, 3)
    problem = Problem((Interval(Fraction(0), third),), (), (Row(LinearForm(((0, third),)), third),))
    assert numerals(problem, Encoding.CASE_SPLIT) == [third]
    assert numerals(problem, Encoding.ROUNDED) != [third]
