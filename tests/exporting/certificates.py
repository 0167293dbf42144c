"""Certificates of each kind, honest and made false, for the tests of their export."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import secateur
from secateur.checker.container import read_certificate
from secateur.checker.records import Certificate
from secateur.network import Affine, Dense, Network, Term, parse_onnx, to_model_bytes
from secateur.search import Holds, Violated
from tests.bounds.support import random_network
from tests.search.test_pairing import shifted
from tests.test_pair_certificate import SIDE, Files

__all__ = ["answers", "claims", "false_claim", "false_facts", "header", "pair", "query", "refuted", "with_header"]

F = Fraction
CLEARLY = F(1)
"""How far the outputs of a falsified network are from what is claimed; no solver's rounding makes up for it."""
SIZES = [SIDE, 3, 3, 3]


def pair(folder: Path, sizes: Sequence[int] = SIZES, seed: int = 6, **claim: Any) -> Path:
    """A proof that a random network and a slightly other one agree, or decide alike."""
    folder.mkdir(exist_ok=True)
    first = random_network(sizes, seed)  # its winner leads by more than 1/3 somewhere, so decisions can be made false
    files = Files(folder, first, shifted(first, 2.0**-11))
    assert isinstance(files.ask(**(claim or {"epsilon": "0.1"})), Holds)
    return files.certificate


def refuted(folder: Path, **claim: Any) -> Path:
    """A proof that they do not."""
    folder.mkdir(exist_ok=True)
    first = random_network(SIZES, 1)
    files = Files(folder, first, random_network(SIZES, 2))
    assert isinstance(files.ask(**claim), Violated)
    return files.certificate


def query(folder: Path, condition: str, kind: type) -> Path:
    """A proof of a verdict on a query about a random network on [-1, 1]^n."""
    folder.mkdir(exist_ok=True)
    (folder / "net.onnx").write_bytes(to_model_bytes(random_network(SIZES, 0)))
    lines = [f"(declare-const X_{i} Real)" for i in range(SIDE)] + [f"(declare-const Y_{i} Real)" for i in range(3)]
    lines += [f"(assert (>= X_{i} -1))\n(assert (<= X_{i} 1))" for i in range(SIDE)]
    (folder / "query.vnnlib").write_text("\n".join([*lines, f"(assert {condition})"]) + "\n")
    with secateur.Engine(jobs=1, solver="none") as engine:
        files = (folder / "net.onnx", folder / "query.vnnlib")
        assert isinstance(engine.verify(*files, certificate=folder / "proof.secateur", timeout=60), kind)
    return folder / "proof.secateur"


