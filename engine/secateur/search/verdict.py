"""Verdicts on a query: `Holds`, `Violated` or `Unknown`, to be told apart by type.

None of them is a truth value: a script that writes `if verify(...)` would take "unknown" for an answer, so `bool()` raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from secateur.search.refute import PartProof
from secateur.search.witness import Witness

__all__ = ["Holds", "SearchStatistics", "Unknown", "Verdict", "Violated"]


@dataclass(frozen=True)
class SearchStatistics:
    """What a verdict took: sub-domains examined, sub-domains that an LP or an SMT solver settled, seconds of wall time."""

    nodes: int = 0
    residuals: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Answer:
    statistics: SearchStatistics = field(default_factory=SearchStatistics, kw_only=True)

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is no truth value: match it against Holds, Violated and Unknown")


@dataclass(frozen=True)
class Holds(_Answer):
    """No point satisfies the query (`unsat`): what it is the negation of, holds.

    `trusted` names the SMT solvers whose word the verdict rests on; empty where all of it was derived here. `proofs`: one per
    question, in order, where a certificate is wanted.
    """

    trusted: str = ""
    proofs: tuple[PartProof, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Violated(_Answer):
    """The witness satisfies the query (`sat`), exactly and, where there are files to replay, as onnxruntime evaluates it."""

    witness: Witness


@dataclass(frozen=True)
class Unknown(_Answer):
    """Not decided, and why; `timed_out` where more time might help."""

    reason: str
    timed_out: bool = False


Verdict = Holds | Violated | Unknown
