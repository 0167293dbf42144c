"""What the search returns: a status for every neuron, and the evidence behind each.

No status rests on a float: `INACTIVE` and `ACTIVE` carry a proof (an interval bound, a split tree that a checker replays, or the
word of an SMT solver), `BOTH` two points that were evaluated exactly, `UNKNOWN` a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import Claim
from secateur.search.leaf import LeafRefutation

__all__ = [
    "Basis",
    "NeuronStatus",
    "PhaseEvidence",
    "PhaseResult",
    "PhaseStatistics",
    "ProvenTree",
    "SolverClaim",
    "Status",
    "Tightest",
]


class Status(Enum):
    """What is known about the sign of a pre-activation z on the domain D."""

    INACTIVE = "inactive"
    """z <= 0 on D, proven."""
    ACTIVE = "active"
    """z >= 0 on D, proven (and not z <= 0 everywhere: such neurons count as inactive)."""
    BOTH = "both"
    """z > 0 at one point of D and z < 0 at another, evaluated exactly."""
    UNKNOWN = "unknown"
    """Undecided, with a reason."""


class Basis(Enum):
    """What a status rests on."""

    INTERVAL = "exact"
    """Exact interval arithmetic over the whole domain."""
    TREE = "tree"
    """A split tree in exact integer arithmetic."""
    SOLVER = "solver"
    """An SMT solver's word: trusted, not replayed by the checker."""
    WITNESS = "witness"
    """Two points, evaluated exactly."""
    NONE = "none"
    """Nothing: the status is unknown."""


@dataclass(frozen=True)
class NeuronStatus:
    """Status of one neuron; `positive` and `negative` index `PhaseResult.witnesses` (z > 0 and z < 0 there)."""

    status: Status
    basis: Basis
    reason: str = ""
    positive: int | None = None
    negative: int | None = None


@dataclass(frozen=True)
class Tightest:
    """The sub-domain on which a claim on a neuron (sign s) holds by the smallest margin, and the row that decides it there.

    low, high : corners in units of 2**-24 of the normalised input t. row : coefficients a over t, exact.
    margin : s z >= margin there; it follows from s z >= margin + sum_j (a_j t_j - its minimum over the box).
    """

    margin: float = float("inf")
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()
    row: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ProvenTree:
    """A complete split tree: every claim holds on every leaf. `symbols` in preorder, as of `SplitTree.leaves`.

    uses : how many of the facts proven before it, in their order, its root bounds rest on.
    tightest : for each claim, where it holds by the smallest margin. refuted : evidence of the leaves that have some, in
    preorder.
    """

    claims: tuple[Claim, ...]
    steps: int
    uses: int
    symbols: NDArray[np.uint16] = field(repr=False)
    tightest: tuple[Tightest, ...] = field(repr=False)
    refuted: tuple[LeafRefutation, ...] = field(default=(), repr=False)

    @property
    def nodes(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True)
class SolverClaim:
    """A claim that a solver decided; `by` names it with its version."""

    claim: Claim
    by: str


@dataclass(frozen=True, eq=False)
class PhaseEvidence:
    """All proofs of one network's phases, in the order in which each may use the earlier ones."""

    grids: tuple[int, ...]
    interval: tuple[Claim, ...] = ()
    trees: tuple[ProvenTree, ...] = ()
    solver: tuple[SolverClaim, ...] = ()

    def __repr__(self) -> str:
        proven = f"{len(self.interval)} by intervals, {len(self.trees)} split trees, {len(self.solver)} by solvers"
        return f"<PhaseEvidence: {len(self.claims)} claims: {proven}>"

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every proven claim: (layer from 1, neuron from 0, sign), sign -1 inactive, +1 active."""
        return (*self.interval, *(c for t in self.trees for c in t.claims), *(s.claim for s in self.solver))


@dataclass(frozen=True)
class PhaseStatistics:
    """Effort: sub-domains evaluated, leaves of proven trees, seconds by stage."""

    nodes: int
    attack_seconds: float
    search_seconds: float


@dataclass(frozen=True, eq=False)
class PhaseResult:
    """Phases of all ReLU neurons of a network on a domain.

    neurons[k][i] : neuron i of ReLU layer k + 1. witnesses : exact points of D. interrupted : Ctrl-C stopped the search early.
    """

    neurons: tuple[tuple[NeuronStatus, ...], ...]
    witnesses: tuple[tuple[Fraction, ...], ...]
    evidence: PhaseEvidence
    statistics: PhaseStatistics
    interrupted: bool = False

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(status)} {status.value}" for status in Status if self.count(status))
        return f"<PhaseResult: {counts or 'no neurons'}{'; interrupted' if self.interrupted else ''}>"

    def count(self, status: Status) -> int:
        """Number of neurons with this status."""
        return sum(neuron.status is status for layer in self.neurons for neuron in layer)
