"""Pairs of small networks, statements about them that are just true, trees that prove these, and a writer of certificates."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.checker.domain import Domain, read_domain
from secateur.checker.float32 import float_network
from secateur.checker.lowering import Network, lower
from secateur.checker.pair_claim import difference_proof
from secateur.checker.python_arithmetic import PythonArithmetic
from secateur.checker.records import Claim, DifferenceTree, Evidence, Facts, PairClaim, Plan, RefutedLeaves
from secateur.checker.replay import Proof
from secateur.checker.two_networks import TwoNetworks
from tests.checker.query_cases import packed, refuted_leaves
from tests.checker.support import Layer, dense_model, facts, grow, pack, random_layers, skip_model, without_neurons

__all__ = [
    "SHAPES",
    "PairCase",
    "claim_of",
    "close_pair",
    "gap_points",
    "networks_of",
    "problem",
    "prove",
    "random_pair",
    "sampled_bound",
    "with_claim",
    "write_pair_certificate",
]

GRID = 36
FACTORS = (0.0, 0.7, 1.0, 1.01, 1.3, 2.0)  # of the least bound that samples keep
Values = NDArray[np.float64]


@dataclass
class PairCase:
    """Everything that a certificate by differences is written from; tests change one thing and write it."""

    original: bytes
    reduced: bytes
    domain: str
    claim: dict[str, Any]
    levels: list[int]
    pairs: list[list[int]] | str
    shifts: list[int]
    grid: list[int] = field(default_factory=list)
    steps: int = 2
    symbols: list[int] = field(default_factory=list)
    interval: list[list[Any]] = field(default_factory=list)
    solver: list[dict[str, Any]] = field(default_factory=list)
    float32: bool = False
    evidence: list[Any] | None = None

    @property
    def inputs(self) -> int:
        return len(read_domain(self.domain.encode()).lower)


def header_of(case: PairCase) -> tuple[dict[str, Any], list[bytes]]:
    """Header and streams of a case, with the right hashes."""
    stream = packed(case.symbols, case.inputs)
    refuted, evidence = refuted_leaves(case.evidence, case.symbols.count(case.inputs + 2))
    own = facts([GRID] * len(lower(case.original).layers))
    own["interval"], own["solver"] = case.interval, case.solver
    tree = {
        "grid": case.grid, "steps": case.steps, "nodes": len(case.symbols),
        "trusted": case.symbols.count(case.inputs + 1), "bytes": len(stream), **refuted,
    }  # fmt: skip
    header: dict[str, Any] = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": "reference prover",
        "claim": case.claim,
        **({"semantics": "float32"} if case.float32 else {}),
        "original": {"file": "net.onnx", "sha256": hashlib.sha256(case.original).hexdigest()},
        "reduced": {"file": "other.onnx", "sha256": hashlib.sha256(case.reduced).hexdigest()},
        "domain": {"file": "domain.json", "sha256": hashlib.sha256(case.domain.encode()).hexdigest()},
    }
    if case.claim.get("kind") == "refuted":
        return header, []
    header |= {"facts": {"original": own}, "levels": case.levels, "pairs": case.pairs, "shifts": case.shifts, "difference": tree}
    return header, [stream, *evidence]


def write_pair_certificate(folder: Path, case: PairCase, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Writes the four files of a case; `change` may alter the header before it is packed."""
    header, streams = header_of(case)
    if change:
        change(header)
    (folder / "net.onnx").write_bytes(case.original)
    (folder / "other.onnx").write_bytes(case.reduced)
    (folder / "domain.json").write_bytes(case.domain.encode())
    (folder / "certificate.secateur").write_bytes(pack(header, *streams))
    return folder


def networks_of(case: PairCase) -> TwoNetworks:
    floats = (float_network(case.original), float_network(case.reduced)) if case.float32 else None
    return TwoNetworks(lower(case.original), lower(case.reduced), read_domain(case.domain.encode()), "", floats)


def claim_of(case: PairCase) -> PairClaim:
    """The claim, as the checker reads it."""
    own = case.claim
    layers = tuple(own["layer"]) if "layer" in own else None
    return PairClaim(own.get("rule", "agree"), Fraction(own.get("tolerance", own.get("margin"))), layers)  # type: ignore[arg-type]


