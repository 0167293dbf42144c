"""Result rows, one file per tool: `category,onnx,vnnlib,prepare_time,result,run_time`, without a header.

A run appends one row at a time and syncs it to the disk, so that a kill loses at most the running instance. A row that was cut
short (no line break at its end) is dropped when the run is resumed; a row that cannot be written whole is taken back.

The witness of a `sat` row lies next to the results, in `<results stem>-witnesses/<category>/<network>_<query>.counterexample`:
what follows the line `sat` in a results file of the competition. The names of folders below `onnx/` and `vnnlib/` are part of
the file's name, as the competition does it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from secateur.errors import InputError
from secateur.files import remove_stale, write_atomically
from secateur.vnncomp.instances import Identity, identify, read_table
from secateur.vnncomp.verdicts import Status, classify

__all__ = ["ResultRow", "ResultsFile", "read_results", "save_witness", "witness_folder", "witness_name"]

_COLUMNS = 6
_EXPECTED = "write category,onnx,vnnlib,prepare_time,result,run_time"


@dataclass(frozen=True)
class ResultRow:
    """One row; the times are seconds, `result` is the word as written."""

    category: str
    onnx: str
    vnnlib: str
    prepare_time: float
    result: str
    run_time: float

    @property
    def status(self) -> Status:
        status = classify(self.result)
        if status is None:
            raise ValueError(f"unknown result {self.result!r}")
        return status

    @property
    def identity(self) -> Identity:
        return identify(self.onnx, self.vnnlib)

    def line(self) -> bytes:
        """The row as it is written, with its line break."""
        text = io.StringIO()
        times = (f"{self.prepare_time:.6f}", f"{self.run_time:.6f}")
        csv.writer(text, lineterminator="\n").writerow([self.category, self.onnx, self.vnnlib, times[0], self.result, times[1]])
        return text.getvalue().encode()


def read_results(path: str | Path) -> list[ResultRow]:
    """All rows of a file; `InputError` with file and line for a row that is none."""
    return [_row(Path(path), line, cells) for line, cells in read_table(Path(path))]


def _row(path: Path, line: int, cells: Sequence[str]) -> ResultRow:
    where = f"{path}, line {line}"
    if len(cells) != _COLUMNS:
        raise InputError(f"has {len(cells)} columns", where=where, remedy=_EXPECTED)
    category, onnx, vnnlib, prepare, result, run = (cell.strip() for cell in cells)
    if classify(result) is None:
        remedy = "the results are sat, unsat, unknown, timeout and error"
        raise InputError(f"unknown result {result[:40]!r}", where=where, remedy=remedy)
    try:
        identify(onnx, vnnlib)
    except ValueError as error:
        raise InputError(f"the column onnx {error}", where=where) from None
    return ResultRow(category, onnx, vnnlib, _number(prepare, where), result, _number(run, where))


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{text[:40]!r} is no number of seconds", where=where, remedy=_EXPECTED)
    return value


class ResultsFile:
    """The results file of a run, open for appending; a context manager.

    Parameters
    ----------
    path : the file. Without `resume` it must not exist, or be empty. note : told about a torn row that is dropped.

    `rows` are the rows found in the file. Every fault is an `InputError`; the file then holds whole rows only.
    """

    def __init__(self, path: str | Path, *, resume: bool, note: Callable[[str], None]) -> None:
        self.path = Path(path)
        self.rows: list[ResultRow] = []
        try:
            text = self.path.read_bytes() if self.path.is_file() else b""
            if text and not resume:
                raise InputError("exists already", where=str(path), remedy="add --resume, or give another file")
            whole = text.rfind(b"\n") + 1
            if text:
                self._recover(text[:whole], text[whole:], note)
            self._stream = self.path.open("ab", buffering=0)
            self._tidy()
        except OSError as error:
            raise self._unwritable(error) from None

    def _tidy(self) -> None:
        """Remove what runs that were killed did not complete."""
        remove_stale(self.path.parent, self.path.name)
        witnesses = witness_folder(self.path)
        for folder in witnesses.iterdir() if witnesses.is_dir() else ():
            remove_stale(folder)

    def _recover(self, whole: bytes, torn: bytes, note: Callable[[str], None]) -> None:
        self.rows = read_results(self.path) if not torn else _read_rows(self.path, whole)
        if torn:  # cut only after the rest was understood: this may be no results file at all
            note(f"{self.path}: dropped a row that was cut short: {torn[:200].decode(errors='replace')}")
            os.truncate(self.path, len(whole))

    def append(self, row: ResultRow) -> None:
        """Write one row, durably; where that fails, take it back and raise."""
        size = self._stream.seek(0, os.SEEK_END) if self._stream.seekable() else None
        line = row.line()
        try:
            while line:
                line = line[self._stream.write(line) :]
            self._sync()
        except OSError as error:
            if size is not None:
                with contextlib.suppress(OSError):
                    self._stream.truncate(size)
            raise self._unwritable(error) from None
        self.rows.append(row)

    def _sync(self) -> None:
        if self.path.is_file():  # pipes and devices cannot be synced
            os.fsync(self._stream.fileno())

    def rewrite(self, rows: Sequence[ResultRow]) -> None:
        """Replace the whole file, at once."""
        self._stream.close()
        write_atomically(self.path, b"".join(row.line() for row in rows))
        self.rows = list(rows)
        self._stream = self.path.open("ab", buffering=0)

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot be written: {error.strerror or error}", where=str(self.path), remedy="what was written before is kept"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()


def _read_rows(path: Path, text: bytes) -> list[ResultRow]:
    """The rows in `text`, the undamaged beginning of a file."""
    try:
        cells = list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise InputError("is no results file", where=str(path), remedy=_EXPECTED) from None
    return [_row(path, line, row) for line, row in enumerate(cells, 1) if row]


def witness_folder(results: Path) -> Path:
    """The folder of the witnesses that belong to a results file."""
    return results.with_name(f"{results.stem}-witnesses")


def witness_name(identity: Identity) -> str:
    """The file name of a witness: `network_query.counterexample`."""
    return "_".join(_flat(parts) for _, parts in identity) + ".counterexample"


def _flat(parts: Sequence[str]) -> str:
    """The part of a path below `onnx` or `vnnlib`, without its ending, as one word."""
    tops = [position for position, part in enumerate(parts[:-1]) if part in {"onnx", "vnnlib"}]
    below = parts[tops[-1] + 1 :] if tops else parts[-1:]
    return "_".join((*below[:-1], Path(below[-1]).stem))


def save_witness(results: Path, category: str, identity: Identity, text: str) -> Path:
    """Write the witness of a `sat` row and return its path; `InputError` where that is not possible."""
    path = witness_folder(results) / category / witness_name(identity)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created: {error.strerror or error}", where=str(path.parent)) from None
    write_atomically(path, text.encode())
    return path
