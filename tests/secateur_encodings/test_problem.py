"""Problems: exact evaluation against a naive twin, and what may not be stated."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_encodings import Interval, LinearForm, Problem, Relu, Row, Sat, Unknown, Unsat, Verdict
from tests.secateur_encodings.support import fractions, problems, range_of

ONE = Fraction(1)
#: Where a coordinate lies between its bounds.
SHARES = st.sampled_from([Fraction(n, 8) for n in range(9)])
UNIT = Interval(Fraction(0), ONE)


def naive_values(problem: Problem, inputs: list[Fraction]) -> dict[int, Fraction]:
    values = dict(enumerate(inputs))
    for relu in problem.relus:
        total = relu.pre.constant
        for variable, coefficient in relu.pre.terms:
            total = total + coefficient * values[variable]
        values[len(values)] = total if total > 0 else Fraction(0)
    return values


@settings(deadline=None)
@given(problems(), st.data())
def test_evaluate_agrees_with_a_naive_twin(problem: Problem, data: st.DataObject) -> None:
    inputs = [data.draw(fractions()) for _ in problem.inputs]
    expected = naive_values(problem, inputs)
    assert problem.evaluate(inputs) == tuple(expected[v] for v in range(problem.variable_count))


@settings(deadline=None)
@given(problems(), st.data())
def test_satisfied_is_the_conjunction_of_everything_stated(problem: Problem, data: st.DataObject) -> None:
    inputs = [data.draw(st.one_of(fractions(), st.just(x.lower))) for x in problem.inputs]
    values = naive_values(problem, inputs)

    def at(form: LinearForm) -> Fraction:
        return form.constant + sum(c * values[v] for v, c in form.terms)

    stated = [x.lower <= value <= x.upper for value, x in zip(inputs, problem.inputs, strict=True)]
    stated += [relu.lower <= at(relu.pre) <= relu.upper for relu in problem.relus]
    stated += [at(r.form) < r.bound or (at(r.form) == r.bound and not r.strict) for r in problem.rows]
    assert problem.satisfied(inputs) == all(stated)


@settings(deadline=None)
@given(problems(), st.data())
def test_ranges_hold_every_value_in_the_box(problem: Problem, data: st.DataObject) -> None:
    part = [data.draw(SHARES) for _ in problem.inputs]
    inputs = [x.lower + t * (x.upper - x.lower) for x, t in zip(problem.inputs, part, strict=True)]
    values = problem.evaluate(inputs)
    if all(relu.lower <= relu.pre.value(values) <= relu.upper for relu in problem.relus):
        assert all(value in interval for value, interval in zip(values, problem.ranges, strict=True))
        for relu in problem.relus:
            assert relu.pre.value(values) in range_of(relu.pre, problem.ranges)


@pytest.mark.parametrize(
    ("form", "strict", "holds"),
    [
        (ONE, False, True),
        (ONE, True, False),
        (Fraction(99, 100), True, True),
        (Fraction(101, 100), False, False),
    ],
)
def test_a_strict_row_excludes_its_bound(form: Fraction, strict: bool, holds: bool) -> None:
    assert Row(LinearForm((), form), ONE, strict).holds([]) == holds


def test_malformed_statements_are_refused() -> None:
    reads_itself = Relu(LinearForm(((1, ONE),)), -ONE, ONE)
    with pytest.raises(ValueError, match="outside the first 1"):
        Problem((UNIT,), (reads_itself,))
    with pytest.raises(ValueError, match="outside the first 2"):
        Problem((UNIT,), (Relu(LinearForm(((0, ONE),)), -ONE, ONE),), (Row(LinearForm(((2, ONE),)), ONE),))
    with pytest.raises(ValueError, match="outside the first 1"):
        Problem((UNIT,), (), (Row(LinearForm(((-1, ONE),)), ONE),))
    with pytest.raises(ValueError, match="empty interval"):
        Interval(ONE, Fraction(0))
    with pytest.raises(ValueError, match="contradictory"):
        Relu(LinearForm(()), ONE, Fraction(0))
    with pytest.raises(ValueError, match="ascend"):
        LinearForm(((1, ONE), (0, ONE)))
    with pytest.raises(ValueError, match="ascend"):
        LinearForm(((1, ONE), (1, ONE)))
    with pytest.raises(ValueError, match="nonzero"):
        LinearForm(((0, Fraction(0)),))
    with pytest.raises(ValueError, match="1 coordinates"):
        Problem((UNIT,)).satisfied([ONE, ONE])


@pytest.mark.parametrize("verdict", [Unsat(), Sat(()), Unknown("because")])
def test_a_verdict_is_no_truth_value(verdict: Verdict) -> None:
    with pytest.raises(TypeError, match="three values"):
        bool(verdict)
