"""A family as its files say: accepted by the independent checker, its slices, and what was inherited."""

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
from secateur.checker.container import read_certificate
from secateur.checker.records import FamilyCertificate
from secateur.specification import Domain

__all__ = ["Walked", "walk_family"]


@dataclass(frozen=True)
class Walked:
    """The leaves' boxes with the numbers of their files and their evidence, and how many facts they inherit together."""

    leaves: tuple[tuple[Domain, int], ...]
    evidence: tuple[str, ...]
    inherited: int
    statement: str


def walk_family(files: Mapping[str, bytes], original: bytes) -> Walked:
    """Have the checker accept the certificate among the files of a family, given by name; then read the partition."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "family"
        for file, data in {**files, "../net.onnx": original}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        verdict = check(folder, original=Path(name) / "net.onnx", strict=True)
    assert isinstance(verdict, Accepted), verdict
    assert isinstance(read_certificate(files["family.secateur"]), FamilyCertificate)
    manifest = json.loads(files["manifest.json"])
    lower, upper = (tuple(map(Fraction, manifest[side])) for side in ("lower", "upper"))
    leaves, evidence, inherited = [], [], 0
    waiting = [(Domain(lower, upper), 0)]
    for node, entry in zip(manifest["nodes"], _entries(files["family.secateur"]), strict=True):
        box, known = waiting.pop()
        if isinstance(node, int):
            leaves.append((box, node))
            evidence.append(entry["evidence"]["kind"])
            inherited += known
            continue
        i, cut = node[0], Fraction(node[1])
        first = Domain(box.lower, (*box.upper[:i], cut, *box.upper[i + 1 :]))
        second = Domain((*box.lower[:i], cut, *box.lower[i + 1 :]), box.upper)
        known += _count(entry)
        waiting += [(second, known), (first, known)]
    return Walked(tuple(leaves), tuple(evidence), inherited, verdict.statement)


def _entries(certificate: bytes) -> list[Any]:
    length = int.from_bytes(certificate[10:18], "little")
    header = json.loads(certificate[18 : 18 + length])
    begin = 18 + length
    entries: list[Any] = json.loads(zlib.decompress(certificate[begin : begin + header["regions"]["bytes"]]))
    return entries


def _count(facts: Any) -> int:
    return 0 if facts is None else len(facts["interval"]) + sum(len(tree["claims"]) for tree in facts["trees"])
