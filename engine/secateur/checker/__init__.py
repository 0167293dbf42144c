"""The trusted kernel: checks certificates, and shares nothing with the engine that writes them.

It reads the ONNX files and the certificate with its own code, computes with exact integers and rationals, and either
accepts with the statement it verified or refuses with the rule that failed. It needs the standard library only; numpy
and numba, where present, serve the fast arithmetic. The rules are those of `certificate/FORMAT.md`.
"""

from __future__ import annotations

from secateur.checker.check import Accepted, Counts, Refused, check, unreadable
from secateur.checker.command import main
from secateur.checker.refusal import CheckInputError

__all__ = ["Accepted", "CheckInputError", "Counts", "Refused", "check", "main", "unreadable"]
