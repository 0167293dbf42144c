"""The three answers to a problem. None of them can be mistaken for a truth value."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

__all__ = ["Sat", "Unknown", "Unsat", "Verdict"]


class _ThreeValued:
    """`if verdict:` would read `Unknown` as true, so that is an error; match on the class instead."""

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict has three values; match on Unsat, Sat and Unknown")


@dataclass(frozen=True)
class Unsat(_ThreeValued):
    """No point satisfies the problem, says the solver."""


@dataclass(frozen=True)
class Sat(_ThreeValued):
    """The input point `model` satisfies the problem: replayed by `Problem.satisfied`."""

    model: tuple[Fraction, ...]


@dataclass(frozen=True)
class Unknown(_ThreeValued):
    """Nothing was decided; `reason` says why, in words."""

    reason: str


Verdict = Unsat | Sat | Unknown
