"""ONNX file to `Network`, exactly, or one line that says which node stands in the way.

The reader trusts nothing in the file but the stored weights, the operators and the shape of the input: all
other shapes are computed. Only what the output depends on is read, so an unsupported operator in a dead
branch does no harm. A network with a dynamic first axis is read for a batch of one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.errors import InputError
from secateur.files import bytes_of, network_path
from secateur.network.exact import ExactArray
from secateur.network.maps import Monomial, UnsupportedError
from secateur.network.model import Interface, Network
from secateur.network.operators import OPERATORS, REMEDIES, Node, constant_tensor
from secateur.network.symbolic import Lowering, Tensor, affine, concatenated
from secateur.network.wiring import Wire, Wiring, matched

if TYPE_CHECKING:
    import onnx

__all__ = ["SUPPORTED_OPSETS", "GraphReader", "load_model", "opset_of", "parse_onnx", "read_onnx"]

# Below 7, broadcasting followed other rules; 23 to 25 only widened the element types of what is read here.
SUPPORTED_OPSETS = range(7, 26)
_MAX_INPUTS = 2**26
_ELEMENT_TYPES = {1: "float32", 10: "float16", 11: "float64"}


def read_onnx(path: str | Path) -> Network:
    """The network of an ONNX file of one input and one output. InputError, in one line, where it cannot be read exactly."""
    path = network_path(path)
    return parse_onnx(bytes_of(path), str(path), path.parent)


def parse_onnx(data: bytes, source: str, folder: Path | None = None, wiring: Wiring | None = None) -> Network:
    """The network of the bytes of an ONNX file.

    Parameters
    ----------
    data : the file.
    source : its name, for messages.
    folder : where weights stored outside the file are looked for; None if there are none.
    wiring : the tensors that make up input and output; None for a file that has one of each.
    """
    model = load_model(data, source, folder)
    return GraphReader(source, opset_of(model, source), model.graph).network(wiring)


def load_model(data: bytes, source: str, folder: Path | None) -> onnx.ModelProto:
    """The model in the bytes of a file, with all of its weights; arguments as for `parse_onnx`."""
    model = _parsed(data, source)
    if keeps_weights_outside(model):
        _load_outside_weights(model, source, folder)
    return model


def with_all_weights(data: bytes, source: str, folder: Path) -> bytes:
    """A file of the same model that holds all of its weights: these very bytes where they do. Arguments as for `parse_onnx`."""
    model = _parsed(data, source)
    if not keeps_weights_outside(model):
        return data
    _load_outside_weights(model, source, folder)
    try:
        whole: bytes = model.SerializeToString()
    except ValueError:
        raise InputError("is larger than ONNX files can be (2 GB) with its outside weights", where=source) from None
    return whole


def keeps_weights_outside(model: onnx.ModelProto) -> bool:
    """Whether some of a model's weights lie in other files."""
    import onnx

    return any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)


def _parsed(data: bytes, source: str) -> onnx.ModelProto:
    import onnx  # a third of a second: only those who read a file pay for it
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise InputError("is no ONNX model or is damaged", where=source, remedy="fetch or export it again") from None
    if not model.graph.node:
        raise InputError("holds a graph without nodes", where=source, remedy="check that it is an ONNX model")
    if model.functions:
        remedy = "inline them (onnx.inliner.inline_local_functions)"
        raise InputError(f"defines functions of its own ({model.functions[0].name})", where=source, remedy=remedy)
    return model


def _load_outside_weights(model: onnx.ModelProto, source: str, folder: Path | None) -> None:
    import onnx

    try:
        if folder is None:
            raise ValueError("no folder is known")
        onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        problem = f"weights stored outside the file cannot be read: {str(error).strip().splitlines()[0]}"
        raise InputError(problem, where=source, remedy="put the data file next to it") from None


