"""Certificates: evidence for one claim about networks, in a format that anyone can check (FORMAT.md)."""

from secateur.certificate.family import (
    Leaf,
    LeafProof,
    WrittenFacts,
    by_difference,
    by_simulation,
    family_bytes,
    manifest_bytes,
    written_facts,
)
from secateur.certificate.pairs import ComparedFiles, comparison_bytes, counterexample_bytes, pair_table
from secateur.certificate.writer import (
    FileReference,
    certificate_bytes,
    interval_evidence,
    refutation_bytes,
    satisfaction_bytes,
)

__all__ = [
    "ComparedFiles",
    "FileReference",
    "Leaf",
    "LeafProof",
    "WrittenFacts",
    "by_difference",
    "by_simulation",
    "certificate_bytes",
    "comparison_bytes",
    "counterexample_bytes",
    "family_bytes",
    "interval_evidence",
    "manifest_bytes",
    "pair_table",
    "refutation_bytes",
    "satisfaction_bytes",
    "written_facts",
]
