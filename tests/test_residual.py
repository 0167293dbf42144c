"""The normal form against exact evaluation and whole networks, and the solvers behind one door."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur import residual
from secateur.errors import InputError
from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term
from secateur.residual import (
    Constraint,
    ResidualSolver,
    Sat,
    SolverChoice,
    Unknown,
    Unsat,
    agreed,
    negative,
    normal_form,
    positive,
)
from secateur_encodings import Interval, LinearForm, Problem, Relu, Row
from tests.secateur_encodings.support import HARD_LIMIT, feasible, hard_problem, range_of
from tests.strategies import networks, skip_networks, small_dyadics

AMPLE = 60.0
ZERO, ONE = Fraction(0), Fraction(1)
TINY = networks(max_inputs=2, max_layers=2, max_width=2, max_outputs=2, weights=small_dyadics())
SKIPPING = skip_networks(max_inputs=2, max_layers=2, max_width=2, max_outputs=2)
BOUNDS = list[tuple[list[Fraction], list[Fraction]]]


def whole(network: Network, box: Sequence[Interval]) -> tuple[Problem, list[list[LinearForm]]]:
    """Every neuron as a ReLU with its interval bounds, stable or not; and the forms of all affine values, by
    layer.

    The slow twin of the normal form: one variable per neuron, and nothing composed.
    """
    ranges, relus, forms = list(box), [], []
    start = [0]  # the first variable of each source
    for affine in (*network.layers, network.output):
        coefficients: list[dict[int, Fraction]] = [{} for _ in range(affine.size)]
        for term in affine.terms:
            for i, row in enumerate(term.map.dense().rationals()):
                for j, weight in enumerate(row):
                    v = start[term.source] + j
                    coefficients[i][v] = coefficients[i].get(v, ZERO) + weight
        layer = [LinearForm.of(c, b) for c, b in zip(coefficients, affine.rational_bias(), strict=True)]
        forms.append(layer)
        start.append(len(ranges))
        if len(forms) <= len(network.layers):
            found = [range_of(form, ranges) for form in layer]
            relus += [Relu(form, z.lower, z.upper) for form, z in zip(layer, found, strict=True)]
            ranges += [Interval(max(ZERO, z.lower), max(ZERO, z.upper)) for z in found]
    return Problem(tuple(box), tuple(relus)), forms


def interval_bounds(network: Network, box: Sequence[Interval]) -> BOUNDS:
    problem, _ = whole(network, box)
    relus = iter(problem.relus)
    layers = [[next(relus) for _ in range(size)] for size in network.sizes]
    return [([r.lower for r in layer], [r.upper for r in layer]) for layer in layers]


def form_of(network: Network, box: Sequence[Interval], objective: Sequence[Constraint]) -> Problem:
    lower, upper = [x.lower for x in box], [x.upper for x in box]
    return normal_form(network, lower, upper, interval_bounds(network, box), objective).problem


@st.composite
def boxes(draw: st.DrawFn, size: int) -> list[Interval]:
    """Small boxes make most neurons stable, large ones few."""
    width = draw(st.sampled_from([ZERO, Fraction(1, 3), ONE, Fraction(4)]))
    centres = [draw(st.sampled_from([ZERO, ONE, Fraction(-2, 7)])) for _ in range(size)]
    return [Interval(c - width, c + width) for c in centres]


def questions(network: Network, data: st.DataObject) -> Constraint:
    """A phase of a neuron or a linear row over outputs and inputs."""
    layer = data.draw(st.integers(0, len(network.layers)))
    sizes = [*network.sizes, network.output_size]
    index = data.draw(st.integers(0, sizes[layer] - 1))
    if layer < len(network.layers):
        return data.draw(st.sampled_from([positive, negative]))(layer, index)
    number = st.sampled_from([ZERO, ONE, Fraction(-1), Fraction(5, 3)])
    values = ((layer, index, data.draw(number)), (layer, 0, data.draw(number)))
    return Constraint(values, data.draw(number), data.draw(st.booleans()), ((0, data.draw(number)),))


def holds(network: Network, constraint: Constraint, point: Sequence[Fraction]) -> bool:
    trace = network.exact(point)
    affine = [*trace.pre_activations, trace.output]
    total = sum((c * affine[k][i] for k, i, c in constraint.values), ZERO)
    total += sum((c * point[i] for i, c in constraint.inputs), ZERO)
    return total < constraint.bound if constraint.strict else total <= constraint.bound


@settings(deadline=None)
@given(st.one_of(TINY, SKIPPING), st.data())
def test_the_normal_form_agrees_with_the_network_at_every_point(network: Network, data: st.DataObject) -> None:
    box = data.draw(boxes(network.input_size))
    constraint = questions(network, data)
    shares = [data.draw(st.sampled_from([Fraction(n, 6) for n in range(7)])) for _ in box]
    point = [x.lower + t * (x.upper - x.lower) for x, t in zip(box, shares, strict=True)]
    problem = form_of(network, box, [constraint])
    assert problem.satisfied(point) == holds(network, constraint, point)


@settings(deadline=None, max_examples=60)
@given(TINY, st.data())
def test_the_normal_form_has_only_unstable_relus_that_matter(network: Network, data: st.DataObject) -> None:
    box = data.draw(boxes(network.input_size))
    problem = form_of(network, box, [questions(network, data)])
    assert all(relu.lower < 0 < relu.upper for relu in problem.relus)
    read = {v for form in [r.pre for r in problem.relus] + [r.form for r in problem.rows] for v, _ in form.terms}
    assert read >= set(range(len(problem.inputs), problem.variable_count))


@pytest.fixture(scope="module", params=["z3", "cvc5", "both"])
def solver(request: pytest.FixtureRequest) -> Iterator[ResidualSolver]:
    with ResidualSolver(request.param) as one:
        yield one


@settings(deadline=None, max_examples=25)
@given(network=st.one_of(TINY, SKIPPING), data=st.data())
def test_verdicts_agree_with_the_whole_network(solver: ResidualSolver, network: Network, data: st.DataObject) -> None:
    box = data.draw(boxes(network.input_size))
    constraint = questions(network, data)
    verdict = solver.solve(form_of(network, box, [constraint]), AMPLE)
    problem, forms = whole(network, box)
    coefficients: dict[int, Fraction] = dict.fromkeys(range(problem.variable_count), ZERO)
    constant = ZERO
    for k, i, c in constraint.values:
        constant += c * forms[k][i].constant
        for v, a in forms[k][i].terms:
            coefficients[v] += c * a
    for v, c in constraint.inputs:
        coefficients[v] += c
    row = Row(LinearForm.of(coefficients, constant), constraint.bound, constraint.strict)
    expected = feasible(Problem(problem.inputs, problem.relus, (row,)))
    assert isinstance(verdict, Sat if expected else Unsat)
    if isinstance(verdict, Sat):
        assert holds(network, constraint, verdict.model)


def test_a_phase_claim_needs_the_strict_question(solver: ResidualSolver) -> None:
    # z = r - 1/2 with r = relu(x) on [-1, 1/2]: its maximum is exactly zero, so it is inactive.
    network = Network(
        1,
        (
            Affine((Term(0, Dense(np.array([[1.0]]))),), np.zeros(1)),
            Affine((Term(1, Dense(np.array([[1.0]]))),), np.array([-0.5])),
        ),
        Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)),
    )
    bounds = [([-1.0], [0.5]), ([-1.0], [0.5])]
    ask = [normal_form(network, [-1], [0.5], bounds, [c]).problem for c in (positive(1, 0), negative(1, 0))]
    assert [len(problem.relus) for problem in ask] == [1, 1]
    assert isinstance(solver.solve(ask[0], AMPLE), Unsat)
    assert isinstance(solver.solve(ask[1], AMPLE), Sat)


def test_exact_rationals_of_a_composed_map_are_kept() -> None:
    third = np.array([[Fraction(1, 3)]], dtype=object)
    layer = Affine((Term(0, Dense(np.array([[1 / 3]]), third)),), np.array([0.1]), exact_bias=(Fraction(1, 10),))
    network = Network(1, (layer,), Affine((Term(1, Dense(np.array([[1.0]]))),), np.zeros(1)))
    problem = normal_form(network, [0], [1], [([Fraction(1, 10)], [ONE])], [Constraint(((1, 0, ONE),))]).problem
    assert problem.relus == ()
    assert problem.rows[0] == Row(LinearForm(((0, Fraction(1, 3)),)), Fraction(-1, 10))


def test_two_terms_of_one_source_add_up() -> None:
    one = Term(0, Dense(np.array([[1.5]])))
    network = Network(1, (), Affine((one, one), np.zeros(1)))
    problem = normal_form(network, [-1], [1], [], [Constraint(((0, 0, ONE),))]).problem
    assert problem.rows[0].form == LinearForm(((0, Fraction(3)),))


def test_bounds_that_do_not_fit_are_refused() -> None:
    layer = Affine((Term(0, Dense(np.array([[1.0]]))),), np.zeros(1))
    network = Network(1, (layer,), Affine((Term(1, Dense(np.array([[1.0]]))),), np.zeros(1)))
    ask = [Constraint(((1, 0, ONE),))]
    with pytest.raises(ValueError, match="1 layers are needed, not 0"):
        normal_form(network, [0], [1], [], ask)
    with pytest.raises(ValueError, match="layer 0: 1 lower and upper bounds"):
        normal_form(network, [0], [1], [([0, 0], [1])], ask)
    with pytest.raises(ValueError, match="the box: 1 lower"):
        normal_form(network, [0, 0], [1, 1], [([0], [1])], ask)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="layer 0: a bound is not finite"):
            normal_form(network, [0], [1], [([0], [bad])], ask)
    with pytest.raises(ValueError, match="empty interval"):
        normal_form(network, [0], [1], [([1], [0])], ask)


def test_a_network_of_the_size_of_acas_xu_is_composed(solver: ResidualSolver) -> None:
    """Six layers of 50, and a point of the box at which the composed rows are evaluated exactly."""
    rng = np.random.default_rng(5)
    sizes = [5, *([50] * 6), 5]
    stack = [
        Affine(
            (Term(k, Dense(rng.normal(0, 0.3, (m, n)).astype(np.float32).astype(float))),),
            rng.normal(0, 0.1, m).astype(np.float32).astype(float),
        )
        for k, (n, m) in enumerate(pairwise(sizes))
    ]
    network = Network(5, tuple(stack[:-1]), stack[-1])
    centre = [Fraction(1, 3)] * 5
    radius = Fraction(1, 10**6)
    trace = network.exact(centre)
    # Bounds of zero width at the centre, and wide ones for a dozen neurons: valid at the centre, which is
    # what is asked.
    bounds = [
        (
            [z - (abs(z) + 1 if i % 25 == 0 else 0) for i, z in enumerate(layer)],
            [z + (abs(z) + 1 if i % 25 == 0 else 0) for i, z in enumerate(layer)],
        )
        for layer in trace.pre_activations
    ]
    rows = [Constraint(((6, 0, ONE),), trace.output[0]), Constraint(((6, 0, -ONE),), -trace.output[0])]
    lower, upper = [x - radius for x in centre], [x + radius for x in centre]
    problem = normal_form(network, lower, upper, bounds, rows).problem
    assert len(problem.relus) == 12
    assert problem.satisfied(centre)
    strict = [Constraint(((6, 0, ONE),), trace.output[0], strict=True), rows[1]]
    assert isinstance(solver.solve(normal_form(network, lower, upper, bounds, strict).problem, AMPLE), Unsat)


def test_a_hard_problem_ends_at_the_limit_and_the_next_is_answered(solver: ResidualSolver) -> None:
    assert isinstance(solver.solve(hard_problem(2), AMPLE), Unsat)
    assert isinstance(solver.solve(hard_problem(), HARD_LIMIT), Unknown)
    assert isinstance(solver.solve(hard_problem(2), AMPLE), Unsat)


def test_no_time_and_no_solver_are_unknown(solver: ResidualSolver) -> None:
    for limit in (0.0, -1.0, float("nan")):
        assert solver.solve(hard_problem(2), limit) == Unknown("the time limit is used up")
    assert isinstance(solver.solve(hard_problem(2), float("inf")), Unsat)
    with ResidualSolver("none") as nobody:
        assert isinstance(nobody.solve(hard_problem(2), AMPLE), Unknown)


def test_several_solvers_refute_only_together(caplog: pytest.LogCaptureFixture) -> None:
    model, why = Sat((ONE,)), Unknown("time")
    assert agreed({"z3": Unsat(), "cvc5": Unsat()}) == Unsat()
    assert agreed({"z3": Unsat(), "cvc5": why}) == Unknown("z3: unsat; cvc5: time")
    assert agreed({"z3": why, "cvc5": why}) == Unknown("z3: time; cvc5: time")
    assert agreed({"z3": model, "cvc5": Sat((ZERO,))}) == model
    assert agreed({"z3": why, "cvc5": model}) == model
    assert not caplog.records
    with caplog.at_level(logging.ERROR):
        assert agreed({"z3": model, "cvc5": Unsat()}) == Unknown("z3 and cvc5 disagree")
    assert "disagree" in caplog.text


def test_an_unknown_choice_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no solver choice 'yices'; use one of z3, cvc5, both, none"):
        ResidualSolver("yices")


@pytest.mark.parametrize("choice", [SolverChoice.CVC5, SolverChoice.BOTH])
def test_a_missing_solver_is_an_input_error_with_its_remedy(choice: SolverChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "available_solvers", lambda: {"z3": "5.4.0"})
    with pytest.raises(InputError, match="cvc5 is not installed; run: pip install cvc5"):
        ResidualSolver(choice)