def problem(case: PairCase) -> Proof:
    """The tree over the joined network, with a single leaf where there is no evidence; fills in the grid where there is none."""
    case.grid = case.grid or [GRID] * (len(case.shifts) + 1)
    pairs = case.pairs if isinstance(case.pairs, str) else tuple(map(tuple, case.pairs))
    plan = Plan(tuple(case.levels), pairs, tuple(case.shifts))  # type: ignore[arg-type]
    own = Facts((), tuple(Claim(*c) for c in case.interval), (), ())
    symbols = [0] if case.evidence is None else case.symbols
    refuted, streams = refuted_leaves(case.evidence, symbols.count(case.inputs + 2))
    leaves = RefutedLeaves(refuted["refuted"]["leaves"], refuted["refuted"]["length"], streams[0]) if refuted else None
    tree = DifferenceTree(tuple(case.grid), case.steps, len(symbols), 0, packed(symbols, case.inputs), leaves)
    return difference_proof(claim_of(case), Evidence(own, plan, tree), networks_of(case))


def prove(case: PairCase, limit: int = 40) -> bool:
    """Fills in the symbols of a tree that proves the claim; False where it grows too large."""
    proof = problem(case)
    symbols = grow(PythonArithmetic(proof.chain, proof.grid, proof.goals, proof.steps), proof.bounds, limit)
    case.symbols = symbols or []
    return symbols is not None


# Pairs of networks: each shape is a way in which two networks can be related.


