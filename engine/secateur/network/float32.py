"""A network as its float32 evaluations compute it: what rounding may add, layer by layer (FORMAT.md, section 11).

Requires the ONNX graph once more, because the error depends on the nodes, not on the affine functions that they make up.
Method: the graph is read a second time with every constant replaced by its absolute value, subtractions by additions, and a
tiny number added to the result of every arithmetic node; what comes out bounds all intermediate sums. Soundness: FORMAT.md has
the induction. Nodes whose rounding it does not cover are refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from secateur.errors import InputError
from secateur.network.exact import ExactArray, Floats
from secateur.network.maps import UnsupportedError
from secateur.network.model import Affine, Network, Rounding
from secateur.network.onnx_reader import GraphReader, load_model, opset_of
from secateur.network.symbolic import FLOAT_TYPES, Tensor, affine
from secateur.network.wiring import Wiring

if TYPE_CHECKING:
    import onnx

__all__ = ["float32_network", "gamma", "require_range"]

_MOVING = frozenset(
    ("Concat", "Constant", "Dropout", "Flatten", "Gather", "Identity", "Neg", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
     "Unsqueeze")
)  # fmt: skip
_ARITHMETIC = frozenset(("Add", "Conv", "Div", "Gemm", "MatMul", "Mul", "Sub"))
_SUMS = frozenset(("Add", "Sub"))
"""What may be merged into the sums of an operand, whose additions then round the other one too."""
_UNSIGNED = {"Sub": "Add", "Neg": "Identity"}
_SCALES = frozenset(("Div", "Mul"))
"""What runtimes multiply into the nodes next to it."""
_PRODUCTS = frozenset(("Conv", "Gemm", "MatMul"))
_MOST_SCALES = 2
_SCALE_RANGE = 2.0**-16, 2.0**16
_FACTOR_RANGE = 2.0**-94, 2.0**16
_SCALED_LIMIT = 2.0**94
_UNDERFLOW, _SCALED_UNDERFLOW = Fraction(1, 1 << 125), Fraction(1, 1 << 72)
"""Scales that are moved make values in between up to 2**32 times larger, and what underflows up to 2**48 times."""
_UNIT = Fraction(1, 1 << 24)
_MOST_ROUNDINGS = 1 << 20
_LIMIT = 2.0**126


def gamma(count: int) -> Fraction:
    """The relative error of `count` roundings to float32 (Higham, Accuracy and Stability of Numerical Algorithms, ch. 3)."""
    return count * _UNIT / (1 - count * _UNIT)


def float32_network(network: Network, data: bytes, source: str, wiring: Wiring | None) -> Network:
    """The same network, standing for its float32 evaluations; the other arguments are those it was read with.

    InputError for element types and operators whose rounding is not known.
    """
    model = load_model(data, source, None)
    reader = _AbsoluteReader(source, opset_of(model, source), model.graph)
    if network.interface.element_type != "float32":
        problem = f"computes in {network.interface.element_type}"
        raise InputError(problem, where=source, remedy="float32 claims are about float32 networks")
    absolute = reader.network(wiring)
    limit = (_SCALED_LIMIT if reader.is_scaled else _LIMIT) / 2  # half of what the format allows: this side computes in doubles
    layers = [
        replace(exact, rounding=Rounding(bound, *seen, limit))
        for exact, bound, seen in zip(network.layers, absolute.layers, reader.seen, strict=True)
    ]
    last = Rounding(absolute.output, *reader.last(wiring), limit)
    return replace(network, layers=tuple(layers), output=replace(network.output, rounding=last))


def require_range(network: Network, lower: Sequence[Fraction], upper: Sequence[Fraction], where: str) -> None:
    """InputError if a float32 evaluation may overflow on the box [lower, upper]."""
    reach = np.array([[float(max(abs(a), abs(b))) * (1 + 2.0**-50) for a, b in zip(lower, upper, strict=True)]])
    values: list[Floats] = [reach]
    for k, layer in enumerate((*network.layers, network.output), start=1):
        rounding = layer.rounding
        if rounding is None:
            raise ValueError("the network does not stand for float32 evaluations")
        with np.errstate(over="ignore", invalid="ignore"):
            tops = [float(step.apply(values).max(initial=0.0)) for step in (*rounding.steps, rounding.magnitudes)]
        if not max(*tops, float(reach.max(initial=0.0))) < rounding.limit:
            name = "the outputs" if k > len(network.layers) else f"layer {k}"
            problem = f"float32 sums may overflow in {name}"
            raise InputError(problem, where=where, remedy="claim it of the reals, or narrow the domain")
        values.append(np.full((1, layer.size), math.ldexp(1.0, math.frexp(tops[-1])[1] + 2)))


@dataclass
class _AbsoluteReader(GraphReader):
    """Reads the absolute network; `seen` has for each ReLU layer the roundings of what it reads, and the steps to it.

    `scales` counts the Mul and Div between two Relu; `is_scaled` where there are any.
    """

    roundings: dict[str, int] = field(default_factory=dict)
    scales: dict[str, int] = field(default_factory=dict)
    is_scaled: bool = False
    steps: list[Affine] = field(default_factory=list)
    seen: list[tuple[int, tuple[Affine, ...]]] = field(default_factory=list)

    def network(self, wiring: Wiring | None) -> Network:
        """The absolute network."""
        self.is_scaled = any(node.op_type in _SCALES for _, node in self.needed(self._outputs(wiring)))
        return super().network(wiring)

    def last(self, wiring: Wiring | None) -> tuple[int, tuple[Affine, ...]]:
        """What `seen` has for the layers, for the outputs, after they have been read."""
        return max(self.roundings.get(name, 0) for name in self._outputs(wiring)), tuple(self.steps)

    def _outputs(self, wiring: Wiring | None) -> list[str]:
        names = [port.name for port in self.ports(wiring)[1]]
        return names + [wire.name for wire in ([] if wiring is None else wiring.hidden) if wire.name is not None]

    def _run(self, proto: onnx.NodeProto) -> None:
        where = self.where(proto)
        kind = proto.op_type
        if kind != "Relu" and kind not in _MOVING and kind not in _ARITHMETIC:
            raise InputError("float32 claims do not cover this operator", where=where, remedy="claim it of the reals")
        if kind == "Gemm" and any(a.name == "alpha" and a.f != 1.0 for a in proto.attribute):
            problem = "alpha is not 1: what it multiplies first is up to the runtime"
            raise InputError(problem, where=where, remedy="fold it into the weights, or claim it of the reals")
        before = [self.roundings.get(name, 0) for name in proto.input]
        count = sum(before) if kind in _SUMS else max(before, default=0)
        if kind == "Relu" and not self._value(proto.input[0], where).is_constant:
            self.seen.append((count, tuple(self.steps)))
            self.steps = []
        self._scale(proto, where)
        super()._run(_unsigned(proto))
        if kind == "Constant":
            self.values[proto.output[0]] = _absolute(self.values[proto.output[0]])
        if kind in _ARITHMETIC:
            count += self._finish(proto, where)
        for name in proto.output:
            self.roundings[name] = 0 if kind == "Relu" else count
            if name in self.values and self.values[name].element_type in set(FLOAT_TYPES) - {"float32"}:
                problem = f"computes in {self.values[name].element_type}"
                raise InputError(problem, where=where, remedy="float32 claims are about float32 networks")
        if count > _MOST_ROUNDINGS:
            raise InputError(f"{count} roundings are more than float32 claims allow", where=where, remedy="claim it of the reals")

    def _scale(self, proto: onnx.NodeProto, where: str) -> None:
        """Count the scales on the way to a node, and refuse constants that a moved scale could bring out of range."""
        kind = proto.op_type
        before = max((self.scales.get(name, 0) for name in proto.input), default=0)
        count = 0 if kind == "Relu" else before + (kind in _SCALES)
        self.scales |= dict.fromkeys(proto.output, count)
        if count > _MOST_SCALES:
            problem = f"more than {_MOST_SCALES} Mul or Div between two Relu: how a runtime combines them is not covered"
            raise InputError(problem, where=where, remedy="fold them into the weights, or claim it of the reals")
        if not self.is_scaled:
            return
        if kind == "Gemm" and any(a.name == "beta" and a.f != 1.0 for a in proto.attribute):
            problem = "beta is not 1, in a network with Mul or Div: what it scales first is up to the runtime"
            raise InputError(problem, where=where, remedy="fold it into the bias, or claim it of the reals")
        for position, name in enumerate(proto.input):
            operand = self._value(name, where) if name else None
            if operand is None or not operand.is_constant or operand.element_type not in FLOAT_TYPES:
                continue
            least, most = 0.0, _SCALED_LIMIT
            if position < 2 and kind in _SCALES | _PRODUCTS:
                least, most = _SCALE_RANGE if kind in _SCALES else _FACTOR_RANGE
            sizes = np.abs(operand.bias.floats[operand.bias.floats != 0])
            if len(sizes) and not least <= sizes.min() <= sizes.max() <= most:
                problem = f"{name!r} has entries out of the range in which scales may be moved"
                raise InputError(problem, where=where, remedy="rescale them, or claim it of the reals")

    def _finish(self, proto: onnx.NodeProto, where: str) -> int:
        """Add to an arithmetic node's result what underflow may; the roundings that it adds."""
        operands = [self._value(name, where) for name in proto.input if name]
        result = self.values[proto.output[0]]
        if result.is_constant and all(operand.is_constant for operand in operands):
            raise InputError("arithmetic on constants would be rounded", where=where, remedy="fold the constants first")
        tiny = ExactArray.of_fractions([_SCALED_UNDERFLOW if self.is_scaled else _UNDERFLOW], ())
        result = self.values[proto.output[0]] = result + Tensor(tiny, element_type=result.element_type)
        try:
            self.steps.append(affine(result))
        except UnsupportedError as error:
            raise InputError(error.problem, where=where, remedy=error.remedy) from None
        return _roundings(proto, operands)

    def _stored_value(self, name: str) -> Tensor:
        return _absolute(super()._stored_value(name))


