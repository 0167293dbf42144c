"""Writing a certificate: the container of FORMAT.md, section 1.

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

from secateur.bounds import Claim, quantise
from secateur.network import Network
from secateur.search import PhaseEvidence, ProvenTree
from secateur.specification import Domain

__all__ = ["FileReference", "certificate_bytes", "interval_evidence"]

_MAGIC = b"SECATEUR1\n"
_BYTE_SYMBOLS = 254
"""Inputs up to which a symbol takes one byte."""


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
    streams = [_stream(t, input_size) for e in (evidence, reduced_evidence) for t in e.trees]
    header: dict[str, Any] = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": producer,
        "claim": {"kind": "agree", "tolerance": str(tolerance)},
        "original": {"file": original.file, "sha256": original.sha256},
        "reduced": {"file": reduced.file, "sha256": reduced.sha256},
        "domain": {"file": domain.file, "sha256": domain.sha256},
        "facts": {
            "original": _facts(evidence, streams[: len(evidence.trees)]),
            "reduced": _facts(reduced_evidence, streams[len(evidence.trees) :]),
        },
    }
    if match:
        header["match"] = [list(m) for m in match]
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


def _facts(evidence: PhaseEvidence, streams: Sequence[bytes]) -> dict[str, Any]:
    return {
        "grid": list(evidence.grids),
        "interval": [_claim(c) for c in evidence.interval],
        "trees": [
            {"claims": [_claim(c) for c in t.claims], "steps": t.steps, "uses": t.uses, "nodes": t.nodes, "bytes": len(s)}
            for t, s in zip(evidence.trees, streams, strict=True)
        ],
        "solver": [{"claim": _claim(s.claim), "by": s.by} for s in evidence.solver],
    }


def _stream(tree: ProvenTree, input_size: int) -> bytes:
    symbols = tree.symbols.astype(np.uint8 if input_size <= _BYTE_SYMBOLS else np.dtype("<u2"))
    return zlib.compress(symbols.tobytes(), level=9)
