"""The chain form of a network on a box: each layer reads only the one before it, inputs lie in [0, 1].

Values that a later layer reads across others are carried by pass-through neurons, whose values are never negative: an
output of a ReLU, or a normalised input t with x = lower + (upper - lower) t. The bound propagator, the certificate and its
checker then know one shape of network only. All matrices are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from secateur.network import Network
from secateur.network.exact import ExactArray, Objects
from secateur.network.model import Affine, Term

__all__ = ["ChainLayer", "chain_form"]

Box = tuple[ExactArray, ExactArray]


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """One layer: the matrix [W | b], bias last; `own` neurons first, pass-through neurons behind them."""

    matrix: ExactArray
    own: int

    @property
    def size(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def in_size(self) -> int:
        return int(self.matrix.shape[1]) - 1

    @cached_property
    def rows(self) -> list[list[Fraction]]:
        """The matrix as rationals, row by row."""
        values = self.matrix.fractions()
        width = self.in_size + 1
        return [values[i * width : (i + 1) * width] for i in range(self.size)]

    @cached_property
    def integers(self) -> tuple[Objects, int]:
        """Python integers n, shaped as the matrix, and d > 0 with matrix == n / d."""
        return self.matrix.integers()


def chain_form(network: Network, lower: tuple[Fraction, ...], upper: tuple[Fraction, ...]) -> tuple[ChainLayer, ...]:
    """The ReLU layers of a network on the box [lower, upper], in chain form.

    Layers whose maps are no matrices are multiplied out; the output layer is not part of the result.
    """
    n = network.input_size
    widths = [high - low for low, high in zip(lower, upper, strict=True)]
    box = ExactArray.of_fractions(list(lower), (n, 1)), ExactArray.of_fractions(widths, (1, n))
    last_reader = _last_readers(network)
    sizes = (n, *network.sizes)
    layers: list[ChainLayer] = []
    position = {0: 0}  # where each carried source starts in the layer before
    width = n
    for k, affine in enumerate(network.layers, start=1):
        carried = [s for s in sorted(position) if last_reader[s] > k]
        columns = [position[s] + i for s in carried for i in range(sizes[s])]
        size = affine.size + len(columns)
        matrix = _own_part(affine, position, box, (size, width + 1))
        if columns:
            at = (affine.size + np.arange(len(columns)), np.array(columns))
            matrix = matrix + ExactArray(np.ones(len(columns))).placed((size, width + 1), at)
        starts = np.cumsum([affine.size, *(sizes[s] for s in carried)])
        layers.append(ChainLayer(matrix, affine.size))
        position, width = {k: 0} | {s: int(start) for s, start in zip(carried, starts, strict=False)}, size
    return tuple(layers)


def _last_readers(network: Network) -> list[int]:
    last = [0] * (len(network.layers) + 1)
    for k, affine in enumerate(network.layers, start=1):
        for term in _read(affine):
            last[term.source] = k
    return last


def _read(affine: Affine) -> list[Term]:
    """The terms with a coefficient other than zero."""
    return [t for t in affine.terms if t.map.dense().weight.any() or t.map.dense().exact is not None]


def _own_part(affine: Affine, position: dict[int, int], box: Box, shape: tuple[int, int]) -> ExactArray:
    """The neurons' own rows, within zeros of the layer's shape."""
    bias = ExactArray.of_fractions(list(affine.rational_bias()), (affine.size, 1))
    parts: list[tuple[ExactArray, Sequence[int]]] = []
    for term in _read(affine):
        weights = term.map.dense().array()
        start = position[term.source]
        columns: Sequence[int] = range(start, start + weights.shape[1])
        if term.source == 0:
            lower, widths = box
            bias = bias + weights @ lower
            weights = weights * widths
        parts.append((weights, columns))
    parts.append((bias, [shape[1] - 1]))
    rows = np.arange(affine.size)[:, None]
    total = ExactArray.full(shape)
    for array, places in parts:
        total = total + array.placed(shape, (rows, np.asarray(places)[None, :]))
    return total
