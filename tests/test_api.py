"""The Python interface: everything as objects, saving later, every way to give a domain, every way to be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import secateur
from secateur import Accepted, Domain, InputError, PruneResult, Refused, prune
from secateur.api import read_model
from secateur.progress import SilentProgress
from tests.reduction.runs import BUNDLED

IRIS, BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"


class Stages(SilentProgress):
    """A progress that remembers the stages."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def stage(self, name: str) -> None:
        self.names.append(name)


@pytest.fixture(scope="module")
def result() -> PruneResult:
    return prune(IRIS, BOX, solver="none", jobs=1)


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = prune(IRIS, BOX, solver="none")
    assert list(tmp_path.iterdir()) == []
    assert result.folder is None
    assert result.summary["neurons"] == {"original": 32, "reduced": 24}


def test_result_as_objects(result: PruneResult) -> None:
    assert result.original.sizes == (16, 16)
    assert result.network.sizes == (11, 13)
    assert result.domain == secateur.read_domain(BOX)
    assert result.claim == "N and N' agree exactly on D"
    assert (result.tolerance, result.interrupted) == (0, False)
    assert result.certificate.startswith(b"SECATEUR1\n")
    assert result.data == result.files()["reduced.onnx"]
    assert json.loads(result.files()["summary.json"]) == result.summary


