"""Float32 evaluations of a network: how often its values are rounded, how large they are, that none overflows (section 11).

Magnitudes are the affine functions of the absolute network |N|, which is lowered with the same code as N: constants are
replaced by their absolute values, differences by sums, and a little (eta) is added wherever a product may underflow.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from secateur.checker.domain import Domain
from secateur.checker.exact import binary_exponent
from secateur.checker.float32_scales import PLAIN, SCALED, SCALES, Limits, check_constants
from secateur.checker.lowering import Affine, lower_graph, needed
from secateur.checker.onnx_model import Graph, Node, TensorData, read_model
from secateur.checker.protobuf import Fixed
from secateur.checker.refusal import Refusal
from secateur.checker.slack import MAX_ROUNDINGS, Magnitudes, reach
from secateur.checker.tensors import FLOAT_TYPES, Tensor, add, expressions

__all__ = ["FloatNetwork", "float_network", "least_power_twice", "roundings"]

RULE = "float32"
FLOAT = 1  # the ONNX element type
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Conv")
SUMS = ("Add", "Sub")  # may be merged into the sums of an operand, whose additions then round the other one too
MAX_SCALES = 2  # m
ABSOLUTE = {"Sub": "Add", "Neg": "Identity"}


@dataclass(frozen=True)
class Result:
    """What an arithmetic node computes: magnitudes of its elements. `depth` ReLU layers come before it."""

    step: str
    depth: int
    values: Affine


@dataclass(frozen=True)
class FloatNetwork:
    """Magnitudes and roundings of the ReLU layers and of the output; and all that may overflow, in the order of the graph."""

    hidden: Magnitudes
    output: Affine
    output_roundings: int
    results: tuple[Result, ...]
    limits: Limits

    def check_overflow(self, domain: Domain) -> None:
        """Refuses where a coordinate or an element could exceed Lambda on the domain."""
        values = [Fraction(1), *reach(domain)]
        for j, value in enumerate(values[1:]):
            if value > self.limits.largest:
                raise self._overflow(f"input {j}")
        for depth in range(len(self.hidden.layers) + 1):
            for result in self.results:
                if result.depth == depth and _largest(result.values, values) > self.limits.largest:
                    raise self._overflow(result.step)
            if depth < len(self.hidden.layers):
                layer = self.hidden.layers[depth]
                values += [least_power_twice(_largest(layer, values))] * len(layer.rows)

    def _overflow(self, step: str) -> Refusal:
        reason = f"a value could exceed 2^{self.limits.exponent}: that it does not overflow is not shown"
        return Refusal(RULE, step, reason)


def _largest(affine: Affine, values: Sequence[Fraction]) -> Fraction:
    """The largest row, for these values of the symbols."""
    common = math.lcm(*(value.denominator for value in values))
    scaled = [value.numerator * (common // value.denominator) for value in values]
    top = max((sum(c * scaled[s] for s, c in row.items()) for row in affine.rows), default=0)
    return Fraction(top, common * affine.denominator)


def least_power_twice(value: Fraction) -> Fraction:
    """The least power of two that is at least 2 value; 0 for 0."""
    if not value:
        return Fraction(0)
    exponent = binary_exponent(*value.as_integer_ratio())
    power = Fraction(2) ** exponent
    return power if power == 2 * value else 2 * power


def roundings(node: Node, operands: Sequence[Tensor]) -> int:
    """By how many an arithmetic node's result has more roundings on a path than its operands."""
    if node.operator == "MatMul":
        return operands[0].shape[-1]
    if node.operator == "Conv":
        return math.prod(operands[1].shape[1:]) + 1
    if node.operator == "Gemm":
        inner = operands[0].shape[0 if node.integer("transA", 0) else 1]
        return inner + 1 + (node.number("beta", 1.0) != (1, 1))
    return 2 if node.operator == "Div" else 1  # a runtime may multiply by the reciprocal, which it rounds


def _absolute(data: TensorData) -> TensorData:
    return replace(data, values=list(map(abs, data.values))) if data.element_type in FLOAT_TYPES else data


