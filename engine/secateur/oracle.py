"""Secateur as a verification oracle: one call from a network and a question to a verdict.

    with secateur.Engine() as engine:
        engine.verify("net.onnx", "prop.vnnlib", timeout=10)                 # Holds | Violated | Unknown
        engine.verify("net.onnx", secateur.robust(x, 0.03, label=7))

An `Engine` keeps kernels, solver processes and loaded networks warm over thousands of calls; `verify` is one call of one engine.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from secateur.bounds import set_threads
from secateur.errors import InputError
from secateur.network import Network, Replay, parse_onnx
from secateur.options import VerifyOptions
from secateur.progress import Progress, SilentProgress
from secateur.residual import ResidualSolver
from secateur.search import Unknown, Verdict, decide
from secateur.specification import Query, read_query
from secateur.specification.vnnlib.formula import Kind
from secateur.specification.vnnlib.query import NetworkDeclaration

__all__ = ["Engine", "Models", "verify"]

Models = str | Path | Mapping[str, str | Path]
"""A network file, or one for every network that the query declares, by name."""


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network file in memory; `stamp` tells when it changed on disk."""

    path: Path
    stamp: tuple[int, int]
    data: bytes
    network: Network

    @cached_property
    def replay(self) -> Replay:
        return Replay(self.data)


class Engine:
    """Verifies queries with everything kept warm; a context manager, to be used by one thread at a time.

    Parameters
    ----------
    jobs : threads; all cores by default. solver : `z3`, `cvc5`, `both` or `none`, who gets what the engine's own deciders
    leave. seed : of the attack. InputError for values that make no sense.
    """

    def __init__(self, *, jobs: int | None = None, solver: str = "z3", seed: int = 0) -> None:
        options = VerifyOptions(solver=solver, seed=seed)
        self._options = options if jobs is None else VerifyOptions(jobs=jobs, solver=solver, seed=seed)
        self._solver = ResidualSolver(solver)
        self._loaded: dict[Path, _Loaded] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the solver processes and forget the networks. Idempotent."""
        self._solver.close()
        self._loaded.clear()

    def verify(
        self, model: Models, query: Query | str | Path, *, timeout: float = 300.0, progress: Progress | None = None
    ) -> Verdict:
        """Is there a point that satisfies the query (a counterexample to what it negates)?

        Parameters
        ----------
        model : an ONNX file (or `.gz`), or a mapping from the names of the query's networks to files. query : a VNN-LIB file, or
        a `Query`, such as `robust` and `holds_on` make. timeout : seconds of wall time, reading included.

        Returns
        -------
        `Holds` (unsat), `Violated` with a witness (sat), or `Unknown` with a reason. Raises InputError for bad input.
        """
        begun = time.monotonic()
        options = self._with_timeout(timeout)
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        asked = query if isinstance(query, Query) else read_query(query)
        models = [self._load(path) for path in _paths(model, asked)]
        for declaration, loaded in zip(asked.networks, models, strict=True):
            _require_fit(declaration, loaded, asked)
        set_threads(self._options.jobs)
        left = timeout - (time.monotonic() - begun)
        if left <= 0:
            return Unknown(f"the time limit of {timeout:g} s is used up", timed_out=True)
        networks = [m.network for m in models]
        options = self._with_timeout(left)
        return decide(asked, networks, lambda: [m.replay for m in models], self._solver, options, progress)

    def _with_timeout(self, timeout: float) -> VerifyOptions:
        o = self._options
        return VerifyOptions(timeout, o.jobs, o.solver, o.seed)

    def _load(self, path: Path) -> _Loaded:
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            known = self._loaded.get(path)
            if known is not None and known.stamp == stamp:
                return known
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
        plain = _plain(data, path)
        self._loaded[path] = _Loaded(path, stamp, plain, parse_onnx(plain, str(path), path.parent))
        return self._loaded[path]


def verify(
    model: Models,
    query: Query | str | Path,
    *,
    timeout: float = 300.0,
    jobs: int | None = None,
    solver: str = "z3",
    seed: int = 0,
    progress: Progress | None = None,
) -> Verdict:
    """One call of `Engine.verify` with an engine of its own; see there."""
    with Engine(jobs=jobs, solver=solver, seed=seed) as engine:
        return engine.verify(model, query, timeout=timeout, progress=progress)


def _plain(data: bytes, path: Path) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise InputError(f"is no complete gzip file: {error}", where=str(path)) from None


def _paths(model: Models, query: Query) -> list[Path]:
    """The file of each network that the query declares, in that order."""
    declared = [n.name for n in query.networks]
    if isinstance(model, str | Path):
        if len(declared) > 1:
            raise InputError(
                f"the query declares {len(declared)} networks: {', '.join(declared)}",
                where=query.source,
                remedy="give a file for each, by name",
            )
        return [Path(model)]
    foreign = [name for name in model if name not in declared]
    if foreign:
        raise InputError(
            f"there is no network {foreign[0]!r} in the query",
            where=query.source,
            remedy=f"it declares {', '.join(declared)}",
        )
    return [Path(_file_of(declaration, model, query.networks, query.source)) for declaration in query.networks]


def _file_of(
    declaration: NetworkDeclaration,
    model: Mapping[str, str | Path],
    networks: Sequence[NetworkDeclaration],
    source: str,
) -> str | Path:
    """The file given for a network, or for the one that it is declared equal to."""
    name: str | None = declaration.name
    by_name = {n.name: n for n in networks}
    while name is not None and name not in model:
        name = by_name[name].equal_to if name in by_name else None
    if name is None:
        raise InputError(f"no file is given for network {declaration.name!r}", where=source, remedy="give one for each network")
    return model[name]


def _require_fit(declaration: NetworkDeclaration, loaded: _Loaded, query: Query) -> None:
    for kind, size in ((Kind.INPUT, loaded.network.input_size), (Kind.OUTPUT, loaded.network.output_size)):
        if declaration.size(kind) != size:
            name = kind.name.lower()
            raise InputError(
                f"the query declares {declaration.size(kind)} {name}s for network {declaration.name}, the file has {size}",
                where=f"{query.source}, {loaded.path}",
                remedy="use the network that the query was written for",
            )
