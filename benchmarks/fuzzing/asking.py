"""Asks a warm engine about cases, and compares what it says with the truth. Begin at `Bench.outcome`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import secateur
from benchmarks.fuzzing.cases import Case, Query
from benchmarks.fuzzing.formulas import holds, vnnlib
from benchmarks.fuzzing.networks import Box, Described, evaluate, onnx_bytes
from benchmarks.fuzzing.truth import Truth
from secateur.specification import parse_query

__all__ = ["Bench", "Outcome", "Word"]

Word = Literal["agreed", "replayed", "not compared", "unknown", "wrong"]
_RING = 64
"""Network files that exist at a time: an engine keeps every path that it was given."""
_ARITHMETICS: tuple[Literal["fast", "exact"], ...] = ("fast", "exact")


@dataclass(frozen=True)
class Outcome:
    """What an answer is worth, which answer it was, and for unknown the reason, for wrong what is wrong.

    agreed : the truth says the same. replayed : a witness that is right, where Z3 gave up. not compared : Z3 gave up.
    """

    word: Word
    answer: str
    detail: str = ""
    seconds: float = 0.0


class Bench:
    """An engine, and the folder for its files; a context manager.

    timeout : seconds of each question.
    """

    def __init__(self, folder: Path, timeout: float = 2.0) -> None:
        self._folder, self._timeout = folder, timeout
        self._engine = secateur.Engine(jobs=1, solver="z3")
        self._files: dict[Described, Path] = {}
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._engine.close()

    def file(self, network: Described) -> Path:
        """The ONNX file of a network, written when it is first asked for and kept for a while."""
        known = self._files.get(network)
        if known is None:
            if len(self._files) == _RING:
                del self._files[next(iter(self._files))]
            known = self._files[network] = self._folder / f"net{self._number % _RING}.onnx"
            self._number += 1
            known.write_bytes(onnx_bytes(network))
        return known

    def outcome(self, case: Case, truth: Truth) -> Outcome:
        """Ask the engine; anything that it raises is wrong, because every case is a fair question."""
        begun = time.perf_counter()
        try:
            match case.question:
                case Query() as query:
                    found = self._query(case, query, truth)
        except Exception as error:
            found = Outcome("wrong", "error", f"{type(error).__name__}: {error}")
        return Outcome(found.word, found.answer, found.detail, time.perf_counter() - begun)

    def _query(self, case: Case, query: Query, truth: Truth) -> Outcome:
        text, path = vnnlib(query.formula, case.network, case.box, query.version), self.file(case.network)
        if not query.certified:
            verdict = self._engine.verify(path, parse_query(text), timeout=self._timeout)
            return _judged(verdict, case.network, case.box, query, lambda: truth.query(query.formula))
        file, target = self._folder / "query.vnnlib", self._folder / "query.secateur"
        file.write_text(text)
        target.unlink(missing_ok=True)
        verdict = self._engine.verify(path, file, timeout=self._timeout, certificate=target)
        found = _judged(verdict, case.network, case.box, query, lambda: truth.query(query.formula))
        return found if found.word in {"unknown", "wrong"} else _checked(found, target)


def _judged(
    verdict: secateur.Holds | secateur.Violated | secateur.Unknown,
    network: Described,
    box: Box,
    query: Query,
    truth: Callable[[], bool | None],
) -> Outcome:
    """Whether a verdict on a query is right; a witness is replayed here, by other code than the engine's."""
    match verdict:
        case secateur.Unknown(reason=reason):
            return Outcome("unknown", "unknown", reason)
        case secateur.Holds():
            return _compared("unsat", said=False, true=truth())
        case secateur.Violated(witness=witness):
            point = witness.exact_inputs
            outside = [i for i, (v, (low, high)) in enumerate(zip(point, box, strict=True)) if not low <= v <= high]
            if outside:
                return Outcome("wrong", "sat", f"inputs {outside} of the witness lie outside the box: {_words(point)}")
            outputs = evaluate(network, point)[-1]
            if tuple(outputs) != witness.exact_outputs[0]:
                return Outcome("wrong", "sat", f"the outputs at {_words(point)} are not those of the witness")
            if not holds(query.formula, [*point, *outputs]):
                return Outcome("wrong", "sat", f"the witness does not fulfil the query: {_words(point)}")
            return _compared("sat", said=True, true=truth())


def _compared(answer: str, *, said: bool, true: bool | None) -> Outcome:
    if true is None:
        return Outcome("replayed" if said else "not compared", answer)
    return Outcome("agreed", answer) if said is true else Outcome("wrong", answer, f"Z3 says that this is {true}")


def _checked(found: Outcome, certificate: Path) -> Outcome:
    """The outcome, unless the checker refuses the certificate in one of its arithmetics."""
    for arithmetic in _ARITHMETICS:
        accepted = secateur.check(certificate, arithmetic=arithmetic)
        if not isinstance(accepted, secateur.Accepted):
            return Outcome("wrong", found.answer, f"{arithmetic} check: {accepted}")
    return found


def _words(point: tuple[Fraction, ...]) -> str:
    return ", ".join(map(str, point))
