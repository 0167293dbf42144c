"""The certificate file: header, schema, and the compressed streams of the trees (sections 1 and 8 of the format).

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
from typing import Any, Literal

from secateur.checker.domain import unique_keys
from secateur.checker.exact import parse_rational
from secateur.checker.refusal import Refusal

__all__ = [
    "Certificate",
    "Claim",
    "Facts",
    "FileReference",
    "Part",
    "QueryCertificate",
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
    def targets(self) -> tuple[tuple[int, int]]:
        """(neuron, s) such that the claim says s z >= 0: a goal with one target."""
        return ((self.neuron, 1 if self.phase == "active" else -1),)

    @property
    def threshold(self) -> int:
        return 0

    @property
    def kind(self) -> Literal["claim"]:
        return "claim"

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
class Part:
    """Consecutive disjuncts of a query that share one box, and the tree that refutes them; `trusted` of its leaves do not."""

    disjuncts: int
    grid: tuple[int, ...]
    steps: int
    nodes: int
    trusted: int
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


@dataclass(frozen=True)
class QueryCertificate:
    """The content of a certificate about a query: trees that refute it, or a point that satisfies it (then no parts)."""

    producer: str
    point: tuple[Fraction, ...] | None
    network: FileReference
    query: FileReference
    parts: tuple[Part, ...]


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
    tolerance = parse_rational(value["tolerance"]) if isinstance(value["tolerance"], str) else None
    if tolerance is None or tolerance < 0:
        raise _bad("claim.tolerance", "a rational number >= 0 is needed")
    return tolerance


def _coordinate(value: Any, where: str) -> Fraction:
    number = parse_rational(value) if isinstance(value, str) else None
    if number is None:
        raise _bad(where, "a rational number is needed")
    return number


class _Streams:
    """Cuts the bytes behind the header into the streams of the trees."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def tree(self, value: Any, where: str) -> Tree:
        value = _object(value, where, "claims steps uses nodes bytes")
        claims = _list(value["claims"], f"{where}.claims", _claim)
        steps = _integer(value["steps"], f"{where}.steps", 0, MAX_STEPS)
        uses = _integer(value["uses"], f"{where}.uses", 0, MAX_INTEGER)
        return Tree(claims, steps, uses, *self._nodes(value, where))

    def part(self, value: Any, where: str) -> Part:
        value = _object(value, where, "disjuncts grid steps nodes trusted bytes")
        disjuncts = _integer(value["disjuncts"], f"{where}.disjuncts", 1, MAX_INTEGER)
        grid = _grid(value["grid"], f"{where}.grid")
        steps = _integer(value["steps"], f"{where}.steps", 0, MAX_STEPS)
        trusted = _integer(value["trusted"], f"{where}.trusted", 0, MAX_NODES)
        nodes, stream = self._nodes(value, where)
        return Part(disjuncts, grid, steps, nodes, trusted, stream)

    def _nodes(self, value: dict[str, Any], where: str) -> tuple[int, bytes]:
        """How many nodes the next tree has, and its stream."""
        nodes = _integer(value["nodes"], f"{where}.nodes", 1, MAX_NODES)
        length = _integer(value["bytes"], f"{where}.bytes", 1, MAX_INTEGER)
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise Refusal("container", where, "the file ends inside the stream of this tree")
        return nodes, self._data[start : self._at]

    def finish(self) -> None:
        if self._at != len(self._data):
            raise Refusal("container", "end", f"{len(self._data) - self._at} bytes follow the last stream")


def _grid(value: Any, where: str) -> tuple[int, ...]:
    return _list(value, where, lambda v, w: _integer(v, w, -MAX_GRID, MAX_GRID))


def _facts(value: Any, where: str, streams: _Streams) -> Facts:
    value = _object(value, where, "grid interval trees solver")
    return Facts(
        _grid(value["grid"], f"{where}.grid"),
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
    if not isinstance(header, dict):
        raise _bad("header", "an object is needed")
    return header, data[18 + length :]


def _kind(header: dict[str, Any]) -> str:
    """The kind of claim, which says what the rest of the header looks like; refuses unknown kinds."""
    claim = header.get("claim")
    if claim is None:
        raise _bad("header", "the key 'claim' is missing")
    kind = claim.get("kind") if isinstance(claim, dict) else None
    if kind not in ("agree", "unsat", "sat"):
        raise _bad("claim.kind", "only claims of the kinds 'agree', 'unsat' and 'sat' are known")
    return str(kind)


def _refuse_repeated(claims: list[Claim], where: str) -> None:
    seen = set()
    for claim in claims:
        if claim in seen:
            raise _bad(where, f"the claim '{claim}' appears twice")
        seen.add(claim)


def _agreement(header: dict[str, Any], rest: bytes) -> Certificate:
    _object(header, "header", "format version producer claim original reduced domain facts", optional="match")
    tolerance, streams = _tolerance(header["claim"]), _Streams(rest)
    sides = _object(header["facts"], "facts", "original reduced")
    facts = {side: _facts(sides[side], f"facts.{side}", streams) for side in ("original", "reduced")}
    streams.finish()
    for side, own in facts.items():
        _refuse_repeated(own.claims(), f"facts.{side}")
    original, reduced, domain = (_reference(header[key], key) for key in ("original", "reduced", "domain"))
    match = _match(header.get("match"), tolerance)
    return Certificate(_text(header["producer"], "producer"), tolerance, original, reduced, domain, facts, match)


def _about_query(header: dict[str, Any], rest: bytes, refuted: bool) -> QueryCertificate:
    keys = "format version producer claim network query"
    _object(header, "header", f"{keys} parts" if refuted else keys)
    claim, streams = _object(header["claim"], "claim", "kind" if refuted else "kind point"), _Streams(rest)
    point = None if refuted else _list(claim["point"], "claim.point", _coordinate)
    parts = _list(header["parts"], "parts", streams.part) if refuted else ()
    streams.finish()
    network, query = (_reference(header[key], key) for key in ("network", "query"))
    return QueryCertificate(_text(header["producer"], "producer"), point, network, query, parts)


def read_certificate(data: bytes) -> Certificate | QueryCertificate:
    """The certificate in a file's bytes; refuses everything that does not follow the schema to the letter."""
    header, rest = _header(data)
    version = header.get("version")
    if header.get("format") != "secateur-certificate" or type(version) is not int or version != 1:
        raise _bad("format", "only version 1 of secateur-certificate is known")
    kind = _kind(header)
    return _agreement(header, rest) if kind == "agree" else _about_query(header, rest, kind == "unsat")


def symbols(tree: Tree | Part, largest: int, where: str) -> Sequence[int]:
    """The symbols of a tree's nodes in preorder; at most the announced number is ever decompressed.

    `largest` is the largest symbol that the tree may use: it decides how many bytes each takes.
    """
    width = 1 if largest <= 254 else 2
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
