"""Trains the small networks that are bundled with Secateur and writes them to `benchmarks/networks/`.

Why train our own: a first experience must take seconds, need no download, and still have something to find.
Two forces in the training leave neurons without work. Weight decay shrinks what the loss does not need, and a
penalty on the ReLU outputs, taken on the data and on random points of the whole domain, switches neurons off.
What is off at every sampled point is only *likely* to be off on the whole domain, and interval bounds prove
few of them: the rest is what Secateur is for.

The data sets ship with scikit-learn, which is needed only to train again (`pip install secateur[examples]`).
The trainer is plain numpy, full batch and seeded. Run it from the repository:

    python benchmarks/train_examples.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["RECIPES", "Recipe", "domain_box", "logits", "to_onnx", "train", "write"]

Floats = NDArray[np.float64]
Layers = list[tuple[Floats, Floats]]

FOLDER = Path(__file__).resolve().parent / "networks"
OPSET, IR_VERSION = 13, 8


@dataclass(frozen=True)
class Recipe:
    """How one bundled network is made.

    `columns` are the features that are used, by index; `domain` is the data's box, widened on each side by
    `margin` times the range of each feature.
    """

    name: str
    columns: tuple[int, ...]
    hidden: tuple[int, ...]
    seed: int
    weight_decay: float
    activity: float
    epochs: int = 1500
    rate: float = 1e-2
    margin: Decimal = Decimal("0.05")


RECIPES = (
    # Alcohol, flavanoids, colour intensity, hue, OD280/OD315, proline: enough to tell the cultivars apart.
    Recipe("wine", (0, 6, 9, 10, 11, 12), (24, 24, 24), seed=1, weight_decay=0.1, activity=0.003),
    Recipe("iris", (0, 1, 2, 3), (16, 16), seed=1, weight_decay=0.1, activity=0.01),
)


def load(recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The features of the data set as the network will get them, shape (rows, inputs), and the classes."""
    from sklearn import datasets

    loaders: dict[str, Callable[[], Any]] = {"wine": datasets.load_wine, "iris": datasets.load_iris}
    bunch = loaders[recipe.name]()
    return bunch.data[:, recipe.columns].astype(np.float32), bunch.target.astype(np.int64)


def domain_box(data: NDArray[np.float32], margin: Decimal) -> tuple[list[str], list[str]]:
    """Lower and upper bounds as decimal strings, rounded outwards to a thousandth of a unit."""
    lows = [Decimal(repr(float(x))) for x in data.min(axis=0)]
    highs = [Decimal(repr(float(x))) for x in data.max(axis=0)]
    step = Decimal("0.001")
    pairs = zip(lows, highs, strict=True)
    widened = [(low - margin * (high - low), high + margin * (high - low)) for low, high in pairs]
    lower = [low.quantize(step, rounding=ROUND_FLOOR) for low, _ in widened]
    upper = [high.quantize(step, rounding=ROUND_CEILING) for _, high in widened]
    return [str(x) for x in lower], [str(x) for x in upper]


def forward(layers: Layers, x: Floats) -> list[Floats]:
    """The input, every ReLU output and the logits, for a batch of shape (n, inputs)."""
    values = [x]
    for weight, bias in layers[:-1]:
        values.append(np.maximum(values[-1] @ weight + bias, 0))
    weight, bias = layers[-1]
    return [*values, values[-1] @ weight + bias]


def logits(layers: Layers, x: Floats) -> Floats:
    """The class scores, shape (n, classes)."""
    return forward(layers, x)[-1]


def gradients(layers: Layers, x: Floats, targets: Floats, activity: float) -> Layers:
    """Gradient of the mean cross entropy plus `activity` times the mean ReLU outputs.

    `targets` is one-hot for the first `len(targets)` rows of `x`; the other rows only feel the penalty.
    """
    values = forward(layers, x)
    rows, known = len(x), len(targets)
    shifted = np.exp(values[-1][:known] - values[-1][:known].max(axis=1, keepdims=True))
    flow = np.zeros((rows, targets.shape[1]))
    flow[:known] = (shifted / shifted.sum(axis=1, keepdims=True) - targets) / known
    result: Layers = []
    for k in reversed(range(len(layers))):
        result.append((values[k].T @ flow, flow.sum(axis=0)))
        if k:
            flow = (flow @ layers[k][0].T + activity / rows) * (values[k] > 0)
    return result[::-1]


def initial(sizes: Sequence[int], random: np.random.Generator) -> Layers:
    return [(random.normal(0, np.sqrt(2 / a), (a, b)), np.zeros(b)) for a, b in pairwise(sizes)]


def flat(layers: Layers) -> Iterator[Floats]:
    for weight, bias in layers:
        yield weight
        yield bias


