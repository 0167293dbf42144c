"""A network as the kernels read it: integer matrices, exponents and grids (FORMAT.md, section 2).

Requires the exact chain form; returns flat arrays of float64 that hold integers. Every entry is exact or its error is
charged: see rounding.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import add, mul, sub
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.chain import LINEAR, RELU, ChainLayer, chain_form
from secateur.bounds.columns import PADDING
from secateur.bounds.rounding import floor_ratio
from secateur.errors import InputError
from secateur.network import Network

__all__ = ["Claim", "KernelNetwork", "QuantisedNetwork", "RootBounds", "quantise", "root_bounds"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Claim = tuple[int, int, int]
"""(layer from 1, neuron from 0, sign): sign +1 claims z >= 0 on the domain (active), -1 claims z <= 0 (inactive)."""

_Dyadic = tuple[int, int]
"""(q, s): the number q 2**-s, where s >= 0."""
_ZERO = (0, 0)
_MAX_WIDTH = 8192
_FAR = 1000
_FINEST_GRID = 40
_GRID_ROOM = 43
"""Root bounds take at most this many bits on a layer's grid, so that rows rarely become void (VOID is 2**46)."""


class KernelNetwork(NamedTuple):
    """Flat arrays for the kernels. Layers count from 1; index 0 of per-layer arrays is the input.

    sizes : neurons by layer, shape (K + 1,). weights : Q of all layers, row-major; a layer's rows have sizes[k - 1] + 1
    entries, padded with zeros to length strides[k]. offsets : start of each layer in weights. transposed : column-major,
    without padding. turned : start of each layer in transposed. columns : start of each
    layer in scales, exponents and deltas. scales : 2**-c_j, padded at the end. exponents : c_j. deltas : delta_j. grids : G_k.
    neurons : start of each layer in arrays over all neurons; shape (K + 2,). kinds : of all neurons, as in `ChainLayer`.
    growth : 2**s for the shift s of each layer.
    """

    sizes: Integers
    weights: Floats
    strides: Integers
    offsets: Integers
    transposed: Floats
    turned: Integers
    columns: Integers
    scales: Floats
    exponents: Integers
    deltas: Floats
    grids: Integers
    neurons: Integers
    kinds: Integers
    growth: Floats


class _Ratios(NamedTuple):
    """Exact ranges of a layer's rows: numerators over one denominator, not reduced."""

    bottoms: list[int]
    tops: list[int]
    denominator: int


@dataclass(frozen=True, eq=False)
class RootBounds:
    """Exact interval bounds over the whole domain, and as doubles, rounded outward to 24 bits; `ratios` by layer."""

    ratios: tuple[_Ratios, ...]
    lower: Floats
    upper: Floats

    @cached_property
    def exact_lower(self) -> tuple[tuple[Fraction, ...], ...]:
        """By layer and neuron."""
        return tuple(tuple(Fraction(v, r.denominator) for v in r.bottoms) for r in self.ratios)

    @cached_property
    def exact_upper(self) -> tuple[tuple[Fraction, ...], ...]:
        """By layer and neuron."""
        return tuple(tuple(Fraction(v, r.denominator) for v in r.tops) for r in self.ratios)

    def decides(self, claim: Claim) -> bool:
        """Whether interval arithmetic proves the claim."""
        layer, neuron, sign = claim
        if sign < 0:
            return self.ratios[layer - 1].tops[neuron] <= 0
        return self.ratios[layer - 1].bottoms[neuron] >= 0


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """The exact chain form beside the kernels' arrays; `bounds` are its root bounds without any facts."""

    layers: tuple[ChainLayer, ...]
    kernel: KernelNetwork
    bounds: RootBounds

    @property
    def input_size(self) -> int:
        return int(self.kernel.sizes[0])

    @property
    def neuron_count(self) -> int:
        """Neurons of all layers, pass-through neurons included."""
        return int(self.kernel.neurons[-1])

    @property
    def grids(self) -> tuple[int, ...]:
        """G_1 .. G_K."""
        return tuple(int(g) for g in self.kernel.grids[1:])


def root_bounds(layers: Sequence[ChainLayer], facts: Mapping[tuple[int, int], int]) -> RootBounds:
    """Interval bounds by exact arithmetic, layer by layer; `facts` maps (layer, neuron) to a proven sign."""
    low: list[_Dyadic] = [(0, 0)] * (layers[0].in_size if layers else 0)
    high: list[_Dyadic] = [(1, 0)] * len(low)
    ratios, lower, upper = [], list[float](), list[float]()
    for k, layer in enumerate(layers, start=1):
        ranges = _intervals(layer, low, high)
        ratios.append(ranges)
        low = [floor_ratio(v, ranges.denominator) for v in ranges.bottoms]
        high = [_negative(floor_ratio(-v, ranges.denominator)) for v in ranges.tops]
        for i in range(layer.size):
            sign = facts.get((k, i), 0)
            if sign < 0:
                high[i] = min(high[i], _ZERO)
            elif sign > 0:
                low[i] = max(low[i], _ZERO)
        lower += map(_exact_float, low)
        upper += map(_exact_float, high)
        low, high = _values(layer, low, high)
    return RootBounds(tuple(ratios), np.array(lower), np.array(upper))


