"""Certificates of every kind with a refuted leaf: cases of the other modules whose last split became one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.checker.chain import chain_form
from secateur.checker.domain import read_domain
from secateur.checker.lowering import lower
from secateur.checker.manifest import Part
from secateur.checker.records import Claim
from secateur.checker.refusal import Refusal
from secateur.checker.replay import Proof
from secateur.checker.root import RootBounds
from secateur.checker.subject import about_one
from tests.checker.family_cases import FamilyCase, claims_in
from tests.checker.pair_cases import PairCase, close_pair, prove
from tests.checker.query_cases import QueryCase, random_query_case, trust
from tests.checker.refutation_cases import evidence_of, leaves_of, pair_evidence, query_evidence
from tests.checker.support import GRID, Case, random_case

__all__ = ["RefutedFacts", "refute_last_split", "refuted_facts", "refuted_pair", "refuted_query", "slice_pair"]


def refute_last_split(symbols: list[int], inputs: int) -> list[int] | None:
    """The tree with a refuted leaf in place of its last split of two leaves."""
    return trust(symbols, inputs + 2) if any(symbols) else None


def refuted_query(seed: int) -> QueryCase | None:
    """A random query whose tree has a refuted leaf."""
    case = random_query_case(seed, steps=seed % 3)
    symbols = refute_last_split(case.parts[0].symbols, case.inputs)
    if symbols is None:
        return None
    case.parts[0].symbols = symbols
    return case if query_evidence(case) else None


def refuted_pair(seed: int, sizes: tuple[int, ...] = (2, 3, 2, 2)) -> PairCase | None:
    """A case of section 9 whose tree has a refuted leaf."""
    case = close_pair(seed, sizes)
    symbols = refute_last_split(case.symbols, case.inputs) if prove(case, 20) else None
    if symbols is None:
        return None
    case.symbols = symbols
    return case if pair_evidence(case) else None


@dataclass
class RefutedFacts:
    """A case of section 1 whose first tree has a refuted leaf.

    `header` and `streams` are the changes that put the evidence into its certificate.
    """

    case: Case
    evidence: list[Any]

    @property
    def header(self) -> Callable[[dict[str, Any]], None]:
        text = json.dumps(self.evidence).encode()

        def change(header: dict[str, Any]) -> None:
            key = {"leaves": 1, "length": len(text), "bytes": len(zlib.compress(text))}
            header["facts"]["original"]["trees"][0]["refuted"] = key

        return change

    @property
    def streams(self) -> Callable[[list[bytes]], None]:
        return lambda streams: streams.insert(1, zlib.compress(json.dumps(self.evidence).encode()))


def refuted_facts(seed: int) -> RefutedFacts | None:
    """A random case, if its first tree can have a refuted leaf."""
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
    if evidence is None:
        return None
    case.trees[0] = (*case.trees[0][:2], found)
    return RefutedFacts(case, evidence)


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
