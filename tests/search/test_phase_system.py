"""What multipliers prove, against the same sums in fractions and against an exact decider."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.search.phase_system import PhaseSystem, Weighed, as_integers, phase_system
from secateur_encodings import Interval, LinearForm, Problem, Relu, Row
from tests.search.test_phase_dpll import as_bounds
from tests.secateur_encodings.support import feasible, problems

ZERO, ONE = Fraction(0), Fraction(1)
WEIGHTS = st.sampled_from([0, 0, 1, 2, -1, -3, 7, 2**30])


def surplus(system: PhaseSystem, multipliers: Sequence[int], literals: Sequence[int]) -> Fraction:
    """The slow twin: the least of the weighted sum over all columns, less the most that the rows allow, in fractions.

    In the units of `Weighed`. The phases are applied to the bounds one by one.
    """
    columns = [[Fraction(a), Fraction(b)] for a, b in zip(system.lower, system.upper, strict=True)]
    ends = [[row.lower, row.upper] for row in system.rows]
    for literal in literals:
        relu = system.unstable(abs(literal) - 1)
        if literal > 0:
            columns[relu.pre][0], ends[relu.gap][1] = ZERO, 0
        else:
            columns[relu.pre][1] = columns[relu.output][1] = ZERO
    sums, allowed = [ZERO] * len(columns), ZERO
    for row, (low, high), y in zip(system.rows, ends, multipliers, strict=True):
        bound = high if y > 0 else low
        if y and bound is not None:
            allowed += y * bound
            for column, coefficient in row.terms:
                sums[column] += y * coefficient
    return sum((min(c * low, c * high) for c, (low, high) in zip(sums, columns, strict=True)), ZERO) - allowed


def literals_of(system: PhaseSystem, data: st.DataObject) -> list[int]:
    signs = [data.draw(st.sampled_from([-1, 0, 1])) if relu else 0 for relu in system.relus]
    return [sign * (k + 1) for k, sign in enumerate(signs) if sign]


@settings(deadline=None, max_examples=150)
@given(problems(max_inputs=3), st.data())
def test_weighing_agrees_with_its_twin(problem: Problem, data: st.DataObject) -> None:
    system = phase_system(problem)
    multipliers = data.draw(st.lists(WEIGHTS, min_size=len(system.rows), max_size=len(system.rows)))
    literals = literals_of(system, data)
    weighed = system.weigh(multipliers)
    assert weighed.total(literals) == surplus(system, multipliers, literals)
    assert weighed.strict == any(row.strict and y > 0 for row, y in zip(system.rows, multipliers, strict=True))
    assert all(gain >= 0 for gain in weighed.gains.values())


@settings(deadline=None, max_examples=150)
@given(problems(), st.data())
def test_whatever_the_multipliers_a_core_is_infeasible(problem: Problem, data: st.DataObject) -> None:
    """Multipliers drawn at random, mostly on the rows of the problem: where they refute anything, it is refutable."""
    system = phase_system(problem)
    multipliers = data.draw(st.lists(WEIGHTS, min_size=len(system.rows), max_size=len(system.rows)))
    literals = literals_of(system, data)
    core = system.weigh(multipliers).core(literals)
    if core is not None:
        assert set(core) <= set(literals)
        assert not feasible(as_bounds(problem, core))


def test_a_corrupted_multiplier_refutes_no_more() -> None:
    # x >= 1/3 and relu(x) <= 1/4 on [-1, 1].
    box, relu = Interval(-ONE, ONE), Relu(LinearForm.of({0: ONE}), -ONE, ONE)
    rows = (Row(LinearForm.of({0: -ONE}), Fraction(-1, 3)), Row(LinearForm.of({1: ONE}), Fraction(1, 4)))
    system = phase_system(Problem((box,), (relu,), rows))
    assert len(system.rows) == 5  # z = x; r - z; the triangle; the two rows
    # The input is x = 2 t - 1, and rows are scaled to coefficients of size 1: -t <= -2/3 is the first goal.
    right = [-1, -1, 0, 2, 1]
    assert system.weigh(right).core(()) == ()
    assert surplus(system, right, ()) > 0
    for i, wrong in ((0, 1), (1, 1), (3, -1), (3, 0), (3, 1), (4, 0), (0, -3), (4, 10)):
        corrupted = [*right[:i], wrong, *right[i + 1 :]]
        assert surplus(system, corrupted, ()) <= 0
        assert system.weigh(corrupted).core(()) is None


def test_a_total_of_zero_refutes_only_with_a_strict_row() -> None:
    def weighed(*, strict: bool) -> Weighed:
        row = Row(LinearForm.of({0: ONE}), ZERO, strict)
        return phase_system(Problem((Interval(ZERO, ONE),), (), (row,))).weigh([1])

    assert weighed(strict=False).total(()) == weighed(strict=True).total(()) == 0
    assert weighed(strict=True).core(()) == ()
    assert weighed(strict=False).core(()) is None


def test_a_core_keeps_the_phases_it_needs() -> None:
    gains = {1: 5, -1: 0, 2: 1, -3: 2}
    assert Weighed(-6, False, gains).core((1, 2, -3)) == (-3, 1)
    assert Weighed(-7, False, gains).core((1, 2, -3)) == (2, -3, 1)
    assert Weighed(-7, True, gains).core((1, 2, -3)) == (-3, 1)  # 2 + 5 - 7 = 0 is enough
    assert Weighed(-8, False, gains).core((1, 2, -3)) is None
    assert Weighed(-8, True, gains).core((1, 2, -3)) == (2, -3, 1)
    assert Weighed(1, False, gains).core((1, -1)) == ()
    assert Weighed(-5, False, gains).refuted_with((2,)) == [1]
    assert Weighed(-5, False, gains).core((2,), (1,)) == (2, 1)


def test_triangles_and_stable_relus() -> None:
    box = Interval(ZERO, ONE)
    forms = [(Fraction(-1, 2), Fraction(1, 2)), (ZERO, ONE), (-ONE, ZERO)]
    relus = tuple(Relu(LinearForm.of({0: ONE}, low), low, high) for low, high in forms)
    system = phase_system(Problem((box,), relus))
    assert [relu is not None for relu in system.relus] == [True, False, False]
    assert len(system.rows) == 7
    with pytest.raises(ValueError, match="fix its phase"):
        system.bounds_under(2)


@settings(deadline=None)
@given(problems(max_inputs=3), st.data())
def test_points_of_the_box_are_their_columns(problem: Problem, data: st.DataObject) -> None:
    system = phase_system(problem)
    shares = [data.draw(st.sampled_from([ZERO, Fraction(1, 3), ONE])) for _ in problem.inputs]
    point = [x.lower + t * (x.upper - x.lower) for x, t in zip(problem.inputs, shares, strict=True)]
    columns = [(p - o) / s for p, o, s in zip(point, system.origins, system.scales, strict=True)]
    assert system.point(columns) == tuple(point)
    assert all(0 <= c <= 2 for c in columns)
    outside = [c + 5 for c in columns]
    assert all(value in box for value, box in zip(system.point(outside), problem.inputs, strict=True))


@settings(deadline=None)
@given(problems(max_inputs=3), st.data())
def test_every_point_with_its_phases_satisfies_the_rows_of_its_relus(problem: Problem, data: st.DataObject) -> None:
    """The relaxation keeps every point: the rows of the ReLUs hold at it, under the phases that it has."""
    shares = [data.draw(st.sampled_from([Fraction(n, 4) for n in range(5)])) for _ in problem.inputs]
    point = [x.lower + t * (x.upper - x.lower) for x, t in zip(problem.inputs, shares, strict=True)]
    values = problem.evaluate(point)
    z = [relu.pre.value(values) for relu in problem.relus]
    if not all(relu.lower <= own <= relu.upper for relu, own in zip(problem.relus, z, strict=True)):
        return  # an imposed phase excludes this point
    system = phase_system(problem)
    n = len(problem.inputs)
    scale = [max(abs(relu.lower), abs(relu.upper)) for relu in problem.relus]
    units = [Fraction(2) ** (s.numerator.bit_length() - s.denominator.bit_length()) if s else ONE for s in scale]
    columns = [(p - o) / s for p, o, s in zip(point, system.origins, system.scales, strict=True)]
    columns += [own / unit for own, unit in zip(z, units, strict=True)]
    columns += [own / unit for own, unit in zip(values[n:], units, strict=True)]
    scaled = [c * system.column_unit for c in columns]
    assert all(low <= c <= high for low, c, high in zip(system.lower, scaled, system.upper, strict=True))
    for row in system.rows[: system.first_goal]:
        total = sum((a * scaled[c] for c, a in row.terms), ZERO)
        assert row.lower is None or row.lower <= total
        assert row.upper is None or total <= row.upper
    for k, relu in enumerate(system.relus):
        if relu is not None and z[k] != 0:
            zs, rs, gap = system.bounds_under(k + 1 if z[k] > 0 else -k - 1)
            assert zs[0] <= scaled[relu.pre] <= zs[1]
            assert rs[0] <= scaled[relu.output] <= rs[1]
            assert gap[0] <= (scaled[relu.output] - scaled[relu.pre]) * system.coefficient_unit <= gap[1]


@given(st.lists(st.fractions(), max_size=6))
def test_integers_are_in_proportion(values: list[Fraction]) -> None:
    found = as_integers(values)
    assert all(a * y == b * x for a, x in zip(found, values, strict=True) for b, y in zip(found, values, strict=True))
    assert [(a > 0, a < 0) for a in found] == [(x > 0, x < 0) for x in values]
