"""The fields of a certificate's header, and the streams of its trees (sections 1, 8, 9 and 13 of the format).

Nothing here is believed: sizes are checked before memory is taken, and unknown keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from secateur.checker.exact import parse_rational
from secateur.checker.records import Claim, DifferenceTree, Facts, FileReference, Part, RefutedLeaves, SolverFact, Tree
from secateur.checker.refusal import Refusal

__all__ = [
    "MAX_INTEGER",
    "Streams",
    "bad",
    "read_bound",
    "read_facts",
    "read_integer",
    "read_list",
    "read_object",
    "read_quadruple",
    "read_rational",
    "read_reference",
    "read_text",
]

MAX_NODES = 1 << 27
MAX_STEPS = 1000
MAX_INTEGER = 1 << 53
MAX_GRID = 200
MAX_EVIDENCE = 1 << 28
_SHA256 = re.compile(r"[0-9a-f]{64}")


def bad(where: str, reason: str) -> Refusal:
    return Refusal("header", where, reason)


def read_object(value: Any, where: str, required: str, optional: str = "") -> dict[str, Any]:
    """An object with exactly the given keys (the optional ones may be absent)."""
    if not isinstance(value, dict):
        raise bad(where, "an object is needed")
    needed = set(required.split())
    for key in sorted(value.keys() - needed - set(optional.split())):
        raise bad(where, f"unknown key {key!r}")
    for key in sorted(needed - value.keys()):
        raise bad(where, f"the key {key!r} is missing")
    return value


def read_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 4096 or not value.isprintable():
        raise bad(where, "a printable text is needed")
    return value


def read_integer(value: Any, where: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise bad(where, f"an integer from {least} to {most} is needed")
    return value


def read_list(value: Any, where: str, item: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise bad(where, "a list is needed")
    return tuple(item(entry, f"{where}[{i}]") for i, entry in enumerate(value))


def read_quadruple(value: Any, where: str) -> tuple[int, ...]:
    """[layer, neuron, layer', neuron'], for a neuron of N and one of N'."""
    if not isinstance(value, list) or len(value) != 4:
        raise bad(where, "four integers are needed")
    return tuple(read_integer(number, where, 1 - i % 2, MAX_INTEGER) for i, number in enumerate(value))


def read_claim(value: Any, where: str) -> Claim:
    if not isinstance(value, list) or len(value) != 3 or value[2] not in ("inactive", "active"):
        raise bad(where, 'a claim [layer, neuron, "inactive" or "active"] is needed')
    return Claim(read_integer(value[0], where, 1, MAX_INTEGER), read_integer(value[1], where, 0, MAX_INTEGER), value[2])


def _solver(value: Any, where: str) -> SolverFact:
    value = read_object(value, where, "claim by")
    return SolverFact(read_claim(value["claim"], f"{where}.claim"), read_text(value["by"], f"{where}.by"))


def read_reference(value: Any, where: str) -> FileReference:
    value = read_object(value, where, "file sha256")
    if not isinstance(value["sha256"], str) or not _SHA256.fullmatch(value["sha256"]):
        raise bad(f"{where}.sha256", "64 lower-case hexadecimal digits are needed")
    return FileReference(read_text(value["file"], f"{where}.file"), value["sha256"])


def read_bound(value: Any, where: str) -> Fraction:
    """A tolerance or a margin."""
    bound = parse_rational(value) if isinstance(value, str) else None
    if bound is None or bound < 0:
        raise bad(where, "a rational number >= 0 is needed")
    return bound


def read_rational(value: Any, where: str) -> Fraction:
    number = parse_rational(value) if isinstance(value, str) else None
    if number is None:
        raise bad(where, "a rational number is needed")
    return number


_TreeOfRows = tuple[tuple[int, ...], int, int, int, bytes, RefutedLeaves | None]


