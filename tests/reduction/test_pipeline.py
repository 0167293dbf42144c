"""End to end: known truths of the bundled networks, exact agreement, and the independent checker's word."""

from __future__ import annotations

import hashlib
import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.api import PruneResult, prune
from secateur.checker import Accepted, check
from secateur.errors import InputError
from secateur.network import Interface, Network, Replay, to_model_bytes
from secateur.progress import SilentProgress
from secateur.reduction.pipeline import claim_in_words
from secateur.report import render
from secateur.residual import solver_versions
from secateur.search import Basis, Status
from secateur.specification import Domain
from tests.reduction.runs import BUNDLED, EXPECTED, checked, reduced_exactly, run
from tests.reduction.support import chain
from tests.strategies import networks, small_dyadics


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def pruned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, PruneResult]:
    folder = tmp_path_factory.mktemp("run") / "out"
    name = str(request.param)
    result = prune(BUNDLED / f"{name}.onnx", BUNDLED / f"{name}.domain.json", out=folder)
    return name, folder, result


Run = tuple[str, Path, PruneResult]


def test_statuses_are_the_known_truth(pruned: Run) -> None:
    name, _, result = pruned
    inactive = tuple(sum(n.status is Status.INACTIVE for n in layer) for layer in result.phases.neurons)
    assert inactive == EXPECTED[name]
    assert result.phases.count(Status.ACTIVE) == result.phases.count(Status.UNKNOWN) == 0
    assert result.network.neuron_count == result.original.neuron_count - sum(inactive)
    assert result.tolerance == 0
    assert not result.interrupted


def test_witnesses_replay_exactly(pruned: Run) -> None:
    _, folder, result = pruned
    stored = json.loads((folder / "witnesses.json").read_text())
    points = [tuple(map(Fraction, point)) for point in stored["points"]]
    assert all(result.domain.contains(point) for point in points)
    traces = [result.original.exact(point).pre_activations for point in points]
    for layer, neuron, positive, negative in stored["both"]:
        assert traces[positive][layer - 1][neuron] > 0 > traces[negative][layer - 1][neuron]
    assert len(stored["both"]) == result.phases.count(Status.BOTH)


def test_outputs_agree_exactly_at_rational_points(pruned: Run) -> None:
    _, _, result = pruned
    source = random.Random(2)
    for _ in range(40):
        shares = [Fraction(source.choice([0, 10**9, source.randrange(10**9)]), 10**9) for _ in result.domain.lower]
        point = [lo + w * s for lo, w, s in zip(result.domain.lower, result.domain.widths(), shares, strict=True)]
        assert result.original.exact(point).output == result.network.exact(point).output


def test_onnxruntime_agrees_within_the_noise(pruned: Run) -> None:
    name, folder, result = pruned
    agreement = result.summary["agreement"]
    assert agreement["points"] == 100_000
    assert agreement["max_difference"] <= agreement["float32_noise"] < 1e-2
    data = np.load(BUNDLED / f"{name}.data.npy")
    outputs = [Replay(path).evaluate(data) for path in (BUNDLED / f"{name}.onnx", folder / "reduced.onnx")]
    assert (outputs[0].argmax(axis=1) == outputs[1].argmax(axis=1)).all()


def test_checker_accepts_and_says_so(pruned: Run) -> None:
    name, folder, _ = pruned
    verdict = check(folder, strict=True)
    assert isinstance(verdict, Accepted)
    assert verdict.statement.startswith("Verified: for all x in D, max |N(x) - N'(x)| = 0")
    assert f"{sum(EXPECTED[name])} neurons proven inactive, 0 active" in verdict.statement


def test_every_claim_is_confirmed_by_the_solver(pruned: Run) -> None:
    name, _, result = pruned
    evidence = result.summary["evidence"]
    assert evidence["exact"] + evidence["tree"] == evidence["confirmed_by_smt"] == sum(EXPECTED[name])
    assert evidence["solver"] == 0
    assert evidence["solver_name"] == solver_versions("z3")


def test_files_are_complete_and_name_each_other(pruned: Run) -> None:
    name, folder, result = pruned
    assert sorted(path.name for path in folder.iterdir()) == [
        "certificate.secateur", "domain.json", "reduced.onnx", "report.html", "summary.json", "witnesses.json",
    ]  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == result.summary
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert summary["reduced_model"]["sha256"] == hashes["reduced.onnx"]
    assert summary["certificate"]["sha256"] == hashes["certificate.secateur"]
    assert summary["domain"]["sha256"] == hashes["domain.json"]
    source = hashlib.sha256((BUNDLED / f"{name}.onnx").read_bytes()).hexdigest()
    assert summary["model"] == {"file": f"{name}.onnx", "sha256": source, "name": name}
    model = onnx.load(folder / "reduced.onnx")
    assert {p.key: p.value for p in model.metadata_props} == {
        "secateur.version": summary["secateur"],
        "secateur.source_sha256": source,
        "secateur.domain_sha256": hashes["domain.json"],
        "secateur.claim": "N and N' agree exactly on D",
    }
    assert (folder / "report.html").read_text(encoding="utf-8") == render(summary)


