"""A warm engine, and the folder for the files that it reads."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import secateur
from benchmarks.fuzzing.networks import Described, onnx_bytes

__all__ = ["Bench"]

_RING = 64
"""Network files that exist at a time: an engine keeps every path that it was given."""


class Bench:
    """An engine of one thread, and its files; a context manager.

    timeout : seconds of each question.
    """

    def __init__(self, folder: Path, timeout: float = 2.0) -> None:
        self.folder, self.timeout = folder, timeout
        self.engine = secateur.Engine(jobs=1, solver="z3")
        self._files: dict[Described, Path] = {}
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.engine.close()

    def file(self, network: Described) -> Path:
        """The ONNX file of a network, written when it is first asked for and kept for a while."""
        known = self._files.get(network)
        if known is None:
            if len(self._files) == _RING:
                del self._files[next(iter(self._files))]
            known = self._files[network] = self.folder / f"net{self._number % _RING}.onnx"
            self._number += 1
            known.write_bytes(onnx_bytes(network))
        return known
