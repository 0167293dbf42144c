"""`secateur vnncomp` as a command: what it prints where, its exit codes, and one line for bad input."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from secateur.errors import InputError
from secateur.vnncomp import measure
from secateur.vnncomp.command import add_parsers
from secateur.vnncomp.verdicts import Answer, Verifier
from tests.vnncomp.tiny import COMMAND, SOURCES, TRUTH, decide, make_benchmark

RUN = ("vnncomp", "run")


@contextmanager
def tiny_verifier(jobs: int | None) -> Iterator[Verifier]:
    assert jobs in {None, 2}
    yield decide


@contextmanager
def impatient(_: int | None) -> Iterator[Verifier]:
    def ask(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
        if query.stem == "b":
            raise KeyboardInterrupt
        return decide(models, query, timeout)

    yield ask


class Strict(argparse.ArgumentParser):
    """Refuses in the way of the program that takes these parsers up."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def command(*words: object, opener: object = tiny_verifier) -> int:
    parser = Strict()
    add_parsers(parser.add_subparsers(required=True), opener)  # type: ignore[arg-type]
    options = parser.parse_args(list(map(str, words)))
    code: int = options.run(options)
    return code


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_benchmark(tmp_path / "tiny", truth=TRUTH)


def test_run_prints_a_table_and_tells_progress_elsewhere(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*RUN, tiny, "--out", tiny / "out.csv", "--jobs", 2) == 0
    printed = capsys.readouterr()
    header, line = printed.out.splitlines()
    names = "benchmark instances solved unsat sat wrong timeouts unknown errors total s median s slowest s"
    assert " ".join(header.split()) == names
    assert line.split()[:9] == ["tiny", "4/4", "4", "2", "2", "0", "0", "0", "0"]
    assert len([told for told in printed.err.splitlines() if "net " in told]) == 4
    assert (tiny / "out.csv").read_text().count("\n") == 4


def test_run_with_a_wrong_verdict_exits_with_1(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "ground_truth.csv").write_text(TRUTH.replace("d.vnnlib,unsat", "d.vnnlib,sat"))
    assert command(*RUN, tiny, "--out", tiny / "out.csv") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "WRONG  net d: unsat, but the ground truth is sat"


def test_run_stopped_says_how_to_go_on(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tiny / "out.csv"
    assert command(*RUN, tiny, "--out", out, opener=impatient) == 130
    told = capsys.readouterr()
    assert (
        told.err.splitlines()[-1] == f"interrupted; 1 of 4 instances are saved in {out}; the same command with --resume goes on"
    )
    assert told.out.splitlines()[1].split()[1] == "1/4"
    assert command(*RUN, tiny, "--out", out, "--resume") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:3] == ["4/4", "4"]


def test_run_isolated_starts_processes(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    monkeypatch.setattr(measure, "VERIFY", COMMAND)
    assert command(*RUN, tiny, "--out", tiny / "out.csv", "--isolated", "--jobs", 2) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:5] == ["4/4", "4", "2", "2"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--timeout", "0"), "argument --timeout: '0' is no positive number of seconds"),
        (("--timeout", "nan"), "argument --timeout: 'nan' is no positive number of seconds"),
        (("--jobs", "0"), "argument --jobs: '0' is no positive whole number"),
        (("--jobs", "many"), "argument --jobs: 'many' is no positive whole number"),
    ],
)
def test_bad_options_are_refused(tiny: Path, words: tuple[str, str], told: str) -> None:
    with pytest.raises(InputError) as caught:
        command(*RUN, tiny, "--out", tiny / "out.csv", *words)
    assert str(caught.value) == told


def test_bad_files_are_refused_before_anything_is_run(tiny: Path) -> None:
    (tiny / "vnnlib" / "d.vnnlib").unlink()
    with pytest.raises(InputError, match=r"instances\.csv, line 4: there is no file .*d\.vnnlib$"):
        command(*RUN, tiny, "--out", tiny / "out.csv")
    assert not (tiny / "out.csv").exists()


def test_score_prints_a_table_per_benchmark_and_draws(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, second = tiny / "out.csv", make_benchmark(tiny.parent / "second")
    command(*RUN, tiny, "--out", out)
    command(*RUN, second, "--out", out, "--resume")
    (tiny / "other.csv").write_text("x,net.onnx,b.vnnlib,0,unsat,1\nx,net.onnx,d.vnnlib,0,sat,1\n")
    capsys.readouterr()
    words = ("vnncomp", "score", f"us={out}", f"other={tiny}/other.csv", "--instances", tiny, "--instances", second)
    assert command(*words, "--cactus", tiny / "plot.svg", "--rules", 2025) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "tiny, rules of 2025"
    assert [line.split()[:6] for line in lines[2:4]] == [
        ["us", "2", "2", "0", "40", "100.0"],
        ["other", "1", "0", "1", "-140", "0.0"],
    ]
    # No ground truth there, but our witnesses settle a and c, b is agreed on, d is a tie.
    assert [line.split()[:6] for line in lines[7:9]] == [
        ["us", "1", "2", "0", "30", "100.0"],
        ["other", "1", "0", "0", "10", "33.3"],
    ]
    assert [line.split()[:2] for line in lines[-3:]] == [["tool", "score"], ["us", "200.0"], ["other", "33.3"]]
    assert "other.csv: no row for 2 of 4 instances of tiny" in printed.err
    assert "us (7)" in (tiny / "plot.svg").read_text()


def test_score_refuses_what_it_cannot_use(tiny: Path) -> None:
    command(*RUN, tiny, "--out", tiny / "out.csv")
    us = f"us={tiny}/out.csv"
    with pytest.raises(InputError, match="two tools have the same name"):
        command("vnncomp", "score", us, us, "--instances", tiny)
    with pytest.raises(InputError, match=r"plot\.png: is no name of an SVG file; write --cactus plot\.svg"):
        command("vnncomp", "score", us, "--instances", tiny, "--cactus", tiny / "plot.png")


def test_the_parsers_load_nothing_heavy() -> None:
    code = (
        "import argparse, sys\n"
        "from secateur.vnncomp.command import add_parsers\n"
        "add_parsers(argparse.ArgumentParser().add_subparsers(), None)\n"
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'numba', 'rich', 'csv', 'subprocess'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
