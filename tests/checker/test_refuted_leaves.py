"""Certificates with refuted leaves: accepted in both arithmetics, which see the same boxes and bounds at every leaf."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from secateur.checker import Accepted, Refused, check
from secateur.checker.chain import chain_form
from secateur.checker.domain import Domain, read_domain
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.lowering import lower
from secateur.checker.query import read_query
from secateur.checker.records import Claim
from secateur.checker.replay import Proof
from secateur.checker.root import RootBounds
from secateur.checker.subject import about_one
from tests.checker.family_cases import FamilyCase, decision, parts_of, random_family, write_family
from tests.checker.pair_cases import PairCase, close_pair, problem, prove, write_pair_certificate
from tests.checker.query_cases import problem as query_problem
from tests.checker.query_cases import random_query_case, trust, write_query_certificate
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
        words = f"; 1 tree node replayed in {arithmetic} integer arithmetic, 1 of them leaf refuted by exact multipliers."
        assert verdict.statement.endswith(words)


def test_no_split_tree_closes_the_tie_on_its_own(tmp_path: Path) -> None:
    for symbols in ([0], [1, 0, 0], [1, 1, 0, 0, 1, 0, 0]):
        for verdict in both(write_query_certificate(tmp_path, tie_case(None, symbols))):
            assert isinstance(verdict, Refused)
            assert "is open" in verdict.reason


def test_a_tie_satisfies_a_row_that_is_not_strict(tmp_path: Path) -> None:
    for verdict in both(write_query_certificate(tmp_path, tie_case([[TIE]], strict=False))):
        assert isinstance(verdict, Refused)
        assert (verdict.rule, verdict.step) == ("lemma", "parts[0] node 0 disjunct '0' steps[0]")


@pytest.mark.parametrize("seed", range(12))
def test_refuted_leaves_of_random_queries(seed: int, tmp_path: Path) -> None:
    case = random_query_case(seed, steps=seed % 3)
    for part in case.parts:
        part.symbols = refute_last_split(part.symbols, case.inputs) or part.symbols
    case.parts[0].symbols = case.parts[0].symbols if 4 in case.parts[0].symbols else [4]
    if not query_evidence(case):
        pytest.skip("a goal is not refuted by the phases of a few neurons")
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


def slice_pair(case: FamilyCase, number: int) -> PairCase | None:
    """A slice's evidence by differences as a case of its own, with a refuted leaf, if that is possible."""
    part, entry = parts_of(case)[number], case.regions[number]
    own = entry["evidence"]
    if own["kind"] != "difference" or part.file is None or entry["facts"]:
        return None
    box = json.dumps({"lower": list(map(str, part.box.lower)), "upper": list(map(str, part.box.upper))})
    plan, tree = (own["levels"], own["pairs"], own["shifts"]), own["difference"]
    pair = PairCase(case.original, case.files[part.file], box, entry["claim"], *plan, tree["grid"], tree["steps"])
    pair.symbols = refute_last_split(tree["symbols"], pair.inputs) or [pair.inputs + 2]
    return pair if leaves_of(replace(problem_with(pair), evidence=None)) and pair_evidence(pair) else None


def problem_with(pair: PairCase) -> Proof:
    pair.evidence = [None]
    return problem(pair)


def test_refuted_leaves_of_a_slice(tmp_path: Path) -> None:
    for seed in range(40):
        case = random_family(5 * seed + 3, leaves=5)
        for number in case.leaves():
            case.regions[number]["facts"] = case.regions[number]["facts"] or None
            try:
                pair = slice_pair(case, number)
            except Exception as error:  # noqa: BLE001
                raise AssertionError(seed) from error
            if pair is None:
                continue
            tree = case.regions[number]["evidence"]["difference"]
            tree |= {"symbols": pair.symbols, "evidence": pair.evidence}
            for verdict in both(write_family(tmp_path, case), strict=True):
                assert isinstance(verdict, Accepted), verdict
                assert verdict.counts.refuted == 1
                assert "1 of them leaf refuted by exact multipliers" in verdict.statement
            return
    raise AssertionError("no slice has such a leaf")


@pytest.mark.parametrize("seed", range(12))
def test_both_arithmetics_see_the_same_leaf(seed: int) -> None:
    """Boxes, bounds and open goals, to the last bit, with every open leaf of a tree of depth 3 refuted."""
    case = random_query_case(seed)
    disjuncts = list(read_query(case.query).disjuncts())
    chain, goals = query_problem(case.network, disjuncts)
    root = RootBounds(chain)
    bounds = [root.bounds(k) for k in range(1, len(chain.layers))]
    symbols, opened = [4], 0
    for _ in range(6):
        proof = Proof(chain, case.parts[0].grid, goals, case.parts[0].steps, symbols, 3, bounds, "tree")
        try:
            slow = leaves_of(proof)
        except Exception:  # noqa: BLE001 - the split closed something: enough
            break
        fast = FastArithmetic(chain, proof.grid, goals, proof.steps, bounds)
        assert leaves_of(proof, fast) == slow
        opened += len(slow)
        at = max(slow)
        symbols = [*symbols[:at], 1 + seed % 2, 4, 4, *symbols[at + 1 :]]
    assert opened


def test_a_domain_without_width_has_a_leaf_too(tmp_path: Path) -> None:
    case = tie_case([[TIE]])
    case.query = case.query.replace(b">= X_0 -1", b">= X_0 1")
    for verdict in both(write_query_certificate(tmp_path, case)):
        assert isinstance(verdict, (Accepted, Refused))
        assert not isinstance(verdict, Refused) or verdict.rule in ("tree", "lemma")
    assert Domain((Fraction(1),), (Fraction(1),)) is not None
    assert decision()["kind"] == "decision"
