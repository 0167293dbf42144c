"""A peer and Secateur side by side: the same instances in turn, one process each, so that a busy machine slows both alike.

    python benchmarks/compare.py --peer marabou --peer-path ~/marabou/bin/python --benchmark ../shared/data/vnncomp/acasxu \
        [--timeout 60] [--limit 20] [--out compared] [--resume]

--peer-path: for `marabou` the python of a virtual environment with maraboupy, numpy, onnx and onnxruntime; for `nnenum`,
`abcrown` and `neuralsat` a checkout with the tool's `run_instance.sh` (in its root or in `vnncomp_scripts/`), in whose
environment this is started. Their `prepare_instance.sh` is not called.

The time is the wall time of the whole process, start-up included; who goes first alternates. With --out the folder gets
`secateur.csv` and `<peer>.csv`, for `secateur vnncomp score` and its cactus plot, and `summary.txt`. Exit code 1 where Secateur
contradicts the ground truth.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from secateur.errors import InputError
from secateur.files import write_atomically
from secateur.progress import ConsoleProgress, Progress
from secateur.vnncomp.instances import Benchmark, Instance, read_benchmark, with_files
from secateur.vnncomp.measure import GRACE, VERIFY, Measured, network_options, read_finished
from secateur.vnncomp.processes import Children
from secateur.vnncomp.results import ResultRow, ResultsFile, save_witness
from secateur.vnncomp.runner import remaining, with_timeout
from secateur.vnncomp.tables import aligned
from secateur.vnncomp.verdicts import Status

PEERS = ("marabou", "nnenum", "abcrown", "neuralsat")
OURS = "secateur"
DRIVER = Path(__file__).resolve().parent / "peers" / "marabou_driver.py"
FLOOR = 1e-3  # seconds: no ratio is taken of less

Solve = Callable[[Instance], Measured]


def ours(children: Children, command: Sequence[str]) -> Solve:
    """Secateur by its standard command line."""

    def solve(instance: Instance) -> Measured:
        words = [*command, str(instance.query), *network_options(instance), "--timeout", f"{instance.timeout:.15g}"]
        return read_finished(instance, children.run(words, instance.timeout + GRACE, leash=True))

    return solve


def peer(children: Children, command: Sequence[str]) -> Solve:
    """A tool that is called with ONNX, VNNLIB, RESULTS_FILE and TIMEOUT, as the competition does."""

    def solve(instance: Instance) -> Measured:
        networks = {name: str(path.resolve()) for name, path in instance.networks.items()}
        onnx = networks[""] if "" in networks else repr(list(networks.items()))
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.txt"
            words = [*command, onnx, str(instance.query.resolve()), str(results), f"{instance.timeout:.15g}"]
            finished = children.run(words, instance.timeout + GRACE)
            text = results.read_bytes() if results.is_file() else b""
        return read_finished(instance, replace(finished, output=text))

    return solve


def peer_command(name: str, path: Path | None, category: str) -> list[str]:
    """How the peer is started; `InputError` where it is not there."""
    if path is None or not path.exists():
        raise InputError(
            f"{name} is not there", where=f"--peer-path {path or ''}".strip(), remedy="give the path of its installation"
        )
    if name == "marabou":
        return [str(path), str(DRIVER)]
    scripts = [path / "vnncomp_scripts" / "run_instance.sh", path / "run_instance.sh"]
    script = next((script for script in scripts if script.is_file()), None)
    if script is None:
        raise InputError("holds no run_instance.sh", where=str(path), remedy=f"give the checkout of {name}")
    return ["bash", str(script.resolve()), "v1", category]


@dataclass
class Contest:
    """Both tools on the instances, with a results file each."""

    benchmark: Benchmark
    solvers: Mapping[str, Solve]
    files: Mapping[str, ResultsFile]
    peaks: dict[str, int]

    def run(self, limit: int | None, progress: Progress) -> None:
        """Every instance by both; who goes first alternates. Rows that are there already are kept."""
        instances = self.benchmark.instances[:limit]
        open_for = {name: remaining(self.benchmark, file.rows) for name, file in self.files.items()}
        progress.stage(self.benchmark.name)
        for position, instance in enumerate(instances):
            names = list(self.solvers) if position % 2 == 0 else list(self.solvers)[::-1]
            for name in names:
                if instance in open_for[name]:
                    progress.note(self._solve(name, instance))
            progress.update(f"{position + 1} of {len(instances)}", (position + 1) / len(instances))

    def _solve(self, name: str, instance: Instance) -> str:
        one, file = self.solvers[name](instance), self.files[name]
        if one.result == Status.SAT.value:
            save_witness(file.path, self.benchmark.name, instance.identity, one.text)
        file.append(ResultRow(self.benchmark.name, instance.onnx, instance.vnnlib, 0.0, one.result, one.seconds))
        self.peaks[name] = max(self.peaks.get(name, 0), one.peak_bytes or 0)
        return f"{name:<9}  {instance.name}  {one.result}  {one.seconds:.3f} s  {one.reason}".rstrip()


@dataclass(frozen=True)
class Pair:
    """What the two tools said of one instance."""

    instance: Instance
    truth: Status | None
    ours: ResultRow
    peer: ResultRow

    @property
    def both_solved(self) -> bool:
        return self.ours.status.decided and self.peer.status.decided

    @property
    def ratio(self) -> float:
        """How many times longer the peer took."""
        return max(self.peer.run_time, FLOOR) / max(self.ours.run_time, FLOOR)


def pairs(benchmark: Benchmark, our_rows: Sequence[ResultRow], peer_rows: Sequence[ResultRow]) -> list[Pair]:
    """The instances that both tools have a row for."""
    rows = [{(row.onnx, row.vnnlib): row for row in side} for side in (our_rows, peer_rows)]
    keyed = {(instance.onnx, instance.vnnlib): instance for instance in benchmark.instances}
    return [
        Pair(instance, benchmark.truth_of(instance), rows[0][key], rows[1][key])
        for key, instance in keyed.items()
        if key in rows[0] and key in rows[1]
    ]


def wrong(found: Sequence[Pair], side: str) -> list[str]:
    """The instances where one side (`ours` or `peer`) contradicts the ground truth."""
    rows: list[tuple[Pair, ResultRow]] = [(pair, getattr(pair, side)) for pair in found]
    return [p.instance.name for p, row in rows if p.truth and row.status.decided and row.status is not p.truth]


def summary(name: str, found: Sequence[Pair], peaks: Mapping[str, int]) -> list[str]:
    """The table of both tools, the ratios on what both solved, and every disagreement."""
    lines = aligned(
        ("tool", "solved", "wrong", "median s", "total s", "peak MB"),
        [
            _side(OURS, [pair.ours for pair in found], len(wrong(found, "ours")), peaks.get(OURS, 0)),
            _side(name, [pair.peer for pair in found], len(wrong(found, "peer")), peaks.get(name, 0)),
        ],
    )
    both = [pair for pair in found if pair.both_solved]
    if both:
        ratios = [pair.ratio for pair in both]
        total = sum(pair.peer.run_time for pair in both) / max(sum(pair.ours.run_time for pair in both), FLOOR)
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        lines.append(
            f"time of {name} / time of {OURS} on the {len(both)} instances both solved: "
            f"median {statistics.median(ratios):.2f}, geometric mean {mean:.2f}, total {total:.2f}"
        )
    lines += [
        f"DISAGREE  {pair.instance.name}: {OURS} {pair.ours.result}, {name} {pair.peer.result}, "
        f"ground truth {pair.truth.value if pair.truth else 'unknown'}"
        for pair in both
        if pair.ours.status is not pair.peer.status
    ]
    return lines


def _side(name: str, rows: Sequence[ResultRow], wrong_count: int, peak: int) -> list[str]:
    solved = [row.run_time for row in rows if row.status.decided]
    median = f"{statistics.median(solved):.3f}" if solved else "-"
    total = sum(row.run_time for row in rows)
    return [name, f"{len(solved)}/{len(rows)}", str(wrong_count), median, f"{total:.2f}", f"{peak / 1e6:.0f}" if peak else "-"]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Run a peer and Secateur on the same instances in turn.", allow_abbrev=False)
    made.add_argument("--peer", choices=PEERS, required=True)
    made.add_argument("--peer-path", type=Path, help="marabou: a python with maraboupy; others: their checkout")
    made.add_argument("--benchmark", required=True, help="folder with instances.csv")
    made.add_argument("--category", help="the benchmark's name for the peer's scripts (default: that of the folder)")
    made.add_argument("--timeout", type=float, help="seconds per instance (default: those of instances.csv)")
    made.add_argument("--limit", type=int, help="only so many instances")
    made.add_argument("--out", type=Path, help="folder for secateur.csv, PEER.csv and summary.txt")
    made.add_argument("--resume", action="store_true", help="keep the rows that --out has")
    return made


def compare(options: argparse.Namespace, command: Sequence[str], folder: Path) -> int:
    """Run the comparison with Secateur started by `command`; the results go to `folder`."""
    if options.timeout is not None and not 0 < options.timeout < math.inf:
        raise InputError("is no positive number of seconds", where=f"--timeout {options.timeout}")
    benchmark = with_timeout(with_files(read_benchmark(options.benchmark)), options.timeout)
    other = peer_command(options.peer, options.peer_path, options.category or benchmark.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created: {error.strerror or error}", where=str(folder)) from None
    children, peaks = Children(), dict[str, int]()
    solvers = {OURS: ours(children, command), options.peer: peer(children, other)}
    with ExitStack() as stack:
        progress = stack.enter_context(ConsoleProgress())
        files = {
            name: stack.enter_context(ResultsFile(folder / f"{name}.csv", resume=options.resume, note=progress.note))
            for name in solvers
        }
        Contest(benchmark, solvers, files, peaks).run(options.limit, progress)
        found = pairs(benchmark, files[OURS].rows, files[options.peer].rows)
    lines = summary(options.peer, found, peaks)
    write_atomically(folder / "summary.txt", ("\n".join(lines) + "\n").encode())
    print("\n".join(lines))
    return 1 if wrong(found, "ours") else 0


def main(words: Sequence[str] | None = None, command: Sequence[str] = VERIFY) -> int:
    """Run and return the exit code; 2 with one line for bad input, 130 after Ctrl-C."""
    options = parser().parse_args(words)
    try:
        if options.out is not None:
            return compare(options, command, options.out)
        with tempfile.TemporaryDirectory() as folder:
            return compare(options, command, Path(folder))
    except InputError as error:
        print(f"compare: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = f"; {options.out} keeps what is done, --resume goes on" if options.out else ""
        print(f"compare: interrupted{kept}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
