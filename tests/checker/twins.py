"""One tree in both arithmetics at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from secateur.checker.chain import Chain
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.nodes import Goal, Outcome
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic
from secateur.checker.root import RootBounds

__all__ = ["Twins"]


class Twins:
    """The same tree in both arithmetics, node by node."""

    def __init__(self, chain: Chain, grid: Sequence[int], goals: Sequence[Goal], steps: int) -> None:
        root = RootBounds(chain)
        self.depth = max(goal.layer for goal in goals)
        bounds = [root.bounds(k) for k in range(1, self.depth)]
        self.plain = PythonArithmetic(chain, grid, goals, steps)
        self.fast = FastArithmetic(chain, grid, goals, steps, bounds)
        self.waiting = [(self.plain.root(bounds), self.fast.root(bounds))]

    def fast_state(self, slot: int) -> tuple[Any, ...]:
        pool, system = self.fast.pool, self.fast._system
        lower, upper = [], []
        for k in range(1, self.depth):
            first = int(system.start[k] - system.width[0])
            place = slice(first, first + int(system.size[k]))
            lower.append(pool.lower[slot, place].tolist())
            upper.append(pool.upper[slot, place].tolist())
        marks = pool.open[slot].tolist()
        return (
            pool.low[slot].tolist(),
            pool.high[slot].tolist(),
            lower,
            upper,
            [c for c, m in enumerate(marks) if m],
        )

    def plain_state(self, node: PyNode) -> tuple[Any, ...]:
        depth = self.depth - 1
        return node.low, node.high, node.lower[:depth], node.upper[:depth], list(node.open)

    def set_bounds(self, lower: list[float], upper: list[float]) -> None:
        """Bounds of the next node's first layer, in both."""
        node, slot = self.waiting[-1]
        node.lower[0][:], node.upper[0][:] = lower, upper
        self.fast.pool.lower[slot, : len(lower)], self.fast.pool.upper[slot, : len(upper)] = lower, upper

    def fast_constants(self, k: int, neurons: Iterable[int]) -> list[tuple[float, float]]:
        """The constants that bound these difference neurons of layer k, as the fast arithmetic found them in the last node."""
        work, first = self.fast._works[0], int(self.fast._system.start[k])
        places = range(first, first + int(work.alives[k]))
        found = {int(work.alive[p]): (float(work.rise_constant[p]), float(work.fall_constant[p])) for p in places}
        return [found.get(i, (0.0, 0.0)) for i in neurons]  # dead ones have none

    def visit(self, symbol: int) -> Outcome[PyNode]:
        """Visits the next node in preorder in both and compares what comes out."""
        node, slot = self.waiting.pop()
        (expected,), (found,) = self.plain.visit([(node, symbol)]), self.fast.visit([(slot, symbol)])
        assert (found.fault, found.goal) == (expected.fault, expected.goal)
        pairs = list(zip(expected.children or (), found.children or (), strict=True))
        for node, slot in pairs:
            assert self.fast_state(slot) == self.plain_state(node)
        self.waiting += reversed(pairs)
        return expected
