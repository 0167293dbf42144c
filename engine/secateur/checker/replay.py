"""Replays one split tree in the arithmetic that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.checker.chain import Chain
from secateur.checker.nodes import Goal, OutOfRange
from secateur.checker.python_arithmetic import PythonArithmetic
from secateur.checker.verdict import Progress
from secateur.checker.walk import Evidence, walk_tree

__all__ = ["Proof", "available", "replay"]


@dataclass(frozen=True)
class Proof:
    """A tree with everything that its replay depends on; `bounds` are the root bounds of layers 1, 2, ..."""

    chain: Chain
    grid: Sequence[int]
    goals: Sequence[Goal]
    steps: int
    symbols: Sequence[int]
    trusted: int | None  # the symbol of trusted leaves, where there may be any
    bounds: Sequence[tuple[list[float], list[float]]]
    name: str
    evidence: Evidence | None = None  # of refuted leaves, where there are any


def available(arithmetic: str) -> str:
    """The arithmetic that will be used: the fast one only where numpy and numba can be imported."""
    if arithmetic == "fast":
        try:
            import numba  # noqa: F401 - only asks whether it is there
            import numpy  # noqa: F401, ICN001
        except ImportError:
            return "exact"
    return arithmetic


def replay(proof: Proof, arithmetic: str, progress: Progress) -> None:
    """Walks the tree in the "fast" or the "exact" arithmetic; what is beyond the fast one is checked exactly."""
    own = (proof.chain, proof.grid, proof.goals, proof.steps)
    rest = (proof.bounds, proof.name, progress, proof.trusted, proof.evidence)
    if arithmetic == "fast":
        from secateur.checker.fast_arithmetic import FastArithmetic  # needs numpy and numba

        try:
            return walk_tree(proof.goals, proof.symbols, FastArithmetic(*own, proof.bounds), *rest)
        except OutOfRange:
            progress(f"{proof.name}: out of the range of the fast arithmetic; checking it exactly", None)
    return walk_tree(proof.goals, proof.symbols, PythonArithmetic(*own), *rest)
