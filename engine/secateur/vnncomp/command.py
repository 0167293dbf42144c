"""The command `secateur vnncomp`: `run` a benchmark, `score` results.

Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a verdict contradicts the ground truth, 130
stopped by Ctrl-C after saving what was decided; bad input is an `InputError`. Heavy modules are imported by the command that
needs them.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.vnncomp.instances import Benchmark, Instance
    from secateur.vnncomp.measure import Measured
    from secateur.vnncomp.runner import Measure, Report
    from secateur.vnncomp.verdicts import Verifier

__all__ = ["OpenVerifier", "add_parsers"]

OK, WRONG, INTERRUPTED = 0, 1, 130

OpenVerifier = Callable[[int | None], AbstractContextManager["Verifier"]]
"""Opens a warm verifier that uses so many threads (None: its own choice) until the context ends."""


def add_parsers(commands: Any, open_verifier: OpenVerifier) -> None:
    """Add `vnncomp` to the subcommands of a parser. `open_verifier` is called when a warm run begins."""
    parser = commands.add_parser("vnncomp", allow_abbrev=False, help="run and score competition benchmarks")
    ours = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(ours, open_verifier)
    _add_score(ours)


def _add_run(commands: Any, open_verifier: OpenVerifier) -> None:
    parser = commands.add_parser(
        "run",
        allow_abbrev=False,
        help="run all instances of a benchmark",
        description="Run the instances of DIR/instances.csv and compare with DIR/ground_truth.csv where there is one. Rows and "
        "witnesses are saved one by one; Ctrl-C ends the run, --resume goes on.",
    )
    parser.add_argument("folder", metavar="DIR", help="the benchmark: the folder with instances.csv")
    parser.add_argument("--out", metavar="FILE", required=True, help="results: category,onnx,vnnlib,prepare_time,result,run_time")
    parser.add_argument("--jobs", metavar="N", type=_count, help="threads, or with --isolated processes side by side (default 1)")
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="seconds per instance (default: those of instances.csv)")
    parser.add_argument("--resume", action="store_true", help="skip instances that FILE has a row of")
    parser.add_argument("--isolated", action="store_true", help="one process per instance, start-up included in the time")
    parser.set_defaults(run=lambda options: _run(options, open_verifier))


def _add_score(commands: Any) -> None:
    parser = commands.add_parser(
        "score",
        allow_abbrev=False,
        help="apply the competition's rules to results of any tools",
        description="Score tools by the rules of a year: 10 points for a correct verdict, -150 for a wrong one. Witnesses next "
        "to the results are replayed.",
    )
    parser.add_argument("--rules", metavar="YEAR", type=int, choices=(2025, 2026), default=2026, help="2025 or 2026 (default)")
    parser.add_argument("--instances", metavar="DIR", action="append", required=True, help="a benchmark; may be given again")
    parser.add_argument("--cactus", metavar="FILE.svg", help="also draw instances solved over time, all benchmarks together")
    parser.add_argument("tools", metavar="TOOL=RESULTS.csv", nargs="+", help="a tool's name and its results")
    parser.set_defaults(run=_score)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return value


def _run(options: argparse.Namespace, open_verifier: OpenVerifier) -> int:
    from secateur.progress import ConsoleProgress
    from secateur.vnncomp.instances import read_benchmark, with_files
    from secateur.vnncomp.results import ResultsFile
    from secateur.vnncomp.runner import run, with_timeout

    benchmark = with_timeout(with_files(read_benchmark(options.folder)), options.timeout)
    with ConsoleProgress() as progress, ResultsFile(options.out, resume=options.resume, note=progress.note) as results:
        report = run(benchmark, results, _measure(options, open_verifier), progress)
    print("\n".join(report.table()))
    return _told(report, options)


def _measure(options: argparse.Namespace, open_verifier: OpenVerifier) -> Measure:
    from secateur.vnncomp.measure import VERIFY, measure_isolated, measure_warm

    def warm(instances: Sequence[Instance]) -> Generator[Measured, None, None]:
        with open_verifier(options.jobs) as verifier:
            yield from measure_warm(instances, verifier)

    def isolated(instances: Sequence[Instance]) -> Generator[Measured, None, None]:
        return measure_isolated(instances, VERIFY, options.jobs or 1)

    return isolated if options.isolated else warm


def _told(report: Report, options: argparse.Namespace) -> int:
    for line in report.wrong:
        print(f"WRONG  {line}", file=sys.stderr)
    if report.interrupted:
        print(
            f"interrupted; {len(report.rows)} of {len(report.benchmark.instances)} instances are saved in {options.out}; "
            "the same command with --resume goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    return WRONG if report.wrong else OK


def _score(options: argparse.Namespace) -> int:
    from secateur.vnncomp.instances import read_benchmark
    from secateur.vnncomp.rules import RULES
    from secateur.vnncomp.score import overall_table, read_tool, score, standings_table

    tools = [read_tool(word) for word in options.tools]
    if len({tool.name for tool in tools}) < len(tools):
        raise InputError("two tools have the same name", remedy="write name=results.csv with a name for each")
    benchmarks = [read_benchmark(folder) for folder in options.instances]
    standings = [score(b, tools, RULES[options.rules], lambda line: print(line, file=sys.stderr)) for b in benchmarks]
    if options.cactus:
        times = {tool.name: [t for each in standings for s in each if s.tool == tool.name for t in s.times] for tool in tools}
        _draw(options.cactus, times, benchmarks)
    for benchmark, each in zip(benchmarks, standings, strict=True):
        print("\n".join((f"{benchmark.name}, rules of {options.rules}", *standings_table(each), "")))
    if len(benchmarks) > 1:
        print("\n".join((f"all benchmarks, rules of {options.rules}", *overall_table(standings))))
    return OK


def _draw(path: str, times: dict[str, list[float]], benchmarks: Sequence[Benchmark]) -> None:
    from secateur.files import write_atomically
    from secateur.vnncomp.cactus import cactus_svg

    if Path(path).suffix.lower() != ".svg":
        raise InputError("is no name of an SVG file", where=f"--cactus {path}", remedy="write --cactus plot.svg")
    write_atomically(path, cactus_svg(times, ", ".join(b.name for b in benchmarks)).encode())
