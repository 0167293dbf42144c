"""Small networks, a slow reference prover on the checker's plain arithmetic, and a writer of certificates."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.checker import Accepted, Refused, check
from secateur.checker.chain import Chain, ChainLayer, chain_form
from secateur.checker.container import MAGIC
from secateur.checker.domain import Domain, read_domain
from secateur.checker.lowering import Affine, Network, lower
from secateur.checker.nodes import Goal
from secateur.checker.python_arithmetic import PythonArithmetic
from secateur.checker.records import Claim
from secateur.checker.root import RootBounds
from tests.onnx_models import model_bytes, node

__all__ = [
    "Case",
    "both",
    "dense_model",
    "evaluate",
    "exact_layers",
    "grow",
    "grow_tree",
    "random_case",
    "random_chain",
    "write_certificate",
]

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
GRID = 40


def both(path: Path, **options: object) -> list[Accepted | Refused]:
    """The verdicts on a certificate in fast and in exact arithmetic."""
    return [check(path, arithmetic=own, **options) for own in ("fast", "exact")]  # type: ignore[arg-type]


def dense_model(layers: Sequence[Layer]) -> bytes:
    """An ONNX file of Gemm and Relu nodes; the last layer has no Relu."""
    stored, nodes, name = {}, [], "x"
    for k, (weights, bias) in enumerate(layers):
        stored |= {f"w{k}": weights.astype(np.float32), f"b{k}": bias.astype(np.float32)}
        nodes.append(node("Gemm", [name, f"w{k}", f"b{k}"], f"z{k}", transB=1))
        name = f"z{k}"
        if k < len(layers) - 1:
            nodes.append(node("Relu", [name], f"r{k}"))
            name = f"r{k}"
    shapes = {"x": ["batch", layers[0][0].shape[1]]}, {name: ["batch", layers[-1][0].shape[0]]}
    return model_bytes(nodes, stored, inputs=shapes[0], outputs=shapes[1])


def random_layers(sizes: Sequence[int], rng: np.random.Generator) -> list[Layer]:
    """Weights of ordinary size, with zeros and a spread of magnitudes."""
    layers = []
    for before, after in pairwise(sizes):
        weights = rng.normal(size=(after, before)) * np.exp2(rng.integers(-3, 2, size=(1, before)))
        weights[rng.random(weights.shape) < 0.1] = 0.0
        layers.append((weights.astype(np.float32), (rng.normal(size=after) * 0.5).astype(np.float32)))
    return layers


def random_chain(seed: int) -> tuple[Network, Domain, Chain]:
    """A random network of two to four layers on a random box, now and then with a skip connection."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(1, 7, size=rng.integers(3, 6))]
    layers = random_layers(sizes, rng)
    network = lower(dense_model(layers) if seed % 3 else skip_model(layers, rng))
    lower_ends = [Fraction(int(n), 7) for n in rng.integers(-9, 5, size=sizes[0])]
    widths = [Fraction(int(n), 10) for n in rng.integers(0, 30, size=sizes[0])]
    domain = Domain(tuple(lower_ends), tuple(a + w for a, w in zip(lower_ends, widths, strict=True)))
    return network, domain, chain_form(network, domain)


def skip_model(layers: Sequence[Layer], rng: np.random.Generator) -> bytes:
    """As `dense_model`, but the last hidden layer also reads the input."""
    stored, nodes, name = {}, [], "x"
    for k, (weights, bias) in enumerate(layers):
        stored |= {f"w{k}": weights, f"b{k}": bias}
        nodes.append(node("Gemm", [name, f"w{k}", f"b{k}"], f"z{k}", transB=1))
        name = f"z{k}"
        if k == len(layers) - 2:
            stored["skip"] = rng.normal(size=(layers[0][0].shape[1], len(bias))).astype(np.float32)
            nodes += [node("MatMul", ["x", "skip"], "side"), node("Add", [name, "side"], "sum")]
            name = "sum"
        if k < len(layers) - 1:
            nodes.append(node("Relu", [name], f"r{k}"))
            name = f"r{k}"
    shapes = {"x": [1, layers[0][0].shape[1]]}, {name: [1, layers[-1][0].shape[0]]}
    return model_bytes(nodes, stored, inputs=shapes[0], outputs=shapes[1])


