"""Verdicts on queries against exact whole-query SMT, and at the edges where a careless engine would slip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from secateur.bounds import warmup
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Replay, Term, to_model_bytes
from secateur.options import VerifyOptions
from secateur.progress import SilentProgress
from secateur.residual import ResidualSolver
from secateur.search import Holds, Unknown, Verdict, Violated, decide
from secateur.specification import Query, parse_query
from tests.bounds.support import random_network
from tests.search.queries import flat_query, layered
from tests.search.random_cases import Case, exact_answer, random_case

F = Fraction
IDENTITY = layered(([[1.0]], [4.0]), ([[1.0]], [-4.0]))
RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
ABSOLUTE = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]))
_BLOCKS, _CASES = 4, 40
_TIE = F(1, 2**16)
"""A query whose answer changes when all rows move by this is a tie: no promise is made, but never a wrong answer."""


@pytest.fixture(scope="module")
def solver() -> Iterator[ResidualSolver]:
    warmup()
    with ResidualSolver("z3") as one:
        yield one


def ask(query: Query, networks: Sequence[Network], solver: ResidualSolver, timeout: float = 20.0) -> Verdict:
    options = VerifyOptions(timeout=timeout, jobs=1)

    def replays() -> list[Replay]:
        return [Replay(to_model_bytes(network)) for network in networks]

    return decide(query, networks, replays, solver, options, SilentProgress())


def require_consistent(case: Case, verdict: Verdict, answer: bool | None) -> None:
    match verdict:
        case Holds():
            assert answer is not True
        case Violated(witness=witness):
            assert answer is not False
            outputs = case.values(witness.exact_inputs)
            assert case.query.satisfied_by(witness.exact_inputs, outputs)
            assert outputs == tuple(v for own in witness.exact_outputs for v in own)
            read = [F(float(v)) for array in witness.outputs for v in array]
            assert case.query.satisfied_by(witness.exact_inputs, read)
        case Unknown(reason=reason):
            assert reason


def is_promised(case: Case, verdict: Unknown) -> bool:
    """Whether a case should have been decided: it is no tie, and its witnesses are not barred by the numbers of float32."""
    return exact_answer(case, _TIE) == exact_answer(case, -_TIE) and "no float32 number" not in verdict.reason


@pytest.mark.parametrize("block", range(_BLOCKS))
def test_verdicts_never_contradict_exact_z3(block: int, solver: ResidualSolver) -> None:
    decided = undecided = 0
    seen: set[tuple[type, int, int]] = set()
    for seed in range(block * _CASES, (block + 1) * _CASES):
        case = random_case(seed)
        answer = exact_answer(case)
        verdict = ask(case.query, case.networks, solver, timeout=0.3)
        if isinstance(verdict, Unknown) and is_promised(case, verdict):
            verdict = ask(case.query, case.networks, solver)  # the machine may be slow
            undecided += isinstance(verdict, Unknown)
        require_consistent(case, verdict, answer)
        decided += not isinstance(verdict, Unknown)
        seen.add((type(verdict), len(case.networks), min(2, len(case.disjuncts))))
    assert decided >= 9 * undecided
    assert decided >= 0.6 * _CASES
    assert len(seen) >= 7  # both verdicts, about one network and two, of one disjunct and several


# --- ties


@pytest.mark.parametrize(
    ("network", "box", "condition", "expected"),
    [
        (IDENTITY, ("0", "1"), "(> Y_0 1)", Holds),
        (IDENTITY, ("0", "1"), "(>= Y_0 1)", Violated),
        (IDENTITY, ("-1", "0.5"), "(> Y_0 0.5)", Holds),
        (RELU, ("-1", "1"), "(< Y_0 0)", Holds),
        (RELU, ("-1", "1"), "(<= Y_0 0)", Violated),
        (RELU, ("-1", "-0.5"), "(> Y_0 0)", Holds),
        (ABSOLUTE, ("-1", "1"), "(< Y_0 0)", Holds),
        (ABSOLUTE, ("-1", "1"), "(<= Y_0 0)", Violated),
        (ABSOLUTE, ("-1", "1"), "(> Y_0 1)", Holds),
        (ABSOLUTE, ("-1", "1"), "(< Y_0 X_0)", Holds),
        (ABSOLUTE, ("-1", "1"), "(and (<= Y_0 X_0) (<= X_0 0))", Violated),
        (ABSOLUTE, ("-1", "1"), "(and (< Y_0 0.5) (> Y_0 0.5))", Holds),
        (ABSOLUTE, ("-1", "1"), "(and (<= Y_0 0.5) (>= Y_0 0.5))", Violated),
    ],
)
def test_ties_are_never_misjudged(
    network: Network, box: tuple[str, str], condition: str, expected: type, solver: ResidualSolver
) -> None:
    verdict = ask(flat_query([box], 1, condition), [network], solver, timeout=1.5)
    assert isinstance(verdict, expected | Unknown)


@pytest.mark.parametrize(("margin", "opposite"), [("0.0000001", Violated), ("-0.0000001", Holds)])
def test_what_is_nearly_a_tie_is_not_misjudged(margin: str, opposite: type, solver: ResidualSolver) -> None:
    verdict = ask(flat_query([("-1", "1")], 1, f"(<= Y_0 (- 0.0 {margin}))"), [ABSOLUTE], solver, timeout=1.5)
    assert not isinstance(verdict, opposite)


def test_a_clear_answer_is_given(solver: ResidualSolver) -> None:
    assert isinstance(ask(flat_query([("-1", "1")], 1, "(< Y_0 -0.1)"), [ABSOLUTE], solver), Holds)
    assert isinstance(ask(flat_query([("-1", "1")], 1, "(> Y_0 0.9)"), [ABSOLUTE], solver), Violated)


# --- what a query may leave out


def test_an_empty_input_region_holds(solver: ResidualSolver) -> None:
    verdict = ask(flat_query([("0", "1")], 1, "(>= X_0 2)", "(>= Y_0 0)"), [RELU], solver)
    assert isinstance(verdict, Holds)
    assert verdict.trusted == ""


def test_a_contradiction_between_inputs_holds(solver: ResidualSolver) -> None:
    query = flat_query([("0", "1"), ("0", "1")], 1, "(<= (+ X_0 X_1) -1)", "(>= Y_0 -99)")
    assert isinstance(ask(query, [layered(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0]))], solver), Holds)


@pytest.mark.parametrize("conditions", [(), ("(<= 0 1)",), ("(or (<= X_0 0.5) (>= X_0 0.5))",)])
def test_a_query_about_inputs_alone_is_met_anywhere(conditions: tuple[str, ...], solver: ResidualSolver) -> None:
    verdict = ask(flat_query([("0", "1")], 1, *conditions), [RELU], solver)
    assert isinstance(verdict, Violated)
    assert 0 <= verdict.witness.exact_inputs[0] <= 1


def test_inputs_alone_where_no_point_can_be_replayed_are_unknown(solver: ResidualSolver) -> None:
    """There is nothing to refute: the kernels must not even be asked."""
    overflowing = layered(([[2.0**100]], [0.0]), ([[2.0**100]], [0.0]))
    for condition in ("(<= X_0 2)", "(or (<= X_0 2) (<= Y_0 -5))"):
        verdict = ask(flat_query([("1", "2")], 1, condition), [overflowing], solver, timeout=1.5)
        assert isinstance(verdict, Unknown)
        assert verdict.reason


def test_an_input_that_is_fixed_everywhere(solver: ResidualSolver) -> None:
    for condition, expected in (("(> Y_0 0.75)", Holds), ("(>= Y_0 0.5)", Violated), ("(< Y_0 0.25)", Holds)):
        assert isinstance(ask(flat_query([("0.5", "0.5")], 1, condition), [RELU], solver), expected)


def test_a_network_without_relus_is_an_affine_map(solver: ResidualSolver) -> None:
    affine = Network(2, (), Affine((Term(0, Dense(np.array([[1.0, -2.0]]))),), np.array([0.5])), IDENTITY.interface)
    query = flat_query([("0", "1"), ("0", "1")], 1, "(> Y_0 1.6)")
    assert isinstance(ask(query, [affine], solver), Holds)


# --- what must end in a reason


def test_an_open_query_at_the_deadline_is_timed_out(solver: ResidualSolver) -> None:
    network = random_network([8, 40, 40, 40, 1], seed=1)
    low = network.forward(np.random.default_rng(0).uniform(-1, 1, (5_000, 8))).min()
    query = flat_query([("-1", "1")] * 8, 1, f"(<= Y_0 {low - 1.0:.6f})")
    verdict = ask(query, [network], solver, timeout=0.02)
    assert isinstance(verdict, Unknown)
    assert verdict.timed_out
    assert verdict.reason


def test_numbers_that_the_kernels_cannot_hold_are_unknown(solver: ResidualSolver) -> None:
    tiny = layered(([[2.0**-140]], [0.0]), ([[2.0**-140]], [0.0]), element_type="float64")
    verdict = ask(flat_query([("0", "1")], 1, "(<= Y_0 -1)"), [tiny], solver, timeout=1.5)
    assert isinstance(verdict, Holds | Unknown)
    if isinstance(verdict, Unknown):
        assert "range of float32" in verdict.reason


def test_an_unbounded_input_is_refused_even_behind_a_disjunct_that_holds(solver: ResidualSolver) -> None:
    query = flat_query([("0", "1")], 1, "(< Y_0 -1)")
    names = "(declare-const X_0 Real)(declare-const Y_0 Real)"
    half = parse_query(f"{names}(assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 -1)) (and (>= X_0 5) (<= Y_0 -1))))", "query")
    with pytest.raises(InputError, match="input X_0 has no upper bound"):
        ask(half, [RELU], solver)
    assert isinstance(ask(query, [RELU], solver), Holds)


# --- several networks


def test_a_network_agrees_with_itself(solver: ResidualSolver) -> None:
    """Two copies over shared inputs, in any order of their inputs, differ by nothing; over other inputs they do."""
    network = layered(([[1.0, 1.0], [-1.0, 1.0]], [0.25, 0.5]), ([[1.0, -2.0]], [0.0]))
    text = (
        "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [1]))"
        "(declare-network g (equal-to f) (declare-input U float32 [2]) (declare-output V float32 [1]))"
        "(assert (and (>= X[0] 0)(<= X[0] 1)(>= X[1] 0)(<= X[1] 1)(>= U[0] 0)(<= U[0] 1)(>= U[1] 0)(<= U[1] 1)))"
        "(assert (== X[0] U[0])) {}(assert (or (>= Y[0] (+ V[0] 0.001)) (<= Y[0] (- V[0] 0.001))))"
    )
    same = parse_query(text.format("(assert (== X[1] U[1]))"))
    assert isinstance(ask(same, [network, network], solver), Holds)
    free = parse_query(text.format(""))
    verdict = ask(free, [network, network], solver)
    assert isinstance(verdict, Violated)
    x, y = verdict.witness.exact_inputs[:2], verdict.witness.exact_inputs[2:]
    assert x[0] == y[0]
    assert abs(network.exact(x).output[0] - network.exact(y).output[0]) >= F(1, 1000)
