"""What a certificate holds, well formed but not yet checked (sections 1 and 8 to 10 of the format)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

__all__ = [
    "Certificate",
    "Claim",
    "DifferenceTree",
    "Evidence",
    "Facts",
    "FamilyCertificate",
    "FileReference",
    "Join",
    "PairCertificate",
    "PairClaim",
    "Part",
    "Plan",
    "QueryCertificate",
    "RefutedLeaves",
    "Region",
    "Simulation",
    "SliceEvidence",
    "SolverFact",
    "Tree",
]


@dataclass(frozen=True, order=True)
class Claim:
    """Neuron `neuron` of layer `layer` is inactive (z <= 0 on D) or active (z >= 0 on D)."""

    layer: int
    neuron: int
    phase: str

    @property
    def targets(self) -> tuple[tuple[int, int]]:
        """(neuron, s) such that the claim says s z >= 0: a goal with one target."""
        return ((self.neuron, 1 if self.phase == "active" else -1),)

    @property
    def thresholds(self) -> tuple[int]:
        return (0,)

    @property
    def kind(self) -> Literal["claim"]:
        return "claim"

    def __str__(self) -> str:
        return f"neuron {self.neuron} of layer {self.layer} {self.phase}"


@dataclass(frozen=True)
class RefutedLeaves:
    """How many leaves of a tree are refuted (section 13), and the evidence: `length` bytes of text, compressed."""

    leaves: int
    length: int
    stream: bytes


@dataclass(frozen=True)
class Tree:
    """One split tree: its claims, the slope steps of each row, how many facts it builds on, and its compressed stream."""

    claims: tuple[Claim, ...]
    steps: int
    uses: int
    nodes: int
    stream: bytes
    refuted: RefutedLeaves | None = None


@dataclass(frozen=True)
class Part:
    """Consecutive disjuncts of a query that share one box, and the tree that refutes them; `trusted` of its leaves do not."""

    disjuncts: int
    grid: tuple[int, ...]
    steps: int
    nodes: int
    trusted: int
    stream: bytes
    refuted: RefutedLeaves | None = None


@dataclass(frozen=True)
class SolverFact:
    """A claim that only a solver's word supports."""

    claim: Claim
    by: str


@dataclass(frozen=True)
class Facts:
    """All facts of one network, in the order in which they are established."""

    grid: tuple[int, ...]
    interval: tuple[Claim, ...]
    trees: tuple[Tree, ...]
    solver: tuple[SolverFact, ...]

    def refuted(self) -> int:
        """How many leaves of the trees are refuted."""
        return sum(tree.refuted.leaves for tree in self.trees if tree.refuted)

    def claims(self) -> list[Claim]:
        return [
            *self.interval,
            *(c for tree in self.trees for c in tree.claims),
            *(s.claim for s in self.solver),
        ]


@dataclass(frozen=True)
class FileReference:
    """A file that the certificate speaks about: path relative to the certificate's folder, and hash."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Certificate:
    """The content of a certificate, well formed but not yet checked."""

    producer: str
    tolerance: Fraction
    original: FileReference
    reduced: FileReference
    domain: FileReference
    facts: dict[str, Facts]
    match: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class QueryCertificate:
    """The content of a certificate about a query: trees that refute it, or a point that satisfies it (then no parts).

    `float32`: the claim is about float32 arithmetic (section 11).
    """

    producer: str
    point: tuple[Fraction, ...] | None
    network: FileReference
    query: FileReference
    parts: tuple[Part, ...]
    float32: bool = False


@dataclass(frozen=True)
class PairClaim:
    """A statement about two networks: their outputs (or the outputs of two layers) agree up to `bound`, or decide alike.

    `bound` is the tolerance or the margin; `layers` are the layers compared, in place of the outputs.
    """

    rule: Literal["agree", "argmax", "argmin"]
    bound: Fraction
    layers: tuple[int, int] | None = None


@dataclass(frozen=True)
class Plan:
    """How two networks are joined: the level of each layer of N', the paired neurons (those of N first), each level's shift."""

    levels: tuple[int, ...]
    pairs: tuple[tuple[int, int, int, int], ...] | Literal["position"]
    shifts: tuple[int, ...]


@dataclass(frozen=True)
class DifferenceTree:
    """The tree that proves a statement about two networks on the domain; `trusted` of its leaves do not."""

    grid: tuple[int, ...]
    steps: int
    nodes: int
    trusted: int
    stream: bytes
    refuted: RefutedLeaves | None = None


@dataclass(frozen=True)
class Evidence:
    """Facts about N, how both networks are joined, and the tree over the joined network."""

    facts: Facts
    plan: Plan
    tree: DifferenceTree


@dataclass(frozen=True)
class PairCertificate:
    """The content of a certificate about two networks by differences: evidence for the claim, or a point that refutes it.

    `float32`: the claim is about float32 arithmetic (section 11), which no point refutes.
    """

    producer: str
    claim: PairClaim
    original: FileReference
    reduced: FileReference
    domain: FileReference
    evidence: Evidence | tuple[Fraction, ...]
    float32: bool = False


@dataclass(frozen=True)
class FamilyCertificate:
    """The content of a certificate about a family of slices: what it claims, the text of its regions, and the other streams."""

    producer: str
    claim: PairClaim
    original: FileReference
    manifest: FileReference
    regions: bytes
    streams: bytes


@dataclass(frozen=True)
class Simulation:
    """Evidence for a slice by simulation: facts about its network, and the neurons to match."""

    facts: Facts
    match: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Join:
    """Evidence for a slice by differences: how both networks are joined, and the tree over the joined network."""

    plan: Plan
    tree: DifferenceTree


@dataclass(frozen=True)
class SliceEvidence:
    """What a leaf of the partition claims about its network, and why."""

    claim: PairClaim
    evidence: Simulation | Join


@dataclass(frozen=True)
class Region:
    """What the certificate says about one node of the partition: facts about N on its box; and the evidence of a leaf."""

    facts: Facts | None
    leaf: SliceEvidence | None
