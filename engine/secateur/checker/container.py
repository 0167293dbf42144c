"""The certificate file: header, schema, and the compressed streams of the trees (section 1 of the format).

Nothing here is believed: sizes are checked before memory is taken, unknown or repeated keys are refused, and every
stream must decompress to exactly the number of symbols that the header announces.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.checker.domain import unique_keys
from secateur.checker.exact import parse_rational
from secateur.checker.refusal import Refusal

__all__ = [
    "Certificate",
    "Claim",
    "Facts",
    "FileReference",
    "SolverFact",
    "Tree",
    "read_certificate",
    "symbols",
]

MAGIC = b"SECATEUR1\n"
MAX_NODES = 1 << 27
MAX_STEPS = 1000
MAX_INTEGER = 1 << 53
MAX_GRID = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Claim:
    """Neuron `neuron` of layer `layer` is inactive (z <= 0 on D) or active (z >= 0 on D)."""

    layer: int
    neuron: int
    phase: str

    @property
    def sign(self) -> int:
        """s such that the claim says s z >= 0."""
        return 1 if self.phase == "active" else -1

    def __str__(self) -> str:
        return f"neuron {self.neuron} of layer {self.layer} {self.phase}"


@dataclass(frozen=True)
class Tree:
    """One split tree: its claims, the slope steps of each row, how many facts it builds on, and its compressed stream."""

    claims: tuple[Claim, ...]
    steps: int
    uses: int
    nodes: int
    stream: bytes


@dataclass(frozen=True)
class SolverFact:
    """A claim that only a solver's word supports."""

    claim: Claim
    by: str


@dataclass(frozen=True)
class Facts:
    """All facts of one network, in the order in which they are established."""

    grid: tuple[int, ...]
    interval: tuple[Claim, ...]
    trees: tuple[Tree, ...]
    solver: tuple[SolverFact, ...]

    def claims(self) -> list[Claim]:
        return [
            *self.interval,
            *(c for tree in self.trees for c in tree.claims),
            *(s.claim for s in self.solver),
        ]


@dataclass(frozen=True)
class FileReference:
    """A file that the certificate speaks about: path relative to the certificate's folder, and hash."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Certificate:
    """The content of a certificate, well formed but not yet checked."""

    producer: str
    tolerance: Fraction
    original: FileReference
    reduced: FileReference
    domain: FileReference
    facts: dict[str, Facts]
    match: tuple[tuple[int, int, int, int], ...]


def _bad(where: str, reason: str) -> Refusal:
    return Refusal("header", where, reason)


def _object(value: Any, where: str, required: str, optional: str = "") -> dict[str, Any]:
    """An object with exactly the given keys (the optional ones may be absent)."""
    if not isinstance(value, dict):
        raise _bad(where, "an object is needed")
    needed = set(required.split())
    for key in sorted(value.keys() - needed - set(optional.split())):
        raise _bad(where, f"unknown key {key!r}")
    for key in sorted(needed - value.keys()):
        raise _bad(where, f"the key {key!r} is missing")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 4096 or not value.isprintable():
        raise _bad(where, "a printable text is needed")
    return value


def _integer(value: Any, where: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _bad(where, f"an integer from {least} to {most} is needed")
    return value


def _list(value: Any, where: str, item: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _bad(where, "a list is needed")
    return tuple(item(entry, f"{where}[{i}]") for i, entry in enumerate(value))


def _claim(value: Any, where: str) -> Claim:
    if not isinstance(value, list) or len(value) != 3 or value[2] not in ("inactive", "active"):
        raise _bad(where, 'a claim [layer, neuron, "inactive" or "active"] is needed')
    return Claim(_integer(value[0], where, 1, MAX_INTEGER), _integer(value[1], where, 0, MAX_INTEGER), value[2])


def _solver(value: Any, where: str) -> SolverFact:
    value = _object(value, where, "claim by")
    return SolverFact(_claim(value["claim"], f"{where}.claim"), _text(value["by"], f"{where}.by"))


def _reference(value: Any, where: str) -> FileReference:
    value = _object(value, where, "file sha256")
    if not isinstance(value["sha256"], str) or not _SHA256.fullmatch(value["sha256"]):
        raise _bad(f"{where}.sha256", "64 lower-case hexadecimal digits are needed")
    return FileReference(_text(value["file"], f"{where}.file"), value["sha256"])


def _tolerance(value: Any) -> Fraction:
    value = _object(value, "claim", "kind tolerance")
    if value["kind"] != "agree":
        raise _bad("claim.kind", "only claims of the kind 'agree' are known")
    tolerance = parse_rational(value["tolerance"]) if isinstance(value["tolerance"], str) else None
    if tolerance is None or tolerance < 0:
        raise _bad("claim.tolerance", "a rational number >= 0 is needed")
    return tolerance


class _Streams:
    """Cuts the bytes behind the header into the streams of the trees."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def tree(self, value: Any, where: str) -> Tree:
        value = _object(value, where, "claims steps uses nodes bytes")
        claims = _list(value["claims"], f"{where}.claims", _claim)
        steps = _integer(value["steps"], f"{where}.steps", 0, MAX_STEPS)
        uses = _integer(value["uses"], f"{where}.uses", 0, MAX_INTEGER)
        nodes = _integer(value["nodes"], f"{where}.nodes", 1, MAX_NODES)
        length = _integer(value["bytes"], f"{where}.bytes", 1, MAX_INTEGER)
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise Refusal("container", where, "the file ends inside the stream of this tree")
        return Tree(claims, steps, uses, nodes, self._data[start : self._at])

    def finish(self) -> None:
        if self._at != len(self._data):
            raise Refusal("container", "end", f"{len(self._data) - self._at} bytes follow the last stream")


