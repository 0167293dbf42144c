"""The three scripts of the competition, run by bash, with a small exact verifier in the place of `secateur verify`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vnncomp.tiny import ROOT, SOURCES, make_benchmark, tiny_model

SCRIPTS = ROOT / "benchmarks" / "vnncomp"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None or os.name != "posix", reason="bash is not there")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_benchmark(tmp_path / "a folder" / "tiny")


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """A python whose `-m secateur verify` is the tiny verifier."""
    tool = tmp_path / "python with tiny"
    verifier = ROOT / "tests" / "vnncomp" / "tiny.py"
    tool.write_text(
        f'#!/usr/bin/env bash\nif [ "$1" = -m ]; then shift 3; set -- "{verifier}" "$@"; fi\nexec "{sys.executable}" "$@"\n'
    )
    tool.chmod(0o755)
    return tool


def script(name: str, *words: object, python: object = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": SOURCES, "SECATEUR_PYTHON": str(python)}
    call = ["bash", str(SCRIPTS / name), *map(str, words)]
    return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)


def test_the_scripts_can_be_executed() -> None:
    assert all(os.access(SCRIPTS / f"{name}.sh", os.X_OK) for name in ("install_tool", "prepare_instance", "run_instance"))


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("install_tool.sh", ["v2"], "install_tool.sh: expected the version v1, got 'v2'"),
        ("prepare_instance.sh", ["v1", "acasxu"], "prepare_instance.sh: expected v1 BENCHMARK ONNX VNNLIB"),
        (
            "run_instance.sh",
            ["v2", "a", "b", "c", "d", "e"],
            "run_instance.sh: expected v1 BENCHMARK ONNX VNNLIB RESULTS_FILE TIMEOUT",
        ),
    ],
)
def test_a_wrong_call_is_told_in_one_line(name: str, words: list[str], told: str) -> None:
    done = script(name, *words)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [told]


def test_prepare_looks_for_the_files(tiny: Path) -> None:
    net, query = tiny / "onnx" / "net.onnx", tiny / "vnnlib" / "a.vnnlib"
    assert script("prepare_instance.sh", "v1", "tiny", net, query).returncode == 0
    pair = f"[('f', '{net}'), ('g', '{tiny}/onnx/other.onnx')]"
    for onnx, missing in ((tiny / "no.onnx", tiny / "no.onnx"), (pair, tiny / "onnx" / "other.onnx")):
        done = script("prepare_instance.sh", "v1", "tiny", onnx, query)
        assert done.returncode != 0
        assert done.stderr.splitlines() == [f"prepare_instance.sh: there is no file {missing}"]
    (tiny / "onnx" / "other.onnx.gz").write_bytes(b"packed")
    assert script("prepare_instance.sh", "v1", "tiny", pair, query).returncode == 0
    done = script("prepare_instance.sh", "v1", "tiny", "[oops", query)
    assert done.returncode != 0
    assert done.stderr.splitlines() == ["prepare_instance.sh: no list of (name, path) pairs: [oops"]


@pytest.mark.parametrize(("name", "text"), [("a", "sat\n((X_0 0.875)\n (Y_0 0.75))\n"), ("b", "unsat\n")])
def test_run_writes_the_results_file(tiny: Path, interpreter: Path, name: str, text: str) -> None:
    results = tiny / "results of it.txt"
    words = ("v1", "tiny", tiny / "onnx" / "net.onnx", tiny / "vnnlib" / f"{name}.vnnlib", results, 20)
    done = script("run_instance.sh", *words, python=interpreter)
    assert (done.returncode, done.stderr) == (0, "")
    assert results.read_text() == text
    assert [path.name for path in tiny.iterdir() if "partial" in path.name] == []


def test_run_leaves_no_results_where_the_verifier_fails(tiny: Path, interpreter: Path) -> None:
    results = tiny / "results.txt"
    words = ("v1", "tiny", tiny / "onnx" / "no.onnx", tiny / "vnnlib" / "a.vnnlib", results, 20)
    done = script("run_instance.sh", *words, python=interpreter)
    assert done.returncode == 2
    assert done.stderr.startswith("tiny: error: ")
    assert sorted(path.name for path in tiny.iterdir()) == ["instances.csv", "onnx", "vnnlib"]


def test_run_passes_several_networks_by_name(tiny: Path, tmp_path: Path) -> None:
    echo = tmp_path / "echo"
    echo.write_text(
        '#!/usr/bin/env bash\nif [ "$1" = -m ]; then echo timed-out; printf "%s\\n" "$@" >&2; '
        f'else exec "{sys.executable}" "$@"; fi\n'
    )
    echo.chmod(0o755)
    (tiny / "onnx" / "g.onnx.gz").write_bytes(tiny_model(1.0, 0.0))
    net, results = tiny / "onnx" / "net.onnx", tiny / "results.txt"
    pair = f"[('f', '{net}'), ('g', '{tiny}/onnx/g.onnx')]"
    done = script("run_instance.sh", "v1", "tiny", pair, tiny / "vnnlib" / "a.vnnlib", results, 7.5, python=echo)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        *("-m", "secateur", "verify", f"{tiny}/vnnlib/a.vnnlib"),
        *("--network", f"f={net}", "--network", f"g={tiny}/onnx/g.onnx.gz", "--timeout", "7.5"),
    ]
    assert results.read_text() == "timeout\n"
    done = script("run_instance.sh", "v1", "tiny", "[oops", tiny / "vnnlib" / "a.vnnlib", results, 7.5, python=echo)
    assert done.returncode != 0
    assert done.stderr.splitlines() == ["run_instance.sh: no list of (name, path) pairs: [oops"]