def test_summary_counts(pruned: Run) -> None:
    name, folder, result = pruned
    s = result.summary
    inactive = sum(EXPECTED[name])
    assert s["neurons"] == {"original": sum(s["layers"]["original"]), "reduced": sum(s["layers"]["reduced"])}
    assert s["neurons"]["original"] - s["neurons"]["reduced"] == inactive == s["status"]["inactive"]
    assert sum(s["status"].values()) == s["neurons"]["original"]
    assert s["bytes"]["reduced"] == (folder / "reduced.onnx").stat().st_size < s["bytes"]["original"]
    weights = sum(t.size for t in map(onnx.numpy_helper.to_array, onnx.load(folder / "reduced.onnx").graph.initializer))
    assert s["parameters"]["reduced"] == weights
    assert [[n["status"] for n in layer] for layer in s["neuron_status"]] == [
        [n.status.value for n in layer] for layer in result.phases.neurons
    ]
    assert s["tree"]["leaves"] == sum(int((t.symbols == 0).sum()) + len(t.refuted) for t in result.phases.evidence.trees)
    assert (s["tolerance"], s["interrupted"]) == ({"requested": "0", "claimed": "0"}, False)
    assert 0 < sum(s["stages"].values()) <= s["seconds"] + 0.01
    assert {step["layer"] for step in s["steps"]} <= set(range(1, len(s["layers"]["original"]) + 1))


# --- small networks, each for one purpose


def unit_box(size: int, low: int = -1, high: int = 1) -> Domain:
    return Domain((Fraction(low),) * size, (Fraction(high),) * size)


def with_ports(network: Network) -> Network:
    ports = Interface(input_shape=(None, network.input_size), output_shape=(None, network.output_size))
    return Network(network.input_size, network.layers, network.output, ports)


def test_active_neurons_that_stay_are_no_obstacle(tmp_path: Path) -> None:
    # Neuron 0 is active, but only a split shows it; it stays, because a single active neuron saves nothing.
    network = with_ports(
        chain(
            ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.5, 0.0, 0.0]),
            ([[1.0, -1.0, 0.0], [1.0, -1.0, -1.0], [-1.0, 0.5, 1.0]], [0.125, 0.0, 0.0]),
            ([[1.0, -1.0, 2.0]], [0.25]),
        )
    )
    reduction = run(network, unit_box(2))
    neuron = reduction.analysis.phases.neurons[1][0]
    assert (neuron.status, neuron.basis) == (Status.ACTIVE, Basis.TREE)
    assert reduction.network.sizes == network.sizes
    assert (2, 0, 1) not in reduction.evidence.claims
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


def test_equal_neurons_that_cancel(tmp_path: Path) -> None:
    # The rewriter merges the two into one of weight 0: nothing is left of them in N'.
    twice = [[0.5, -1.0], [0.5, -1.0]]
    reduction = run(with_ports(chain((twice, [0.125, 0.125]), ([[0.5, -0.5]], [0.25]))), unit_box(2))
    assert reduction.network.neuron_count == 0
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


def many_active() -> Network:
    """Eight active neurons between two inputs and one output, with weights that do not compose in float32."""
    source = np.random.default_rng(4)
    weights = np.float32(source.uniform(-1, 1, (8, 2))).astype(float)
    readers = np.float32(source.uniform(-1, 1, (1, 8))).astype(float)
    return with_ports(chain((weights.tolist(), [3.0] * 8), (readers.tolist(), [0.5])))


def test_tolerance_permits_new_weights(tmp_path: Path) -> None:
    tolerance = Fraction(1, 10_000)
    reduction = run(many_active(), unit_box(2), tolerance)
    assert reduction.network.neuron_count == 0
    assert reduction.tolerance == tolerance
    assert reduction.claim == "max |N - N'| <= 1/10000 on D" == claim_in_words(tolerance)
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict
    difference, allowed = reduced_exactly(reduction, (Fraction(1, 3), Fraction(-2, 7)))
    assert 0 < difference <= allowed


def test_without_tolerance_the_same_network_stays_exact(tmp_path: Path) -> None:
    reduction = run(many_active(), unit_box(2))
    assert reduction.tolerance == 0
    assert reduced_exactly(reduction, (Fraction(1, 3), Fraction(-2, 7)))[0] == 0
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


def test_nothing_to_remove(tmp_path: Path) -> None:
    network = with_ports(chain(([[1.0, 0.5], [-0.5, 1.0]], [0.0, 0.0]), ([[1.0, 2.0]], [0.0])))
    reduction = run(network, unit_box(2))
    assert reduction.network.sizes == network.sizes
    assert reduction.rewrite.steps == ()
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


