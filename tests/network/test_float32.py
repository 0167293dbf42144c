"""What float32 rounding may add to a network: the engine's magnitudes are the checker's, and what has none is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from secateur.checker.float32 import float_network
from secateur.errors import InputError
from secateur.network import Affine, Network, parse_onnx
from secateur.network.float32 import float32_network, gamma, require_range
from tests.onnx_models import model_bytes, node

F = Fraction


def meant(nodes: list[Any], stored: dict[str, Any], shape: list[int] | None = None, **types: int) -> tuple[Network, bytes]:
    data = model_bytes(nodes, stored, inputs={"x": shape or [1, 2]}, outputs={"y": None}, **types)
    return float32_network(parse_onnx(data, "net.onnx"), data, "net.onnx", None), data


def rows(affine: Affine, sizes: list[int]) -> list[dict[int, Fraction]]:
    """Coefficients by symbol, as the checker counts them: 0 the constant, then all sources' values in order."""
    starts = np.cumsum([1, *sizes]).tolist()
    found: list[dict[int, Fraction]] = [{0: b} if b else {} for b in affine.rational_bias()]
    for term in affine.terms:
        for own, entries in zip(found, term.map.dense().rationals(), strict=True):
            own |= {starts[term.source] + j: value for j, value in enumerate(entries) if value}
    return found


def of_checker(affine: Any) -> list[dict[int, Fraction]]:
    return [{s: F(c, affine.denominator) for s, c in row.items()} for row in affine.rows]


DENSE = (
    [
        node("Sub", ["x", "m"], "d"),
        node("MatMul", ["d", "w"], "p"),
        node("Add", ["p", "b"], "z"),
        node("Relu", ["z"], "r"),
        node("Gemm", ["r", "v", "c"], "q", beta=-0.5, transB=1),
        node("Relu", ["q"], "s"),
        node("Concat", ["s", "x"], "y", axis=1),
    ],
    {
        "m": [0.25, -1.5],
        "w": [[1.5, -2.0, 0.1], [-0.3, 0.0, 4.0]],
        "b": [-1.0, 2.0, 0.0],
        "v": [[1.0, -1.0, 3.0], [0.5, 0.5, -0.25]],
        "c": [1.0, -7.0],
    },
)
SCALED = (
    [
        node("Div", ["x", "u"], "d"),
        node("MatMul", ["d", "w"], "p"),
        node("Mul", ["p", "f"], "z"),
        node("Relu", ["z"], "r"),
        node("Div", ["r", "g"], "y"),
    ],
    {"u": [3.0, -0.7], "w": [[1.5, -2.0], [-0.3, 0.0]], "f": [-1.0, 0.1], "g": [7.0]},
)
CONVOLUTION = (
    [
        node("Conv", ["x", "k", "b"], "a", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], "r"),
        node("Conv", ["r", "l"], "c", pads=[1, 1, 1, 1]),
        node("Add", ["c", "r"], "s"),
        node("Neg", ["s"], "n"),
        node("Flatten", ["n"], "f"),
        node("Gemm", ["f", "w"], "y"),
    ],
    {
        "k": np.linspace(-1, 1, 18).reshape(2, 1, 3, 3).astype(np.float32),
        "b": [0.5, -0.5],
        "l": np.linspace(-2, 1, 36).reshape(2, 2, 3, 3).astype(np.float32),
        "w": np.linspace(-1, 1, 16).reshape(8, 2).astype(np.float32),
    },
)


CASES = [(DENSE, [1, 2]), (SCALED, [1, 2]), (CONVOLUTION, [1, 1, 2, 2])]


@pytest.mark.parametrize(("graph", "shape"), CASES, ids=["dense", "scaled", "convolution"])
def test_magnitudes_and_roundings_are_those_of_the_checker(graph: tuple[Any, Any], shape: list[int]) -> None:
    nodes, stored = graph
    network, data = meant(nodes, {name: np.array(v, np.float32) for name, v in stored.items()}, shape)
    theirs = float_network(data)
    sizes = [network.input_size, *network.sizes]
    bounds = [layer.rounding for layer in (*network.layers, network.output)]
    assert network.is_float32
    assert [b.count for b in bounds if b is not None] == [*theirs.hidden.roundings, theirs.output_roundings]
    expected = [of_checker(layer) for layer in (*theirs.hidden.layers, theirs.output)]
    assert [rows(b.magnitudes, sizes) for b in bounds if b is not None] == expected


REFUSED = [
    ([node("Sigmoid", ["x"], "s"), node("Relu", ["s"], "y")], {}, "operator"),
    ([node("LeakyRelu", ["x"], "y")], {}, "cover this operator"),
    ([node("Add", ["b", "b"], "c"), node("Add", ["x", "c"], "y")], {"b": [1.0, 2.0]}, "arithmetic on constants"),
    ([node("Gemm", ["x", "w"], "y", alpha=0.5)], {"w": [[1.0], [1.0]]}, "alpha"),
    ([node("Cast", ["x"], "y", to=TensorProto.FLOAT)], {}, "cover this operator"),
    ([node("Mul", ["x", "a"], "p"), node("Div", ["p", "a"], "q"), node("Mul", ["q", "a"], "y")], {"a": [2.0]}, "more than 2 Mul"),
    ([node("Mul", ["x", "a"], "y")], {"a": [2.0**17]}, "out of the range"),
    ([node("Div", ["x", "a"], "y")], {"a": [2.0**-17]}, "out of the range"),
    ([node("Div", ["x", "a"], "p"), node("MatMul", ["p", "w"], "y")], {"a": [2.0], "w": [[2.0**-95], [1.0]]}, "out of the range"),
    ([node("Div", ["x", "a"], "p"), node("Add", ["p", "b"], "y")], {"a": [2.0], "b": [2.0**95]}, "out of the range"),
    ([node("Div", ["x", "a"], "p"), node("Gemm", ["p", "w", "b"], "y", beta=0.5)], {"a": [2], "w": [[1], [1]], "b": [1]}, "beta"),
]


@pytest.mark.parametrize(("nodes", "stored", "words"), REFUSED)
def test_what_rounds_in_other_ways_is_refused_by_name(nodes: list[Any], stored: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        meant(nodes, {name: np.array(v, np.float32) for name, v in stored.items()})


def test_a_network_of_doubles_is_refused(tmp_path: Path) -> None:
    double = TensorProto.DOUBLE
    ports = {"inputs": {"x": [1, 2]}, "outputs": {"y": None}, "input_type": double, "output_type": double}
    data = model_bytes([node("Relu", ["x"], "y")], {}, **ports)
    with pytest.raises(InputError, match="computes in float64"):
        float32_network(parse_onnx(data, str(tmp_path)), data, "net.onnx", None)


def test_what_may_overflow_is_refused_for_the_domain_where_it_may() -> None:
    large = {"w": np.full((2, 1), 1e30, np.float32), "v": np.full((1, 1), 1e6, np.float32)}
    network, _ = meant([node("MatMul", ["x", "w"], "z"), node("Relu", ["z"], "r"), node("MatMul", ["r", "v"], "y")], large)
    require_range(network, [F(0), F(0)], [F(1, 2), F(1, 2)], "query")
    with pytest.raises(InputError, match="overflow in the outputs"):
        require_range(network, [F(0), F(0)], [F(100), F(100)], "query")
    with pytest.raises(InputError, match="overflow in layer 1"):
        require_range(network, [F(-(10**9)), F(0)], [F(1), F(1)], "query")


def test_gamma_is_a_little_more_than_its_count_of_units() -> None:
    assert gamma(0) == 0
    assert gamma(51) == F(51, (1 << 24) - 51)
