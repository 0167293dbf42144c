"""Mutants of certificates.

A mutant is a certificate with one change (now and then two or three) in its header, its streams, its bytes, or in the files
that it is about; hashes, lengths and counts are mostly brought up to date, so that these alone do not refuse it. The checker
must refuse it, or it states something that is still true, in both arithmetics alike (`judging.py`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from secateur.checker.container import MAGIC
from tests.forged.bases import Bundle, entries_in
from tests.forged.evidence_changes import UNPROVEN, change_evidence
from tests.forged.random_changes import change_value, other_bytes, other_text, places

__all__ = ["Mutant", "mutant_of", "packed"]


@dataclass(frozen=True)
class Mutant:
    """A changed certificate with the files that it is about, and what was changed."""

    certificate: bytes
    files: dict[str, bytes]
    change: str


# Changes of the header and of a family's entries.


def _change_json(bundle: Bundle, rng: random.Random) -> str:
    regions = bundle.regions is not None and rng.random() < 0.6
    container, key = rng.choice(places(bundle.regions if regions else bundle.header, []))
    change_value(container, key, rng)
    return f"{'regions' if regions else 'header'} {key}"


def _forge_fact(bundle: Bundle, rng: random.Random) -> str:
    """One more claim of a tree or of the interval rule, or one less, or a trusted one."""
    lists = [(c, k) for c, k in places(bundle.root, []) if k in ("claims", "interval", "solver") and isinstance(c[k], list)]
    if not lists:
        return _change_json(bundle, rng)
    container, key = rng.choice(lists)
    claim = [rng.randint(1, 3), rng.randint(0, 4), rng.choice(["inactive", "active"])]
    container[key].insert(rng.randint(0, len(container[key])), {"claim": claim, "by": "z3 4"} if key == "solver" else claim)
    return f"one more in {key}"


# Changes of streams, of files, and of bytes.


def _change_stream(bundle: Bundle, rng: random.Random) -> str:
    entries = list(entries_in(bundle.root))
    if not bundle.streams or len(entries) != len(bundle.streams):  # the latter after another change
        return _change_json(bundle, rng)
    number = rng.choice([number for number, entry in enumerate(entries) if "nodes" in entry])
    symbols, tree, trusted = list(bundle.streams[number]), entries[number], bundle.inputs + 1
    i, kind = rng.randrange(max(1, len(symbols))), rng.randrange(6) if symbols else 2
    if kind == 0:
        symbols[i] = rng.randint(0, bundle.inputs + 2)
    elif kind == 1:
        del symbols[i]
    elif kind == 2:
        symbols.insert(i, rng.randint(0, trusted))
    elif kind == 3:
        symbols = [0]  # the whole tree becomes a leaf
    elif kind == 4:
        symbols[i : i + 1] = [rng.randint(1, bundle.inputs), 0, 0]
    else:
        splits = [at for at in range(len(symbols) - 2) if symbols[at] and not symbols[at + 1] and not symbols[at + 2]]
        at = rng.choice(splits) if splits else 0
        symbols[at : at + 3] = [rng.choice([0, 0, trusted])]
    bundle.streams[number] = bytes(symbols)
    if rng.random() < 0.85:
        tree["nodes"] = len(symbols)
        if "trusted" in tree:
            tree["trusted"] = symbols.count(trusted)
        if isinstance(tree.get("refuted"), dict):
            tree["refuted"]["leaves"] = symbols.count(trusted + 1)
    return f"stream {number}"


def _other_network(data: bytes, rng: random.Random) -> bytes:
    """Another weight, or another byte."""
    if rng.random() < 0.3:
        return other_bytes(data, rng)
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:  # of a second change
        return other_bytes(data, rng)
    if not model.graph.initializer:
        return other_bytes(data, rng)
    tensor = rng.choice(model.graph.initializer)
    values = np.array(numpy_helper.to_array(tensor))
    if not values.size:
        return other_bytes(data, rng)
    place = rng.randrange(values.size)
    values.flat[place] = rng.choice([0.0, -values.flat[place], values.flat[place] * 1.001, values.flat[place] + 0.5, 1.0])
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString())


def _other_text(data: bytes, rng: random.Random) -> bytes:
    """Another number or operator in a domain, manifest or query; else another byte."""
    text, kind = data.decode(errors="replace"), rng.randrange(5)
    if kind == 0:
        return other_bytes(data, rng)
    pattern = r"<=|>=|<|>|\bor\b|\band\b" if kind == 1 and b"assert" in data else r"-?[0-9][0-9./e]*"
    found = list(re.finditer(pattern, text))
    if not found:
        return other_bytes(data, rng)
    own = rng.choice(found)
    operators = {"<=": "<", "<": "<=", ">=": ">", ">": ">=", "or": "and", "and": "or"}
    new = operators.get(own[0]) or rng.choice([other_text(own[0], rng), own[0] + "1", "0", f"-{own[0]}"])
    return f"{text[: own.start()]}{new}{text[own.end() :]}".encode()


def _change_file(bundle: Bundle, rng: random.Random) -> str:
    """Another network, box, partition or query; mostly with its hash, wherever that stands."""
    name = rng.choice(sorted(bundle.files))
    change = _other_network if name.endswith(".onnx") else _other_text
    new = change(bundle.files[name], rng)
    _replace_file(bundle, name, new, rehash=rng.random() < 0.95)
    return f"file {name}"


def _replace_file(bundle: Bundle, name: str, data: bytes, rehash: bool) -> None:
    """Another content for a file, and its hash in the header and in the manifest."""
    before, after = (hashlib.sha256(own).hexdigest() for own in (bundle.files[name], data))
    bundle.files[name] = data
    if not rehash:
        return
    for key, value in bundle.header.items():
        if isinstance(value, dict) and value.get("sha256") == before:
            bundle.header[key] = {**value, "sha256": after}
    manifest = bundle.files.get("manifest.json")
    if manifest is not None and before.encode() in manifest:
        _replace_file(bundle, "manifest.json", manifest.replace(before.encode(), after.encode()), rehash=True)


def _exchange_files(bundle: Bundle, rng: random.Random) -> str:
    """Two networks change places."""
    names = [name for name in sorted(bundle.files) if name.endswith(".onnx")]
    if len(names) < 2:
        return _change_file(bundle, rng)
    first, second = rng.sample(names, 2)
    contents = bundle.files[first], bundle.files[second]
    _replace_file(bundle, first, contents[1], rehash=True)
    _replace_file(bundle, second, contents[0], rehash=True)
    return "networks exchanged"


def _change_evidence(bundle: Bundle, rng: random.Random) -> str:
    """Another refutation of a leaf, with other leaves, steps or numbers; see `evidence_changes`."""
    return change_evidence(bundle, rng) or _change_json(bundle, rng)


def _forge_statement(bundle: Bundle, rng: random.Random) -> str:
    """Another claim, and evidence that shows nothing."""
    own = _change_claim(bundle, rng)
    return f"{own}, {change_evidence(bundle, rng, UNPROVEN)}"


def _change_semantics(bundle: Bundle, rng: random.Random) -> str:
    """The same claim over the reals, or about something unknown."""
    if rng.random() < 0.7:
        bundle.header.pop("semantics", None)
    else:
        bundle.header["semantics"] = rng.choice(["real", "float64", "Float32", "", None, ["float32"]])
    return "semantics"


def _equal_networks(bundle: Bundle, rng: random.Random) -> str:
    """A network and itself, which agree exactly over the reals, but need not in float32."""
    claim = bundle.header.get("claim")
    if not {"net.onnx", "other.onnx"} <= bundle.files.keys() or not isinstance(claim, dict):
        return _change_file(bundle, rng)
    _replace_file(bundle, "other.onnx", bundle.files["net.onnx"], rehash=True)
    for key in claim.keys() & {"tolerance", "margin"}:
        claim[key] = rng.choice(["0", "1/1000000000", "1/1000000", "1/10000"])
    return "equal networks"


def _change_claim(bundle: Bundle, rng: random.Random) -> str:
    """A statement that is a little stronger or weaker: another bound; of a query, another comparison or number."""
    factor = 1 + rng.choice([-1, -1, 1]) * Fraction(1, 1 << rng.choice([1, 3, 6, 10, 20, 40]))
    queries = [name for name in bundle.files if name.endswith(".vnnlib")]
    if queries:
        _replace_file(bundle, queries[0], _other_row(bundle.files[queries[0]], factor, rng), rehash=True)
        return "a row of the query"
    claim = bundle.header.get("claim")
    for key in ("tolerance", "margin"):
        if isinstance(claim, dict) and re.fullmatch(r"[0-9]+(/[1-9][0-9]*)?", str(claim.get(key))):
            claim[key] = str(Fraction(claim[key]) * factor)
            return f"claim {key}"
    return _change_json(bundle, rng)  # after another change


def _other_row(data: bytes, factor: Fraction, rng: random.Random) -> bytes:
    """A query where some number, or now and then a comparison, in the assertions about outputs is another."""
    text = data.decode(errors="replace")
    start = max(0, text.find("(assert", text.rfind("(assert (<= X_")) + 1)
    pattern = r"<=|>=|<|>" if rng.random() < 0.3 else r"(?<![\w.])-?[0-9]+(\.[0-9]+)?(?![\w.])"
    found = list(re.finditer(pattern, text[start:]))
    if not found:
        return other_bytes(data, rng)
    own = rng.choice(found)
    new = rng.choice([c for c in ("<=", "<", ">=", ">") if c[0] == own[0][0] and c != own[0]] or [""])
    if own[0][0] not in "<>":
        new = f"{float(Fraction(own[0]) * factor) if rng.random() < 0.7 else float(Fraction(own[0])) + float(factor - 1):.15f}"
    return f"{text[: start + own.start()]}{new}{text[start + own.end() :]}".encode()


CHANGES: list[Callable[[Bundle, random.Random], str]] = [
    *[_change_json] * 8, *[_change_stream] * 4, *[_change_file] * 5, *[_forge_fact] * 2, _exchange_files,
]  # fmt: skip


def packed(bundle: Bundle, honest: bool) -> bytes:
    """The certificate; `honest`: with the lengths that its streams have."""
    streams = [zlib.compress(stream) for stream in bundle.streams]
    if honest:
        for entry, stream in zip(list(entries_in(bundle.root)), streams, strict=False):
            entry["bytes"] = len(stream)
    if bundle.regions is not None:
        text = json.dumps(bundle.regions).encode()
        streams.insert(0, zlib.compress(text))
        if honest and isinstance(bundle.header.get("regions"), dict):
            bundle.header["regions"] |= {"length": len(text), "bytes": len(streams[0])}
    text = json.dumps(bundle.header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + b"".join(streams)


def mutant_of(base: Bundle, rng: random.Random) -> Mutant:
    """A certificate with a random change, or two; up to three where evidence or semantics are to be changed along with others."""
    bundle = copy.deepcopy(base)
    if rng.random() < 0.08:
        return Mutant(other_bytes(packed(bundle, True), rng), bundle.files, "byte of the certificate")
    refuted, float32 = any("length" in entry for entry in entries_in(bundle.root)), "semantics" in bundle.header
    kinds, counts = list(CHANGES), [1, 1, 1, 1, 2]
    if refuted or float32:
        kinds += (
            ([_change_evidence] * 20 + [_forge_statement] * 8) * refuted
            + [_change_semantics, _equal_networks] * float32
            + [_change_claim] * 12
        )
        counts = [1, 2, 2, 3, 3]
    changes = [rng.choice(kinds)(bundle, rng) for _ in range(rng.choice(counts))]
    keep = "header bytes" in changes or rng.random() < 0.08
    return Mutant(packed(bundle, not keep), bundle.files, ", ".join(changes))