def _absolute_node(node: Node) -> Node:
    """The node of |N|; the sign of a Gemm's beta goes too."""
    attributes = node.attributes
    if node.operator == "Gemm" and node.number("beta", 1.0)[0] < 0:
        numerator, denominator = node.number("beta", 1.0)
        positive = Fixed(struct.pack("<f", -numerator / denominator))
        attributes = attributes | {"beta": attributes["beta"] | {2: [positive]}}
    return replace(node, operator=ABSOLUTE.get(node.operator, node.operator), attributes=attributes)


class _Reader:
    """Follows the lowering of |N| node by node."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.outputs: node for node in graph.nodes}
        self._scaled = any(node.operator in SCALES for node in needed(graph))
        self._scales: dict[str, int] = {}  # m of tensors; 0 of those that are not named
        self.limits = SCALED if self._scaled else PLAIN
        self.roundings: dict[str, int] = {}  # of tensors; 0 of those that are not named
        self.layers: list[int] = []
        self.results: list[Result] = []

    def after(self, changed: Node, operands: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        node = self._nodes[changed.outputs]
        self._check(node, operands, results)
        self._count_scales(node)
        before = [self.roundings.get(name, 0) for name in node.inputs]
        count = sum(before) if node.operator in SUMS else max(before, default=0)
        if node.operator in ARITHMETIC:
            count += roundings(node, operands)
            results = [add(result, self.limits.underflow) for result in results]
            values = Affine(results[0].denominator, expressions(results[0]))
            self.results.append(Result(_step(node), len(self.layers), values))
        elif node.operator == "Relu":
            if not operands[0].constant:
                self.layers.append(count)
            count = 0
        elif node.operator == "Constant" and results[0].element_type in FLOAT_TYPES:
            results = [replace(results[0], cells=[abs(cell) for cell in results[0].cells if isinstance(cell, int)])]
        if count > MAX_ROUNDINGS:
            raise Refusal(RULE, _step(node), f"{count} roundings in a row; at most {MAX_ROUNDINGS} are supported")
        self.roundings |= dict.fromkeys(node.outputs, count)
        return results

    def _count_scales(self, node: Node) -> None:
        count = max((self._scales.get(name, 0) for name in node.inputs), default=0) + (node.operator in SCALES)
        if count > MAX_SCALES:
            reason = f"{count} times Mul or Div in a row, without a Relu in between; at most {MAX_SCALES} are supported"
            raise Refusal(RULE, _step(node), reason)
        self._scales |= dict.fromkeys(node.outputs, 0 if node.operator == "Relu" else count)

    def _check(self, node: Node, operands: list[Tensor], results: list[Tensor]) -> None:
        if node.operator == "Cast":
            raise Refusal(RULE, _step(node), "casts are not supported")
        for tensor in (*operands, *results):
            if tensor.element_type in FLOAT_TYPES and tensor.element_type != FLOAT:
                raise Refusal(RULE, _step(node), "a tensor is of another float type than float32")
        if node.operator in ARITHMETIC and all(tensor.constant for tensor in operands):
            raise Refusal(RULE, _step(node), "arithmetic on constants alone, which rounds them, is not supported")
        if node.operator == "Gemm" and node.number("alpha", 1.0) != (1, 1):
            raise Refusal(RULE, _step(node), "alpha is not 1: what it multiplies first, and so what underflows, is not known")
        if self._scaled:
            check_constants(node, operands, _step(node))


def _step(node: Node) -> str:
    return f"node {node.operator} -> {node.outputs[0]}"


def float_network(data: bytes) -> FloatNetwork:
    """Magnitudes and roundings of the network in the bytes of an ONNX file; refuses what section 11 does not cover."""
    graph = read_model(data)
    if graph.input.element_type != FLOAT:
        raise Refusal(RULE, "input", "it is of another float type than float32")
    constants = {name: _absolute(tensor) for name, tensor in graph.constants.items()}
    reader = _Reader(graph)
    nodes = tuple(map(_absolute_node, graph.nodes))
    network = lower_graph(replace(graph, nodes=nodes, constants=constants), reader.after)
    hidden = Magnitudes(network.layers, tuple(reader.layers))
    nu = reader.roundings.get(graph.output.name, 0)
    return FloatNetwork(hidden, network.output, nu, tuple(reader.results), reader.limits)
