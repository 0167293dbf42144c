"""The walk over one tree, the same for both arithmetics (sections 6, 8 and 13 of the format).

An arithmetic has `batch`, `input_size`, `root(bounds) -> node` and `visit([(node, symbol), ...]) -> [Outcome, ...]`; what a
node is, is its own affair. Nodes are independent of each other, so several may be visited at once; the walk goes
depth first, which keeps the number of waiting nodes small.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from secateur.checker.nodes import Goal, LeafState, Outcome, fault_reason
from secateur.checker.refusal import Refusal

__all__ = ["Arithmetic", "Evidence", "second_children", "walk_tree"]

Node = TypeVar("Node")
Progress = Callable[[str, float | None], None]


class Arithmetic(Protocol[Node]):
    """What the walk needs from an arithmetic."""

    @property
    def batch(self) -> int: ...

    @property
    def input_size(self) -> int: ...

    def root(self, bounds: Sequence[tuple[list[float], list[float]]]) -> Node: ...

    def visit(self, batch: Sequence[tuple[Node, int]]) -> list[Outcome[Node]]: ...


class Evidence(Protocol):
    """What the walk needs from the evidence of refuted leaves."""

    @property
    def symbol(self) -> int: ...

    def fault(self, position: int, leaf: LeafState) -> Refusal | None:
        """Why the leaf at a position of the stream is not refuted, if it is not."""


def second_children(
    symbols: Sequence[int], input_size: int, step: str, trusted: int | None = None, refuted: int | None = None
) -> array[int]:
    """The position of each split's second child in the preorder stream; refuses what is no single tree.

    `trusted` and `refuted` are the symbols of such leaves, where the tree may have them.
    """
    second = array("i", bytes(4 * len(symbols)))
    waiting: list[int] = []
    for position, symbol in enumerate(symbols):
        split = symbol not in (0, trusted, refuted)
        if split and symbol == input_size + 2:
            raise Refusal("tree", f"{step} node {position}", "it is a refuted leaf, but the tree has no evidence of any")
        if split and symbol > input_size:
            raise Refusal("tree", f"{step} node {position}", f"coordinate {symbol - 1} does not exist")
        if split:
            waiting.append(position)
        elif waiting:
            second[waiting.pop()] = position + 1
        elif position != len(symbols) - 1:
            raise Refusal("tree", f"{step} node {position}", "the tree ends here, but symbols follow")
        else:
            return second
    raise Refusal("tree", step, "the stream ends before the tree does")


def walk_tree(
    goals: Sequence[Goal],
    symbols: Sequence[int],
    arithmetic: Arithmetic[Node],
    bounds: Sequence[tuple[list[float], list[float]]],
    step: str,
    progress: Progress,
    trusted: int | None = None,
    evidence: Evidence | None = None,
) -> None:
    """Visits every node; refuses with the fault that comes first in preorder."""
    second = second_children(symbols, arithmetic.input_size, step, trusted, evidence.symbol if evidence else None)
    pending: list[tuple[int, Node]] = [(0, arithmetic.root(bounds))]
    failed, done = len(symbols), 0
    refusal: Refusal | None = None
    while pending:
        batch = pending[-arithmetic.batch :]
        del pending[-arithmetic.batch :]
        outcomes = arithmetic.visit([(node, symbols[position]) for position, node in batch])
        for (position, _), outcome in zip(batch, outcomes, strict=True):
            if position > failed:
                continue
            fault = _fault(outcome, position, goals, step, evidence)
            if fault is not None:
                failed, refusal = position, fault
            elif outcome.children is not None:
                first, other = outcome.children
                pending += ((second[position], other), (position + 1, first))
        if failed < len(symbols):
            pending = [entry for entry in pending if entry[0] < failed]
        done += len(batch)
        progress(f"{step}: {done:,} of {len(symbols):,} nodes", done / len(symbols))
    if refusal is not None:
        raise refusal


def _fault(outcome: Outcome[Node], position: int, goals: Sequence[Goal], step: str, evidence: Evidence | None) -> Refusal | None:
    """What is wrong with a node that was visited."""
    if outcome.fault:
        reason = fault_reason(outcome.fault, goals[outcome.goal] if goals else None)
        return Refusal("tree", f"{step} node {position}", reason)
    return evidence.fault(position, outcome.leaf) if evidence and outcome.leaf else None
