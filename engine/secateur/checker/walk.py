"""The walk over one tree, the same for both arithmetics (sections 6 and 8 of the format).

An arithmetic has `batch`, `input_size`, `root(bounds) -> node` and `visit([(node, symbol), ...]) -> [Outcome, ...]`; what a
node is, is its own affair. Nodes are independent of each other, so several may be visited at once; the walk goes
depth first, which keeps the number of waiting nodes small.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from secateur.checker.nodes import Goal, Outcome, fault_reason
from secateur.checker.refusal import Refusal

__all__ = ["Arithmetic", "second_children", "walk_tree"]

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


def second_children(symbols: Sequence[int], input_size: int, step: str, trusted: int | None = None) -> array[int]:
    """The position of each split's second child in the preorder stream; refuses what is no single tree.

    `trusted` is the symbol of trusted leaves, where the tree may have them.
    """
    second = array("i", bytes(4 * len(symbols)))
    waiting: list[int] = []
    for position, symbol in enumerate(symbols):
        split = symbol not in (0, trusted)
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
) -> None:
    """Visits every node; refuses with the fault that comes first in preorder."""
    second = second_children(symbols, arithmetic.input_size, step, trusted)
    pending: list[tuple[int, Node]] = [(0, arithmetic.root(bounds))]
    failed, fault, done = len(symbols), Outcome[Node](), 0
    while pending:
        batch = pending[-arithmetic.batch :]
        del pending[-arithmetic.batch :]
        outcomes = arithmetic.visit([(node, symbols[position]) for position, node in batch])
        for (position, _), outcome in zip(batch, outcomes, strict=True):
            if outcome.fault and position < failed:
                failed, fault = position, outcome
            elif outcome.children is not None:
                first, other = outcome.children
                pending += ((second[position], other), (position + 1, first))
        if failed < len(symbols):
            pending = [entry for entry in pending if entry[0] < failed]
        done += len(batch)
        progress(f"{step}: {done:,} of {len(symbols):,} nodes", done / len(symbols))
    if failed < len(symbols):
        reason = fault_reason(fault.fault, goals[fault.goal] if goals else None)
        raise Refusal("tree", f"{step} node {failed}", reason)
