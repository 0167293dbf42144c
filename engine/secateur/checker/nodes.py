"""What both arithmetics share: goals, the limits of section 4, and how the visit of a tree node can end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = [
    "CONTRADICTION",
    "FAULTS",
    "FULL",
    "LEAF_OPEN",
    "LIMIT",
    "MAX_CUT_SHIFT",
    "MAX_MIXED_EXPONENT",
    "MIXED_EXPONENT",
    "REFUTED_CLOSED",
    "SLACK_BITS",
    "SPLIT_CLOSED",
    "TOO_NARROW",
    "TRUSTED_CLOSED",
    "VOID",
    "Goal",
    "LeafState",
    "OutOfRange",
    "Outcome",
    "fault_reason",
    "mixed_threshold",
]

FULL = 1 << 24  # t = 1 in the integers of the boxes
VOID = 1 << 46  # a term of this magnitude makes a row void
LIMIT = 1 << 53  # so does a sum S_h, d or S_i of this magnitude
SLACK_BITS = 16  # what rounding can do to a neuron is at most 2^16 units of its layer (section 11)
MIXED_EXPONENT = 20  # the e that a mixed row starts with: its weights are integers over 2^20
MAX_MIXED_EXPONENT = 936  # of a row that may enter a mixed one: its coefficients are normal doubles
MAX_CUT_SHIFT = 960  # a row whose numbers are further apart does not cut

LEAF_OPEN, SPLIT_CLOSED, TOO_NARROW, CONTRADICTION, TRUSTED_CLOSED, REFUTED_CLOSED = 1, 2, 3, 4, 5, 6
FAULTS = {
    LEAF_OPEN: "is a leaf, but the {kind} '{goal}' is open",
    SPLIT_CLOSED: "is split, but no {kind} is open",
    TOO_NARROW: "is split along a coordinate that is too narrow",
    CONTRADICTION: "has contradictory bounds",
    TRUSTED_CLOSED: "is a trusted leaf, but no {kind} is open",
    REFUTED_CLOSED: "is a refuted leaf, but no {kind} is open",
}

Handle = TypeVar("Handle")


class Goal(Protocol):
    """What a tree has to show on every box: that the targets do not all stay below their thresholds at once.

    A target (i, s) is the value s z_{layer,i}; the goal is closed on a box where one is proven to be at least its threshold
    (0 or 1) times 2^-G, or some sum of them with weights >= 0 `mixed_threshold` times 2^-G. A claim is a goal with one target
    and the threshold 0.
    """

    @property
    def kind(self) -> str: ...

    @property
    def layer(self) -> int: ...

    @property
    def targets(self) -> tuple[tuple[int, int], ...]: ...

    @property
    def thresholds(self) -> tuple[int, ...]: ...


def mixed_threshold(thresholds: Sequence[int], weights: Sequence[int]) -> int:
    """0 where a target that must be negative has a weight in the sum: the sum is negative then; else 1."""
    return 0 if any(weight >= 1 and not threshold for threshold, weight in zip(thresholds, weights, strict=True)) else 1


@dataclass(frozen=True)
class LeafState:
    """A refuted leaf as its evidence sees it (section 13): the contracted box (integers over 2^24), the bounds of all layers
    before the last one that the tree has a goal about, and the numbers of the open goals."""

    low: list[int]
    high: list[int]
    lower: list[list[float]]
    upper: list[list[float]]
    open: tuple[int, ...]


@dataclass(frozen=True)
class Outcome(Generic[Handle]):
    """The visit of one node: a fault (0: none) with the number of the first open goal, a split's children, or a refuted leaf."""

    fault: int = 0
    goal: int = 0
    children: tuple[Handle, Handle] | None = None
    leaf: LeafState | None = None


def fault_reason(fault: int, goal: Goal | None) -> str:
    """The words of a fault; `goal` is the first open one, or any, or None where the tree has no goals."""
    return FAULTS[fault].format(goal=goal, kind=goal.kind if goal else "claim")


class OutOfRange(Exception):  # noqa: N818 - not an error: the other arithmetic takes over
    """Numbers left the range in which the fast arithmetic is exact."""
