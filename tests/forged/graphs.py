"""Small ONNX networks, read without the checker: Gemm, MatMul, Add and Relu nodes from one input to one output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

__all__ = ["Affine", "Graph", "Node", "Unclear", "read_graph"]


class Unclear(Exception):  # noqa: N818 - no verdict
    """What the certificate states could not be decided here."""


@dataclass(frozen=True)
class Affine:
    """What a Gemm or MatMul computes: rows times values, plus the bias, 0 where there is none. `plain`: alpha and beta are 1."""

    rows: list[list[Fraction]]
    bias: list[Fraction]
    plain: bool = True


@dataclass(frozen=True)
class Node:
    """A node: affine, or the sum of the two values that it reads, or the ReLU of the one."""

    name: str
    reads: tuple[str, ...]
    affine: Affine | None = None


@dataclass(frozen=True)
class Graph:
    """The nodes in order; `input` and `output` are names of values."""

    input: str
    output: str
    nodes: list[Node]


def _affine(weights: Any, bias: Any, attributes: Mapping[str, Any]) -> Affine:
    rows = weights.tolist() if attributes.get("transB") else weights.T.tolist()
    alpha, beta = (Fraction(attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    shifts = [0.0] * len(rows) if bias is None else bias.ravel().tolist()
    if len(shifts) == 1:
        shifts = shifts * len(rows)
    if attributes.get("transA") or len(shifts) != len(rows):
        raise Unclear("a Gemm of another shape")
    scaled = [[Fraction(w) * alpha for w in row] for row in rows]
    return Affine(scaled, [Fraction(b) * beta for b in shifts], alpha == beta == 1)


def read_graph(data: bytes) -> Graph:
    """The network of an ONNX file. Raises `Unclear` for anything but a small network of the four operators."""
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise Unclear(str(error)) from None
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [own.name for own in graph.input if own.name not in stored]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Unclear("several inputs or outputs")
    known, nodes = {inputs[0]}, []
    for node in graph.node:
        reads, constants = tuple(name for name in node.input if name in known), [stored.get(name) for name in node.input[1:]]
        attributes = {own.name: onnx.helper.get_attribute_value(own) for own in node.attribute}
        affine = None
        if node.op_type in ("Gemm", "MatMul") and node.input[0] in known and all(own is not None for own in constants):
            affine = _affine(constants[0], constants[1] if len(constants) > 1 else None, attributes)
        elif len(reads) != len(node.input) or len(reads) != {"Add": 2, "Relu": 1}.get(node.op_type):
            raise Unclear(f"an operator {node.op_type}")
        nodes.append(Node(node.output[0], reads, affine))
        known.add(node.output[0])
    return Graph(inputs[0], graph.output[0].name, nodes)
