"""Small families of slices, a slow producer of their certificates on the checker's plain arithmetic, and a writer of these."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from secateur.checker.chain import chain_form
from secateur.checker.domain import Domain
from secateur.checker.evaluation import evaluate
from secateur.checker.lowering import Network, lower
from secateur.checker.manifest import Cut, Manifest, Part, partition
from secateur.checker.records import Claim, PairClaim
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds, check_interval_rule
from tests.checker.pair_cases import PairCase, perturbed, prove, sampled_bound
from tests.checker.query_cases import packed, refuted_leaves
from tests.checker.support import Layer, barely_inactive, dense_model, facts, grow_tree, pack, random_layers, without_neurons

__all__ = [
    "FamilyCase",
    "agree",
    "claim_of",
    "decision",
    "difference",
    "parts_of",
    "random_family",
    "sampled_points",
    "simulation",
    "write_family",
]

GRID = 36
STEPS = 2
Raw = dict[str, Any]


@dataclass
class FamilyCase:
    """Everything that a family's certificate is written from; tests change one thing and write it.

    `regions` are the entries of the format, but trees have their `symbols` (and `evidence`) in place of
    `nodes`, `trusted` and `bytes`.
    """

    original: bytes
    box: tuple[list[str], list[str]]
    claim: Raw
    nodes: list[Any] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    regions: list[Any] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return len(self.box[0])

    def leaves(self) -> list[int]:
        return [number for number, node in enumerate(self.nodes) if isinstance(node, int)]

    def add(self, network: bytes) -> int:
        """The number of a network's file."""
        if network not in self.files:
            self.files.append(network)
        return self.files.index(network)


def agree(tolerance: Fraction | str = "0") -> Raw:
    return {"kind": "agree", "tolerance": str(tolerance)}


def decision(margin: Fraction | str = "0", rule: str = "argmax") -> Raw:
    return {"kind": "decision", "rule": rule, "margin": str(margin)}


def claim_of(claim: Raw) -> PairClaim:
    """A claim, as the checker reads it."""
    return PairClaim(claim.get("rule", "agree"), Fraction(claim.get("tolerance", claim.get("margin"))))


# Writing.


def _packed_tree(tree: Raw, inputs: int, streams: list[bytes]) -> None:
    """Puts a tree's symbols into the streams, in place."""
    symbols = tree.pop("symbols")
    refuted, evidence = refuted_leaves(tree.pop("evidence", None), symbols.count(inputs + 2))
    streams += [packed(symbols, inputs), *evidence]
    tree |= {"nodes": len(symbols), "bytes": len(streams[-1 - len(evidence)]), **refuted}
    if "claims" not in tree:
        tree["trusted"] = symbols.count(inputs + 1)


def _packed_regions(case: FamilyCase) -> tuple[list[Any], list[bytes]]:
    """The entries as they are written, and the streams of their trees."""
    regions, streams = copy.deepcopy(case.regions), list[bytes]()
    for entry in regions:
        if entry is None:
            continue
        leaf = "evidence" in entry
        evidence = entry.get("evidence") or {}
        for own in (entry["facts"] if leaf else entry, evidence.get("reduced")):
            for tree in own["trees"] if own else ():
                _packed_tree(tree, case.inputs, streams)
        if "difference" in evidence:
            _packed_tree(evidence["difference"], case.inputs, streams)
    return regions, streams


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Changes:
    """What a test changes of a family as it is written, always in place."""

    manifest: Callable[[Raw], object] | None = None
    regions: Callable[[list[Any]], object] | None = None
    streams: Callable[[list[bytes]], object] | None = None
    header: Callable[[Raw], object] | None = None
    manifest_text: Callable[[str], str] | None = None
    regions_text: Callable[[str], str] | None = None


