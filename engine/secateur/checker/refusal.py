"""How a check ends when it does not accept."""

from __future__ import annotations

__all__ = ["CheckInputError", "Refusal"]


class CheckInputError(ValueError):
    """A file that cannot be read, or an option that makes no sense: one line, no verdict on the certificate."""


class Refusal(Exception):  # noqa: N818 - a verdict, not an error
    """The certificate does not prove its claim: which rule failed, where, and why.

    Raised anywhere inside the checker and turned into a `Refused` record by `check`, nowhere else.
    """

    def __init__(self, rule: str, step: str, reason: str) -> None:
        super().__init__(rule, step, reason)
        self.rule, self.step, self.reason = rule, step, reason
