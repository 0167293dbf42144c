"""Certificates: evidence for one claim about networks, in a format that anyone can check (FORMAT.md)."""

from secateur.certificate.writer import (
    FileReference,
    certificate_bytes,
    interval_evidence,
    refutation_bytes,
    satisfaction_bytes,
)

__all__ = ["FileReference", "certificate_bytes", "interval_evidence", "refutation_bytes", "satisfaction_bytes"]
