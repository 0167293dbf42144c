"""A family of three slices whose certificate is honest, for tests that forge it."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from secateur.checker.chain import chain_form
from secateur.checker.lowering import lower
from secateur.checker.records import Claim
from secateur.checker.root import RootBounds
from tests.checker.family_cases import (
    FamilyCase,
    agree,
    box_of,
    difference,
    parts_of,
    simulation,
)
from tests.checker.support import Layer, dense_model, facts, grow_tree, without_neurons

Change = Callable[[FamilyCase], object]
GRID = [36, 36]
LEAF, OTHER, LAST = "node 1 (slices/0.onnx)", "node 3 (slices/1.onnx)", "node 4 (slices/2.onnx)"
HASH = "0" * 64


def layers() -> list[Layer]:
    """relu of x, -x, y, y - 1/2; then p = relu(c - 2 e - 3/4), which is 0 everywhere, q = relu(b - c), r = relu(a + c - 1/2)."""
    first = np.float32([[1, 0], [-1, 0], [0, 1], [0, 1]]), np.float32([0, 0, 0, -0.5])
    second = np.float32([[0, 0, 1, -2], [0, 1, -1, 0], [1, 0, 1, 0]]), np.float32([-0.75, 0, -0.5])
    return [first, second, (np.float32([[1, 1, 1], [-1, 1, 2]]), np.float32([0, 1]))]


def moved(own: list[Layer], layer: int, by: float) -> bytes:
    """The network with the last bias of a layer moved."""
    changed = copying.deepcopy(own)
    changed[layer - 1][1][-1] += np.float32(by)
    return dense_model(changed)


def some(interval: list[list[Any]], trees: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return facts(GRID) | {"interval": interval, "trees": trees or []}


@cache
def built() -> FamilyCase:
    """x <= 0 (within 1/100, by matching), x >= 0 and y <= 1/2 (exactly), x >= 0 and y >= 1/2 (by differences)."""
    own = layers()
    case = FamilyCase(dense_model(own), (["-1", "-1"], ["1", "1"]), agree("1/50"))
    case.nodes = [[0, "0"], 0, [1, "1/2"], 1, 2]
    chain = chain_form(lower(case.original), box_of(case))
    symbols = grow_tree(chain, GRID, RootBounds(chain), [Claim(2, 0, "inactive")], 3)
    assert symbols is not None
    assert len(symbols) >= 3
    tree = {"claims": [[2, 0, "inactive"]], "steps": 3, "uses": 0, "symbols": symbols}
    case.files.append(moved(without_neurons(own, [(1, 0), (2, 0)]), 2, 2**-8))
    matched = {"facts": some([[1, 0, "inactive"], [1, 1, "active"]]), "claim": agree("1/100")}
    matched["evidence"] = simulation(facts(GRID), [[2, 2, 2, 1]])
    case.files.append(dense_model(without_neurons(own, [(1, 1), (1, 3), (2, 0), (2, 1)])))
    exact = {"facts": some([[1, 3, "inactive"]]), "claim": agree(), "evidence": simulation(facts(GRID))}
    inner = some([[1, 1, "inactive"], [1, 0, "active"], [2, 1, "inactive"]])
    changed = copying.deepcopy(own)
    changed[1][0][2, 0] += np.float32(2**-9)
    case.files.append(dense_model(changed))
    known = [Claim(2, 0, "inactive"), Claim(1, 1, "inactive"), Claim(1, 0, "active"), Claim(2, 1, "inactive")]
    claim = agree()
    evidence = difference(case.original, case.files[2], parts_of(case)[4].box, known, claim)
    assert evidence is not None
    case.regions = [some([], [tree]), matched, inner, exact, {"facts": None, "claim": claim, "evidence": evidence}]
    return case


def honest() -> FamilyCase:
    return copying.deepcopy(built())
