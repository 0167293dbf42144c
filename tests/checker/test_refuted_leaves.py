"""Certificates with refuted leaves: accepted in both arithmetics, which see the same boxes and bounds at every leaf."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from secateur.checker import Accepted, Refused, check
from secateur.checker.chain import chain_form
from secateur.checker.domain import read_domain
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.lowering import lower
from secateur.checker.manifest import Part
from secateur.checker.query import read_query
from secateur.checker.records import Claim
from secateur.checker.refusal import Refusal
from secateur.checker.replay import Proof
from secateur.checker.root import RootBounds
from secateur.checker.subject import about_one
from secateur.checker.walk import second_children
from tests.checker.family_cases import FamilyCase, Producer, agree, claims_in, parts_of, write_family
from tests.checker.pair_cases import PairCase, close_pair, prove, write_pair_certificate
from tests.checker.query_cases import QueryCase, random_query_case, trust, write_query_certificate
from tests.checker.query_cases import problem as query_problem
from tests.checker.refutation_cases import TIE, evidence_of, leaves_of, pair_evidence, query_evidence, tie_case
from tests.checker.support import GRID, random_case, write_certificate


def both(path: Path, **options: object) -> list[Accepted | Refused]:
    return [check(path, arithmetic=own, **options) for own in ("fast", "exact")]  # type: ignore[arg-type]


def refute_last_split(symbols: list[int], inputs: int) -> list[int] | None:
    """The tree with a refuted leaf in place of its last split of two leaves."""
    return trust(symbols, inputs + 2) if any(symbols) else None


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


def refuted_queries(count: int) -> list[QueryCase]:
    """Random queries whose tree has a refuted leaf, at most one each."""
    found: list[QueryCase] = []
    for seed in range(100):
        case = random_query_case(seed, steps=seed % 3)
        symbols = refute_last_split(case.parts[0].symbols, case.inputs)
        if symbols is not None:
            case.parts[0].symbols = symbols
            if query_evidence(case):
                found.append(case)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} cases")


def test_refuted_leaves_of_random_queries(tmp_path: Path) -> None:
    for case in refuted_queries(8):
        for verdict in both(write_query_certificate(tmp_path, case), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1


def refuted_facts(seed: int) -> tuple[Any, list[Any], list[int], Proof, Any] | None:
    """A case of section 1 whose first tree has a refuted leaf, if there is one."""
    case = random_case(seed)
    found = refute_last_split(case.trees[0][2], 2) if case.trees else None
    if found is None:
        return None
    network, domain = lower(case.original), read_domain(case.domain.encode())
    chain, claims = chain_form(network, domain), [Claim(*own) for own in case.trees[0][0]]
    root = RootBounds(chain)
    depth = max(claim.layer for claim in claims)
    bounds = [root.bounds(k) for k in range(1, depth + 1)]
    proof = Proof(chain, [GRID] * 3, claims, case.trees[0][1], found, None, bounds, "tree")
    evidence = evidence_of(about_one(network, domain), claims, leaves_of(proof))
    return None if evidence is None else (case, evidence, found, proof, bounds)


def test_refuted_leaves_of_facts(tmp_path: Path) -> None:
    done = 0
    for seed in range(12):
        own = refuted_facts(seed)
        if own is None:
            continue
        case, evidence, symbols, _, _ = own
        text = json.dumps(evidence).encode()
        claims, steps, _ = case.trees[0]
        case.trees[0] = (claims, steps, symbols)

        def add(header: dict[str, Any], text: bytes = text) -> None:
            key = {"leaves": 1, "length": len(text), "bytes": len(zlib.compress(text))}
            header["facts"]["original"]["trees"][0]["refuted"] = key

        def insert(streams: list[bytes], text: bytes = text) -> None:
            streams.insert(1, zlib.compress(text))

        for verdict in both(write_certificate(tmp_path, case, add, insert), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1
        done += 1
    assert done >= 3


def refuted_pairs(count: int, sizes: tuple[int, ...] = (2, 3, 2, 2)) -> list[PairCase]:
    """Cases of section 9 whose tree has a refuted leaf."""
    found: list[PairCase] = []
    for seed in range(200):
        case = close_pair(seed, sizes)
        symbols = refute_last_split(case.symbols, case.inputs) if prove(case, 20) else None
        if symbols is not None:
            case.symbols = symbols
            if pair_evidence(case):
                found.append(case)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} cases")


def test_refuted_leaves_of_two_networks(tmp_path: Path) -> None:
    kinds, sides = set(), set()
    for case in refuted_pairs(10):
        for verdict in both(write_pair_certificate(tmp_path, case), strict=True):
            assert isinstance(verdict, Accepted), verdict
            assert verdict.counts.refuted == 1
        kinds.add(case.claim["kind"])
        sides |= {name[0] for entry in case.evidence or [] for own in entry for name in own["neurons"]}
    assert (kinds, sides) == ({"agree", "decision"}, {0, 1})


def slice_pair(case: FamilyCase, part: Part, share: Fraction) -> PairCase | None:
    """A slice's evidence by differences as a case of its own, whose only node is a refuted leaf; None where that fails.

    The slice is half of the box; it claims a share of the bound that it had, so that intervals do not suffice.
    """
    entry = case.regions[part.number]
    own = entry["evidence"]
    if own["kind"] != "difference" or part.file is None:
        return None
    box = json.dumps({"lower": list(map(str, part.box.lower)), "upper": list(map(str, part.box.upper))})
    claim, plan, tree = dict(entry["claim"]), (own["levels"], own["pairs"], own["shifts"]), own["difference"]
    claim["tolerance"] = str(Fraction(claim["tolerance"]) * share)
    pair = PairCase(case.original, case.files[part.file], box, claim, *plan, tree["grid"], tree["steps"], [case.inputs + 2])
    known = [*claims_in(case.regions[0]), *claims_in(entry["facts"])]
    pair.interval = [[claim.layer, claim.neuron, claim.phase] for claim in known]  # they count as established
    try:
        return pair if pair_evidence(pair) else None
    except Refusal:  # nothing is open
        return None


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
