"""One call from files to a verdict: what is read, what is refused, what stays warm."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest

from secateur.bounds import warmup
from secateur.errors import InputError
from secateur.network import Interface, Network, to_model_bytes
from secateur.oracle import Engine, verify
from secateur.progress import SilentProgress
from secateur.search import Holds, Unknown, Verdict, Violated
from secateur.specification import parse_query
from tests.bounds.support import random_network
from tests.search.queries import layered

F = Fraction
RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
NEGATED = layered(([[1.0]], [0.0]), ([[-1.0]], [0.0]))
WIDE = layered(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0]))
TWO = (
    "(vnnlib-version <2.0>)"
    "(declare-network f (declare-input X float32 [1,1]) (declare-output Y float32 [1,1]))"
    "(declare-network g {}(declare-input U float32 [1,1]) (declare-output V float32 [1,1]))"
    "(assert (and (>= X[0,0] -1.0) (<= X[0,0] 1.0) (== X[0,0] U[0,0])))"
    "(assert (and (>= U[0,0] -1.0) (<= U[0,0] 1.0)))"
    "(assert (>= Y[0,0] (+ V[0,0] 0.5)))"
)


class Recorder(SilentProgress):
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    warmup()
    with Engine(jobs=1) as one:
        yield one


def written(path: Path, network: Network) -> Path:
    path.write_bytes(to_model_bytes(network))
    return path


def query_text(condition: str, low: str = "-1", high: str = "1", inputs: int = 1) -> str:
    names = [f"X_{i}" for i in range(inputs)]
    lines = [f"(declare-const {name} Real)" for name in (*names, "Y_0")]
    lines += [f"(assert (>= {name} {low}))\n(assert (<= {name} {high}))" for name in names]
    return "\n".join([*lines, f"(assert {condition})\n"])


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A query file that holds for relu(x), whatever the network's file."""
    path = tmp_path / "query.vnnlib"
    path.write_text(query_text("(<= Y_0 -0.5)"))
    return path


def answer(engine: Engine, model: Path, condition: str, timeout: float = 20.0) -> Verdict:
    query = model.parent / "condition.vnnlib"
    query.write_text(query_text(condition))
    return engine.verify(model, query, timeout=timeout)


def test_the_three_verdicts(tmp_path: Path, engine: Engine) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    assert isinstance(answer(engine, model, "(<= Y_0 -0.5)"), Holds)
    sat = answer(engine, model, "(>= Y_0 0.75)")
    assert isinstance(sat, Violated)
    assert F(3, 4) <= sat.witness.exact_inputs[0] <= 1
    assert sat.witness.exact_outputs == (sat.witness.exact_inputs,)
    # 1/3 is met by no number of float32: neither refuted, nor shown by a point that can be replayed.
    third = answer(engine, model, "(and (<= (* 3.0 Y_0) 1) (>= (* 3.0 Y_0) 1))", timeout=0.5)
    assert isinstance(third, Unknown)
    assert third.reason


def test_verdicts_are_no_truth_values(tmp_path: Path, engine: Engine) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    verdicts = [answer(engine, model, c) for c in ("(<= Y_0 -0.5)", "(>= Y_0 0.75)")]
    for verdict in (*verdicts, answer(engine, model, "(>= Y_0 0.75)", timeout=1e-9)):
        with pytest.raises(TypeError, match="match it against Holds, Violated and Unknown"):
            bool(verdict)
    assert [type(v) for v in verdicts] == [Holds, Violated]


def test_a_time_limit_that_is_used_up_is_unknown(tmp_path: Path, engine: Engine, asked: Path) -> None:
    verdict = engine.verify(written(tmp_path / "net.onnx", RELU), asked, timeout=1e-9)
    assert isinstance(verdict, Unknown)
    assert verdict.timed_out
    assert verdict.reason == "the time limit of 1e-09 s is used up"


def test_a_search_ends_at_the_time_limit(tmp_path: Path, engine: Engine) -> None:
    network = random_network([8, 40, 40, 40, 1], seed=1)
    network = replace(network, interface=Interface(input_shape=(1, 8), output_shape=(1, 1)))
    lowest = network.forward(np.random.default_rng(0).uniform(-1, 1, (20_000, 8))).min()
    query = tmp_path / "query.vnnlib"
    query.write_text(query_text(f"(<= Y_0 {lowest - 0.3:.6f})", inputs=8))
    verdict = engine.verify(written(tmp_path / "net.onnx", network), query, timeout=0.2)
    assert isinstance(verdict, Unknown)
    assert verdict.timed_out


