"""The command `secateur slice`, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.reduction.runs import BUNDLED
from tests.reduction.slicing.family_walk import walk_family

WINE, BOX = BUNDLED / "wine.onnx", BUNDLED / "wine.domain.json"
COMMAND = [sys.executable, "-m", "secateur", "slice"]


def environment() -> dict[str, str]:
    root = Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "engine"), str(root / "encodings")])}


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=environment())


def walked(folder: Path) -> int:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return len(walk_family(files, WINE.read_bytes()).leaves)


def test_a_family_is_written_and_told(tmp_path: Path) -> None:
    done = run(WINE, "--domain", BOX, "--slices", 3, "--timeout", 30, "--jobs", 2, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"wine.onnx -> {tmp_path}/out, 3 slices")
    assert walked(tmp_path / "out") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_box_around_data_is_sliced(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.linspace(0, 1, 12).reshape(2, 6))
    out = tmp_path / "out"
    done = run(WINE, "--data", tmp_path / "x.npy", "--margin", "1/4", "--slices", 2, "--timeout", 9, "--jobs", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert walked(out) == 2
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["lower"][0], manifest["upper"][5]) == ("-1/4", "5/4")


def test_a_tolerance_is_told_and_kept(tmp_path: Path) -> None:
    words = ["--slices", 2, "--tolerance", "0.5", "--timeout", 30, "--jobs", 2, "--out", tmp_path / "out"]
    done = run(WINE, "--domain", BOX, *words)
    assert done.returncode == 0, done.stderr
    assert "with N' its network: max |N - N'| <= 0.5" in done.stdout
    assert "relaxed" in next(line for line in done.stdout.splitlines() if line.startswith("  removed"))
    assert f"check it    secateur check {tmp_path}/out" in done.stdout
    assert walked(tmp_path / "out") == 2
    assert "relaxed (linearised within the tolerance)" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slices", "2", "--tolerance", "x"], "--tolerance"),
        (["--slices", "2", "--lead", "1"], "--lead: is only for --preserve decision"),
        (["--slices", "2", "--preserve", "decision", "--tolerance", "1"], "--preserve: a tolerance and a decision exclude"),
        (["--slices", "0"], "--slices: 0 slices cannot cover the domain; give at least 1"),
        (["--slices", "x"], "argument --slices: 'x' is not a whole number; see secateur slice --help"),
        (["--slices", "2", "--margin", "1"], "--margin: is only for --data"),
        (["--slices", "2", "--box=0,1"], "argument --box: not allowed with argument --domain; see secateur slice --help"),
        ([], "one of the arguments --slices --max-neurons --rounds is required; see secateur slice --help"),
        (["--rounds", "9"], "--rounds 9: 2^54 slices are more than the"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    done = run(WINE, "--domain", BOX, *words, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def started(folder: Path) -> subprocess.Popen[str]:
    words = [WINE, "--domain", BOX, "--slices", 400, "--timeout", 400, "--jobs", 1, "--out", folder]
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def wait_for_slices(work: Path, count: int) -> int:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        made = len(list(work.glob("*.slice"))) if work.exists() else 0
        if made >= count:
            return made
        time.sleep(0.05)
    raise AssertionError("no slice was made")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_run_loses_no_finished_slice_and_ctrl_c_ends_it_whole(tmp_path: Path) -> None:
    folder, work = tmp_path / "out", tmp_path / "out.partial"
    child = started(folder)
    before = wait_for_slices(work, 3)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not folder.exists()
    again = started(folder)
    wait_for_slices(work, before + 2)
    again.send_signal(signal.SIGINT)
    told, errors = again.communicate(timeout=120)
    assert again.returncode == 130, errors
    assert "stopped     by Ctrl-C" in told
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["slices"] - summary["undecided"]["not_begun"] >= before + 2
    assert walked(folder) == summary["slices"]
    assert not work.exists()
