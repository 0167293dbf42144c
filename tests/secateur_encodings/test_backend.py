"""Whole answers of z3 and cvc5 against an exact decision procedure of our own."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from pysmt.environment import get_env

from secateur_encodings import (
    SOLVERS,
    Encoding,
    Interval,
    LinearForm,
    Problem,
    Row,
    Sat,
    SolverMissingError,
    Unknown,
    Unsat,
    available_solvers,
    decide,
    solve,
)
from tests.secateur_encodings.support import HARD_LIMIT, feasible, hard_problem, problems

ONE = Fraction(1)
THIRDS = Interval(Fraction(-1, 3), Fraction(2, 3))


@pytest.mark.parametrize("solver", list(SOLVERS))
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_decide_agrees_with_elimination(solver: str, problem: Problem) -> None:
    verdict = decide(problem, solver)
    assert isinstance(verdict, Sat if feasible(problem) else Unsat)
    if isinstance(verdict, Sat):
        assert problem.satisfied(verdict.model)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("solver", list(SOLVERS))
@settings(max_examples=30, deadline=None)
@given(problem=problems())
def test_every_encoding_is_sound(solver: str, encoding: Encoding, problem: Problem) -> None:
    verdict = solve(problem, solver, encoding=encoding)
    allowed = (Sat, Unknown) if feasible(problem) else (Unsat, Unknown)
    assert isinstance(verdict, allowed)
    # Only the relaxation may leave such small problems open.
    assert encoding is Encoding.ROUNDED or not isinstance(verdict, Unknown)


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize(("strict", "answer"), [(True, Unsat), (False, Sat)])
def test_a_tie_is_decided_by_strictness(solver: str, strict: bool, answer: type) -> None:
    form = LinearForm(((0, ONE), (1, Fraction(-1, 7))))
    least = THIRDS.lower - Fraction(1, 7) * THIRDS.upper
    problem = Problem((THIRDS, THIRDS), (), (Row(form, least, strict),))
    verdict = decide(problem, solver)
    assert isinstance(verdict, answer)
    if isinstance(verdict, Sat):
        assert verdict.model == (THIRDS.lower, THIRDS.upper)


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_spurious_model_is_unknown_not_sat(solver: str) -> None:
    # 1/3 - 2^-60 is beyond 24 bits: the rounded row admits points that the exact one does not.
    form = LinearForm(((0, Fraction(1, 3)), (1, Fraction(-1, 3) + Fraction(1, 2**60))))
    unit = Interval(ONE, ONE)
    problem = Problem((unit, unit), (), (Row(form, Fraction(0)),))
    assert not feasible(problem)
    assert isinstance(solve(problem, solver, encoding=Encoding.ROUNDED), Unknown)
    assert isinstance(decide(problem, solver), Unsat)


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("bits", [190, 900])
def test_an_aggregated_row_of_long_rationals_is_refuted(solver: str, bits: int) -> None:
    # sum c_i x_i > least - 2^-bits on the box, so its negation is unsatisfiable by a hair.
    coefficients = [Fraction((7 ** (i + 40) % 2**bits) * (-1) ** i + 1, 2 ** (bits - 2)) for i in range(40)]
    boxes = [Interval(Fraction(-i - 1, 10), Fraction(i + 2, 3)) for i in range(40)]
    least = sum((min(c * b.lower, c * b.upper) for c, b in zip(coefficients, boxes, strict=True)), Fraction(0))
    form = LinearForm.of(dict(enumerate(coefficients)))
    refutable = Problem(tuple(boxes), (), (Row(form, least - Fraction(1, 2**bits)),))
    assert isinstance(decide(refutable, solver), Unsat)
    attained = Problem(tuple(boxes), (), (Row(form, least),))
    assert isinstance(decide(attained, solver), Sat)


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_limit_ends_in_unknown(solver: str) -> None:
    assert isinstance(decide(hard_problem(), solver, HARD_LIMIT), Unknown)
    assert isinstance(decide(hard_problem(2), solver, 0.0), Unknown)


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_query_leaves_nothing_behind_in_pysmts_global_environment(solver: str) -> None:
    """pySMT memoises types in the environment that is entered; if that is not ours, queries get slower."""
    before = get_env()
    size = len(before.stc.memoization)
    assert isinstance(decide(hard_problem(2), solver), Unsat)
    assert get_env() is before
    assert len(before.stc.memoization) == size


def test_the_solvers_of_this_installation_are_found_with_their_versions() -> None:
    found = available_solvers()
    assert set(found) == {"z3", "cvc5"}
    assert all(version[0].isdigit() for version in found.values())


def test_an_unknown_solver_is_refused_by_name() -> None:
    with pytest.raises(SolverMissingError, match="no SMT solver named 'yices'"):
        solve(hard_problem(2), "yices", encoding=Encoding.ITE)


def test_a_missing_solver_is_named_with_its_remedy() -> None:
    assert "pip install z3-solver" in str(SolverMissingError("z3"))
