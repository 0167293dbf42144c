"""The attack finds what is there, and proposes only points of the box that meet a goal."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Network, Replay, read_onnx
from secateur.search.attack import Attack
from secateur.search.question import questions
from secateur.search.witness import Witness, WitnessChecker
from secateur.specification import read_query
from tests.search.queries import flat_query, layered, only_question
from tests.strategies import networks, skip_networks

UNIT = ("0", "1")
IDENTITY = layered((np.eye(2), [0.0, 0.0]), (np.eye(2), [0.0, 0.0]))
QUICK = [("4_5", 2), ("5_9", 2), ("3_4", 2), ("1_7", 3), ("1_9", 4), ("2_9", 8)]


def soon() -> float:
    return time.monotonic() + 20.0


@given(st.one_of(networks(), skip_networks()), st.integers(-3, 3), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_candidates_lie_in_the_box_and_meet_their_goal(network: Network, bound: int, seed: int) -> None:
    last = network.output_size - 1
    query = flat_query(
        [("-1", "0.3")] * network.input_size,
        network.output_size,
        f"(or (and (<= Y_0 {bound}) (>= Y_{last} X_0)) (> Y_{last} {bound + 1}))",
    )
    question = only_question(query, network)
    candidates = Attack(question, seed).advance(8, soon())
    for candidate in candidates:
        assert (candidate.point >= -1 - 1e-12).all()
        assert (candidate.point <= 0.3 + 1e-12).all()
        rows = question.network.forward(candidate.point[None, :])[0][list(question.goals[candidate.goal])]
        assert rows.max() < 1e-9
        assert candidate.margin > 0
    assert [c.margin for c in candidates] == sorted((c.margin for c in candidates), reverse=True)


def test_a_small_target_of_many_rows_is_found() -> None:
    target = [0.123, 0.9, 0.5, 0.77, 0.3]
    network = layered((np.eye(5), [0.0] * 5))
    near = " ".join(f"(>= Y_{i} {t - 5e-4}) (<= Y_{i} {t + 5e-4})" for i, t in enumerate(target))
    question = only_question(flat_query([UNIT] * 5, 5, f"(and {near})"), network)
    candidates = Attack(question, 0).advance(64, soon())
    assert candidates
    np.testing.assert_allclose(candidates[0].point, target, atol=5e-4)


def test_dead_neurons_do_not_stop_it() -> None:
    # Every place the attack can draw has a sum near 30; the neuron wakes at 59, so exact slopes are zero wherever it begins.
    network = layered((np.ones((1, 60)), [-59.0]), ([[1.0]], [0.0]))
    question = only_question(flat_query([UNIT] * 60, 1, "(>= Y_0 0.5)"), network)
    candidates = Attack(question, 0).advance(8, soon())
    assert candidates
    assert candidates[0].point.sum() > 59.5


def test_goals_take_turns() -> None:
    # Two goals cannot be met; the third can.
    conditions = "(or (<= Y_0 -1) (>= Y_1 3) (and (>= Y_0 0.4) (<= Y_0 0.41) (>= Y_1 0.7)))"
    question = only_question(flat_query([UNIT, UNIT], 2, conditions), IDENTITY)
    candidates = Attack(question, 0).advance(16, soon())
    assert candidates
    assert {c.goal for c in candidates} == {2}


def test_a_goal_that_cannot_be_met_gives_nothing() -> None:
    question = only_question(flat_query([UNIT, UNIT], 2, "(and (<= Y_0 0.4) (>= Y_0 0.5))"), IDENTITY)
    assert Attack(question, 0).advance(32, soon()) == []


def test_the_same_seed_gives_the_same_points() -> None:
    question = only_question(flat_query([UNIT, UNIT], 2, "(and (>= Y_0 0.4) (<= Y_0 0.41) (<= Y_1 0.02))"), IDENTITY)
    first, second = (Attack(question, 7).advance(16, soon()) for _ in range(2))
    assert [c.point.tolist() for c in first] == [c.point.tolist() for c in second]
    assert first


def test_no_start_after_the_deadline() -> None:
    question = only_question(flat_query([UNIT, UNIT], 2, "(<= Y_0 2)"), IDENTITY)
    attack = Attack(question, 0)
    assert attack.advance(16, time.monotonic() - 1.0) == []
    assert attack.advance(16, soon())


def test_a_goal_without_rows_is_met_anywhere() -> None:
    question = only_question(flat_query([UNIT, ("0.5", "0.5")], 2), IDENTITY)
    candidates = Attack(question, 0).advance(1, soon())
    assert [c.point.tolist() for c in candidates] == [[0.5, 0.5]]
    again = Attack(question, 0).improve(0, candidates[0].point, soon())
    assert again is not None
    assert again.point.tolist() == [0.5, 0.5]


def test_improve_widens_the_margin() -> None:
    question = only_question(flat_query([UNIT, UNIT], 2, "(and (>= Y_0 0.4) (<= Y_0 0.5))"), IDENTITY)
    better = Attack(question, 0).improve(0, np.array([0.4001, 0.2]), soon())
    assert better is not None
    assert better.point[0] == pytest.approx(0.45, abs=0.01)


def test_improve_knows_where_no_goal_is_near() -> None:
    question = only_question(flat_query([UNIT, UNIT], 2, "(and (<= Y_0 0.4) (>= Y_0 0.5))"), IDENTITY)
    assert Attack(question, 0).improve(0, np.array([0.45, 0.5]), soon()) is None


def test_infinite_values_are_no_margin() -> None:
    network = layered(([[1e300]], [0.0]), ([[1e300]], [0.0]))
    question = only_question(flat_query([("1", "2")], 1, "(<= Y_0 1e200)"), network)
    assert Attack(question, 0).advance(4, soon()) == []


@pytest.mark.parametrize(("name", "prop"), QUICK)
def test_acas_xu_counterexamples_are_found_and_confirmed(data_dir: Path, name: str, prop: int) -> None:
    folder = data_dir / "vnncomp" / "acasxu"
    onnx, vnnlib = f"onnx/ACASXU_run2a_{name}_batch_2000.onnx", f"vnnlib/prop_{prop}.vnnlib"
    with (folder / "ground_truth.csv").open() as stream:
        truth = {(row["onnx"], row["vnnlib"]): row["consensus"] for row in csv.DictReader(stream)}
    assert truth[onnx, vnnlib] == "sat"
    network, query = read_onnx(folder / onnx), read_query(folder / vnnlib)
    checker = WitnessChecker(query, [network], lambda: [Replay(folder / onnx)])
    question = only_question(query, network)
    witness = checker.first_confirmed(question, Attack(question, 0).advance(64, soon()), soon())
    assert isinstance(witness, Witness)
    assert query.satisfied_by(witness.exact_inputs, witness.exact_outputs[0])


def test_an_acas_xu_query_that_holds_yields_no_candidate(data_dir: Path) -> None:
    folder = data_dir / "vnncomp" / "acasxu"
    network = read_onnx(folder / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx")
    for question in questions(read_query(folder / "vnnlib" / "prop_3.vnnlib"), [network]):
        assert Attack(question, 0).advance(32, soon()) == []
