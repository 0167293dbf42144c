"""The public benchmark networks: read, evaluated in three arithmetics, written and read again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from secateur.network import Network, Replay, read_onnx, to_model_bytes
from tests.onnx_models import assert_same

# Relative to the largest value met on the way; float32 has 6e-8, and layers add up.
FLOAT32_NOISE = 5e-6


def some_networks(folder: Path) -> list[Path]:
    """Every file of the small families, each third of the large ones (they differ only in their weights)."""
    paths = sorted(folder.rglob("*.onnx"))
    large = [p for p in paths if "sat_relu" in p.parts or "acas" in str(p).lower()]
    return sorted({*paths} - {*large}) + large[::3]


def scale(network: Network, points: np.ndarray) -> float:
    values = [*network.pre_activations(points), network.forward(points)]
    return max(1e-6, *(float(np.abs(v).max()) for v in values))


def test_every_network_agrees_with_onnxruntime(data_dir: Path) -> None:
    paths = some_networks(data_dir)
    assert len(paths) > 30
    for path in paths:
        network = read_onnx(path)
        points = np.random.default_rng(0).uniform(-1, 1, (3, network.input_size)).astype(np.float32)
        points = points.astype(np.float64)
        error = np.abs(Replay(path).evaluate(points) - network.forward(points)).max()
        assert error <= FLOAT32_NOISE * scale(network, points), path


def test_exact_values_agree_with_floats(data_dir: Path) -> None:
    for path in some_networks(data_dir):
        network = read_onnx(path)
        if network.neuron_count > 700:
            continue
        point = np.random.default_rng(1).uniform(-1, 1, (1, network.input_size))
        trace = network.exact([Fraction(x) for x in point[0].tolist()])
        floats = [*network.pre_activations(point), network.forward(point)]
        for z, exact in zip(floats, [*trace.pre_activations, trace.output], strict=True):
            error = np.abs(z[0] - [float(v) for v in exact]).max()
            assert error <= 1e-12 * scale(network, point), path


@pytest.mark.parametrize(
    "name",
    ["acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx", "mnist_fc/onnx/mnist-net_256x2.onnx",
     "rl_benchmarks/onnx/dubinsrejoin.onnx", "collins_rul_cnn/onnx/NN_rul_small_window_20.onnx",
     "test/test_nano.onnx", "cersyve/onnx/point_mass_finetune_inv.onnx"],
)  # fmt: skip
def test_benchmarks_that_are_float32_survive_a_round_trip(name: str, data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "vnncomp" / name
    network = read_onnx(path)
    if "cersyve" in name:  # composed without a ReLU between: not float32 any more, and said so
        with pytest.raises(ValueError, match="round the network first"):
            to_model_bytes(network)
        return
    written = tmp_path / "again.onnx"
    written.write_bytes(to_model_bytes(network))
    again = read_onnx(written)
    assert_same(again, network)
    points = np.random.default_rng(2).uniform(0, 1, (4, network.input_size))
    same = Replay(written).evaluate(points) - Replay(path).evaluate(points)
    assert np.abs(same).max() <= FLOAT32_NOISE * scale(network, points)
