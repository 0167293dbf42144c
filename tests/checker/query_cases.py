"""Queries on small networks that are just unsatisfiable, trees that refute them, and a writer of certificates about queries."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.lowering import lower
from secateur.checker.query import Disjunct, read_query
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import RowGoal, goals, with_row_layer
from tests.checker.support import Layer, dense_model, grow_tree, pack, random_layers

__all__ = [
    "PartCase",
    "QueryCase",
    "head",
    "prove",
    "random_query_case",
    "refuted_leaves",
    "row_text",
    "trust",
    "write_query_certificate",
]

ROW_GRID = 36
Values = NDArray[np.float64]


@dataclass
class PartCase:
    """One part of a certificate; trusted leaves are counted from the symbols, refuted ones too if there is evidence."""

    disjuncts: int
    grid: list[int]
    symbols: list[int]
    steps: int = 2
    evidence: list[Any] | None = None


@dataclass
class QueryCase:
    """Everything that a certificate about a query is written from; tests change one thing and write it."""

    network: bytes
    query: bytes
    inputs: int
    parts: list[PartCase] = field(default_factory=list)
    point: list[str] | None = None
    network_file: str = "net.onnx"
    query_file: str = "prop.vnnlib"
    float32: bool = False


def packed(symbols: Sequence[int], inputs: int) -> bytes:
    """The stream of a tree with trusted leaves."""
    return zlib.compress(b"".join(symbol.to_bytes(1 if inputs <= 253 else 2, "little") for symbol in symbols))


def refuted_leaves(evidence: list[Any] | None, leaves: int) -> tuple[dict[str, Any], list[bytes]]:
    """The key and the stream of evidence about refuted leaves; nothing where there is none."""
    if evidence is None:
        return {}, []
    text = json.dumps(evidence).encode()
    stream = zlib.compress(text)
    return {"refuted": {"leaves": leaves, "length": len(text), "bytes": len(stream)}}, [stream]


def header_of(case: QueryCase) -> tuple[dict[str, Any], list[bytes]]:
    """Header and streams of a case, with the right hashes."""
    header: dict[str, Any] = {
        "format": "secateur-certificate",
        "version": 1,
        "producer": "reference prover",
        "claim": {"kind": "unsat"} if case.point is None else {"kind": "sat", "point": case.point},
        **({"semantics": "float32"} if case.float32 else {}),
        "network": {"file": case.network_file, "sha256": hashlib.sha256(case.network).hexdigest()},
        "query": {"file": case.query_file, "sha256": hashlib.sha256(case.query).hexdigest()},
    }
    streams: list[bytes] = []
    parts = []
    for part in case.parts:
        stream = packed(part.symbols, case.inputs)
        refuted, evidence = refuted_leaves(part.evidence, part.symbols.count(case.inputs + 2))
        parts.append(
            {"disjuncts": part.disjuncts, "grid": part.grid, "steps": part.steps, "nodes": len(part.symbols),
             "trusted": part.symbols.count(case.inputs + 1), "bytes": len(stream), **refuted}
        )  # fmt: skip
        streams += [stream, *evidence]
    if case.point is None:
        header["parts"] = parts
    return header, streams


def write_query_certificate(folder: Path, case: QueryCase, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Writes the three files of a case and returns the certificate; `change` may alter the header before it is packed."""
    header, streams = header_of(case)
    if change:
        change(header)
    (folder / case.network_file).write_bytes(case.network)
    (folder / case.query_file).write_bytes(case.query)
    path = folder / "cert.secateur"
    path.write_bytes(pack(header, *streams))
    return path


def head(inputs: int, outputs: int, box: Sequence[tuple[str, str]]) -> str:
    """Declarations and input bounds in VNN-LIB 1.0."""
    names = [*(f"X_{i}" for i in range(inputs)), *(f"Y_{j}" for j in range(outputs))]
    lines = [f"(declare-const {name} Real)" for name in names]
    lines += [f"(assert (>= X_{i} {low}))\n(assert (<= X_{i} {high}))" for i, (low, high) in enumerate(box)]
    return "\n".join(lines) + "\n"


