"""The bundled networks are small, plain, read what their data holds, and leave something worth proving."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from benchmarks import train_examples

FOLDER = Path(train_examples.__file__).parent / "networks"
RECIPES = {recipe.name: recipe for recipe in train_examples.RECIPES}

#: Neurons that are active at none of many points, and those that interval arithmetic shows never to be.
COUNTS = {"wine": (31, 4), "iris": (8, 6)}


@pytest.fixture(params=sorted(RECIPES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read_layers(name: str) -> list[tuple[Any, Any]]:
    """Weights as (inputs, outputs) and biases, float64, straight from the initialisers."""
    stored = [numpy_helper.to_array(t).astype(float) for t in onnx.load(FOLDER / f"{name}.onnx").graph.initializer]
    return [(weight.T, bias) for weight, bias in zip(stored[::2], stored[1::2], strict=True)]


def read_domain(name: str) -> tuple[list[Fraction], list[Fraction]]:
    box = json.loads((FOLDER / f"{name}.domain.json").read_text(encoding="utf-8"))
    assert set(box) == {"lower", "upper"}
    return [Fraction(text) for text in box["lower"]], [Fraction(text) for text in box["upper"]]


def sample(name: str, rows: int) -> Any:
    """Random points of the domain; a third of the coordinates on its faces."""
    lower, upper = (np.array([float(x) for x in side]) for side in read_domain(name))
    random = np.random.default_rng(0)
    share = random.random((rows, len(lower)))
    faces = random.random(share.shape) < 1 / 3
    return lower + (upper - lower) * np.where(faces, np.round(share), share)


def count_never_active(name: str, points: Any) -> int:
    values = train_examples.forward(read_layers(name), points)
    return sum(int((layer.max(axis=0) <= 0).sum()) for layer in values[1:-1])


def count_inactive_by_intervals(name: str) -> int:
    """Neurons whose exact interval bound is not positive: what is obvious without a search."""
    lower, upper = read_domain(name)
    found = 0
    for weight, bias in read_layers(name)[:-1]:
        columns = [[Fraction(w) for w in column] for column in weight.T.tolist()]
        offsets = [Fraction(b) for b in bias.tolist()]
        ends = [
            sorted_ends([(w * lo, w * hi) for w, lo, hi in zip(column, lower, upper, strict=True)], offset)
            for column, offset in zip(columns, offsets, strict=True)
        ]
        found += sum(high <= 0 for _, high in ends)
        lower, upper = (
            [max(low, Fraction(0)) for low, _ in ends],
            [max(high, Fraction(0)) for _, high in ends],
        )
    return found


def sorted_ends(products: list[tuple[Fraction, Fraction]], offset: Fraction) -> tuple[Fraction, Fraction]:
    return offset + sum(map(min, products)), offset + sum(map(max, products))


def test_model_is_small_and_plain(name: str) -> None:
    path = FOLDER / f"{name}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert path.stat().st_size < 10_000
    assert (model.ir_version, [o.version for o in model.opset_import]) == (8, [13])
    hidden = len(RECIPES[name].hidden)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu"] * hidden + ["Gemm"]
    assert {t.data_type for t in model.graph.initializer} == {onnx.TensorProto.FLOAT}


def test_interface_is_the_documented_one(name: str) -> None:
    graph = onnx.load(FOLDER / f"{name}.onnx").graph
    (source,), (target,) = graph.input, graph.output
    assert (source.name, target.name) == ("input", "logits")
    batch, width = source.type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert width.dim_value == len(RECIPES[name].columns)


def test_layers_have_the_recipe_s_widths(name: str) -> None:
    layers = read_layers(name)
    assert tuple(len(bias) for _, bias in layers[:-1]) == RECIPES[name].hidden
    assert all(a.shape[1] == b.shape[0] for (a, _), (b, _) in pairwise(layers))
    assert all(np.isfinite(part).all() for layer in layers for part in layer)


def test_domain_holds_the_data_with_its_margin(name: str) -> None:
    data = np.load(FOLDER / f"{name}.data.npy")
    lower, upper = read_domain(name)
    assert data.dtype == np.float32
    for column, low, high in zip(data.T.tolist(), lower, upper, strict=True):
        least, most = Fraction(min(column)), Fraction(max(column))
        margin = (most - least) / 20
        assert least - margin - Fraction(1, 500) < low < least - margin + Fraction(1, 500)
        assert most + margin - Fraction(1, 500) < high < most + margin + Fraction(1, 500)


def test_onnxruntime_agrees_with_the_stored_weights(name: str) -> None:
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", providers=["CPUExecutionProvider"])
    points = np.vstack([sample(name, 500), np.load(FOLDER / f"{name}.data.npy")]).astype(np.float32)
    (got,) = session.run(["logits"], {"input": points})
    expected = train_examples.logits(read_layers(name), points.astype(float))
    assert np.abs(got - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())


def test_there_is_something_to_prove(name: str) -> None:
    never = count_never_active(name, sample(name, 50_000))
    obvious = count_inactive_by_intervals(name)
    total = sum(RECIPES[name].hidden)
    assert total * 0.2 <= never <= total * 0.5
    assert obvious < never


def test_many_points_and_intervals_find_these_counts(name: str) -> None:
    assert COUNTS[name] == (count_never_active(name, sample(name, 400_000)), count_inactive_by_intervals(name))


def test_figures_of_the_readme() -> None:
    """Those that follow from the bundled network alone; `test_packaging` runs the command whose output it shows."""
    never, obvious = COUNTS["wine"]
    total = sum(RECIPES["wine"].hidden)
    parameters = sum(weight.size + bias.size for weight, bias in read_layers("wine"))
    readme = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"(a wine classifier with {total} neurons)" in readme
    assert f"  neurons     {total} -> {total - never}\n" in readme
    assert f"  parameters  {parameters:,} -> " in readme
    assert f"  bytes       {(FOLDER / 'wine.onnx').stat().st_size:,} -> " in readme
    assert f"  status      {never} inactive, 0 active, {total - never} both, 0 unknown\n" in readme
    assert f"  evidence    {obvious} claims by intervals, {never - obvious} by split trees (" in readme
    assert f"of the {total} neurons and 218 of the {parameters:,} parameters of the bundled network" in readme


def test_classes_are_told_apart(name: str) -> None:
    pytest.importorskip("sklearn", reason="the examples extra is not installed")
    data, classes = train_examples.load(RECIPES[name])
    assert np.array_equal(data, np.load(FOLDER / f"{name}.data.npy"))
    found = train_examples.logits(read_layers(name), data.astype(float)).argmax(axis=1)
    assert (found == classes).all()


def test_gradients_match_finite_differences() -> None:
    random = np.random.default_rng(3)
    layers = train_examples.initial([3, 5, 4, 2], random)
    points, targets, weight = random.normal(size=(6, 3)), np.eye(2)[[0, 1, 1, 0]], 0.3

    def loss() -> float:
        values = train_examples.forward(layers, points)
        scores = values[-1][:4] - np.log(np.exp(values[-1][:4]).sum(axis=1, keepdims=True))
        return float(-(scores * targets).sum() / 4 + weight * sum(v.sum() for v in values[1:-1]) / 6)

    slopes = list(train_examples.flat(train_examples.gradients(layers, points, targets, weight)))
    for part, slope in zip(train_examples.flat(layers), slopes, strict=True):
        place = tuple(int(random.integers(n)) for n in part.shape)
        kept = part[place]
        part[place] = kept + 1e-6
        above = loss()
        part[place] = kept - 1e-6
        below = loss()
        part[place] = kept
        assert abs((above - below) / 2e-6 - slope[place]) < 1e-6


def test_domain_box_rounds_outwards() -> None:
    from decimal import Decimal

    data = np.array([[0.0, -1.0], [1 / 3, 1.0]], dtype=np.float32)
    assert train_examples.domain_box(data, Decimal("0.1")) == (["-0.034", "-1.200"], ["0.367", "1.200"])


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the examples extra is not installed")
    from dataclasses import replace

    recipe = replace(RECIPES["iris"], epochs=20)
    lines = [train_examples.write(recipe, tmp_path / side) for side in ("a", "b")]
    assert lines[0] == lines[1]
    assert lines[0].startswith("iris: 4-16-16-3, ")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["iris.data.npy", "iris.domain.json", "iris.onnx"]
    for file in names:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
