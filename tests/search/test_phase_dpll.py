"""The search over phases against exact deciders, its lemmas against their meaning, and its limits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.search.phase_dpll import PhaseSearch, decide_residual, rounded
from secateur_encodings import Interval, LinearForm, Problem, Relu, Row, Sat, Unknown, Unsat, decide
from tests.secateur_encodings.support import SMALL, feasible, hard_problem, problems, range_of

ZERO, ONE = Fraction(0), Fraction(1)
AMPLE = 60.0


def later(seconds: float = AMPLE) -> float:
    return time.monotonic() + seconds


def dense_problem(rng: np.random.Generator, inputs: int, relus: int, strict: bool) -> Problem:
    """Small coefficients, a true interval bound for every ReLU, and rows whose bounds are met exactly at some corner."""

    def number() -> Fraction:
        return SMALL[rng.integers(len(SMALL))]

    box = tuple(Interval(*sorted((number(), number()))) for _ in range(inputs))
    ranges, nonlinear = list(box), []
    for _ in range(relus):
        pre = LinearForm.of({v: number() for v in range(len(ranges))}, number())
        bounds = range_of(pre, ranges)
        nonlinear.append(Relu(pre, bounds.lower, bounds.upper))
        ranges.append(nonlinear[-1].output_range)
    free = Problem(box, tuple(nonlinear))
    rows = []
    for _ in range(2):
        form = LinearForm.of({v: number() for v in range(len(ranges))}, number())
        corners = [free.evaluate([x.lower if rng.random() < 0.5 else x.upper for x in box]) for _ in range(12)]
        met = sorted({form.value(values) for values in corners})
        rows.append(Row(form, met[rng.integers(min(3, len(met)))], strict))
    return Problem(box, tuple(nonlinear), tuple(rows))


# --- verdicts


@pytest.mark.parametrize("strict", [False, True])
def test_verdicts_agree_with_z3_and_small_problems_are_all_decided(strict: bool) -> None:
    rng = np.random.default_rng(11 + strict)
    seen: Counter[type] = Counter()
    for _ in range(80):
        problem = dense_problem(rng, int(rng.integers(1, 4)), int(rng.integers(0, 6)), strict)
        verdict = decide_residual(problem, later())
        expected = decide(problem, "z3", AMPLE)
        assert type(verdict) is type(expected), problem
        if isinstance(verdict, Sat):
            assert problem.satisfied(verdict.model)
        seen[type(verdict)] += 1
    assert min(seen[Sat], seen[Unsat]) >= 10


@settings(deadline=None, max_examples=150)
@given(problems())
def test_no_verdict_is_wrong_whatever_the_numbers(problem: Problem) -> None:
    verdict = decide_residual(problem, later())
    if isinstance(verdict, Sat):
        assert problem.satisfied(verdict.model)
    if isinstance(verdict, Unsat):
        assert not feasible(problem)


@settings(deadline=None, max_examples=60)
@given(problems(max_relus=4), st.lists(st.integers(0, 12), min_size=2, max_size=2))
def test_a_problem_with_a_known_model_is_never_refuted(problem: Problem, shares: list[int]) -> None:
    point = [x.lower + Fraction(n, 12) * (x.upper - x.lower) for x, n in zip(problem.inputs, shares, strict=False)]
    values = problem.evaluate(point)
    relus = tuple(
        replace(r, lower=min(r.lower, r.pre.value(values)), upper=max(r.upper, r.pre.value(values))) for r in problem.relus
    )
    rows = tuple(Row(row.form, row.form.value(values)) for row in problem.rows)  # every row is met with equality there
    tight = Problem(problem.inputs, relus, rows)
    assert tight.satisfied(point)
    assert not isinstance(decide_residual(tight, later()), Unsat)


def absolute_value(bound: Fraction, *, strict: bool, factor: Fraction = ONE) -> Problem:
    """factor * (|x| + x/2) <= bound (or <) for x in [-1, 1]: at its smallest at x = 0 alone, a kink of both ReLUs."""
    relus = tuple(Relu(LinearForm.of({0: c}), -factor, factor) for c in (factor, -factor))
    form = LinearForm.of({0: factor / 2, 1: ONE, 2: ONE})
    return Problem((Interval(-ONE, ONE),), relus, (Row(form, bound, strict),))


@pytest.mark.parametrize("factor", [ONE, Fraction(1, 3), Fraction(10**9 + 7, 10**9)])
def test_ties_are_decided_exactly(factor: Fraction) -> None:
    assert isinstance(decide_residual(absolute_value(ZERO, strict=True, factor=factor), later()), Unsat)
    assert decide_residual(absolute_value(ZERO, strict=False, factor=factor), later()) == Sat((ZERO,))
    tiny = Fraction(1, 10**40)
    assert isinstance(decide_residual(absolute_value(-tiny, strict=False, factor=factor), later()), Unsat)


def test_of_two_rows_that_tie_the_strict_one_refutes() -> None:
    form = LinearForm.of({0: Fraction(1, 3)})
    rows = (Row(form, ZERO), Row(form, ZERO, strict=True))
    assert isinstance(decide_residual(Problem((Interval(ZERO, ONE),), (), rows), later()), Unsat)


def test_phases_imposed_by_bounds_are_constraints() -> None:
    box = (Interval(-ONE, ONE),)
    active = Relu(LinearForm.of({0: ONE}), ZERO, ONE)
    inactive = Relu(LinearForm.of({0: ONE}, -ONE / 2), Fraction(-3, 2), ZERO)
    below = Row(LinearForm.of({0: ONE}), Fraction(-1, 10))
    assert isinstance(decide_residual(Problem(box, (active,), (below,)), later()), Unsat)
    above = Row(LinearForm.of({1: -ONE}), Fraction(-6, 10))
    assert isinstance(decide_residual(Problem(box, (active, inactive), (above,)), later()), Unsat)
    verdict = decide_residual(Problem(box, (active, inactive)), later())
    assert isinstance(verdict, Sat)
    assert 0 <= verdict.model[0] <= Fraction(1, 2)


def test_bounds_that_contradict_each_other_are_refuted_without_any_row() -> None:
    # 1/3 <= x / 3 and x <= 9/10: the phases alone have no point.
    relus = (
        Relu(LinearForm.of({0: Fraction(1, 3)}), Fraction(1, 3), ONE),
        Relu(LinearForm.of({0: ONE}), -ONE, Fraction(9, 10)),
    )
    assert isinstance(decide_residual(Problem((Interval(-ONE, ONE),), relus), later()), Unsat)


def test_inputs_that_contradict_each_other_are_refuted() -> None:
    rows = (Row(LinearForm.of({0: ONE}), Fraction(1, 4)), Row(LinearForm.of({0: -ONE}), Fraction(-1, 3)))
    assert isinstance(decide_residual(Problem((Interval(ZERO, ONE),), (), rows), later()), Unsat)
    nothing = Row(LinearForm.of({}), -ONE)
    assert isinstance(decide_residual(Problem((Interval(ZERO, ONE),), (), (nothing,)), later()), Unsat)


def test_numbers_as_long_as_those_of_composed_networks() -> None:
    """A margin of 1e-5 of the scale, coefficients of 200 bits; the answer is known by construction."""
    rng = np.random.default_rng(3)
    long = Fraction(3**60, 2**95)
    box = tuple(Interval(ZERO, ONE) for _ in range(3))
    relus: list[Relu] = []
    ranges = list(box)
    for _ in range(8):
        pre = LinearForm.of({v: Fraction(rng.normal()) * long for v in range(len(ranges))}, Fraction(rng.normal()) * long)
        bounds = range_of(pre, ranges)
        relus.append(Relu(pre, bounds.lower, bounds.upper))
        ranges.append(relus[-1].output_range)
    form = LinearForm.of({v: Fraction(rng.normal()) * long for v in range(3, 11)})
    free = Problem(box, tuple(relus))
    values = [form.value(free.evaluate([Fraction(x) for x in point])) for point in rng.random((200, 3))]
    found = decide_residual(replace(free, rows=(Row(form, min(values)),)), later())
    assert isinstance(found, Sat)
    least, scale = min(values), max(values) - min(values)
    while isinstance(found, Sat):  # walk down to a bound that is refuted: no step may be a wrong refutation
        least = form.value(free.evaluate(found.model)) - scale / 10**5
        found = decide_residual(replace(free, rows=(Row(form, least),)), later())
    assert isinstance(found, Unsat)
    assert isinstance(decide(replace(free, rows=(Row(form, least),)), "z3", AMPLE), Unsat)


# --- lemmas


def as_bounds(problem: Problem, literals: Sequence[int]) -> Problem:
    """The problem with these phases imposed."""
    relus = list(problem.relus)
    for literal in literals:
        k = abs(literal) - 1
        relus[k] = replace(relus[k], lower=ZERO) if literal > 0 else replace(relus[k], upper=ZERO)
    return replace(problem, relus=tuple(relus))


def lemmas_of(search: PhaseSearch) -> list[tuple[int, ...]]:
    return [step.clause for step in search.steps if step.multipliers is not None]


def test_every_lemma_is_implied() -> None:
    rng = np.random.default_rng(8)
    checked = 0
    for _ in range(25):
        problem = dense_problem(rng, 3, 8, strict=True)
        search = PhaseSearch(problem, later())
        search.run()
        for lemma in lemmas_of(search):
            verdict = decide(as_bounds(problem, [-literal for literal in lemma]), "z3", AMPLE)
            assert isinstance(verdict, Unsat)
            checked += len(lemma) > 0
    assert checked >= 20


def test_the_search_learns_more_than_it_enumerates() -> None:
    search = PhaseSearch(hard_problem(6), later())
    assert isinstance(search.run(), Unsat)
    assert search.nodes < 60  # of 4096 combinations of phases
    assert lemmas_of(search)


# --- limits


def test_no_time_and_no_nodes_are_unknown() -> None:
    problem = hard_problem(4)
    assert decide_residual(problem, time.monotonic() - 1) == Unknown("the time limit is used up")
    assert decide_residual(problem, later(), most_nodes=1) == Unknown("the limit of 1 nodes is used up")
    assert isinstance(decide_residual(problem, later()), Unsat)


def test_a_hard_problem_ends_unknown_at_its_deadline() -> None:
    assert decide_residual(hard_problem(), later(0.3)) == Unknown("the time limit is used up")


def test_numbers_beyond_floats_are_unknown_and_no_verdict() -> None:
    form = LinearForm.of({0: ONE, 1: Fraction(10) ** 400})
    inputs = (Interval(ZERO, ONE), Interval(ZERO, ONE / Fraction(10) ** 400))
    verdict = decide_residual(Problem(inputs, (), (Row(form, Fraction(-(10**700))),)), later())
    assert isinstance(verdict, Unknown | Unsat)
    far = Problem((Interval(ZERO, ONE),), (), (Row(LinearForm.of({0: ONE}), Fraction(10**700)),))
    assert decide_residual(far, later()) == Unknown("the numbers of the problem are beyond floats")


# --- rounding


def test_multipliers_are_rounded_in_proportion() -> None:
    assert rounded(np.array([1.0, -0.5, 1e-300]), 30) == [2**30, -(2**29), 0]
    assert rounded(np.array([0.0, 0.0]), 30) == [0, 0]
    assert rounded(np.array([]), 30) == []
    for bad in (np.nan, np.inf, -np.inf):
        assert rounded(np.array([1.0, bad]), 30) == [0, 0]
