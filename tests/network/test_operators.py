"""Every operator against onnxruntime, exactly.

Inputs and weights are small multiples of 1/8, so float32 rounds nothing and the exact value must be *equal*
to what onnxruntime returns. Where float32 must round (a division by 3), the value is written out by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.network import Conv, Network, Replay, parse_onnx
from tests.onnx_models import model_bytes, node, one_operator

INT64_MAX = np.iinfo(np.int64).max


def eighths(shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Multiples of 1/8 in [-2, 2]."""
    return (np.random.default_rng(seed).integers(-16, 17, tuple(shape)) / 8).astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def check_exactly(data: bytes, *, points: int = 4) -> Network:
    """The network read from these bytes has onnxruntime's values, to the last bit."""
    network, replay = parse_onnx(data, "small.onnx"), Replay(data)
    batch = eighths((points, network.input_size), seed=1).astype(np.float64)
    for point, expected in zip(batch, replay.evaluate(batch), strict=True):
        output = network.exact([Fraction(v) for v in point]).output
        assert output == tuple(map(Fraction, expected.tolist()))
        assert np.array_equal(network.forward(point[None])[0], expected)
    return network


CASES: dict[str, tuple[str, list[int], dict[str, Any], dict[str, Any]]] = {
    # name: operator, input shape, stored values, attributes (with `order` and `opset`)
    "add constant": ("Add", [2, 3], {"c": eighths([3])}, {}),
    "add constant that widens": ("Add", [1, 3], {"c": eighths([2, 4, 1, 3])}, {}),
    "sub constant": ("Sub", [1, 4], {"c": eighths([4])}, {}),
    "sub from constant": ("Sub", [1, 4], {"c": eighths([4])}, {"order": ["c", "x"]}),
    "sub itself": ("Sub", [1, 4], {}, {"order": ["x", "x"]}),
    "add itself": ("Add", [1, 4], {}, {"order": ["x", "x"]}),
    "sum of three": ("Sum", [1, 4], {"c": eighths([4])}, {"order": ["x", "c", "x"]}),
    "mul": ("Mul", [1, 4], {"c": eighths([4])}, {}),
    "mul from the left, widening": ("Mul", [3], {"c": eighths([2, 1])}, {"order": ["c", "x"]}),
    "div by powers of two": ("Div", [1, 3], {"c": [0.5, -2.0, 4.0]}, {}),
    "neg": ("Neg", [2, 2], {}, {}),
    "matmul right": ("MatMul", [1, 3], {"w": eighths([3, 4])}, {}),
    "matmul right, batch": ("MatMul", [2, 2, 3], {"w": eighths([3, 4])}, {}),
    "matmul left": ("MatMul", [3, 2], {"w": eighths([4, 3])}, {"order": ["w", "x"]}),
    "matmul left, batch": ("MatMul", [2, 3, 2], {"w": eighths([4, 3])}, {"order": ["w", "x"]}),
    "matmul of a vector": ("MatMul", [3], {"w": eighths([3, 4])}, {}),
    "matmul with a vector": ("MatMul", [2, 3], {"w": eighths([3])}, {}),
    "matmul vector on the left": ("MatMul", [3, 2], {"w": eighths([3])}, {"order": ["w", "x"]}),
    "matmul onto a vector": ("MatMul", [3], {"w": eighths([2, 3])}, {"order": ["w", "x"]}),
    "matmul of two vectors": ("MatMul", [3], {"w": eighths([3])}, {}),
    "matmul by a stack of one": ("MatMul", [2, 3], {"w": eighths([1, 3, 4])}, {}),
    "gemm": ("Gemm", [1, 3], {"w": eighths([3, 2]), "b": eighths([2])}, {}),
    "gemm without bias": ("Gemm", [1, 3], {"w": eighths([3, 2])}, {}),
    "gemm factors": (
        "Gemm", [2, 3], {"w": eighths([3, 2]), "b": eighths([2, 1])}, {"alpha": 0.5, "beta": -2.0}),
    "gemm transB": ("Gemm", [2, 3], {"w": eighths([2, 3]), "b": eighths([1, 2])}, {"transB": 1}),
    "gemm transA": ("Gemm", [3, 2], {"w": eighths([3, 2]), "b": eighths([1])}, {"transA": 1}),
    "gemm weight on the left": (
        "Gemm", [3, 2], {"w": eighths([4, 3]), "b": eighths([2])}, {"order": ["w", "x", "b"]}),
    "gemm weight on the left, both transposed": (
        "Gemm", [2, 3], {"w": eighths([3, 4])}, {"order": ["w", "x"], "transA": 1, "transB": 1}),
    "gemm adds the input": (
        "Gemm", [1, 2], {"v": eighths([1, 3]), "w": eighths([3, 2])},
        {"order": ["v", "w", "x"], "beta": 0.5}),
    "flatten": ("Flatten", [2, 3, 2], {}, {}),
    "flatten at 0": ("Flatten", [2, 3], {}, {"axis": 0}),
    "flatten from the end": ("Flatten", [2, 3, 2], {}, {"axis": -1}),
    "reshape": ("Reshape", [1, 6], {"s": ints(0, -1, 2)}, {}),
    "reshape, opset 7": ("Reshape", [2, 6], {"s": ints(3, 4)}, {"opset": 7}),
    "squeeze": ("Squeeze", [1, 3, 1], {}, {}),
    "squeeze axis": ("Squeeze", [1, 3, 1], {"a": ints(-1)}, {}),
    "squeeze axis, opset 11": ("Squeeze", [1, 3, 1], {}, {"axes": [0], "opset": 11}),
    "unsqueeze": ("Unsqueeze", [2, 3], {"a": ints(0, -1)}, {}),
    "unsqueeze, opset 11": ("Unsqueeze", [2, 3], {}, {"axes": [1], "opset": 11}),
    "transpose": ("Transpose", [2, 3, 2], {}, {}),
    "transpose perm": ("Transpose", [2, 3, 2], {}, {"perm": [0, 2, 1]}),
    "identity": ("Identity", [2, 2], {}, {}),
    "dropout, opset 7": ("Dropout", [1, 3], {}, {"opset": 7, "ratio": 0.5}),
    "dropout": ("Dropout", [1, 3], {"r": np.float32(0.5), "t": np.array(False)}, {}),
    "cast to its own type": ("Cast", [1, 3], {}, {"to": 1}),
    "concat": ("Concat", [1, 3], {"c": eighths([1, 2])}, {"order": ["x", "c", "x"], "axis": 1}),
    "concat first axis": ("Concat", [2, 3], {"c": eighths([1, 3])}, {"order": ["c", "x"], "axis": -2}),
    "slice": ("Slice", [3, 4], {"s": ints(1, 0), "e": ints(INT64_MAX, -1)}, {}),
    "slice backwards": (
        "Slice", [3, 4], {"s": ints(-1), "e": ints(-INT64_MAX), "a": ints(1), "t": ints(-2)}, {}),
    "slice, opset 9": ("Slice", [3, 4], {}, {"starts": [1], "ends": [3], "axes": [1], "opset": 9}),
    "gather": ("Gather", [2, 4], {"i": ints(3, -4, 3)}, {"axis": 1}),
    "gather one": ("Gather", [2, 4], {"i": np.array(1)}, {"axis": -1}),
    "pad": ("Pad", [1, 2, 2], {"p": ints(0, 1, 0, 0, 0, 2), "v": np.float32(0.5)}, {}),
    "pad, opset 10": ("Pad", [2, 2], {}, {"pads": [1, 0, 0, 1], "value": -1.5, "opset": 10}),
    "pad axes": ("Pad", [2, 2], {"p": ints(1, 0), "v": np.float32(0), "a": ints(-1)}, {"opset": 18}),
    "pad reflect": ("Pad", [3, 3], {"p": ints(1, 0, 0, 2)}, {"mode": "reflect"}),
    "pad edge": ("Pad", [2, 2], {"p": ints(1, 0, 0, 2)}, {"mode": "edge"}),
    "relu": ("Relu", [2, 3], {}, {}),
    "leaky relu": ("LeakyRelu", [1, 6], {}, {"alpha": 0.25}),
    "prelu": ("PRelu", [1, 6, 2], {"s": eighths([6, 1])}, {"opset": 16}),
    "abs": ("Abs", [1, 6], {}, {}),
    "max": ("Max", [1, 6], {"c": eighths([6]), "d": eighths([1], 3)}, {}),
    "max constant first": ("Max", [1, 6], {"c": eighths([6])}, {"order": ["c", "x"]}),
    "min": ("Min", [1, 6], {"c": eighths([6])}, {"order": ["x", "c"]}),
    "clip": ("Clip", [1, 8], {"a": np.float32(-1), "b": np.float32(0.5)}, {}),
    "clip from above": ("Clip", [1, 8], {"b": np.float32(0.5)}, {"order": ["x", "", "b"]}),
    "clip, opset 7": ("Clip", [1, 8], {}, {"min": 0.0, "max": 1.0, "opset": 7}),
    "clip at the least number": (
        "Clip", [1, 8], {"b": np.finfo(np.float32).min}, {"order": ["x", "", "b"]}),
    "clip at the greatest number": (
        "Clip", [1, 8], {"a": np.finfo(np.float32).max}, {}),
    "clip without limits": (
        "Clip", [1, 8], {}, {"min": float(np.finfo(np.float32).min), "opset": 7}),
    "conv": ("Conv", [1, 2, 4, 5], {"w": eighths([3, 2, 2, 3]), "b": eighths([3])}, {}),
    "conv of every attribute": (
        "Conv", [1, 4, 6, 5], {"w": eighths([2, 2, 2, 3])},
        {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2], "group": 2}),
    "conv 1-D": ("Conv", [1, 2, 7], {"w": eighths([3, 2, 3])}, {"strides": [2], "pads": [1, 2]}),
    "conv of two images": (
        "Conv", [2, 2, 3, 3], {"w": eighths([2, 1, 2, 2]), "b": eighths([2])}, {"group": 2}),
    "conv same upper": ("Conv", [1, 1, 5, 4], {"w": eighths([1, 1, 2, 3])}, {"auto_pad": "SAME_UPPER"}),
    "conv same lower": (
        "Conv", [1, 1, 5, 4], {"w": eighths([1, 1, 2, 2])}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "conv valid": ("Conv", [1, 1, 3, 3], {"w": eighths([1, 1, 2, 2])}, {"auto_pad": "VALID"}),
    "average pool": ("AveragePool", [1, 2, 4, 4], {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "average pool at the edge": (
        "AveragePool", [1, 2, 3, 3], {}, {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
    "average pool counts padding": (
        "AveragePool", [1, 1, 3, 3], {},
        {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "average pool 1-D": ("AveragePool", [1, 2, 6], {}, {"kernel_shape": [4]}),
    "global average pool": ("GlobalAveragePool", [1, 3, 2, 4], {}, {}),
    "max pool": ("MaxPool", [1, 2, 4, 4], {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "max pool at the edge": (
        "MaxPool", [1, 1, 3, 4], {}, {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0], "strides": [2, 1]}),
    "max pool dilated": (
        "MaxPool", [1, 1, 5, 5], {}, {"kernel_shape": [2, 2], "dilations": [3, 2], "opset": 10}),
    "max pool 1-D": ("MaxPool", [1, 2, 7], {}, {"kernel_shape": [5], "strides": [2]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_onnxruntime(name: str) -> None:
    op, shape, stored, options = CASES[name]
    check_exactly(one_operator(op, shape, stored, **options))


@pytest.mark.parametrize("opset", range(7, 23))
def test_every_supported_opset_is_read(opset: int) -> None:
    nodes = [node("Gemm", ["x", "w", "b"], "g"), node("Relu", ["g"], "r"), node("MatMul", ["r", "v"])]
    stored = {"w": eighths([3, 4]), "b": eighths([4]), "v": eighths([4, 2])}
    network = check_exactly(model_bytes(nodes, stored, inputs={"x": [1, 3]}, outputs={"y": [1, 2]}, opset=opset))
    assert network.sizes == (4,)
    assert network.is_chain


def test_split_by_sizes_evenly_and_unevenly() -> None:
    join = node("Concat", ["c", "a", "b"], axis=1)
    given = model_bytes(
        [node("Split", ["x", "s"], ["a", "b", "c"], axis=1), join],
        {"s": ints(1, 3, 2)}, inputs={"x": [1, 6]}, outputs={"y": None},
    )  # fmt: skip
    even = model_bytes([node("Split", ["x"], ["a", "b", "c"], axis=-1), join], inputs={"x": [1, 6]}, outputs={"y": None})
    uneven = model_bytes(
        [node("Split", ["x"], ["a", "b", "c"], axis=1, num_outputs=3), join],
        inputs={"x": [1, 7]}, outputs={"y": None}, opset=18,
    )  # fmt: skip
    old = model_bytes(
        [node("Split", ["x"], ["a", "b", "c"], axis=1, split=[4, 1, 1]), join],
        inputs={"x": [1, 6]}, outputs={"y": None}, opset=11,
    )  # fmt: skip
    for data in (given, even, uneven, old):
        check_exactly(data)


def test_shape_of_a_dynamic_batch_feeds_a_reshape() -> None:
    nodes = [
        node("Shape", ["x"], "shape"),
        node("Gather", ["shape", "first"], "batch", axis=0),
        node("Unsqueeze", ["batch", "zero"], "batch1"),
        node("Concat", ["batch1", "rest"], "target", axis=0),
        node("Reshape", ["x", "target"], "flat"),
        node("MatMul", ["flat", "w"]),
    ]
    stored = {"first": np.array(0), "zero": ints(0), "rest": ints(-1), "w": eighths([6, 2])}
    data = model_bytes(nodes, stored, inputs={"x": ["N", 2, 3]}, outputs={"y": ["N", 2]})
    network = check_exactly(data)
    assert network.interface.input_shape == (None, 2, 3)
    assert network.interface.output_shape == (None, 2)


def test_constants_may_be_nodes_of_every_kind() -> None:
    from onnx import numpy_helper

    nodes = [
        node("Constant", [], "c", value=numpy_helper.from_array(eighths([2, 3]), "c")),
        node("Constant", [], "f", value_float=0.5),
        node("Constant", [], "fs", value_floats=[1.0, 2.0, 3.0]),
        node("Constant", [], "i", value_ints=[3, 2]),
        node("Constant", [], "n", value_int=1),
        node("Mul", ["x", "f"], "half"),
        node("Add", ["half", "fs"], "moved"),
        node("Reshape", ["c", "i"], "turned"),
        node("MatMul", ["moved", "turned"], "product"),
        node("Gather", ["product", "n"], axis=1),
    ]
    check_exactly(model_bytes(nodes, inputs={"x": [1, 3]}, outputs={"y": None}, opset=13))


def test_weights_may_be_computed_from_constants() -> None:
    nodes = [
        node("Transpose", ["w"], "wt"), node("Mul", ["wt", "two"], "w2"), node("Relu", ["w2"], "w3"),
        node("MatMul", ["x", "w3"]),
    ]  # fmt: skip
    stored = {"w": eighths([2, 3]), "two": np.float32(2)}
    network = check_exactly(model_bytes(nodes, stored, inputs={"x": [1, 3]}, outputs={"y": None}))
    assert network.layers == ()


def test_a_network_of_everything_is_exact() -> None:
    nodes = [
        node("Conv", ["x", "k", "kb"], "c", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "r"),
        node("MaxPool", ["r"], "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", ["m"], "t", perm=[0, 2, 3, 1]),
        node("Flatten", ["t"], "f"),
        node("Gemm", ["f", "w", "b"], "g"),
        node("Relu", ["g"], "r2"),
        node("Flatten", ["x"], "skip"),
        node("MatMul", ["skip", "v"], "s"),
        node("Add", ["r2", "s"], "sum"),
        node("LeakyRelu", ["sum"], "y", alpha=0.5),
    ]
    stored = {
        "k": eighths([3, 1, 3, 3]), "kb": eighths([3]), "w": eighths([12, 5]), "b": eighths([5]),
        "v": eighths([16, 5]),
    }  # fmt: skip
    network = check_exactly(model_bytes(nodes, stored, inputs={"x": ["N", 1, 4, 4]}, outputs={"y": ["N", 5]}))
    assert network.sizes == (48, 24, 12, 5, 5)  # the pool takes two rounds
    assert isinstance(network.layers[0].terms[0].map, Conv)
    assert {term.source for term in network.layers[-1].terms} == {0, 4}


def test_a_convolution_after_a_shift_stays_a_convolution() -> None:
    nodes = [node("Sub", ["x", "mean"], "shifted"), node("Conv", ["shifted", "k"], pads=[1, 1, 0, 0])]
    stored = {"mean": eighths([2, 1, 1]), "k": eighths([2, 2, 2, 2])}
    network = check_exactly(model_bytes(nodes, stored, inputs={"x": [1, 2, 3, 3]}, outputs={"y": None}))
    assert isinstance(network.output.terms[0].map, Conv)


def test_a_convolution_of_permuted_input_becomes_a_matrix() -> None:
    nodes = [node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]), node("Conv", ["t", "k"])]
    network = check_exactly(model_bytes(nodes, {"k": eighths([2, 2, 2, 2])}, inputs={"x": [1, 3, 3, 2]}, outputs={"y": None}))
    assert not isinstance(network.output.terms[0].map, Conv)


def test_division_and_means_are_exact_rationals() -> None:
    third = parse_onnx(one_operator("Div", [1, 2], {"c": [3.0, 0.75]}), "div.onnx")
    assert third.exact([Fraction(1), Fraction(1)]).output == (Fraction(1, 3), Fraction(4, 3))
    pool = one_operator("AveragePool", [1, 1, 3, 3], kernel_shape=[3, 3])
    point = [Fraction(n) for n in (1, 0, 0, 0, 1, 0, 0, 0, 2)]
    assert parse_onnx(pool, "mean.onnx").exact(point).output == (Fraction(4, 9),)
    edge = one_operator("AveragePool", [1, 1, 2, 2], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    assert parse_onnx(edge, "mean.onnx").exact([Fraction(1)] * 4).output == (Fraction(1),)


def test_widening_casts_change_nothing() -> None:
    from onnx import TensorProto

    nodes = [node("Cast", ["x"], "wide", to=TensorProto.DOUBLE), node("Relu", ["wide"])]
    data = model_bytes(nodes, inputs={"x": [1, 3]}, outputs={"y": [1, 3]}, output_type=TensorProto.DOUBLE)
    with pytest.raises(InputError, match="output 'y' is float64"):  # one type for both ports
        parse_onnx(data, "cast.onnx")


REFUSED: dict[str, tuple[str, list[int], dict[str, Any], dict[str, Any], str]] = {
    "product of variables": ("Mul", [1, 3], {}, {"order": ["x", "x"]}, "not piecewise linear"),
    "matrix product of variables": ("MatMul", [3, 3], {}, {"order": ["x", "x"]}, "not piecewise linear"),
    "division by a variable": ("Div", [1, 3], {"c": [1.0]}, {"order": ["c", "x"]}, "divisor is computed"),
    "division by zero": ("Div", [1, 3], {"c": [0.0]}, {}, "division by zero"),
    "shapes": ("Add", [1, 3], {"c": eighths([2])}, {}, r"\[1, 3\] and \[2\] do not broadcast"),
    "matrix shapes": ("MatMul", [1, 3], {"w": eighths([2, 2])}, {}, "do not multiply"),
    "reshape": ("Reshape", [1, 6], {"s": ints(4, -1)}, {}, r"\[1, 6\] cannot become"),
    "reshape twice open": ("Reshape", [1, 6], {"s": ints(-1, -1)}, {}, "cannot become"),
    "gather outside": ("Gather", [1, 3], {"i": ints(3)}, {"axis": 1}, "outside an axis of length 3"),
    "split": ("Split", [1, 3], {"s": ints(2)}, {"axis": 1}, "cannot be split"),
    "axis": ("Concat", [1, 3], {}, {"axis": 2}, "axis 2 does not exist"),
    "concat": ("Concat", [1, 3], {"c": eighths([2, 2])}, {"axis": 1}, "do not join on axis 1"),
    "missing input": ("Add", [1, 3], {}, {}, "input 1 is missing"),
    "kernel": ("Conv", [1, 2, 3, 3], {"w": eighths([1, 1, 2, 2])}, {}, "over 2 channels"),
    "kernel too large": ("Conv", [1, 1, 2, 2], {"w": eighths([1, 1, 3, 3])}, {}, "no window"),
    "3-D": ("Conv", [1, 1, 2, 2, 2], {"w": eighths([1, 1, 1, 1, 1])}, {}, "only 1-D and 2-D"),
    "ceil": (
        "MaxPool", [1, 1, 4, 4], {},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, "ceil_mode"),
    "training": ("Dropout", [1, 3], {"r": np.float32(0.5), "t": np.array(True)}, {}, "evaluation mode"),
    "narrowing": ("Cast", [1, 3], {}, {"to": 10}, "from float32 to float16 rounds"),
    "strings": ("Cast", [1, 3], {}, {"to": 8}, "ONNX type 8"),
    "batch normalization": (
        "BatchNormalization", [1, 2, 3], {k: eighths([2]) for k in "abcd"}, {}, "fold it into the layer before"),
    "softmax": ("Softmax", [1, 3], {}, {}, "keeps the order of the outputs: cut the file before it"),
    "unknown": ("Erf", [1, 3], {}, {}, "operator is not supported; supported are Abs, "),
    "no axes": ("Squeeze", [1, 3], {"a": np.zeros(0, np.int64)}, {}, "an empty list of axes"),
    "backwards from before": (
        "Slice", [1, 3], {"s": ints(-100), "e": ints(-200), "a": ints(1), "t": ints(-1)}, {}, "a slice backwards from -100"),
    "backwards to behind": (
        "Slice", [1, 3], {"s": ints(1), "e": ints(2**31), "a": ints(1), "t": ints(-1)}, {}, "a slice backwards from 1"),
    "negative pads": ("Pad", [1, 3], {"p": ints(0, -1, 0, 0)}, {}, "non-negative pads"),
    "strange attribute": ("Flatten", [1, 3], {}, {"axis": "one"}, "malformed"),
    "no number": ("Gemm", [1, 2], {"w": eighths([2, 2])}, {"alpha": float("nan")}, "attribute 'alpha' is nan"),
    "endless number": ("LeakyRelu", [1, 3], {}, {"alpha": float("inf")}, "attribute 'alpha' is inf"),
    "giant padding": ("Pad", [1, 3], {"p": ints(0, 2**40, 0, 0)}, {}, "1 x 1099511627779 entries"),
    "giant window": (
        "AveragePool", [1, 1, 4], {}, {"kernel_shape": [2], "pads": [2**40, 0]}, "1099511627779 x 2 entries"),
    "bytes that wrap": ("Add", [1, 3], {"a": np.uint8([200]), "b": np.uint8([100])}, {"order": ["a", "b"]}, "on uint8 constants"),
    "int32 that wraps": ("Mul", [1, 3], {"a": np.int32([2**30])}, {"order": ["a", "a"]}, "on int32 constants"),
    "int64 that wraps": ("Add", [1, 3], {"a": ints(2**62)}, {"order": ["a", "a"]}, "int64 constants overflows"),
    "int64 product that wraps": ("Mul", [1, 3], {"a": ints(2**32)}, {"order": ["a", "a"]}, "int64 constants overflows"),
    "integer matrices": ("MatMul", [1, 3], {"a": np.int32([[2]])}, {"order": ["a", "a"]}, "on int32 constants"),
    "mixed types": ("Add", [1, 3], {"a": ints(2)}, {}, "arithmetic on float32 and int64"),
    "giant": ("MatMul", [40000, 2], {"w": eighths([2, 2])}, {}, "80000 x 80000"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_file_node_operator_and_opset(name: str) -> None:
    op, shape, stored, options, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as caught:
        parse_onnx(one_operator(op, shape, stored, **options), "some.onnx")
    assert f"some.onnx: node 'the_{op}_y' ({op}, opset 13): " in str(caught.value)
    assert "\n" not in str(caught.value)