def test_saved_later_and_elsewhere(result: PruneResult, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    result.save(folder)
    assert isinstance(secateur.check(folder), Accepted)
    moved = tmp_path / "moved"
    folder.rename(moved)  # the path to the original no longer holds
    assert isinstance(secateur.check(moved, original=IRIS), Accepted)


def test_certificate_without_a_folder_names_the_file(result: PruneResult, tmp_path: Path) -> None:
    for name, data in result.files().items():
        (tmp_path / name).write_bytes(data)
    assert isinstance(secateur.check(tmp_path, original=IRIS), Accepted)


def test_a_check_of_nothing_is_bad_input_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: the certificate cannot be read: No such file"):
        secateur.check(tmp_path / "nowhere")
    assert "InputError" in (secateur.check.__doc__ or "")
    assert "CheckInputError" not in (secateur.check.__doc__ or "")


def test_a_changed_file_is_refused(result: PruneResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    data = bytearray((tmp_path / "reduced.onnx").read_bytes())
    data[-1] ^= 1
    (tmp_path / "reduced.onnx").write_bytes(data)
    assert isinstance(secateur.check(tmp_path), Refused)


def test_saving_twice_gives_the_same_files(result: PruneResult, tmp_path: Path) -> None:
    for _ in range(2):
        result.save(tmp_path / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == result.files(tmp_path / "out")


@pytest.mark.parametrize(
    "bounds",
    [
        (["4.120", "1.879", "0.704", "-0.020"], ["8.081", "4.521", "7.196", "2.620"]),
        ([Fraction(412, 100), "1.879", "0.704", "-1/50"], ["8.081", "4.521", "7.196", "2.62"]),
    ],
)
def test_domains_given_as_bounds(bounds: Any) -> None:
    assert prune(IRIS, bounds, solver="none").domain == secateur.read_domain(BOX)


def test_arrays_count_as_the_rationals_they_are() -> None:
    lower, upper = np.float32([4.1, 1.9, 0.7, 0]), np.array([8, 4, 7, 2])
    domain = prune(IRIS, (lower, upper), solver="none").domain
    assert domain.lower == tuple(map(Fraction, lower.tolist()))
    assert domain.upper == (8, 4, 7, 2)
    assert domain.description == "given as bounds"


def test_a_model_that_was_read_before() -> None:
    domain = Domain((Fraction(5),) * 4, (Fraction(5),) * 4)
    result = prune(read_model(IRIS), domain, solver="none")
    assert result.phases.count(secateur.Status.BOTH) == 0
    assert result.phases.count(secateur.Status.UNKNOWN) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": -1}, "--tolerance: tolerance -1 is negative"),
        ({"tolerance": float("nan")}, "tolerance: nan is not a finite number"),
        ({"tolerance": float("inf")}, "tolerance: inf is not a finite number"),
        ({"tolerance": "1e"}, "tolerance: '1e' is not a finite number"),
        ({"tolerance": None}, "tolerance: None is not a finite number"),
        ({"timeout": 0}, "--timeout: time limit 0 is not a positive number of seconds"),
        ({"jobs": 0}, "--jobs: 0 threads cannot work; give at least 1"),
        ({"solver": "yices"}, "--solver: unknown solver 'yices'; choose one of z3, cvc5, both, none"),
        ({"domain": ([0] * 4, [1, 1, np.nan, 1])}, "domain, upper bound 2: nan is not a finite number"),
        ({"domain": ([0] * 4, [1, 1, -1, 1])}, "given as bounds: coordinate 2: lower bound 0 is above upper bound -1"),
        ({"domain": ([0], [1])}, f"{IRIS}: the domain has 1 coordinates but the network has 4 inputs; "
         "give a domain of dimension 4"),
        ({"domain": (0, 1)}, "domain, lower bounds: '0' is one value; "
         "give a bound for every input on each side, such as ([0, 0], [1, 1])"),
        ({"model": IRIS.read_bytes()}, "bytes is no path of an ONNX file; "
         "save the model, with onnx.save for example, and give its path"),
        ({"model": "missing.onnx"}, "missing.onnx: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_bad_input_in_one_line(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    given = {"model": IRIS, "domain": BOX, "out": tmp_path / "out"} | arguments
    with pytest.raises(InputError) as caught:
        prune(**given)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_network_in_memory_is_refused_everywhere_with_a_remedy() -> None:
    proto, box = onnx.load(IRIS), secateur.read_domain(BOX)
    everything = secateur.Specification(box, secateur.outputs @ [1, 0, 0] <= 1000)
    with secateur.Engine(jobs=1, solver="none") as engine:
        calls: list[Callable[[Any], object]] = [
            secateur.read_onnx,
            lambda model: secateur.slice_network(model, box, slices=2),
            lambda model: engine.verify(model, everything),
            lambda model: engine.verify({"N": model}, everything),
            lambda model: engine.verify(model, everything.query(3)),
            lambda model: engine.verify({"N": model}, everything.query(3)),
            lambda model: engine.bounds(model, box),
            lambda model: engine.redundancy(model, secateur.RedundancyClaim(1, (0,), "phase"), box),
            lambda model: engine.equivalent(IRIS, model, box, epsilon=1),
            lambda model: engine.distance(model, IRIS, box),
        ]
        for call in calls:
            for model in (proto, proto.SerializeToString(), None):
                with pytest.raises(InputError, match=r"is no path of an ONNX file; save the model, with onnx\.save"):
                    call(model)


def test_the_original_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "reduced.onnx").write_bytes(IRIS.read_bytes())
    with pytest.raises(InputError, match="would overwrite the network itself; choose another --out"):
        prune(tmp_path / "reduced.onnx", BOX, out=tmp_path, solver="none")
    assert [p.name for p in tmp_path.iterdir()] == ["reduced.onnx"]


def test_pruning_twice_changes_nothing_more(result: PruneResult, tmp_path: Path) -> None:
    result.save(tmp_path / "once")
    again = prune(tmp_path / "once" / "reduced.onnx", BOX, out=tmp_path / "twice", solver="none")
    assert again.network.sizes == result.network.sizes
    assert isinstance(secateur.check(tmp_path / "twice"), Accepted)


def test_networks_that_nothing_can_be_removed_from(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(array, name) for name, array in (("w", np.eye(2)), ("b", np.float64([-0.1, 0.3])))]
    port = helper.make_tensor_value_info("x", TensorProto.DOUBLE, [1, 2])
    nodes, value = [], "x"
    for k in range(33):
        nodes += [helper.make_node("Gemm", [value, "w", "b"], [f"z{k}"]), helper.make_node("Relu", [f"z{k}"], [f"a{k}"])]
        value = f"a{k}"
    for output, problem in (("x", "its output is its input"), (value, "33 ReLU layers .* are more than the 31")):
        result = helper.make_tensor_value_info(output, TensorProto.DOUBLE, [1, 2])
        (tmp_path / "net.onnx").write_bytes(
            helper.make_model(
                helper.make_graph(nodes, "g", [port], [result], weights),
                opset_imports=[helper.make_opsetid("", 13)],
                ir_version=8,
            ).SerializeToString()
        )
        with pytest.raises(InputError, match=rf"net\.onnx: {problem}"):
            prune(tmp_path / "net.onnx", ((-1, -1), (1, 1)), solver="none")


def test_what_the_checker_cannot_read_is_refused_by_name(tmp_path: Path) -> None:
    """The reader lowers MaxPool, the checker does not know it: no certificate, so nothing is written, or even searched for."""
    pool = helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[1, 2], strides=[1, 2])
    nodes = [pool, helper.make_node("Flatten", ["p"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 1, 1, 4]), ("y", [1, 1]))]
    weight = numpy_helper.from_array(np.ones((2, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:], [weight])
    model = tmp_path / "pool.onnx"
    model.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())
    query = tmp_path / "query.vnnlib"
    lines = [f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(4)]
    query.write_text("\n".join([*lines, "(declare-const Y_0 Real)(assert (>= Y_0 3))\n"]))
    told, box, target = Stages(), ((0,) * 4, (1,) * 4), tmp_path / "made"
    refused = r"pool\.onnx: no certificate .* can be written: node MaxPool -> p: unsupported operator; "
    with pytest.raises(InputError, match=f"{refused}nothing was written"):
        prune(model, box, out=target, solver="none", progress=told)
    with pytest.raises(InputError, match=f"{refused}nothing was written"):
        secateur.slice_network(model, box, slices=2, out=target, progress=told)
    for asked in (
        lambda: secateur.verify(model, query, certificate=target, progress=told),
        lambda: secateur.equivalent(model, model, box, epsilon=1, certificate=target, progress=told),
    ):
        with pytest.raises(InputError, match=f"{refused}ask without a certificate"):
            asked()
    assert set(told.names) <= {"read"}
    assert not target.exists()
    assert isinstance(secateur.verify(model, query, solver="none"), secateur.Holds)


class Impatient(SilentProgress):
    """Somebody who presses Ctrl-C as soon as a stage begins, once."""

    def __init__(self, stage: str) -> None:
        self._stage, self.notes = stage, list[str]()

    def stage(self, name: str) -> None:
        if name == self._stage:
            self._stage = ""
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("stage", ["confirm", "rewrite", "relax", "check", "measure", "write"])
def test_ctrl_c_after_the_search_loses_nothing(stage: str, tmp_path: Path) -> None:
    tolerance = "0.2" if stage == "relax" else 0
    progress = Impatient(stage)
    found = prune(IRIS, BOX, out=tmp_path / "out", tolerance=tolerance, timeout=10.0, jobs=1, progress=progress)
    assert found.interrupted
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["status"]["inactive"] == 8
    assert isinstance(verdict := secateur.check(tmp_path / "out"), secateur.Accepted), verdict
    unchecked = "interrupted before the certificate was checked; run: secateur check" in progress.notes
    assert unchecked == (stage == "check")
    assert (summary["agreement"] is None) == (stage != "write")
