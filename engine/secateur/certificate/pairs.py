"""Writing certificates about two networks by differences (FORMAT.md, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.certificate.writer import FileReference, container, facts_header, stream
from secateur.network import Network
from secateur.network.difference import Pairing, paired_by_position
from secateur.search import PartProof, PhaseEvidence
from secateur.specification.comparison import Agreement, Comparison

__all__ = ["ComparedFiles", "comparison_bytes", "counterexample_bytes", "pair_table"]


@dataclass(frozen=True)
class ComparedFiles:
    """What a certificate about two networks names.

    layers : of each network the layer whose outputs are compared; None for the networks' outputs.
    """

    original: FileReference
    reduced: FileReference
    domain: FileReference
    layers: tuple[int, int] | None = None


def comparison_bytes(
    *,
    producer: str,
    claim: Comparison,
    files: ComparedFiles,
    input_size: int,
    evidence: PhaseEvidence,
    levels: Sequence[int],
    pairs: str | list[list[int]],
    proof: PartProof,
) -> bytes:
    """The certificate that a claim about two networks holds.

    evidence : proven phases of the first network's neurons that the proof builds on. pairs : `pair_table`.
    """
    streams = [*(stream(tree.symbols, input_size) for tree in evidence.trees), stream(proof.symbols, input_size + 1)]
    header = _header(producer, _claim(claim, files), files) | {
        "facts": {"original": facts_header(evidence, streams[:-1])},
        "levels": list(levels),
        "pairs": pairs,
        "shifts": list(proof.shifts),
        "difference": {
            "grid": list(proof.grids),
            "steps": proof.steps,
            "nodes": len(proof.symbols),
            "trusted": proof.trusted,
            "bytes": len(streams[-1]),
        },
    }
    return container(header, streams)


def counterexample_bytes(*, producer: str, claim: Comparison, files: ComparedFiles, point: Sequence[Fraction]) -> bytes:
    """The certificate that a claim about two networks is false at a point of the domain."""
    refuted = {"kind": "refuted", "claim": _claim(claim, files), "point": [str(x) for x in point]}
    return container(_header(producer, refuted, files), [])


def pair_table(pairing: Pairing, first: Network, second: Network) -> str | list[list[int]]:
    """The value of the key `pairs`."""
    if pairing == paired_by_position(first, second):
        return "position"
    return [
        [level, partner, k, i]
        for k, (level, partners) in enumerate(zip(pairing.levels, pairing.partners, strict=True), start=1)
        for i, partner in enumerate(partners)
        if partner is not None
    ]


def _claim(claim: Comparison, files: ComparedFiles) -> dict[str, Any]:
    if isinstance(claim, Agreement):
        layers = {} if files.layers is None else {"layer": list(files.layers)}
        return {"kind": "agree", "tolerance": str(claim.tolerance)} | layers
    return {"kind": "decision", "rule": claim.rule, "margin": str(claim.margin)}


def _header(producer: str, claim: dict[str, Any], files: ComparedFiles) -> dict[str, Any]:
    named = {"original": files.original, "reduced": files.reduced, "domain": files.domain}
    return {
        "format": "secateur-certificate",
        "version": 1,
        "producer": producer,
        "claim": claim,
        **{key: {"file": reference.file, "sha256": reference.sha256} for key, reference in named.items()},
    }