def test_an_affine_network_and_a_constant_one(tmp_path: Path) -> None:
    dead = with_ports(chain(([[1.0, 0.5], [-0.5, 1.0]], [-9.0, -8.0]), ([[1.0, 2.0]], [0.75])))
    reduction = run(dead, unit_box(2))
    assert reduction.network.neuron_count == 0
    assert reduction.network.exact((Fraction(0), Fraction(0))).output == (Fraction(3, 4),)
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


def test_a_single_point_as_domain(tmp_path: Path) -> None:
    network = with_ports(chain(([[1.0, 0.5], [-0.5, 1.0]], [0.0, 0.0]), ([[1.0, 2.0]], [0.0])))
    point = (Fraction(1, 3), Fraction(1, 10))
    reduction = run(network, Domain(point, point))
    assert reduction.analysis.phases.count(Status.UNKNOWN) == 0
    assert reduced_exactly(reduction, point)[0] == 0
    assert isinstance(verdict := checked(reduction, tmp_path), Accepted), verdict


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(
    network=networks(max_inputs=2, max_layers=3, weights=small_dyadics()).map(with_ports),
    low=st.integers(-2, 0),
    high=st.integers(0, 2),
    shares=st.lists(st.fractions(min_value=0, max_value=1, max_denominator=7), min_size=2, max_size=2),
    tolerance=st.sampled_from([Fraction(0), Fraction(1, 1000)]),
)
def test_random_networks_are_reduced_soundly(
    network: Network, low: int, high: int, shares: list[Fraction], tolerance: Fraction,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    reduction = run(network, unit_box(network.input_size, low, high), tolerance, timeout=3.0)
    point = tuple(low + (high - low) * share for share in shares[: network.input_size])
    difference, allowed = reduced_exactly(reduction, point)
    assert difference <= allowed
    if reduction.tolerance == 0:  # otherwise a refusal is answered by falling back to an exact rewriting
        assert isinstance(verdict := checked(reduction, tmp_path_factory.mktemp("run")), Accepted), verdict


def test_weights_that_the_type_cannot_hold(tmp_path: Path) -> None:
    model = onnx_with_division(tmp_path)
    for tolerance, remedy in (
        ("0", "allow rounding, for example with --tolerance 1e-6"),
        ("1e-12", "rounding is not provably within 0.000000000001; give a larger --tolerance"),
    ):
        with pytest.raises(InputError) as caught:
            prune(model, unit_box(1), out=tmp_path / "out", solver="none", tolerance=tolerance)
        assert str(caught.value).startswith(f"{model}: the network cannot be written exactly in float32 (")
        assert str(caught.value).endswith(f"; {remedy}")
        assert not (tmp_path / "out").exists()


def test_a_tolerance_permits_to_store_them(tmp_path: Path) -> None:
    result = prune(onnx_with_division(tmp_path), unit_box(1), out=tmp_path / "out", solver="none", tolerance="1e-6")
    assert result.tolerance == Fraction(1, 1_000_000)
    assert isinstance(verdict := check(tmp_path / "out"), Accepted), verdict


class Notes(SilentProgress):
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_claim_that_the_checker_cannot_show_is_not_made(tmp_path: Path) -> None:
    # Deep and with many active neurons: the rewriter bounds the rounding error by 6.2e-7, the checker by 1.8e-5.
    model, progress = tmp_path / "deep.onnx", Notes()
    model.write_bytes(to_model_bytes(deep_network()))
    result = prune(model, unit_box(2), out=tmp_path / "out", solver="none", tolerance="1e-6", progress=progress)
    assert result.tolerance == 0
    assert result.summary["tolerance"] == {"requested": "0.000001", "claimed": "0"}
    assert len(progress.notes) == 1
    assert progress.notes[0].endswith("; falling back to exact rewriting")
    assert isinstance(verdict := check(tmp_path / "out"), Accepted), verdict


def deep_network() -> Network:
    source = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return np.float32(source.uniform(-1, 1, shape)).astype(float)

    first = drawn(8)
    first[:6] = np.float32(first[:6] + 3)
    outer = drawn(8, 2).tolist()
    inner = [(drawn(8, 8).tolist(), drawn(8).tolist()) for _ in range(6)]
    return with_ports(chain((outer, first.tolist()), *inner, (drawn(2, 8).tolist(), drawn(2).tolist())))


def onnx_with_division(folder: Path) -> Path:
    """A network that divides its input by three: its exact weights are no floats."""
    from tests.onnx_models import model_bytes, node

    nodes = [
        node("Div", ["x", "three"], "scaled"),
        node("Gemm", ["scaled", "w", "b"], "z"),
        node("Relu", ["z"], "r"),
        node("Gemm", ["r", "w", "b"], "y"),
    ]
    stored = {"three": [3.0], "w": [[1.0]], "b": [0.0]}
    path = folder / "divides.onnx"
    path.write_bytes(model_bytes(nodes, stored, inputs={"x": (1, 1)}, outputs={"y": (1, 1)}))
    return path