def write_family(folder: Path, case: FamilyCase, changes: Changes | None = None) -> Path:
    """Writes the certificate, the manifest and all networks of a case."""
    changes = changes or Changes()
    names = [f"slices/{number}.onnx" for number in range(len(case.files))]
    lower_ends, upper_ends = case.box
    files = [{"file": name, "sha256": digest(data)} for name, data in zip(names, case.files, strict=True)]
    manifest = {
        "format": "secateur-family",
        "version": 1,
        "producer": "reference prover",
        "lower": lower_ends,
        "upper": upper_ends,
    }
    manifest |= {"files": files, "nodes": case.nodes}
    regions, streams = _packed_regions(case)
    if changes.manifest:
        changes.manifest(manifest)
    if changes.regions:
        changes.regions(regions)
    if changes.streams:
        changes.streams(streams)
    manifest_text, regions_text = json.dumps(manifest), json.dumps(regions)
    if changes.manifest_text:
        manifest_text = changes.manifest_text(manifest_text)
    if changes.regions_text:
        regions_text = changes.regions_text(regions_text)
    text = regions_text.encode()
    header = {
        "format": "secateur-certificate", "version": 1, "producer": "reference prover",
        "claim": {"kind": "family", "claim": case.claim},
        "original": {"file": "net.onnx", "sha256": digest(case.original)},
        "manifest": {"file": "manifest.json", "sha256": digest(manifest_text.encode())},
        "regions": {"length": len(text), "bytes": len(zlib.compress(text))},
    }  # fmt: skip
    if changes.header:
        changes.header(header)
    (folder / "slices").mkdir(parents=True, exist_ok=True)
    for name, data in zip(names, case.files, strict=True):
        (folder / name).write_bytes(data)
    (folder / "net.onnx").write_bytes(case.original)
    (folder / "manifest.json").write_bytes(manifest_text.encode())
    (folder / "family.secateur").write_bytes(pack(header, zlib.compress(text), *streams))
    return folder


# Proving.


def box_of(case: FamilyCase) -> Domain:
    return Domain(*(tuple(map(Fraction, side)) for side in case.box))


def parts_of(case: FamilyCase) -> list[Part]:
    """The nodes of the partition, with their boxes."""
    nodes = tuple(node if isinstance(node, int) else Cut(node[0], Fraction(node[1])) for node in case.nodes)
    return list(partition(Manifest(box_of(case), (), nodes)))


def sampled_points(box: Domain, rng: random.Random, count: int) -> Iterator[list[Fraction]]:
    """Points of a box, many of them on its faces."""
    for _ in range(count):
        shares = [min(1, max(0, Fraction(rng.randint(-20, 84), 64))) for _ in box.lower]
        yield [low + (high - low) * share for low, high, share in zip(box.lower, box.upper, shares, strict=True)]


def likely(network: Network, box: Domain, rng: random.Random) -> list[Claim]:
    """The phases that neurons keep on samples."""
    outputs = [[evaluate(network, point, k) for point in sampled_points(box, rng, 40)] for k in range(1, 1 + len(network.layers))]
    claims = []
    for k, points in enumerate(outputs, 1):
        for i in range(len(points[0])):
            values = [point[i] for point in points]
            if not any(values):
                claims.append(Claim(k, i, "inactive"))
            elif all(values):
                claims.append(Claim(k, i, "active"))
    return claims


def established(network: Network, box: Domain, known: Sequence[Claim], rng: random.Random) -> Raw | None:
    """Facts about a network on a box, after those that are known: by intervals, and by a tree for each layer."""
    chain, found = chain_form(network, box), facts([GRID] * len(network.layers))
    root, total = RootBounds(chain), list(known)
    for claim in known:
        root.add(claim)
    candidates = [claim for claim in likely(network, box, rng) if claim not in known]
    for claim in candidates:
        try:
            check_interval_rule(claim, root, "")
        except Refusal:
            continue
        found["interval"].append([claim.layer, claim.neuron, claim.phase])
        root.add(claim)
        total.append(claim)
    for k in range(1, 1 + len(network.layers)):
        claims = [claim for claim in candidates if claim not in total and claim.layer == k]
        claims = [claim for claim in claims if grow_tree(chain, [GRID] * k, root, [claim], STEPS, 12) is not None]
        symbols = grow_tree(chain, [GRID] * k, root, claims, STEPS, 60) if claims else None
        if symbols is None:
            continue
        raw = [[claim.layer, claim.neuron, claim.phase] for claim in claims]
        found["trees"].append({"claims": raw, "steps": STEPS, "uses": len(total), "symbols": symbols})
        for claim in claims:
            root.add(claim)
            total.append(claim)
    return found if found["interval"] or found["trees"] else None


def claims_in(found: Raw | None) -> list[Claim]:
    if found is None:
        return []
    raw = [*found["interval"], *(claim for tree in found["trees"] for claim in tree["claims"])]
    return [Claim(*claim) for claim in raw]


def simulation(reduced: Raw, match: list[list[int]] | None = None) -> Raw:
    own = {"kind": "simulation", "reduced": reduced}
    return own if match is None else own | {"match": match}


