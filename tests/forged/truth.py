"""Whether what a certificate states is true: read and decided without the checker, by Z3 over the rationals.

Nothing of the checker or the engine is used: the files are read with json, onnx and Z3's own SMT-LIB reader, networks become
terms of real arithmetic, and Z3 is asked for a point where the statement fails. Only small networks of Gemm, MatMul, Add
and Relu nodes are understood. `Unclear` where Z3 does not answer in time, or a file is none of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import onnx
import z3
from google.protobuf.message import DecodeError
from onnx import numpy_helper

__all__ = ["Unclear", "is_true"]

TIMEOUT = 20_000  # milliseconds
Terms = list[Any]
Box = tuple[list[Fraction], list[Fraction]]


class Unclear(Exception):  # noqa: N818 - no verdict
    """What the certificate states could not be decided here."""


@dataclass(frozen=True)
class Values:
    """Terms of a network: the outputs of its ReLU layers, and its outputs."""

    layers: list[Terms]
    outputs: Terms


def _real(value: Fraction) -> Any:
    return z3.RatVal(value.numerator, value.denominator)


def _gemm(values: Terms, weights: Any, bias: Any, attributes: Mapping[str, Any]) -> Terms:
    rows = weights.tolist() if attributes.get("transB") else weights.T.tolist()
    alpha, beta = (Fraction(attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    shifts = [0.0] * len(rows) if bias is None else bias.ravel().tolist()
    if len(shifts) == 1:
        shifts = shifts * len(rows)
    if attributes.get("transA") or len(shifts) != len(rows) or any(len(row) != len(values) for row in rows):
        raise Unclear("a Gemm of another shape")
    return [
        z3.Sum([_real(Fraction(w) * alpha) * v for w, v in zip(row, values, strict=True)]) + _real(Fraction(b) * beta)
        for row, b in zip(rows, shifts, strict=True)
    ]


def _network(data: bytes, inputs: Terms) -> Values:
    """A network's terms, at terms for its inputs."""
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise Unclear(str(error)) from None
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    known: dict[str, Terms] = {own.name: inputs for own in graph.input if own.name not in stored}
    if len(known) != 1 or len(graph.output) != 1:
        raise Unclear("several inputs or outputs")
    layers = []
    for node in graph.node:
        attributes = {own.name: onnx.helper.get_attribute_value(own) for own in node.attribute}
        if node.op_type == "Gemm" and node.input[0] in known and all(name in stored for name in node.input[1:]):
            bias = stored[node.input[2]] if len(node.input) > 2 else None
            known[node.output[0]] = _gemm(known[node.input[0]], stored[node.input[1]], bias, attributes)
        elif node.op_type == "MatMul" and node.input[0] in known and node.input[1] in stored:
            known[node.output[0]] = _gemm(known[node.input[0]], stored[node.input[1]], None, {})
        elif node.op_type == "Add" and all(name in known for name in node.input):
            known[node.output[0]] = [a + b for a, b in zip(*(known[name] for name in node.input), strict=True)]
        elif node.op_type == "Relu" and node.input[0] in known:
            layers.append([z3.If(z > 0, z, 0) for z in known[node.input[0]]])
            known[node.output[0]] = layers[-1]
        else:
            raise Unclear(f"an operator {node.op_type}")
    return Values(layers, known[graph.output[0].name])


def _never(*constraints: Any) -> bool:
    """Whether no values of the variables satisfy the constraints."""
    solver = z3.SolverFor("QF_LRA")
    solver.set("timeout", TIMEOUT)
    solver.add(*constraints)
    answer = solver.check()
    if answer == z3.unknown:
        raise Unclear("Z3 did not decide in time")
    return bool(answer == z3.unsat)


