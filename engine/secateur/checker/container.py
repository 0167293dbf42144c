"""The certificate file: header, schema, and the compressed streams of the trees (sections 1, 8 and 9 of the format).

Nothing here is believed: unknown or repeated keys are refused, and every stream must decompress to exactly the number of symbols
that the header announces.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from secateur.checker.domain import unique_keys
from secateur.checker.records import (
    Certificate,
    DifferenceTree,
    Evidence,
    PairCertificate,
    PairClaim,
    Part,
    Plan,
    QueryCertificate,
    Tree,
)
from secateur.checker.refusal import Refusal
from secateur.checker.schema import (
    MAX_INTEGER,
    Streams,
    bad,
    read_bound,
    read_facts,
    read_integer,
    read_list,
    read_object,
    read_quadruple,
    read_rational,
    read_reference,
    read_text,
)

__all__ = ["MAGIC", "read_certificate", "symbols", "symbols_with_trusted"]

MAGIC = b"SECATEUR1\n"
KINDS = ("agree", "decision", "refuted", "unsat", "sat")
MAX_LEVEL = 255
MAX_SHIFT = 64


def _match(value: Any, tolerance: Fraction) -> tuple[tuple[int, int, int, int], ...]:
    if value is not None and tolerance == 0:
        raise bad("match", "only a claim with a positive tolerance may match neurons")
    pairs = read_list([] if value is None else value, "match", read_quadruple)
    if len({pair[:2] for pair in pairs}) != len(pairs):
        raise bad("match", "a neuron is matched twice")
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
        raise bad("header", "an object is needed")
    return header, data[18 + length :]


def _kind(header: dict[str, Any]) -> str:
    """The kind of claim, which says what the rest of the header looks like; refuses unknown kinds."""
    claim = header.get("claim")
    if claim is None:
        raise bad("header", "the key 'claim' is missing")
    kind = claim.get("kind") if isinstance(claim, dict) else None
    if kind not in KINDS:
        *others, last = (f"'{known}'" for known in KINDS)
        raise bad("claim.kind", f"only claims of the kinds {', '.join(others)} and {last} are known")
    return str(kind)


def _agreement(header: dict[str, Any], rest: bytes) -> Certificate:
    read_object(header, "header", "format version producer claim original reduced domain facts", optional="match")
    claim, streams = read_object(header["claim"], "claim", "kind tolerance"), Streams(rest)
    tolerance = read_bound(claim["tolerance"], "claim.tolerance")
    sides = read_object(header["facts"], "facts", "original reduced")
    facts = {side: read_facts(sides[side], f"facts.{side}", streams) for side in ("original", "reduced")}
    streams.finish()
    original, reduced, domain = (read_reference(header[key], key) for key in ("original", "reduced", "domain"))
    match = _match(header.get("match"), tolerance)
    return Certificate(read_text(header["producer"], "producer"), tolerance, original, reduced, domain, facts, match)


def _about_query(header: dict[str, Any], rest: bytes, refuted: bool) -> QueryCertificate:
    keys = "format version producer claim network query"
    read_object(header, "header", f"{keys} parts" if refuted else keys)
    claim, streams = read_object(header["claim"], "claim", "kind" if refuted else "kind point"), Streams(rest)
    point = None if refuted else read_list(claim["point"], "claim.point", read_rational)
    parts = read_list(header["parts"], "parts", streams.part) if refuted else ()
    streams.finish()
    network, query = (read_reference(header[key], key) for key in ("network", "query"))
    return QueryCertificate(read_text(header["producer"], "producer"), point, network, query, parts)


def _pair_claim(value: Any, where: str) -> PairClaim:
    """The statement of a certificate about two networks by differences."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "agree":
        value = read_object(value, where, "kind tolerance", optional="layer")
        layers = _two_layers(value["layer"], f"{where}.layer") if "layer" in value else None
        return PairClaim("agree", read_bound(value["tolerance"], f"{where}.tolerance"), layers)
    if kind != "decision":
        raise bad(f"{where}.kind", "a claim of the kind 'agree' or 'decision' is needed")
    value = read_object(value, where, "kind rule margin")
    if value["rule"] not in ("argmax", "argmin"):
        raise bad(f"{where}.rule", "the rule is 'argmax' or 'argmin'")
    return PairClaim(value["rule"], read_bound(value["margin"], f"{where}.margin"))


