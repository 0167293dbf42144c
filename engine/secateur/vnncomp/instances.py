"""The instances of a benchmark and, where it is known, their ground truth.

`instances.csv` has rows `onnx,vnnlib,timeout`, with paths relative to its folder. A query about several networks has a Python
list in the first column: `"[('f', 'onnx/a.onnx'), ('g', 'onnx/b.onnx')]"`. Files may be packed: `a.onnx.gz` stands for `a.onnx`.
Blank lines, lines that begin with `#` and a header line are skipped.

`ground_truth.csv` has a header with at least `onnx`, `vnnlib` and `consensus`; a consensus other than `sat` or `unsat` means
that nobody knows, and so does one that no more tools support than deny (columns `n_agree` and `n_dissent`, where there are any).
"""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from secateur.errors import InputError
from secateur.vnncomp.verdicts import Status

__all__ = ["Benchmark", "Identity", "Instance", "identify", "matches", "read_benchmark", "read_table", "with_files"]

INSTANCES, GROUND_TRUTH = "instances.csv", "ground_truth.csv"
_HEADER = ["onnx", "vnnlib", "timeout"]
_VERSION_FOLDERS = {"1.0", "2.0"}  # benchmarks/<name>/<version>/instances.csv

Identity = tuple[tuple[str, tuple[str, ...]], ...]
"""Which files an instance is about: (network name, path components) for every network, then ("", ...) of the query."""


@dataclass(frozen=True)
class Instance:
    """One row of `instances.csv`: the two cells as written, the files, and the time limit in seconds."""

    onnx: str
    vnnlib: str
    networks: Mapping[str, Path]
    query: Path
    timeout: float
    line: int

    @property
    def name(self) -> str:
        """A short name for people: the stems of the files."""
        stems = [path.name.removesuffix(".gz").removesuffix(".onnx") for path in self.networks.values()]
        return f"{'+'.join(stems)} {self.query.name.removesuffix('.gz').removesuffix('.vnnlib')}"

    @property
    def identity(self) -> Identity:
        return identify(self.onnx, self.vnnlib)


@dataclass(frozen=True)
class Benchmark:
    """A folder of instances; `name` is its category, `truth` what is known, by the files of an instance."""

    name: str
    folder: Path
    instances: tuple[Instance, ...]
    truth: Mapping[Identity, Status] = field(default_factory=dict)

    def truth_of(self, instance: Instance) -> Status | None:
        return self.truth.get(instance.identity)


def identify(onnx: str, vnnlib: str) -> Identity:
    """The identity of the files that two cells name; `ValueError` for a malformed list of networks."""
    cells = [*_named_paths(onnx), ("", vnnlib)]
    return tuple((name, PurePosixPath(path.strip().removesuffix(".gz")).parts) for name, path in cells)


def matches(one: Identity, other: Identity) -> bool:
    """Whether both name the same files, written relative to different folders."""
    return len(one) == len(other) and all(
        a == b and (p[-len(q) :] == q or q[-len(p) :] == p) for (a, p), (b, q) in zip(one, other, strict=True)
    )


def _named_paths(cell: str) -> list[tuple[str, str]]:
    """The networks of a cell: one unnamed path, or the pairs of a Python list literal."""
    if not cell.lstrip().startswith("["):
        return [("", cell)]
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("is no list of networks") from None
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in value]
    if not pairs or not all(len(pair) == 2 and all(isinstance(text, str) and text for text in pair) for pair in pairs):
        raise ValueError("is no list of (name, path) pairs")
    if len({pair[0] for pair in pairs}) != len(pairs):
        raise ValueError("names a network twice")
    return [(name, path) for name, path in pairs]


