"""What both arithmetics share: the limits of section 4, and how the visit of a tree node can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = [
    "CONTRADICTION",
    "FAULTS",
    "FULL",
    "LEAF_OPEN",
    "LIMIT",
    "SPLIT_CLOSED",
    "TOO_NARROW",
    "VOID",
    "OutOfRange",
    "Outcome",
]

FULL = 1 << 24  # t = 1 in the integers of the boxes
VOID = 1 << 46  # a term of this magnitude makes a row void
LIMIT = 1 << 53  # so does a sum S_h or d of this magnitude

LEAF_OPEN, SPLIT_CLOSED, TOO_NARROW, CONTRADICTION = 1, 2, 3, 4
FAULTS = {
    LEAF_OPEN: "is a leaf, but the claim '{claim}' is open",
    SPLIT_CLOSED: "is split, but no claim is open",
    TOO_NARROW: "is split along a coordinate that is too narrow",
    CONTRADICTION: "has contradictory bounds",
}

Handle = TypeVar("Handle")


@dataclass(frozen=True)
class Outcome(Generic[Handle]):
    """The visit of one node: a fault (0: none) with the number of the first open claim, or a split's children."""

    fault: int = 0
    claim: int = 0
    children: tuple[Handle, Handle] | None = None


class OutOfRange(Exception):  # noqa: N818 - not an error: the other arithmetic takes over
    """Numbers left the range in which the fast arithmetic is exact."""
