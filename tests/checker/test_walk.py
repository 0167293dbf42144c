"""The shape of trees, and the faults of their nodes, in both arithmetics."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.checker.chain import chain_form
from secateur.checker.domain import read_domain
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.lowering import lower
from secateur.checker.python_arithmetic import PythonArithmetic
from secateur.checker.records import Claim, Tree
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds
from secateur.checker.walk import second_children, walk_tree
from tests.checker.support import GRID, grow_tree, random_case


@pytest.mark.parametrize(
    ("symbols", "second"),
    [
        ([0], [0]),
        ([1, 0, 0], [2, 0, 0]),
        ([1, 2, 0, 0, 0], [4, 3, 0, 0, 0]),
        ([2, 0, 1, 0, 0], [2, 0, 4, 0, 0]),
    ],
)
def test_second_children_are_found(symbols: list[int], second: list[int]) -> None:
    assert second_children(symbols, 2, "tree").tolist() == second


@pytest.mark.parametrize(
    ("symbols", "reason"),
    [
        ([1, 0], "ends before the tree does"),
        ([1], "ends before the tree does"),
        ([0, 0], "symbols follow"),
        ([1, 0, 0, 1, 0, 0], "symbols follow"),
        ([3, 0, 0], "coordinate 2 does not exist"),
    ],
)
def test_what_is_no_single_tree_is_refused(symbols: list[int], reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        second_children(symbols, 2, "tree")
    assert reason in caught.value.reason


def random_tree(seed: int) -> tuple[tuple[object, ...], list[int], object]:
    """Chain, claims and root bounds of a case whose tree has several nodes, with its symbols."""
    case = random_case(seed)
    chain = chain_form(lower(case.original), read_domain(case.domain.encode()))
    root = RootBounds(chain)
    claims = [Claim(3, i, "inactive") for i in (0, 1)]
    symbols = grow_tree(chain, [GRID] * 3, root, claims, 2)
    assert symbols is not None
    return (chain, [GRID] * 3, claims, 2), symbols, [root.bounds(k) for k in (1, 2, 3)]


@pytest.mark.parametrize("seed", [1, 5, 7])
@pytest.mark.parametrize("fast", [True, False])
def test_each_tampered_symbol_is_refused_with_the_same_words(seed: int, fast: bool) -> None:
    arguments, symbols, bounds = random_tree(seed)
    assert len(symbols) > 3

    def verdict(changed: list[int], compiled: bool) -> str:
        tree = Tree(tuple(arguments[2]), 2, 0, len(changed), b"")  # type: ignore[arg-type]
        own = FastArithmetic(*arguments, bounds) if compiled else PythonArithmetic(*arguments)  # type: ignore[arg-type]
        try:
            walk_tree(tree.claims, changed, own, bounds, "tree", lambda *_: None)  # type: ignore[arg-type, type-var]
        except Refusal as refusal:
            return f"{refusal.step} {refusal.reason}"
        return "accepted"

    assert verdict(symbols, fast) == "accepted"
    leaf = symbols.index(0)
    inner = next(i for i in range(len(symbols)) if symbols[i] and not symbols[i + 1] and not symbols[i + 2])
    closed = [*symbols[:leaf], 1, 0, 0, *symbols[leaf + 1 :]]
    cut = [*symbols[:inner], *symbols[inner + 2 :]]
    assert verdict(closed, fast) == f"tree node {leaf} is split, but no claim is open"
    assert verdict(cut, fast) == verdict(cut, not fast)
    assert f"tree node {inner} is a leaf, but the claim 'neuron" in verdict(cut, fast)


def test_progress_reaches_the_end() -> None:
    arguments, symbols, bounds = random_tree(5)
    said: list[tuple[str, float | None]] = []
    tree = Tree(tuple(arguments[2]), 2, 0, len(symbols), b"")  # type: ignore[arg-type]
    walk_tree(tree.claims, symbols, PythonArithmetic(*arguments), bounds, "tree", lambda *a: said.append(a))  # type: ignore[arg-type]
    assert said[-1] == (f"tree: {len(symbols)} of {len(symbols)} nodes", 1.0)
    assert np.all(np.diff([share for _, share in said]) > 0)
