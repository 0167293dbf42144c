"""Certificates: evidence for one claim about two networks, in a format that anyone can check (FORMAT.md)."""

from secateur.certificate.writer import FileReference, certificate_bytes, interval_evidence

__all__ = ["FileReference", "certificate_bytes", "interval_evidence"]
