"""The manifest of a family as its users need it: read strictly, so that a damaged one is refused and not evaluated.

What it claims is the checker's matter; here it has to be one tree of cuts inside the box, with a network at every leaf
(FORMAT.md, section 10). Needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.errors import InputError

__all__ = ["Manifest", "read_manifest", "require_certified"]

Bounds = tuple[Fraction, ...]

_NUMBER = re.compile(r"-?[0-9]{1,3950}(/[0-9]{1,3950}|(\.[0-9]{1,3950})?([eE][+-]?[0-9]{1,3})?)")
_MAGIC = b"SECATEUR1\n"


@dataclass(frozen=True)
class Manifest:
    """files : names and SHA-256. nodes : the tree in preorder, a cut (coordinate, value) or the number of a leaf's file."""

    lower: Bounds
    upper: Bounds
    files: tuple[tuple[str, str], ...]
    nodes: tuple[tuple[int, Fraction] | int, ...]


def read_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of the file that `where` names; InputError for anything else."""
    try:
        content = json.loads(data)
        _require(isinstance(content, dict), "it is no JSON object")
        _require(content.get("format") == "secateur-family" and content.get("version") == 1, "another format or version")
        lower, upper = (tuple(_rational(v) for v in _list(content, side)) for side in ("lower", "upper"))
        _require(len(lower) == len(upper) > 0, "the numbers of bounds differ, or are 0")
        _require(all(low <= high for low, high in zip(lower, upper, strict=True)), "a lower bound is above an upper one")
        files = tuple(_file(entry) for entry in _list(content, "files"))
        nodes = tuple(_node(entry) for entry in _list(content, "nodes"))
        _require_tree(nodes, lower, upper, len(files))
    except (ValueError, ZeroDivisionError, RecursionError) as error:
        raise InputError(f"is no manifest of a family: {_shortened(error)}", where=where) from None
    return Manifest(lower, upper, files, nodes)


def require_certified(manifest: bytes, certificate: bytes, where: str) -> None:
    """InputError where a certificate is one of a family, and names another manifest. `where` : what errors call the manifest."""
    try:
        _require(certificate[:10] == _MAGIC, "another format")
        header = json.loads(certificate[18 : 18 + int.from_bytes(certificate[10:18], "little")])
        if header["claim"]["kind"] != "family":
            return
        named = header["manifest"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("cannot be compared with its certificate, which is damaged", where=where) from None
    if named != hashlib.sha256(manifest).hexdigest():
        raise InputError("is not the file that was certified: its SHA-256 differs", where=where)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _shortened(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _list(content: dict[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    if not isinstance(found, list) or not found:
        raise ValueError(f"{key!r} is no list, or empty")
    return found


def _rational(value: Any) -> Fraction:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise ValueError(f"{str(value)[:40]!r} is no exact number")
    return Fraction(value)


def _file(entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("file", "sha256")):
        raise ValueError("a file without name or SHA-256")
    return entry["file"], entry["sha256"]


def _node(entry: Any) -> tuple[int, Fraction] | int:
    if type(entry) is int:
        return entry
    if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int:
        raise ValueError(f"node {str(entry)[:40]!r} is neither a cut nor the number of a file")
    return entry[0], _rational(entry[1])


def _require_tree(nodes: Iterable[tuple[int, Fraction] | int], lower: Bounds, upper: Bounds, files: int) -> None:
    """ValueError unless the nodes are one tree in preorder whose cuts lie strictly inside what they cut."""
    waiting = [(lower, upper)]
    for number, node in enumerate(nodes):
        _require(bool(waiting), f"the tree ends before node {number}")
        low, high = waiting.pop()
        if isinstance(node, int):
            _require(0 <= node < files, f"node {number}: there is no file {node}")
            continue
        i, cut = node
        _require(0 <= i < len(low) and low[i] < cut < high[i], f"node {number} does not cut its box")
        waiting += [(_moved(low, i, cut), high), (low, _moved(high, i, cut))]
    _require(not waiting, "the list of nodes ends before the tree does")


def _moved(bounds: Bounds, i: int, value: Fraction) -> Bounds:
    return (*bounds[:i], value, *bounds[i + 1 :])
