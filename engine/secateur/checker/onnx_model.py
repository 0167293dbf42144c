"""The checker's own reader of ONNX files: graph, nodes, attributes and the exact values of the stored numbers.

Every float is turned into an integer over a power of two the moment it is read; NaN and infinities are refused, and
so are tensors that live outside the file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from secateur.checker.protobuf import Message, fields, fixed, integers, one_bytes, one_fixed, one_integer, text
from secateur.checker.refusal import Refusal
from secateur.checker.tensors import FLOAT_TYPES

__all__ = ["Graph", "Node", "TensorData", "ValueInfo", "exact_floats", "read_model"]

# ONNX element type -> struct code, least and greatest value
INTEGER_TYPES = {6: ("i", -(1 << 31), (1 << 31) - 1), 7: ("q", -(1 << 63), (1 << 63) - 1), 9: ("?", 0, 1)}
OPSETS = range(7, 26)  # below 7, broadcasting followed other rules; what comes after 25 has not been read
ATTRIBUTE_KINDS = {1: "a float", 2: "an integer", 3: "a text", 4: "a tensor", 6: "floats", 7: "integers"}
MAX_ELEMENTS = 1 << 26
_ORT_FORMAT = b"ORTM"  # at offset 4


@dataclass(frozen=True)
class TensorData:
    """A constant: the row-major values are `values[i] / denominator`, in the file of an ONNX element type."""

    element_type: int
    shape: tuple[int, ...]
    denominator: int
    values: list[int]


@dataclass(frozen=True)
class ValueInfo:
    """A graph input or output; a dimension is None where the file leaves it open."""

    name: str
    element_type: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Node:
    """One operator; an absent optional input is the empty string."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Message] = field(repr=False)

    def refusal(self, reason: str) -> Refusal:
        """A refusal that names this node by its operator and first output."""
        return Refusal("onnx", f"node {self.operator} -> {self.outputs[0] if self.outputs else '?'}", reason)

    def _attribute(self, name: str, kind: int) -> Message | None:
        """The attribute of this name, which must say that it is of this kind; None if not given."""
        attribute = self.attributes.get(name)
        if attribute is not None and one_integer(attribute, 20) != kind:
            raise self.refusal(f"its attribute {name!r} is not {ATTRIBUTE_KINDS[kind]}")
        return attribute

    def integer(self, name: str, default: int) -> int:
        attribute = self._attribute(name, 2)
        return default if attribute is None else one_integer(attribute, 3)

    def integers(self, name: str) -> list[int] | None:
        attribute = self._attribute(name, 7)
        return None if attribute is None else integers(attribute, 8)

    def text(self, name: str, default: str) -> str:
        attribute = self._attribute(name, 3)
        return default if attribute is None else text(attribute, 4)

    def floats(self, name: str) -> list[float] | None:
        attribute = self._attribute(name, 6)
        return None if attribute is None else _floats(attribute, 7, "f")

    def number(self, name: str, default: float) -> tuple[int, int]:
        """A float attribute as an exact fraction."""
        attribute = self._attribute(name, 1)
        if attribute is None:
            return default.as_integer_ratio()
        denominator, (value,) = exact_floats([one_fixed(attribute, 2, "<f")], name)
        return value, denominator

    def tensor(self, name: str) -> TensorData | None:
        attribute = self._attribute(name, 4)
        raw = None if attribute is None else one_bytes(attribute, 5)
        return None if raw is None else _tensor(fields(raw))


@dataclass(frozen=True)
class Graph:
    """The main graph; what is read here means the same in every operator set that is accepted."""

    nodes: tuple[Node, ...]
    constants: dict[str, TensorData]
    input: ValueInfo
    output: ValueInfo


