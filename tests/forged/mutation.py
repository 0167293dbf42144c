"""Mutants of certificates, and what the checker says of them.

A mutant is a certificate with one change (now and then two) in its header, its streams, its bytes, or in the files that it is
about; hashes, lengths and counts are mostly brought up to date, so that these alone do not refuse it. The checker must refuse
it, or it states something that is still true (`truth.py` decides that), in both arithmetics alike.
"""

from __future__ import annotations

import copy
import hashlib
import json
import posixpath
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from secateur.checker import Accepted, CheckInputError, Refused, check
from secateur.checker.container import MAGIC
from tests.forged.bases import Bundle, trees_in
from tests.forged.truth import Unclear, is_true

__all__ = ["OUTCOMES", "Mutant", "Truth", "judged", "mutant_of", "packed"]

OUTCOMES = ("refused", "true", "trusted", "unclear", "WRONG", "CRASH", "DISAGREE")
NUMBERS = (0, 1, 2, 3, 7, 255, 256, 1000, -1, -200, 201, 1 << 24, 1 << 53, 1 << 70)
TEXTS = ("", "0", "1/1000", "-1/7", "1e9", "1/0", "nan", "argmin", "agree", "active", "position", "0" * 64, "a" * 5000, "\x00")
ODD = (None, True, 0.5, [], {}, "x", 10**400)


@dataclass(frozen=True)
class Mutant:
    """A changed certificate with the files that it is about, and what was changed."""

    certificate: bytes
    files: dict[str, bytes]
    change: str


# Changes of JSON: of any value, in place.


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found.append((value, key))
        _places(value[key], found)
    return found


