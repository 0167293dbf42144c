"""Certificates of each kind, honest and made false, for the tests of their export."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import secateur
from secateur.network import Affine, Dense, Network, Term, parse_onnx, to_model_bytes
from secateur.search import Holds, Violated
from tests.bounds.support import random_network
from tests.search.test_pairing import shifted
from tests.test_pair_certificate import SIDE, Files

__all__ = ["answers", "biases_raised", "claims", "falsified", "output_weight_changed", "pair", "query", "refuted"]

SIZES = [SIDE, 4, 4, 3]


def pair(folder: Path, seed: int = 0, second: Network | None = None, **claim: Any) -> Path:
    """A proof that a random network and a slightly other one agree, or decide alike."""
    folder.mkdir(exist_ok=True)
    first = random_network(SIZES, seed)
    files = Files(folder, first, shifted(first, 2.0**-11) if second is None else second)
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


def falsified(certificate: Path, key: str, change: Callable[[Network], Network], name: str = "changed.onnx") -> Path:
    """The certificate, as if it were about another network: what it claims is no longer true."""
    data = certificate.read_bytes()
    (length,) = struct.unpack("<Q", data[10:18])
    header = json.loads(data[18 : 18 + length])
    old = parse_onnx((certificate.parent / header[key]["file"]).read_bytes(), key)
    changed = to_model_bytes(change(old))
    (certificate.parent / name).write_bytes(changed)
    header[key] = {"file": name, "sha256": hashlib.sha256(changed).hexdigest()}
    text = json.dumps(header).encode()
    forged = certificate.with_name(f"forged-{certificate.name}")
    forged.write_bytes(data[:10] + struct.pack("<Q", len(text)) + text + data[18 + length :])
    return forged


def output_weight_changed(network: Network) -> Network:
    """One weight of the output layer is another one: that of the neuron with the largest bias, which is seldom inactive."""
    (term,) = network.output.terms
    weight = term.map.dense().weight.copy()
    weight[0, int(network.layers[-1].bias.argmax())] = 64.0
    output = Affine((Term(term.source, Dense(weight)),), network.output.bias)
    return Network(network.input_size, network.layers, output, network.interface)


def biases_raised(network: Network) -> Network:
    """No neuron is inactive any more."""
    layers = tuple(Affine(layer.terms, np.full(layer.size, 1024.0)) for layer in network.layers)
    return Network(network.input_size, layers, network.output, network.interface)


def claims(folder: Path) -> list[dict[str, Any]]:
    """What the manifest lists."""
    listed: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["instances"]
    return listed


def answers(folder: Path, version: str) -> dict[str, str]:
    """Secateur's own verdict on each instance of a version: `unsat`, `sat` or `unknown`, by the query's name."""
    from secateur.specification import read_query

    words = {"Holds": "unsat", "Violated": "sat", "Unknown": "unknown"}
    found = {}
    with secateur.Engine(jobs=1, solver="none") as engine:
        for entry in claims(folder):
            if entry["version"] == version:
                asked = read_query(folder / entry["vnnlib"])
                assert asked.version == version
                names = [network.name for network in asked.networks]
                models = dict(zip(names, (folder / path for path in entry["onnx"]), strict=True))
                verdict = engine.verify(models, folder / entry["vnnlib"], timeout=60)
                found[Path(entry["vnnlib"]).stem] = words[type(verdict).__name__]
    return found