def opset_of(model: onnx.ModelProto, source: str) -> int:
    """The version of the operators; InputError where it is not supported."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise InputError("names no version of the ONNX operators", where=source)
    if len(versions) > 1:
        listed = " and ".join(map(str, versions))
        raise InputError(f"names several versions of the ONNX operators ({listed})", where=source, remedy="export it again")
    if versions[0] not in SUPPORTED_OPSETS:
        raise InputError(
            f"uses opset {versions[0]}",
            where=source,
            remedy=f"convert it to opset {SUPPORTED_OPSETS[0]} to {SUPPORTED_OPSETS[-1]} with onnx.version_converter",
        )
    return int(versions[0])


@dataclass
class GraphReader:
    """One pass over a graph, for one call of `network`; `values` grows node by node."""

    source: str
    opset: int
    graph: onnx.GraphProto
    values: dict[str, Tensor] = field(default_factory=dict)
    lowering: Lowering = field(default_factory=Lowering)
    done: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.stored = {t.name: t for t in self.graph.initializer}
        self.sparse = {t.values.name for t in self.graph.sparse_initializer}

    def network(self, wiring: Wiring | None) -> Network:
        """What the graph computes; InputError where it cannot be read exactly."""
        given, wanted = self.ports(wiring)
        self._check_names([port.name for port in given])
        shapes, element_type = self._read_inputs(given, wiring)
        self._run_towards(port.name for port in wanted)
        outputs = [self._value(port.name, self.source) for port in wanted]
        for number, (port, output) in enumerate(zip(wanted, outputs, strict=True)):
            self._require_type(f"output {port.name!r}", output, element_type)
            if wiring is not None:
                wiring.outputs[number].require_size(output.size, f"{self.source}: output {port.name!r}")
        interface = Interface(
            input_name=given[0].name,
            input_shape=shapes[0],
            output_name=wanted[0].name,
            output_shape=_output_shape(wanted[0], outputs[0].shape, dynamic=shapes[0][:1] == (None,)),
            element_type=element_type,
            graph_name=self.graph.name or "network",
        )
        outputs += [self._hidden(wire, element_type) for wire in ([] if wiring is None else wiring.hidden)]
        size = sum(_size(shape) for shape in shapes)
        if len(shapes) > 1:
            interface = replace(interface, input_shape=(1, size))
        if len(outputs) > 1:
            interface = replace(interface, output_shape=(1, sum(output.size for output in outputs)))
        try:
            return Network(size, tuple(self.lowering.layers), affine(_joined(outputs)), interface)
        except UnsupportedError as error:
            raise InputError(error.problem, where=self.source, remedy=error.remedy) from None

    def ports(self, wiring: Wiring | None) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
        """The ports that make up input and output, in the order of their elements."""
        # Old files list the stored weights among the inputs.
        inputs = [port for port in self.graph.input if port.name not in self.stored and port.name not in self.sparse]
        outputs = list(self.graph.output)
        if wiring is not None:
            return self._wired(wiring.inputs, inputs, "input"), self._wired(wiring.outputs, outputs, "output")
        for ports, kind in ((inputs, "inputs"), (outputs, "outputs")):
            if len(ports) != 1:
                names = ", ".join(port.name for port in ports) or "none"
                remedy = "keep one of them (onnx.utils.extract_model)" if len(ports) > 1 else ""
                raise InputError(f"has {len(ports)} {kind} ({names}), not one", where=self.source, remedy=remedy)
        return inputs, outputs

    def _wired(self, wires: Sequence[Wire], ports: list[onnx.ValueInfoProto], kind: str) -> list[onnx.ValueInfoProto]:
        by_name = {port.name: port for port in ports}
        return [by_name[name] for name in matched(wires, [port.name for port in ports], kind, self.source)]

    def _check_names(self, given: Sequence[str]) -> None:
        """Each value is written once; otherwise it would depend on the runtime which one counts."""
        written = Counter([*given, *(t.name for t in self.graph.initializer)])
        written.update(name for node in self.graph.node for name in node.output if name)
        for name, count in written.items():
            if count > 1:
                raise InputError(f"value {name!r} is defined {count} times", where=self.source)

    def _read_inputs(
        self, given: Sequence[onnx.ValueInfoProto], wiring: Wiring | None
    ) -> tuple[list[tuple[int | None, ...]], str]:
        """Make each input the part of the network's input that it is; their shapes and element type."""
        types = [self._input_type(port) for port in given]
        ends = list(accumulate((_size(shape) for shape, _ in types), initial=0))
        if ends[-1] > _MAX_INPUTS:
            raise InputError(f"the input has {ends[-1]} values", where=self.source, remedy="is the file damaged?")
        for number, (port, (shape, element_type)) in enumerate(zip(given, types, strict=True)):
            if element_type != types[0][1]:
                problem = f"has {element_type} elements, input {given[0].name!r} has {types[0][1]}"
                raise InputError(problem, where=f"{self.source}: input {port.name!r}", remedy="make them the same type")
            begin, end = ends[number : number + 2]
            if wiring is not None:
                wiring.inputs[number].require_size(end - begin, f"{self.source}: input {port.name!r}")
            part = Monomial(np.arange(begin, end), ExactArray.full((end - begin,), 1.0), ends[-1])
            self.values[port.name] = Tensor(ExactArray.full(_fixed(shape)), {0: part}, element_type)
        return [shape for shape, _ in types], types[0][1]

    def _require_type(self, name: str, value: Tensor, element_type: str) -> None:
        if value.element_type != element_type or value.size == 0:
            problem = f"{name} is {value.element_type} of size {value.size}"
            raise InputError(problem, where=self.source, remedy=f"the input is {element_type}; make them the same type")

    def _hidden(self, wire: Wire, element_type: str) -> Tensor:
        """The value of a tensor within the graph, whether or not an output depends on it."""
        name = f"hidden value {wire.label} ({wire.name!r})"
        if not wire.name or not any(wire.name in node.output for node in self.graph.node):
            remedy = "a hidden value is the output of a node, by the tensor's name in the file"
            raise InputError(f"{name} is no node's output", where=self.source, remedy=remedy)
        try:
            self._run_towards([wire.name])
            value = self._value(wire.name, self.source)
        except InputError as error:
            raise InputError(f"{name} cannot be read: {error.problem}", where=error.where, remedy=error.remedy) from None
        self._require_type(name, value, element_type)
        wire.require_size(value.size, f"{self.source}: {name}")
        return value

    def _input_type(self, port: onnx.ValueInfoProto) -> tuple[tuple[int | None, ...], str]:
        tensor = port.type.tensor_type
        where = f"{self.source}: input {port.name!r}"
        if tensor.elem_type not in _ELEMENT_TYPES:
            raise InputError(f"has elements of ONNX type {tensor.elem_type}", where=where, remedy="use a float type")
        if not tensor.HasField("shape"):
            raise InputError("has no shape", where=where, remedy="export the network with the shape of its input")
        shape = _declared_shape(port)
        if None in shape[1:]:
            remedy = "fix every axis but the first (onnx.tools.update_model_dims)"
            raise InputError(f"axis {shape.index(None, 1)} has no fixed length", where=where, remedy=remedy)
        return shape, _ELEMENT_TYPES[tensor.elem_type]

    def _run_towards(self, values: Iterable[str]) -> None:
        """Evaluate the nodes that the values depend on, in the order of the graph (which is topological), each once."""
        for number, node in self.needed(values):
            if number not in self.done:
                self._run(node)
                self.done.add(number)

    def needed(self, values: Iterable[str]) -> list[tuple[int, onnx.NodeProto]]:
        """The nodes that the values depend on, with their numbers, in the order of the graph."""
        needed, chosen = set(values), []
        for number, node in reversed(list(enumerate(self.graph.node))):
            if needed.intersection(node.output):
                needed.update(name for name in node.input if name)
                chosen.append((number, node))
        return chosen[::-1]

    def where(self, proto: onnx.NodeProto) -> str:
        """A node's place, for messages."""
        return f"{self.source}: node {proto.name or proto.output[0]!r} ({proto.op_type}, opset {self.opset})"

    def _run(self, proto: onnx.NodeProto) -> None:
        where = self.where(proto)
        operator = OPERATORS.get(proto.op_type) if proto.domain in ("", "ai.onnx") else None
        if operator is None:
            remedy = REMEDIES.get(proto.op_type) or f"supported are {', '.join(sorted(OPERATORS))}"
            raise InputError("operator is not supported", where=where, remedy=remedy)
        inputs = tuple(self._value(name, where) if name else None for name in proto.input)
        try:
            attributes = dict(_attributes(proto))
            result = operator(Node(proto.op_type, self.opset, inputs, attributes, len(proto.output), self.lowering))
        except UnsupportedError as error:
            raise InputError(error.problem, where=where, remedy=error.remedy) from None
        except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:
            raise InputError(f"the node is malformed ({error})", where=where, remedy="check the model") from error
        results = result if isinstance(result, tuple) else (result,)
        self.values.update(zip(proto.output, results, strict=False))

    def _value(self, name: str, where: str) -> Tensor:
        if name not in self.values and name in self.stored:
            self.values[name] = self._stored_value(name)
        if name in self.values:
            return self.values[name]
        if name in self.sparse:
            raise InputError(f"weight {name!r} is stored as a sparse tensor", where=where, remedy="store it densely")
        raise InputError(f"value {name!r} is no supported output of an earlier node", where=where)

    def _stored_value(self, name: str) -> Tensor:
        from onnx import numpy_helper

        where = f"{self.source}: initialiser {name!r}"
        try:
            values = numpy_helper.to_array(self.stored[name])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"is damaged ({error})", where=where, remedy="export the network again") from None
        try:
            return constant_tensor(values, "it")
        except UnsupportedError as error:
            raise InputError(error.problem, where=where, remedy=error.remedy) from None


