"""What an answer is worth once it has been compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from benchmarks.fuzzing.networks import Box

__all__ = ["ARITHMETICS", "Outcome", "Word", "compared", "outside", "together", "wrong"]

Word = Literal["agreed", "replayed", "not compared", "unknown", "wrong"]
ARITHMETICS: tuple[Literal["fast", "exact"], ...] = ("fast", "exact")
"""Those of the checker."""
_ORDER: tuple[Word, ...] = ("agreed", "replayed", "unknown", "not compared", "wrong")


@dataclass(frozen=True)
class Outcome:
    """A word, which answer it was, and for unknown the reason, for wrong what is wrong.

    agreed : the truth says the same. replayed : a witness that is right, where Z3 gave up. not compared : Z3 gave up.
    """

    word: Word
    answer: str
    detail: str = ""
    seconds: float = 0.0


def compared(answer: str, *, said: bool, true: bool | None, shown: bool = False) -> Outcome:
    """An answer and the truth; `shown` where the answer came with a point that was replayed."""
    if true is None:
        return Outcome("replayed" if shown else "not compared", answer)
    return Outcome("agreed", answer) if said is true else wrong(answer, f"Z3 says that this is {true}")


def wrong(answer: str, detail: str) -> Outcome:
    return Outcome("wrong", answer, detail)


def together(answer: str, outcomes: Sequence[Outcome]) -> Outcome:
    """The worst of several outcomes as the outcome of one answer."""
    worst = max(outcomes, key=lambda o: _ORDER.index(o.word), default=Outcome("agreed", answer))
    return Outcome(worst.word, answer, f"{worst.answer}: {worst.detail}" if worst.detail else "")


def outside(point: Sequence[Fraction], box: Box) -> str:
    """What is wrong with a point that shall lie in the box; empty where nothing is."""
    if len(point) == len(box) and all(low <= v <= high for v, (low, high) in zip(point, box, strict=True)):
        return ""
    return f"({', '.join(map(str, point))}) lies outside the box"
