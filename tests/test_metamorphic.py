"""Changes of network or query that cannot change the answer: scaling, permuting, duplicating, splitting, renaming.

Every query is decided before it is changed, so `unknown` on either side is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import secateur
from benchmarks.planting import Layers, write_network
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.search.phases import decide_phases

SEEDS = range(6)
SIZES = (3, 7, 6, 2)
Box = tuple[list[Fraction], list[Fraction]]


def random_layers(seed: int) -> Layers:
    """Two hidden layers, weights on a grid of 1/64, so that halving and doubling is exact."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(-64, 65, (size, fan_in)) / 64, rng.integers(-32, 33, size) / 64) for fan_in, size in pairwise(SIZES)]


def forward(layers: Layers, points: NDArray[np.float64]) -> NDArray[np.float64]:
    for weight, bias in layers[:-1]:
        points = np.maximum(points @ weight.T + bias, 0)
    return points @ layers[-1][0].T + layers[-1][1]


def threshold(layers: Layers, seed: int) -> float:
    """A bound for the first output near its largest value: above it for even seeds, below for odd ones."""
    points = np.random.default_rng(seed).uniform(-1, 1, (4000, SIZES[0]))
    largest = float(forward(layers, points)[:, 0].max())
    return round((largest + (0.25 if seed % 2 == 0 else -0.05)) * 64) / 64


def whole() -> Box:
    return [Fraction(-1)] * SIZES[0], [Fraction(1)] * SIZES[0]


@pytest.fixture(scope="module")
def engine() -> secateur.Engine:
    return secateur.Engine(jobs=1)


def answer(engine: secateur.Engine, file: Path, bound: float, box: Box, row: tuple[float, float] = (1, 0)) -> type:
    """Is row times output below the bound on the box? Decided, or the test fails."""
    claim = secateur.Specification(secateur.Box(*box), secateur.outputs @ list(row) <= bound)
    verdict = engine.verify(file, claim, timeout=20)
    assert not isinstance(verdict, secateur.Unknown)
    return type(verdict)


def scaled(layers: Layers, rng: np.random.Generator) -> Layers:
    (first, bias), (second, offset), *rest = layers
    factor = 2.0 ** rng.integers(-3, 4, len(bias))
    return [(factor[:, None] * first, factor * bias), (second / factor, offset), *rest]


def permuted(layers: Layers, rng: np.random.Generator) -> Layers:
    (first, bias), (second, offset), *rest = layers
    order = rng.permutation(len(bias))
    return [(first[order], bias[order]), (second[:, order], offset), *rest]


