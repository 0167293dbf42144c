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
from secateur.checker.onnx_model import Node
from secateur.checker.protobuf import fields
from secateur.checker.refusal import Refusal
from secateur.network import parse_onnx
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
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    _, found = evaluate(lower(model.SerializeToString()), [Fraction(0)] * 4)
    assert found == [Fraction(float(v)) for v in values]


def test_division_is_exact_where_floats_are_not() -> None:
    data = model_bytes([node("Div", ["x", "c"])], {"c": np.float32([3, -5])}, inputs={"x": [1, 2]}, outputs={"y": None})
    assert evaluate(lower(data), [Fraction(1), Fraction(1)])[1] == [Fraction(1, 3), Fraction(-1, 5)]


REFUSED: dict[str, tuple[Sequence[int], list[NodeProto], dict[str, Any], str]] = {
    "unknown": ([1, 3], [node("Sigmoid", ["x"])], {}, "unsupported operator"),
    "backwards_from_before": (  # onnxruntime takes the first place, others none
        [1, 3],
        [node("Slice", ["x", "s", "e", "a", "t"])],
        {"s": whole(-100), "e": whole(-200), "a": whole(1), "t": whole(-1)},
        "go backwards",
    ),
    "backwards_to_behind": (
        [1, 3],
        [node("Slice", ["x", "s", "e", "a", "t"])],
        {"s": whole(1), "e": whole(2**63 - 1), "a": whole(1), "t": whole(-1)},
        "go backwards",
    ),
    "no_axes": ([1, 3], [node("Squeeze", ["x", "a"])], {"a": np.zeros(0, np.int64)}, "empty list of axes"),
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
    "integer_division": (  # 7 / 2 is 3 to ONNX
        [1, 1],
        [node("Div", ["a", "b"], "q"), node("Cast", ["q"], "c", to=1), node("Add", ["x", "c"])],
        {"a": whole(7), "b": whole(2)},
        "arithmetic on integers",
    ),
    "integer_sum": ([1, 1], [node("Add", ["a", "a"], "s"), node("Add", ["x", "s"])], {"a": np.int32([2**30])}, "on integers"),
    "integer_product": ([1, 1], [node("Mul", ["a", "a"], "s"), node("Add", ["x", "s"])], {"a": whole(2**40)}, "on integers"),
    "integer_neg": ([1, 1], [node("Neg", ["a"], "s"), node("Add", ["x", "s"])], {"a": np.int32([-(2**31)])}, "on integers"),
    "integer_matmul": ([1, 1], [node("MatMul", ["a", "a"], "s"), node("Add", ["x", "s"])], {"a": whole(1)[None]}, "on integers"),
    "integer_relu": ([1, 1], [node("Relu", ["a"], "s"), node("Add", ["x", "s"])], {"a": whole(1)}, "on integers"),
    "integer_conv": ([1, 1, 1], [node("Conv", ["x", "a"])], {"a": whole(1)[None, None]}, "different element types"),
    "integer_conv_bias": (
        [1, 1, 1],
        [node("Conv", ["x", "w", "a"])],
        {"w": eighths(1, 1, 1), "a": whole(1)},
        "different element types",
    ),
    "integer_cast": ([1, 1], [node("Cast", ["a"], "c", to=1), node("Add", ["x", "c"])], {"a": whole(2**24 + 1)}, "only casts"),
    "integer_concat": ([1, 1], [node("Concat", ["x", "a"], axis=1)], {"a": whole(1)[None]}, "different element types"),
    "integer_output": ([1, 1], [node("Identity", ["a"])], {"a": whole(1)}, "not of the type"),
    "double_output": ([1, 1], [node("Cast", ["x"], to=11)], {}, "not of the type"),
    "float_shape": ([1, 1], [node("Reshape", ["x", "s"])], {"s": np.float32([1])}, "a constant of integers"),
    "mixed_floats": ([1, 1], [node("Add", ["x", "c"])], {"c": np.float64([0.1])}, "different element types"),
    "mixed_gemm": (
        [1, 1],
        [node("Gemm", ["x", "w", "c"])],
        {"w": eighths(1, 1), "c": np.float16([1])},
        "different element types",
    ),
    "rounding_cast": (
        [1, 1],
        [node("Cast", ["c"], "d", to=1), node("Add", ["x", "d"])],
        {"c": np.array([1 / 3])},
        "would round a constant",
    ),
    "overflowing_cast": (
        [1, 1],
        [node("Cast", ["c"], "h", to=10), node("Cast", ["h"], "d", to=1), node("Add", ["x", "d"])],
        {"c": np.float32([1e6])},
        "would round a constant",
    ),
    "narrowing_cast": ([1, 1], [node("Cast", ["x"], "h", to=10), node("Cast", ["h"], to=1)], {}, "narrower type rounds"),
    "gemm_bias_cut": ([1, 2], [node("Gemm", ["x", "w", "b"])], {"w": eighths(2, 1), "b": eighths(3)}, "cannot be stretched"),
    "gemm_bias_rows": ([1, 2], [node("Gemm", ["x", "w", "b"])], {"w": eighths(2, 2), "b": eighths(3, 2)}, "cannot be stretched"),
    "gemm_bias_rank": ([1, 2], [node("Gemm", ["x", "w", "b"])], {"w": eighths(2, 2), "b": eighths(1, 1, 2)}, "be stretched"),
    "integer_alpha": ([1, 2], [node("Gemm", ["x", "w"], alpha=2)], {"w": eighths(2, 2)}, "'alpha' is not a float"),
    "float_axis": ([1, 2], [node("Flatten", ["x"], axis=1.0)], {}, "'axis' is not an integer"),
    "scalar_perm": ([1, 2], [node("Transpose", ["x"], perm=1)], {}, "'perm' is not integers"),
    "odd_pads": ([1, 1, 2, 2], [node("Conv", ["x", "w"], pads=[0, 0, 1, 1, 1])], {"w": eighths(1, 1, 2, 2)}, "malformed"),
    "axes_twice": ([1, 2, 1], [node("Squeeze", ["x", "a"], axes=[0])], {"a": whole(2)}, "given twice"),
    "two_values": ([1, 1], [node("Constant", [], "c", value_float=1.0, value_int=1), node("Add", ["x", "c"])], {}, "exactly one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_the_fragment_is_refused(name: str) -> None:
    shape, nodes, stored, reason = REFUSED[name]
    data = model_bytes(nodes, stored, inputs={"x": shape}, outputs={"y": None})
    with pytest.raises(Refusal) as caught:
        lower(data)
    assert caught.value.rule == "onnx"
    assert reason in caught.value.reason


IDENTITY = model_bytes([node("Relu", ["x"])], inputs={"x": [1, 2]}, outputs={"y": None})


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(Refusal) as caught:
        lower(model.SerializeToString())
    assert caught.value.rule == "onnx"
    return caught.value.reason


@pytest.mark.parametrize("opset", [-1, 0, 1, 6, 26])
def test_operator_sets_that_mean_something_else_are_refused(opset: int) -> None:
    model = onnx.load_model_from_string(IDENTITY)
    model.opset_import[0].version = opset
    assert refusal(model) == f"operator set {opset} is not one of 7 to 25"


def test_exactly_one_operator_set_is_needed() -> None:
    model = onnx.load_model_from_string(IDENTITY)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    assert len(lower(model.SerializeToString()).layers) == 1
    model.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    assert "exactly one version" in refusal(model)
    del model.opset_import[:]
    assert "exactly one version" in refusal(model)


def test_functions_of_the_model_are_refused() -> None:
    model = onnx.load_model_from_string(IDENTITY)
    opsets = [helper.make_opsetid("", 13)]
    model.functions.append(helper.make_function("ai.onnx", "Relu", ["a"], ["b"], [node("Neg", ["a"], "b")], opsets))
    assert "functions defined in the model" in refusal(model)


def test_attributes_need_a_type_and_a_value_of_their_own() -> None:
    data = model_bytes([node("Flatten", ["x"], axis=0)], inputs={"x": [1, 2]}, outputs={"y": None})
    model = onnx.load_model_from_string(data)
    model.graph.node[0].attribute[0].type = onnx.AttributeProto.UNDEFINED
    assert "'axis' is not an integer" in refusal(model)
    model.graph.node[0].attribute[0].type = onnx.AttributeProto.INT
    model.graph.node[0].attribute[0].ref_attr_name = "outer"
    assert "refer to those of a function" in refusal(model)


@pytest.mark.parametrize("field", [b"\x10" + b"\xff" * 9 + b"\x01", b"\x11" + bytes(8), b"\x12\x01a"])
def test_a_float_of_another_wire_type_is_malformed(field: bytes) -> None:
    attribute = helper.make_attribute("alpha", 2.0).SerializeToString()
    stored = b"\x15" + np.float32(2).tobytes()
    assert Node("Gemm", "", (), ("y",), {"alpha": fields(attribute)}).number("alpha", 1.0) == (2, 1)
    damaged = fields(attribute.replace(stored, field))
    with pytest.raises(Refusal, match="4 bytes of its type"):
        Node("Gemm", "", (), ("y",), {"alpha": damaged}).number("alpha", 1.0)


def test_integers_outside_their_type_are_refused() -> None:
    index = helper.make_tensor("i", TensorProto.BOOL, [1], [1])
    index.data_type, index.int32_data[0] = TensorProto.BOOL, 2
    data = model_bytes([node("Gather", ["x", "i"], axis=1)], inputs={"x": [1, 2]}, outputs={"y": None})
    model = onnx.load_model_from_string(data)
    model.graph.initializer.append(index)
    assert "outside the range" in refusal(model)
    index.data_type = TensorProto.INT32
    index.int32_data[0] = 1
    model.graph.initializer[0].CopyFrom(index)
    assert lower(model.SerializeToString()).output.rows == [{2: 1}]


def test_exact_casts_of_constants_keep_their_value() -> None:
    nodes = [node("Cast", ["c"], "d", to=TensorProto.FLOAT), node("Add", ["x", "d"])]
    data = model_bytes(nodes, {"c": np.array([0.375, -(2.0**-149)])}, inputs={"x": [1, 2]}, outputs={"y": None})
    assert evaluate(lower(data), [Fraction(0)] * 2)[1] == [Fraction(3, 8), -Fraction(1, 2**149)]


@pytest.mark.parametrize("convolved", [False, True])
def test_a_relu_of_a_constant_is_no_layer(convolved: bool) -> None:
    """The engine folds it too, so that both number the layers alike; of zero weights on the input it is one."""
    nodes = [node("Relu", ["c"], "d"), node("Relu", ["x"], "r"), node("Add", ["r", "d"])]
    stored = {"c": np.float32([[[-1.5, 0, 2.5]]])}
    if convolved:
        nodes = [node("Conv", ["c", "w"], "k"), node("Relu", ["k"], "d"), *nodes[1:]]
        stored["w"] = np.float32([[[1]]])
    data = model_bytes(nodes, stored, inputs={"x": [1, 1, 3]}, outputs={"y": None})
    layers, output = evaluate(lower(data), [Fraction(1)] * 3)
    assert layers == [[1, 1, 1]]
    assert output == [1, 1, Fraction(7, 2)]
    assert len(parse_onnx(data, "folded.onnx").layers) == 1
    zero = model_bytes([node("Mul", ["x", "z"], "m"), node("Relu", ["m"])], {"z": np.float32([0])}, inputs={"x": [1, 2]},
                       outputs={"y": None})  # fmt: skip
    assert len(lower(zero).layers) == len(parse_onnx(zero, "zero.onnx").layers) == 1


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