def test_queries_as_objects_and_files_mean_the_same(tmp_path: Path, engine: Engine, asked: Path) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    assert isinstance(engine.verify(model, asked), Holds)
    assert isinstance(engine.verify(str(model), str(asked)), Holds)
    assert isinstance(engine.verify({"N": model}, asked), Holds)
    assert isinstance(engine.verify(model, parse_query(asked.read_text())), Holds)
    assert isinstance(verify(model, asked, jobs=1, solver="none"), Holds)


def test_the_stages_are_told(tmp_path: Path, engine: Engine, asked: Path) -> None:
    told = Recorder()
    engine.verify(written(tmp_path / "net.onnx", RELU), asked, progress=told)
    assert told.stages[0] == "read"
    assert told.stages[1].startswith("search")
    assert told.notes == []


def test_an_empty_input_region_holds_with_a_note(tmp_path: Path, engine: Engine) -> None:
    query = tmp_path / "empty.vnnlib"
    query.write_text(query_text("(<= Y_0 0)", low="1", high="0"))
    told = Recorder()
    verdict = engine.verify(written(tmp_path / "net.onnx", RELU), query, progress=told)
    assert isinstance(verdict, Holds)
    assert told.notes == [f"{query}: no input meets the query's conditions on the inputs: its input region is empty"]


# --- files


def test_a_gzipped_network_and_query(tmp_path: Path, engine: Engine, asked: Path) -> None:
    packed = tmp_path / "net.onnx.gz"
    packed.write_bytes(gzip.compress(to_model_bytes(RELU)))
    query = tmp_path / "query.vnnlib.gz"
    query.write_bytes(gzip.compress(query_text("(>= Y_0 0.75)").encode()))
    assert isinstance(engine.verify(packed, asked), Holds)
    assert isinstance(engine.verify(packed, query), Violated)


@pytest.mark.parametrize("damage", ["cut", "flipped", "head"])
def test_a_damaged_gzip_file_is_refused(damage: str, tmp_path: Path, engine: Engine, asked: Path) -> None:
    whole = gzip.compress(to_model_bytes(RELU))
    flipped = whole[:20] + bytes(255 - b for b in whole[20:60]) + whole[60:]
    packed = tmp_path / "net.onnx.gz"
    packed.write_bytes({"cut": whole[:-20], "flipped": flipped, "head": whole[:3]}[damage])
    with pytest.raises(InputError, match=r"net\.onnx\.gz: is no complete gzip file: "):
        engine.verify(packed, asked)


def test_a_network_that_changed_on_disk_is_read_again(tmp_path: Path, engine: Engine, asked: Path) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    assert isinstance(engine.verify(model, asked), Holds)
    status = model.stat()
    written(model, NEGATED)
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (model.stat().st_size, model.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)  # its content alone tells
    assert isinstance(engine.verify(model, asked), Violated)


def test_weights_in_another_file_are_read_again_and_replayed(tmp_path: Path, engine: Engine, asked: Path) -> None:
    model = tmp_path / "net.onnx"
    for network, verdict in ((RELU, Holds), (NEGATED, Violated), (RELU, Holds)):
        proto, kept = onnx.load_model_from_string(to_model_bytes(network)), model.read_bytes() if model.exists() else None
        (tmp_path / "w.bin").unlink(missing_ok=True)
        onnx.save_model(proto, model, save_as_external_data=True, location="w.bin", size_threshold=0)
        assert kept in (None, model.read_bytes())  # only the other file tells
        assert isinstance(engine.verify(model, asked), verdict)


def test_a_file_that_broke_is_not_answered_from_memory(tmp_path: Path, engine: Engine, asked: Path) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    assert isinstance(engine.verify(model, asked), Holds)
    model.write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no ONNX model or is damaged"):
        engine.verify(model, asked)
    model.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        engine.verify(model, asked)


@pytest.mark.parametrize("missing", ["model", "query"])
def test_a_missing_file_is_refused(missing: str, tmp_path: Path, engine: Engine, asked: Path) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    (model if missing == "model" else asked).unlink()
    with pytest.raises(InputError, match=r"(net\.onnx|query\.vnnlib): cannot be read: No such file or directory"):
        engine.verify(model, asked)


