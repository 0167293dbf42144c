"""Runs from end to end on real files, warm and isolated: rows, witnesses, wrong verdicts, resuming, Ctrl-C."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.progress import SilentProgress
from secateur.vnncomp import measure
from secateur.vnncomp.instances import Instance, read_benchmark, with_files
from secateur.vnncomp.measure import Measured, measure_isolated, measure_warm, read_finished
from secateur.vnncomp.processes import Finished
from secateur.vnncomp.results import ResultsFile, read_results
from secateur.vnncomp.runner import Measure, Report, remaining, run, with_timeout
from secateur.vnncomp.verdicts import Answer, Status, Verifier
from tests.vnncomp.tiny import COMMAND, SOURCES, TRUTH, decide, make_benchmark

EXPECTED = ["sat", "unsat", "sat", "unsat"]


def warm(verifier: Verifier) -> Measure:
    return lambda instances: measure_warm(instances, verifier)


def run_in(folder: Path, measured: Measure, *, resume: bool = False, out: str = "out.csv") -> Report:
    benchmark = with_files(read_benchmark(folder / "tiny"))
    with ResultsFile(folder / out, resume=resume, note=lambda _: None) as results:
        return run(benchmark, results, measured, SilentProgress())


class Notes(SilentProgress):
    """Keeps the lines that stay."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    make_benchmark(tmp_path / "tiny", truth=TRUTH)
    return tmp_path


def test_a_warm_run_saves_rows_and_witnesses(tiny: Path) -> None:
    report = run_in(tiny, warm(decide))
    rows = read_results(tiny / "out.csv")
    assert [row.result for row in rows] == EXPECTED
    assert [(row.category, row.onnx, row.vnnlib) for row in rows] == [
        ("tiny", "onnx/net.onnx", f"vnnlib/{n}.vnnlib") for n in "abcd"
    ]
    assert all(0 < row.run_time < 20 for row in rows)
    assert sorted(path.name for path in (tiny / "out-witnesses" / "tiny").iterdir()) == [
        "net_a.counterexample",
        "net_c.counterexample",
    ]
    assert (tiny / "out-witnesses" / "tiny" / "net_a.counterexample").read_text() == "((X_0 0.875)\n (Y_0 0.75))\n"
    header, line = report.table()
    assert header.split()[:6] == ["benchmark", "instances", "solved", "unsat", "sat", "wrong"]
    assert line.split()[:9] == ["tiny", "4/4", "4", "2", "2", "0", "0", "0", "0"]
    assert (report.wrong, report.interrupted, report.complete) == ((), False, True)


def test_every_instance_is_told(tiny: Path) -> None:
    benchmark, progress = with_files(read_benchmark(tiny / "tiny")), Notes()
    with ResultsFile(tiny / "out.csv", resume=False, note=lambda _: None) as results:
        run(benchmark, results, warm(decide), progress)
    assert [line.split("  ")[:3] for line in progress.lines] == [
        [f"{i}/4", f"net {name}", verdict] for i, (name, verdict) in enumerate(zip("abcd", EXPECTED, strict=True), 1)
    ]


def test_a_verdict_against_the_ground_truth_is_wrong(tiny: Path) -> None:
    (tiny / "tiny" / "ground_truth.csv").write_text(TRUTH.replace("b.vnnlib,unsat", "b.vnnlib,sat"))
    report = run_in(tiny, warm(decide))
    assert report.wrong == ("net b: unsat, but the ground truth is sat",)
    assert report.table()[1].split()[5] == "1"
    # A row that is there already is judged again.
    assert run_in(tiny, warm(decide), resume=True).wrong == report.wrong


def test_a_late_verdict_is_a_timeout_but_still_wrong(tiny: Path) -> None:
    (tiny / "tiny" / "ground_truth.csv").write_text(TRUTH.replace("a.vnnlib,sat", "a.vnnlib,unsat"))
    benchmark = with_timeout(with_files(read_benchmark(tiny / "tiny")), 1e-9)
    with ResultsFile(tiny / "out.csv", resume=False, note=lambda _: None) as results:
        report = run(benchmark, results, warm(decide), SilentProgress())
    assert [row.result for row in report.rows] == ["timeout"] * 4
    assert report.wrong == ("net a: sat, but the ground truth is unsat",)
    assert not (tiny / "out-witnesses").exists()


