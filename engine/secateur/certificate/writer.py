"""Writing certificates: the containers of FORMAT.md, sections 1, 8 and 13.

Nothing is decided here. The evidence comes from the search, the digests from the bytes that were read and written.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import Claim, quantise
from secateur.network import Network
from secateur.search import GoalRefutation, LeafRefutation, PartProof, PhaseEvidence, ProofStep
from secateur.specification import Domain

__all__ = [
    "FileReference",
    "PackedTree",
    "certificate_bytes",
    "container",
    "facts_header",
    "interval_evidence",
    "packed_tree",
    "proof_entry",
    "refutation_bytes",
    "satisfaction_bytes",
    "semantics_entry",
]

_MAGIC = b"SECATEUR1\n"
_LAST_BYTE = 254
"""The largest symbol that tells a stream to take one byte for each."""


@dataclass(frozen=True)
class FileReference:
    """A file as the certificate names it: a path relative to the certificate's folder, and the SHA-256 of its bytes."""

    file: str
    sha256: str


def certificate_bytes(
    *,
    producer: str,
    tolerance: Fraction,
    original: FileReference,
    reduced: FileReference,
    domain: FileReference,
    input_size: int,
    evidence: PhaseEvidence,
    reduced_evidence: PhaseEvidence,
    match: Sequence[tuple[int, int, int, int]] = (),
) -> bytes:
    """The certificate that max |N - N'| <= tolerance on the domain; `match` as in FORMAT.md, section 7."""
    streams = [packed_tree(t.symbols, t.refuted, input_size) for e in (evidence, reduced_evidence) for t in e.trees]
    header: dict[str, Any] = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": producer,
        "claim": {"kind": "agree", "tolerance": str(tolerance)},
        "original": {"file": original.file, "sha256": original.sha256},
        "reduced": {"file": reduced.file, "sha256": reduced.sha256},
        "domain": {"file": domain.file, "sha256": domain.sha256},
        "facts": {
            "original": facts_header(evidence, streams[: len(evidence.trees)]),
            "reduced": facts_header(reduced_evidence, streams[len(evidence.trees) :]),
        },
    }
    if match:
        header["match"] = [list(m) for m in match]
    return container(header, [packed.data for packed in streams])


def refutation_bytes(
    *,
    producer: str,
    network: FileReference,
    query: FileReference,
    input_size: int,
    proofs: Sequence[PartProof],
    semantics: str = "real",
) -> bytes:
    """The certificate that no point satisfies a query (FORMAT.md, section 8; `semantics` as in section 11)."""
    streams = [packed_tree(p.symbols, p.refuted, input_size + 1) for p in proofs]
    parts = [{"disjuncts": p.disjuncts, **proof_entry(p, packed)} for p, packed in zip(proofs, streams, strict=True)]
    header = _query_header(producer, {"kind": "unsat"}, network, query) | semantics_entry(semantics) | {"parts": parts}
    return container(header, [packed.data for packed in streams])


def proof_entry(proof: PartProof, packed: PackedTree) -> dict[str, Any]:
    """The keys of a tree of goals."""
    return {"grid": list(proof.grids), "steps": proof.steps, "nodes": len(proof.symbols), "trusted": proof.trusted, **packed.keys}


def satisfaction_bytes(*, producer: str, network: FileReference, query: FileReference, point: Sequence[Fraction]) -> bytes:
    """The certificate that a point satisfies a query (FORMAT.md, section 8)."""
    claim = {"kind": "sat", "point": [str(x) for x in point]}
    return container(_query_header(producer, claim, network, query), [])


def _query_header(producer: str, claim: dict[str, Any], network: FileReference, query: FileReference) -> dict[str, Any]:
    return {
        "format": "secateur-certificate",
        "version": 1,
        "producer": producer,
        "claim": claim,
        "network": {"file": network.file, "sha256": network.sha256},
        "query": {"file": query.file, "sha256": query.sha256},
    }


def semantics_entry(semantics: str) -> dict[str, Any]:
    """The key of a claim about float32 evaluations (FORMAT.md, section 11); claims about the reals have none."""
    return {} if semantics == "real" else {"semantics": semantics}


def container(header: dict[str, Any], streams: Sequence[bytes]) -> bytes:
    """A certificate's bytes (FORMAT.md, section 1)."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_MAGIC, struct.pack("<Q", len(text)), text, *streams])


def interval_evidence(network: Network, domain: Domain) -> PhaseEvidence:
    """The phases of a network's neurons that exact interval arithmetic proves."""
    quantised = quantise(network, domain.lower, domain.upper)
    bounds = quantised.bounds
    claims: list[Claim] = []
    for k, size in enumerate(network.sizes, start=1):
        for i in range(size):
            claims += [c for c in ((k, i, -1), (k, i, 1)) if bounds.decides(c)][:1]
    return PhaseEvidence(quantised.grids, tuple(claims))


def _claim(claim: Claim) -> list[int | str]:
    layer, neuron, sign = claim
    return [layer, neuron, "inactive" if sign < 0 else "active"]


def facts_header(evidence: PhaseEvidence, streams: Sequence[PackedTree]) -> dict[str, Any]:
    """F of the header: the facts of one network, whose trees are packed like that."""
    return {
        "grid": list(evidence.grids),
        "interval": [_claim(c) for c in evidence.interval],
        "trees": [
            {"claims": [_claim(c) for c in t.claims], "steps": t.steps, "uses": t.uses, "nodes": t.nodes, **packed.keys}
            for t, packed in zip(evidence.trees, streams, strict=True)
        ],
        "solver": [{"claim": _claim(s.claim), "by": s.by} for s in evidence.solver],
    }


@dataclass(frozen=True)
class PackedTree:
    """A tree as the certificate holds it: its streams, one after the other, and the keys that say where they end."""

    keys: dict[str, Any]
    data: bytes


def packed_tree(symbols: NDArray[np.uint16], refuted: Sequence[LeafRefutation], last: int) -> PackedTree:
    """Symbols up to `last` (and one more, where there are refuted leaves), and the evidence of those (FORMAT.md, section 13)."""
    own = zlib.compress(symbols.astype(np.uint8 if last <= _LAST_BYTE else np.dtype("<u2")).tobytes(), level=9)
    if not refuted:
        return PackedTree({"bytes": len(own)}, own)
    text = json.dumps([list(map(_refutation, leaf)) for leaf in refuted], separators=(",", ":")).encode()
    evidence = zlib.compress(text, level=9)
    keys = {"leaves": len(refuted), "length": len(text), "bytes": len(evidence)}
    return PackedTree({"bytes": len(own), "refuted": keys}, own + evidence)


def _refutation(refutation: GoalRefutation) -> dict[str, Any]:
    return {"neurons": [list(neuron) for neuron in refutation.neurons], "steps": list(map(_step, refutation.steps))}


def _step(step: ProofStep) -> dict[str, Any]:
    if not step.rows:
        return {"clause": list(step.clause)}
    return {"clause": list(step.clause), "rows": list(map(str, step.rows)), "multipliers": list(map(str, step.multipliers))}
