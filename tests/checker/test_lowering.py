"""The checker's own ONNX reader against the reference evaluator of the onnx package."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from secateur.checker.lowering import lower
from secateur.checker.refusal import Refusal
from tests.checker.support import evaluate
from tests.onnx_models import model_bytes, node

RNG = np.random.default_rng(5)


def eighths(*shape: int) -> np.ndarray[Any, Any]:
    """Float32 values whose sums and products stay exact in float32."""
    return (RNG.integers(-16, 17, size=shape) / 8).astype(np.float32)


def whole(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)


MODELS: dict[str, tuple[Sequence[int], list[NodeProto], dict[str, Any], int]] = {
    "gemm": ([1, 3], [node("Gemm", ["x", "w", "b"], alpha=0.5, beta=2.0, transB=1)], {"w": eighths(4, 3), "b": eighths(4)}, 13),
    "gemm_weights_left": ([2, 3], [node("Gemm", ["w", "x"], transA=1, transB=1)], {"w": eighths(3, 2)}, 13),
    "matmul_right": ([1, 3], [node("MatMul", ["x", "w"])], {"w": eighths(3, 2)}, 13),
    "matmul_left": ([3, 1], [node("MatMul", ["w", "x"])], {"w": eighths(2, 3)}, 13),
    "matmul_vector": ([3], [node("MatMul", ["x", "w"])], {"w": eighths(3, 2)}, 13),
    "matmul_stack": ([1, 2, 3], [node("MatMul", ["x", "w"])], {"w": eighths(3, 2)}, 13),
    "sub_constant_first": ([1, 3], [node("Sub", ["c", "x"])], {"c": eighths(3)}, 13),
    "sub_two_tensors": ([1, 3], [node("Relu", ["x"], "r"), node("Sub", ["x", "r"])], {}, 13),
    "add_broadcast": ([2, 3], [node("Add", ["x", "c"])], {"c": eighths(2, 1)}, 13),
    "mul_div": (
        [1, 3],
        [node("Mul", ["x", "c"], "m"), node("Div", ["m", "d"])],
        {"c": eighths(3), "d": np.float32([2, -4, 0.5])},
        13,
    ),
    "neg_identity": ([1, 3], [node("Neg", ["x"], "n"), node("Identity", ["n"])], {}, 13),
    "flatten": ([1, 2, 3], [node("Flatten", ["x"])], {}, 13),
    "flatten_axis": ([2, 2, 3], [node("Flatten", ["x"], axis=-1)], {}, 13),
    "reshape": ([2, 3], [node("Reshape", ["x", "s"])], {"s": whole(0, -1, 1)}, 13),
    "squeeze_13": ([1, 3, 1], [node("Squeeze", ["x", "a"])], {"a": whole(0)}, 13),
    "squeeze_11": ([1, 3, 1], [node("Squeeze", ["x"], axes=[2])], {}, 11),
    "unsqueeze": ([3], [node("Unsqueeze", ["x", "a"])], {"a": whole(0, -1)}, 13),
    "transpose": ([2, 3, 2], [node("Transpose", ["x"], perm=[2, 0, 1])], {}, 13),
    "transpose_default": ([2, 3], [node("Transpose", ["x"])], {}, 13),
    "dropout": ([1, 3], [node("Dropout", ["x"])], {}, 13),
    "cast": ([1, 3], [node("Cast", ["x"], to=TensorProto.DOUBLE)], {}, 13),
    "constant": ([1, 3], [node("Constant", [], "c", value=numpy_helper.from_array(eighths(3))), node("Add", ["x", "c"])], {}, 13),
    "constant_float": ([1, 3], [node("Constant", [], "c", value_float=0.25), node("Mul", ["x", "c"])], {}, 13),
    "concat": ([1, 3], [node("Relu", ["x"], "r"), node("Concat", ["x", "r", "c"], axis=1)], {"c": eighths(1, 2)}, 13),
    "concat_outer": ([2, 3], [node("Relu", ["x"], "r"), node("Concat", ["r", "x"], axis=0)], {}, 13),
    "slice": (
        [2, 5],
        [node("Slice", ["x", "s", "e", "a", "t"])],
        {"s": whole(4), "e": whole(-6), "a": whole(1), "t": whole(-2)},
        13,
    ),
    "slice_9": ([2, 5], [node("Slice", ["x"], axes=[1], starts=[1], ends=[9])], {}, 9),
    "split": (
        [1, 5],
        [node("Split", ["x", "s"], ["p", "q"], axis=1), node("Concat", ["q", "p"], axis=1)],
        {"s": whole(2, 3)},
        13,
    ),
    "gather": ([2, 3], [node("Gather", ["x", "i"], axis=1)], {"i": whole(2, 0, -1)}, 13),
    "gather_scalar": ([2, 3], [node("Gather", ["x", "i"], axis=0)], {"i": np.array(1)}, 13),
    "conv": (
        [1, 2, 4, 4],
        [node("Conv", ["x", "w", "b"], strides=[2, 1], pads=[1, 0, 1, 1], dilations=[1, 2])],
        {"w": eighths(3, 2, 3, 2), "b": eighths(3)},
        13,
    ),
    "conv_groups": ([1, 4, 3], [node("Conv", ["x", "w"], group=2)], {"w": eighths(2, 2, 2)}, 13),
    "two_layers": (
        [1, 3],
        [node("Gemm", ["x", "w"], "g"), node("Relu", ["g"], "r"), node("Gemm", ["r", "v"])],
        {"w": eighths(3, 4), "v": eighths(4, 2)},
        13,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_operators_mean_what_the_reference_computes(name: str) -> None:
    shape, nodes, stored, opset = MODELS[name]
    output_type = TensorProto.DOUBLE if name == "cast" else TensorProto.FLOAT
    data = model_bytes(nodes, stored, inputs={"x": shape}, outputs={"y": None}, opset=opset, output_type=output_type)
    point = eighths(*shape)
    (expected,) = ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, {"x": point})
    _, found = evaluate(lower(data), [Fraction(float(v)) for v in point.ravel()])
    assert found == [Fraction(float(v)) for v in np.asarray(expected).ravel()]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("raw", [True, False])
def test_stored_floats_are_read_bit_for_bit(kind: type, raw: bool) -> None:
    values = np.array([1 / 3, -(2.0**-14), 6e-8, 1000.0]).astype(kind)
    tensor = numpy_helper.from_array(values, "w")
    if not raw:
        tensor = helper.make_tensor("w", tensor.data_type, [4], values.tolist())
    info = [helper.make_tensor_value_info(n, tensor.data_type, [4]) for n in ("x", "y", "w")]
    graph = helper.make_graph([node("Add", ["x", "w"])], "g", [info[0], info[2]], [info[1]], [tensor])
    _, found = evaluate(lower(helper.make_model(graph).SerializeToString()), [Fraction(0)] * 4)
    assert found == [Fraction(float(v)) for v in values]


def test_division_is_exact_where_floats_are_not() -> None:
    data = model_bytes([node("Div", ["x", "c"])], {"c": np.float32([3, -5])}, inputs={"x": [1, 2]}, outputs={"y": None})
    assert evaluate(lower(data), [Fraction(1), Fraction(1)])[1] == [Fraction(1, 3), Fraction(-1, 5)]


REFUSED: dict[str, tuple[Sequence[int], list[NodeProto], dict[str, Any], str]] = {
    "unknown": ([1, 3], [node("Sigmoid", ["x"])], {}, "unsupported operator"),
    "foreign": (
        [1, 3],
        [helper.make_node("Relu", ["x"], ["y"], domain="com.example")],
        {},
        "unsupported operator",
    ),
    "square": ([1, 3], [node("Mul", ["x", "x"])], {}, "both depend on the input"),
    "product": ([2, 2], [node("MatMul", ["x", "x"])], {}, "both depend on the input"),
    "zero_divisor": ([1, 2], [node("Div", ["x", "c"])], {"c": np.float32([1, 0])}, "without zeros"),
    "divide_by_input": ([1, 2], [node("Div", ["c", "x"])], {"c": np.float32([1, 1])}, "constant divisor"),
    "shape": ([1, 3], [node("Add", ["x", "c"])], {"c": eighths(2)}, "do not fit together"),
    "reshape": ([1, 3], [node("Reshape", ["x", "s"])], {"s": whole(2, -1)}, "too large or inconsistent"),
    "order": (
        [1, 3],
        [node("Relu", ["r"], "y"), node("Relu", ["x"], "r")],
        {},
        "has not been computed before",
    ),
    "twice": ([1, 3], [node("Relu", ["x"], "y"), node("Neg", ["x"], "y")], {}, "exists already"),
    "cast": ([1, 3], [node("Cast", ["x"], to=TensorProto.INT64)], {}, "only casts between float types"),
    "nan": ([1, 1], [node("Add", ["x", "c"])], {"c": np.float32([np.nan])}, "NaN or infinite"),
    "missing": ([1, 1], [node("Relu", ["x"], "r")], {}, "never computed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_the_fragment_is_refused(name: str) -> None:
    shape, nodes, stored, reason = REFUSED[name]
    data = model_bytes(nodes, stored, inputs={"x": shape}, outputs={"y": None})
    with pytest.raises(Refusal) as caught:
        lower(data)
    assert caught.value.rule == "onnx"
    assert reason in caught.value.reason


def test_damaged_files_are_refused_and_never_crash() -> None:
    nodes = [node("Gemm", ["x", "w"], "g"), node("Relu", ["g"], "r"), node("Gemm", ["r", "v"])]
    good = model_bytes(nodes, {"w": eighths(2, 2), "v": eighths(2, 1)}, inputs={"x": [1, 2]}, outputs={"y": [1, 1]})
    refused = 0
    for position in range(len(good)):
        for damaged in (
            good[:position],
            good[:position] + bytes([good[position] ^ 0x5A]) + good[position + 1 :],
        ):
            try:
                lower(damaged)
            except Refusal:
                refused += 1
    assert refused > len(good)
