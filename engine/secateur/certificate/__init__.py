"""Certificates: evidence for one claim about networks, in a format that anyone can check (FORMAT.md)."""

from secateur.certificate.family import Leaf, WrittenFacts, family_bytes, manifest_bytes, simulation_leaf, written_facts
from secateur.certificate.writer import (
    FileReference,
    certificate_bytes,
    interval_evidence,
    refutation_bytes,
    satisfaction_bytes,
)

__all__ = [
    "FileReference",
    "Leaf",
    "WrittenFacts",
    "certificate_bytes",
    "family_bytes",
    "interval_evidence",
    "manifest_bytes",
    "refutation_bytes",
    "satisfaction_bytes",
    "simulation_leaf",
    "written_facts",
]
