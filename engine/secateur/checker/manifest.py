"""The manifest of a family: a box, its partition into slices, and the networks of these (section 10 of the format).

The partition is a tree of cuts strictly inside the boxes that they cut, so that the slices cover the box whatever it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from secateur.checker.domain import Domain, no_constant, read_box, unique_keys
from secateur.checker.exact import parse_rational
from secateur.checker.records import FileReference
from secateur.checker.refusal import located
from secateur.checker.schema import bad, read_list, read_object, read_reference, read_text

__all__ = ["Cut", "Manifest", "Part", "partition", "read_manifest"]

MAX_DEPTH = 1000
MAX_DIGITS = 15


class _Number(str):
    """The text of a JSON number: bounds are read from it exactly, and it is no JSON string."""

    __slots__ = ()

    def integer(self) -> int | None:
        """Its value, where it is an integer >= 0 of ordinary size."""
        return int(self) if self.isdecimal() and len(self) <= MAX_DIGITS else None


@dataclass(frozen=True)
class Cut:
    """A node's box is cut at x_coordinate = value."""

    coordinate: int
    value: Fraction


@dataclass(frozen=True)
class Manifest:
    """D, the networks' files, and the partition tree in preorder: a cut, or the number of a leaf's file."""

    domain: Domain
    files: tuple[FileReference, ...]
    nodes: tuple[Cut | int, ...]

    @property
    def slices(self) -> int:
        return len(self.nodes) // 2 + 1


@dataclass(frozen=True)
class Part:
    """A node of the partition: its number in preorder, its box, how many cuts lead to it, and its file if it is a leaf."""

    number: int
    box: Domain
    depth: int
    file: int | None


def _replaced(values: Sequence[Fraction], index: int, value: Fraction) -> tuple[Fraction, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _halves(box: Domain, cut: Cut, where: str) -> tuple[Domain, Domain]:
    """The two boxes that a cut makes; it must lie strictly inside."""
    i, value = cut.coordinate, cut.value
    if i >= len(box.lower):
        raise bad(where, f"coordinate {i} does not exist")
    if not box.lower[i] < value < box.upper[i]:
        place = "on a face of" if value in (box.lower[i], box.upper[i]) else "outside"
        raise bad(where, f"the cut of coordinate {i} at {value} lies {place} the node's box")
    return replace(box, upper=_replaced(box.upper, i, value)), replace(box, lower=_replaced(box.lower, i, value))


def partition(manifest: Manifest) -> Iterator[Part]:
    """The nodes of the partition in preorder, with their boxes; refuses what is no single tree."""
    waiting = [(manifest.domain, 0)]
    for number, node in enumerate(manifest.nodes):
        where = f"nodes[{number}]"
        if not waiting:
            raise bad(where, "the tree ends before this node")
        box, depth = waiting.pop()
        if isinstance(node, int):
            yield Part(number, box, depth, node)
            continue
        if depth == MAX_DEPTH:
            raise bad(where, f"a path is longer than {MAX_DEPTH} cuts")
        yield Part(number, box, depth, None)
        first, second = _halves(box, node, where)
        waiting += [(second, depth + 1), (first, depth + 1)]
    if waiting:
        raise bad("nodes", "the list ends before the tree does")


def _node(value: Any, where: str) -> Cut | int:
    """A cut, or a leaf."""
    if isinstance(value, list):
        if len(value) != 2 or not isinstance(value[0], _Number) or type(value[1]) is not str:
            raise bad(where, 'a cut [coordinate, "value"] is needed')
        coordinate, cut = value[0].integer(), parse_rational(value[1])
        if coordinate is None:
            raise bad(where, f"{value[0][:20]} is no coordinate")
        if cut is None:
            raise bad(where, "the cut is not at an exact number")
        return Cut(coordinate, cut)
    leaf = value.integer() if isinstance(value, _Number) else None
    if leaf is None:
        raise bad(where, "a cut or the number of a file is needed")
    return leaf


def _file(value: Any, where: str) -> FileReference:
    """A file below the manifest's folder, whatever the system's separators are."""
    for key in ("file", "sha256"):
        if isinstance(value, dict) and isinstance(value.get(key), _Number):
            raise bad(f"{where}.{key}", "a text is needed")
    reference = read_reference(value, where)
    parts = reference.file.split("/")
    if PurePosixPath(reference.file).is_absolute() or any(part in ("", ".", "..") for part in parts):
        raise bad(f"{where}.file", f"{reference.file} does not lead to a file below the manifest's folder")
    if "\\" in reference.file or ":" in reference.file:
        raise bad(f"{where}.file", f"{reference.file} is not a path with slashes")
    return reference


def _object(data: bytes) -> dict[str, Any]:
    """The manifest's JSON, its numbers as texts."""
    decoder = json.JSONDecoder(object_pairs_hook=unique_keys, parse_float=_Number, parse_int=_Number, parse_constant=no_constant)
    try:
        found = decoder.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise bad("file", f"not valid JSON: {error}") from None
    return read_object(found, "file", "format version producer lower upper files nodes")


def _compare_uses(manifest: Manifest) -> None:
    """Every file must be used, and every leaf must have one."""
    used = set()
    for part in partition(manifest):
        if part.file is not None:
            if part.file >= len(manifest.files):
                raise bad(f"nodes[{part.number}]", f"there is no file {part.file}")
            used.add(part.file)
    for number, reference in enumerate(manifest.files):
        if number not in used:
            raise bad(f"files[{number}]", f"no slice uses {reference.file}")


def read_manifest(data: bytes) -> Manifest:
    """The manifest in a file's bytes, its partition compared with the box and the files."""
    with located("", ("header", "domain"), "manifest"):
        found = _object(data)
        version = found["version"]
        if found["format"] != "secateur-family" or not isinstance(version, _Number) or version != "1":
            raise bad("format", "only version 1 of secateur-family is known")
        if isinstance(found["producer"], _Number):
            raise bad("producer", "a text is needed")
        read_text(found["producer"], "producer")
        files = read_list(found["files"], "files", _file)
        seen = set[str]()
        for number, reference in enumerate(files):
            if reference.file in seen:
                raise bad(f"files[{number}]", f"{reference.file} is listed twice")
            seen.add(reference.file)
        manifest = Manifest(read_box(found), files, read_list(found["nodes"], "nodes", _node))
        _compare_uses(manifest)
    return manifest
