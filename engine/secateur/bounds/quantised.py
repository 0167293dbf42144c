"""A network as the kernels read it: integer matrices, exponents and grids (FORMAT.md, section 2).

Requires the exact chain form; returns flat arrays of float64 that hold integers. Every entry is exact or its error is
charged: see rounding.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.chain import RELU, ChainLayer, chain_form
from secateur.bounds.columns import PADDING
from secateur.bounds.root import RootBounds, root_bounds
from secateur.errors import InputError
from secateur.network import Network

__all__ = ["KernelNetwork", "QuantisedNetwork", "quantise"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MAX_WIDTH = 8192
_FINEST_GRID = 40
_MOST_LAYERS, _MOST_ROUNDED_LAYERS = 31, 25
"""Layers up to which the terms of a row, four of each (five where float32 rounding is charged), none larger than VOID, add up to
less than 2**53."""
_GRID_ROOM = 43
"""Root bounds take at most this many bits on a layer's grid, so that rows rarely become void (VOID is 2**46)."""
_SLACK_ROOM = 28
"""What float32 rounding adds to a neuron takes at most so many bits there, 24 more in its sum S_i (FORMAT.md, section 11)."""


class KernelNetwork(NamedTuple):
    """Flat arrays for the kernels. Layers count from 1; index 0 of per-layer arrays is the input.

    sizes : neurons by layer, shape (K + 1,). weights : Q of all layers, row-major; a layer's rows have sizes[k - 1] + 1
    entries, padded with zeros to length strides[k]. offsets : start of each layer in weights. transposed : column-major,
    without padding. turned : start of each layer in transposed. columns : start of each layer in scales, exponents and deltas.
    scales : 2**-c_j, padded at the end. exponents : c_j. deltas : delta_j. slack : sigma_ij, arranged as transposed; empty where
    exact values are meant. grids : G_k.
    neurons : start of each layer in arrays over all neurons; shape (K + 2,). kinds : of all neurons, as in `ChainLayer`.
    growth : 2**s for the shift s of each layer. leads : how many of each layer's first neurons read nothing but each other's:
    all, or where there are differences the first network's.
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
    slack: Floats
    grids: Integers
    neurons: Integers
    kinds: Integers
    growth: Floats
    leads: Integers


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


def quantise(
    network: Network,
    lower: tuple[Fraction, ...],
    upper: tuple[Fraction, ...],
    partners: Sequence[Integers] = (),
    shifts: Sequence[int] = (),
) -> QuantisedNetwork:
    """The integer form of a network's ReLU layers on the box [lower, upper]; partners, shifts : as for `chain_form`.

    Raises InputError where weights, layer widths or the number of layers exceed what the integer arithmetic holds.
    """
    layers = chain_form(network, lower, upper, partners, shifts)
    most = _MOST_LAYERS if all(layer.slack is None for layer in layers) else _MOST_ROUNDED_LAYERS
    if len(layers) > most:
        raise InputError(f"{len(layers)} ReLU layers (rows count as one) are more than the {most} that split trees support")
    sizes = [network.input_size, *(layer.size for layer in layers)]
    if max(sizes[1:], default=0) > _MAX_WIDTH:
        raise InputError(f"a layer of {max(sizes)} neurons is wider than the supported {_MAX_WIDTH}")
    parts = [layer.columns for layer in layers]
    bounds = root_bounds(layers, {})
    shapes = tuple((layer.size, layer.in_size + 1, p.stride) for layer, p in zip(layers, parts, strict=True))
    layout = _layout(network.input_size, shapes)
    stack = np.concatenate
    empty = [np.zeros(0)]
    kernel = KernelNetwork(
        sizes=layout.sizes,
        weights=stack([p.integers for p in parts] or empty),
        strides=layout.strides,
        offsets=layout.offsets,
        transposed=stack([p.turned for p in parts] or empty),
        turned=layout.turned,
        columns=layout.columns,
        scales=stack([*(p.scales for p in parts), np.ones(PADDING)]),
        exponents=stack([p.exponents for p in parts] or [np.zeros(0, np.int64)]),
        deltas=stack([p.deltas for p in parts] or empty),
        slack=stack([_turned_slack(layer) for layer in layers] or empty),
        grids=np.array(_grids(bounds, layout.neurons), dtype=np.int64),
        neurons=layout.neurons,
        kinds=stack([layer.kinds for layer in layers] or [np.zeros(0, np.int64)]).astype(np.int64),
        growth=np.ldexp(1.0, [0, *(layer.shift for layer in layers)]),
        leads=np.array(_leads(layers, network.input_size), dtype=np.int64),
    )
    return QuantisedNetwork(layers, kernel, bounds)


def _turned_slack(layer: ChainLayer) -> Floats:
    """sigma column-major, with zeros for pass-through neurons; flat."""
    if layer.slack is None:
        return np.zeros(0)
    turned = np.zeros((layer.in_size + 1, layer.size))
    turned[:, : layer.own] = layer.slack.T
    return turned.ravel()


class _Layout(NamedTuple):
    """What of a `KernelNetwork` depends on shapes alone."""

    sizes: Integers
    strides: Integers
    offsets: Integers
    turned: Integers
    columns: Integers
    neurons: Integers


@lru_cache(maxsize=64)
def _layout(input_size: int, shapes: tuple[tuple[int, int, int], ...]) -> _Layout:
    """Of layers with these (rows, columns, stride). Kernels do not write to it, so it is shared."""

    def starts(lengths: Sequence[int]) -> Integers:
        return np.cumsum([0, 0, *lengths], dtype=np.int64)[: len(shapes) + 1]

    return _Layout(
        np.array([input_size, *(rows for rows, _, _ in shapes)], dtype=np.int64),
        np.array([0, *(stride for _, _, stride in shapes)], dtype=np.int64),
        starts([rows * stride for rows, _, stride in shapes]),
        starts([rows * columns for rows, columns, _ in shapes]),
        starts([columns for _, columns, _ in shapes]),
        np.cumsum([0, 0, *(rows for rows, _, _ in shapes)], dtype=np.int64),
    )


def _leads(layers: Sequence[ChainLayer], inputs: int) -> list[int]:
    """For the input and each layer the length of the longest block of first neurons that read only such of the layer before."""
    leads = [inputs]
    for layer in layers:
        if (layer.kinds == RELU).all() and leads[-1] == layer.in_size:
            leads.append(layer.size)
            continue
        entries = layer.matrix.floats if layer.matrix.rationals is None else layer.matrix.rationals
        outside = (entries[:, leads[-1] : -1] != 0).any(axis=1) | (layer.kinds != RELU)
        leads.append(int(outside.argmax()) if outside.any() else layer.size)
    return leads


def _grids(bounds: RootBounds, neurons: Integers) -> list[int]:
    """The finest grid of each layer on which its root bounds keep clear of VOID; 0 for the input."""
    reaches = np.maximum(np.abs(bounds.lower), np.abs(bounds.upper))
    starts = neurons[1:].tolist()
    grids = [_grid(float(reaches[start:end].max(initial=0.0))) for start, end in pairwise(starts)]
    return [0, *(min(grid, finest) for grid, finest in zip(grids, _finest_for_slack(bounds), strict=True))]


def _grid(reach: float) -> int:
    return min(_FINEST_GRID, _GRID_ROOM - math.frexp(reach)[1]) if reach > 0 else _FINEST_GRID


def _finest_for_slack(bounds: RootBounds) -> list[int]:
    """For each layer the finest grid on which what float32 rounding may add keeps clear of the end of exact doubles."""
    finest = []
    before = np.ones(bounds.layers[0].in_size) if bounds.layers else np.zeros(0)
    for layer, ends in zip(bounds.layers, bounds.ends, strict=True):
        error = 0.0 if layer.slack is None else float((layer.slack[:, :-1] @ before + layer.slack[:, -1]).max(initial=0.0))
        finest.append(_SLACK_ROOM - math.frexp(error)[1] if error > 0 else _FINEST_GRID)
        low, high = ends.outputs(layer)
        before = np.maximum(np.abs(low), np.abs(high))
    return finest