def _facts(value: Any, where: str, streams: _Streams) -> Facts:
    value = _object(value, where, "grid interval trees solver")
    return Facts(
        _list(value["grid"], f"{where}.grid", lambda v, w: _integer(v, w, -MAX_GRID, MAX_GRID)),
        _list(value["interval"], f"{where}.interval", _claim),
        _list(value["trees"], f"{where}.trees", streams.tree),
        _list(value["solver"], f"{where}.solver", _solver),
    )


def _match(value: Any, tolerance: Fraction) -> tuple[tuple[int, int, int, int], ...]:
    if value is not None and tolerance == 0:
        raise _bad("match", "only a claim with a positive tolerance may match neurons")

    def entry(item: Any, where: str) -> tuple[int, ...]:
        if not isinstance(item, list) or len(item) != 4:
            raise _bad(where, "four integers are needed")
        return tuple(_integer(number, where, 1 - i % 2, MAX_INTEGER) for i, number in enumerate(item))

    pairs = _list([] if value is None else value, "match", entry)
    if len({pair[:2] for pair in pairs}) != len(pairs):
        raise _bad("match", "a neuron is matched twice")
    return pairs


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header's object, and the bytes behind it."""
    if data[:10] != MAGIC or len(data) < 18:
        raise Refusal("container", "magic", "not a certificate of this format")
    length = int.from_bytes(data[10:18], "little")
    if length > len(data) - 18:
        raise Refusal("container", "header", "the file ends inside the header")
    try:
        header = json.loads(data[18 : 18 + length].decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise Refusal("container", "header", f"not valid JSON: {error}") from None
    keys = "format version producer claim original reduced domain facts"
    return _object(header, "header", keys, optional="match"), data[18 + length :]


def _refuse_repeated(claims: list[Claim], where: str) -> None:
    seen = set()
    for claim in claims:
        if claim in seen:
            raise _bad(where, f"the claim '{claim}' appears twice")
        seen.add(claim)


def read_certificate(data: bytes) -> Certificate:
    """The certificate in a file's bytes; refuses everything that does not follow the schema to the letter."""
    header, rest = _header(data)
    version = header["version"]
    if header["format"] != "secateur-certificate" or type(version) is not int or version != 1:
        raise _bad("format", "only version 1 of secateur-certificate is known")
    tolerance, streams = _tolerance(header["claim"]), _Streams(rest)
    sides = _object(header["facts"], "facts", "original reduced")
    facts = {side: _facts(sides[side], f"facts.{side}", streams) for side in ("original", "reduced")}
    streams.finish()
    for side, own in facts.items():
        _refuse_repeated(own.claims(), f"facts.{side}")
    original, reduced, domain = (_reference(header[key], key) for key in ("original", "reduced", "domain"))
    match = _match(header.get("match"), tolerance)
    return Certificate(_text(header["producer"], "producer"), tolerance, original, reduced, domain, facts, match)


def symbols(tree: Tree, input_size: int, where: str) -> Sequence[int]:
    """The symbols of a tree's nodes in preorder; at most the announced number is ever decompressed."""
    width = 1 if input_size <= 254 else 2
    size = tree.nodes * width
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(tree.stream, size + 1)
    except zlib.error as error:
        raise Refusal("container", where, f"the stream is damaged: {error}") from None
    if len(raw) > size:
        raise Refusal("container", where, f"the stream holds more than the announced {tree.nodes} symbols")
    if len(raw) < size or not inflater.eof:
        raise Refusal("container", where, f"the stream holds fewer than the announced {tree.nodes} symbols")
    if inflater.unused_data:
        raise Refusal("container", where, "bytes follow the compressed stream")
    return raw if width == 1 else array("H", struct.unpack(f"<{tree.nodes}H", raw))
