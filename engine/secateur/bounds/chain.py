"""The chain form of a network on a box: each layer reads only the one before it, inputs lie in [0, 1].

Values that a later layer reads across others are carried by pass-through neurons: ReLUs where the values are never negative (an
output of a ReLU, or a normalised input t with x = lower + (upper - lower) t), else linear ones. The bound propagator, the
certificate and its checker then know one shape of network only. All matrices are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.columns import Columns, columns_of
from secateur.network import Dense, Network
from secateur.network.exact import ExactArray
from secateur.network.model import Affine, Term

__all__ = ["LINEAR", "RELU", "ChainLayer", "chain_form"]

Box = tuple[ExactArray, ExactArray]
Integers = NDArray[np.int64]

RELU, LINEAR = -1, -2
"""Kinds of neurons; any other kind is that of a difference neuron: the place of its partner in its layer."""

_MOST_KEPT = 1 << 18
"""Entries of a matrix up to which it is kept for the next box; building larger ones is little beside working with them."""


class IntegerParts(NamedTuple):
    """A matrix [W | b] == [rows | biases] / denominator, in Python integers; magnitudes : |rows|."""

    rows: list[list[int]]
    magnitudes: list[list[int]]
    biases: list[int]
    denominator: int


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """One layer: the matrix [W | b], bias last; `own` neurons first, pass-through neurons behind them.

    kinds : of each neuron, RELU, LINEAR or, for a difference neuron, the place of its partner in the layer. shift : differences
    are counted in units of 2**-shift.
    """

    matrix: ExactArray
    own: int
    kinds: Integers
    shift: int = 0

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
    def parts(self) -> IntegerParts:
        """The matrix in integers, for interval arithmetic."""
        numerators, denominator = self.matrix.integers()
        rows = numerators[:, :-1].tolist()
        return IntegerParts(rows, [[abs(w) for w in row] for row in rows], numerators[:, -1].tolist(), denominator)

    @cached_property
    def columns(self) -> Columns:
        """The matrix as the kernels read it; InputError where its weights exceed their range."""
        return columns_of(self.matrix)


class _Kept(NamedTuple):
    """What depends on an affine function alone, not on a box: the terms it reads, and the layers it became by place."""

    read: tuple[Term, ...]
    layers: dict[_Place, ChainLayer]


class _Place(NamedTuple):
    """Where a layer's sources lie in the layer before, of that many neurons, and which of its columns are carried on."""

    position: tuple[tuple[int, int], ...]
    columns: tuple[int, ...]
    width: int


_kept: WeakKeyDictionary[Affine, _Kept] = WeakKeyDictionary()
"""A memory of pure results, as long as their networks live: one network is asked about many boxes."""


def chain_form(
    network: Network,
    lower: tuple[Fraction, ...],
    upper: tuple[Fraction, ...],
    partners: Sequence[Integers] = (),
    shifts: Sequence[int] = (),
) -> tuple[ChainLayer, ...]:
    """The ReLU layers of a network on the box [lower, upper], in chain form.

    Layers whose maps are no matrices are multiplied out; the output layer is not part of the result. partners, shifts : of each
    layer, where some of its neurons stand for differences (`DifferenceNetwork`); a layer beyond them has none.
    """
    n = network.input_size
    widths = [high - low for low, high in zip(lower, upper, strict=True)]
    box = ExactArray.of_fractions(list(lower), (n, 1)), ExactArray.of_fractions(widths, (1, n))
    last_reader = _last_readers(network)
    sizes = (n, *network.sizes)
    layers: list[ChainLayer] = []
    position = {0: 0}  # where each carried source starts in the layer before
    width = n
    kinds = [np.full(n, RELU), *partners, *(np.full(size, RELU) for size in network.sizes[len(partners) :])]
    for k, affine in enumerate(network.layers, start=1):
        carried = [s for s in sorted(position) if last_reader[s] > k]
        columns = [position[s] + i for s in carried for i in range(sizes[s])]
        layer = _layer(affine, _Place(tuple(sorted(position.items())), tuple(columns), width), box)
        if partners:
            passed = [np.where(kinds[s] == RELU, RELU, LINEAR) for s in carried]
            layer = replace(layer, kinds=np.concatenate([kinds[k], *passed]), shift=shifts[k - 1] if k <= len(shifts) else 0)
        layers.append(layer)
        starts = np.cumsum([affine.size, *(sizes[s] for s in carried)])
        position, width = {k: 0} | {s: int(start) for s, start in zip(carried, starts, strict=False)}, layers[-1].size
    return tuple(layers)


def _layer(affine: Affine, place: _Place, box: Box) -> ChainLayer:
    kept = _kept_of(affine)
    layer = kept.layers.get(place)
    if layer is not None:
        return layer
    size = affine.size + len(place.columns)
    matrix = _own_part(affine, dict(place.position), box, (size, place.width + 1))
    if place.columns:
        at = (affine.size + np.arange(len(place.columns)), np.array(place.columns))
        matrix = matrix + ExactArray(np.ones(len(place.columns))).placed((size, place.width + 1), at)
    layer = ChainLayer(matrix, affine.size, np.full(size, RELU))
    if all(term.source != 0 for term in kept.read) and matrix.size <= _MOST_KEPT:
        kept.layers[place] = layer
    return layer


def _last_readers(network: Network) -> list[int]:
    last = [0] * (len(network.layers) + 1)
    for k, affine in enumerate(network.layers, start=1):
        for term in _kept_of(affine).read:
            last[term.source] = k
    return last


def _kept_of(affine: Affine) -> _Kept:
    kept = _kept.get(affine)
    if kept is None:
        kept = _kept[affine] = _Kept(tuple(t for t in affine.terms if _has_coefficients(t.map.dense())), {})
    return kept


def _has_coefficients(matrix: Dense) -> bool:
    return matrix.exact is not None or bool(matrix.weight.any())


def _own_part(affine: Affine, position: dict[int, int], box: Box, shape: tuple[int, int]) -> ExactArray:
    """The neurons' own rows, within zeros of the layer's shape."""
    bias = ExactArray.of_fractions(list(affine.rational_bias()), (affine.size, 1))
    parts: dict[int, ExactArray] = {}
    for term in _kept_of(affine).read:
        weights = term.map.dense().array()
        if term.source == 0:
            lower, widths = box
            bias = bias + weights @ lower
            weights = weights * widths
        start = position[term.source]
        parts[start] = parts[start] + weights if start in parts else weights
    parts[shape[1] - 1] = bias
    return _assembled(parts, shape)


def _assembled(parts: dict[int, ExactArray], shape: tuple[int, int]) -> ExactArray:
    """The parts, whose first columns are given, side by side within zeros; they do not overlap, so nothing is computed."""
    floats = np.zeros(shape)
    for start, part in parts.items():
        floats[: part.shape[0], start : start + part.shape[1]] = part.floats
    if all(part.rationals is None for part in parts.values()):
        return ExactArray(floats + 0.0)  # never -0.0
    rationals = np.full(shape, Fraction(0), dtype=object)
    for start, part in parts.items():
        entries = np.empty(part.size, dtype=object)
        entries[:] = part.fractions()
        rationals[: part.shape[0], start : start + part.shape[1]] = entries.reshape(part.shape)
    return ExactArray(floats + 0.0, rationals)
