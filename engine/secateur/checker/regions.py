"""What a family's certificate says about the nodes of the partition, one after the other (section 10 of the format).

The text can be large, so that only one entry at a time is ever read into objects.
"""

from __future__ import annotations

from typing import Any

from secateur.checker.json_list import JsonList
from secateur.checker.pair_schema import read_match, read_pair_claim, read_plan
from secateur.checker.records import FamilyCertificate, Join, Region, Simulation, SliceEvidence
from secateur.checker.refusal import Refusal
from secateur.checker.schema import Streams, bad, read_facts, read_object

__all__ = ["Regions"]


class Regions:
    """The entries of a certificate, in order; each takes the streams of its trees."""

    def __init__(self, certificate: FamilyCertificate) -> None:
        self._entries = JsonList(certificate.regions, "regions", "list").entries()
        self._streams = Streams(certificate.streams)

    def next(self, leaf: bool) -> Region:
        """The entry of the next node."""
        entry = next(self._entries, None)
        if entry is None:
            raise Refusal("regions", "", "the list ends before the nodes of the partition do")
        value = entry.value
        if not leaf:
            return Region(None if value is None else read_facts(value, "facts", self._streams), None)
        value = read_object(value, "leaf", "facts claim evidence")
        facts = None if value["facts"] is None else read_facts(value["facts"], "facts", self._streams)
        return Region(facts, _leaf(value, self._streams))

    def finish(self) -> None:
        """Nothing may be left."""
        if next(self._entries, None) is not None:
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