def row_text(inputs: Sequence[str], outputs: Sequence[str], bound: str, strict: bool) -> str:
    """A row from decimal coefficients."""
    terms = [f"(* {a} X_{i})" for i, a in enumerate(inputs)] + [f"(* {a} Y_{j})" for j, a in enumerate(outputs)]
    return f"({'<' if strict else '<='} (+ {' '.join(terms)}) {bound})"


def problem(network: bytes, disjuncts: Sequence[Disjunct], number: int = 0) -> tuple[Chain, list[RowGoal]]:
    """The chain with the row layer of disjuncts on one box, and their goals."""
    own = lower(network)
    chain = chain_form(
        with_row_layer(own, [row for disjunct in disjuncts for row in disjunct.rows]),
        Domain(disjuncts[0].lower, disjuncts[0].upper),
    )
    return chain, goals(disjuncts, len(own.layers) + 1, number)


def prove(network: bytes, query: bytes, steps: int = 2, limit: int = 200) -> list[PartCase] | None:
    """A tree for each run of disjuncts on the same box; None where one grows too large."""
    parts = []
    for _, run in groupby(read_query(query).disjuncts(), key=lambda d: (d.lower, d.upper)):
        disjuncts = list(run)
        chain, own = problem(network, disjuncts)
        grid = [ROW_GRID] * len(chain.layers)
        symbols = grow_tree(chain, grid, RootBounds(chain), own, steps, limit)
        if symbols is None:
            return None
        parts.append(PartCase(len(disjuncts), grid, symbols, steps))
    return parts


def trust(symbols: list[int], leaf: int) -> list[int]:
    """The tree with a trusted leaf in place of the last split of two leaves."""
    at = max(i for i in range(len(symbols) - 2) if symbols[i] and not symbols[i + 1] and not symbols[i + 2])
    return [*symbols[:at], leaf, *symbols[at + 3 :]]


def _outputs(layers: Sequence[Layer], points: Values) -> Values:
    values = points
    for weights, bias in layers[:-1]:
        values = np.maximum(values @ weights.T + bias, 0)
    return values @ layers[-1][0].T + layers[-1][1]


def _disjunct(rng: np.random.Generator, points: Values, outputs: Values, margin: float) -> str:
    """One to six rows that hold together nowhere on the samples, by a small margin."""
    count = int(rng.integers(1, 7))
    a = np.round(rng.normal(size=(count, points.shape[1])), 3) * (rng.random() < 0.5)
    b = np.round(rng.normal(size=(count, outputs.shape[1])), 3)
    values = points @ a.T + outputs @ b.T
    bounds = values.min(axis=0) + rng.uniform(0.1, 0.9, size=count) * np.ptp(values, axis=0)
    bounds += (values - bounds).max(axis=1).min() - margin * np.ptp(values, axis=0).max()
    strict = [rng.random() < 0.5] * count if rng.random() < 0.5 else list(rng.random(count) < 0.5)
    rows = [row_text(list(map(str, a[r])), list(map(str, b[r])), f"{bounds[r]:.5f}", bool(strict[r])) for r in range(count)]
    return f"(and {' '.join(rows)})"


def random_query_case(seed: int, steps: int = 2) -> QueryCase:
    """A random network of two hidden layers, and one to three disjuncts that a tree of a few nodes refutes."""
    rng = np.random.default_rng(seed)
    layers = random_layers([2, 5, 5, 3], rng)
    network, box = dense_model(layers), [("-1", "0.9"), ("-0.3", "0.7")]
    points = rng.uniform([float(low) for low, _ in box], [float(high) for _, high in box], size=(3000, 2))
    outputs = _outputs(layers, points)
    for margin in (0.04, 0.1, 0.3, 1.0):
        disjuncts = [_disjunct(rng, points, outputs, margin) for _ in range(rng.integers(1, 4))]
        query = (head(2, 3, box) + f"(assert (or {' '.join(disjuncts)}))\n").encode()
        parts = prove(network, query, steps)
        if parts is not None:
            return QueryCase(network, query, 2, parts)
    raise AssertionError("no margin is large enough")
