"""The comparison with peers, from end to end: both sides are small exact verifiers in processes of their own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.compare import Pair, main, pairs, summary
from secateur.vnncomp.instances import read_benchmark
from secateur.vnncomp.results import ResultRow, read_results
from secateur.vnncomp.verdicts import Status
from tests.vnncomp.tiny import COMMAND, SOURCES, TRUTH, make_benchmark

BASH = pytest.mark.skipif(shutil.which("bash") is None or os.name != "posix", reason="bash is not there")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_benchmark(tmp_path / "tiny", truth=TRUTH)


def checkout(folder: Path, body: str) -> Path:
    """A peer that follows the competition's contract."""
    (folder / "vnncomp_scripts").mkdir(parents=True)
    (folder / "vnncomp_scripts" / "run_instance.sh").write_text(f"set -eu\n{body}")
    return folder


@BASH
def test_both_sides_run_in_turn_and_are_compared(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    # Solves like the tiny verifier, but says unsat to c, which is sat.
    tool = " ".join(f"'{word}'" for word in COMMAND)
    peer = checkout(
        tmp_path / "nnenum",
        f'case "$4" in *c.vnnlib) echo unsat >"$5";; *) {tool} "$4" --network "$3" --timeout "$6" >"$5";; esac\n',
    )
    out = tmp_path / "compared"
    words = ["--peer", "nnenum", "--peer-path", str(peer), "--benchmark", str(tiny), "--out", str(out), "--limit", "3"]
    assert main(words, COMMAND) == 0
    printed = capsys.readouterr()
    ours, theirs = read_results(out / "secateur.csv"), read_results(out / "nnenum.csv")
    assert [row.result for row in ours] == ["sat", "unsat", "sat"]
    assert [row.result for row in theirs] == ["sat", "unsat", "unsat"]
    order = [line.split()[3] for line in printed.err.splitlines() if " net " in line]
    assert order == ["secateur", "nnenum", "nnenum", "secateur", "secateur", "nnenum"]
    lines = printed.out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["secateur", "3/3", "0"], ["nnenum", "3/3", "1"]]
    assert lines[3].startswith("time of nnenum / time of secateur on the 3 instances both solved: median ")
    assert lines[4:] == ["DISAGREE  net c: secateur sat, nnenum unsat, ground truth sat"]
    assert (out / "summary.txt").read_text() == printed.out
    assert (out / "nnenum-witnesses" / "tiny" / "net_a.counterexample").is_file()
    assert main(words, COMMAND) == 2  # the rows of a comparison are not overwritten
    assert "exists already; add --resume" in capsys.readouterr().err
    assert main([*words[:-2], "--resume"], COMMAND) == 0
    assert len([line for line in capsys.readouterr().err.splitlines() if " net " in line]) == 2
    assert [len(read_results(out / f"{name}.csv")) for name in ("secateur", "nnenum")] == [4, 4]


@BASH
def test_a_peer_that_fails_has_an_error_and_no_verdict(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    peer = checkout(tmp_path / "abcrown", 'echo unsat >"$5"\necho "no licence" >&2\nexit 3\n')
    words = ["--peer", "abcrown", "--peer-path", str(peer), "--benchmark", str(tiny), "--limit", "1"]
    assert main(words, COMMAND) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2].split()[:2] == ["abcrown", "0/1"]
    assert "error_exit_code_3" in printed.err
    assert "no licence" in printed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--peer", "marabou"], "--peer-path: marabou is not there; give the path of its installation"),
        (
            ["--peer", "marabou", "--peer-path", "/no/python"],
            "--peer-path /no/python: marabou is not there; give the path of its installation",
        ),
        (["--peer", "neuralsat", "--peer-path", "FOLDER"], "FOLDER: holds no run_instance.sh; give the checkout of neuralsat"),
        (
            ["--peer", "marabou", "--peer-path", sys.executable, "--timeout", "0"],
            "--timeout 0.0: is no positive number of seconds",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(tiny: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    here = [word.replace("FOLDER", str(tiny)) for word in words]
    assert main([*here, "--benchmark", str(tiny)]) == 2
    assert capsys.readouterr().err.splitlines() == [f"compare: error: {told}".replace("FOLDER", str(tiny))]


def rows(*said: tuple[str, str, float]) -> list[ResultRow]:
    return [ResultRow("tiny", "onnx/net.onnx", f"vnnlib/{q}.vnnlib", 0.0, word, seconds) for q, word, seconds in said]


def test_ratios_by_hand(tiny: Path) -> None:
    ours: Sequence[ResultRow] = rows(("a", "sat", 1.0), ("b", "unsat", 1.0), ("c", "unsat", 2.0), ("d", "unsat", 0.5))
    theirs = rows(("a", "sat", 2.0), ("b", "unsat", 8.0), ("c", "timeout", 20.0))
    found = pairs(read_benchmark(tiny), ours, theirs)
    assert [(pair.instance.name, pair.truth, pair.both_solved) for pair in found] == [
        ("net a", Status.SAT, True),
        ("net b", Status.UNSAT, True),
        ("net c", Status.SAT, False),
    ]
    assert [pair.ratio for pair in found] == [2.0, 8.0, 10.0]
    lines = summary("peer", found, {"peer": 2_000_000})
    assert lines[1].split() == ["secateur", "3/3", "1", "1.000", "4.00", "-"]
    assert lines[2].split() == ["peer", "2/3", "0", "5.000", "30.00", "2"]
    assert lines[3:] == [
        "time of peer / time of secateur on the 2 instances both solved: median 5.00, geometric mean 4.00, total 5.00"
    ]
    assert isinstance(found[0], Pair)
