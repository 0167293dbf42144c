"""The networks that exported queries are about, as ONNX files.

Two networks are joined over their one input, and end in the linear forms that a query bounds; a network is cut off at the
pre-activation of a neuron. Every weight is one of the files' (or 0, 1, -1), so the joined file means exactly what the two mean;
where float32 does not hold them, float64 is written, and where that does not either, there is no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from secateur.network import Affine, Dense, Interface, Network, Term, to_model_bytes
from secateur.network.exact import ExactArray, Floats
from secateur.network.join import deepened, side_by_side

__all__ = ["NotStorableError", "forms_network", "layer_network", "neuron_network", "stored"]


class NotStorableError(ValueError):
    """A network holds weights that no float type of ONNX holds, or is too large as matrices."""


def stored(network: Network) -> bytes:
    """The network as an ONNX file with one row as input and one as output, in the narrowest type that holds its weights."""
    ports = Interface("input", (1, network.input_size), "output", (1, network.output_size), "float32")
    try:
        return to_model_bytes(replace(network, interface=ports))
    except ValueError:  # it holds weights that are no float32 numbers
        pass
    try:
        return to_model_bytes(replace(network, interface=replace(ports, element_type="float64")))
    except ValueError as error:
        raise NotStorableError(str(error)) from None


def layer_network(network: Network, layer: int) -> Network:
    """The network whose outputs are those of a ReLU layer (from 1)."""
    size = network.sizes[layer - 1]
    identity = Affine((Term(layer, Dense(np.eye(size))),), np.zeros(size))
    return Network(network.input_size, network.layers[:layer], identity, replace(network.interface, output_shape=(1, size)))


def neuron_network(network: Network, layer: int, neuron: int) -> Network:
    """The network whose one output is the pre-activation of a neuron of a ReLU layer (from 1)."""
    affine = network.layers[layer - 1]
    rows = [(term.source, term.map.dense().array().rearranged(lambda a: a[neuron : neuron + 1])) for term in affine.terms]
    bias = ExactArray.of_fractions([affine.rational_bias()[neuron]], (1,))
    terms = tuple(Term(source, Dense.of(row)) for source, row in rows)
    return Network(network.input_size, network.layers[: layer - 1], Affine.of(terms, bias))


def forms_network(networks: Sequence[Network], forms: Sequence[Sequence[tuple[int, Fraction]]]) -> bytes:
    """Both networks over one input, whose outputs are linear forms of the outputs of the first, then of the second.

    Two plain feed-forward networks give a plain one: block-diagonal layers, the shallower one carried through the others.
    NotStorableError where no float type holds the weights.
    """
    depth = max(len(network.layers) for network in networks)
    if all(network.is_chain for network in networks):
        networks = [deepened(network, depth) for network in networks]
    size = networks[0].input_size
    try:
        both = side_by_side(networks, [range(size)] * len(networks), size)
    except ValueError as error:
        raise NotStorableError(str(error)) from None
    matrix = np.zeros((len(forms), both.output_size))
    for i, form in enumerate(forms):
        for j, coefficient in form:
            matrix[i, j] = float(coefficient)
    return _with_matrix(stored(both), matrix)


def _with_matrix(data: bytes, matrix: Floats) -> bytes:
    """A stored network followed by one more matrix: folding it into the last one would round differences of weights."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_model_from_string(data)
    (port,) = model.graph.output
    type_ = port.type.tensor_type.elem_type
    inner, name = "both.outputs", port.name
    for node in model.graph.node:
        node.output[:] = [inner if output == name else output for output in node.output]
    weight = numpy_helper.from_array(matrix.astype(helper.tensor_dtype_to_np_dtype(type_)), "forms.weight")
    model.graph.initializer.append(weight)
    model.graph.node.append(helper.make_node("Gemm", [inner, "forms.weight"], [name], name="forms", transB=1))
    port.CopyFrom(helper.make_tensor_value_info(name, type_, [1, len(matrix)]))
    result: bytes = model.SerializeToString(deterministic=True)
    return result