def _attributes(proto: onnx.NodeProto) -> Iterator[tuple[str, Any]]:
    """Attributes as Python values, tensors as arrays."""
    from onnx import TensorProto, helper, numpy_helper

    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"attribute {attribute.name!r} is {value}")
        yield attribute.name, numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _fixed(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape for a batch of one."""
    return tuple(1 if n is None else n for n in shape)


def _size(shape: tuple[int | None, ...]) -> int:
    return math.prod(_fixed(shape))


def _joined(outputs: Sequence[Tensor]) -> Tensor:
    """The elements of all outputs, one tensor after the other."""
    return outputs[0] if len(outputs) == 1 else concatenated([output.reshape((-1,)) for output in outputs], 0)


def _declared_shape(port: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """The shape the file declares; names, gaps and numbers below 1 all mean a dynamic axis."""
    return tuple(d.dim_value if d.dim_value > 0 else None for d in port.type.tensor_type.shape.dim)


def _output_shape(port: onnx.ValueInfoProto, actual: tuple[int, ...], *, dynamic: bool) -> tuple[int | None, ...]:
    """The declared shape where it agrees with the computed one, else the computed one."""
    declared = _declared_shape(port)
    if len(declared) == len(actual) and all(n in (None, m) for n, m in zip(declared, actual, strict=True)):
        # Only the batch can be dynamic: any other axis has just been computed.
        return (*declared[:1], *actual[1:])
    return (None, *actual[1:]) if dynamic and actual[:1] == (1,) else actual
