"""How a check ends when it does not accept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["CheckInputError", "Refusal", "located"]


class CheckInputError(ValueError):
    """A file that cannot be read, or an option that makes no sense: one line, no verdict on the certificate."""


class Refusal(Exception):  # noqa: N818 - a verdict, not an error
    """The certificate does not prove its claim: which rule failed, where, and why.

    Raised anywhere inside the checker and turned into a `Refused` record by `check`, nowhere else.
    """

    def __init__(self, rule: str, step: str, reason: str) -> None:
        super().__init__(rule, step, reason)
        self.rule, self.step, self.reason = rule, step, reason


@contextmanager
def located(place: str, rules: tuple[str, ...], own: str) -> Iterator[None]:
    """Refusals inside name the place; the given rules, which are made for other parts of a certificate, are renamed to `own`."""
    try:
        yield
    except Refusal as refusal:
        rule = own if refusal.rule in rules else refusal.rule
        raise Refusal(rule, f"{place} {refusal.step}".strip(), refusal.reason) from None