def near(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """Weights that differ a little; some rows do not, and some neurons are shared."""
    return dense_model(layers), dense_model(perturbed(layers, rng)), *straight(layers)


def equal(layers: list[Layer], _: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    return dense_model(layers), dense_model(layers), *straight(layers)


def skipping(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """The last hidden layer of both also reads the input."""
    return skip_model(layers, rng), skip_model(perturbed(layers, rng), rng), *straight(layers)


def pruned(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """N' has lost a neuron of each hidden layer that has two."""
    dropped = [(k, int(rng.integers(len(b)))) for k, (_, b) in enumerate(layers[:-1], 1) if len(b) > 1]
    return dense_model(layers), dense_model(without_neurons(layers, dropped)), *straight(layers)


def deeper(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """N' passes the first layer's outputs through one more layer: level 2, which N may not have."""
    identity = identity_after(layers)
    other = perturbed(layers, rng)
    return dense_model(layers), dense_model([other[0], identity, *other[1:]]), *straight([*layers, identity])


def shallower(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """N has one more layer at level 2, through which the differences of level 1 are carried."""
    levels = [1, *range(3, len(layers) + 1)][: len(layers) - 1]
    both = [layers[0], identity_after(layers), *layers[1:]]
    return dense_model(both), dense_model(perturbed(layers, rng)), levels, [len(layers)]


def apart(layers: list[Layer], rng: np.random.Generator) -> tuple[bytes, bytes, list[int], list[int]]:
    """Another network at levels with gaps."""
    other = random_layers([layers[0][0].shape[1], *rng.integers(1, 4, size=rng.integers(1, 3)), len(layers[-1][1])], rng)
    levels = sorted(rng.choice(np.arange(1, 5), size=len(other) - 1, replace=False).tolist())
    return dense_model(layers), dense_model(other), levels, [max([len(layers) - 1, *levels])]


Shape = Callable[[list[Layer], np.random.Generator], tuple[bytes, bytes, list[int], list[int]]]
SHAPES: list[Shape] = [near, equal, skipping, pruned, deeper, shallower, apart]


def straight(layers: Sequence[Layer]) -> tuple[list[int], list[int]]:
    """Levels 1, 2, ... of hidden layers, and their number."""
    return list(range(1, len(layers))), [len(layers) - 1]


def identity_after(layers: list[Layer]) -> Layer:
    size = len(layers[0][1])
    return np.eye(size, dtype=np.float32), np.zeros(size, dtype=np.float32)


def perturbed(layers: Sequence[Layer], rng: np.random.Generator, sizes: Sequence[float] = (0.0, 1e-3, 0.02, 0.1)) -> list[Layer]:
    """The layers with a small change in some rows, of a size of its own in each layer."""
    result = []
    for weights, bias in layers:
        size = rng.choice(sizes) * (rng.random(len(bias)) < 0.7)
        changed = weights * (1 + size[:, None] * rng.normal(size=weights.shape)) + size[:, None] * 0.1
        result.append((changed.astype(np.float32), (bias + size * rng.normal(size=len(bias))).astype(np.float32)))
    return result


def nasty(layers: list[Layer], rng: np.random.Generator) -> None:
    """Dead neurons, always active ones, copies and ties, in place."""
    for (weights, bias), (after, _) in pairwise(layers):
        i, j = rng.integers(len(bias), size=2)
        fate = rng.choice(["plain", "plain", "dead", "active", "copy", "zero", "tie"])
        if fate in ("dead", "active"):
            bias[i] = -50 if fate == "dead" else 50
        elif fate == "copy":
            weights[i], bias[i] = weights[j], bias[j]
        elif fate == "zero":
            weights[i], bias[i] = 0, 0
        else:
            after[:, i] = after[:, j]


def some_pairs(original: Network, reduced: Network, levels: Sequence[int], rng: random.Random) -> list[list[int]] | str:
    """By position, or as a list with gaps and permutations."""
    if rng.random() < 0.5:
        return "position"
    found: list[list[int]] = []
    for layer, level in enumerate(levels, 1):
        if level <= len(original.layers):
            mine, theirs = list(range(original.size(level))), list(range(reduced.size(layer)))
            if rng.random() < 0.3:
                rng.shuffle(mine)
            own = [[level, i, layer, j] for i, j in zip(mine, theirs, strict=False)]
            found += [pair for pair in own if rng.random() < 0.8]
    rng.shuffle(found)
    return found


def random_pair(seed: int, outputs: int | None = None) -> PairCase:
    """Two networks of a random shape on a random box, with a plan; the claim is that they are equal."""
    rng, own = np.random.default_rng(seed), random.Random(seed)
    sizes = [int(n) for n in rng.integers(1, 5, size=rng.integers(2, 5))]
    sizes[0], sizes[-1] = int(rng.integers(1, 4)), outputs or int(rng.integers(1, 4))
    layers = random_layers(sizes, rng)
    if len(layers) > 1:
        nasty(layers, rng)
    shapes = SHAPES if len(layers) > 2 else [near, equal, apart]
    original, reduced, levels, (highest,) = own.choice(shapes)(layers, rng)
    lows = [Fraction(own.randint(-9, 5), 7) for _ in range(sizes[0])]
    highs = [low + Fraction(own.randint(0, 20), 10) for low in lows]
    domain = {"lower": [str(low) for low in lows], "upper": [str(high) for high in highs]}
    pairs = some_pairs(lower(original), lower(reduced), levels, own)
    shifts = [own.choice([0, own.randint(0, 12), own.randint(0, 64)]) for _ in range(highest)]
    claim = {"kind": "agree", "tolerance": "0"}
    return PairCase(original, reduced, str(domain).replace("'", '"'), claim, levels, pairs, shifts, steps=own.randint(0, 3))


# What is true of a pair on samples.


def run(network: Network, points: Values) -> list[Values]:
    """Outputs of all ReLU layers and of the network, in doubles, at points as rows."""
    values = {s: points[:, s - 1] for s in range(1, 1 + network.input_size)} | {0: np.ones(len(points))}

    def rows(affine: Any) -> Values:
        own = [sum((values[s] * (c / affine.denominator) for s, c in row.items()), np.zeros(len(points))) for row in affine.rows]
        return np.stack(own, axis=1)

    results = []
    for start, layer in zip(network.starts[1:], network.layers, strict=True):
        results.append(np.maximum(rows(layer), 0))
        values |= {start + i: column for i, column in enumerate(results[-1].T)}
    return [*results, rows(network.output)]


def compared(case: PairCase, points: Values) -> tuple[Values, Values]:
    both, claim = networks_of(case), claim_of(case)
    at = (claim.layers[0] - 1, claim.layers[1] - 1) if claim.layers else (-1, -1)
    return run(both.original, points)[at[0]], run(both.reduced, points)[at[1]]


def some_points(domain: Domain, rng: np.random.Generator, count: int) -> Values:
    """Points of the box, many of them on its faces."""
    low, high = (np.array([float(x) for x in side]) for side in (domain.lower, domain.upper))
    share = np.clip(rng.uniform(-0.3, 1.3, size=(count, len(low))), 0, 1)
    return low + (high - low) * share


def violation(case: PairCase, points: Values) -> Values:
    """How far the compared values of each point are from keeping the claim with bound 0: the least bound that they keep."""
    y, other = compared(case, points)
    if claim_of(case).rule == "agree":
        return np.abs(y - other).max(axis=1)  # type: ignore[no-any-return]
    sign = 1 if claim_of(case).rule == "argmax" else -1
    order = np.sort(sign * y, axis=1)
    winner = (sign * y).argmax(axis=1)
    mine = np.take_along_axis(sign * other, winner[:, None], axis=1)
    changed = (sign * other >= mine).sum(axis=1) > 1
    return np.where(changed, order[:, -1] - order[:, -2], 0.0)


def sampled_bound(case: PairCase, seed: int) -> float:
    """The least tolerance or margin that the claim can have, as far as samples tell."""
    points = some_points(networks_of(case).domain, np.random.default_rng(seed), 3000)
    return float(violation(case, points).max())


def gap_points(case: PairCase, seed: int, worst: int = 6) -> list[list[Fraction]]:
    """Points of the box, as exact rationals: those that come closest to breaking the claim among thousands."""
    domain = networks_of(case).domain
    points = some_points(domain, np.random.default_rng(seed), 3000)
    chosen = np.concatenate([np.argsort(violation(case, points))[-worst:], [0, 1]])
    ends = list(zip(domain.lower, domain.upper, strict=True))
    return [[min(max(Fraction(float(x)), low), high) for x, (low, high) in zip(p, ends, strict=True)] for p in points[chosen]]


def with_claim(case: PairCase, seed: int) -> PairCase:
    """A claim of any kind that is false, nearly true, or true by some distance."""
    rng, both = random.Random(seed), networks_of(case)
    kind = rng.choice(["agree", "agree", "layer", "argmax", "argmin"])
    sizes = [
        (level, layer)
        for layer, level in enumerate(case.levels, 1)
        if level <= len(both.original.layers) and both.original.size(level) == both.reduced.size(layer)
    ]
    if kind == "layer" and sizes:
        case.claim["layer"] = list(rng.choice(sizes))
    elif kind in ("argmax", "argmin") and len(both.original.output.rows) > 1:
        case.claim = {"kind": "decision", "rule": kind, "margin": "0"}
    bound = Fraction(sampled_bound(case, seed) * rng.choice(FACTORS)).limit_denominator(10**6)
    case.claim["tolerance" if "tolerance" in case.claim else "margin"] = str(bound)
    return case


def close_pair(seed: int, sizes: Sequence[int] = (2, 6, 5, 3), factor: float = 1.4) -> PairCase:
    """Two networks whose weights differ a little, with a claim that is true by a small margin: its proof needs splits."""
    rng, own = np.random.default_rng(seed), random.Random(seed)
    layers = random_layers(sizes, rng)
    original, reduced = dense_model(layers), dense_model(perturbed(layers, rng, (0.01, 0.05)))
    levels = list(range(1, len(layers)))
    pairs = some_pairs(lower(original), lower(reduced), levels, own)
    domain = {"lower": ["-1"] * sizes[0], "upper": ["3/4"] * sizes[0]}
    claim = own.choice([{"kind": "agree", "tolerance": "0"}, {"kind": "decision", "rule": "argmax", "margin": "0"}])
    shifts = [own.randint(0, 8) for _ in levels]
    case = PairCase(original, reduced, str(domain).replace("'", '"'), claim, levels, pairs, shifts, steps=own.randint(0, 3))
    bound = Fraction(sampled_bound(case, seed) * factor + 1e-4).limit_denominator(10**6)
    claim["tolerance" if "tolerance" in claim else "margin"] = str(bound)
    return case