def _roundings(proto: onnx.NodeProto, operands: Sequence[Tensor]) -> int:
    """Roundings on the longest way through an arithmetic node."""
    if proto.op_type == "MatMul":
        return operands[0].shape[-1]
    if proto.op_type == "Div":
        return 2
    if proto.op_type == "Conv":
        return math.prod(operands[1].shape[1:]) + 1
    if proto.op_type == "Gemm":
        given = {attribute.name: attribute for attribute in proto.attribute}
        turned = "transA" in given and given["transA"].i != 0
        inner: int = operands[0].shape[0 if turned else 1]
        return inner + 1 + ("beta" in given and given["beta"].f != 1.0)
    return 1


def _absolute(tensor: Tensor) -> Tensor:
    if tensor.element_type not in FLOAT_TYPES:
        return tensor
    return replace(tensor, bias=tensor.bias.rearranged(np.abs))


def _unsigned(proto: onnx.NodeProto) -> onnx.NodeProto:
    """The node of the absolute network."""
    if proto.op_type != "Gemm" and proto.op_type not in _UNSIGNED:
        return proto
    copy = type(proto)()
    copy.CopyFrom(proto)
    copy.op_type = _UNSIGNED.get(proto.op_type, proto.op_type)
    for attribute in copy.attribute:
        if attribute.name == "beta":
            attribute.f = abs(attribute.f)
    return copy
