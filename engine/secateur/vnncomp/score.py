"""Scores of any tools' results on a benchmark, by the rules of a year.

What is true of an instance is settled in this order:

1. A witness that replays and *establishes* `sat` (only with files of witnesses; see `secateur.vnncomp.witness`).
2. The consensus in `ground_truth.csv`.
3. The majority of the tools' verdicts, not counting a `sat` that has a witness which does not establish it. A tie leaves the
   instance open: then neither side scores.

A tool whose results come with a folder of witnesses has each `sat` judged by its witness alone, as in the competition: credited
if it holds, a penalty if it is missing, malformed or wrong. A `sat` of a tool without such a folder, and every `unsat`, is judged
by what is true. An instance for which a tool has no row scores 0.

Witnesses are looked for in `<results stem>-witnesses/<category>/` and, as the competition publishes them, in the folder of the
results file, `<category>/<network>_<query>.counterexample.gz`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.errors import InputError
from secateur.vnncomp.instances import Benchmark, Identity, Instance, matches, with_files
from secateur.vnncomp.results import ResultRow, read_results, witness_folder, witness_name
from secateur.vnncomp.rules import CORRECT, WRONG, Rules
from secateur.vnncomp.tables import aligned
from secateur.vnncomp.verdicts import Status

if TYPE_CHECKING:
    from secateur.vnncomp.witness import WitnessStatus

__all__ = ["Claim", "Points", "Standing", "Tool", "overall_table", "read_tool", "score", "standings_table"]

_NO_YEAR = re.compile(r"^20[0-9]{2}_|_20[0-9]{2}$")
_HEADER = ("tool", "unsat", "sat", "wrong", "points", "score", "solved", "seconds")


@dataclass(frozen=True)
class Tool:
    """A tool's name, its results file and all rows of it."""

    name: str
    path: Path
    rows: tuple[ResultRow, ...]


@dataclass(frozen=True)
class Claim:
    """What one tool said of one instance; `witness` None where the tool has no folder of witnesses, or said no `sat`."""

    tool: str
    status: Status
    seconds: float
    witness: WitnessStatus | None = None


@dataclass(frozen=True)
class Points:
    """A claim and what it is worth."""

    claim: Claim
    points: int


@dataclass(frozen=True)
class Standing:
    """A tool on one benchmark: correct verdicts, penalties, points, percent of the best, and seconds on what it solved.

    `times` are the run times of the correct verdicts, for a cactus plot.
    """

    tool: str
    unsat: int
    sat: int
    wrong: int
    points: int
    percent: float
    instances: int
    times: tuple[float, ...]

    @property
    def solved(self) -> int:
        return self.unsat + self.sat

    @property
    def seconds(self) -> float:
        return sum(self.times)


def read_tool(word: str) -> Tool:
    """A tool from `name=results.csv`."""
    name, equals, path = word.partition("=")
    if not (name and equals and path):
        raise InputError(f"{word!r} does not name a tool and its results", remedy="write name=results.csv")
    return Tool(name, Path(path), tuple(read_results(path)))


def score(benchmark: Benchmark, tools: Sequence[Tool], rules: Rules, note: Callable[[str], None]) -> list[Standing]:
    """The standings on one benchmark, best first. `note` hears what a reader of the table should know."""
    claims = _Claims(benchmark, tools, rules, note)
    judged: dict[str, list[Points]] = {tool.name: [] for tool in tools}
    for instance, of_instance in claims.all():
        truth = settle(of_instance, benchmark.truth_of(instance))
        if truth is not benchmark.truth_of(instance) and benchmark.truth_of(instance) is not None:
            note(f"{instance.name}: a replayed witness contradicts the ground truth {_word(benchmark.truth_of(instance))}")
        for claim in of_instance:
            judged[claim.tool].append(Points(claim, points(claim, truth)))
    return _standings(judged, len(benchmark.instances))


def settle(claims: Sequence[Claim], consensus: Status | None) -> Status | None:
    """What is true of an instance; None where it stays open. See the module's text for the order."""
    from secateur.vnncomp.witness import WitnessStatus

    if any(claim.witness is WitnessStatus.ESTABLISHES for claim in claims):
        return Status.SAT
    if consensus is not None:
        return consensus
    unsat = sum(claim.status is Status.UNSAT for claim in claims)
    sat = sum(claim.status is Status.SAT and claim.witness is None for claim in claims)
    return None if unsat == sat else Status.UNSAT if unsat > sat else Status.SAT


def points(claim: Claim, truth: Status | None) -> int:
    """10, 0 or -150 for one claim, given what is true."""
    from secateur.vnncomp.witness import WitnessStatus

    if not claim.status.decided or claim.witness is WitnessStatus.UNSUPPORTED:
        return 0
    if claim.witness is not None:
        return CORRECT if claim.witness.holds else WRONG
    if truth is None:
        return 0
    return CORRECT if claim.status is truth else WRONG


