"""Random small float32 networks, and evaluations of them in every way that section 11 of the format allows.

An evaluation goes through the nodes of a model and rounds as IEEE binary32 does, by exact fractions: sums in random order and
grouping, products fused with additions at random, constants in the sums of a product of matrices at random, scales at random
places next to a product.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from secateur.checker.domain import Domain
from tests.checker.float32_moves import moved
from tests.onnx_models import model_bytes, node

__all__ = ["Evaluation", "box", "random_model", "round32", "small", "with_relu_inputs"]

Array = NDArray[Any]
TYPES = ["gemm", "gemm", "matmul", "conv", "residual"]
SCALED = ["scaled", "scales around matmul", "scales around matmul", "scales around conv"]


def box(size: int, low: str = "-1", high: str = "1") -> Domain:
    return Domain((Fraction(low),) * size, (Fraction(high),) * size)


def small(nodes: list[Any], stored: dict[str, Any], inputs: int = 2, shape: list[int] | None = None, **types: int) -> bytes:
    """A model from `x` to `y`."""
    return model_bytes(nodes, stored, inputs={"x": shape or [1, inputs]}, outputs={"y": None}, **types)


def round32(value: Fraction) -> Fraction:
    """The binary32 number nearest to a value far from overflow, halves to even, with gradual underflow."""
    if not value:
        return value
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent += size >= Fraction(2) ** exponent  # 2^(exponent-1) <= |value| < 2^exponent
    unit = Fraction(2) ** max(exponent - 24, -149)
    return round(value / unit) * unit


class Evaluation:
    """Evaluates a model once; the same object never rounds the same way again."""

    def __init__(self, model: ModelProto, seed: int) -> None:
        self._model, self._random = model, random.Random(seed)
        self._original = {own.name: _fractions(numpy_helper.to_array(own)) for own in model.graph.initializer}

    def run(self, x: Array) -> tuple[list[list[Fraction]], list[Fraction]]:
        """What the Relu nodes read, in order, and the outputs, at an input of float32 numbers."""
        nodes, self._stored = moved(list(self._model.graph.node), self._original, self._random, _rounded)
        self._producers = {name: own for own in nodes for name in own.output}
        values = self._stored | {self._model.graph.input[0].name: _fractions(x)}
        read = []
        for own in nodes:
            if own.op_type == "Relu":
                read.append(list(values[own.input[0]].ravel()))
            values[own.output[0]] = self._node(own, values)
        return read, list(values[self._model.graph.output[0].name].ravel())

    def _node(self, own: NodeProto, values: dict[str, Array]) -> Array:
        operands = [values[name] for name in own.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in own.attribute}
        match own.op_type:
            case "Relu":
                return np.maximum(operands[0], Fraction(0))
            case "Neg":
                return -operands[0]
            case "Flatten":
                return operands[0].reshape(1, -1)
            case "Reshape":
                return operands[0].reshape([int(n) for n in operands[1]])
            case "Concat":
                return np.concatenate(operands, axis=attributes["axis"])
            case "Mul":
                return _rounded(operands[0] * operands[1])
            case "Div":
                if self._random.random() < 0.5:
                    return _rounded(operands[0] * _rounded(1 / operands[1]))
                return _rounded(operands[0] / operands[1])
            case "Sub":
                return _rounded(operands[0] - operands[1])
            case "Add":
                return self._add(own, operands, values)
            case "MatMul":
                return self._product(operands[0], operands[1], [])
            case "Gemm":
                beta = Fraction(attributes.get("beta", 1.0))
                right = operands[1].T if attributes.get("transB") else operands[1]
                bias = operands[2] if beta == 1 else _rounded(beta * operands[2])
                return self._product(operands[0], right, [bias])
        bias = operands[2] if len(operands) > 2 else _array([Fraction(0)] * len(operands[1]), [len(operands[1])])
        return self._convolution(operands[0], operands[1], bias, attributes.get("pads", [0] * 4))

    def _add(self, own: NodeProto, operands: list[Array], values: dict[str, Array]) -> Array:
        """The sum, with a product of matrices or a product by element fused in now and then."""
        before = self._producers.get(own.input[0])
        if before is not None and self._random.random() < 0.7:
            factors = [values[name] for name in before.input]
            if before.op_type == "MatMul" and own.input[1] in self._stored:
                return self._product(factors[0], factors[1], [operands[1]])
            if before.op_type == "Mul":
                return _rounded(factors[0] * factors[1] + operands[1])
        return _rounded(operands[0] + operands[1])

    def _product(self, left: Array, right: Array, added: list[Array]) -> Array:
        shape = left.shape[0], right.shape[1]
        added = [np.broadcast_to(own, shape) for own in added]
        cells = [
            self._sum(list(zip(left[i], right[:, j], strict=True)), [own[i, j] for own in added])
            for i, j in product(*map(range, shape))
        ]
        return _array(cells, shape)

    def _convolution(self, data: Array, weights: Array, bias: Array, pads: Sequence[int]) -> Array:
        padded = np.full((data.shape[1], data.shape[2] + pads[0] + pads[2], data.shape[3] + pads[1] + pads[3]), Fraction(0))
        padded[:, pads[0] : pads[0] + data.shape[2], pads[1] : pads[1] + data.shape[3]] = data[0]
        height, width = weights.shape[2:]
        shape = 1, len(weights), padded.shape[1] - height + 1, padded.shape[2] - width + 1
        cells = []
        for _, f, y, x in product(*map(range, shape)):
            window = padded[:, y : y + height, x : x + width]
            cells.append(self._sum(list(zip(weights[f].ravel(), window.ravel(), strict=True)), [bias[f]]))
        return _array(cells, shape)

    def _sum(self, pairs: list[tuple[Fraction, Fraction]], added: list[Fraction]) -> Fraction:
        """Products and numbers added up in a random way."""
        self._random.shuffle(pairs)
        if self._random.random() < 0.5:  # one accumulator, fused or not, the numbers first or last
            first = self._random.random() < 0.5
            total = sum(added, Fraction(0)) if first else Fraction(0)
            for a, b in pairs:
                total = round32(total + (a * b if self._random.random() < 0.5 else round32(a * b)))
            return total if first else round32(total + sum(added, Fraction(0)))
        terms = [round32(a * b) for a, b in pairs] + added
        while len(terms) > 1:
            self._random.shuffle(terms)
            terms.append(round32(terms.pop() + terms.pop()))
        return terms[0]


def _array(cells: Sequence[Fraction], shape: Sequence[int]) -> Array:
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return made.reshape(shape)


def _fractions(values: Array) -> Array:
    return _array([Fraction(own.item()) for own in values.ravel()], values.shape)


def _rounded(values: Array) -> Array:
    values = np.asarray(values, dtype=object)  # numpy makes numbers of tensors without axes
    return _array([round32(own) for own in values.ravel()], values.shape)


class _Maker:
    """Builds a model layer by layer; some layers are so small that products underflow."""

    def __init__(self, seed: int) -> None:
        self.rng, self.nodes, self.stored, self.count = np.random.default_rng(seed), list[NodeProto](), dict[str, Array](), 0
        self.tiny, self.scaled = (bool(self.rng.random() < share) for share in (0.4, 0.6))
        self.types = [*TYPES, *SCALED] if self.scaled else TYPES

    def weights(self, *shape: int) -> str:
        scale = 2.0 ** (self.rng.integers(-75, -60) if self.tiny else self.rng.integers(-3, 3))
        self.count += 1
        self.stored[f"w{self.count}"] = (self.rng.normal(size=shape) * scale).astype(np.float32)
        return f"w{self.count}"

    def factors(self, *shape: int) -> str:
        """Constants for Mul and Div: magnitudes in the range that section 11 sets."""
        self.count += 1
        sizes = self.rng.uniform(1, 2, size=shape) * 2.0 ** self.rng.integers(-16, 16, size=shape)
        self.stored[f"c{self.count}"] = np.asarray(sizes * self.rng.choice([-1, 1], size=shape)).astype(np.float32)
        return f"c{self.count}"

    def scale(self, name: str, *shape: int) -> str:
        """Mul or Div by a scalar or by a tensor of this shape, now and then nothing."""
        if self.rng.random() < 0.25:
            return name
        kind = str(self.rng.choice(["Mul", "Div"]))
        return self.add(kind, [name, self.factors(*(shape if self.rng.random() < 0.4 else ()))])

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.count += 1
        self.nodes.append(node(op, inputs, f"t{self.count}", **attributes))
        return f"t{self.count}"

    def dense(self, kind: str, name: str, before: int, after: int) -> str:
        """A layer from `before` to `after` values."""
        if kind == "gemm":
            beta = 1.0 if self.scaled else float(self.rng.choice([1.0, -0.3]))
            return self.add("Gemm", [name, self.weights(after, before), self.weights(after)], transB=1, beta=beta)
        if kind == "scales around matmul":
            made = self.add("MatMul", [self.scale(name, before), self.weights(before, after)])
            return self.scale(made, after)
        if kind.endswith("conv"):
            self.count += 1
            self.stored[f"image{self.count}"] = np.array([1, 1, 1, before])
            image, around = self.add("Reshape", [name, f"image{self.count}"]), kind != "conv"
            bias = [] if around and self.rng.random() < 0.5 else [self.weights(2)]
            image = self.scale(image) if around else image
            row = self.add("Conv", [image, self.weights(2, 1, 1, 2), *bias], pads=[0, 1, 0, 0])
            row = self.scale(row, 2, 1, 1) if around else row
            return self.dense("gemm", self.add("Flatten", [row]), 2 * before, after)
        made = self.add("Add", [self.add("MatMul", [name, self.weights(before, after)]), self.weights(after)])
        if kind == "residual":
            other = self.add("MatMul", [name, self.weights(before, after)])
            return self.add("Sub", [made, self.add("Neg", [other])])
        if kind == "scaled":
            made = self.add("Add", [self.add("Mul", [made, self.factors(after)]), self.weights(after)])
            return self.add("Div", [made, self.factors(1)])
        return made


def random_model(seed: int) -> bytes:
    """A model of one to three ReLU layers, with a skip connection from the input now and then."""
    maker = _Maker(seed)
    size, name = int(maker.rng.integers(1, 5)), "x"
    inputs = size
    for _ in range(maker.rng.integers(1, 4)):
        after = int(maker.rng.integers(1, 6))
        made = maker.dense(str(maker.rng.choice(maker.types)), name, size, after)
        if name != "x" and maker.rng.random() < 0.3:
            made = maker.add("Add", [made, maker.add("MatMul", ["x", maker.weights(inputs, after)])])
        name, size = maker.add("Relu", [made]), after
    last = maker.dense(str(maker.rng.choice(maker.types)), name, size, 2)
    return model_bytes(maker.nodes, maker.stored, inputs={"x": [1, inputs]}, outputs={last: [1, 2]})


def with_relu_inputs(data: bytes) -> ModelProto:
    """The model with what its Relu nodes read as outputs, before its own."""
    model = onnx.load_from_string(data)
    read = [own.input[0] for own in model.graph.node if own.op_type == "Relu"]
    last = model.graph.output[0].name
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in [*read, last])
    return model