def difference(original: bytes, reduced: bytes, box: Domain, known: Sequence[Claim], claim: Raw) -> Raw | None:
    """Evidence by differences for a claim whose bound is filled in, a little above what samples say; None where that fails."""
    domain = json.dumps({"lower": list(map(str, box.lower)), "upper": list(map(str, box.upper))})
    levels = list(range(1, 1 + len(lower(reduced).layers)))
    own = PairCase(original, reduced, domain, claim, levels, "position", [4] * len(levels), steps=STEPS)
    bound = str(Fraction(sampled_bound(own, 1) * 1.3 + 1e-3).limit_denominator(10**6))
    claim["tolerance" if claim["kind"] == "agree" else "margin"] = bound
    own.interval = [[c.layer, c.neuron, c.phase] for c in known]
    if not prove(own):
        return None
    tree = {"grid": own.grid, "steps": STEPS, "symbols": own.symbols}
    return {"kind": "difference", "levels": levels, "pairs": "position", "shifts": own.shifts, "difference": tree}


def cuts(box: Domain, rng: random.Random, leaves: int) -> list[Any]:
    """The nodes of a random partition; leaves are None."""
    if leaves == 1:
        return [None]
    i, share = rng.randrange(len(box.lower)), Fraction(rng.randint(1, 4), 5)
    value = box.lower[i] + (box.upper[i] - box.lower[i]) * share
    halves = []
    for side in range(2):
        ends = [list(box.lower), list(box.upper)]
        ends[1 - side][i] = value
        halves.append(Domain(tuple(ends[0]), tuple(ends[1])))
    first = rng.randint(1, leaves - 1)
    return [[i, str(value)], *cuts(halves[0], rng, first), *cuts(halves[1], rng, leaves - first)]


class Producer:
    """Cuts a box, and finds facts, networks and evidence for every slice."""

    def __init__(self, seed: int, claim: Raw, sizes: Sequence[int] = (2, 5, 4, 3), leaves: int = 4) -> None:
        self.rng, self.numpy = random.Random(seed), np.random.default_rng(seed)
        self.layers = random_layers(sizes, self.numpy)
        barely_inactive(self.layers, self.numpy, 2, 2)
        self.case = FamilyCase(dense_model(self.layers), (["-1", "-3/4"], ["3/4", "1"]), claim)
        self.case.nodes = cuts(box_of(self.case), self.rng, leaves)
        self.network = lower(self.case.original)

    def run(self) -> FamilyCase:
        path: list[list[Claim]] = []
        numbers = [0 if node is None else node for node in self.case.nodes]
        parts = parts_of(FamilyCase(b"", self.case.box, {}, numbers))
        for part in parts:
            known = path[part.depth - 1] if part.depth else []
            wanted = part.file is not None or self.rng.random() < 0.6
            found = established(self.network, part.box, known, self.rng) if wanted else None
            path[part.depth :] = [[*known, *claims_in(found)]]
            if part.file is None:
                self.case.regions.append(found)
            else:
                self._leaf(part, found, path[-1])
        return self.case

    def _leaf(self, part: Part, found: Raw | None, known: list[Claim]) -> None:
        dead = [(claim.layer, claim.neuron) for claim in known if claim.phase == "inactive"]
        for k, (_, bias) in enumerate(self.layers[:-1], 1):
            if sum(layer == k for layer, _ in dead) == len(bias):  # ONNX has no layers without neurons
                dead.remove((k, 0))
        reduced = without_neurons(self.layers, dead)
        claim, evidence, data = agree(), simulation(facts([GRID] * (len(reduced) - 1))), dense_model(reduced)
        loose = Fraction(self.case.claim.get("tolerance", self.case.claim.get("margin")))
        kind = self.rng.choice(["exact", "close", "difference", "difference"]) if loose else "exact"
        if kind == "close":
            claim, data = self._close(reduced, loose)
        elif kind == "difference":
            other = dense_model(perturbed(self.layers, self.numpy, (0.002, 0.01)))
            own_claim = dict(self.case.claim)
            tree = difference(self.case.original, other, part.box, known, own_claim)
            bound = Fraction(own_claim.get("tolerance", own_claim.get("margin")))
            if tree is not None and bound <= loose:
                claim, evidence, data = own_claim, tree, other
        self.case.nodes[part.number] = self.case.add(data)
        self.case.regions.append({"facts": found, "claim": claim, "evidence": evidence})

    def _close(self, layers: list[Layer], loose: Fraction) -> tuple[Raw, bytes]:
        """A network whose outputs are off by a sixteenth of what is allowed."""
        weights, bias = layers[-1]
        shift = loose / 16
        moved = dense_model([*layers[:-1], (weights, (bias + float(shift)).astype(np.float32))])
        return agree(loose / 3 if self.case.claim["kind"] == "decision" else loose / 2), moved


def random_family(seed: int, leaves: int = 4) -> FamilyCase:
    """A family whose claim is equality, agreement up to a tolerance, or equal decisions."""
    claims = [agree(), agree("3/4"), agree("1/4"), decision("3/4"), decision("1/2", "argmin")]
    return Producer(seed, claims[seed % len(claims)], leaves=leaves).run()