def exact_floats(values: Sequence[float], where: str) -> tuple[int, list[int]]:
    """Finite floats over their least common denominator: (denominator, numerators)."""
    if not all(map(math.isfinite, values)):
        raise Refusal("onnx", f"tensor {where}", "a value is NaN or infinite")
    ratios = [value.as_integer_ratio() for value in values]
    denominator = max((ratio[1] for ratio in ratios), default=1)  # all are powers of two
    return denominator, [numerator * (denominator // own) for numerator, own in ratios]


def _floats(message: Message, number: int, code: str) -> list[float]:
    """A repeated float or double field, packed or not."""
    values: list[float] = []
    for value in message.get(number, []):
        if isinstance(value, bytes):
            values += _unpack(value, code, "a repeated field")
        else:
            values.append(fixed(value, f"<{code}"))
    return values


def _unpack(raw: bytes, code: str, where: str) -> list[float]:
    count, rest = divmod(len(raw), struct.calcsize(f"<{code}"))
    if rest:
        raise Refusal("onnx", f"tensor {where}", "the data do not fill a whole number of elements")
    return list(struct.unpack(f"<{count}{code}", raw))


def _half(bits: int, where: str) -> float:
    """A float16 that an int32 field holds as its 16 bits."""
    if not 0 <= bits < 1 << 16:
        raise Refusal("onnx", f"tensor {where}", "a float16 has more than 16 bits")
    return float(struct.unpack("<e", bits.to_bytes(2, "little"))[0])


def _typed_floats(message: Message, kind: int, where: str) -> list[float]:
    """The values of a float tensor without raw data."""
    if kind == 10:
        return [_half(bits, where) for bits in integers(message, 5)]
    return _floats(message, 4 if kind == 1 else 10, FLOAT_TYPES[kind])


def _tensor(message: Message) -> TensorData:
    """Reads a TensorProto of floats, or of integers (for shapes and indices)."""
    where, kind = text(message, 8), one_integer(message, 2)
    if message.get(13) or one_integer(message, 14) or message.get(3):
        raise Refusal("onnx", f"tensor {where}", "data outside the file are not supported")
    shape = tuple(integers(message, 1))
    raw, count = one_bytes(message, 9), math.prod(shape)
    if any(size < 0 for size in shape) or count > MAX_ELEMENTS:
        raise Refusal("onnx", f"tensor {where}", "the shape is absurd")
    if kind in FLOAT_TYPES:
        floats = _typed_floats(message, kind, where) if raw is None else _unpack(raw, FLOAT_TYPES[kind], where)
        denominator, values = exact_floats(floats, where)
    elif kind in INTEGER_TYPES:
        code, least, most = INTEGER_TYPES[kind]
        typed = integers(message, 7 if kind == 7 else 5)
        values = typed if raw is None else [int(v) for v in _unpack(raw, code, where)]
        denominator = 1
        if values and not least <= min(values) <= max(values) <= most:
            raise Refusal("onnx", f"tensor {where}", "a value is outside the range of its integer type")
    else:
        raise Refusal("onnx", f"tensor {where}", f"element type {kind} is not supported")
    if len(values) != count or (raw is not None and any(message.get(f) for f in (4, 5, 7, 10, 11))):
        raise Refusal("onnx", f"tensor {where}", f"the data do not match the shape {list(shape)}")
    return TensorData(kind, shape, denominator, values)


def _messages(message: Message, number: int) -> list[Message]:
    values = message.get(number, [])
    if not all(isinstance(value, bytes) for value in values):
        raise Refusal("onnx", "protobuf", f"field {number} has the wrong type")
    return [fields(value) for value in values if isinstance(value, bytes)]


def _sub(message: Message, number: int) -> Message:
    return fields(one_bytes(message, number) or b"")


def _strings(message: Message, number: int) -> tuple[str, ...]:
    return tuple(text({1: [value]}, 1) for value in message.get(number, []))


def _node(message: Message) -> Node:
    attributes = _messages(message, 5)
    named = {text(attribute, 1): attribute for attribute in attributes}
    node = Node(text(message, 4), text(message, 7), _strings(message, 1), _strings(message, 2), named)
    if len(named) != len(attributes):
        raise node.refusal("an attribute occurs twice")
    if any(attribute.get(21) for attribute in attributes):
        raise node.refusal("attributes that refer to those of a function are not supported")
    return node


def _dimension(message: Message) -> int | None:
    size = one_integer(message, 1) if message.get(1) else -1
    return None if size == -1 else size  # which old exporters write for an open size


def _input_info(message: Message) -> ValueInfo:
    """An input, which needs a shape: that of an output does not matter."""
    info = _value_info(message)
    if not _sub(_sub(message, 2), 1).get(2):
        raise Refusal("onnx", "graph", f"the input {info.name!r} has no shape")
    return info


def _value_info(message: Message) -> ValueInfo:
    name, kind = text(message, 1), _sub(_sub(message, 2), 1)
    shape = tuple(map(_dimension, _messages(_sub(kind, 2), 1)))
    return ValueInfo(name, one_integer(kind, 1), shape)


def _only(values: list[ValueInfo], what: str) -> ValueInfo:
    if len(values) != 1 or values[0].element_type not in FLOAT_TYPES:
        raise Refusal("onnx", "graph", f"exactly one {what} of a float type is needed")
    return values[0]


def _check_opset(model: Message) -> None:
    versions = [one_integer(m, 2) for m in _messages(model, 8) if text(m, 1) in ("", "ai.onnx")]
    if len(versions) != 1:
        raise Refusal("onnx", "model", "exactly one version of the standard operator set is needed")
    if versions[0] not in OPSETS:
        raise Refusal("onnx", "model", f"operator set {versions[0]} is not one of {OPSETS[0]} to {OPSETS[-1]}")


def read_model(data: bytes) -> Graph:
    """The graph of an ONNX file; refuses what is malformed or outside the fragment that is read here."""
    if data[4:8] == _ORT_FORMAT:
        raise Refusal("onnx", "model", "onnxruntime takes it for a file in its own format")
    model = fields(data)
    if model.get(25):
        raise Refusal("onnx", "model", "functions defined in the model are not supported")
    _check_opset(model)
    graph = _sub(model, 7)
    if graph.get(15):
        raise Refusal("onnx", "graph", "sparse initialisers are not supported")
    constants: dict[str, TensorData] = {}
    for message in _messages(graph, 5):
        name = text(message, 8)
        if name in constants:
            raise Refusal("onnx", f"tensor {name}", "the initialiser occurs twice")
        constants[name] = _tensor(message)
    inputs = [info for info in map(_input_info, _messages(graph, 11)) if info.name not in constants]
    outputs = [_value_info(message) for message in _messages(graph, 12)]
    nodes = tuple(map(_node, _messages(graph, 1)))
    return Graph(nodes, constants, _only(inputs, "input"), _only(outputs, "output"))
