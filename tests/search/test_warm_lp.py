"""The LP against exact optima, and the rational vertex of its basis: proposals, so what is tested is that they are good."""

from __future__ import annotations

import time
from fractions import Fraction

import highspy
import numpy as np
import pytest

from secateur.search.exact_vertex import exact_multipliers, exact_point
from secateur.search.float_twin import FloatTwin
from secateur.search.phase_dpll import rounded
from secateur.search.phase_system import as_integers, phase_system
from secateur.search.warm_lp import WarmLp
from secateur_encodings import Interval, LinearForm, Problem, Relu, Row

ZERO, ONE = Fraction(0), Fraction(1)
THIRD = Fraction(1, 3)


def later() -> float:
    return time.monotonic() + 60


def kink(bound: Fraction, *, strict: bool = False) -> Problem:
    """relu(x) + relu(-x) <= bound on [-1, 1]."""
    relus = tuple(Relu(LinearForm.of({0: c}), -ONE, ONE) for c in (ONE, -ONE))
    return Problem((Interval(-ONE, ONE),), relus, (Row(LinearForm.of({1: ONE, 2: ONE}), bound, strict),))


def test_the_margin_follows_the_phases_back_and_forth() -> None:
    problem = Problem((Interval(-ONE, ONE),), kink(ZERO).relus, (Row(LinearForm.of({1: -ONE, 2: -ONE}), -ONE / 2),))
    lp = WarmLp(phase_system(problem))
    margins = []
    for phases in ([0, 0], [-1, -1], [0, 0], [1, -1], [-1, -1]):
        solution = lp.solve(phases, later())
        assert solution is not None
        assert solution.feasible
        margins.append(round(solution.margin, 9))
    # |x| may reach 1: with x = r it is 1/2 too much; with both phases inactive x is 0, and |x| is 1/2 too small.
    assert margins == [-0.5, 0.5, -0.5, -0.5, 0.5]


def test_duals_of_an_infeasible_goal_refute_exactly() -> None:
    system = phase_system(kink(-ONE / 7))
    solution = WarmLp(system).solve([0, 0], later())
    assert solution is not None
    assert solution.margin == pytest.approx(1 / 7)
    assert system.weigh(rounded(solution.multipliers, 30)).core(()) == ()


def test_contradicting_phases_have_a_ray_and_elastic_duals() -> None:
    # x >= 1/3 by the stated bounds of the first, and the second inactive needs x <= 0.
    relus = (Relu(LinearForm.of({0: ONE}), THIRD, ONE), Relu(LinearForm.of({0: ONE}), -ONE, ONE))
    system = phase_system(Problem((Interval(-ONE, ONE),), relus, (Row(LinearForm.of({0: ONE}), ONE),)))
    lp = WarmLp(system)
    assert lp.solve([0, 0], later()).feasible  # type: ignore[union-attr]
    solution = lp.solve([0, -1], later())
    assert solution is not None
    assert not solution.feasible
    cores = [system.weigh(rounded(sign * solution.multipliers, 30)).core((-2,)) for sign in (1, -1)]
    assert (-2,) in cores
    elastic = lp.solve_elastic(later())
    assert elastic is not None
    assert system.weigh(rounded(elastic.multipliers, 30)).core((-2,)) == (-2,)
    exact = exact_multipliers(system, lp.basis(), elastic=True, deadline=later())
    assert exact is not None
    assert system.weigh(as_integers(exact)).core((-2,)) == (-2,)
    again = lp.solve([0, 0], later())  # the plain form is back
    assert again is not None
    assert again.feasible


def test_the_vertex_of_a_tie_is_exact() -> None:
    # x / 3 >= 1/3 - 1/7**4 leaves x = 1 - 3/7**4 at the least; the other row asks for that very point.
    bound = THIRD - Fraction(1, 7**4)
    rows = (Row(LinearForm.of({0: -THIRD}), -bound), Row(LinearForm.of({0: ONE}), 3 * bound))
    problem = Problem((Interval(ZERO, ONE),), (), rows)
    system = phase_system(problem)
    lp = WarmLp(system)
    solution = lp.solve([], later())
    assert solution is not None
    assert abs(solution.margin) < 1e-9
    point = exact_point(system, lp.basis(), (), later())
    assert point == (3 * bound,)
    assert problem.satisfied(point)
    multipliers = exact_multipliers(system, lp.basis(), elastic=False, deadline=later())
    assert multipliers is not None
    assert system.weigh(as_integers(multipliers)).total(()) == 0  # an exact tie: nothing to spare, and nothing missing


def test_the_deadline_ends_everything() -> None:
    system = phase_system(kink(ZERO))
    lp = WarmLp(system)
    assert lp.solve([0, 0], time.monotonic() - 1) is None
    assert lp.solve([0, 0], later()) is not None
    assert exact_multipliers(system, lp.basis(), elastic=False, deadline=time.monotonic() - 1) is None
    assert exact_point(system, lp.basis(), (), time.monotonic() - 1) is None


def test_numbers_the_solver_refuses_are_an_error() -> None:
    far = Problem((Interval(ZERO, ONE),), (), (Row(LinearForm.of({0: ONE}), Fraction(10**700)),))
    with pytest.raises(ArithmeticError):
        WarmLp(phase_system(far))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_float_twin_measures_violations(share: float) -> None:
    system = phase_system(kink(ONE / 4))
    columns = np.zeros(len(system.lower))
    columns[0] = share * (system.upper[0] / system.column_unit)
    x = 2 * share - 1
    # |x| - 1/4 from the row; the stated bounds of both ReLUs are kept with 1 - |x| to spare.
    assert FloatTwin(system).violation(columns) == pytest.approx(max(abs(x) - 0.25, abs(x) - 1))


def test_the_float_twin_measures_stated_bounds() -> None:
    relu = Relu(LinearForm.of({0: ONE}), -ONE, ONE / 2)
    system = phase_system(Problem((Interval(-ONE, ONE),), (relu,)))
    columns = np.array([float(Fraction(system.upper[0], system.column_unit)), 0.0, 0.0])
    assert FloatTwin(system).violation(columns) == pytest.approx(0.5)


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Not below Python's own streams either: the first line of standard output is a verdict."""
    solution = WarmLp(phase_system(kink(ZERO))).solve([0, 0], later())
    assert solution is not None
    assert capfd.readouterr() == ("", "")


def test_the_solver_shares_a_process(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever used HiGHS first has set the number of its threads, for the whole process."""
    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs.__base__()
    other.setOptionValue("output_flag", False)
    other.setOptionValue("threads", 2)
    assert other.passModel(WarmLp(phase_system(kink(ZERO)))._model()) != highspy.HighsStatus.kError
    assert other.run() == highspy.HighsStatus.kOk
    try:
        solution = WarmLp(phase_system(kink(ZERO))).solve([0, 0], later())
    finally:
        highspy.Highs.resetGlobalScheduler(True)
    assert solution is not None
    assert capfd.readouterr() == ("", "")