def _values(layer: ChainLayer, low: Sequence[_Dyadic], high: Sequence[_Dyadic]) -> tuple[list[_Dyadic], list[_Dyadic]]:
    """Ranges of the values of a layer's neurons, from those of their pre-activations (FORMAT.md, sections 3 and 9)."""
    least, most = [max(v, _ZERO) for v in low], [max(v, _ZERO) for v in high]
    for i in np.flatnonzero(layer.kinds != RELU).tolist():
        if layer.kinds[i] == LINEAR:
            least[i], most[i] = low[i], high[i]
            continue
        p, growth = int(layer.kinds[i]), 1 << layer.shift
        from_low, from_high, below, above = (Fraction(q, 1 << s) for q, s in (low[p], high[p], low[i], high[i]))
        if from_low >= 0 and below >= -from_low * growth:
            least[i], most[i] = low[i], high[i]
        else:
            least[i] = _ZERO if from_high <= 0 else min(low[i], _ZERO)
            most[i] = _ZERO if above <= -from_high * growth else max(high[i], _ZERO)
    return least, most


def _negative(value: _Dyadic) -> _Dyadic:
    return -value[0], value[1]


def _intervals(layer: ChainLayer, low: Sequence[_Dyadic], high: Sequence[_Dyadic]) -> _Ratios:
    """Exact ranges of a layer's rows, in integers over one denominator: fractions would cost ten times more."""
    rows, magnitudes, biases, denominator = layer.parts
    finest = max((shift for _, shift in (*low, *high)), default=0)
    a, b = ([q << (finest - shift) for q, shift in side] for side in (low, high))
    # Twice the range is W (a + b) -+ |W| (b - a), around the bias: two products instead of four.
    sums, spreads = list(map(add, a, b)), list(map(sub, b, a))
    bottoms, tops = [], []
    for row, magnitude, bias in zip(rows, magnitudes, biases, strict=True):
        middle = sum(map(mul, row, sums)) + (bias << finest + 1)
        spread = sum(map(mul, magnitude, spreads))
        bottoms.append(middle - spread >> 1)
        tops.append(middle + spread >> 1)
    return _Ratios(bottoms, tops, denominator << finest)


def _exact_float(value: _Dyadic) -> float:
    """A number of 24 bits as a double; InputError where its exponent does not fit."""
    integer, shift = value
    if integer.bit_length() - shift <= _FAR:
        number = math.ldexp(integer, -shift)
        if shift <= _FAR or Fraction(number) == Fraction(integer) / (1 << shift):
            return number
    raise InputError(
        "a pre-activation has bounds outside the range of doubles on the domain", remedy="rescale the network's layers"
    )


def quantise(
    network: Network,
    lower: tuple[Fraction, ...],
    upper: tuple[Fraction, ...],
    partners: Sequence[Integers] = (),
    shifts: Sequence[int] = (),
) -> QuantisedNetwork:
    """The integer form of a network's ReLU layers on the box [lower, upper]; partners, shifts : as for `chain_form`.

    Raises InputError where weights or layer widths exceed what the integer arithmetic holds.
    """
    layers = chain_form(network, lower, upper, partners, shifts)
    sizes = [network.input_size, *(layer.size for layer in layers)]
    if max(sizes[1:], default=0) > _MAX_WIDTH:
        raise InputError(f"a layer of {max(sizes)} neurons is wider than the supported {_MAX_WIDTH}")
    parts = [layer.columns for layer in layers]
    bounds = root_bounds(layers, {})
    neurons = np.cumsum([0, 0, *sizes[1:]])
    grids = [0]
    for k in range(1, len(sizes)):
        part = slice(neurons[k], neurons[k + 1])
        grids.append(_grid(bounds.lower[part], bounds.upper[part]))
    stack = np.concatenate
    empty = [np.zeros(0)]
    kernel = KernelNetwork(
        sizes=np.array(sizes, dtype=np.int64),
        weights=stack([p.integers for p in parts] or empty),
        strides=np.array([0, *(p.stride for p in parts)], dtype=np.int64),
        offsets=np.cumsum([0, 0, *(p.integers.size for p in parts)])[: len(sizes)].astype(np.int64),
        transposed=stack([p.turned for p in parts] or empty),
        turned=np.cumsum([0, 0, *(p.turned.size for p in parts)])[: len(sizes)].astype(np.int64),
        columns=np.cumsum([0, 0, *(len(p.exponents) for p in parts)])[: len(sizes)].astype(np.int64),
        scales=stack([*(p.scales for p in parts), np.ones(PADDING)]),
        exponents=stack([p.exponents for p in parts] or [np.zeros(0, np.int64)]),
        deltas=stack([p.deltas for p in parts] or empty),
        grids=np.array(grids, dtype=np.int64),
        neurons=neurons.astype(np.int64),
        kinds=stack([layer.kinds for layer in layers] or [np.zeros(0, np.int64)]).astype(np.int64),
        growth=np.ldexp(1.0, [0, *(layer.shift for layer in layers)]),
    )
    return QuantisedNetwork(layers, kernel, bounds)


def _grid(lower: Floats, upper: Floats) -> int:
    """The finest grid on which the layer's root bounds keep clear of VOID."""
    reach = max(float(np.abs(lower).max(initial=0.0)), float(np.abs(upper).max(initial=0.0)))
    return min(_FINEST_GRID, _GRID_ROOM - int(np.frexp(reach)[1])) if reach > 0 else _FINEST_GRID
