"""A family as the independent checker sees it, and its partition as the tests read it."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from secateur.checker import Accepted, check
from secateur.specification import Domain

__all__ = ["Walked", "walk_family"]


@dataclass(frozen=True)
class Walked:
    """What the checker accepted: the leaves' boxes with the numbers of their files, and how many facts leaves inherit."""

    leaves: tuple[tuple[Domain, int], ...]
    inherited: int
    nodes: int


def walk_family(files: Mapping[str, bytes], original: bytes) -> Walked:
    """Have the checker verify the family among the files, given by name; AssertionError with its words if it refuses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        (folder / "original.onnx").write_bytes(original)
        verdict = check(folder, original=folder / "original.onnx", strict=True)
    assert isinstance(verdict, Accepted), str(verdict)
    manifest = json.loads(files["manifest.json"])
    nodes, entries = iter(manifest["nodes"]), iter(_regions(files["family.secateur"]))
    leaves: list[tuple[Domain, int]] = []
    root = Domain(tuple(map(Fraction, manifest["lower"])), tuple(map(Fraction, manifest["upper"])), "family")
    inherited = _region(root, 0, nodes, entries, leaves)
    assert next(nodes, None) is None
    return Walked(tuple(leaves), inherited, verdict.counts.nodes)


def _regions(certificate: bytes) -> list[Any]:
    """The regions stream (FORMAT.md, section 10)."""
    length = int.from_bytes(certificate[10:18], "little")
    header = json.loads(certificate[18 : 18 + length])
    return list(json.loads(zlib.decompress(certificate[18 + length :][: header["regions"]["bytes"]])))


def _region(box: Domain, known: int, nodes: Any, entries: Any, leaves: list[tuple[Domain, int]]) -> int:
    """Walk one node; how many facts the leaves below it inherit in all, `known` being those above it."""
    node, entry = next(nodes), next(entries)
    if isinstance(node, int):
        leaves.append((box, node))
        return known
    own = known + (0 if entry is None else len(entry["interval"]) + sum(len(tree["claims"]) for tree in entry["trees"]))
    i, cut = node[0], Fraction(node[1])
    lower, upper = list(box.lower), list(box.upper)
    upper[i] = lower[i] = cut
    first, second = Domain(box.lower, tuple(upper), "first"), Domain(tuple(lower), box.upper, "second")
    return _region(first, own, nodes, entries, leaves) + _region(second, own, nodes, entries, leaves)
