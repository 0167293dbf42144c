"""`Network` to ONNX: Gemm, MatMul, Conv, Add and Relu between the ports of the original file.

Inside, every value is a matrix (batch, size): the first node brings the input into that form, the last one
gives the output the shape it had. Nothing is rounded: a weight that the element type cannot hold is refused,
because rounding changes the function and is for the caller to decide and to certify. The same network always
gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secateur.files import write_atomically
from secateur.network.exact import Floats
from secateur.network.linear import Conv, Dense
from secateur.network.model import Affine, Network, Term

if TYPE_CHECKING:
    import onnx

__all__ = ["PRODUCER", "to_model_bytes", "write_onnx"]

PRODUCER = "secateur"
"""What the files say of who made them."""

_OPSETS = range(13, 18)
_IR_VERSION = 8  # the newest that runtimes of the time of opset 13 to 17 accept
_ELEMENT_TYPES = {"float32": 1, "float16": 10, "float64": 11}


def write_onnx(network: Network, path: str | Path, *, provenance: Mapping[str, str] | None = None, opset: int = 13) -> bytes:
    """Write the network and return the bytes of the file; parameters and errors of `to_model_bytes`.

    The file appears complete or not at all. InputError where it cannot be written.
    """
    data = to_model_bytes(network, provenance=provenance, opset=opset)
    write_atomically(path, data)
    return data


def to_model_bytes(network: Network, *, provenance: Mapping[str, str] | None = None, opset: int = 13) -> bytes:
    """The network as an ONNX file with the ports of `network.interface`.

    Parameters
    ----------
    network : no layer may be empty, and every weight must be a number of the element type; else ValueError.
    provenance : key and value pairs for the file's metadata.
    opset : 13 to 17.
    """
    from onnx import helper

    if opset not in _OPSETS:
        raise ValueError(f"opset {opset} is not between {_OPSETS[0]} and {_OPSETS[-1]}")
    if not all((*network.sizes, network.output_size, network.input_size)):
        raise ValueError("an empty layer cannot be written; fold it first")
    model = helper.make_model(_Writer(network).graph(), opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)
    model.producer_name = PRODUCER
    for key, value in (provenance or {}).items():
        model.metadata_props.add(key=key, value=value)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _ports(shape: tuple[int | None, ...], size: int) -> tuple[int | None, ...]:
    """The declared shape, gaps beyond the first axis filled; ValueError if it does not hold `size` values."""
    gaps = [i for i, n in enumerate(shape) if n is None and i > 0]
    known = math.prod(n for n in shape if n is not None)
    if len(gaps) == 1 and known and size % known == 0:
        shape = (*shape[: gaps[0]], size // known, *shape[gaps[0] + 1 :])
    if None in shape[1:] or math.prod(n or 1 for n in shape) != size:
        raise ValueError(f"a port of shape {list(shape)} does not hold {size} values")
    return shape


@dataclass
class _Writer:
    """Nodes and weights of one graph under construction."""

    network: Network
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def graph(self) -> onnx.GraphProto:
        from onnx import helper

        network, ports = self.network, self.network.interface
        in_shape = _ports(ports.input_shape, network.input_size)
        out_shape = _ports(ports.output_shape, network.output_size)
        values = [self._flat_input(in_shape)]
        for k, layer in enumerate(network.layers, start=1):
            total = self._name(f"layer{k}.sum")
            self._affine(layer, f"layer{k}", values, total)
            values.append(self._node("Relu", [total], self._name(f"layer{k}")))
        self._output(values, out_shape)
        type_ = _ELEMENT_TYPES[ports.element_type]
        return helper.make_graph(
            self.nodes,
            ports.graph_name,
            [helper.make_tensor_value_info(ports.input_name, type_, _named(in_shape))],
            [helper.make_tensor_value_info(ports.output_name, type_, _named(out_shape))],
            self.weights,
        )

    def _name(self, name: str) -> str:
        """A name that is none of the two that the original file gave; those need not differ from ours."""
        ports = self.network.interface
        while name in (ports.input_name, ports.output_name):
            name += "_"
        return name

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{output}:{op}", **attributes))
        return output

    def _weight(self, values: Floats, name: str) -> str:
        type_ = self.network.interface.element_type
        with np.errstate(over="ignore"):
            stored = values.astype(type_)
        if not np.isfinite(stored).all() or (stored.astype(np.float64) != values).any():
            raise ValueError(f"{name} holds weights that are no {type_} numbers; round the network first")
        return self._array(stored, name)

    def _array(self, values: NDArray[Any], name: str) -> str:
        from onnx import numpy_helper

        name = self._name(name)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name))
        return name

    def _reshape(self, value: str, shape: list[int], output: str) -> str:
        target = self._array(np.array(shape, dtype=np.int64), f"{output}.shape")
        return self._node("Reshape", [value, target], output)

    def _flat_input(self, shape: tuple[int | None, ...]) -> str:
        name, size = self.network.interface.input_name, self.network.input_size
        if math.prod(n or 1 for n in shape[1:]) != size or not shape:
            return self._reshape(name, [1, size], self._name("flat"))  # the first axis is part of the point
        return name if len(shape) == 2 else self._node("Flatten", [name], self._name("flat"), axis=1)

    def _output(self, values: list[str], shape: tuple[int | None, ...]) -> None:
        name, size = self.network.interface.output_name, self.network.output_size
        if len(shape) == 2 and shape[1] == size:
            self._affine(self.network.output, "output", values, name)
        else:
            flat = self._name("output.flat")
            self._affine(self.network.output, "output", values, flat)
            self._reshape(flat, [-1 if n is None else n for n in shape], name)

    def _affine(self, affine: Affine, label: str, values: list[str], result: str) -> None:
        """Nodes for one affine function of the sources, whose value ends up under the name `result`."""
        if affine.exact_bias is not None:
            raise ValueError(f"{label}.bias holds rationals that are no floats; round the network first")
        terms = affine.terms or (Term(0, Dense(np.zeros((affine.size, self.network.input_size)))),)
        names = [label] if len(terms) == 1 else [f"{label}.{i}" for i in range(len(terms))]
        # The first term takes the bias along; a convolution can do that only if it is one number per channel.
        bias = affine.bias
        first_bias = _channel_bias(terms[0].map, bias) if isinstance(terms[0].map, Conv) else bias
        total = self._term(terms[0], values, names[0], first_bias)
        if first_bias is None:
            total = self._node("Add", [total, self._weight(bias, f"{label}.bias")], self._name(f"{label}.shifted"))
        for term, name in zip(terms[1:], names[1:], strict=True):
            value = self._term(term, values, name, None)
            total = self._node("Add", [total, value], self._name(f"{name}.total"))
        self.nodes[-1].output[0] = result

    def _term(self, term: Term, values: list[str], name: str, bias: Floats | None) -> str:
        value, map_ = values[term.source], term.map
        if isinstance(map_, Conv):
            return self._conv(map_, value, name, bias)
        matrix = map_.dense()
        if matrix.exact is not None:
            raise ValueError(f"{name} holds weights that are no float64 numbers; round the network first")
        weights = [self._weight(matrix.weight, f"{name}.weight"), *self._biases(bias, name)]
        return self._node("Gemm", [value, *weights], self._name(f"{name}.product"), transB=1)

    def _conv(self, map_: Conv, value: str, name: str, bias: Floats | None) -> str:
        image = self._reshape(value, [-1, *map_.in_shape], self._name(f"{name}.image"))
        weights = [self._weight(map_.kernel, f"{name}.weight"), *self._biases(bias, name)]
        convolved = self._node(
            "Conv",
            [image, *weights],
            self._name(f"{name}.convolved"),
            strides=map_.strides,
            pads=map_.pads,
            dilations=map_.dilations,
            group=map_.groups,
        )
        return self._node("Flatten", [convolved], self._name(f"{name}.product"), axis=1)

    def _biases(self, bias: Floats | None, name: str) -> list[str]:
        return [] if bias is None else [self._weight(bias, f"{name}.bias")]


def _channel_bias(map_: Conv, bias: Floats) -> Floats | None:
    """One number per output channel, if the bias is that."""
    channels = bias.reshape(map_.out_shape[0], -1)
    return channels[:, 0] if bool((channels == channels[:, :1]).all()) else None


def _named(shape: tuple[int | None, ...]) -> list[int | str]:
    """The dynamic axis under the name that onnxruntime shows."""
    return ["batch" if n is None else n for n in shape]