class Streams:
    """Cuts the bytes behind the header into the streams of the trees."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def tree(self, value: Any, where: str) -> Tree:
        value = read_object(value, where, "claims steps uses nodes bytes", optional="refuted")
        claims = read_list(value["claims"], f"{where}.claims", read_claim)
        steps = read_integer(value["steps"], f"{where}.steps", 0, MAX_STEPS)
        uses = read_integer(value["uses"], f"{where}.uses", 0, MAX_INTEGER)
        return Tree(claims, steps, uses, *self._nodes(value, where))

    def part(self, value: Any, where: str) -> Part:
        value = read_object(value, where, "disjuncts grid steps nodes trusted bytes", optional="refuted")
        disjuncts = read_integer(value["disjuncts"], f"{where}.disjuncts", 1, MAX_INTEGER)
        return Part(disjuncts, *self._with_trusted_leaves(value, where))

    def difference(self, value: Any, where: str) -> DifferenceTree:
        value = read_object(value, where, "grid steps nodes trusted bytes", optional="refuted")
        return DifferenceTree(*self._with_trusted_leaves(value, where))

    def _with_trusted_leaves(self, value: dict[str, Any], where: str) -> _TreeOfRows:
        """Grid, steps, nodes, trusted leaves, stream and refuted leaves of a tree about rows."""
        grid = _grid(value["grid"], f"{where}.grid")
        steps = read_integer(value["steps"], f"{where}.steps", 0, MAX_STEPS)
        trusted = read_integer(value["trusted"], f"{where}.trusted", 0, MAX_NODES)
        nodes, stream, refuted = self._nodes(value, where)
        return grid, steps, nodes, trusted, stream, refuted

    def _nodes(self, value: dict[str, Any], where: str) -> tuple[int, bytes, RefutedLeaves | None]:
        """How many nodes the next tree has, its stream, and its refuted leaves, if there are any."""
        nodes = read_integer(value["nodes"], f"{where}.nodes", 1, MAX_NODES)
        stream = self.take(value["bytes"], where, "the stream of this tree")
        return nodes, stream, self._refuted(value["refuted"], f"{where}.refuted") if "refuted" in value else None

    def _refuted(self, value: Any, where: str) -> RefutedLeaves:
        """The refuted leaves of a tree, whose stream has just been taken."""
        value = read_object(value, where, "leaves length bytes")
        leaves = read_integer(value["leaves"], f"{where}.leaves", 1, MAX_NODES)
        length = read_integer(value["length"], f"{where}.length", 2, MAX_EVIDENCE)
        return RefutedLeaves(leaves, length, self.take(value["bytes"], where, "the evidence of this tree"))

    def take(self, length: Any, where: str, what: str = "this stream") -> bytes:
        """The next stream, of an announced length."""
        start, self._at = self._at, self._at + read_integer(length, f"{where}.bytes", 1, MAX_INTEGER)
        if self._at > len(self._data):
            raise Refusal("container", where, f"the file ends inside {what}")
        return self._data[start : self._at]

    def rest(self) -> bytes:
        """The streams that are left."""
        start, self._at = self._at, len(self._data)
        return self._data[start:]

    def finish(self) -> None:
        if self._at != len(self._data):
            raise Refusal("container", "end", f"{len(self._data) - self._at} bytes follow the last stream")


def _grid(value: Any, where: str) -> tuple[int, ...]:
    return read_list(value, where, lambda v, w: read_integer(v, w, -MAX_GRID, MAX_GRID))


def _refuse_repeated(claims: list[Claim], where: str) -> None:
    seen = set()
    for claim in claims:
        if claim in seen:
            raise bad(where, f"the claim '{claim}' appears twice")
        seen.add(claim)


def read_facts(value: Any, where: str, streams: Streams) -> Facts:
    """All facts of one network; takes the streams of their trees."""
    value = read_object(value, where, "grid interval trees solver")
    facts = Facts(
        _grid(value["grid"], f"{where}.grid"),
        read_list(value["interval"], f"{where}.interval", read_claim),
        read_list(value["trees"], f"{where}.trees", streams.tree),
        read_list(value["solver"], f"{where}.solver", _solver),
    )
    _refuse_repeated(facts.claims(), where)
    return facts