def test_a_folder_is_no_network(tmp_path: Path, engine: Engine, asked: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        engine.verify(tmp_path, asked)


@pytest.mark.parametrize(("inputs", "network"), [(1, WIDE), (2, RELU)])
def test_sizes_that_differ_are_refused(inputs: int, network: Network, tmp_path: Path, engine: Engine) -> None:
    query = tmp_path / "query.vnnlib"
    query.write_text(query_text("(<= Y_0 0)", inputs=inputs))
    model = written(tmp_path / "net.onnx", network)
    with pytest.raises(InputError) as refused:
        engine.verify(model, query)
    expected = f"the query declares {inputs} inputs for network N, the file has {network.input_size}"
    assert str(refused.value) == f"{query}, {model}: {expected}; use the network that the query was written for"


# --- several networks


def test_two_networks_by_name(tmp_path: Path, engine: Engine) -> None:
    f, g = written(tmp_path / "f.onnx", RELU), written(tmp_path / "g.onnx", NEGATED)
    query = parse_query(TWO.format(""), "two")
    assert isinstance(engine.verify({"f": g, "g": f}, query), Holds)  # -relu(x) >= relu(x) + 0.5: never
    verdict = engine.verify({"g": g, "f": f}, query)
    assert isinstance(verdict, Violated)
    x, u = verdict.witness.exact_inputs
    assert x == u >= F(1, 4)
    assert verdict.witness.exact_outputs == ((x,), (-x,))


def test_an_equal_network_shares_the_file(tmp_path: Path, engine: Engine) -> None:
    f = written(tmp_path / "f.onnx", RELU)
    query = parse_query(TWO.format("(equal-to f) "), "two")
    assert isinstance(engine.verify({"f": f}, query), Holds)
    assert isinstance(engine.verify({"f": f, "g": written(tmp_path / "g.onnx", NEGATED)}, query), Violated)


def test_an_isomorphic_network_needs_its_own_file(tmp_path: Path, engine: Engine) -> None:
    query = parse_query(TWO.format("(isomorphic-to f) "), "two")
    with pytest.raises(InputError, match=r"^two: no file is given for network 'g'; give one for each network$"):
        engine.verify({"f": written(tmp_path / "f.onnx", RELU)}, query)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (None, "two: the query declares 2 networks: f, g; give a file for each, by name"),
        (["f"], "two: no file is given for network 'g'; give one for each network"),
        (["f", "g", "h"], "two: there is no network 'h' in the query; it declares f, g"),
        ([], "two: no file is given for network 'f'; give one for each network"),
    ],
)
def test_wrong_names_are_refused(names: list[str] | None, line: str, tmp_path: Path, engine: Engine) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    with pytest.raises(InputError) as refused:
        engine.verify(model if names is None else dict.fromkeys(names, model), parse_query(TWO.format(""), "two"))
    assert str(refused.value) == line


def test_a_wrong_name_for_the_only_network_is_refused(tmp_path: Path, engine: Engine, asked: Path) -> None:
    with pytest.raises(InputError, match="there is no network 'f' in the query; it declares N"):
        engine.verify({"f": written(tmp_path / "net.onnx", RELU)}, asked)


# --- engines


def test_an_engine_works_twice_and_after_it_was_closed(tmp_path: Path, asked: Path) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    engine = Engine(jobs=1, solver="both")
    assert isinstance(engine.verify(model, asked), Holds)
    assert isinstance(engine.verify(model, asked), Holds)
    engine.close()
    engine.close()
    assert isinstance(engine.verify(model, asked), Holds)
    engine.close()


def test_the_same_seed_gives_the_same_witness(tmp_path: Path, engine: Engine) -> None:
    model = written(tmp_path / "net.onnx", RELU)
    first, again = (answer(engine, model, "(>= Y_0 0.75)") for _ in range(2))
    assert isinstance(first, Violated)
    assert isinstance(again, Violated)
    assert first.witness.exact_inputs == again.witness.exact_inputs


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"jobs": 0}, "--jobs: 0 threads cannot work; give at least 1"),
        ({"solver": "yices"}, "--solver: unknown solver 'yices'; choose one of z3, cvc5, both, none"),
        ({"seed": -1}, "--seed: seed -1 is negative; give a number from 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int | str], line: str) -> None:
    with pytest.raises(InputError) as refused:
        Engine(**options)  # type: ignore[arg-type]
    assert str(refused.value) == line


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_refused(timeout: float, tmp_path: Path, engine: Engine, asked: Path) -> None:
    with pytest.raises(InputError, match="is not a positive number of seconds"):
        engine.verify(tmp_path / "nowhere.onnx", asked, timeout=timeout)
