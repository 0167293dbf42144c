"""Writing certificates about two networks by differences (FORMAT.md, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.certificate.writer import (
    FileReference,
    PackedTree,
    container,
    facts_header,
    packed_tree,
    proof_entry,
    semantics_entry,
)
from secateur.network import Network
from secateur.network.difference import Pairing, paired_by_position
from secateur.search import PartProof, PhaseEvidence
from secateur.specification.comparison import Agreement, Comparison

__all__ = ["ComparedFiles", "claim_entry", "comparison_bytes", "counterexample_bytes", "difference_entry", "pair_table"]


@dataclass(frozen=True)
class ComparedFiles:
    """What a certificate about two networks names.

    layers : of each network the layer whose outputs are compared; None for the networks' outputs. semantics : of a claim that
    holds.
    """

    original: FileReference
    reduced: FileReference
    domain: FileReference
    layers: tuple[int, int] | None = None
    semantics: str = "real"


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
    trees = [packed_tree(tree.symbols, tree.refuted, input_size) for tree in evidence.trees]
    last = packed_tree(proof.symbols, proof.refuted, input_size + 1)
    facts = {"facts": {"original": facts_header(evidence, trees)}}
    own = difference_entry(levels, pairs, proof, last)
    header = _header(producer, _claim(claim, files), files) | semantics_entry(files.semantics)
    return container(header | facts | own, [packed.data for packed in (*trees, last)])


def difference_entry(levels: Sequence[int], pairs: str | list[list[int]], proof: PartProof, packed: PackedTree) -> dict[str, Any]:
    """The keys of a proof by differences, whose tree is packed like that."""
    shifts = list(proof.shifts)
    return {"levels": list(levels), "pairs": pairs, "shifts": shifts, "difference": proof_entry(proof, packed)}


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
    return claim_entry(claim) | ({} if files.layers is None else {"layer": list(files.layers)})


def claim_entry(claim: Comparison) -> dict[str, Any]:
    """A claim about the outputs of two networks."""
    if isinstance(claim, Agreement):
        return {"kind": "agree", "tolerance": str(claim.tolerance)}
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
