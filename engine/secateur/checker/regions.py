"""What a family's certificate says about the nodes of the partition, one after the other (section 10 of the format).

The text can be large, so that only one entry at a time is ever read into objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from secateur.checker.domain import no_constant, unique_keys
from secateur.checker.pair_schema import read_match, read_pair_claim, read_plan
from secateur.checker.records import FamilyCertificate, Join, Region, Simulation, SliceEvidence
from secateur.checker.refusal import Refusal
from secateur.checker.schema import Streams, bad, read_facts, read_object

__all__ = ["Regions"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=no_constant)


class Regions:
    """The entries of a certificate, in order; each takes the streams of its trees."""

    def __init__(self, certificate: FamilyCertificate) -> None:
        try:
            text = certificate.regions.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refusal("regions", "list", f"not valid JSON: {error}") from None
        self._entries = _entries(text)
        self._streams = Streams(certificate.streams)

    def next(self, leaf: bool) -> Region:
        """The entry of the next node."""
        value = next(self._entries, self)
        if value is self:
            raise Refusal("regions", "", "the list ends before the nodes of the partition do")
        if not leaf:
            return Region(None if value is None else read_facts(value, "facts", self._streams), None)
        value = read_object(value, "leaf", "facts claim evidence")
        facts = None if value["facts"] is None else read_facts(value["facts"], "facts", self._streams)
        return Region(facts, _leaf(value, self._streams))

    def finish(self) -> None:
        """Nothing may be left."""
        if next(self._entries, self) is not self:
            raise Refusal("regions", "list", "it has more entries than the partition has nodes")
        self._streams.finish()


def _leaf(value: dict[str, Any], streams: Streams) -> SliceEvidence:
    claim, own = read_pair_claim(value["claim"], "claim", optional=""), value["evidence"]
    kind = own.get("kind") if isinstance(own, dict) else None
    if kind == "difference":
        own = read_object(own, "evidence", "kind levels pairs shifts difference")
        return SliceEvidence(claim, Join(read_plan(own), streams.difference(own["difference"], "difference")))
    if kind != "simulation":
        raise bad("evidence.kind", "evidence of the kind 'simulation' or 'difference' is needed")
    own = read_object(own, "evidence", "kind reduced", optional="match")
    if claim.rule != "agree":
        raise bad("claim.kind", "a simulation shows only that networks agree")
    return SliceEvidence(claim, Simulation(read_facts(own["reduced"], "facts.reduced", streams), read_match(own, claim.bound)))


def _after_space(text: str, at: int) -> int:
    """Behind the white space that begins at a place."""
    space = _SPACE.match(text, at)  # always matches: it may be empty
    return space.end() if space else at


def _entries(text: str) -> Iterator[Any]:
    """The values in the text of a JSON list."""

    def skip(at: int, wanted: str) -> int:
        """Behind white space and one of the wanted characters."""
        at = _after_space(text, at)
        if text[at : at + 1] not in tuple(wanted):
            choice = " or ".join(f"'{character}'" for character in wanted)
            raise Refusal("regions", "list", f"not valid JSON: {choice} is needed at place {at}")
        return at + 1

    at = skip(0, "[")
    after = _after_space(text, at)
    if text[after : after + 1] == "]":
        at = after + 1
    else:
        while text[at - 1] != "]":
            try:
                value, at = _DECODER.raw_decode(text, _after_space(text, at))
            except (ValueError, RecursionError) as error:
                raise Refusal("regions", "list", f"not valid JSON: {error}") from None
            yield value
            at = skip(at, ",]")
    if _after_space(text, at) != len(text):
        raise Refusal("regions", "list", f"not valid JSON: characters follow the list at place {at}")
