"""Random small networks in a form of their own: a description that ONNX is written from and that has its own exact meaning.

Nothing here uses the engine, so that a fault in a reader or in a lowering shows as a difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Box", "Described", "Layer", "evaluate", "onnx_bytes", "perturbed", "random_box", "random_network", "sizes", "without"]

Box = tuple[tuple[Fraction, Fraction], ...]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Layer:
    """An affine function: bias + sum of matrix @ source, sources counted from 0, the input.

    kernel : where it is not empty the one term is a convolution of this kernel along a row of one channel (stride 1, no padding),
    and the matrix says the same.
    """

    terms: tuple[tuple[int, Matrix], ...]
    bias: tuple[float, ...]
    kernel: tuple[float, ...] = ()


@dataclass(frozen=True)
class Described:
    """ReLU layers and a last layer without; `kind` is the element type."""

    inputs: int
    layers: tuple[Layer, ...]
    kind: str = "float32"


def sizes(network: Described) -> list[int]:
    """The width of the input and of every layer."""
    return [network.inputs, *(len(layer.bias) for layer in network.layers)]


def evaluate(network: Described, point: Sequence[Fraction]) -> list[list[Fraction]]:
    """Every layer's values before its ReLU, exactly; the last ones are the outputs."""
    values, sums = [list(point)], []
    for layer in network.layers:
        total = [Fraction(b) for b in layer.bias]
        for source, matrix in layer.terms:
            for i, row in enumerate(matrix):
                total[i] += sum((Fraction(w) * v for w, v in zip(row, values[source], strict=True) if w), Fraction(0))
        sums.append(total)
        values.append([max(z, Fraction(0)) for z in total])
    return sums


