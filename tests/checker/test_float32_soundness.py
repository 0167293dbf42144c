"""No evaluation in float32 leaves the bound gamma M around the exact affine functions of the computed values (section 11)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from secateur.checker.float32 import FloatNetwork, float_network
from secateur.checker.lowering import Affine, Network, lower
from secateur.checker.refusal import Refusal
from secateur.checker.slack import gamma
from tests.checker.float32_cases import Evaluation, box, random_model, round32, with_relu_inputs


def rows(affine: Affine, values: Sequence[Fraction]) -> list[Fraction]:
    return [sum((c * values[s] for s, c in row.items()), Fraction(0)) / affine.denominator for row in affine.rows]


def check(network: Network, floats: FloatNetwork, x: NDArray[Any], read: Sequence[Sequence[Fraction]]) -> Fraction:
    """Compares what layers and output computed with their bounds; the greatest share of a bound that was used."""
    point = [Fraction(own.item()) for own in x.ravel()]
    values, sizes = [Fraction(1), *point], [Fraction(1), *map(abs, point)]
    parts = zip(
        [*network.layers, network.output],
        [*floats.hidden.layers, floats.output],
        [*floats.hidden.roundings, floats.output_roundings],
        read,
        strict=True,
    )
    worst = Fraction(0)
    for affine, magnitude, nu, computed in parts:
        for z, exact, size in zip(computed, rows(affine, values), rows(magnitude, sizes), strict=True):
            error, bound = abs(z - exact), gamma(nu) * size
            assert error <= bound
            worst = max(worst, error / bound)
        values += [max(Fraction(0), z) for z in computed]
        sizes += [max(Fraction(0), z) for z in computed]
    return worst


def largest_side(floats: FloatNetwork, size: int) -> float:
    """A power of two that is accepted as a bound of all inputs, but not sixteen times it."""
    for exponent in range(128, -128, -4):
        try:
            floats.check_overflow(box(size, str(-(Fraction(2) ** exponent)), str(Fraction(2) ** exponent)))
        except Refusal:
            continue
        return 2.0**exponent
    return 0.0


def points(network: Network, seed: int, count: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    scale = 2.0 ** rng.integers(-70, 3, size=count)
    return [(rng.normal(size=(1, network.input_size)) * own).astype(np.float32) for own in scale]


@pytest.mark.parametrize("seed", range(24))
def test_random_orders_and_fused_products_stay_within_the_bound(seed: int) -> None:
    data = random_model(seed)
    network, floats, evaluation = lower(data), float_network(data), Evaluation(onnx.load_from_string(data), seed)
    for x in points(network, seed, 3):
        read, output = evaluation.run(x)
        assert check(network, floats, x, [*read, output]) <= 1


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_onnxruntime_stays_within_the_bound(seed: int, optimised: bool) -> None:
    data = random_model(seed)
    network, floats = lower(data), float_network(data)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(with_relu_inputs(data).SerializeToString(), options, ["CPUExecutionProvider"])
    for x in points(network, seed, 6):
        read = [[Fraction(own.item()) for own in values.ravel()] for values in session.run(None, {"x": x})]
        assert check(network, floats, x, read) <= 1


def test_the_bound_is_not_idle() -> None:
    """On some network and input the error is a good part of the bound: the test above would see a bound a few times smaller."""
    worst = Fraction(0)
    for seed in range(8):
        data = random_model(seed)
        network, floats, evaluation = lower(data), float_network(data), Evaluation(onnx.load_from_string(data), seed)
        for x in points(network, seed, 4):
            read, output = evaluation.run(x)
            worst = max(worst, check(network, floats, x, [*read, output]))
    assert worst > Fraction(1, 5)


@pytest.mark.parametrize("seed", range(10))
def test_computed_values_stay_below_the_magnitudes_of_the_overflow_rule(seed: int) -> None:
    """A network that is accepted on a large box computes nothing infinite there."""
    data = random_model(seed)
    network, floats = lower(data), float_network(data)
    side = largest_side(floats, network.input_size)
    assert side >= 1
    rng = np.random.default_rng(seed)
    x = (rng.choice([-1.0, 1.0], size=(1, network.input_size)) * side).astype(np.float32)
    read, output = Evaluation(onnx.load_from_string(data), seed).run(x)
    assert all(abs(z) < Fraction(2) ** 127 for part in (*read, output) for z in part)


@pytest.mark.parametrize("seed", range(60))
def test_rounding_is_that_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=2) * 2.0 ** rng.integers(-80, 20, size=2)).astype(np.float32)
    assert round32(Fraction(a.item()) * Fraction(b.item())) == Fraction(np.float32(a * b).item())
    assert round32(Fraction(a.item()) + Fraction(b.item())) == Fraction(np.float32(a + b).item())