def _number(old: int, rng: random.Random) -> int:
    return rng.choice([old + 1, old - 1, old + 1, old - 1, -old, 2 * old, old // 2, rng.choice(NUMBERS)])


def _text(old: str, rng: random.Random) -> str:
    """Mostly another number, phase or rule; else other characters."""
    if old in ("inactive", "active"):
        return "active" if old == "inactive" else "inactive"
    if old in ("argmax", "argmin"):
        return "argmin" if old == "argmax" else "argmax"
    digits = [i for i, c in enumerate(old) if c.isdigit()]
    if digits and rng.random() < 0.6:
        i = rng.choice(digits)
        return f"{old[:i]}{rng.choice('0123456789')}{old[i + 1 :]}"
    changes = [f"-{old}", f"{old}0", f"{old}/3", old[1:], old[:-1], f"./{old}", f"../{old}", rng.choice(TEXTS)]
    return rng.choice(changes)


def _change_value(container: Any, key: Any, rng: random.Random) -> None:
    value = container[key]
    if rng.random() < 0.06:
        container[key] = copy.deepcopy(rng.choice(ODD))
    elif isinstance(value, bool) or not isinstance(value, (int, str, list, dict)):
        container[key] = rng.choice([0, "0", []])
    elif isinstance(value, int):
        container[key] = _number(value, rng)
    elif isinstance(value, str):
        container[key] = _text(value, rng)
    elif isinstance(value, list):
        _change_list(value, rng)
    else:
        _change_object(value, rng)


def _change_list(value: list[Any], rng: random.Random) -> None:
    """Drops, duplicates, swaps or reverses entries."""
    if not value:
        value.append(rng.choice([0, [1, 0, "inactive"], {}]))
        return
    i, j = rng.randrange(len(value)), rng.randrange(len(value))
    kind = rng.randrange(4)
    if kind == 0:
        del value[i]
    elif kind == 1:
        value.insert(j, copy.deepcopy(value[i]))
    elif kind == 2:
        value[i], value[j] = value[j], value[i]
    else:
        value.reverse()


def _change_object(value: dict[str, Any], rng: random.Random) -> None:
    """Drops, adds, renames or exchanges keys."""
    if not value:
        value["x"] = 0
        return
    first, second = rng.choice(list(value)), rng.choice(list(value))
    kind = rng.randrange(4)
    if kind == 0:
        del value[first]
    elif kind == 1:
        value[rng.choice(["x", "match", "layer", "trusted", "point"])] = copy.deepcopy(value[first])
    elif kind == 2:
        value[f"{first}s"] = value.pop(first)
    else:
        value[first], value[second] = value[second], value[first]


def _change_json(bundle: Bundle, rng: random.Random) -> str:
    regions = bundle.regions is not None and rng.random() < 0.6
    places = _places(bundle.regions if regions else bundle.header, [])
    container, key = rng.choice(places)
    _change_value(container, key, rng)
    return f"{'regions' if regions else 'header'} {key}"


def _forge_fact(bundle: Bundle, rng: random.Random) -> str:
    """One more claim of a tree or of the interval rule, or one less, or a trusted one."""
    root = bundle.regions if bundle.regions is not None else bundle.header
    lists = [(c, k) for c, k in _places(root, []) if k in ("claims", "interval", "solver") and isinstance(c[k], list)]
    if not lists:
        return _change_json(bundle, rng)
    container, key = rng.choice(lists)
    claim = [rng.randint(1, 3), rng.randint(0, 4), rng.choice(["inactive", "active"])]
    container[key].insert(rng.randint(0, len(container[key])), {"claim": claim, "by": "z3 4"} if key == "solver" else claim)
    return f"one more in {key}"


# Changes of streams, of files, and of bytes.


def _change_stream(bundle: Bundle, rng: random.Random) -> str:
    trees = list(trees_in(bundle.header if bundle.regions is None else bundle.regions))
    if not bundle.streams or len(trees) != len(bundle.streams):  # the latter after another change
        return _change_json(bundle, rng)
    number = rng.randrange(len(bundle.streams))
    symbols, tree, trusted = list(bundle.streams[number]), trees[number], bundle.inputs + 1
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
    return f"stream {number}"


def _other_network(data: bytes, rng: random.Random) -> bytes:
    """Another weight, or another byte."""
    if rng.random() < 0.3:
        return _other_bytes(data, rng)
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:  # of a second change
        return _other_bytes(data, rng)
    if not model.graph.initializer:
        return _other_bytes(data, rng)
    tensor = rng.choice(model.graph.initializer)
    values = np.array(numpy_helper.to_array(tensor))
    if not values.size:
        return _other_bytes(data, rng)
    place = rng.randrange(values.size)
    values.flat[place] = rng.choice([0.0, -values.flat[place], values.flat[place] * 1.001, values.flat[place] + 0.5, 1.0])
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString())


def _other_bytes(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    i, kind = rng.randrange(len(data)), rng.randrange(4)
    own = bytes([rng.randrange(256)])
    return [data[:i] + own + data[i + 1 :], data[:i] + data[i + 1 :], data[:i], data[:i] + own + data[i:]][kind]


def _other_text(data: bytes, rng: random.Random) -> bytes:
    """Another number or operator in a domain, manifest or query; else another byte."""
    text, kind = data.decode(errors="replace"), rng.randrange(5)
    if kind == 0:
        return _other_bytes(data, rng)
    pattern = r"<=|>=|<|>|\bor\b|\band\b" if kind == 1 and b"assert" in data else r"-?[0-9][0-9./e]*"
    found = list(re.finditer(pattern, text))
    if not found:
        return _other_bytes(data, rng)
    own = rng.choice(found)
    operators = {"<=": "<", "<": "<=", ">=": ">", ">": ">=", "or": "and", "and": "or"}
    new = operators.get(own[0]) or rng.choice([_text(own[0], rng), own[0] + "1", "0", f"-{own[0]}"])
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


CHANGES: list[Callable[[Bundle, random.Random], str]] = [
    *[_change_json] * 8, *[_change_stream] * 4, *[_change_file] * 5, *[_forge_fact] * 2, _exchange_files,
]  # fmt: skip


def packed(bundle: Bundle, honest: bool) -> bytes:
    """The certificate; `honest`: with the lengths that its streams have."""
    streams = [zlib.compress(stream) for stream in bundle.streams]
    trees = list(trees_in(bundle.header if bundle.regions is None else bundle.regions))
    if honest:
        for tree, stream in zip(trees, streams, strict=False):
            tree["bytes"] = len(stream)
    if bundle.regions is not None:
        text = json.dumps(bundle.regions).encode()
        streams.insert(0, zlib.compress(text))
        if honest and isinstance(bundle.header.get("regions"), dict):
            bundle.header["regions"] |= {"length": len(text), "bytes": len(streams[0])}
    text = json.dumps(bundle.header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + b"".join(streams)


def mutant_of(base: Bundle, rng: random.Random) -> Mutant:
    """A certificate with a random change, or two."""
    bundle = copy.deepcopy(base)
    if rng.random() < 0.08:
        return Mutant(_other_bytes(packed(bundle, True), rng), bundle.files, "byte of the certificate")
    changes = [rng.choice(CHANGES)(bundle, rng) for _ in range(rng.choice([1, 1, 1, 1, 2]))]
    keep = "header bytes" in changes or rng.random() < 0.08
    return Mutant(packed(bundle, not keep), bundle.files, ", ".join(changes))


# Judging.


class Truth:
    """Remembers what is true: most mutants state what their base does."""

    def __init__(self) -> None:
        self.known: dict[bytes, bool | None] = {}

    def __call__(self, mutant: Mutant) -> bool | None:
        """Whether the mutant's statement is true; None where that is not clear."""
        length = int.from_bytes(mutant.certificate[10:18], "little")
        header = json.loads(mutant.certificate[18 : 18 + length])
        for value in header.values():
            if isinstance(value, dict) and "file" in value:
                value["file"] = posixpath.normpath(value["file"])
        named = {key: value for key, value in header.items() if isinstance(value, dict) and ("file" in value or key == "claim")}
        key = hashlib.sha256(repr((named, sorted(mutant.files.items()))).encode()).digest()
        if key not in self.known:
            try:
                self.known[key] = is_true(header, mutant.files)
            except Unclear:
                self.known[key] = None
        return self.known[key]


def _verdict(path: Path, arithmetic: Any) -> Accepted | Refused | CheckInputError:
    try:
        return check(path, arithmetic=arithmetic)
    except CheckInputError as error:
        return error


def _comparable(verdict: Accepted | Refused | CheckInputError) -> str:
    own = verdict.statement if isinstance(verdict, Accepted) else str(verdict)
    return f"{type(verdict).__name__} {own}".replace("fast integer", "exact integer")


def judged(mutant: Mutant, folder: Path, truth: Truth) -> tuple[str, str]:
    """One of `OUTCOMES`, and its words; the mutant is written to the (empty) folder."""
    for name, data in mutant.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = folder / "mutant.secateur"
    path.write_bytes(mutant.certificate)
    try:
        fast, exact = _verdict(path, "fast"), _verdict(path, "exact")
        strict = check(path, strict=True) if isinstance(fast, Accepted) else None
    except Exception as error:
        return "CRASH", f"{type(error).__name__}: {error}"
    if _comparable(fast) != _comparable(exact):
        return "DISAGREE", f"{fast} / {exact}"
    if not isinstance(fast, Accepted):
        return "refused", str(fast)
    if fast.trusted:
        return ("trusted" if isinstance(strict, Refused) else "WRONG"), fast.statement
    known = truth(mutant)
    return ("unclear" if known is None else "true" if known else "WRONG"), fast.statement
