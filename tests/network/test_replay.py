"""onnxruntime on the bytes of a model, batched where the model allows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from secateur.errors import InputError
from secateur.network import Replay
from tests.onnx_models import Shape, model_bytes, node

WEIGHTS = {"w": np.array([[1, -1], [2, 0], [0, 3]], dtype=np.float32)}
POINTS = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
EXPECTED = POINTS @ WEIGHTS["w"]


@pytest.mark.parametrize("shape", [[1, 3], ["N", 3], [None, 3], [3], [1, 1, 3], ["N", 1, 3], [3, 1]])
def test_points_of_any_declared_shape(shape: Shape) -> None:
    nodes = [node("Reshape", ["x", "s"], "flat"), node("MatMul", ["flat", "w"])]
    stored = {**WEIGHTS, "s": np.array([-1, 3])}
    replay = Replay(model_bytes(nodes, stored, inputs={"x": shape}, outputs={"y": None}))
    assert replay.input_size == 3
    assert np.array_equal(replay.evaluate(POINTS), EXPECTED)
    assert np.array_equal(replay.evaluate(POINTS[:1]), EXPECTED[:1])
    assert replay.evaluate(POINTS[:0]).shape == (0, 2)


@pytest.mark.parametrize("target", [[1, 3], [1, -1]])
def test_a_batch_that_the_graph_fixes_at_one_is_noticed(target: list[int]) -> None:
    nodes = [node("Reshape", ["x", "s"], "flat"), node("Slice", ["flat", "a", "e", "ax"], "cut"),
             node("MatMul", ["cut", "w"])]  # fmt: skip
    stored = {**WEIGHTS, "s": np.array(target), "a": np.array([0]), "e": np.array([3]), "ax": np.array([1])}
    replay = Replay(model_bytes(nodes, stored, inputs={"x": ["N", 3]}, outputs={"y": None}))
    assert np.array_equal(replay.evaluate(POINTS), EXPECTED)


def test_many_points_are_cut_into_pieces() -> None:
    data = model_bytes([node("MatMul", ["x", "w"])], WEIGHTS, inputs={"x": ["N", 3]}, outputs={"y": ["N", 2]})
    many = np.arange(3 * 2500).reshape(-1, 3) % 7.0
    assert np.array_equal(Replay(data).evaluate(many), many @ WEIGHTS["w"])


def test_double_precision_stays_double() -> None:
    data = model_bytes(
        [node("MatMul", ["x", "w"])], {"w": np.array([[0.1]])}, inputs={"x": [1, 1]}, outputs={"y": [1, 1]},
        input_type=TensorProto.DOUBLE, output_type=TensorProto.DOUBLE,
    )  # fmt: skip
    assert Replay(data).evaluate(np.array([[1.0]])).tolist() == [[0.1]]


def test_what_onnxruntime_refuses_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.onnx: onnxruntime cannot load it"):
        Replay(tmp_path / "missing.onnx")
    with pytest.raises(InputError, match="cannot load it"):
        Replay(b"not a model")
    two = model_bytes([node("Add", ["x", "z"])], inputs={"x": [1], "z": [1]}, outputs={"y": [1]})
    with pytest.raises(InputError, match="sees 2 inputs"):
        Replay(two)


def test_a_file_that_passes_for_one_of_onnxruntimes_own_format_is_read_as_onnx() -> None:
    """Letters at offset 4 tell that format, from which another network could be read: here in an unknown field of 64 bytes."""
    hidden = b"\xc2\xbb\x01" + bytes([64]) + b"ORTM" + bytes(60)
    data = hidden + model_bytes([node("Relu", ["x"])], inputs={"x": [1, 2]}, outputs={"y": [1, 2]})
    with pytest.raises(Exception, match="ORT model verification failed"):
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert Replay(data).evaluate(np.array([[-1.0, 2.0]])).tolist() == [[0.0, 2.0]]
