"""Files that two programs may read as two networks are refused: a certificate is about what everybody sees."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from secateur.checker.lowering import lower
from secateur.checker.refusal import Refusal
from tests.checker.support import evaluate

HIDDEN = 1 << 32  # what protobuf in C++ drops of a tag, and so takes the field for another one


def varint(value: int, length: int = 1) -> bytes:
    """In at least `length` bytes."""
    parts = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 7 * length, 1), 7)]
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])


def field(tag: bytes, data: bytes, length: bytes | None = None) -> bytes:
    return tag + (varint(len(data)) if length is None else length) + data


def model(tensor: bytes, initialiser: bytes | None = None) -> bytes:
    """y = c x, with c in the bytes of a tensor; and the bytes in which the graph holds that."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "c"], ["y"])], "g", ports[:1], ports[1:]).SerializeToString()
    whole = helper.make_model(helper.make_graph([], "g", [], []), opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    whole.ClearField("graph")
    graph += field(varint(5 << 3 | 2), tensor) if initialiser is None else initialiser
    data: bytes = whole.SerializeToString() + field(varint(7 << 3 | 2), graph)
    return data


TENSOR = numpy_helper.from_array(np.float32([2]), "c").SerializeToString()
OTHER = np.float32([-1000]).tobytes()


def refusal(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        lower(data)
    assert caught.value.rule == "onnx"
    return caught.value.reason


def test_the_model_of_these_tests_is_read() -> None:
    onnx.checker.check_model(onnx.load_model_from_string(model(TENSOR)))
    assert evaluate(lower(model(TENSOR)), [Fraction(3)])[1] == [6]
    unknown = field(varint(3000 << 3 | 2), b"what a later version may add")
    assert evaluate(lower(model(TENSOR + unknown)), [Fraction(3)])[1] == [6]


@pytest.mark.parametrize("tag", [(9 << 3 | 2) | HIDDEN, (9 << 3 | 2) | HIDDEN << 3])
def test_fields_whose_tag_has_more_than_32_bits_are_refused(tag: int) -> None:
    assert "more than 32 bits" in refusal(model(TENSOR + field(varint(tag), OTHER)))


def test_tags_and_lengths_in_too_many_bytes_are_refused() -> None:
    assert "more than 32 bits" in refusal(model(TENSOR + field(varint(9 << 3 | 2, 6), OTHER)))
    assert "more than 32 bits" in refusal(model(TENSOR + field(varint(3000 << 3 | 2), OTHER, varint(len(OTHER), 6))))
    assert "more than 32 bits" in refusal(model(TENSOR + field(varint(3000 << 3 | 2), OTHER, varint(1 << 31 | len(OTHER)))))


def test_a_field_of_number_0_is_refused() -> None:
    assert "no field 0" in refusal(model(TENSOR + field(varint(2), OTHER)))


def test_what_onnxruntime_takes_for_its_own_format_is_refused() -> None:
    hidden = field(varint(3000 << 3 | 2), b"ORTM" + bytes(60))
    assert len(varint(3000 << 3 | 2)) + len(varint(64)) == 4
    assert "in its own format" in refusal(hidden + model(TENSOR))
    assert evaluate(lower(model(TENSOR) + hidden), [Fraction(3)])[1] == [6]


def test_an_input_without_a_shape_is_refused() -> None:
    found = onnx.load_model_from_string(model(TENSOR))
    found.graph.input[0].type.tensor_type.ClearField("shape")
    assert refusal(found.SerializeToString()) == "the input 'x' has no shape"
    found = onnx.load_model_from_string(model(TENSOR))
    found.graph.output[0].type.tensor_type.ClearField("shape")
    assert evaluate(lower(found.SerializeToString()), [Fraction(3)])[1] == [6]


def test_an_open_size_may_be_written_as_minus_one() -> None:
    found = onnx.load_model_from_string(model(TENSOR))
    found.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert evaluate(lower(found.SerializeToString()), [Fraction(3)])[1] == [6]
    found.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1
    assert "a free size other than the batch" in refusal(found.SerializeToString())
