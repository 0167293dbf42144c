"""A certificate as JSON, to read: its header, its claims in words, its trees unpacked (FORMAT.md, section 12)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from secateur.checker.container import symbols
from secateur.checker.files import referenced
from secateur.checker.manifest import partition, read_manifest
from secateur.checker.records import (
    Certificate,
    Claim,
    DifferenceTree,
    Evidence,
    Facts,
    FamilyCertificate,
    FileReference,
    Join,
    PairCertificate,
    PairClaim,
    Part,
    Plan,
    QueryCertificate,
    Region,
    Simulation,
    Tree,
)
from secateur.checker.refusal import Refusal
from secateur.checker.regions import Regions
from secateur.exporting.material import Source, described, refusals_as_input_errors

__all__ = ["readable"]

WIDE = 255  # a largest symbol that takes two bytes


def readable(source: Source) -> bytes:
    """The JSON text. InputError where a stream is damaged, or the manifest of a family is not the certified one."""
    with refusals_as_input_errors(source.path):
        content = _content(source)
    return (json.dumps(content, indent=1) + "\n").encode()


def _content(source: Source) -> dict[str, Any]:
    certificate = source.certificate
    head: dict[str, Any] = {
        "format": "secateur-certificate-readable",
        "version": 1,
        "certificate": {"file": source.path.name, "sha256": source.sha256},
        "producer": certificate.producer,
        "claim": described(certificate),
    }
    if isinstance(certificate, QueryCertificate | PairCertificate) and certificate.float32:
        head["semantics"] = "float32"
    if isinstance(certificate, QueryCertificate):
        return head | _about_query(certificate)
    if isinstance(certificate, FamilyCertificate):
        return head | _about_family(certificate, source.path.parent)
    files = {key: _reference(getattr(certificate, key)) for key in ("original", "reduced", "domain")}
    return head | files | (_by_simulation(certificate) if isinstance(certificate, Certificate) else _by_difference(certificate))


def _about_query(certificate: QueryCertificate) -> dict[str, Any]:
    files = {"network": _reference(certificate.network), "query": _reference(certificate.query)}
    if certificate.point is not None:
        return files | {"point": list(map(str, certificate.point))}
    return files | {"parts": [_part(part, f"parts[{i}]") for i, part in enumerate(certificate.parts)]}


def _by_simulation(certificate: Certificate) -> dict[str, Any]:
    facts = {side: _facts(own, side) for side, own in certificate.facts.items()}
    return {"tolerance": str(certificate.tolerance), "facts": facts, "match": [list(pair) for pair in certificate.match]}


def _by_difference(certificate: PairCertificate) -> dict[str, Any]:
    own, evidence = {"compares": _compares(certificate.claim)}, certificate.evidence
    if not isinstance(evidence, Evidence):
        return own | {"point": list(map(str, evidence))}
    facts = {"original": _facts(evidence.facts, "original")}
    return own | {"facts": facts, **_plan(evidence.plan), "difference": _difference(evidence.tree)}


def _about_family(certificate: FamilyCertificate, folder: Path) -> dict[str, Any]:
    data = referenced("manifest", "manifest", certificate.manifest, folder, None)
    manifest, regions, nodes = read_manifest(data), Regions(certificate), []
    for part in partition(manifest):
        region = regions.next(part.file is not None)
        box = {side: list(map(str, getattr(part.box, side))) for side in ("lower", "upper")}
        file = {} if part.file is None else {"network": _reference(manifest.files[part.file])}
        nodes.append({"node": part.number, "depth": part.depth, **box, **file, **_region(region, f"node {part.number}")})
    regions.finish()
    files = {"original": _reference(certificate.original), "manifest": _reference(certificate.manifest)}
    return files | {"compares": _compares(certificate.claim), "slices": manifest.slices, "nodes": nodes}


def _region(region: Region, where: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"facts": None if region.facts is None else _facts(region.facts, where)}
    if region.leaf is None:
        return entry
    return entry | {"compares": _compares(region.leaf.claim), "evidence": _evidence(region.leaf.evidence, where)}


def _evidence(own: Simulation | Join, where: str) -> dict[str, Any]:
    if isinstance(own, Join):
        return {"kind": "difference", **_plan(own.plan), "difference": _difference(own.tree)}
    return {"kind": "simulation", "facts": _facts(own.facts, where), "match": [list(pair) for pair in own.match]}


def _reference(reference: FileReference) -> dict[str, str]:
    return {"file": reference.file, "sha256": reference.sha256}


def _compares(claim: PairClaim) -> dict[str, Any]:
    layers = None if claim.layers is None else list(claim.layers)
    return {"rule": claim.rule, "bound": str(claim.bound), "layers": layers}


def _plan(plan: Plan) -> dict[str, Any]:
    pairs = plan.pairs if plan.pairs == "position" else [list(pair) for pair in plan.pairs]
    return {"levels": list(plan.levels), "pairs": pairs, "shifts": list(plan.shifts)}


def _facts(facts: Facts, where: str) -> dict[str, Any]:
    return {
        "grid": list(facts.grid),
        "interval": [_claim(claim) for claim in facts.interval],
        "trees": [_claims_tree(tree, f"{where} tree {i}") for i, tree in enumerate(facts.trees)],
        "solver": [{**_claim(fact.claim), "by": fact.by} for fact in facts.solver],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {"layer": claim.layer, "neuron": claim.neuron, "phase": claim.phase, "words": str(claim)}


def _claims_tree(tree: Tree, where: str) -> dict[str, Any]:
    return {"claims": [_claim(c) for c in tree.claims], "steps": tree.steps, "uses": tree.uses, **_unpacked(tree, 0, where)}


def _part(part: Part, where: str) -> dict[str, Any]:
    own = {"disjuncts": part.disjuncts, "grid": list(part.grid), "steps": part.steps}
    return own | _unpacked(part, part.trusted, where)


def _difference(tree: DifferenceTree) -> dict[str, Any]:
    return {"grid": list(tree.grid), "steps": tree.steps, **_unpacked(tree, tree.trusted, "difference")}


def _unpacked(tree: Tree | Part | DifferenceTree, trusted: int, where: str) -> dict[str, Any]:
    """Statistics and symbols of a tree's nodes in preorder.

    How many bytes a symbol takes follows from the number of inputs, which the certificate does not hold; the length tells it too.
    """
    try:
        stream = list(symbols(tree, 1, where))
    except Refusal:
        stream = list(symbols(tree, WIDE, where))
    refuted = tree.refuted.leaves if tree.refuted else 0
    closed, largest = {0}, max(stream)  # no coordinate that is split has as large a symbol as a trusted or a refuted leaf
    if refuted:
        closed.add(largest)
    if trusted:
        closed.add(largest - 1 if refuted else largest)
    return {
        "nodes": tree.nodes,
        "leaves": sum(symbol in closed for symbol in stream),
        "trusted_leaves": trusted,
        **({"refuted_leaves": refuted} if refuted else {}),
        "depth": max(_depths(stream, closed), default=0),
        "symbols": stream,
    }


def _depths(stream: Sequence[int], closed: set[int]) -> Iterator[int]:
    """The depth of every node in preorder, as far as the symbols are a tree."""
    waiting = [0]
    for symbol in stream:
        if not waiting:
            return
        depth = waiting.pop()
        yield depth
        if symbol not in closed:
            waiting += [depth + 1, depth + 1]