def duplicated(layers: Layers, rng: np.random.Generator) -> Layers:
    """A neuron of the second hidden layer twice, each with half of its outgoing weights."""
    first, (second, bias), (readout, offset) = layers
    chosen = int(rng.integers(len(bias)))
    readout = readout.copy()
    readout[:, chosen] /= 2
    doubled = np.vstack([second, second[chosen]]), np.append(bias, bias[chosen])
    return [first, doubled, (np.hstack([readout, readout[:, [chosen]]]), offset)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("change", [scaled, permuted, duplicated])
def test_verdicts_survive_a_change_of_the_network(
    engine: secateur.Engine, tmp_path: Path, seed: int, change: Callable[[Layers, np.random.Generator], Layers]
) -> None:
    layers = random_layers(seed)
    bound = threshold(layers, seed)
    changed = change(layers, np.random.default_rng(seed))
    points = np.random.default_rng(1).uniform(-1, 1, (50, SIZES[0]))
    assert np.allclose(forward(layers, points), forward(changed, points), rtol=0, atol=1e-12)
    before = answer(engine, write_network(tmp_path / "a.onnx", layers), bound, whole())
    assert before is (secateur.Holds if seed % 2 == 0 else secateur.Violated)
    assert answer(engine, write_network(tmp_path / "b.onnx", changed), bound, whole()) is before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_claim_holds_on_the_whole_iff_it_holds_on_both_halves(engine: secateur.Engine, tmp_path: Path, seed: int) -> None:
    layers = random_layers(seed)
    file, bound = write_network(tmp_path / "a.onnx", layers), threshold(layers, seed)
    lower, upper = whole()
    cut, axis = Fraction(1, 3), seed % SIZES[0]
    left = lower, [cut if i == axis else x for i, x in enumerate(upper)]
    right = [cut if i == axis else x for i, x in enumerate(lower)], upper
    halves = {answer(engine, file, bound, box) for box in (left, right)}
    together = secateur.Holds if halves == {secateur.Holds} else secateur.Violated
    assert answer(engine, file, bound, whole()) is together


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("power", [-20, 9])
def test_a_row_and_its_threshold_scale_together(engine: secateur.Engine, tmp_path: Path, seed: int, power: int) -> None:
    layers = random_layers(seed)
    file, bound, factor = write_network(tmp_path / "a.onnx", layers), threshold(layers, seed), 2.0**power
    assert answer(engine, file, bound, whole()) is answer(engine, file, bound * factor, whole(), (factor, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_names_and_versions_of_the_text_do_not_matter(engine: secateur.Engine, tmp_path: Path, seed: int) -> None:
    layers = random_layers(seed)
    file, bound = write_network(tmp_path / "a.onnx", layers), threshold(layers, seed)
    expected = answer(engine, file, bound, whole())
    named = tmp_path / "named.onnx"
    model = onnx.load(file)
    for tensor in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        tensor.name = f"other/{tensor.name}:0"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"other/{name}:0" for name in names]
    onnx.save(model, named)
    first, second = tmp_path / "one.vnnlib", tmp_path / "two.vnnlib"
    flat = [f"(declare-const {name} Real)" for name in ("X_0", "X_1", "X_2", "Y_0", "Y_1")]
    flat += [f"(assert (>= X_{i} -1.0)) (assert (<= X_{i} 1.0))" for i in range(SIZES[0])]
    first.write_text("\n".join([*flat, f"(assert (>= Y_0 {bound + 1 / 128!r}))"]))
    box = " ".join(f"(>= In[0,{i}] -1.0) (<= In[0,{i}] 1.0)" for i in range(SIZES[0]))
    second.write_text(
        "(vnnlib-version <2.0>)\n"
        "(declare-network Renamed (declare-input In float32 [1,3]) (declare-output Out float32 [1,2]))\n"
        f"(assert (and {box} (>= Out[0,0] {bound + 1 / 128!r})))\n"
    )
    for network in (file, named):
        for text in (first, second):
            assert type(engine.verify(network, text, timeout=20)) is expected


def phases(layers: Layers, folder: Path) -> list[list[secateur.Status]]:
    """The status of every neuron on the whole domain, by layer; all are decided."""
    file = write_network(folder / "p.onnx", layers)
    options = PruneOptions(timeout=10.0, jobs=1, solver="none")
    found = decide_phases(secateur.read_onnx(file), secateur.Box(*whole()), options, SilentProgress()).neurons
    status = [[neuron.status for neuron in layer] for layer in found]
    assert secateur.Status.UNKNOWN not in set(chain.from_iterable(status))
    return status


@pytest.mark.parametrize("seed", range(2))
def test_phases_belong_to_neurons_whatever_their_scale_and_place(tmp_path: Path, seed: int) -> None:
    layers = random_layers(seed)
    layers[0][1][:2] = -4, 4
    before = phases(layers, tmp_path)
    assert {secateur.Status.INACTIVE, secateur.Status.ACTIVE} <= set(before[0])
    assert phases(scaled(layers, np.random.default_rng(seed)), tmp_path) == before
    order = np.random.default_rng(seed).permutation(SIZES[1])
    after = phases(permuted(layers, np.random.default_rng(seed)), tmp_path)
    assert after == [[before[0][i] for i in order], before[1]]