def onnx_bytes(network: Described, names: tuple[str, str] = ("x", "y")) -> bytes:
    """The network as Gemm, Conv, Add and Relu nodes."""
    from onnx import TensorProto, helper, numpy_helper

    stored: list[Any] = []
    nodes: list[Any] = []

    def constant(values: object, name: str, kind: str) -> str:
        stored.append(numpy_helper.from_array(np.array(values, dtype=kind), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    values = [names[0]]
    for k, layer in enumerate(network.layers):
        if layer.kernel:
            width = sizes(network)[layer.terms[0][0]]
            image = node("Reshape", [values[layer.terms[0][0]], constant([-1, 1, 1, width], f"s{k}", "int64")], f"i{k}")
            kernel = constant([[[layer.kernel]]], f"k{k}", network.kind)
            folded = node("Conv", [image, kernel, constant(layer.bias[:1], f"b{k}", network.kind)], f"c{k}")
            total = node("Flatten", [folded], f"z{k}", axis=1)
        else:
            total = _dense(layer, k, values, network.kind, constant, node)
        if k < len(network.layers) - 1:
            values.append(node("Relu", [total], f"r{k}"))
    nodes[-1].output[0] = names[1]
    element = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[network.kind]
    ports = [
        [helper.make_tensor_value_info(name, element, [1, size])]
        for name, size in zip(names, (network.inputs, len(network.layers[-1].bias)), strict=True)
    ]
    graph = helper.make_graph(nodes, "fuzzed", ports[0], ports[1], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def _dense(layer: Layer, k: int, values: list[str], kind: str, constant: Callable[..., str], node: Callable[..., str]) -> str:
    parts = []
    for n, (source, matrix) in enumerate(layer.terms):
        weights = [values[source], constant(matrix, f"w{k}_{n}", kind)]
        weights += [constant(layer.bias, f"b{k}", kind)] if n == 0 else []
        parts.append(node("Gemm", weights, f"p{k}_{n}", transB=1))
    total = parts[0]
    for n, part in enumerate(parts[1:]):
        total = node("Add", [total, part], f"t{k}_{n}")
    return total


_STYLES = {"integer": 6, "dyadic": 6, "normal": 6, "mixed": 3, "huge": 1, "tiny": 3, "identity": 3}
"""How often networks are made in each style; about huge weights an engine often says only that floats do not hold them."""


def random_network(rng: random.Random) -> Described:
    """Two to twelve ReLUs of one to three layers in one of several styles."""
    style, kind = rng.choices(tuple(_STYLES), tuple(_STYLES.values()))[0], rng.choice(("float32", "float32", "float64"))
    widths = [rng.randint(1, 3)] + [rng.randint(1, 4) for _ in range(rng.randint(1, 3))] + [rng.randint(1, 3)]
    if style == "identity":
        widths = [widths[0]] * len(widths)
    if rng.random() < 0.2:
        widths[0] = 4
    layers = []
    for k in range(1, len(widths)):
        sources = {k - 1} | ({rng.randrange(k)} if rng.random() < 0.25 else set())
        layer = _random_layer(rng, style, kind, widths, k, sorted(sources, reverse=True))
        layers.append(layer if layer.kernel else _disturbed(rng, layer))
        widths[k] = len(layers[-1].bias)
    return Described(widths[0], tuple(layers), kind)


def _random_layer(rng: random.Random, style: str, kind: str, widths: list[int], k: int, sources: list[int]) -> Layer:
    last = k == len(widths) - 1  # onnxruntime has no convolution in float64
    if not last and kind == "float32" and widths[k - 1] >= 3 and rng.random() < 0.3:
        kernel = tuple(_weight(rng, style, kind) for _ in range(2))
        count = widths[k - 1] - 1
        matrix = tuple(tuple(kernel[j - i] if 0 <= j - i < 2 else 0.0 for j in range(count + 1)) for i in range(count))
        return Layer(((k - 1, matrix),), (_weight(rng, style, kind),) * count, kernel)
    terms = []
    for source in sources:
        rows = [[_weight(rng, style, kind) for _ in range(widths[source])] for _ in range(widths[k])]
        if style == "identity" and rng.random() < 0.7:
            rows = [[float(i == j) for j in range(widths[source])] for i in range(widths[k])]
        terms.append((source, tuple(map(tuple, rows))))
    return Layer(tuple(terms), tuple(rng.choice((0.0, _weight(rng, style, kind))) for _ in range(widths[k])))


def _weight(rng: random.Random, style: str, kind: str) -> float:
    if rng.random() < 0.1:
        return 0.0
    sign = rng.choice((-1, 1))
    match style:
        case "integer" | "identity":
            return float(sign * rng.randint(0, 3))
        case "dyadic":
            return sign * rng.randint(0, 16) / 8
        case "huge" if rng.random() < 0.3:
            value = sign * 10.0 ** rng.uniform(6, 12 if rng.random() < 0.7 else 30)
        case "tiny" if rng.random() < 0.3:
            value = sign * rng.choice((1e-30, 1e-41, 1e-8, 1e-3))
        case "mixed":
            value = sign * 10.0 ** rng.uniform(-4, 4)
        case _:
            value = rng.gauss(0, 1)
    return float(np.dtype(kind).type(value))


def _disturbed(rng: random.Random, layer: Layer) -> Layer:
    """Some rows zero, dead, or the copy of the row before."""
    bias, terms = list(layer.bias), [(s, list(m)) for s, m in layer.terms]
    for i in range(len(bias)):
        fate = rng.random()
        for _, matrix in terms:
            if fate < 0.06:
                matrix[i] = tuple(0.0 for _ in matrix[i])
            elif fate < 0.16 and i:
                matrix[i] = matrix[i - 1]
        if 0.06 <= fate < 0.16 and i:
            bias[i] = bias[i - 1]
        elif 0.16 <= fate < 0.2:
            bias[i] = -1024.0
    return replace(layer, terms=tuple((s, tuple(m)) for s, m in terms), bias=tuple(bias))


def without(network: Described, layer: int, neurons: Sequence[int]) -> Described:
    """The network in which 0 stands in the place of these neurons' outputs; the layer counts from 0."""

    def struck(row: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(0.0 if j in neurons else w for j, w in enumerate(row))

    layers = [
        replace(own, terms=tuple((s, tuple(map(struck, m)) if s == layer + 1 else m) for s, m in own.terms), kernel=())
        for own in network.layers
    ]
    return replace(network, layers=tuple(layers))


def perturbed(rng: random.Random, network: Described) -> Described:
    """A copy that computes the same (written otherwise, or with a layer's neurons doubled and their readers halved) or nearly."""
    layers = [replace(own, kernel=()) for own in network.layers]
    fate, k = rng.random(), rng.randrange(len(layers))
    if fate < 0.1:
        return replace(network, layers=tuple(layers))
    if fate < 0.25 and len(layers) > 1:
        return replace(network, layers=tuple(_doubled(layers, rng.randrange(len(layers) - 1))))
    if fate < 0.5:
        rounded = [_mapped(own, lambda w: float(np.float32(round(w, 3)))) for own in layers]
        return replace(network, layers=tuple(rounded))
    share = rng.choice((2**-30, 2**-12, 2**-6, 0.25))
    kind = np.dtype(network.kind).type
    layers[k] = _mapped(layers[k], lambda w: float(kind(w * (1 + share))) if rng.random() < 0.4 else w)
    return replace(network, layers=tuple(layers))


def _mapped(layer: Layer, change: Callable[[float], float]) -> Layer:
    terms = tuple((s, tuple(tuple(map(change, row)) for row in m)) for s, m in layer.terms)
    return Layer(terms, tuple(map(change, layer.bias)))


def _doubled(layers: Sequence[Layer], k: int) -> list[Layer]:
    """Twice what layer k computes, and half of it for whoever reads it: the same where no number overflows or underflows."""
    changed = list(layers)
    changed[k] = _mapped(layers[k], lambda w: 2 * w)
    for i, layer in enumerate(layers):
        terms = tuple((s, tuple(tuple(w / 2 for w in row) for row in m) if s == k + 1 else m) for s, m in layer.terms)
        changed[i] = replace(changed[i], terms=terms if i != k else changed[k].terms)
    return changed


def random_box(rng: random.Random, inputs: int, kind: str) -> Box:
    """A box of simple numbers; some coordinates fixed, thin (1e-6 or one unit in the last place), or wide."""
    style = rng.choice(("plain", "plain", "plain", "degenerate", "point", "thin", "ulp", "wide"))
    box = []
    for _ in range(inputs):
        low = Fraction(rng.randint(-16, 8), 8)
        width = Fraction(rng.randint(1, 24), 8)
        if style == "point" or (style == "degenerate" and rng.random() < 0.5):
            width = Fraction(0)
        elif style == "thin":
            width = Fraction(1, 10**6)
        elif style == "ulp":
            number = np.dtype(kind).type(float(low))
            width = Fraction(float(np.nextafter(number, np.dtype(kind).type(np.inf)))) - low
        elif style == "wide":
            low, width = -(Fraction(10) ** rng.randint(2, 6)), Fraction(2 * 10**6)
        box.append((low, low + width))
    return tuple(box)
