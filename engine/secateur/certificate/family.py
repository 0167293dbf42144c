"""Writing the certificate and the manifest of a family of slices (FORMAT.md, section 10).

Facts are written where they are proven, one region of the partition at a time; what is put together at the end is text and
compressed streams.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.bounds import Claim
from secateur.certificate.pairs import claim_entry, difference_entry, pair_table
from secateur.certificate.writer import FileReference, container, facts_header, packed_tree
from secateur.network import Network
from secateur.network.difference import Pairing
from secateur.search import PartProof, PhaseEvidence
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison

__all__ = [
    "NO_FACTS",
    "Leaf",
    "LeafProof",
    "WrittenFacts",
    "by_difference",
    "by_simulation",
    "family_bytes",
    "manifest_bytes",
    "written_facts",
]


@dataclass(frozen=True)
class WrittenFacts:
    """Facts of one network on one box as the certificate holds them: the structure F (None: no facts), and its streams."""

    entry: dict[str, Any] | None
    streams: tuple[bytes, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim, in the order of the format."""
        if self.entry is None:
            return ()
        words = [*self.entry["interval"], *(c for tree in self.entry["trees"] for c in tree["claims"])]
        words += [solved["claim"] for solved in self.entry["solver"]]
        return tuple((layer, neuron, -1 if phase == "inactive" else 1) for layer, neuron, phase in words)

    @property
    def nodes(self) -> int:
        """Sub-domains in all trees."""
        return 0 if self.entry is None else sum(tree["nodes"] for tree in self.entry["trees"])

    def followed_by(self, more: WrittenFacts) -> WrittenFacts:
        """These facts, and those that were proven with them as facts. ValueError where intervals proved some of `more`."""
        if self.entry is None or more.entry is None:
            return more if self.entry is None else self
        if more.entry["interval"]:
            raise ValueError("interval facts come before all trees")
        parts = {key: [*self.entry[key], *more.entry[key]] for key in ("trees", "solver")}
        return WrittenFacts({**self.entry, **parts}, (*self.streams, *more.streams))


NO_FACTS = WrittenFacts(None)


@dataclass(frozen=True)
class LeafProof:
    """How the claim of a slice is shown: claim and evidence as the certificate holds them, and the streams of the evidence."""

    claim: dict[str, Any]
    evidence: dict[str, Any]
    streams: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Leaf:
    """What the certificate says of a slice: its own facts, and the proof of its claim."""

    facts: WrittenFacts
    proof: LeafProof

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of its region."""
        return {"facts": self.facts.entry, "claim": self.proof.claim, "evidence": self.proof.evidence}

    @property
    def streams(self) -> tuple[bytes, ...]:
        """Those of the region, in their order."""
        return (*self.facts.streams, *self.proof.streams)


def written_facts(evidence: PhaseEvidence, input_size: int) -> WrittenFacts:
    """The facts as they are written; NO_FACTS where there are none."""
    if not evidence.claims:
        return NO_FACTS
    trees = [packed_tree(t.symbols, t.refuted, input_size) for t in evidence.trees]
    return WrittenFacts(facts_header(evidence, trees), tuple(packed.data for packed in trees))


def by_simulation(reduced: WrittenFacts, layers: int) -> LeafProof:
    """Both networks agree exactly, as simulation shows; reduced : facts of the slice's network, which has so many ReLU layers."""
    nothing = {"grid": [0] * layers, "interval": [], "trees": [], "solver": []}
    evidence = {"kind": "simulation", "reduced": nothing if reduced.entry is None else reduced.entry}
    return LeafProof(claim_entry(Agreement(Fraction(0))), evidence, reduced.streams)


def by_difference(claim: Comparison, networks: tuple[Network, Network], pairing: Pairing, proof: PartProof) -> LeafProof:
    """A claim about the original and the slice's network, proven by differences."""
    tree = packed_tree(proof.symbols, proof.refuted, networks[0].input_size + 1)
    own = difference_entry(pairing.levels, pair_table(pairing, *networks), proof, tree)
    return LeafProof(claim_entry(claim), {"kind": "difference", **own}, (tree.data,))


def manifest_bytes(
    *, producer: str, domain: Domain, files: Sequence[FileReference], nodes: Sequence[tuple[int, Fraction] | int]
) -> bytes:
    """`manifest.json`: the partition (inner nodes as coordinate and cut, leaves as numbers of files) and the files."""
    content = {
        "format": "secateur-family",
        "version": 1,
        "producer": producer,
        "lower": [str(v) for v in domain.lower],
        "upper": [str(v) for v in domain.upper],
        "files": [{"file": f.file, "sha256": f.sha256} for f in files],
        "nodes": [node if isinstance(node, int) else [node[0], str(node[1])] for node in nodes],
    }
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


def family_bytes(
    *,
    producer: str,
    claim: Comparison,
    original: FileReference,
    manifest: FileReference,
    regions: Sequence[WrittenFacts | Leaf],
) -> bytes:
    """The certificate of a family under one claim for all slices; `regions` : the nodes of the partition in preorder."""
    text = json.dumps([region.entry for region in regions], separators=(",", ":")).encode()
    packed = zlib.compress(text, level=9)
    header = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": producer,
        "claim": {"kind": "family", "claim": claim_entry(claim)},
        "original": {"file": original.file, "sha256": original.sha256},
        "manifest": {"file": manifest.file, "sha256": manifest.sha256},
        "regions": {"length": len(text), "bytes": len(packed)},
    }
    return container(header, [packed, *_streams(regions)])


def _streams(regions: Sequence[WrittenFacts | Leaf]) -> Iterator[bytes]:
    for region in regions:
        yield from region.streams