def _two_layers(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise bad(where, "two layers are needed")
    return read_integer(value[0], where, 1, MAX_INTEGER), read_integer(value[1], where, 1, MAX_INTEGER)


def _level(value: Any, where: str) -> int:
    return read_integer(value, where, 1, MAX_LEVEL)


def _shift(value: Any, where: str) -> int:
    return read_integer(value, where, 0, MAX_SHIFT)


def _plan(header: dict[str, Any]) -> Plan:
    """How the networks are joined, as far as that can be judged without them."""
    levels = read_list(header["levels"], "levels", _level)
    if any(after <= before for before, after in pairwise(levels)):
        raise bad("levels", "the levels do not increase")
    pairs = header["pairs"]
    if pairs != "position":
        if not isinstance(pairs, list):
            raise bad("pairs", 'a list or the word "position" is needed')
        pairs = read_list(pairs, "pairs", read_quadruple)
        for own, name in ((slice(0, 2), "original"), (slice(2, 4), "reduced")):
            if len({pair[own] for pair in pairs}) != len(pairs):
                raise bad("pairs", f"a neuron of the {name} network is paired twice")
    return Plan(levels, pairs, read_list(header["shifts"], "shifts", _shift))


def _about_pair(header: dict[str, Any], rest: bytes, refuted: bool) -> PairCertificate:
    keys = "format version producer claim original reduced domain"
    read_object(header, "header", keys if refuted else f"{keys} facts levels pairs shifts difference")
    own, streams = header["claim"], Streams(rest)
    evidence: Evidence | tuple[Fraction, ...]
    if refuted:
        own = read_object(own, "claim", "kind claim point")
        claim = _pair_claim(own["claim"], "claim.claim")
        evidence = read_list(own["point"], "claim.point", read_rational)
    else:
        claim = _pair_claim(own, "claim")
        facts = read_facts(read_object(header["facts"], "facts", "original")["original"], "facts.original", streams)
        evidence = Evidence(facts, _plan(header), streams.difference(header["difference"], "difference"))
    streams.finish()
    original, reduced, domain = (read_reference(header[key], key) for key in ("original", "reduced", "domain"))
    return PairCertificate(read_text(header["producer"], "producer"), claim, original, reduced, domain, evidence)


def read_certificate(data: bytes) -> Certificate | QueryCertificate | PairCertificate:
    """The certificate in a file's bytes; refuses everything that does not follow the schema to the letter."""
    header, rest = _header(data)
    version = header.get("version")
    if header.get("format") != "secateur-certificate" or type(version) is not int or version != 1:
        raise bad("format", "only version 1 of secateur-certificate is known")
    kind = _kind(header)
    if kind == "agree" and "difference" not in header:
        return _agreement(header, rest)
    if kind in ("unsat", "sat"):
        return _about_query(header, rest, kind == "unsat")
    return _about_pair(header, rest, kind == "refuted")


def symbols(tree: Tree | Part | DifferenceTree, largest: int, where: str) -> Sequence[int]:
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


def symbols_with_trusted(tree: Part | DifferenceTree, inputs: int, where: str) -> tuple[Sequence[int], int]:
    """The symbols of a tree that may have trusted leaves, whose number must be the announced one, and the symbol of these."""
    leaf = inputs + 1
    stream = symbols(tree, leaf, where)
    trusted = sum(symbol == leaf for symbol in stream)
    if trusted != tree.trusted:
        raise Refusal("container", where, f"the stream holds {trusted} trusted leaves, not the announced {tree.trusted}")
    return stream, leaf
