"""Whole runs, in this process: what is written is verified by the checker's parts; interruption and resumption lose nothing."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secateur
from secateur.certificate import FileReference, certificate_bytes
from secateur.checker import Accepted, check
from secateur.network import Affine, Dense, Network, Term, parse_onnx, to_model_bytes
from secateur.network.model import Interface
from secateur.reduction.model_file import ModelFile, read_model
from secateur.reduction.slicing import work
from secateur.slicing import FamilyResult, slice_network
from secateur.specification import Domain
from tests.boxes import cube
from tests.reduction.runs import BUNDLED
from tests.reduction.slicing.family_walk import walk_family
from tests.reduction.support import chain
from tests.search.test_slice_phases import random_network

IRIS, IRIS_BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"


class Here(Executor):
    """Works at once, in this process; `before` is called before every slice."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.before, self.calls = before, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.before(self.calls)
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def model_of(network: Network) -> ModelFile:
    data = to_model_bytes(network)
    return ModelFile(Path("net.onnx"), data, parse_onnx(data, "net.onnx"))


def sliced(model: ModelFile, domain: Any, **options: Any) -> FamilyResult:
    options = {"timeout": 60.0, "jobs": 1, "executor": Here(), **options}
    return slice_network(model, domain, **options)


def agrees(result: FamilyResult, model: ModelFile, seed: int) -> None:
    """Exact evaluation of every slice's network at points of its box, against the original; and what `predict` says there."""
    walked = walk_family(result.files, model.data)
    family, random = result.family(), np.random.default_rng(seed)
    for leaf, number in walked.leaves:
        small = parse_onnx(result.files[f"slices/{number:05d}.onnx"], "slice")
        for _ in range(4):
            point = [
                lo + (hi - lo) * Fraction(int(random.integers(0, 9)), 8) for lo, hi in zip(leaf.lower, leaf.upper, strict=True)
            ]
            assert small.exact(point).output == model.network.exact(point).output
        x = np.clip(np.array([[float(v) for v in point]], dtype=family.lower.dtype), family.lower, family.upper)
        assert np.allclose(family.predict(x), model.network.forward(x.astype(np.float64)), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_with_inherited_facts(seed: int) -> None:
    model = model_of(random_network(seed, skip=seed % 2 == 1))
    result = sliced(model, cube(3), slices=9, seed=seed)
    agrees(result, model, seed)
    walked = walk_family(result.files, model.data)
    assert len(walked.leaves) == result.summary["slices"] == 9
    assert walked.inherited > 0
    assert result.summary["parameters"]["mean"] < result.summary["parameters"]["original"]
    assert result.summary["agreement"]["max_difference"] < 1e-3
    for named in (result.summary["manifest"], result.summary["certificate"]):
        assert hashlib.sha256(result.files[named["file"]]).hexdigest() == named["sha256"]


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_new_neurons_of_a_slice_are_proven_active_or_not_made(kind: str) -> None:
    """In float64 products of weights are exact, so active neurons are combined: the checker has to follow that."""
    network = random_network(0)
    affines = []
    for affine in network.layers:
        terms = tuple(Term(t.source, Dense(t.map.dense().weight.astype(np.float16).astype(np.float64))) for t in affine.terms)
        affines.append(Affine(terms, affine.bias.astype(np.float16).astype(np.float64)))
    model = model_of(Network(3, tuple(affines), network.output, Interface(element_type=kind)))
    result = sliced(model, cube(3), slices=4)
    assert len(walk_family(result.files, model.data).leaves) == 4
    assert result.family().predict(result.family().lower).dtype == kind


def test_a_slice_without_inherited_facts_is_a_certificate_of_two_networks(tmp_path: Path) -> None:
    """The whole domain as one slice: the existing checker accepts its evidence as it stands."""
    model = read_model(IRIS)
    domain = secateur.read_domain(IRIS_BOX)
    ledger = work.Ledger.opened(tmp_path / "run")
    ledger.keep_model(model.data)
    work.make_slice(work.SliceTask(ledger.folder, "0" * 40, model.sha256, domain, (), None, 0, 20.0, 1))
    record = ledger.slice("0" * 40)
    assert record is not None
    evidence = secateur.search.decide_slice(model.network, domain, (), (0, 0), 20.0, lambda: False).evidence
    assert set(record.facts.claims) == set(evidence.claims)
    parsed = dataclasses.replace(model, data=record.data, network=parse_onnx(record.data, "small"))
    text = domain.to_json().encode()
    (tmp_path / "domain.json").write_bytes(text)
    (tmp_path / "reduced.onnx").write_bytes(record.data)
    (tmp_path / "certificate.secateur").write_bytes(
        certificate_bytes(
            producer="test",
            tolerance=Fraction(0),
            original=FileReference("x", model.sha256),
            reduced=FileReference("reduced.onnx", parsed.sha256),
            domain=FileReference("domain.json", hashlib.sha256(text).hexdigest()),
            input_size=domain.dimension,
            evidence=evidence,
            reduced_evidence=secateur.search.PhaseEvidence((0,) * len(parsed.network.layers)),
        )
    )
    assert isinstance(check(tmp_path, original=IRIS), Accepted)
    assert parsed.network.sizes == (11, 13)


def test_cuts_do_not_run_into_a_point_where_neurons_meet() -> None:
    # Without biases every neuron switches at the origin, however small the box around it.
    network = random_network(6, (2, 6))
    network = dataclasses.replace(network, layers=(dataclasses.replace(network.layers[0], bias=np.zeros(6)),))
    result = sliced(model_of(network), cube(2), slices=300)
    walked = walk_family(result.files, to_model_bytes(network))
    assert len(walked.leaves) == result.summary["slices"] == 300
    assert max(leaf[3] for leaf in result.summary["leaves"]) < 60


def test_slices_that_cannot_be_cut_are_reported() -> None:
    domain = Domain((Fraction(1),) * 3, (Fraction(1),) * 3)
    result = sliced(model_of(random_network(0)), domain, slices=4)
    assert result.summary["slices"] == 1
    assert result.summary["late"] == "no more than 1 slice: finer cuts would stabilise nothing"


def test_rounds_cut_every_coordinate_with_a_width() -> None:
    model = model_of(random_network(0))
    domain = Domain((Fraction(0), Fraction(1, 3), Fraction(-1)), (Fraction(1), Fraction(1, 3), Fraction(1)))
    result = sliced(model, domain, rounds=2)
    walked = walk_family(result.files, model.data)
    assert len(walked.leaves) == 16
    assert {leaf.upper[1] - leaf.lower[1] for leaf, _ in walked.leaves} == {0}
    assert {leaf.upper[2] - leaf.lower[2] for leaf, _ in walked.leaves} == {Fraction(1, 2)}


def test_a_limit_of_neurons_is_kept_by_every_slice() -> None:
    random = np.random.default_rng(7)  # small integers: what is linear on a slice can be merged exactly
    rows = [random.integers(-2, 3, size).tolist() for size in ((6, 2), (6, 6), (1, 6))]
    model = model_of(chain((rows[0], [0.5] * 6), (rows[1], [-1] * 6), (rows[2], [0])))
    result = sliced(model, cube(2), max_neurons=5)
    agrees(result, model, 0)
    assert result.summary["neurons"]["max"] <= 5
    assert result.summary["slices"] > 2
    assert result.summary["late"] == ""


def test_a_limit_that_exact_weights_cannot_keep_is_reported() -> None:
    model = model_of(random_network(1, (2, 6)))
    domain = Domain((Fraction(50),) * 2, (Fraction(51),) * 2)  # every neuron has one phase
    result = sliced(model, domain, max_neurons=0)
    assert result.summary["slices"] == 1
    assert "exact weights cannot merge them" in result.summary["late"]


def test_equal_slices_are_stored_once() -> None:
    # relu(x + 3) on [-2, 2] is active everywhere, so every slice is the same affine network
    network = random_network(5, (1, 2))
    network = dataclasses.replace(network, layers=(dataclasses.replace(network.layers[0], bias=np.array([9.0, 9.0])),))
    result = sliced(model_of(network), ((-2,), (2,)), slices=5)
    assert (result.summary["slices"], result.summary["files"]) == (5, 1)
    assert sorted(name for name in result.files if name.startswith("slices/")) == ["slices/00000.onnx"]


def test_ctrl_c_keeps_what_is_done_and_the_family_is_complete() -> None:
    def third(calls: int) -> None:
        if calls == 3:
            raise KeyboardInterrupt

    model = model_of(random_network(2))
    result = sliced(model, cube(3), slices=8, executor=Here(third))
    assert result.interrupted
    assert result.summary["undecided"]["not_begun"] == 5
    assert result.summary["agreement"] is None
    agrees(result, model, 2)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def fifth(calls: int) -> None:
        if calls == 5:
            raise Killed

    model, out = model_of(random_network(3)), tmp_path / "family"
    with pytest.raises(Killed):
        sliced(model, cube(3), slices=8, out=out, executor=Here(fifth))
    assert not out.exists()
    assert len(list((tmp_path / "family.partial").glob("*.slice"))) == 5
    rest = Here()
    result = sliced(model, cube(3), slices=8, out=out, executor=rest)
    assert rest.calls == 3
    agrees(result, model, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["family"]
    whole = sliced(model, cube(3), slices=8)
    assert whole.files["manifest.json"] == result.files["manifest.json"]


def test_time_that_is_up_leaves_the_original_network() -> None:
    model = model_of(random_network(4))
    result = sliced(model, cube(3), slices=64, timeout=0.02)
    assert result.summary["late"]
    agrees(result, model, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slices": 0}, "--slices: 0 slices cannot cover the domain; give at least 1"),
        ({"rounds": 0}, "--rounds: 0 rounds cut nothing; give at least 1"),
        ({"max_neurons": -1}, "--max-neurons: a network cannot have -1 neurons"),
        ({}, "how to cut is not said; give one of --slices, --max-neurons and --rounds"),
        ({"slices": 2, "rounds": 1}, "how to cut is not said"),
        ({"slices": 10**12}, r"--slices: 1,000,000,000,000 slices are more than the (memory|disk) holds: about [\d,]+ fit"),
        ({"rounds": 30}, r"--rounds 30: 2\^90 slices are more than the (memory|disk) holds: about [\d,]+ fit"),
        ({"slices": 2, "timeout": 0}, "--timeout: time limit 0 is not a positive number of seconds"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(secateur.InputError, match=message):
        slice_network(model_of(random_network(0)), cube(3), out=tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(secateur.InputError, match=r"output folder .*: is not empty; choose another --out"):
        slice_network(model_of(random_network(0)), cube(3), slices=2, out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_domain_of_another_dimension() -> None:
    with pytest.raises(secateur.InputError, match="the domain has 2 coordinates but the network has 3 inputs"):
        slice_network(model_of(random_network(0)), cube(2), slices=2)


def test_a_later_turn_goes_on_from_what_was_proven() -> None:
    """First turns without time for trees; the facts of both turns stand in one certificate, those of the first in front."""
    model, first, files = model_of(random_network(5)), dict[str, tuple[Any, ...]](), dict[str, work.SliceTask]()

    class Hasty(Here):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            task = args[0]
            future = super().submit(fn, dataclasses.replace(task, seconds=0.0) if task.turn == 1 else task, **kwargs)
            record = work.Ledger(task.folder).slice(task.name)
            assert record is not None
            if task.turn == 1:
                first[task.name] = record.facts.claims
            elif record.facts.claims != first[task.name]:
                assert record.facts.claims[: len(first[task.name])] == first[task.name]
                files[task.name] = task
            return future

    result = sliced(model, cube(3, -0.5, 0.5), slices=4, executor=Hasty())
    assert any(first[name] for name in files)
    assert len(walk_family(result.files, model.data).leaves) == 4
    assert result.summary["undecided"]["slices"] == 0
    agrees(result, model, 5)


def test_more_turns_go_first_to_slices_that_seem_nearest_to_an_end() -> None:
    """A network that is not decided in the time: whatever comes first in a later turn seemed to need least before it."""
    model, needed, order = model_of(random_network(4, (8, 30, 30, 30, 30))), dict[str, float](), list[tuple[int, float]]()

    class Recording(Here):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            task = args[0]
            order.append((task.turn, needed.get(task.name, 0.0)))
            future = super().submit(fn, *args, **kwargs)
            needed[task.name] = future.result().needed
            return future

    result = sliced(model, cube(8, -3.0, 3.0), slices=4, timeout=8.0, executor=Recording())
    assert [turn for turn, _ in order[:4]] == [1, 1, 1, 1]
    assert len(order) > 4
    for turn in {turn for turn, _ in order[4:]}:
        estimates = [estimate for t, estimate in order if t == turn]
        assert estimates == sorted(estimates)
    assert result.summary["undecided"]["slices"] > 0
