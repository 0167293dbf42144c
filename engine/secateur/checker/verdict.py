"""How a check ends: accepted with the statement it verified, or refused with the rule that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

__all__ = ["Accepted", "Counts", "Progress", "Refused", "replayed_nodes", "shown_name", "shown_point", "stated"]

Progress = Callable[[str, float | None], None]
SHOWN = 12  # coordinates of a point that a statement shows
_IN_REPR = 320  # characters


@dataclass(frozen=True)
class Counts:
    """How much was verified: neurons of the original network (none for a query), and tree nodes of all trees.

    In a family a neuron counts on each box of the partition on which it was proven inactive or active. `refuted` of the nodes
    are leaves whose open goals exact multipliers refute.
    """

    inactive: int
    active: int
    nodes: int
    refuted: int = 0


@dataclass(frozen=True)
class Accepted:
    """The statement that holds, in words, and what in it rests on a solver's word alone."""

    statement: str
    counts: Counts
    trusted: tuple[str, ...]

    def __repr__(self) -> str:
        # How the statement begins says whether anything was trusted.
        cut = len(self.statement) > _IN_REPR
        return f"<Accepted: {self.statement[:_IN_REPR]}{'...' if cut else ''}>"


@dataclass(frozen=True)
class Refused:
    """The rule that was not kept, where, and why."""

    rule: str
    step: str
    reason: str

    def __str__(self) -> str:
        return f"Refused: {self.rule}, {self.step}: {self.reason}" if self.step else f"Refused: {self.rule}: {self.reason}"


def stated(claim: str, trusted: tuple[str, ...]) -> str:
    """A claim as it was verified, with what was not."""
    if not trusted:
        return f"Verified: {claim}."
    return f"Verified, given the trusted facts named below: {claim}. Trusted, not verified: {'; '.join(trusted)}."


def replayed_nodes(counts: Counts, arithmetic: str, noun: str = "tree nodes") -> str:
    """How many tree nodes were verified, in words."""
    leaves = "leaves" if counts.refuted != 1 else "a leaf"
    refuted = f", {counts.refuted:,} of them {leaves} refuted by exact multipliers" if counts.refuted else ""
    return f"{counts.nodes:,} {noun} replayed in {arithmetic} integer arithmetic{refuted}"


def shown_name(path: str | Path) -> str:
    """The name of a file in a statement, where only its digest counts: without what could pass for another part of that."""
    return "".join(c if c.isalnum() or c in "._-+" else "?" for c in PurePosixPath(path).name)


def shown_point(point: Sequence[Fraction]) -> str:
    """The first coordinates of a point."""
    return f"({', '.join(map(str, point[:SHOWN]))}{', ...' if len(point) > SHOWN else ''})"