def exact_layers(
    chain: Chain, point: Sequence[Fraction], share: Callable[[int, int], Fraction] = lambda _, __: Fraction(0)
) -> list[list[Fraction]]:
    """Pre-activations of all chain layers at a normalised point t, the joined ones of section 9 too.

    Of what rounding can do to neuron i of layer k there, share(k, i) is added, a number from -1 to 1.
    """
    values, layers = list(point), []
    for k, layer in enumerate(chain.layers, 1):
        pre = [_dot(row, [*values, Fraction(1)]) / layer.denominator for row in layer.rows]
        sizes = [_dot([Fraction(own) for own in row], [*map(abs, values), Fraction(1)]) for row in layer.slack]
        pre[: len(sizes)] = [z + share(k, i) * size for i, (z, size) in enumerate(zip(pre, sizes, strict=False))]
        layers.append(pre)
        values = [_output(layer, pre, i) for i in range(len(pre))]
    return layers


def _dot(row: Sequence[Fraction | int], values: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(row, values, strict=True)), Fraction(0))


def _output(layer: ChainLayer, z: Sequence[Fraction], i: int) -> Fraction:
    """The value of a ReLU, linear or difference neuron."""
    if i in layer.linear:
        return z[i]
    if i not in layer.partners:
        return max(Fraction(0), z[i])
    base, scale = z[layer.partners[i]], 1 << layer.shift
    return scale * (max(Fraction(0), base + z[i] / scale) - max(Fraction(0), base))


def grow_tree(
    chain: Chain, grid: Sequence[int], root: RootBounds, claims: Sequence[Goal], steps: int, limit: int = 200
) -> list[int] | None:
    """The symbols of a tree that proves the claims, splitting the widest coordinate; None where it grows too large."""
    depth = max(claim.layer for claim in claims)
    return grow(PythonArithmetic(chain, grid, claims, steps), [root.bounds(k) for k in range(1, depth + 1)], limit)


def grow(arithmetic: PythonArithmetic, bounds: Sequence[tuple[list[float], list[float]]], limit: int = 200) -> list[int] | None:
    """The symbols of a tree that closes all goals of an arithmetic."""
    symbols: list[int] = []
    pending = [arithmetic.root(bounds)]
    while pending:
        node = pending.pop()
        if arithmetic.visit([(copy.deepcopy(node), 0)])[0].fault == 0:
            symbols.append(0)
            continue
        widths = [high - low for low, high in zip(node.low, node.high, strict=True)]
        symbol = 1 + widths.index(max(widths))
        outcome = arithmetic.visit([(node, symbol)])[0]
        if len(symbols) + len(pending) > limit or outcome.children is None:
            return None
        symbols.append(symbol)
        pending += outcome.children[::-1]
    return symbols


@dataclass
class Case:
    """Everything that a certificate is written from; tests change one thing and write it."""

    original: bytes
    reduced: bytes
    domain: str
    grids: dict[str, list[int]]
    interval: list[list[Any]] = field(default_factory=list)
    trees: list[tuple[list[list[Any]], int, list[int]]] = field(default_factory=list)
    solver: list[dict[str, Any]] = field(default_factory=list)
    tolerance: str = "0"
    match: list[list[int]] | None = None


def facts(grid: list[int]) -> dict[str, Any]:
    return {"grid": grid, "interval": [], "trees": [], "solver": []}


def pack(header: dict[str, Any], *streams: bytes) -> bytes:
    """A certificate file from its header and streams."""
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + b"".join(streams)


def header_of(case: Case) -> tuple[dict[str, Any], list[bytes]]:
    """Header and streams of a case, with the right hashes."""
    own, streams = facts(case.grids["original"]), []
    own["interval"], own["solver"] = case.interval, case.solver
    established = len(case.interval)
    for claims, steps, symbols in case.trees:
        streams.append(zlib.compress(bytes(symbols)))
        sizes = {"nodes": len(symbols), "bytes": len(streams[-1])}
        own["trees"].append({"claims": claims, "steps": steps, "uses": established, **sizes})
        established += len(claims)
    header = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": "reference prover",
        "claim": {"kind": "agree", "tolerance": case.tolerance},
        "original": {"file": "net.onnx", "sha256": hashlib.sha256(case.original).hexdigest()},
        "reduced": {"file": "reduced.onnx", "sha256": hashlib.sha256(case.reduced).hexdigest()},
        "domain": {"file": "domain.json", "sha256": hashlib.sha256(case.domain.encode()).hexdigest()},
        "facts": {"original": own, "reduced": facts(case.grids["reduced"])},
    }
    if case.match is not None:
        header["match"] = case.match
    return header, streams