def train(recipe: Recipe, data: Floats, classes: NDArray[np.int64], lower: Floats, upper: Floats) -> Layers:
    """Adam with decoupled weight decay and a step that falls to zero; all arguments in standardised units."""
    random = np.random.default_rng(recipe.seed)
    targets = np.eye(int(classes.max()) + 1)[classes]
    layers = initial([data.shape[1], *recipe.hidden, targets.shape[1]], random)
    first = [np.zeros_like(p) for p in flat(layers)]
    second = [np.zeros_like(p) for p in flat(layers)]
    for t in range(1, recipe.epochs + 1):
        spread = lower + (upper - lower) * random.random(data.shape)
        slopes = gradients(layers, np.vstack([data, spread]), targets, recipe.activity)
        step = recipe.rate * (1 - t / (recipe.epochs + 1))
        for q, (p, g) in enumerate(zip(flat(layers), flat(slopes), strict=True)):
            first[q] += 0.1 * (g - first[q])
            second[q] += 0.001 * (g * g - second[q])
            decay = recipe.weight_decay * p if p.ndim == 2 else 0.0
            change = first[q] / (1 - 0.9**t) / (np.sqrt(second[q] / (1 - 0.999**t)) + 1e-8) + decay
            np.subtract(p, step * change, out=p)
    return layers


def fold_scaling(layers: Layers, mean: Floats, scale: Floats) -> Layers:
    """The same network on raw units: standardisation moves into the first layer."""
    weight, bias = layers[0]
    raw = weight / scale[:, None]
    return [(raw, bias - mean @ raw), *layers[1:]]


def to_onnx(layers: Layers, name: str, note: str) -> onnx.ModelProto:
    """Gemm and Relu only, float32, weights stored as (outputs, inputs), batch size free."""
    nodes, stored, current = [], [], "input"
    for k, (weight, bias) in enumerate(layers, 1):
        stored += [
            numpy_helper.from_array(np.ascontiguousarray(weight.T, dtype=np.float32), f"layer{k}.weight"),
            numpy_helper.from_array(bias.astype(np.float32), f"layer{k}.bias"),
        ]
        last = k == len(layers)
        out = "logits" if last else f"layer{k}.z"
        inputs = [current, f"layer{k}.weight", f"layer{k}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [out], f"layer{k}", transB=1))
        if not last:
            current = f"layer{k}.relu"
            nodes.append(helper.make_node("Relu", [out], [current], current))
    real = onnx.TensorProto.FLOAT
    source = helper.make_tensor_value_info("input", real, ["batch", layers[0][0].shape[0]])
    target = helper.make_tensor_value_info("logits", real, ["batch", layers[-1][0].shape[1]])
    graph = helper.make_graph(nodes, name, [source], [target], stored, doc_string=note)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="secateur benchmarks")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def build(recipe: Recipe) -> tuple[Layers, NDArray[np.float32], tuple[list[str], list[str]], float]:
    """The trained layers on raw units, the data, the domain, and the share of rows it classifies rightly."""
    data, classes = load(recipe)
    lower, upper = domain_box(data, recipe.margin)
    wide = data.astype(np.float64)
    mean, scale = wide.mean(axis=0), wide.std(axis=0)
    corners = [(np.array([float(x) for x in side]) - mean) / scale for side in (lower, upper)]
    layers = fold_scaling(train(recipe, (wide - mean) / scale, classes, *corners), mean, scale)
    right = float((logits(layers, wide).argmax(axis=1) == classes).mean())
    return layers, data, (lower, upper), right


def write(recipe: Recipe, folder: Path) -> str:
    """Writes NAME.onnx, NAME.domain.json and NAME.data.npy; returns one line that says what was made."""
    layers, data, (lower, upper), right = build(recipe)
    note = f"ReLU classifier of scikit-learn's {recipe.name} data, made by benchmarks/train_examples.py"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(layers, recipe.name, note), folder / f"{recipe.name}.onnx")
    domain = json.dumps({"lower": lower, "upper": upper}, indent=1)
    (folder / f"{recipe.name}.domain.json").write_text(domain + "\n", encoding="utf-8")
    np.save(folder / f"{recipe.name}.data.npy", data)
    size = (folder / f"{recipe.name}.onnx").stat().st_size
    shape = "-".join(str(n) for n in (data.shape[1], *recipe.hidden, layers[-1][1].size))
    return f"{recipe.name}: {shape}, {right:.1%} of {len(data)} rows right, {size} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the bundled networks again.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the bundled one)")
    folder = parser.parse_args().out
    for recipe in RECIPES:
        print(write(recipe, folder))


if __name__ == "__main__":
    main()
