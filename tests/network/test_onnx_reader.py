"""Reading whole files: ports, shapes, exact composition, and one clear line for whatever can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from secateur.errors import InputError
from secateur.network import Network, parse_onnx, read_onnx
from tests.onnx_models import Shape, model_bytes, node
from tests.strategies import exact_points, float32_weights

WEIGHTS = {"w": np.array([[1, -2], [0.5, 0], [3, 1]], dtype=np.float32)}


def matmul(shape: Shape, out_shape: Shape | None = None, *, stored: dict[str, Any] | None = None, **options: Any) -> bytes:
    nodes = [node("Reshape", ["x", "s"], "flat"), node("MatMul", ["flat", "w"])]
    stored = {**(stored or WEIGHTS), "s": np.array([-1, 3])}
    return model_bytes(nodes, stored, inputs={"x": shape}, outputs={"y": out_shape}, **options)


def refusal(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse_onnx(data, "bad.onnx")
    text = str(caught.value)
    assert text.startswith("bad.onnx: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("shape", "declared", "kept", "out_kept"),
    [
        ([1, 3], [1, 2], (1, 3), (1, 2)),
        (["N", 3], ["M", 2], (None, 3), (None, 2)),
        ([None, 3], [None, 2], (None, 3), (None, 2)),
        ([-1, 3], [-1, 2], (None, 3), (None, 2)),
        ([0, 1, 3], [1, 2], (None, 1, 3), (1, 2)),
        (["N", 3], [None, None], (None, 3), (None, 2)),
        ([3], [1, 2], (3,), (1, 2)),
        ([1, 3, 1, 1], [5, 7], (1, 3, 1, 1), (1, 2)),  # a wrong declaration is replaced by the truth
        (["N", 3], None, (None, 3), (None, 2)),
        ([1, 3], None, (1, 3), (1, 2)),
    ],
)
def test_ports_keep_their_names_and_shapes(
    shape: Shape, declared: Shape | None, kept: Sequence[int | None], out_kept: Sequence[int | None]
) -> None:
    network = parse_onnx(matmul(shape, declared), "ports.onnx")
    ports = network.interface
    assert (ports.input_name, ports.input_shape) == ("x", kept)
    assert (ports.output_name, ports.output_shape) == ("y", out_kept)
    assert (ports.element_type, ports.graph_name) == ("float32", "small")
    assert network.exact([Fraction(1), Fraction(2), Fraction(1, 3)]).output == (Fraction(3), Fraction(-5, 3))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_element_types(kind: str) -> None:
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    stored = {"w": np.array([[0.1], [0.2], [0.3]], dtype=kind)}
    network = parse_onnx(matmul([1, 3], stored=stored, input_type=code, output_type=code), "types.onnx")
    assert network.interface.element_type == kind
    one = Fraction(1)
    assert network.exact([one, one, one]).output == (sum(Fraction(float(w)) for w in stored["w"].ravel()),)


def test_stored_weights_may_be_listed_as_inputs() -> None:
    data = model_bytes([node("MatMul", ["x", "w"])], WEIGHTS, inputs={"w": [3, 2], "x": [1, 3]}, outputs={"y": [1, 2]})
    assert parse_onnx(data, "old.onnx").interface.input_name == "x"


def test_a_final_relu_is_the_identity_of_the_last_layer() -> None:
    nodes = [node("MatMul", ["x", "w"], "z"), node("Relu", ["z"])]
    network = parse_onnx(model_bytes(nodes, WEIGHTS, inputs={"x": [1, 3]}, outputs={"y": [1, 2]}), "relu.onnx")
    assert network.is_chain
    assert network.sizes == (2,)
    assert network.output.terms[0].map.dense().weight.tolist() == [[1, 0], [0, 1]]


def test_two_relus_of_one_value_are_two_layers_and_dead_branches_none() -> None:
    nodes = [
        node("MatMul", ["x", "w"], "z"), node("Relu", ["z"], "a"), node("Relu", ["z"], "b"),
        node("Softmax", ["z"], "unused"), node("Relu", ["unused"], "dead"), node("Sub", ["a", "b"]),
    ]  # fmt: skip
    network = parse_onnx(model_bytes(nodes, WEIGHTS, inputs={"x": [1, 3]}, outputs={"y": [1, 2]}), "two.onnx")
    assert network.sizes == (2, 2)
    assert [term.source for term in network.output.terms] == [1, 2]


def test_a_constant_output_has_no_terms() -> None:
    nodes = [node("Relu", ["c"])]
    data = model_bytes(nodes, {"c": [[-1.0, 2.0]]}, inputs={"x": [1, 3]}, outputs={"y": [1, 2]})
    network = parse_onnx(data, "constant.onnx")
    assert network.layers == ()
    assert network.exact([Fraction(5)] * 3).output == (Fraction(0), Fraction(2))
    assert network.forward(np.ones((4, 3))).tolist() == [[0.0, 2.0]] * 4


def test_zero_mean_and_bias_stay_plain_floats() -> None:
    rng = np.random.default_rng(0)
    stored = {name: rng.normal(size=shape).astype(np.float32) for name, shape in
              {"w1": (5, 8), "b1": (8,), "w2": (8, 3), "b2": (3,)}.items()}  # fmt: skip
    stored["mean"] = np.zeros((1, 1, 1, 5), dtype=np.float32)
    nodes = [
        node("Sub", ["x", "mean"], "s"), node("Flatten", ["s"], "f"), node("MatMul", ["f", "w1"], "m1"),
        node("Add", ["m1", "b1"], "z1"), node("Relu", ["z1"], "r1"), node("MatMul", ["r1", "w2"], "m2"),
        node("Add", ["m2", "b2"]),
    ]  # fmt: skip
    network = parse_onnx(model_bytes(nodes, stored, inputs={"x": [1, 1, 1, 5]}, outputs={"y": [1, 3]}), "acas.onnx")
    for affine, w, b in ((network.layers[0], "w1", "b1"), (network.output, "w2", "b2")):
        assert affine.exact_bias is None
        assert affine.terms[0].map.dense().exact is None
        assert np.array_equal(affine.terms[0].map.dense().weight, stored[w].T)
        assert np.array_equal(affine.bias, stored[b])


def matrices(shape: tuple[int, int]) -> st.SearchStrategy[Any]:
    size = shape[0] * shape[1]
    wide = st.one_of(float32_weights(), st.floats(-(2.0**60), 2.0**60, width=32))
    return st.lists(wide, min_size=size, max_size=size).map(lambda v: np.array(v, np.float32).reshape(shape))


@given(st.tuples(*map(matrices, [(1, 3), (1, 3), (3, 4), (4, 2), (1, 2)])), exact_points(3))
@settings(deadline=None, max_examples=60)
def test_composed_weights_are_exact(stored_values: tuple[Any, ...], point: tuple[Fraction, ...]) -> None:
    """((x - mean) * deviation) W V + b + x U, in one affine function, against Fraction loops."""
    mean, deviation, first, second, bias = stored_values
    third = np.ascontiguousarray(first[:, :2])
    nodes = [
        node("Sub", ["x", "m"], "c"), node("Mul", ["c", "d"], "n"), node("MatMul", ["n", "w"], "h"),
        node("MatMul", ["h", "v"], "o"), node("Add", ["o", "b"], "p"), node("MatMul", ["x", "u"], "q"),
        node("Add", ["p", "q"]),
    ]  # fmt: skip
    stored = {"m": mean, "d": deviation, "w": first, "v": second, "b": bias, "u": third}
    network = parse_onnx(model_bytes(nodes, stored, inputs={"x": [1, 3]}, outputs={"y": [1, 2]}), "chain.onnx")

    def exact(array: Any) -> Any:
        return np.array([Fraction(float(v)) for v in array.ravel()], dtype=object).reshape(array.shape)

    x = np.array([point], dtype=object)
    twin = ((x - exact(mean)) * exact(deviation)).dot(exact(first)).dot(exact(second)) + exact(bias) + x.dot(exact(third))
    assert network.exact(point).output == tuple(twin.ravel().tolist())
    assert len(network.output.terms) == 1


def test_missing_damaged_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.onnx: cannot be read: No such file"):
        read_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match="cannot be read"):
        read_onnx(tmp_path)
    assert "is damaged" in refusal(matmul([1, 3])[:-20])
    assert "is damaged" in refusal(b"(declare-const X_0 Real)")
    assert "without nodes" in refusal(b"")


@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6))
@settings(deadline=None, max_examples=150)
def test_a_flipped_byte_or_a_cut_gives_one_line_or_a_network(position: int, byte: int, cut: int) -> None:
    data = bytearray(matmul([1, 3], [1, 2]))
    data[position % len(data)] = byte
    damaged = bytes(data) if cut % 3 else bytes(data[: cut % len(data)])
    try:
        network = parse_onnx(damaged, "bad.onnx")
    except InputError as error:  # a damaged byte may also be harmless, so that `raises` does not fit
        assert str(error).startswith("bad.onnx: ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(network.exact([Fraction(1)] * network.input_size).output) == network.output_size


def test_opsets_outside_the_range_are_refused_with_a_remedy() -> None:
    for opset in (6, 26):
        assert f"uses opset {opset}; convert it to opset 7 to 25" in refusal(matmul([1, 3], opset=opset))
    model = onnx.load_model_from_string(matmul([1, 3]))
    del model.opset_import[:]
    assert "names no version" in refusal(model.SerializeToString())


def test_several_versions_of_the_operators_and_functions_are_refused() -> None:
    model = onnx.load_model_from_string(matmul([1, 3]))
    model.opset_import.append(helper.make_opsetid("ai.onnx", 11))
    assert "names several versions of the ONNX operators (13 and 11)" in refusal(model.SerializeToString())
    del model.opset_import[1]
    opsets = [helper.make_opsetid("", 13)]
    model.functions.append(helper.make_function("ai.onnx", "MatMul", ["a", "b"], ["c"], [node("Add", ["a", "b"], "c")], opsets))
    assert "defines functions of its own (MatMul)" in refusal(model.SerializeToString())


def test_shapes_may_be_computed_with_int64() -> None:
    nodes = [node("Add", ["a", "a"], "s"), node("Reshape", ["x", "s"])]
    data = model_bytes(nodes, {"a": np.array([1, 3])}, inputs={"x": [3, 4]}, outputs={"y": None})
    assert parse_onnx(data, "shape.onnx").interface.output_shape == (2, 6)


def test_operators_of_other_domains_are_refused() -> None:
    model = onnx.load_model_from_string(matmul([1, 3]))
    model.graph.node[1].domain = "com.microsoft"
    assert "operator is not supported" in refusal(model.SerializeToString())


def test_ports_that_no_network_has() -> None:
    add = [node("Add", ["x", "z"])]
    two = model_bytes(add, inputs={"x": [1], "z": [1]}, outputs={"y": [1]})
    assert "has 2 inputs (x, z), not one" in refusal(two)
    none = model_bytes([node("Relu", ["c"])], {"c": [1.0]}, inputs={}, outputs={"y": [1]})
    assert "has 0 inputs (none)" in refusal(none)
    outputs = model_bytes([node("Relu", ["x"]), node("Abs", ["x"], "v")], inputs={"x": [1]}, outputs={"y": [1], "v": [1]})
    assert "has 2 outputs (y, v)" in refusal(outputs)
    integers = model_bytes([node("Relu", ["x"])], inputs={"x": [1]}, outputs={"y": [1]}, input_type=TensorProto.INT64)
    assert "input 'x': has elements of ONNX type 7" in refusal(integers)
    dynamic = model_bytes([node("Relu", ["x"])], inputs={"x": [1, "width"]}, outputs={"y": None})
    assert "input 'x': axis 1 has no fixed length" in refusal(dynamic)
    empty = model_bytes([node("Relu", ["x"])], inputs={"x": [1, 0]}, outputs={"y": [1, 0]})
    assert "input 'x': axis 1 has no fixed length" in refusal(empty)
    shapeless = onnx.load_model_from_string(matmul([1, 3]))
    shapeless.graph.input[0].type.tensor_type.ClearField("shape")
    assert "has no shape" in refusal(shapeless.SerializeToString())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_named(bad: float) -> None:
    stored = {"w": np.array([[1.0], [bad], [0.0]], dtype=np.float32)}
    assert "initialiser 'w': it holds NaN or infinite values" in refusal(matmul([1, 3], stored=stored))


def test_weights_of_foreign_types_or_damaged_are_named() -> None:
    stored = {"w": np.array([[1 + 1j], [0], [0]], dtype=np.complex64)}
    assert "initialiser 'w': it holds elements of type complex64" in refusal(matmul([1, 3], stored=stored))
    model = onnx.load_model_from_string(matmul([1, 3]))
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    assert "initialiser 'w': is damaged" in refusal(model.SerializeToString())


def test_sparse_weights_are_refused() -> None:
    model = onnx.load_model_from_string(matmul([1, 3]))
    values = numpy_helper.from_array(np.array([1.0], dtype=np.float32), "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([2])), [3, 2])
    del model.graph.initializer[0]
    model.graph.sparse_initializer.append(sparse)
    assert "weight 'w' is stored as a sparse tensor" in refusal(model.SerializeToString())


def test_values_that_nothing_supported_computes() -> None:
    nodes = [node("Dropout", ["x"], ["d", "mask"]), node("Identity", ["mask"])]
    text = refusal(model_bytes(nodes, inputs={"x": [1, 3]}, outputs={"y": None}))
    assert "node 'the_Identity_y' (Identity, opset 13): value 'mask' is no supported output" in text
    assert "value 'y' is no supported output" in refusal(
        model_bytes([node("Relu", ["x"], "other")], inputs={"x": [1, 3]}, outputs={"y": None})
    )


def test_values_defined_twice_are_refused() -> None:
    twice = [node("Relu", ["x"], "a"), node("Abs", ["x"], "a"), node("Add", ["a", "x"])]
    assert "value 'a' is defined 2 times" in refusal(model_bytes(twice, inputs={"x": [3]}, outputs={"y": [3]}))
    shadow = [node("Relu", ["x"], "w"), node("Add", ["w", "x"])]
    assert "value 'w' is defined 2 times" in refusal(model_bytes(shadow, WEIGHTS, inputs={"x": [3]}, outputs={"y": [3]}))


def save_outside(data: bytes, folder: Path) -> Path:
    path = folder / "outside.onnx"
    onnx.save_model(
        onnx.load_model_from_string(data),
        path,
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    return path


def test_weights_outside_the_file_are_found_or_missed_by_name(tmp_path: Path) -> None:
    path = save_outside(matmul([1, 3]), tmp_path)
    one = [Fraction(1)] * 3

    def output(network: Network) -> tuple[Fraction, ...]:
        return network.exact(one).output

    assert output(read_onnx(path)) == output(parse_onnx(matmul([1, 3]), "inside.onnx"))
    with pytest.raises(InputError, match="stored outside the file cannot be read"):
        parse_onnx(path.read_bytes(), "outside.onnx")
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InputError, match="put the data file next to it") as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


def test_reading_imports_onnx_only_when_a_file_is_read() -> None:
    import subprocess
    import sys

    code = "import secateur.network, sys; print({'onnx', 'onnxruntime', 'numba'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={
        "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "engine"), "PATH": ""})  # fmt: skip
    assert result.stdout.strip() == "set()"
