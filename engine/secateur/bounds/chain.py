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
from itertools import accumulate
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.columns import Columns, columns_of
from secateur.bounds.float32 import slack_of
from secateur.bounds.near import Near, NearBox, first_layer, has_moderate_floats, is_moderate
from secateur.bounds.parts import IntegerParts
from secateur.network import Dense, Network
from secateur.network.exact import ExactArray, scaled_floats
from secateur.network.model import Affine, Term

__all__ = ["LINEAR", "RELU", "ChainLayer", "ExactEntries", "chain_form"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RELU, LINEAR = -1, -2
"""Kinds of neurons; any other kind is that of a difference neuron: the place of its partner in its layer."""

_MOST_KEPT = 1 << 18
"""Entries of a matrix up to which it is kept for the next box; building larger ones is little beside working with them."""


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """One layer: the matrix [W | b], bias last; `own` neurons first, pass-through neurons behind them.

    near : the matrix, nearly. exact : the source of its exact entries, which are seldom needed. kinds : of each neuron, RELU,
    LINEAR or, for a difference neuron, the place of its partner in the layer. shift : differences are counted in units of
    2**-shift. slack : how much float32 rounding may add to each of the own neurons, per unit of each column's value, bias last:
    (own, columns) numbers of 24 bits; None where exact values are meant (FORMAT.md, section 11).
    """

    near: Near
    own: int
    exact: ExactEntries
    kinds: Integers
    shift: int = 0
    slack: Floats | None = None

    @classmethod
    def of(cls, matrix: ExactArray, own: int) -> ChainLayer:
        """A layer of ReLUs whose exact matrix is at hand."""
        return cls(Near.of(matrix), own, _Made(matrix), np.full(matrix.shape[0], RELU))

    @property
    def size(self) -> int:
        return int(self.near.floats.shape[0])

    @property
    def in_size(self) -> int:
        return int(self.near.floats.shape[1]) - 1

    @cached_property
    def matrix(self) -> ExactArray:
        """The matrix, exactly."""
        return self.exact.matrix()

    @cached_property
    def magnitudes(self) -> Floats:
        """|W|, as near as `near`."""
        return np.abs(self.near.floats[:, :-1])

    @cached_property
    def is_moderate(self) -> bool:
        """Whether products with the matrix's floats keep their precision, if the other factor is moderate too."""
        return is_moderate(self.near.floats)

    @cached_property
    def rows(self) -> list[list[Fraction]]:
        """The matrix as rationals, row by row."""
        values = self.matrix.fractions()
        width = self.in_size + 1
        return [values[i * width : (i + 1) * width] for i in range(self.size)]

    @cached_property
    def parts(self) -> IntegerParts:
        """The matrix in integers."""
        return IntegerParts.of(*self.matrix.integers())

    @cached_property
    def slack_parts(self) -> IntegerParts | None:
        """The slack in integers."""
        return None if self.slack is None else IntegerParts.of(*scaled_floats(self.slack))

    @cached_property
    def columns(self) -> Columns:
        """The matrix as the kernels read it; InputError where its weights exceed their range."""
        return columns_of(self.near, self.exact.entry)


class ExactEntries(Protocol):
    """A matrix, exactly: one entry, or all."""

    def entry(self, row: int, column: int) -> Fraction: ...

    def matrix(self) -> ExactArray: ...


@dataclass(frozen=True, eq=False)
class _Made:
    array: ExactArray

    def entry(self, row: int, column: int) -> Fraction:
        return self.array.entry(row, column)

    def matrix(self) -> ExactArray:
        return self.array


class _Kept(NamedTuple):
    """What depends on an affine function alone, not on a box.

    read : the terms it reads. moderate : whether its numbers are moderate floats. layers : what it became, by place.
    """

    read: tuple[Term, ...]
    moderate: bool
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
    box = NearBox(lower, tuple(high - low for low, high in zip(lower, upper, strict=True)))
    last_reader = _last_readers(network)
    sizes = (n, *network.sizes)
    if len({layer.rounding is None for layer in network.layers}) > 1:
        raise ValueError("some layers stand for float32 evaluations, others do not")
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
        starts = accumulate((sizes[s] for s in carried), initial=affine.size)
        position, width = {k: 0} | dict(zip(carried, starts, strict=False)), layers[-1].size
    return tuple(layers)


def _layer(affine: Affine, place: _Place, box: NearBox) -> ChainLayer:
    layer = _exact_layer(affine, place, box)
    if affine.rounding is None:
        return layer
    return replace(layer, slack=slack_of(affine.rounding, dict(place.position), place.width, box))


def _exact_layer(affine: Affine, place: _Place, box: NearBox) -> ChainLayer:
    kept = _kept_of(affine)
    layer = kept.layers.get(place)
    if layer is not None:
        return layer
    own = affine.size
    if all(term.source != 0 for term in kept.read):
        layer = ChainLayer.of(_matrix(affine, place, box), own)
        if layer.matrix.size <= _MOST_KEPT:
            kept.layers[place] = layer
        return layer
    reading = _ReadingInput(affine, place, box)
    near = reading.near()
    return (
        ChainLayer.of(reading.matrix(), own)
        if near is None
        else ChainLayer(near, own, reading, np.full(near.floats.shape[0], RELU))
    )


@dataclass(frozen=True, eq=False)
class _ReadingInput:
    """A layer's matrix where it reads the input, and so depends on the box."""

    affine: Affine
    place: _Place
    box: NearBox

    def matrix(self) -> ExactArray:
        return _matrix(self.affine, self.place, self.box)

    def near(self) -> Near | None:
        """The matrix of a layer that reads nothing else, nearly; None where it must be made exactly."""
        kept = _kept_of(self.affine)
        if not (kept.moderate and len(kept.read) == 1 and self.box.is_moderate):
            return None
        parts = first_layer(kept.read[0].map.dense().weight, self.affine.bias[:, None], self.box)
        shape = _shape(self.affine, self.place)
        whole = np.zeros(shape), np.zeros(shape)
        for at, part in zip((self._inputs, slice(-1, None)), parts, strict=True):
            for target, entries in zip(whole, part, strict=True):
                target[: self.affine.size, at] = entries + 0.0  # never -0.0
        if self.place.columns:
            whole[0][_carried(self.affine, self.place)] = 1.0
        return Near(whole[0], whole[1] if whole[1].any() else None)

    def entry(self, row: int, column: int) -> Fraction:
        """An entry of a matrix that `near` describes."""
        if row >= self.affine.size:
            return Fraction(self.place.columns[row - self.affine.size] == column)
        weights, lower = _kept_of(self.affine).read[0].map.dense().array(), self.box.lower
        if column == self.place.width:
            return sum((weights.entry(row, j) * low for j, low in enumerate(lower) if low), _bias(self.affine).entry(row, 0))
        coordinate = column - self._inputs.start
        return weights.entry(row, coordinate) * self.box.widths[coordinate] if 0 <= coordinate < len(lower) else Fraction(0)

    @property
    def _inputs(self) -> slice:
        """The columns that read the input."""
        start = dict(self.place.position)[0]
        return slice(start, start + len(self.box.lower))


def _matrix(affine: Affine, place: _Place, box: NearBox) -> ExactArray:
    """A layer's matrix, exactly."""
    shape = _shape(affine, place)
    matrix = _own_part(affine, dict(place.position), box, shape)
    if place.columns:
        matrix = matrix + ExactArray(np.ones(len(place.columns))).placed(shape, _carried(affine, place))
    return matrix


def _shape(affine: Affine, place: _Place) -> tuple[int, int]:
    return affine.size + len(place.columns), place.width + 1


def _carried(affine: Affine, place: _Place) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the matrix has the ones of the pass-through neurons."""
    return affine.size + np.arange(len(place.columns)), np.array(place.columns)


def _bias(affine: Affine) -> ExactArray:
    """The bias as a column."""
    rationals = None if affine.exact_bias is None else np.array(affine.exact_bias, dtype=object)[:, None]
    return ExactArray(affine.bias[:, None], rationals)


def _last_readers(network: Network) -> list[int]:
    last = [0] * (len(network.layers) + 1)
    for k, affine in enumerate(network.layers, start=1):
        for term in _kept_of(affine).read:
            last[term.source] = k
    return last


def _kept_of(affine: Affine) -> _Kept:
    kept = _kept.get(affine)
    if kept is None:
        read = tuple(t for t in affine.terms if _has_coefficients(t.map.dense()))
        moderate = all(has_moderate_floats(t.map.dense().array(), _bias(affine)) for t in read)
        kept = _kept[affine] = _Kept(read, moderate, {})
    return kept


def _has_coefficients(matrix: Dense) -> bool:
    return matrix.exact is not None or bool(matrix.weight.any())


def _own_part(affine: Affine, position: dict[int, int], box: NearBox, shape: tuple[int, int]) -> ExactArray:
    """The neurons' own rows, within zeros of the layer's shape."""
    bias = _bias(affine)
    n = len(box.lower)
    parts: dict[int, ExactArray] = {}
    for term in _kept_of(affine).read:
        weights = term.map.dense().array()
        if term.source == 0:
            bias = bias + weights @ ExactArray.of_fractions(box.lower, (n, 1))
            weights = weights * ExactArray.of_fractions(box.widths, (1, n))
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
