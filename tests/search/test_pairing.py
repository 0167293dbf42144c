"""Which form two networks are searched in, and verdicts on claims about two networks against exact whole-query SMT."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from secateur.bounds import warmup
from secateur.network import Affine, Dense, Network, Replay, Term, to_model_bytes
from secateur.network.difference import Pairing, paired_by_position
from secateur.options import VerifyOptions
from secateur.progress import SilentProgress
from secateur.residual import ResidualSolver
from secateur.search import Holds, Unknown, Verdict, Violated, decide
from secateur.search.pairing import better_pairing, paired_by_values, separate
from secateur.specification import Domain, Query
from secateur.specification.comparison import Agreement, Comparison, Decision, comparison_query
from tests.bounds.support import random_network
from tests.boxes import box
from tests.search.queries import flat_query, layered
from tests.search.random_cases import Case, exact_answer, random_case, random_comparison

F = Fraction
_BLOCKS, _CASES = 3, 40
_TIE = F(1, 2**16)
"""As in test_decide.py: what changes by so little is a tie; no promise is made, but never a wrong answer."""


@pytest.fixture(scope="module")
def solver() -> Iterator[ResidualSolver]:
    warmup()
    with ResidualSolver("z3") as one:
        yield one


def ask(
    query: Query, networks: Sequence[Network], pairing: Pairing | None, solver: ResidualSolver, timeout: float = 20.0
) -> Verdict:
    def replays() -> list[Replay]:
        return [Replay(to_model_bytes(network)) for network in networks]

    return decide(query, networks, replays, solver, VerifyOptions(timeout=timeout, jobs=1), SilentProgress(), pairing=pairing)


def compare(
    claim: Comparison, first: Network, second: Network, box: Domain, solver: ResidualSolver, timeout: float = 20.0
) -> Verdict:
    query = comparison_query(claim, box, first.output_size, ["float32", "float32"])
    pairing = better_pairing(query, (first, second), time.monotonic() + timeout)
    return ask(query, (first, second), pairing, solver, timeout)


def shifted(network: Network, unit: float) -> Network:
    """The network with a multiple of `unit` added to every weight, about."""

    def moved(affine: Affine) -> Affine:
        terms = []
        for term in affine.terms:
            weight = term.map.dense().weight
            weight = weight + unit * (np.arange(weight.size).reshape(weight.shape) % 5 - 2)
            terms.append(Term(term.source, Dense(weight.astype(np.float32).astype(np.float64))))
        return Affine(tuple(terms), affine.bias)

    return Network(network.input_size, tuple(map(moved, network.layers)), moved(network.output), network.interface)


# --- the choice


def test_networks_that_differ_little_are_searched_by_their_differences() -> None:
    first = random_network([3, 12, 12, 2], seed=1)
    second = shifted(first, 2.0**-12)
    query = comparison_query(Agreement(F(1, 100)), box(*[("-1", "1")] * 3), 2, ["float32"] * 2)
    assert better_pairing(query, (first, second), time.monotonic() + 10) == paired_by_position(first, second)


def test_unrelated_networks_are_searched_side_by_side() -> None:
    first, second = random_network([3, 12, 12, 2], seed=1), random_network([3, 12, 12, 2], seed=2)
    query = comparison_query(Agreement(F(1, 100)), box(*[("-1", "1")] * 3), 2, ["float32"] * 2)
    assert better_pairing(query, (first, second), time.monotonic() + 10) == separate(second)


def without(network: Network, layer: int, neuron: int) -> Network:
    """The network without a neuron of a layer (from 1)."""
    rows, columns = list(network.layers), [*network.layers, network.output]
    own, reader = rows[layer - 1], columns[layer]
    kept = np.arange(own.size) != neuron
    rows[layer - 1] = Affine((Term(layer - 1, Dense(own.terms[0].map.dense().weight[kept])),), own.bias[kept])
    fewer = Affine((Term(layer, Dense(reader.terms[0].map.dense().weight[:, kept])),), reader.bias)
    if layer == len(rows):
        return Network(network.input_size, tuple(rows), fewer, network.interface)
    rows[layer] = fewer
    return Network(network.input_size, tuple(rows), network.output, network.interface)


def test_a_smaller_network_is_paired_by_what_its_neurons_compute() -> None:
    first = random_network([3, 12, 12, 2], seed=1)
    smaller = without(first, 2, 4)
    query = comparison_query(Agreement(F(100)), box(*[("-1", "1")] * 3), 2, ["float32"] * 2)
    low, high = -np.ones(3), np.ones(3)
    expected = Pairing((1, 2), (tuple(range(12)), tuple(i for i in range(12) if i != 4)))
    assert paired_by_values(first, smaller, (low, high)) == expected
    assert better_pairing(query, (first, smaller), time.monotonic() + 10) == expected


def test_neurons_that_compute_other_things_are_not_paired() -> None:
    first, second = random_network([3, 12, 12, 2], seed=1), random_network([3, 8, 12, 2], seed=2)
    assert paired_by_values(first, second, (-np.ones(3), np.ones(3))) is None


def test_unrelated_networks_of_different_shape_have_no_pairs() -> None:
    first, second = random_network([3, 12, 12, 2], seed=1), random_network([3, 12, 8, 8, 2], seed=2)
    query = comparison_query(Agreement(F(1, 100)), box(*[("-1", "1")] * 3), 2, ["float32"] * 2)
    for networks in ((first, second), (second, first)):
        found = better_pairing(query, networks, time.monotonic() + 10)
        assert found == Pairing(tuple(range(1, len(networks[1].sizes) + 1)), tuple((None,) * size for size in networks[1].sizes))


def test_there_is_nothing_to_pair_where_inputs_are_not_shared() -> None:
    case = next(c for c in map(random_case, range(200)) if len(c.networks) == 2 and len(c.pairs) < c.networks[0].input_size)
    assert better_pairing(case.query, case.networks, time.monotonic() + 10) is None


def test_networks_too_large_for_split_trees_have_no_pairing() -> None:
    network = random_network([2, 4, 1], seed=0)
    query = comparison_query(Agreement(F(0)), box(("-1", "1"), ("-1", "1")), 1, ["float32"] * 2)
    assert better_pairing(query, (network, network), time.monotonic()) is None


# --- never a wrong verdict


def require_consistent(case: Case, verdict: Verdict, answer: bool | None) -> None:
    match verdict:
        case Holds():
            assert answer is not True
        case Violated(witness=witness):
            assert answer is not False
            outputs = case.values(witness.exact_inputs)
            assert case.query.satisfied_by(witness.exact_inputs, outputs)
            assert witness.exact_inputs[: len(case.pairs)] == witness.exact_inputs[len(case.pairs) :]
        case Unknown(reason=reason):
            assert reason


def pairing_for(case: Case, seed: int) -> Pairing | None:
    """All ways in turn; by position also where only some neurons have a partner."""
    first, second = case.networks
    match seed % 3:
        case 0:
            return better_pairing(case.query, case.networks, time.monotonic() + 10)
        case 1:
            return paired_by_position(first, second)
        case _:
            return separate(second)


@pytest.mark.parametrize("block", range(_BLOCKS))
def test_verdicts_on_two_networks_never_contradict_exact_z3(block: int, solver: ResidualSolver) -> None:
    decided = undecided = 0
    seen: set[type] = set()
    for seed in range(block * _CASES, (block + 1) * _CASES):
        case = random_comparison(seed)
        answer, pairing = exact_answer(case), pairing_for(case, seed)
        verdict = ask(case.query, case.networks, pairing, solver, timeout=0.3)
        clear = exact_answer(case, _TIE) == exact_answer(case, -_TIE)
        if isinstance(verdict, Unknown) and clear and "no float32 number" not in verdict.reason:
            verdict = ask(case.query, case.networks, pairing, solver)  # the machine may be slow
            undecided += isinstance(verdict, Unknown)
        require_consistent(case, verdict, answer)
        decided += not isinstance(verdict, Unknown)
        seen.add(type(verdict))
    assert decided >= 9 * undecided
    assert decided >= 0.6 * _CASES
    assert {Holds, Violated} <= seen


# --- ties


def test_a_network_agrees_with_itself_exactly(solver: ResidualSolver) -> None:
    network = random_network([3, 10, 10, 3], seed=5)
    assert isinstance(compare(Agreement(F(0)), network, network, box(*[("-1", "1/3")] * 3), solver), Holds)


def test_a_network_decides_as_itself(solver: ResidualSolver) -> None:
    """True at every margin; a tie of strict rows is no promise, but must not be refuted."""
    network = random_network([2, 6, 2], seed=5)
    for rule in ("argmax", "argmin"):
        verdict = compare(Decision(rule, F(0)), network, network, box(*[("-1", "1/3")] * 2), solver, timeout=2.0)
        assert not isinstance(verdict, Violated)
        wide = compare(Decision(rule, F(1, 8)), network, network, box(*[("-1", "1/3")] * 2), solver)
        assert isinstance(wide, Holds)


RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
HALF = layered(([[0.5]], [0.0]), ([[1.0]], [0.0]))
WIDE = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 0.0]], [0.0]))


@pytest.mark.parametrize(
    ("first", "second", "epsilon", "wrong"),
    [
        (RELU, HALF, F(1, 2), Violated),  # attained, but not exceeded, at 1
        (RELU, HALF, F(1, 2) - F(1, 10**6), Holds),
        (RELU, WIDE, F(0), Violated),  # the same function in another shape
        (WIDE, RELU, F(0), Violated),
    ],
)
def test_ties_of_epsilon_are_never_misjudged(
    first: Network, second: Network, epsilon: Fraction, wrong: type, solver: ResidualSolver
) -> None:
    assert not isinstance(compare(Agreement(epsilon), first, second, box(("-1", "1")), solver, timeout=1.5), wrong)


def test_clear_answers_are_given(solver: ResidualSolver) -> None:
    assert isinstance(compare(Agreement(F(51, 100)), RELU, HALF, box(("-1", "1")), solver), Holds)
    violated = compare(Agreement(F(49, 100)), RELU, HALF, box(("-1", "1")), solver)
    assert isinstance(violated, Violated)
    x = violated.witness.exact_inputs[0]
    assert RELU.exact((x,)).output[0] - HALF.exact((x,)).output[0] > F(49, 100)


def test_a_decision_is_about_winners_that_lead_by_more_than_the_margin(solver: ResidualSolver) -> None:
    """(x, 0) against (x - 1/4, 0): they decide differently for 0 < x <= 1/4, where the lead is at most 1/4."""
    first = layered(([[1.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.0]))
    second = layered(([[1.0]], [0.0]), ([[1.0], [0.0]], [-0.25, 0.0]))
    domain = box(("0", "1"))
    assert isinstance(compare(Decision("argmax", F(1, 8)), first, second, domain, solver), Violated)
    assert isinstance(compare(Decision("argmax", F(26, 100)), first, second, domain, solver), Holds)
    assert not isinstance(compare(Decision("argmax", F(1, 4)), first, second, domain, solver, timeout=1.5), Violated)
    # where both outputs are the same everywhere there is no winner, and so nothing to disagree about
    tied = layered(([[1.0]], [0.0]), ([[1.0], [1.0]], [0.0, 0.0]))
    assert not isinstance(compare(Decision("argmax", F(0)), tied, second, domain, solver, timeout=1.5), Violated)


def test_loose_domains_claim_nothing_wrong(solver: ResidualSolver) -> None:
    """On a box of a million a change of one weight by 1/1024 exceeds 100; a short time may leave it open, never hold."""
    first = random_network([2, 16, 16, 1], seed=3)
    second = shifted(first, 2.0**-10)
    verdict = compare(Agreement(F(1, 100)), first, second, box(*[("-1000000", "1000000")] * 2), solver, timeout=5.0)
    assert isinstance(verdict, Violated)


def test_one_network_of_a_query_needs_no_pairing(solver: ResidualSolver) -> None:
    assert isinstance(ask(flat_query([("-1", "1")], 1, "(< Y_0 -0.1)"), [RELU], None, solver), Holds)
