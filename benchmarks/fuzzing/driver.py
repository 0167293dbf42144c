"""A campaign: random networks, boxes and questions until the time is up, counted and compared. Begin at `Campaign.run`."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.asking import outcome
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Query, to_json
from benchmarks.fuzzing.choosing import cases
from benchmarks.fuzzing.networks import Described, random_box, random_network
from benchmarks.fuzzing.outcomes import Outcome
from benchmarks.fuzzing.truth import Truth

__all__ = ["Campaign", "Counts"]

Z3_MILLISECONDS = 200
_MOST_UNKNOWN = 2
"""So many unknown answers, and a network is left: each takes its whole time limit, the time of many other questions."""
_BOXES = 3
_NUMBER = re.compile(r"\b\d[\d.]*(e[+-]?\d+)?")
_WRITE_SECONDS = 5.0


@dataclass
class Counts:
    """How often each outcome was seen, by kind of question, answer and word; the reasons of unknowns; the slowest question."""

    seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    networks: int = 0
    certificates: int = 0
    slowest: float = 0.0

    def add(self, case: Case, found: Outcome) -> None:
        self.seen[case.kind, found.answer, found.word] += 1
        if found.word == "unknown":
            self.reasons[_NUMBER.sub("#", found.detail)] += 1
        elif isinstance(case.question, Query) and case.question.certified and found.word != "wrong":
            self.certificates += 1
        self.slowest = max(self.slowest, found.seconds)

    def of(self, word: str) -> int:
        """How many outcomes have this word."""
        return sum(n for (_, _, w), n in self.seen.items() if w == word)

    @property
    def total(self) -> int:
        return sum(self.seen.values())

    def table(self) -> str:
        """Everything, a line each."""
        lines = [f"{n:>9,}  {kind}: {answer}, {word}" for (kind, answer, word), n in sorted(self.seen.items())]
        lines += [f"{n:>9,}  unknown: {reason}" for reason, n in self.reasons.most_common(12)]
        lines.append(f"{self.networks:>9,}  networks, {self.certificates:,} certificates; slowest question {self.slowest:.2f} s")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        seen = {f"{kind}: {answer}, {word}": n for (kind, answer, word), n in sorted(self.seen.items())}
        words = ("agreed", "replayed", "not compared", "unknown", "wrong")
        totals = {"total": self.total} | {word: self.of(word) for word in words}
        rest = {"networks": self.networks, "certificates": self.certificates, "slowest_seconds": round(self.slowest, 3)}
        return totals | rest | {"seen": seen, "reasons": dict(self.reasons.most_common())}


class Campaign:
    """Everything about one run.

    seed : network n of a seed is always the same, and so are its questions. minutes, queries : when to end, whichever is first.
    out : folder for counts.json and finding-*.json; None keeps them in memory alone.
    """

    def __init__(self, seed: int, minutes: float, queries: int | None = None, out: Path | None = None) -> None:
        self._seed, self._queries, self._out = seed, queries, out
        self._begun = self._written = time.monotonic()
        self._deadline = self._begun + 60 * minutes
        self.counts = Counts()
        self.findings: list[dict[str, Any]] = []

    def run(self, bench: Bench) -> None:
        """Ask until the end; KeyboardInterrupt ends it too. The counts are complete and written in every case."""
        try:
            while not self._ended():
                self._one_network(bench, f"{self._seed}-{self.counts.networks}")
                self.counts.networks += 1
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
        finally:
            self._write()

    def _one_network(self, bench: Bench, name: str) -> None:
        network, before = random_network(random.Random(name)), self.counts.of("unknown")
        for number in range(_BOXES):
            rng = random.Random(f"{name}-{number}")
            box = random_box(rng, network.inputs, network.kind)
            truths: dict[tuple[Described, ...], Truth] = {}
            for case in cases(rng, network, box):
                if self._ended() or self.counts.of("unknown") - before >= _MOST_UNKNOWN:
                    return
                if case.networks not in truths:
                    truths[case.networks] = Truth(case.networks, box, Z3_MILLISECONDS)
                self._one_case(bench, case, truths[case.networks], f"{name}-{number}")

    def _one_case(self, bench: Bench, case: Case, truth: Truth, name: str) -> None:
        found = outcome(bench, case, truth)
        self.counts.add(case, found)
        if found.word == "wrong":
            self._report(case, found, name)
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self._write()

    def _ended(self) -> bool:
        return time.monotonic() >= self._deadline or (self._queries is not None and self.counts.total >= self._queries)

    def _report(self, case: Case, found: Outcome, name: str) -> None:
        finding = {"name": name, "answer": found.answer, "wrong": found.detail} | to_json(case)
        self.findings.append(finding)
        print(f"\nfinding {len(self.findings)} ({case.kind}): {found.answer}: {found.detail}", file=sys.stderr)
        if self._out is not None:
            _write_json(self._out / f"finding-{len(self.findings)}.json", finding)

    def _write(self) -> None:
        self._written = time.monotonic()
        seconds = self._written - self._begun
        counts, rate = self.counts, self.counts.total / max(seconds, 1e-9)
        shown = f"{counts.total:,} questions ({rate:.0f}/s), {counts.of('unknown'):,} unknown, {counts.of('wrong')} wrong"
        print(f"\r{seconds:6.0f} s: {shown}  ", end="", file=sys.stderr, flush=True)
        if self._out is not None:
            about = {"seed": self._seed, "seconds": round(seconds, 1), "questions_per_second": round(rate, 1)}
            _write_json(self._out / "counts.json", about | counts.as_json())


def _write_json(path: Path, data: object) -> None:
    """All of it, or what was there before."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1) + "\n")
    part.replace(path)
