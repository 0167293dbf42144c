"""Whole numbers as people read them, for messages and for the report."""

from __future__ import annotations

__all__ = ["count", "plural"]


def count(number: int) -> str:
    """With thousands separated: 13,500."""
    return f"{number:,}"


def plural(number: int, singular: str, several: str = "") -> str:
    """`1 neuron`, `2 neurons`; `several` where it is not `singular` with an s."""
    return f"{count(number)} {singular if number == 1 else several or singular + 's'}"
