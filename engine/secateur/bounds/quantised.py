"""A network as the kernels read it: integer matrices, exponents and grids (FORMAT.md, section 2).

Requires the exact chain form; returns flat arrays of float64 that hold integers. Every entry is exact or its error is
charged: see rounding.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.chain import ChainLayer, chain_form
from secateur.bounds.rounding import COLUMN_BITS, binary_exponent, ceil_to_bits, floor_to_bits
from secateur.errors import InputError
from secateur.network import Network
from secateur.network.exact import ExactArray, common_denominator

__all__ = ["Claim", "KernelNetwork", "QuantisedNetwork", "RootBounds", "quantise", "root_bounds"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Claim = tuple[int, int, int]
"""(layer from 1, neuron from 0, sign): sign +1 claims z >= 0 on the domain (active), -1 claims z <= 0 (inactive)."""

PADDING = 8
"""Rows are padded to a multiple of this, for vector registers."""
_MAX_EXPONENT = 900
_MAX_WIDTH = 8192
_FAR = Fraction(2) ** 1000
_FINEST_GRID = 40
_GRID_ROOM = 43
"""Root bounds take at most this many bits on a layer's grid, so that rows rarely become void (VOID is 2**46)."""


class KernelNetwork(NamedTuple):
    """Flat arrays for the kernels. Layers count from 1; index 0 of per-layer arrays is the input.

    sizes : neurons by layer, shape (K + 1,). weights : Q of all layers, row-major; a layer's rows have sizes[k - 1] + 1
    entries, padded with zeros to length strides[k]. offsets : start of each layer in weights. transposed : column-major,
    without padding. turned : start of each layer in transposed. columns : start of each
    layer in scales, exponents and deltas. scales : 2**-c_j, padded at the end. exponents : c_j. deltas : delta_j. grids : G_k.
    neurons : start of each layer in arrays over all neurons; shape (K + 2,).
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


@dataclass(frozen=True, eq=False)
class RootBounds:
    """Exact interval bounds over the whole domain: as computed, and rounded outward to 24 bits."""

    exact_lower: tuple[tuple[Fraction, ...], ...]
    exact_upper: tuple[tuple[Fraction, ...], ...]
    lower: Floats
    upper: Floats

    def decides(self, claim: Claim) -> bool:
        """Whether interval arithmetic proves the claim."""
        layer, neuron, sign = claim
        if sign < 0:
            return self.exact_upper[layer - 1][neuron] <= 0
        return self.exact_lower[layer - 1][neuron] >= 0


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
    low = [Fraction(0)] * (layers[0].in_size if layers else 0)
    high = [Fraction(1)] * len(low)
    exact_lower, exact_upper, lower, upper = [], [], [], []
    zero = Fraction(0)
    for k, layer in enumerate(layers, start=1):
        y_low, y_high = _intervals(layer, low, high)
        exact_lower.append(y_low)
        exact_upper.append(y_high)
        l_k = [floor_to_bits(y) for y in y_low]
        u_k = [ceil_to_bits(y) for y in y_high]
        for i in range(layer.size):
            sign = facts.get((k, i), 0)
            if sign < 0:
                u_k[i] = min(u_k[i], zero)
            elif sign > 0:
                l_k[i] = max(l_k[i], zero)
        lower += l_k
        upper += u_k
        low, high = [max(zero, v) for v in l_k], [max(zero, v) for v in u_k]
    return RootBounds(
        tuple(exact_lower),
        tuple(exact_upper),
        np.array([_exact_float(v) for v in lower]),
        np.array([_exact_float(v) for v in upper]),
    )


def _intervals(
    layer: ChainLayer, low: Sequence[Fraction], high: Sequence[Fraction]
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Exact ranges of a layer's rows, in integers over one denominator: fractions would cost ten times more."""
    numerators, denominator = layer.integers
    common = common_denominator([*low, *high])
    a, b = ([v.numerator * (common // v.denominator) for v in side] for side in (low, high))
    bottoms, tops = [], []
    for row in numerators.tolist():
        bottom = top = row[-1] * common
        for weight, x, y in zip(row, a, b, strict=False):
            if weight > 0:
                bottom += weight * x
                top += weight * y
            elif weight < 0:
                bottom += weight * y
                top += weight * x
        bottoms.append(Fraction(bottom, denominator * common))
        tops.append(Fraction(top, denominator * common))
    return tuple(bottoms), tuple(tops)


def _exact_float(value: Fraction) -> float:
    """A number of 24 bits as a double; InputError where its exponent does not fit."""
    rounded = float(value) if abs(value) < _FAR else float("inf")
    if not np.isfinite(rounded) or Fraction(rounded) != value:
        raise InputError(
            "a pre-activation has bounds outside the range of doubles on the domain", remedy="rescale the network's layers"
        )
    return rounded


def quantise(network: Network, lower: tuple[Fraction, ...], upper: tuple[Fraction, ...]) -> QuantisedNetwork:
    """The integer form of a network's ReLU layers on the box [lower, upper].

    Raises InputError where weights or layer widths exceed what the integer arithmetic holds.
    """
    layers = chain_form(network, lower, upper)
    sizes = [network.input_size, *(layer.size for layer in layers)]
    if max(sizes[1:], default=0) > _MAX_WIDTH:
        raise InputError(f"a layer of {max(sizes)} neurons is wider than the supported {_MAX_WIDTH}")
    parts = [_columns(layer) for layer in layers]
    padded = [np.pad(p[0], ((0, 0), (0, -p[0].shape[1] % PADDING))) for p in parts]
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
        weights=stack([p.ravel() for p in padded] or empty),
        strides=np.array([0, *(p.shape[1] for p in padded)], dtype=np.int64),
        offsets=np.cumsum([0, 0, *(p.size for p in padded)])[: len(sizes)].astype(np.int64),
        transposed=stack([p[0].T.ravel() for p in parts] or empty),
        turned=np.cumsum([0, 0, *(p[0].size for p in parts)])[: len(sizes)].astype(np.int64),
        columns=np.cumsum([0, 0, *(len(p[1]) for p in parts)])[: len(sizes)].astype(np.int64),
        scales=stack([*(np.ldexp(1.0, -p[1]) for p in parts), np.ones(PADDING)]),
        exponents=stack([p[1] for p in parts] or [np.zeros(0, np.int64)]),
        deltas=stack([p[2] for p in parts] or empty),
        grids=np.array(grids, dtype=np.int64),
        neurons=neurons.astype(np.int64),
    )
    return QuantisedNetwork(layers, kernel, bounds)


def _grid(lower: Floats, upper: Floats) -> int:
    """The finest grid on which the layer's root bounds keep clear of VOID."""
    reach = max(float(np.abs(lower).max(initial=0.0)), float(np.abs(upper).max(initial=0.0)))
    return min(_FINEST_GRID, _GRID_ROOM - int(np.frexp(reach)[1])) if reach > 0 else _FINEST_GRID


def _columns(layer: ChainLayer) -> tuple[Floats, Integers, Floats]:
    """Integers Q (rows as the layer's), exponents c and errors delta of each column of [W | b]."""
    matrix = layer.matrix
    exponents = _column_exponents(matrix)
    if (np.abs(exponents) > _MAX_EXPONENT).any():
        worst = COLUMN_BITS - exponents[np.abs(exponents).argmax()]
        raise InputError(f"weights of magnitude 2**{worst} are outside the supported range")
    if matrix.rationals is None:
        # Scaling by powers of two and rounding half to even are exact operations on doubles.
        scaled = np.ldexp(matrix.floats, exponents.astype(np.int32))
        integers = np.rint(scaled)
        exact = (integers == scaled) & ((scaled != 0.0) | (matrix.floats == 0.0))
    else:
        powers = [Fraction(2) ** int(c) for c in exponents]
        values = [v * powers[i % len(powers)] for i, v in enumerate(matrix.fractions())]
        rounded = [round(v) for v in values]
        integers = np.array(rounded, dtype=np.float64).reshape(matrix.shape)
        exact = np.array([v == q for v, q in zip(values, rounded, strict=True)], dtype=bool).reshape(matrix.shape)
    deltas = np.where(exact.all(axis=0), 0.0, np.ldexp(0.5, -exponents.astype(np.int32)))
    return integers, exponents, deltas


def _column_exponents(matrix: ExactArray) -> Integers:
    """c = COLUMN_BITS - E for columns whose 1-norm lies in [2**(E - 1), 2**E); 0 for columns of zeros."""
    if not matrix.shape[0]:
        return np.zeros(matrix.shape[1], dtype=np.int64)
    norms = np.abs(matrix.floats).sum(axis=0)
    part, exponents = np.frexp(norms)
    # The sums are rounded: next to a power of two, and where floats only approximate, exact arithmetic decides.
    slack = 2.0**-36
    doubtful = (part < 0.5 + slack) | (part > 1.0 - slack) | ~np.isfinite(norms)
    result: Integers = COLUMN_BITS - exponents.astype(np.int64)
    for j in np.flatnonzero(doubtful):
        column = matrix.rearranged(lambda a, j=j: a[:, j]).fractions()  # type: ignore[misc]
        norm = sum(map(abs, column), Fraction(0))
        result[j] = COLUMN_BITS - binary_exponent(norm) if norm else 0
    return result