class _Claims:
    """The claims of all tools, instance by instance, their witnesses replayed."""

    def __init__(self, benchmark: Benchmark, tools: Sequence[Tool], rules: Rules, note: Callable[[str], None]) -> None:
        self._benchmark, self._tools, self._rules, self._note = benchmark, tools, rules, note
        self._rows = {tool.name: _paired(benchmark, tool, note) for tool in tools}
        self._folders = {tool.name: _witness_folders(benchmark, tool, self._rows[tool.name]) for tool in tools}

    def all(self) -> Iterator[tuple[Instance, list[Claim]]]:
        for position, instance in enumerate(self._benchmark.instances):
            rows = {tool.name: self._rows[tool.name][position] for tool in self._tools}
            present = {name: row for name, row in rows.items() if row is not None}
            witnesses = self._witnesses(instance, present)
            yield (
                instance,
                [Claim(name, self._status(row, instance), row.run_time, witnesses.get(name)) for name, row in present.items()],
            )

    def _status(self, row: ResultRow, instance: Instance) -> Status:
        late = self._rules.late_is_timeout and row.run_time > instance.timeout
        return Status.TIMEOUT if late else row.status

    def _witnesses(self, instance: Instance, rows: Mapping[str, ResultRow]) -> dict[str, WitnessStatus]:
        """The replays of those tools that said `sat` in time and have a folder of witnesses."""
        sat = [n for n, row in rows.items() if self._folders[n] and self._status(row, instance) is Status.SAT]
        if not sat:
            return {}
        from secateur.specification import read_query
        from secateur.vnncomp.witness import WitnessStatus, check_witness

        (found,) = with_files(Benchmark(self._benchmark.name, self._benchmark.folder, (instance,))).instances
        try:
            query = read_query(found.query)
        except InputError as error:  # our reader's gap, not the tools' fault
            self._note(str(error))
            return dict.fromkeys(sat, WitnessStatus.UNSUPPORTED)
        texts = {name: _witness_text(self._folders[name], instance.identity) for name in sat}
        return {
            name: WitnessStatus.MISSING if not text.strip() else check_witness(text, found.networks, query, self._rules)
            for name, text in texts.items()
        }


def _paired(benchmark: Benchmark, tool: Tool, note: Callable[[str], None]) -> list[ResultRow | None]:
    """The row of each instance, None where there is none; rows are told by their files.

    Rows of the category that is named like the benchmark, without the years around it, come first; without any, all rows count.
    """
    own = [row for row in tool.rows if _plain(row.category) == _plain(benchmark.name)]
    left: dict[tuple[str, ...], list[ResultRow]] = {}
    for row in own or tool.rows:
        left.setdefault(_last_parts(row.identity), []).append(row)
    paired: list[ResultRow | None] = []
    for instance in benchmark.instances:
        candidates = left.get(_last_parts(instance.identity), [])
        found = next((row for row in candidates if matches(row.identity, instance.identity)), None)
        if found is not None:
            candidates.remove(found)
        paired.append(found)
    unused, absent = sum(map(len, left.values())), paired.count(None)
    if absent:
        note(f"{tool.path}: no row for {absent} of {len(paired)} instances of {benchmark.name}")
    if own and unused:
        note(f"{tool.path}: {unused} rows of {benchmark.name} belong to no instance")
    return paired


def _plain(category: str) -> str:
    return _NO_YEAR.sub("", category)


def _last_parts(identity: Identity) -> tuple[str, ...]:
    return tuple(parts[-1] if parts else "" for _, parts in identity)


def _witness_folders(benchmark: Benchmark, tool: Tool, rows: Sequence[ResultRow | None]) -> list[Path]:
    """The folders that hold this tool's witnesses of this benchmark; none where the results come without."""
    categories = {row.category for row in rows if row is not None} | {benchmark.name}
    roots = (witness_folder(tool.path), tool.path.parent)
    names = sorted({f"{year}{category}" for category in categories for year in ("", "2025_", "2026_")})
    folders = [root / name for root in roots for name in names]
    return [folder for folder in folders if any(folder.glob("*.counterexample*"))]


def _witness_text(folders: Sequence[Path], identity: Identity) -> str:
    """The witness of an instance; empty where there is none, or none that can be read."""
    name = witness_name(identity)
    for folder in folders:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                data = path.read_bytes()
                try:
                    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
                except (OSError, EOFError, zlib.error):
                    return "damaged"
    return ""


def _standings(judged: Mapping[str, Sequence[Points]], instances: int) -> list[Standing]:
    totals = {tool: sum(one.points for one in all_points) for tool, all_points in judged.items()}
    best = max(totals.values(), default=0)
    standings = []
    for tool, all_points in judged.items():
        correct = [one.claim for one in all_points if one.points == CORRECT]
        unsat = sum(claim.status is Status.UNSAT for claim in correct)
        standings.append(
            Standing(
                tool,
                unsat,
                len(correct) - unsat,
                sum(one.points == WRONG for one in all_points),
                totals[tool],
                max(0.0, 100 * totals[tool] / best) if best > 0 else 0.0,
                instances,
                tuple(claim.seconds for claim in correct),
            )
        )
    return sorted(standings, key=lambda standing: (-standing.points, standing.seconds))


def standings_table(standings: Sequence[Standing]) -> list[str]:
    """The standings on one benchmark; seconds are those of the solved instances."""
    rows = [
        (
            s.tool,
            *map(str, (s.unsat, s.sat, s.wrong, s.points)),
            f"{s.percent:.1f}",
            f"{100 * s.solved / s.instances:.1f} %",
            f"{s.seconds:.1f}",
        )
        for s in standings
    ]
    return aligned(_HEADER, rows)


def overall_table(benchmarks: Sequence[Sequence[Standing]]) -> list[str]:
    """The sum of the percentages over all benchmarks; ties by the seconds on what was solved."""
    totals: dict[str, tuple[float, float]] = {}
    for standing in (standing for standings in benchmarks for standing in standings):
        percent, seconds = totals.get(standing.tool, (0.0, 0.0))
        totals[standing.tool] = (percent + standing.percent, seconds + standing.seconds)
    ranked = sorted(totals.items(), key=lambda item: (-item[1][0], item[1][1]))
    return aligned(("tool", "score", "seconds"), [(tool, f"{p:.1f}", f"{s:.1f}") for tool, (p, s) in ranked])


def _word(status: Status | None) -> str:
    return "unknown" if status is None else status.value