def _broken(claim: Mapping[str, Any], first: Values, second: Values) -> Any:
    """The claim about two networks is false."""
    y, other = first.outputs, second.outputs
    if "layer" in claim:
        k, own = claim["layer"]
        y, other = first.layers[k - 1], second.layers[own - 1]
    if len(y) != len(other):
        raise Unclear("as many values are needed")
    if claim["kind"] == "agree":
        bound = _real(Fraction(claim["tolerance"]))
        return z3.Or([z3.Or(a - b > bound, b - a > bound) for a, b in zip(y, other, strict=True)])
    sign, margin = (1 if claim["rule"] == "argmax" else -1), _real(Fraction(claim["margin"]))
    cases = []
    for i in range(len(y)):
        rivals = [k for k in range(len(y)) if k != i]
        leads = z3.And([sign * (y[i] - y[k]) > margin for k in rivals])
        cases.append(z3.And(leads, z3.Or([sign * (other[i] - other[k]) <= 0 for k in rivals])))
    return z3.Or(cases)


def _inputs(count: int) -> Terms:
    return [z3.Real(f"X_{i}") for i in range(count)]


def _numbers(values: Sequence[Any]) -> list[Fraction]:
    return [Fraction(str(value)) for value in values]


def _box(data: bytes) -> Box:
    domain = json.loads(data, parse_float=str, parse_int=str)
    return _numbers(domain["lower"]), _numbers(domain["upper"])


def _within(x: Terms, box: Box) -> Any:
    return z3.And([z3.And(_real(low) <= v, v <= _real(high)) for low, v, high in zip(box[0], x, box[1], strict=True)])


def _always(claim: Mapping[str, Any], networks: tuple[bytes, bytes], box: Box) -> bool:
    """Whether a claim holds for two networks everywhere on a box."""
    x = _inputs(len(box[0]))
    return _never(_within(x, box), _broken(claim, _network(networks[0], x), _network(networks[1], x)))


def _refuted(claim: Mapping[str, Any], networks: tuple[bytes, bytes], box: Box) -> bool:
    point = _numbers(claim["point"])
    if not all(low <= own <= high for low, own, high in zip(box[0], point, box[1], strict=True)):
        return False
    x = [_real(value) for value in point]
    own = _broken(claim["claim"], _network(networks[0], x), _network(networks[1], x))
    return not _never(own)


def _query(claim: Mapping[str, Any], network: bytes, text: bytes) -> bool:
    """Whether a query of VNN-LIB 1.0, which is SMT-LIB, has no solution, or the point is one."""
    asserted = z3.parse_smt2_string(text.decode())
    inputs = text.count(b"(declare-const X_")
    x = _inputs(inputs)
    values = _network(network, x)
    outputs = [z3.Real(f"Y_{j}") == y for j, y in enumerate(values.outputs)]
    if claim["kind"] == "unsat":
        return _never(*asserted, *outputs)
    fixed = [v == _real(value) for v, value in zip(x, _numbers(claim["point"]), strict=True)]
    return not _never(*asserted, *outputs, *fixed)


def _slices(nodes: Iterator[Any], box: Box) -> Iterator[tuple[int, Box]]:
    """The leaves of a partition, with their boxes."""
    node = next(nodes)
    if not isinstance(node, list):
        yield int(node), box
        return
    i, cut = int(node[0]), Fraction(node[1])
    for side in (1, 0):  # the first child ends at the cut
        ends = ([*box[0]], [*box[1]])
        ends[side][i] = cut
        yield from _slices(nodes, ends)


def _family(claim: Mapping[str, Any], original: bytes, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> bool:
    box = _numbers(manifest["lower"]), _numbers(manifest["upper"])
    parts = _slices(iter(manifest["nodes"]), box)
    return all(_always(claim, (original, files[manifest["files"][number]["file"]]), own) for number, own in parts)


def is_true(header: Mapping[str, Any], files: Mapping[str, bytes]) -> bool:
    """Whether the statement of a certificate with this header, about these files (by path), is true."""
    claim = header["claim"]
    if claim["kind"] in ("sat", "unsat"):
        return _query(claim, files[header["network"]["file"]], files[header["query"]["file"]])
    if claim["kind"] == "family":
        manifest = json.loads(files[header["manifest"]["file"]], parse_float=str)
        return _family(claim["claim"], files[header["original"]["file"]], files, manifest)
    networks = files[header["original"]["file"]], files[header["reduced"]["file"]]
    decided = _refuted if claim["kind"] == "refuted" else _always
    return decided(claim, networks, _box(files[header["domain"]["file"]]))