def write_certificate(
    folder: Path,
    case: Case,
    change_header: Callable[[dict[str, Any]], object] | None = None,
    change_streams: Callable[[list[bytes]], object] | None = None,
) -> Path:
    """Writes the four files of a case; the callbacks may alter header and streams before they are packed."""
    header, streams = header_of(case)
    if change_streams:
        change_streams(streams)
    if change_header:
        change_header(header)
    (folder / "net.onnx").write_bytes(case.original)
    (folder / "reduced.onnx").write_bytes(case.reduced)
    (folder / "domain.json").write_bytes(case.domain.encode())
    (folder / "certificate.secateur").write_bytes(pack(header, *streams))
    return folder


def without_neurons(layers: Sequence[Layer], dropped: Sequence[tuple[int, int]]) -> list[Layer]:
    """The layers without the given (layer, neuron) pairs, layers counted from 1."""
    result = [(weights.copy(), bias.copy()) for weights, bias in layers]
    for k in range(1, len(layers)):
        keep = [i for i in range(len(layers[k - 1][1])) if (k, i) not in dropped]
        weights, bias = result[k - 1]
        after, after_bias = result[k]
        result[k - 1], result[k] = (weights[keep], bias[keep]), (after[:, keep], after_bias)
    return result


def barely_inactive(layers: list[Layer], rng: np.random.Generator, k: int, neurons: int) -> None:
    """Shifts the first biases of layer k so that these neurons stay just below 0 on the samples: proofs need splits."""
    values = rng.uniform(-1, 1, size=(4000, layers[0][0].shape[1]))
    for weights, bias in layers[: k - 1]:
        values = np.maximum(values @ weights.T + bias, 0)
    weights, bias = layers[k - 1]
    z = (values @ weights.T + bias)[:, :neurons]
    bias[:neurons] -= (z.max(axis=0) + 0.06 * (z.max(axis=0) - z.min(axis=0)) + 1e-3).astype(np.float32)


def random_case(seed: int, steps: int = 2) -> Case:
    """A random network of three hidden layers, the inactive neurons that a tree proves, and the network without them."""
    rng = np.random.default_rng(seed)
    layers = random_layers([2, 5, 5, 5, 2], rng)
    for k in (2, 3):
        barely_inactive(layers, rng, k, 2)
    original = dense_model(layers)
    domain = '{"lower": ["-1", "-0.7"], "upper": ["1/3", "1e0"]}'
    chain = chain_form(lower(original), read_domain(domain.encode()))
    root, grids = RootBounds(chain), [GRID] * 3
    trees: list[tuple[list[list[Any]], int, list[int]]] = []
    proven: list[tuple[int, int]] = []
    for k in (2, 3):
        claims = [Claim(k, i, "inactive") for i in (0, 1)]
        symbols = grow_tree(chain, grids, root, claims, steps)
        if symbols is None:
            continue
        trees.append(([[k, i, "inactive"] for i in (0, 1)], steps, symbols))
        proven += [(k, 0), (k, 1)]
        for claim in claims:
            root.add(claim)
    reduced = dense_model(without_neurons(layers, proven))
    return Case(original, reduced, domain, {"original": grids, "reduced": grids}, trees=trees)


def evaluate(network: Network, point: Sequence[Fraction]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Exact pre-activations of all ReLU layers, and the outputs, at an input."""
    values = {0: Fraction(1), **dict(enumerate(point, 1))}

    def affine(own: Affine) -> list[Fraction]:
        rows = [sum((c * values[s] for s, c in row.items()), Fraction(0)) for row in own.rows]
        return [row / own.denominator for row in rows]

    layers = []
    for start, layer in zip(network.starts[1:], network.layers, strict=True):
        layers.append(affine(layer))
        values |= {start + i: max(Fraction(0), z) for i, z in enumerate(layers[-1])}
    return layers, affine(network.output)
