"""Certificates with refuted leaves: accepted in both arithmetics, which see the same boxes and bounds at every leaf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice, product
from pathlib import Path
from typing import TypeVar

import pytest

from secateur.checker import Accepted, Refused
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.query import read_query
from secateur.checker.replay import Proof
from secateur.checker.root import RootBounds
from secateur.checker.walk import second_children
from tests.checker.family_cases import Producer, agree, parts_of, write_family
from tests.checker.pair_cases import write_pair_certificate
from tests.checker.query_cases import problem as query_problem
from tests.checker.query_cases import random_query_case, write_query_certificate
from tests.checker.refutation_cases import TIE, leaves_of, tie_case
from tests.checker.refuted_cases import refuted_facts, refuted_pair, refuted_query, slice_pair
from tests.checker.support import both, write_certificate

T = TypeVar("T")


def test_a_query_that_ties_everywhere_is_refuted_by_multipliers(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, tie_case([[TIE]]))
    for verdict, arithmetic in zip(both(path, strict=True), ("fast", "exact"), strict=True):
        assert isinstance(verdict, Accepted), verdict
        assert (verdict.counts.nodes, verdict.counts.refuted, verdict.trusted) == (1, 1, ())
        words = f"; 1 tree node replayed in {arithmetic} integer arithmetic, 1 of them a leaf refuted by exact multipliers."
        assert verdict.statement.endswith(words)


@pytest.mark.parametrize("inputs", [253, 254])
def test_symbols_of_one_byte_or_two(inputs: int, tmp_path: Path) -> None:
    for verdict in both(write_query_certificate(tmp_path, tie_case([[TIE]], inputs=inputs)), strict=True):
        assert isinstance(verdict, Accepted), verdict


def test_no_split_tree_closes_the_tie_on_its_own(tmp_path: Path) -> None:
    for symbols in ([0], [1, 0, 0], [1, 1, 0, 0, 1, 0, 0]):
        for verdict in both(write_query_certificate(tmp_path, tie_case(None, symbols))):
            assert isinstance(verdict, Refused)
            assert "is open" in verdict.reason


def test_a_tie_satisfies_a_row_that_is_not_strict(tmp_path: Path) -> None:
    for verdict in both(write_query_certificate(tmp_path, tie_case([[TIE]], strict=False))):
        assert isinstance(verdict, Refused)
        assert (verdict.rule, verdict.step) == ("lemma", "parts[0] node 0 disjunct '0' steps[0]")


def first(count: int, cases: Iterable[T | None]) -> list[T]:
    """The first cases that there are."""
    found = list(islice((case for case in cases if case is not None), count))
    assert len(found) == count
    return found


def test_refuted_leaves_of_random_queries(tmp_path: Path) -> None:
    for case in first(8, map(refuted_query, range(100))):
        for verdict in both(write_query_certificate(tmp_path, case), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1


def test_refuted_leaves_of_facts(tmp_path: Path) -> None:
    for own in first(3, map(refuted_facts, range(12))):
        for verdict in both(write_certificate(tmp_path, own.case, own.header, own.streams), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1


def test_refuted_leaves_of_two_networks(tmp_path: Path) -> None:
    kinds, sides = set(), set()
    for case in first(10, map(refuted_pair, range(200))):
        for verdict in both(write_pair_certificate(tmp_path, case), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1
        kinds.add(case.claim["kind"])
        sides |= {name[0] for entry in case.evidence or [] for own in entry for name in own["neurons"]}
    assert (kinds, sides) == ({"agree", "decision"}, {0, 1})


def test_refuted_leaves_of_a_slice(tmp_path: Path) -> None:
    for seed, share in product(range(30), (Fraction(9, 10), Fraction(4, 5))):
        case = Producer(seed, agree("3/4"), (2, 3, 2, 2), leaves=2).run()
        for part in parts_of(case)[1:]:
            pair = slice_pair(case, part, share)
            if pair is None:
                continue
            entry = case.regions[part.number]
            entry["claim"] = pair.claim
            entry["evidence"]["difference"] |= {"symbols": pair.symbols, "evidence": pair.evidence}
            for verdict in both(write_family(tmp_path, case), strict=True):
                assert isinstance(verdict, Accepted), verdict
                assert verdict.counts.refuted == 1
                assert "1 of them a leaf refuted by exact multipliers" in verdict.statement
            return
    raise AssertionError("no slice has such a leaf")


@pytest.mark.parametrize("seed", [1, 3, 5, 7, 8, 9])
def test_both_arithmetics_see_the_same_leaf(seed: int) -> None:
    """Boxes, bounds and open goals, to the last bit: every node of a tree becomes a refuted leaf, if a goal is open there."""
    case = random_query_case(seed)
    (part,), disjuncts = case.parts, list(read_query(case.query).disjuncts())
    chain, goals = query_problem(case.network, disjuncts)
    root = RootBounds(chain)
    bounds = [root.bounds(k) for k in range(1, len(chain.layers))]
    second = second_children(part.symbols, 2, "tree")
    seen = 0
    for at in [position for position, symbol in enumerate(part.symbols) if symbol]:
        end = at + 1
        for _ in range(2):  # behind the subtrees of both children
            end = end_of(part.symbols, second, end)
        symbols = [*part.symbols[:at], 4, *part.symbols[end:]]
        proof = Proof(chain, part.grid, goals, part.steps, symbols, 3, bounds, "tree")
        slow = leaves_of(proof)
        assert list(slow) == [at]
        assert leaves_of(proof, FastArithmetic(chain, proof.grid, goals, proof.steps, bounds)) == slow
        seen += 1
    assert seen


def end_of(symbols: Sequence[int], second: Sequence[int], at: int) -> int:
    """Behind the subtree that begins at a position."""
    while symbols[at]:
        at = second[at]
    return at + 1
