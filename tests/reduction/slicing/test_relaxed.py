"""Families that keep a tolerance or a decision: true at exact points of every slice, and accepted by the checker."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

import secateur
from secateur.network import parse_onnx
from secateur.slicing import FamilyResult
from secateur.specification.comparison import Decision
from tests.bounds.support import random_network
from tests.boxes import cube
from tests.reduction.slicing.family_walk import walk_family
from tests.reduction.slicing.test_run import model_of, sliced

F = Fraction


def outputs(result: FamilyResult, original: secateur.ModelFile, seed: int) -> Iterator[tuple[list[Fraction], list[Fraction]]]:
    """Exact outputs of the original and of the slice's network at points of every slice, corners among them."""
    random = np.random.default_rng(seed)
    for leaf, number in walk_family(result.files, original.data).leaves:
        small = parse_onnx(result.files[f"slices/{number:05d}.onnx"], "slice")
        for _ in range(12):
            places = [F(int(v), 8) for v in random.integers(0, 9, leaf.dimension)]
            point = [lo + w * t for lo, w, t in zip(leaf.lower, leaf.widths(), places, strict=True)]
            yield list(original.network.exact(point).output), list(small.exact(point).output)


@pytest.mark.parametrize("seed", range(3))
def test_outputs_of_every_slice_stay_within_the_tolerance(seed: int) -> None:
    model = model_of(random_network([3, 12, 10, 2], seed))
    exact = sliced(model, cube(3), slices=5)
    result = sliced(model, cube(3), slices=5, tolerance="1/4")
    walked = walk_family(result.files, model.data)
    assert "difference" in walked.evidence
    assert "1/4" in walked.statement or "0.25" in walked.statement
    changed = [max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in outputs(result, model, seed)]
    assert 0 < max(changed) <= F(1, 4)
    summary = result.summary
    assert summary["neurons"]["mean"] < exact.summary["neurons"]["mean"]
    assert summary["removed"]["relaxed"] > 0
    assert summary["differences"]["slices"] == walked.evidence.count("difference")
    assert summary["claim"] == "on every slice of D, with N' its network: max |N - N'| <= 0.25"
    assert "relaxed" not in exact.summary["removed"]


@pytest.mark.parametrize("rule", ["argmax", "argmin"])
def test_winners_of_every_slice_stay_the_same(rule: str) -> None:
    model = model_of(random_network([3, 12, 10, 3], 7))
    result = sliced(model, cube(3), slices=4, preserve=Decision(rule, F(1, 4)))
    walked = walk_family(result.files, model.data)
    assert "difference" in walked.evidence
    assert result.summary["removed"]["result"] > 0
    sign, decided = 1 if rule == "argmax" else -1, 0
    for pair in outputs(result, model, 1):
        before, after = ([sign * y for y in own] for own in pair)
        winner = max(range(3), key=before.__getitem__)
        if all(before[winner] - before[k] > F(1, 4) for k in range(3) if k != winner):
            decided += 1
            assert all(after[winner] > after[k] for k in range(3) if k != winner)
    assert decided > 10


def test_what_cannot_be_relaxed_stays_exact() -> None:
    model = model_of(random_network([2, 4, 2], 1))
    result = sliced(model, cube(2), slices=2, tolerance="1/1000000")
    assert set(walk_family(result.files, model.data).evidence) == {"simulation"}
    for before, after in outputs(result, model, 0):
        assert before == after


def test_a_claim_that_cannot_be_asked_is_one_clear_line() -> None:
    model = model_of(random_network([2, 4, 1], 1))
    with pytest.raises(secateur.InputError, match="with 1 output there is none"):
        sliced(model, cube(2), slices=2, preserve=Decision())
    with pytest.raises(secateur.InputError, match="--tolerance: tolerance -1 is negative"):
        sliced(model, cube(2), slices=2, tolerance=-1)
    with pytest.raises(secateur.InputError, match="exclude each other"):
        sliced(model, cube(2), slices=2, tolerance=1, preserve=Decision())
