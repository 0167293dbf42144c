"""A short campaign against the exact truth, and that it would notice if network and truth were not the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import secateur
from benchmarks.fuzzing.asking import outcome
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Equivalent, Phases, Pruned, Query, Question, Ranges, Zeroed, from_json, to_json
from benchmarks.fuzzing.driver import Campaign
from benchmarks.fuzzing.formulas import Atom
from benchmarks.fuzzing.networks import Described, Layer, onnx_bytes
from benchmarks.fuzzing.truth import Truth

F = Fraction


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, timeout=1.0) as bench:
        yield bench


def small(weight: float, offset: float = 0.0) -> Described:
    """relu(x + 1) + relu(w x - 1) + offset and relu(x - 1/2) - relu(w x - 1); the second neuron is dead on [-1, 1] for w = -1."""
    first = Layer(((0, ((1.0,), (weight,), (1.0,))),), (1.0, -1.0, -0.5))
    return Described(1, (first, Layer(((1, ((1.0, 1.0, 0.0), (0.0, -1.0, 1.0))),), (offset, 0.0))))


ATOM = {
    "no witness": Atom(((2, F(1)),), "<=", F(-1)),  # the second output is nowhere so low; with w = -3 it is
    "a witness": Atom(((1, F(1)),), "<=", F(1, 4)),  # the first is 0 at -1; with w = -3 it is nowhere below 2/3
}
QUESTIONS: dict[str, Question] = {
    "unsat": Query(ATOM["no witness"]),
    "sat": Query(ATOM["a witness"], version=2),
    "equivalent": Equivalent(small(-1.0, 0.125), F(1, 8)),
    "phases": Phases(0, (1,)),
    "zeroed": Zeroed(0, (1,), F(0)),
    "ranges": Ranges(),
    "distance": Ranges(small(-1.0, 0.125)),
    "pruned": Pruned(),
}


def test_a_short_campaign_finds_nothing_wrong(bench: Bench, tmp_path: Path) -> None:
    """What a time limit cuts short on a busy machine is counted as unknown, or not asked: the minima leave room for that."""
    secateur.warmup()  # the checker's kernels too: the campaign's minutes are not for the compiler
    campaign = Campaign(seed=2024, minutes=0.25, queries=150, out=tmp_path)
    campaign.run(bench)
    counts = campaign.counts
    assert campaign.findings == []
    seen = json.loads((tmp_path / "counts.json").read_text())["seen"]
    assert seen["query: unsat, agreed"] >= 20
    assert seen["query: sat, agreed"] >= 20
    assert counts.of("agreed") >= 50
    assert counts.of("unknown") <= 0.2 * counts.total


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_kind_of_question_notices_another_network(bench: Bench, name: str) -> None:
    """One weight changes in the file alone, so that the engine and the truth speak of different networks."""
    case = Case(small(-1.0), ((F(-1), F(1)),), QUESTIONS[name])
    truth = Truth(case.networks, case.box)
    honest = outcome(bench, case, truth)
    assert honest.word == "agreed", honest
    bench.file(case.network).write_bytes(onnx_bytes(small(-3.0)))
    found = outcome(bench, case, truth)
    assert found.word == "wrong", found
    assert found.answer != "error", found


class ShiftedBench(Bench):
    """Writes networks whose outputs are a little higher than they should be."""

    def file(self, network: Described) -> Path:
        path = super().file(network)
        last = network.layers[-1]
        shifted = replace(last, bias=tuple(b + 0.25 for b in last.bias))
        path.write_bytes(onnx_bytes(replace(network, layers=(*network.layers[:-1], shifted))))
        return path


def test_a_campaign_reports_what_is_wrong_so_that_it_can_be_asked_again(tmp_path: Path) -> None:
    with ShiftedBench(tmp_path, timeout=1.0) as bench:
        campaign = Campaign(seed=5, minutes=0.2, queries=40, out=tmp_path)
        campaign.run(bench)
        assert campaign.findings
        case = from_json(json.loads((tmp_path / "finding-1.json").read_text()))
        assert outcome(bench, case, Truth(case.networks, case.box)).word == "wrong"
    with Bench(tmp_path, timeout=1.0) as honest:
        assert outcome(honest, case, Truth(case.networks, case.box)).word != "wrong"


@pytest.mark.parametrize("name", QUESTIONS)
def test_cases_are_kept_exactly(name: str) -> None:
    box = ((F(1, 3), F("0.1") + 1),)
    case = Case(small(0.1), box, QUESTIONS[name])
    assert from_json(json.loads(json.dumps(to_json(case)))) == case
