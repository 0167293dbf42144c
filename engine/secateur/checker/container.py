"""The certificate file: header, schema, and the compressed streams of the trees (sections 1, 8 to 11 and 13 of the format).

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
from typing import Any

from secateur.checker.domain import unique_keys
from secateur.checker.pair_schema import read_match, read_pair_claim, read_plan
from secateur.checker.records import (
    Certificate,
    DifferenceTree,
    Evidence,
    FamilyCertificate,
    PairCertificate,
    Part,
    QueryCertificate,
    Tree,
)
from secateur.checker.refusal import Refusal
from secateur.checker.schema import (
    Streams,
    bad,
    read_bound,
    read_facts,
    read_integer,
    read_list,
    read_object,
    read_rational,
    read_reference,
    read_text,
)

__all__ = ["MAGIC", "inflated", "read_certificate", "read_header", "symbols", "symbols_with_trusted"]

MAGIC = b"SECATEUR1\n"
KINDS = ("agree", "decision", "refuted", "unsat", "sat", "family")
MAX_REGIONS = 1 << 30


def read_header(data: bytes) -> tuple[dict[str, Any], bytes]:
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
    match = read_match(header, tolerance)
    return Certificate(read_text(header["producer"], "producer"), tolerance, original, reduced, domain, facts, match)


def _float32(header: dict[str, Any]) -> bool:
    """Whether the claim is about float32 arithmetic (section 11), in a header that may say so."""
    if "semantics" in header and header["semantics"] != "float32":
        raise bad("semantics", "only 'float32' is known")
    return "semantics" in header


def _about_query(header: dict[str, Any], rest: bytes, refuted: bool) -> QueryCertificate:
    keys = "format version producer claim network query"
    read_object(header, "header", f"{keys} parts" if refuted else keys, optional="semantics" if refuted else "")
    claim, streams = read_object(header["claim"], "claim", "kind" if refuted else "kind point"), Streams(rest)
    point = None if refuted else read_list(claim["point"], "claim.point", read_rational)
    parts = read_list(header["parts"], "parts", streams.part) if refuted else ()
    streams.finish()
    network, query = (read_reference(header[key], key) for key in ("network", "query"))
    return QueryCertificate(read_text(header["producer"], "producer"), point, network, query, parts, _float32(header))


def _about_pair(header: dict[str, Any], rest: bytes, refuted: bool) -> PairCertificate:
    keys = "format version producer claim original reduced domain"
    full = f"{keys} facts levels pairs shifts difference"
    read_object(header, "header", keys if refuted else full, optional="" if refuted else "semantics")
    own, streams = header["claim"], Streams(rest)
    evidence: Evidence | tuple[Fraction, ...]
    if refuted:
        own = read_object(own, "claim", "kind claim point")
        claim = read_pair_claim(own["claim"], "claim.claim")
        evidence = read_list(own["point"], "claim.point", read_rational)
    else:
        claim = read_pair_claim(own, "claim")
        facts = read_facts(read_object(header["facts"], "facts", "original")["original"], "facts.original", streams)
        evidence = Evidence(facts, read_plan(header), streams.difference(header["difference"], "difference"))
    streams.finish()
    original, reduced, domain = (read_reference(header[key], key) for key in ("original", "reduced", "domain"))
    producer, float32 = read_text(header["producer"], "producer"), _float32(header)
    return PairCertificate(producer, claim, original, reduced, domain, evidence, float32)


def _about_family(header: dict[str, Any], rest: bytes) -> FamilyCertificate:
    read_object(header, "header", "format version producer claim original manifest regions")
    own, streams = read_object(header["claim"], "claim", "kind claim"), Streams(rest)
    claim = read_pair_claim(own["claim"], "claim.claim", optional="")
    regions = read_object(header["regions"], "regions", "length bytes")
    length = read_integer(regions["length"], "regions.length", 2, MAX_REGIONS)
    packed = streams.take(regions["bytes"], "regions")
    original, manifest = (read_reference(header[key], key) for key in ("original", "manifest"))
    producer = read_text(header["producer"], "producer")
    return FamilyCertificate(
        producer, claim, original, manifest, inflated(packed, length, "regions", f"{length} bytes"), streams.rest()
    )


def read_certificate(data: bytes) -> Certificate | QueryCertificate | PairCertificate | FamilyCertificate:
    """The certificate in a file's bytes; refuses everything that does not follow the schema to the letter."""
    header, rest = read_header(data)
    version = header.get("version")
    if header.get("format") != "secateur-certificate" or type(version) is not int or version != 1:
        raise bad("format", "only version 1 of secateur-certificate is known")
    kind = _kind(header)
    if kind == "agree" and "difference" not in header:
        return _agreement(header, rest)
    if kind in ("unsat", "sat"):
        return _about_query(header, rest, kind == "unsat")
    if kind == "family":
        return _about_family(header, rest)
    return _about_pair(header, rest, kind == "refuted")


def inflated(stream: bytes, size: int, where: str, unit: str) -> bytes:
    """The `size` bytes that a compressed stream must hold; at most one more is ever decompressed."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise Refusal("container", where, f"the stream is damaged: {error}") from None
    if len(raw) > size:
        raise Refusal("container", where, f"the stream holds more than the announced {unit}")
    if len(raw) < size or not inflater.eof:
        raise Refusal("container", where, f"the stream holds fewer than the announced {unit}")
    if inflater.unused_data:
        raise Refusal("container", where, "bytes follow the compressed stream")
    return raw


def symbols(tree: Tree | Part | DifferenceTree, largest: int, where: str) -> Sequence[int]:
    """The symbols of a tree's nodes in preorder; at most the announced number is ever decompressed.

    `largest` is the largest symbol that the tree may use: it decides how many bytes each takes.
    """
    width = 1 if largest <= 254 else 2
    raw = inflated(tree.stream, tree.nodes * width, where, f"{tree.nodes} symbols")
    return raw if width == 1 else array("H", struct.unpack(f"<{tree.nodes}H", raw))


def symbols_with_trusted(tree: Part | DifferenceTree, inputs: int, where: str) -> tuple[Sequence[int], int]:
    """The symbols of a tree that may have trusted leaves, whose number must be the announced one, and the symbol of these."""
    leaf = inputs + 1
    stream = symbols(tree, leaf, where)
    trusted = sum(symbol == leaf for symbol in stream)
    if trusted != tree.trusted:
        raise Refusal("container", where, f"the stream holds {trusted} trusted leaves, not the announced {tree.trusted}")
    return stream, leaf
