"""Several networks as one: side by side, layer by layer, over shared inputs.

Returns a `Network` whose outputs are those of the parts one after the other, and whose layer k holds the layers k of all parts.
Soundness: every entry is placed, none is computed, so the result means exactly what the parts mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray
from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term

__all__ = ["deepened", "side_by_side"]

Index = NDArray[np.intp]


def side_by_side(networks: Sequence[Network], inputs: Sequence[Sequence[int]], input_size: int) -> Network:
    """The networks over one input of `input_size` coordinates; input i of network n is coordinate `inputs[n][i]`.

    ValueError where a network has another number of inputs.
    """
    if [len(own) for own in inputs] != [network.input_size for network in networks]:
        raise ValueError("every network needs one coordinate for each of its inputs")
    if len(networks) == 1 and list(inputs[0]) == list(range(input_size)):
        return networks[0]
    depth = max(len(network.layers) for network in networks)
    # Where the values of source s of each network lie within source s of the whole.
    places: list[list[Sequence[int]]] = [list(inputs)]
    layers: list[Affine] = []
    for k in range(depth):
        parts = [network.layers[k] if k < len(network.layers) else None for network in networks]
        starts = np.cumsum([0, *(0 if part is None else part.size for part in parts)])
        places.append([range(starts[n], starts[n + 1]) for n in range(len(networks))])
        layers.append(_stacked(parts, places, [input_size, *(layer.size for layer in layers)]))
    output = _stacked([n.output for n in networks], places, [input_size, *(layer.size for layer in layers)])
    return Network(input_size, tuple(layers), output, networks[0].interface)


def _stacked(parts: Sequence[Affine | None], places: Sequence[Sequence[Sequence[int]]], sizes: Sequence[int]) -> Affine:
    """The parts below each other; each reads its own places of the sources."""
    total = sum(part.size for part in parts if part is not None)
    blocks: dict[int, list[ExactArray]] = {}
    biases: list[Fraction] = []
    first = 0
    for n, part in enumerate(parts):
        if part is None:
            continue
        rows = np.arange(first, first + part.size)
        first += part.size
        biases += part.rational_bias()
        for term in part.terms:
            matrix = term.map.dense().array()
            at = (rows[:, None], np.asarray(places[term.source][n], dtype=np.intp)[None, :])
            blocks.setdefault(term.source, []).append(_placed(matrix, (total, sizes[term.source]), at))
    terms = tuple(Term(source, Dense.of(_sum(arrays))) for source, arrays in sorted(blocks.items()))
    return Affine.of(terms, ExactArray.of_fractions(biases, (total,)))


def _placed(matrix: ExactArray, shape: tuple[int, int], at: tuple[Index, Index]) -> ExactArray:
    """The matrix within zeros; columns that share a place are added up (two inputs may be the same coordinate)."""
    columns = at[1].ravel()
    if len(set(columns.tolist())) == len(columns):
        return matrix.placed(shape, at)
    gather = np.zeros((len(columns), shape[1]))
    gather[np.arange(len(columns)), columns] = 1.0
    return (matrix @ ExactArray(gather)).placed(shape, (at[0], np.arange(shape[1])[None, :]))


def _sum(arrays: Sequence[ExactArray]) -> ExactArray:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def deepened(network: Network, depth: int) -> Network:
    """The same function as a plain feed-forward network of `depth` ReLU layers, at least as many as it has.

    What the last layer holds is never negative and passes through ReLU layers with weight 1 unchanged; an input x that no layer
    has read is carried as max(0, x) and max(0, -x), whose difference it is. ValueError unless it is a plain network.
    """
    if not network.is_chain or depth < len(network.layers):
        raise ValueError("only a plain feed-forward network can be made deeper")
    if depth == len(network.layers):
        return network
    matrix, layers = network.output.terms[0].map.dense().array(), list(network.layers)
    if not layers:
        eye = np.eye(network.input_size)
        layers.append(_linear(0, ExactArray(np.concatenate([eye, -eye]))))
        matrix = ExactArray.concatenated([matrix.rearranged(np.transpose), (-matrix).rearranged(np.transpose)])
        matrix = matrix.rearranged(np.transpose)
    while len(layers) < depth:
        layers.append(_linear(len(layers), ExactArray(np.eye(layers[-1].size))))
    output = Affine((Term(depth, Dense.of(matrix)),), network.output.bias, network.output.exact_bias)
    return Network(network.input_size, tuple(layers), output, network.interface)


def _linear(source: int, matrix: ExactArray) -> Affine:
    return Affine((Term(source, Dense.of(matrix)),), np.zeros(matrix.shape[0]))
