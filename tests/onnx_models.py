"""Small ONNX models for tests, built node by node, and the comparison of two networks part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from secateur.network import Network

__all__ = ["assert_same", "model_bytes", "node", "one_operator"]

Shape = Sequence[int | str | None]


def node(op: str, inputs: Sequence[str], outputs: str | Sequence[str] = "y", **attributes: Any) -> NodeProto:
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    return helper.make_node(op, list(inputs), names, name=f"the_{op}_{names[0]}", **attributes)


def model_bytes(
    nodes: Sequence[NodeProto],
    stored: Mapping[str, Any] | None = None,
    *,
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape | None],
    opset: int = 13,
    input_type: int = TensorProto.FLOAT,
    output_type: int = TensorProto.FLOAT,
) -> bytes:
    """A model file. Stored values that are Python floats or lists of them become float32."""
    weights = [numpy_helper.from_array(_array(value), name) for name, value in (stored or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, input_type, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, output_type, shape) for name, shape in outputs.items()],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return made.SerializeToString()


def _array(value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 and not isinstance(value, np.ndarray) else array


def one_operator(
    op: str,
    in_shape: Sequence[int],
    stored: Mapping[str, Any] | None = None,
    *,
    order: Sequence[str] | None = None,
    opset: int = 13,
    **attributes: Any,
) -> bytes:
    """One node that reads the input `x` and all stored values, in this or the given order, and writes `y`."""
    read = ["x", *(stored or {})] if order is None else order
    made = node(op, read, **attributes)
    return model_bytes([made], stored, inputs={"x": in_shape}, outputs={"y": None}, opset=opset)


def assert_same(left: Network, right: Network) -> None:
    """The same layers, terms, weights and ports, not just the same function."""
    assert left.interface == right.interface
    assert left.input_size == right.input_size
    assert len(left.layers) == len(right.layers)
    for a, b in zip((*left.layers, left.output), (*right.layers, right.output), strict=True):
        assert a.rational_bias() == b.rational_bias()
        assert [t.source for t in a.terms] == [t.source for t in b.terms]
        for s, t in zip(a.terms, b.terms, strict=True):
            assert type(s.map) is type(t.map)
            assert np.array_equal(s.map.dense().weight, t.map.dense().weight)
            assert s.map.parameter_count == t.map.parameter_count