def header(certificate: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a certificate, and the bytes behind it."""
    data = certificate.read_bytes()
    (length,) = struct.unpack("<Q", data[10:18])
    return json.loads(data[18 : 18 + length]), data[18 + length :]


def with_header(certificate: Path, changed: dict[str, Any], rest: bytes) -> Path:
    """The certificate with another header, beside it."""
    text = json.dumps(changed).encode()
    forged = certificate.with_name(f"forged-{certificate.name}")
    forged.write_bytes(certificate.read_bytes()[:10] + struct.pack("<Q", len(text)) + text + rest)
    return forged


def network_of(certificate: Path, key: str) -> Network:
    """A network that a certificate names."""
    return parse_onnx((certificate.parent / header(certificate)[0][key]["file"]).read_bytes(), key)


def about_another(certificate: Path, key: str, network: Network) -> Path:
    """The certificate, as if it were about another network."""
    own, rest = header(certificate)
    data = to_model_bytes(network)
    (certificate.parent / "changed.onnx").write_bytes(data)
    own[key] = {"file": "changed.onnx", "sha256": hashlib.sha256(data).hexdigest()}
    return with_header(certificate, own, rest)


def fails(claim: dict[str, Any], first: Sequence[Fraction], second: Sequence[Fraction]) -> bool:
    """Whether outputs of two networks contradict a claim clearly: not by rounding only."""
    if claim["kind"] == "agree":
        return max(abs(a - b) for a, b in zip(first, second, strict=True)) > F(claim["tolerance"]) + CLEARLY
    sign = 1 if claim["rule"] == "argmax" else -1
    y, other = [sign * v for v in first], [sign * v for v in second]
    winner = y.index(max(y))
    rivals = [k for k in range(len(y)) if k != winner]
    leads = all(y[winner] - y[k] > F(claim["margin"]) for k in rivals)
    return leads and any(other[k] - other[winner] > CLEARLY for k in rivals)


def false_claim(certificate: Path) -> Path:
    """A certificate of `pair` whose second network has another weight, the first one that makes the claim false at a corner."""
    claim, first, second = header(certificate)[0]["claim"], *(network_of(certificate, key) for key in ("original", "reduced"))
    corners = list(itertools.product((F(-1), F(1, 3)), repeat=SIDE))
    values = [first.exact(point).output for point in corners]
    for changed in one_weight_changed(second):
        if any(fails(claim, own, changed.exact(point).output) for point, own in zip(corners, values, strict=True)):
            return about_another(certificate, "reduced", changed)
    raise AssertionError("no weight of the output layer makes the claim false")


def one_weight_changed(network: Network) -> Iterator[Network]:
    """The network with one weight of the output layer replaced, each in turn."""
    (term,) = network.output.terms
    weight = term.map.dense().weight
    for index in np.ndindex(weight.shape):
        for value in (64.0, -64.0):
            other = weight.copy()
            other[index] = value
            output = Affine((Term(term.source, Dense(other)),), network.output.bias)
            yield Network(network.input_size, network.layers, output, network.interface)


def false_facts(certificate: Path, point: Sequence[Fraction]) -> Path:
    """The certificate, as if about a network all of whose neurons that it speaks of have the other phase at a point."""
    read = read_certificate(certificate.read_bytes())
    assert isinstance(read, Certificate)
    own = read.facts["original"]
    facts = [*own.interval, *(claim for tree in own.trees for claim in tree.claims)]
    network = network_of(certificate, "original")
    for k in range(1, len(network.layers) + 1):
        z, layers = network.exact(point).pre_activations[k - 1], list(network.layers)
        bias = layers[k - 1].bias.copy()
        for fact in facts:
            if fact.layer == k:  # a power of two that outweighs what the neuron had
                size = 2.0 ** (int(abs(z[fact.neuron]) + abs(F(bias[fact.neuron]))).bit_length() + 1)
                bias[fact.neuron] = size if fact.phase == "inactive" else -size
        layers[k - 1] = Affine(layers[k - 1].terms, bias)
        network = Network(network.input_size, tuple(layers), network.output, network.interface)
    z_of = network.exact(point).pre_activations
    assert facts
    assert all((z_of[fact.layer - 1][fact.neuron] > 0) == (fact.phase == "inactive") for fact in facts)
    return about_another(certificate, "original", network)


def claims(folder: Path) -> list[dict[str, Any]]:
    """What the manifest lists."""
    listed: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["instances"]
    return listed


def answers(folder: Path, version: str, names: str = "*") -> dict[str, str]:
    """Secateur's own verdict on each instance of a version whose name matches: `unsat`, `sat` or `unknown`, by the name."""
    from secateur.specification import read_query

    words = {"Holds": "unsat", "Violated": "sat", "Unknown": "unknown"}
    found = {}
    with secateur.Engine(jobs=1, solver="none") as engine:
        for entry in claims(folder):
            name = Path(entry["vnnlib"]).stem
            if entry["version"] == version and fnmatch(name, names):
                asked = read_query(folder / entry["vnnlib"])
                assert asked.version == version
                networks = [network.name for network in asked.networks]
                models = dict(zip(networks, (folder / path for path in entry["onnx"]), strict=True))
                found[name] = words[type(engine.verify(models, folder / entry["vnnlib"], timeout=60)).__name__]
    assert found
    return found
