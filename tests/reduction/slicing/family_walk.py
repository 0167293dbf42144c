"""A walk through a family certificate (FORMAT.md, section 10) with the parts of the independent checker.

Reads what was written, from the bytes of the files alone; establishes every fact on its box, inherited ones included, and shows
the claim of every leaf. Raises `Refusal` (or `ValueError` for the partition) where something does not hold.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.checker.chain import chain_form
from secateur.checker.check import _Establisher
from secateur.checker.container import Claim, Facts, _facts, _header, _Streams
from secateur.checker.domain import Domain
from secateur.checker.lowering import Network, lower
from secateur.checker.simulation import Statement, check_agreement

__all__ = ["Walked", "walk_family"]


@dataclass(frozen=True)
class Walked:
    """What was verified: the leaves' boxes with the numbers of their files, and how many facts were proven and inherited."""

    leaves: tuple[tuple[Domain, int], ...]
    proven: int
    inherited: int
    nodes: int


@dataclass
class _Walk:
    manifest: dict[str, Any]
    networks: dict[str, Network]
    original: Network
    entries: list[Any]
    streams: _Streams
    leaves: list[tuple[Domain, int]]
    at: int = 0
    proven: int = 0
    inherited: int = 0
    nodes: int = 0

    def region(self, box: Domain, known: tuple[Claim, ...]) -> None:
        node, entry = self.manifest["nodes"][self.at], self.entries[self.at]
        self.at += 1
        if isinstance(node, int):
            facts = self._established(box, known, entry["facts"])
            self._leaf(box, (*known, *facts), node, entry)
            return
        facts = self._established(box, known, entry)
        i, cut = node[0], Fraction(node[1])
        if not box.lower[i] < cut < box.upper[i]:
            raise ValueError(f"the cut {cut} is not inside")
        upper, lower = list(box.upper), list(box.lower)
        upper[i] = lower[i] = cut
        self.region(Domain(box.lower, tuple(upper)), (*known, *facts))
        self.region(Domain(tuple(lower), box.upper), (*known, *facts))

    def _established(self, box: Domain, known: tuple[Claim, ...], entry: Any) -> list[Claim]:
        if entry is None:
            return []
        facts: Facts = _facts(entry, "facts", self.streams)
        assert not set(known) & set(facts.claims())
        assert facts.claims()
        work = _Establisher("original", chain_form(self.original, box), facts, "fast", lambda *_: None)
        for claim in known:
            work._establish(claim)
        work.run()
        self.proven += len(facts.claims())
        self.nodes += sum(tree.nodes for tree in facts.trees)
        return facts.claims()

    def _leaf(self, box: Domain, known: tuple[Claim, ...], number: int, entry: dict[str, Any]) -> None:
        assert entry["claim"] == {"kind": "agree", "tolerance": "0"}
        assert entry["evidence"]["kind"] == "simulation"
        reduced = self.networks[self.manifest["files"][number]["file"]]
        facts = _facts(entry["evidence"]["reduced"], "reduced", self.streams)
        root = _Establisher("reduced", chain_form(reduced, box), facts, "fast", lambda *_: None).run()
        mine, theirs = frozenset(known), frozenset(facts.claims())
        check_agreement(Statement(self.original, reduced, box, mine, theirs, Fraction(0), {}), root)
        self.inherited += len(known)
        self.leaves.append((box, number))


def walk_family(files: Mapping[str, bytes], original: bytes) -> Walked:
    """Verify the certificate among the files of a family, given by name."""
    header, rest = _header(files["family.secateur"])
    assert header["claim"] == {"kind": "family", "claim": {"kind": "agree", "tolerance": "0"}}
    assert header["original"]["sha256"] == hashlib.sha256(original).hexdigest()
    assert header["manifest"]["sha256"] == hashlib.sha256(files[header["manifest"]["file"]]).hexdigest()
    length, packed = header["regions"]["length"], header["regions"]["bytes"]
    text = zlib.decompress(rest[:packed])
    assert len(text) == length
    manifest = json.loads(files["manifest.json"])
    networks = {}
    for entry in manifest["files"]:
        data = files[entry["file"]]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        networks[entry["file"]] = lower(data)
    walk = _Walk(manifest, networks, lower(original), json.loads(text), _Streams(rest[packed:]), [])
    walk.region(Domain(tuple(map(Fraction, manifest["lower"])), tuple(map(Fraction, manifest["upper"]))), ())
    walk.streams.finish()
    assert walk.at == len(manifest["nodes"]) == len(walk.entries)
    assert {number for _, number in walk.leaves} == set(range(len(manifest["files"])))
    return Walked(tuple(walk.leaves), walk.proven, walk.inherited, walk.nodes)