def test_faults_are_errors_and_never_verdicts(tiny: Path) -> None:
    (tiny / "tiny" / "onnx" / "net.onnx").write_bytes(b"no network")

    def faulty(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
        return decide(models, query, timeout) if query.stem < "c" else decide({}, query, timeout // 0)

    benchmark, progress = with_files(read_benchmark(tiny / "tiny")), Notes()
    with ResultsFile(tiny / "out.csv", resume=False, note=lambda _: None) as results:
        report = run(benchmark, results, warm(faulty), progress)
    assert [row.result for row in report.rows] == ["error"] * 4
    assert report.table()[1].split()[2:9] == ["0", "0", "0", "0", "0", "0", "4"]
    assert "net.onnx" in progress.lines[0]
    assert "ZeroDivisionError" in progress.lines[3]


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(tiny: Path) -> None:
    asked: list[str] = []

    def stopped(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
        asked.append(query.stem)
        if query.stem == "c":
            raise KeyboardInterrupt
        return decide(models, query, timeout)

    report = run_in(tiny, warm(stopped))
    assert report.interrupted
    assert not report.complete
    assert [row.result for row in read_results(tiny / "out.csv")] == EXPECTED[:2]
    with (tiny / "out.csv").open("ab") as stream:
        stream.write(b"tiny,onnx/net.onnx,vnnl")
    asked.clear()

    def patient(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
        asked.append(query.stem)
        return decide(models, query, timeout)

    report = run_in(tiny, warm(patient), resume=True)
    assert asked == ["c", "d"]
    assert report.complete
    assert [row.result for row in read_results(tiny / "out.csv")] == EXPECTED


def test_an_instance_that_is_listed_twice_is_run_twice(tiny: Path) -> None:
    table = tiny / "tiny" / "instances.csv"
    table.write_text(table.read_text() * 2)
    report = run_in(tiny, warm(decide))
    assert [row.result for row in report.rows] == EXPECTED * 2
    benchmark = read_benchmark(tiny / "tiny")
    assert remaining(benchmark, report.rows) == []
    assert [i.line for i in remaining(benchmark, report.rows[:5])] == [6, 7, 8]


def test_several_benchmarks_share_a_file(tiny: Path) -> None:
    run_in(tiny, warm(decide))
    make_benchmark(tiny / "second")
    with ResultsFile(tiny / "out.csv", resume=True, note=lambda _: None) as results:
        report = run(with_files(read_benchmark(tiny / "second")), results, warm(decide), SilentProgress())
    assert report.complete
    assert [row.category for row in read_results(tiny / "out.csv")] == ["tiny"] * 4 + ["second"] * 4


# --- one process per instance


def test_isolated_runs_end_in_the_order_of_the_instances(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)

    def backwards(instances: Sequence[Instance]) -> Generator[Measured, None, None]:
        # As if the last had ended first.
        yield from sorted(measure_isolated(instances, COMMAND, 2), key=lambda one: -one.instance.line)

    report = run_in(tiny, backwards)
    rows = read_results(tiny / "out.csv")
    assert [row.vnnlib for row in rows] == [f"vnnlib/{name}.vnnlib" for name in "abcd"]
    assert [row.result for row in rows] == EXPECTED
    assert tuple(rows) == report.rows
    assert (tiny / "out-witnesses" / "tiny" / "net_c.counterexample").read_text().startswith("((X_0 0.25)")


def test_an_isolated_process_that_hangs_is_killed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    monkeypatch.setattr(measure, "GRACE", 0.1)
    benchmark = with_files(read_benchmark(tiny / "tiny"))
    hanging = [with_timeout(benchmark, 3.0).instances[1]]
    (one,) = measure_isolated(hanging, (*COMMAND, "--hang-on", "b"), 1)
    assert (one.result, one.claim, one.reason) == ("run_instance_timeout", Status.TIMEOUT, "killed")
    assert one.seconds >= 3.1


def test_stopping_isolated_runs_kills_them(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    benchmark = with_timeout(with_files(read_benchmark(tiny / "tiny")), 600.0)
    running = measure_isolated(benchmark.instances, (*COMMAND, "--hang-on", "d"), 4)
    seen = {next(running).instance.query.stem for _ in range(3)}
    running.close()  # returns only because the hanging process was killed
    assert seen == {"a", "b", "c"}


def test_bad_input_of_an_isolated_process_is_an_error_with_its_line(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    (tiny / "tiny" / "vnnlib" / "a.vnnlib").write_text("(assert\n")
    (one,) = measure_isolated(with_files(read_benchmark(tiny / "tiny")).instances[:1], COMMAND, 1)
    assert (one.result, one.claim) == ("error_exit_code_2", Status.ERROR)
    assert one.reason.startswith("tiny: error: ")


def test_a_command_that_is_not_there_ends_the_run(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"^no-such-solver: cannot be started"):
        run_in(tiny, lambda instances: measure_isolated(instances, ["no-such-solver"], 2))


@pytest.mark.parametrize(
    ("code", "output", "result", "claim"),
    [
        (0, b"unsat\n", "unsat", Status.UNSAT),
        (0, b" s a t \n((X_0 1))\n", "sat", Status.SAT),
        (0, b"timed-out\n", "timeout", Status.TIMEOUT),
        (0, b"unknown\n", "unknown", Status.UNKNOWN),
        (0, b"", "no_result_in_file", Status.UNKNOWN),
        (0, b"\nunsat\n", "no_result_in_file", Status.UNKNOWN),
        (0, b"unsat, I think\n", "error", Status.ERROR),
        (0, b"\xff\xfe\n", "error", Status.ERROR),
        (1, b"unsat\n", "error_exit_code_1", Status.ERROR),
        (-9, b"unsat\n", "error_exit_code_-9", Status.ERROR),
    ],
)
def test_only_a_first_line_of_a_clean_exit_is_a_verdict(tiny: Path, code: int, output: bytes, result: str, claim: Status) -> None:
    (instance, *_) = read_benchmark(tiny / "tiny").instances
    one = read_finished(instance, Finished(code, 1.0, output, b"", killed=False, peak_bytes=None))
    assert (one.result, one.claim) == (result, claim)
    assert one.text == ("((X_0 1))\n" if claim is Status.SAT else "")
