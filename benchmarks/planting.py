"""Networks with a planted counterexample that sampling does not find (after SoundnessBench, arXiv 2412.03154).

Output = spike - base. The base is a random ReLU network with nonnegative weights into the output, so it only ever takes
away, and its last biases make it exactly 0 at the secret point. The spike is relu(H - K sum_i |u_i x - u_i p|) over secret
directions u_i: it is H at the secret point p and 0 outside a tiny polytope around it, so the maximum of the output over all
inputs is exactly H. Directions, p and therefore all u_i p lie on coarse binary grids and are float32 numbers without
rounding. What hides the spike changes no value: pairs of random neurons with the same row, scaled by powers of two, whose
outgoing weights cancel exactly; scaling of every neuron by a power of two; permutation.

Twins differ only in H: `removed` has a spike that never rises, `thin` one that ends just below the threshold. Both are truly
unsat.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["MARGINS", "Planted", "evaluate", "plant", "write_network"]

Floats = NDArray[np.float64]
Layers = list[tuple[Floats, Floats]]

MARGINS = ("1e-2", "1e-4", "1e-6", "ulp")
"""Height of the spike above the threshold, as a share of the height or one float32 number below it."""


@dataclass(frozen=True)
class Planted:
    """A network with a spike, its two twins, the secret point (float32), the threshold and its height."""

    layers: Layers
    removed: Layers
    thin: Layers
    point: Floats
    threshold: Fraction
    height: Fraction
    margin: str

    @property
    def relus(self) -> int:
        return sum(len(bias) for _, bias in self.layers[:-1])


def plant(seed: int, *, largest: int = 30, width: int = 40) -> Planted:
    """Build the network of a seed: 5 to `largest` inputs in [-1, 1], 2 to 4 hidden layers of at most `width` random neurons.

    Raises ValueError if a stored weight is no float32 number or an exact value at the secret point is not what it should
    be: then the builder is wrong.
    """
    rng = np.random.default_rng(seed)
    inputs, depth = int(rng.integers(5, largest + 1)), int(rng.integers(2, 5))
    point = rng.integers(-48, 49, inputs) / 64
    directions = _directions(rng, inputs)
    height = float(np.float32(rng.uniform(0.5, 4)))
    margin = MARGINS[seed % len(MARGINS)]
    threshold = np.float32(height * (1 - float(margin))) if margin != "ulp" else np.nextafter(np.float32(height), np.float32(0))
    below = float(np.nextafter(threshold, np.float32(0)))
    base = _base(rng, point, depth, width)
    state = rng.bit_generator.state
    steep = 2.0 ** int(rng.integers(6, 13))

    def hidden(peak: float) -> Layers:
        twin = np.random.default_rng()
        twin.bit_generator.state = state
        return _disguised(twin, _joined(base, directions, point, steep, peak), width // 4)

    made = Planted(hidden(height), hidden(-1.0), hidden(below), point, Fraction(float(threshold)), Fraction(height), margin)
    _confirm(made.layers, point, made.height)
    _confirm(made.removed, point, Fraction(0))
    _confirm(made.thin, point, Fraction(below))
    if not made.height > made.threshold > Fraction(below) > 0:
        raise ValueError(f"seed {seed}: no room for a threshold below {height}")
    return made


def _confirm(layers: Layers, point: Floats, value: Fraction) -> None:
    if not all(np.array_equal(array, _rounded(array)) for pair in layers for array in pair):
        raise ValueError("a weight is no float32 number")
    if evaluate(layers, point) != value:
        raise ValueError(f"the value at the secret point is not {value}")


def evaluate(layers: Layers, point: Floats) -> Fraction:
    """The exact value of the single output."""
    values = [Fraction(x) for x in point.tolist()]
    for index, (weight, bias) in enumerate(layers):
        sums = []
        for row, offset in zip(weight.tolist(), bias.tolist(), strict=True):
            sums.append(
                Fraction(offset) + sum((Fraction(w) * v for w, v in zip(row, values, strict=True) if w and v), Fraction(0))
            )
        values = sums if index + 1 == len(layers) else [max(value, Fraction(0)) for value in sums]
    return values[0]


def write_network(path: Path, layers: Layers) -> Path:
    """The layers as Gemm and Relu nodes, float32."""
    nodes, stored, value = [], [], "x"
    for k, pair in enumerate(layers):
        last = k + 1 == len(layers)
        stored += [numpy_helper.from_array(a.astype(np.float32), f"{name}{k}") for name, a in zip("wb", pair, strict=True)]
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], ["y" if last else f"z{k}"], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [f"z{k}"], [f"r{k}"]))
            value = f"r{k}"
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", layers[0][0].shape[1]), ("y", layers[-1][0].shape[0]))
    ]
    graph = helper.make_graph(nodes, "planted", ports[:1], ports[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _directions(rng: np.random.Generator, inputs: int) -> Floats:
    """Rows on a grid of 1/64: a dense one, and one dominated by each of some coordinates; few enough that a layer stays small."""
    count = int(rng.integers(min(5, inputs), min(inputs, 20) + 1))
    rows = rng.integers(-16, 17, (count, inputs)) / 64.0
    rows[np.arange(count), rng.permutation(inputs)[:count]] = 1.0
    return rows


def _base(rng: np.random.Generator, point: Floats, depth: int, width: int) -> Layers:
    """Random layers; the last hidden one is silent at the point by its biases, with room for their rounding."""
    sizes = [len(point), *rng.integers(width // 2, width + 1, depth).tolist()]
    layers: Layers = []
    value = point
    for k, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = _rounded(rng.normal(size=(fan_out, fan_in)) * np.sqrt(2 / fan_in))
        bias = (
            _rounded(rng.normal(size=fan_out) * 0.3)
            if k + 1 < depth
            else _rounded(-(weight @ value) - rng.uniform(0.001, 0.3, fan_out))
        )
        layers.append((weight, bias))
        value = np.maximum(weight @ value + bias, 0)
    readout = _rounded(np.abs(rng.normal(size=(1, sizes[-1]))))
    return [*layers, (-readout, np.zeros(1))]


def _rounded(array: Floats) -> Floats:
    return array.astype(np.float32).astype(np.float64)


def _joined(base: Layers, directions: Floats, point: Floats, steep: float, peak: float) -> Layers:
    """Base and spike side by side: |u x - u p| in the first layer, the bump in the second, carried on unchanged."""
    count, carried = len(directions), directions @ point
    (weight, bias), *rest = base
    layers = [(np.vstack([weight, directions, -directions]), np.concatenate([bias, -carried, carried]))]
    arms = np.full((1, 2 * count), -steep)
    for k, (weight, bias) in enumerate(rest):
        last = k + 1 == len(rest)
        spike = arms if k == 0 else np.ones((1, 1))
        offset = np.array([peak if k == 0 else 0.0])
        if last:
            layers.append((np.hstack([weight, spike]), bias))
        else:
            layers.append((_diagonal(weight, spike), np.concatenate([bias, offset])))
    return layers


def _diagonal(first: Floats, second: Floats) -> Floats:
    joined = np.zeros((first.shape[0] + second.shape[0], first.shape[1] + second.shape[1]))
    joined[: first.shape[0], : first.shape[1]] = first
    joined[first.shape[0] :, first.shape[1] :] = second
    return joined


def _disguised(rng: np.random.Generator, layers: Layers, pairs: int) -> Layers:
    """The same function with cancelling pairs, scaled and permuted neurons in every hidden layer."""
    made = list(layers)
    for k in range(len(made) - 1):
        (weight, bias), (following, offset) = made[k], made[k + 1]
        row, start = _rounded(rng.normal(size=(pairs, weight.shape[1])) * 0.3), _rounded(rng.normal(size=pairs) * 0.3)
        out, factor = _rounded(rng.normal(size=(following.shape[0], pairs)) * 0.1), 2.0 ** rng.integers(-2, 3, pairs)
        weight, bias = np.vstack([weight, row, factor[:, None] * row]), np.concatenate([bias, start, factor * start])
        following = np.hstack([following, out * factor, -out])
        scale, order = 2.0 ** rng.integers(-2, 3, len(bias)), rng.permutation(len(bias))
        made[k] = ((scale[:, None] * weight)[order], (scale * bias)[order])
        made[k + 1] = ((following / scale)[:, order], offset)
    return made
