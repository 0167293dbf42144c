"""The bytes of a family certificate and its manifest, as FORMAT.md, section 10, has them."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from secateur.certificate import FileReference, Leaf, by_difference, by_simulation, family_bytes, manifest_bytes, written_facts
from secateur.certificate.family import NO_FACTS
from secateur.network.difference import paired_by_position
from secateur.search import PartProof, PhaseEvidence, ProvenTree
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Decision
from tests.reduction.support import chain

TREE = ProvenTree(((2, 1, 1),), 1, 3, np.array([1, 0, 0], dtype=np.uint16), ())
EVIDENCE = PhaseEvidence((9, 8), ((1, 0, -1),), (TREE,))


def test_facts_know_their_claims_and_nodes() -> None:
    facts = written_facts(EVIDENCE, 2)
    assert facts.claims == EVIDENCE.claims == ((1, 0, -1), (2, 1, 1))
    assert facts.nodes == 3
    assert [zlib.decompress(s) for s in facts.streams] == [b"\1\0\0"]
    assert written_facts(PhaseEvidence((9, 8)), 2) is NO_FACTS
    assert (NO_FACTS.claims, NO_FACTS.nodes) == ((), 0)


def test_facts_of_two_turns_stand_in_their_order() -> None:
    first, more = written_facts(EVIDENCE, 2), written_facts(PhaseEvidence((9, 8), (), (replace(TREE, claims=((1, 1, 1),)),)), 2)
    both = first.followed_by(more)
    assert both.claims == ((1, 0, -1), (2, 1, 1), (1, 1, 1))
    assert both.nodes == 6
    assert both.streams == (*first.streams, *more.streams)
    assert first.followed_by(NO_FACTS) == first == NO_FACTS.followed_by(first)
    with pytest.raises(ValueError, match="interval facts come before all trees"):
        more.followed_by(first)


def test_the_container_holds_regions_and_streams_in_preorder() -> None:
    inner, own = written_facts(PhaseEvidence((9, 8), ((1, 1, 1),)), 2), written_facts(EVIDENCE, 2)
    leaf = Leaf(own, by_simulation(NO_FACTS, 2))
    empty = Leaf(NO_FACTS, by_simulation(own, 1))
    names = FileReference("../net.onnx", "a" * 64), FileReference("manifest.json", "b" * 64)
    data = family_bytes(
        producer="p", claim=Agreement(Fraction(1, 3)), original=names[0], manifest=names[1], regions=[inner, leaf, empty]
    )
    assert data[:10] == b"SECATEUR1\n"
    (length,) = struct.unpack("<Q", data[10:18])
    header, rest = json.loads(data[18 : 18 + length]), data[18 + length :]
    assert header["claim"] == {"kind": "family", "claim": {"kind": "agree", "tolerance": "1/3"}}
    assert header["manifest"] == {"file": "manifest.json", "sha256": "b" * 64}
    text = zlib.decompress(rest[: header["regions"]["bytes"]])
    assert len(text) == header["regions"]["length"]
    first, second, third = json.loads(text)
    assert first["interval"] == [[1, 1, "active"]]
    assert second["facts"]["trees"][0] == {
        "claims": [[2, 1, "active"]], "steps": 1, "uses": 3, "nodes": 3, "bytes": len(own.streams[0]),
    }  # fmt: skip
    assert second["evidence"]["reduced"] == {"grid": [0, 0], "interval": [], "trees": [], "solver": []}
    assert third["facts"] is None
    assert third["claim"] == {"kind": "agree", "tolerance": "0"}
    assert rest[header["regions"]["bytes"] :] == own.streams[0] * 2


def test_the_manifest_is_exact() -> None:
    box = Domain((Fraction(-1, 3),), (Fraction(1),))
    files = [FileReference("slices/0.onnx", "c" * 64)]
    content = json.loads(manifest_bytes(producer="p", domain=box, files=files, nodes=[(0, Fraction(1, 3)), 0, 0]))
    assert content == {
        "format": "secateur-family", "version": 1, "producer": "p", "lower": ["-1/3"], "upper": ["1"],
        "files": [{"file": "slices/0.onnx", "sha256": "c" * 64}], "nodes": [[0, "1/3"], 0, 0],
    }  # fmt: skip


def test_a_proof_by_differences_stands_at_its_leaf() -> None:
    network = chain(([[1, 2], [3, 4]], [0, 0]), ([[1, 1]], [0]))
    proof = PartProof(2, (9, 8), 1, np.array([3, 0, 0], dtype=np.uint16), 0, (5,))
    pairing = paired_by_position(network, network)
    own = written_facts(EVIDENCE, 2)
    leaf = Leaf(own, by_difference(Decision("argmin", Fraction(1, 2)), (network, network), pairing, proof))
    assert leaf.entry["claim"] == {"kind": "decision", "rule": "argmin", "margin": "1/2"}
    assert leaf.entry["evidence"] == {
        "kind": "difference", "levels": [1], "pairs": "position", "shifts": [5],
        "difference": {"grid": [9, 8], "steps": 1, "nodes": 3, "trusted": 0, "bytes": len(leaf.streams[1])},
    }  # fmt: skip
    assert leaf.streams[0] == own.streams[0]
    assert zlib.decompress(leaf.streams[1]) == b"\3\0\0"
