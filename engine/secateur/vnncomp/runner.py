"""Running a benchmark: measure, save, compare with the ground truth, and say how it stands.

Nothing that was decided is lost: a row is on the disk before the next instance is reported, and Ctrl-C ends the run after the
rows that are there. A verdict that contradicts the ground truth is `wrong`, also where it came too late to count.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from secateur.progress import Progress
from secateur.vnncomp.instances import Benchmark, Instance
from secateur.vnncomp.measure import Measured
from secateur.vnncomp.results import ResultRow, ResultsFile, save_witness
from secateur.vnncomp.tables import aligned
from secateur.vnncomp.verdicts import Status

__all__ = ["Measure", "Report", "remaining", "run", "with_timeout"]

_HEADER = (
    "benchmark", "instances", "solved", "unsat", "sat", "wrong", "timeouts", "unknown", "errors",
    "total s", "median s", "slowest s",
)  # fmt: skip

Measure = Callable[[Sequence[Instance]], Generator[Measured, None, None]]
"""A way to measure instances; closed early, it stops what it has running."""


@dataclass(frozen=True)
class Report:
    """How a benchmark stands: a row per instance that has one, the instances judged wrong, and whether Ctrl-C ended the run."""

    benchmark: Benchmark
    rows: tuple[ResultRow, ...]
    wrong: tuple[str, ...]
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        return len(self.rows) == len(self.benchmark.instances)

    def table(self) -> list[str]:
        """One line under a header; total over all instances, median and slowest over the solved ones, in seconds."""
        count = Counter(row.status for row in self.rows)
        solved = [row.run_time for row in self.rows if row.status.decided]
        cells = [
            self.benchmark.name,
            f"{len(self.rows)}/{len(self.benchmark.instances)}",
            str(len(solved)),
            *(str(count[status]) for status in (Status.UNSAT, Status.SAT)),
            str(len(self.wrong)),
            *(str(count[status]) for status in (Status.TIMEOUT, Status.UNKNOWN, Status.ERROR)),
            f"{sum(row.run_time for row in self.rows):.2f}",
            f"{statistics.median(solved):.3f}" if solved else "-",
            f"{max(solved):.2f}" if solved else "-",
        ]
        return aligned(_HEADER, [cells])


def with_timeout(benchmark: Benchmark, seconds: float | None) -> Benchmark:
    """The benchmark with one time limit for all instances; None keeps theirs."""
    if seconds is None:
        return benchmark
    return replace(benchmark, instances=tuple(replace(i, timeout=seconds) for i in benchmark.instances))


def remaining(benchmark: Benchmark, rows: Sequence[ResultRow]) -> list[Instance]:
    """The instances without a row of this category; an instance that is listed twice needs two."""
    done = Counter((row.onnx, row.vnnlib) for row in rows if row.category == benchmark.name)
    left = []
    for instance in benchmark.instances:
        key = (instance.onnx, instance.vnnlib)
        if done[key]:
            done[key] -= 1
        else:
            left.append(instance)
    return left


@dataclass
class _Judge:
    """Compares claims with the ground truth and keeps what is wrong."""

    benchmark: Benchmark
    wrong: list[str] = field(default_factory=list)

    def verdict(self, instance: Instance, claim: Status) -> str:
        """A remark on a claim; empty where there is nothing to say."""
        truth = self.benchmark.truth_of(instance)
        if not claim.decided or truth is None or claim is truth:
            return ""
        self.wrong.append(f"{instance.name}: {claim.value}, but the ground truth is {truth.value}")
        return f"WRONG: the ground truth is {truth.value}"


def run(benchmark: Benchmark, results: ResultsFile, measure: Measure, progress: Progress) -> Report:
    """Measure the instances that have no row yet; rows and witnesses are saved one by one.

    `InputError` where they cannot be saved; then the file holds what was saved before.
    """
    judge = _Judge(benchmark)
    by_key = {(i.onnx, i.vnnlib): i for i in benchmark.instances}
    for row in results.rows:
        if row.category == benchmark.name and (row.onnx, row.vnnlib) in by_key:
            judge.verdict(by_key[row.onnx, row.vnnlib], row.status)
    left = remaining(benchmark, results.rows)
    progress.stage(benchmark.name)
    interrupted = False
    try:
        with closing(measure(left)) as measured:
            _save_all(benchmark, results, measured, judge, progress)
    except KeyboardInterrupt:
        interrupted = True
    rows = _of_instances(benchmark, results.rows)
    report = Report(benchmark, tuple(rows), tuple(judge.wrong), interrupted)
    if report.complete:
        _restore_order(results, rows)
    return report


def _restore_order(results: ResultsFile, rows: Sequence[ResultRow]) -> None:
    """Put the rows of a finished benchmark in the order of its instances: the competition's scripts pair rows by position."""
    place = {id(row): position for position, row in enumerate(results.rows)}
    order = [place[id(row)] for row in rows]
    if order != sorted(order):
        own = {id(row) for row in rows}
        results.rewrite([*(row for row in results.rows if id(row) not in own), *rows])


def _save_all(
    benchmark: Benchmark, results: ResultsFile, measured: Iterable[Measured], judge: _Judge, progress: Progress
) -> None:
    total = len(benchmark.instances)
    count = len(_of_instances(benchmark, results.rows))
    for one in measured:
        instance = one.instance
        if one.result == Status.SAT.value:  # before its row: a row that says sat has a witness
            save_witness(results.path, benchmark.name, instance.identity, one.text)
        row = ResultRow(benchmark.name, instance.onnx, instance.vnnlib, 0.0, one.result, round(one.seconds, 6))
        results.append(row)
        count += 1
        remarks = filter(None, (judge.verdict(instance, one.claim), one.reason))
        progress.note("  ".join((f"{count}/{total}  {instance.name}  {one.result}  {one.seconds:.3f} s", *remarks)))
        progress.update(f"{count} of {total}", count / total)


def _of_instances(benchmark: Benchmark, rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows of this benchmark in the order of its instances."""
    left: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        if row.category == benchmark.name:
            left.setdefault((row.onnx, row.vnnlib), []).append(row)
    found = (left.get((i.onnx, i.vnnlib)) for i in benchmark.instances)
    return [rows.pop(0) for rows in found if rows]