def read_benchmark(folder: str | Path) -> Benchmark:
    """Read `instances.csv` and, if it is there, `ground_truth.csv`; `InputError` with file and line for any fault.

    The files that instances name are not looked at; see `with_files`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is no folder", where=str(folder), remedy=f"give the folder that holds {INSTANCES}")
    table = folder / INSTANCES
    instances = tuple(_instance(table, line, row) for line, row in read_table(table) if not _is_header(row))
    if not instances:
        raise InputError("has no instances", where=str(table))
    resolved = folder.resolve()
    name = resolved.parent.name if resolved.name in _VERSION_FOLDERS else resolved.name
    return Benchmark(name, folder, instances, _read_truth(folder / GROUND_TRUTH))


def read_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with their last lines; blank rows and comments are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#"):
                    yield reader.line_num, row
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("is no UTF-8 text", where=str(path)) from None
    except csv.Error as error:
        raise InputError(f"is no CSV: {error}", where=f"{path}, line {reader.line_num}") from None


def _is_header(row: Sequence[str]) -> bool:
    return [cell.strip().lower() for cell in row[:3]] == _HEADER


def _instance(table: Path, line: int, row: Sequence[str]) -> Instance:
    where = f"{table}, line {line}"
    if len(row) != 3:
        raise InputError(f"has {len(row)} columns", where=where, remedy="write onnx,vnnlib,timeout")
    onnx, vnnlib, limit = (cell.strip() for cell in row)
    if not (onnx and vnnlib):
        raise InputError("names no file", where=where, remedy="write onnx,vnnlib,timeout")
    if not all(cell.isprintable() for cell in (onnx, vnnlib)):
        raise InputError("a path holds control characters", where=where)
    try:
        pairs = _named_paths(onnx)
    except ValueError as error:
        remedy = "write \"[('f', 'onnx/a.onnx'), ('g', 'onnx/b.onnx')]\""
        raise InputError(f"the first column {error}", where=where, remedy=remedy) from None
    networks = {name: table.parent / path for name, path in pairs}
    return Instance(onnx, vnnlib, networks, table.parent / vnnlib, _seconds(limit, where), line)


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"the time-out {text!r} is no positive number of seconds", where=where)
    return seconds


def _read_truth(path: Path) -> dict[Identity, Status]:
    """What is known, by identity; empty without the file. `InputError` where two rows contradict each other."""
    if not path.exists():
        return {}
    rows = read_table(path)
    _, header = next(rows, (1, []))
    columns = {name.strip().lower(): position for position, name in enumerate(header)}
    missing = [name for name in ("onnx", "vnnlib", "consensus") if name not in columns]
    if missing:
        raise InputError(f"has no column {missing[0]}", where=f"{path}, line 1")
    truth: dict[Identity, Status] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise InputError(f"has {len(row)} columns, the header {len(header)}", where=where)
        try:
            key = identify(row[columns["onnx"]], row[columns["vnnlib"]])
        except ValueError as error:
            raise InputError(f"the column onnx {error}", where=where) from None
        known = _consensus({name: row[position] for name, position in columns.items()})
        if known is not None and truth.setdefault(key, known) is not known:
            raise InputError("contradicts an earlier row of the same instance", where=where)
    return truth


def _consensus(row: Mapping[str, str]) -> Status | None:
    agree, dissent = row.get("n_agree", "").strip(), row.get("n_dissent", "").strip()
    if agree.isdigit() and dissent.isdigit() and 0 < int(dissent) >= int(agree):
        return None
    return {"sat": Status.SAT, "unsat": Status.UNSAT}.get(row["consensus"].strip().lower())


def with_files(benchmark: Benchmark) -> Benchmark:
    """The benchmark with paths of files that exist, plain or packed; `InputError` for the first that does not."""
    return replace(benchmark, instances=tuple(_found(benchmark, instance) for instance in benchmark.instances))


def _found(benchmark: Benchmark, instance: Instance) -> Instance:
    where = f"{benchmark.folder / INSTANCES}, line {instance.line}"
    networks = {name: _existing(path, where) for name, path in instance.networks.items()}
    return replace(instance, networks=networks, query=_existing(instance.query, where))


def _existing(path: Path, where: str) -> Path:
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    raise InputError(f"there is no file {path}", where=where)
