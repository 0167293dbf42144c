"""Networks of slices are evaluated in batches: those that could mix the rows of one are refused, others are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto

from secateur.checker.refusal import Refusal
from secateur.checker.rowwise import lower_rowwise
from tests.onnx_models import model_bytes, node

WEIGHT = np.float32([[1, 2, 3], [4, 5, 6]])  # two to three
Case = tuple[Sequence[int], list[NodeProto], dict[str, Any]]


def whole(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


APART: dict[str, Case] = {
    "gemm": ([2], [node("Gemm", ["x", "w", "b"], "z"), node("Relu", ["z"])], {"w": WEIGHT, "b": np.float32([1, 2, 3])}),
    "gemm with a row of bias": ([2], [node("Gemm", ["x", "w", "b"])], {"w": WEIGHT, "b": np.float32([[1, 2, 3]])}),
    "transposed weights": ([3], [node("Gemm", ["x", "w"], transB=1)], {"w": WEIGHT}),
    "matmul": ([2, 2], [node("MatMul", ["x", "w"])], {"w": WEIGHT}),
    "sums": ([2], [node("Add", ["x", "c"], "z"), node("Sub", ["z", "x"], "d"), node("Mul", ["d", "c"])], {"c": WEIGHT[:1, :2]}),
    "flatten": ([2, 3], [node("Flatten", ["x"], "f"), node("Identity", ["f"])], {}),
    "reshape": ([2, 3], [node("Reshape", ["x", "s"], "r"), node("Reshape", ["r", "t"])],
                {"s": whole(-1, 6), "t": whole(0, 3, 2)}),
    "concat": ([2], [node("Concat", ["x", "x"], axis=-1)], {}),
    "conv": ([1, 3], [node("Conv", ["x", "w"])], {"w": np.float32([[[1, 2]], [[3, 4]]])}),
    "constants apart": ([2], [node("Transpose", ["w"], "t"), node("MatMul", ["x", "u"], "z"), node("Gemm", ["z", "t"])],
                        {"w": WEIGHT, "u": WEIGHT}),
}  # fmt: skip

MIXED: dict[str, Case] = {
    "scrambled": ([2], [node("Reshape", ["x", "s"], "a"), node("Transpose", ["a"], "b"), node("Reshape", ["b", "t"])],
                  {"s": whole(2, -1), "t": whole(-1, 2)}),
    "transposed": ([1], [node("Transpose", ["x"])], {}),
    "transposed left": ([1], [node("Gemm", ["x", "w"], transA=1)], {"w": np.float32([[1, 2]])}),
    "constant on the left": ([2], [node("Gemm", ["w", "x"])], {"w": np.float32([[1], [2]])}),
    "rows of constants": ([2], [node("Add", ["x", "c"])], {"c": WEIGHT[:, :2]}),
    "another axis before": ([2], [node("Add", ["x", "c"])], {"c": np.float32([[[1, 2]], [[3, 4]]])}),
    "moved by an axis": ([2], [node("Add", ["x", "c"])], {"c": np.float32([[[1, 2]]])}),
    "fixed rows": ([2], [node("Reshape", ["x", "s"])], {"s": whole(1, 2)}),
    "rows from an open length": ([2], [node("Reshape", ["x", "s"])], {"s": whole(1, -1)}),
    "concat of rows": ([2], [node("Concat", ["x", "x"], axis=0)], {}),
    "concat with a constant": ([2], [node("Concat", ["x", "c"], axis=1)], {"c": np.float32([[1]])}),
    "gathered": ([2], [node("Gather", ["x", "i"], axis=0)], {"i": whole(0)}),
    "flat": ([2], [node("Flatten", ["x"], axis=0)], {}),
    "all in one": ([2], [node("Reshape", ["x", "s"])], {"s": whole(-1)}),
}  # fmt: skip


def data(case: Case, batch: Any = "n") -> bytes:
    shape, nodes, stored = case
    return model_bytes(nodes, stored, inputs={"x": [batch, *shape]}, outputs={"y": None})


@pytest.mark.parametrize("name", APART)
def test_rows_that_are_kept_apart(name: str) -> None:
    network, element_type = lower_rowwise(data(APART[name]))
    assert element_type == 1
    rows = np.random.default_rng(1).normal(size=(5, *APART[name][0])).astype(np.float32)
    session = onnxruntime.InferenceSession(data(APART[name]), providers=["CPUExecutionProvider"])
    (together,) = session.run(None, {"x": rows})
    assert together.shape[0] == 5
    assert np.prod(together.shape[1:]) == len(network.output.rows)
    for row, output in zip(rows, together, strict=True):
        assert np.allclose(session.run(None, {"x": row[None]})[0][0], output)


@pytest.mark.parametrize("name", MIXED)
def test_what_may_mix_rows_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="rows of a batch might not be kept apart"):
        lower_rowwise(data(MIXED[name]))


@pytest.mark.parametrize("name", ["scrambled", "concat of rows", "gathered", "flat"])
def test_a_fixed_batch_of_one_may_do_as_it_likes(name: str) -> None:
    assert lower_rowwise(data(MIXED[name], batch=1))[0].input_size == 2
