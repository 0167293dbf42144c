"""Reading benchmarks: what is tolerated, and one line for every kind of fault."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.vnncomp.instances import identify, matches, read_benchmark, with_files
from secateur.vnncomp.verdicts import Status
from tests.vnncomp.tiny import TRUTH, make_benchmark

NAMES = st.text("abcXYZ_0123456789-.", min_size=1, max_size=8).filter(lambda name: name.strip("."))
PAIR = "\"[('f', 'onnx/a.onnx'), ('g', 'onnx/b.onnx')]\""


def written(folder: Path, instances: str | bytes, truth: str | None = None) -> Path:
    (folder / "instances.csv").write_bytes(instances if isinstance(instances, bytes) else instances.encode())
    if truth is not None:
        (folder / "ground_truth.csv").write_text(truth)
    return folder


def refusal(folder: Path, *, files: bool = False) -> str:
    read: Callable[[], object] = (lambda: with_files(read_benchmark(folder))) if files else (lambda: read_benchmark(folder))
    with pytest.raises(InputError) as caught:
        read()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_reads_rows_header_comments_and_blank_lines(tmp_path: Path) -> None:
    text = (
        "\ufeffonnx,vnnlib,timeout\r\n\r\n# easy ones\r\n./onnx/a.onnx , vnnlib/p.vnnlib, 116\r\n,,\r\n"
        + f"{PAIR},q.vnnlib,0.5\r\n"
    )
    (tmp_path / "x").mkdir()
    benchmark = read_benchmark(written(tmp_path / "x", text))
    first, second = benchmark.instances
    assert benchmark.name == "x"
    assert (first.networks, first.query, first.timeout) == ({"": tmp_path / "x/onnx/a.onnx"}, tmp_path / "x/vnnlib/p.vnnlib", 116)
    assert first.name == "a p"
    assert second.networks == {"f": tmp_path / "x/onnx/a.onnx", "g": tmp_path / "x/onnx/b.onnx"}
    assert (second.timeout, second.name, second.line) == (0.5, "a+b q", 6)
    assert benchmark.truth == {}


def test_a_version_folder_is_named_by_its_parent(tmp_path: Path) -> None:
    folder = tmp_path / "acasxu" / "2.0"
    folder.mkdir(parents=True)
    assert read_benchmark(written(folder, "a.onnx,b.vnnlib,1\n")).name == "acasxu"


def test_ground_truth_belongs_to_the_files_however_they_are_written(tmp_path: Path) -> None:
    truth = "timeout,vnnlib,onnx,consensus,tools\n9,./p.vnnlib,a.onnx.gz,SAT,x y\n"
    truth += "9,q.vnnlib,a.onnx,unknown,\n9,r.vnnlib,a.onnx,unsat,\n"
    rows = "./a.onnx,p.vnnlib.gz,1\na.onnx,q.vnnlib,1\na.onnx,r.vnnlib,1\na.onnx,s.vnnlib,1\n"
    benchmark = read_benchmark(written(tmp_path, rows, truth))
    assert [benchmark.truth_of(i) for i in benchmark.instances] == [Status.SAT, None, Status.UNSAT, None]


def test_packed_files_are_found_and_a_missing_one_is_named(tmp_path: Path) -> None:
    written(tmp_path, "a.onnx,p.vnnlib,1\na.onnx,missing.vnnlib,1\n")
    (tmp_path / "a.onnx.gz").write_bytes(gzip.compress(b"x"))
    (tmp_path / "p.vnnlib").write_text("x")
    assert refusal(tmp_path, files=True) == f"{tmp_path}/instances.csv, line 2: there is no file {tmp_path}/missing.vnnlib"
    written(tmp_path, "a.onnx,p.vnnlib,1\n")
    (instance,) = with_files(read_benchmark(tmp_path)).instances
    assert instance.networks == {"": tmp_path / "a.onnx.gz"}
    assert instance.query == tmp_path / "p.vnnlib"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a.onnx,p.vnnlib\n", "line 1: has 2 columns; write onnx,vnnlib,timeout"),
        ("a.onnx,p.vnnlib,1,2\n", "line 1: has 4 columns; write onnx,vnnlib,timeout"),
        ("a.onnx,p.vnnlib,1\n,p.vnnlib,1\n", "line 2: names no file; write onnx,vnnlib,timeout"),
        ("a.onnx,p.vnnlib,soon\n", "line 1: the time-out 'soon' is no positive number of seconds"),
        ("a.onnx,p.vnnlib,0\n", "line 1: the time-out '0' is no positive number of seconds"),
        ("a.onnx,p.vnnlib,-3\n", "line 1: the time-out '-3' is no positive number of seconds"),
        ("a.onnx,p.vnnlib,nan\n", "line 1: the time-out 'nan' is no positive number of seconds"),
        ("a.onnx,p.vnnlib,inf\n", "line 1: the time-out 'inf' is no positive number of seconds"),
        ('"a\x1b.onnx",p.vnnlib,1\n', "line 1: a path holds control characters"),
        ("[a.onnx],p.vnnlib,1\n", "line 1: the first column is no list of networks; write"),
        ("\"[('f',)]\",p.vnnlib,1\n", "line 1: the first column is no list of (name, path) pairs; write"),
        ("[],p.vnnlib,1\n", "line 1: the first column is no list of (name, path) pairs; write"),
        ("\"[('f', 'a'), ('f', 'b')]\",p,1\n", "line 1: the first column names a network twice; write"),
        ("[" * 5000 + ",p.vnnlib,1\n", "line 1: the first column is no list of networks; write"),
        ('"a.onnx,p.vnnlib,1\n', "line 1: is no CSV: unexpected end of data"),
        ("# nothing\n\n", "instances.csv: has no instances"),
    ],
)
def test_a_bad_instances_file_is_refused_in_one_line(tmp_path: Path, rows: str, told: str) -> None:
    assert told in refusal(written(tmp_path, rows))


def test_other_faults_of_files(tmp_path: Path) -> None:
    assert "is no folder; give the folder that holds instances.csv" in refusal(tmp_path / "nowhere")
    assert "instances.csv: cannot be read: No such file or directory" in refusal(tmp_path)
    assert "instances.csv: is no UTF-8 text" in refusal(written(tmp_path, b"\xff\xfe\xff,a,1\n"))


@pytest.mark.parametrize(
    ("truth", "told"),
    [
        ("onnx,vnnlib\na.onnx,p.vnnlib\n", "ground_truth.csv, line 1: has no column consensus"),
        ("", "ground_truth.csv, line 1: has no column onnx"),
        ("onnx,vnnlib,consensus\na.onnx,sat\n", "ground_truth.csv, line 2: has 2 columns, the header 3"),
        ("onnx,vnnlib,consensus\na,p,sat\n./a,p,unsat\n", "ground_truth.csv, line 3: contradicts an earlier row"),
        ("onnx,vnnlib,consensus\n[1],p,sat\n", "ground_truth.csv, line 2: the column onnx is no list of (name, path) pairs"),
    ],
)
def test_a_bad_ground_truth_is_refused_in_one_line(tmp_path: Path, truth: str, told: str) -> None:
    assert told in refusal(written(tmp_path, "a.onnx,p.vnnlib,1\n", truth))


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, max_size=2), NAMES)
def test_files_match_from_any_folder(path: list[str], prefix: list[str], query: str) -> None:
    inner = identify("/".join(path), f"vnnlib/{query}")
    outer = identify("/".join(["benchmarks", *prefix, *path]), f"./benchmarks/vnnlib/{query}")
    assert matches(inner, outer)
    assert matches(outer, inner)
    assert not matches(inner, identify("/".join([*path, "other"]), f"vnnlib/{query}"))


def test_networks_match_by_name() -> None:
    one = identify("[('f', 'x/a.onnx'), ('g', 'b.onnx')]", "q")
    assert matches(one, identify("[('f', 'a.onnx'), ('g', '/r/b.onnx')]", "q"))
    assert not matches(one, identify("[('f', 'a.onnx'), ('h', 'b.onnx')]", "q"))
    assert not matches(one, identify("a.onnx", "q"))


def test_the_tiny_benchmark_has_its_truth(tmp_path: Path) -> None:
    benchmark = with_files(read_benchmark(make_benchmark(tmp_path / "tiny", truth=TRUTH)))
    assert [benchmark.truth_of(i) for i in benchmark.instances] == [Status.SAT, Status.UNSAT] * 2


@pytest.mark.parametrize(("name", "count"), [("acasxu", 186), ("rl_benchmarks", 296), ("test", 5), ("mnist_fc", 90)])
def test_public_benchmarks_are_read_whole(data_dir: Path, name: str, count: int) -> None:
    benchmark = with_files(read_benchmark(data_dir / "vnncomp" / name))
    assert len(benchmark.instances) == count
    assert sum(benchmark.truth_of(instance) is not None for instance in benchmark.instances) >= count - 1


def test_the_public_equivalence_instance_has_two_networks(data_dir: Path) -> None:
    (instance,) = read_benchmark(data_dir / "equivalence" / "acasxu_perturbed_2026").instances
    assert list(instance.networks) == ["f", "g"]


def test_a_consensus_without_a_majority_is_none(tmp_path: Path) -> None:
    (tmp_path / "instances.csv").write_text("a.onnx,p.vnnlib,10\nb.onnx,p.vnnlib,10\n")
    lines = ["onnx,vnnlib,consensus,n_agree,n_dissent", "a.onnx,p.vnnlib,unsat,1,1", "b.onnx,p.vnnlib,unsat,2,1"]
    (tmp_path / "ground_truth.csv").write_text("\n".join(lines) + "\n")
    benchmark = read_benchmark(tmp_path)
    assert [benchmark.truth_of(i) for i in benchmark.instances] == [None, Status.UNSAT]
