"""Two networks as one that carries their differences (FORMAT.md, section 9).

Requires two networks over the same inputs and a pairing of their neurons. Returns the first network with, at each level, the
neurons of the second: *separate* ones as they are, paired ones as their difference from the partner, counted in units of
2**-shift; where that is identically 0 the neuron is *shared* and vanishes. Whatever the second network reads is then read as
partner plus difference, exactly. Soundness: all entries are placed, scaled by powers of two, added and subtracted exactly.

Two networks that stand for their float32 evaluations (`Network.is_float32`) may be evaluated differently: then no neuron is
shared and no difference scaled, and rounding adds to a difference what it adds to both neurons (FORMAT.md, section 11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.affine_rows import AffineRows, add_block, bias_column, spread
from secateur.network.exact import ExactArray, Floats
from secateur.network.model import Affine, Network, Rounding

__all__ = ["DifferenceNetwork", "Pairing", "difference_network", "paired_by_position"]

Integers = NDArray[np.int64]
_SAMPLES = 256
_ROOM = 2
_LARGEST_SHIFT = 40


@dataclass(frozen=True)
class Pairing:
    """Which neurons of two networks correspond.

    levels : for each layer of the second network the layer of the first (from 1) beside which it stands, increasing. partners :
    for each of its layers and neurons the partner in that layer of the first network, or None.
    """

    levels: tuple[int, ...]
    partners: tuple[tuple[int | None, ...], ...]


def paired_by_position(first: Network, second: Network) -> Pairing:
    """Neuron i of layer k with neuron i of layer k, as far as both exist."""
    sizes = [*first.sizes, *([0] * len(second.sizes))]
    return Pairing(
        tuple(range(1, len(second.sizes) + 1)),
        tuple(tuple(i if i < sizes[k] else None for i in range(size)) for k, size in enumerate(second.sizes)),
    )


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the values of a source of the second network are in the joined network's source of that level.

    base : for each neuron the column of the partner, or of the neuron itself where it is separate. difference : the column of the
    difference, -1 where there is none.
    """

    base: Integers
    difference: Integers


@dataclass(frozen=True, eq=False)
class DifferenceNetwork:
    """The joined network: `network.layers` are the affine functions of its levels.

    network : its output is that of the first network, then that of the second, unless `with_output` has given it another.
    first : the first network.

    partners : for each level and neuron -1 (a ReLU), or the place of the partner of a difference neuron. shifts : by level.
    places : by layer of the second network, at `levels`.
    """

    network: Network
    first: Network
    partners: tuple[Integers, ...]
    shifts: tuple[int, ...]
    levels: tuple[int, ...]
    places: tuple[_Places, ...]

    def with_output(self, output: Affine) -> DifferenceNetwork:
        """The same network with another affine function of its sources as output."""
        return replace(self, network=replace(self.network, output=output))

    def first_ranges(self, level: int, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """Bounds of the first network's pre-activations at a level, from those of the joined network's."""
        own = self.first.layers[level - 1].size if level <= len(self.first.layers) else 0
        return lower[:own], upper[:own]

    def second_ranges(self, layer: int, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """The same for the second network's layer (from 1), `lower` and `upper` being those of its level.

        Sums of two floats are rounded outward by one step.
        """
        place, unit = self.places[layer - 1], 2.0 ** -self.shifts[self.levels[layer - 1] - 1]
        moved = place.difference >= 0
        at = np.where(moved, place.difference, 0)
        low = _outward(lower[place.base], np.where(moved, lower[at] * unit, 0.0), -np.inf)
        return low, _outward(upper[place.base], np.where(moved, upper[at] * unit, 0.0), np.inf)


def _outward(base: Floats, change: Floats, towards: float) -> Floats:
    total: Floats = np.where(change == 0.0, base, np.nextafter(base + change, towards))
    return total


def difference_network(
    first: Network, second: Network, pairing: Pairing, box: tuple[Floats, Floats], shifts: Sequence[int] | None = None
) -> DifferenceNetwork:
    """The joined network; `box` is where its values are sampled to choose the shifts, if none are given.

    ValueError where the networks have not the same inputs or semantics, or the pairing does not fit them.
    """
    if first.is_float32 != second.is_float32:
        raise ValueError("one of the networks stands for its float32 evaluations, the other does not")
    if first.input_size != second.input_size:
        raise ValueError("networks of different input sizes have no differences")
    _require_fit(first, second, pairing)
    depth = max(len(first.layers), *pairing.levels, 0) if pairing.levels else len(first.layers)
    if first.is_float32:
        shifts = [0] * depth
    chosen = list(shifts) if shifts is not None else _shifts(first, second, pairing, box, depth)
    joined = _Joining(first, second, pairing, chosen, limited=shifts is None)
    for level in range(1, depth + 1):
        joined.add_level(level)
    output = joined.output()
    network = Network(first.input_size, tuple(joined.layers), output, first.interface)
    partners, shifts, places = tuple(joined.partners), tuple(joined.shifts), tuple(joined.places[1:])
    return DifferenceNetwork(network, first, partners, shifts, pairing.levels, places)


def _require_fit(first: Network, second: Network, pairing: Pairing) -> None:
    if list(pairing.levels) != sorted(set(pairing.levels)) or any(level < 1 for level in pairing.levels):
        raise ValueError("levels of a pairing increase from 1 on")
    if tuple(map(len, pairing.partners)) != second.sizes or len(pairing.levels) != len(second.sizes):
        raise ValueError("a pairing speaks about every neuron of the second network")
    for level, partners in zip(pairing.levels, pairing.partners, strict=True):
        size = first.sizes[level - 1] if level <= len(first.sizes) else 0
        named = [p for p in partners if p is not None]
        if len(set(named)) != len(named) or any(not 0 <= p < size for p in named):
            raise ValueError(f"the partners at level {level} are not different neurons of that layer")


def _shifts(first: Network, second: Network, pairing: Pairing, box: tuple[Floats, Floats], depth: int) -> list[int]:
    """Shifts that bring differences to about the size of the values they are differences of, found on samples."""
    low, high = box
    points = low + (high - low) * np.random.default_rng(0).random((_SAMPLES, first.input_size))
    ours, theirs = first.pre_activations(points), second.pre_activations(points)
    shifts = [0] * depth
    for level, partners, z in zip(pairing.levels, pairing.partners, theirs, strict=True):
        pairs = [(i, p) for i, p in enumerate(partners) if p is not None]
        if not pairs:
            continue
        base = ours[level - 1][:, [p for _, p in pairs]]
        size, change = np.abs(base).max(initial=0.0), np.abs(z[:, [i for i, _ in pairs]] - base).max(initial=0.0)
        if np.isfinite(size) and size > 0.0:
            exponent = np.frexp(size / change)[1] - _ROOM if change > size * 2.0**-_LARGEST_SHIFT else _LARGEST_SHIFT
            shifts[level - 1] = int(np.clip(exponent, 0, _LARGEST_SHIFT))
    return shifts


class _Joining:
    """The joined network as far as it is built; limited : whether shifts become smaller where columns could not hold them."""

    def __init__(self, first: Network, second: Network, pairing: Pairing, shifts: Sequence[int], *, limited: bool) -> None:
        self._first, self._second, self._limited = first, second, limited
        self.shifts = list(shifts)
        self._layer_at: Mapping[int, int] = {level: k for k, level in enumerate(pairing.levels)}
        self._level_of = (0, *pairing.levels)
        self._pairing = pairing
        self._sizes = [first.input_size]
        everything = np.arange(first.input_size)
        self.places = [_Places(everything, np.full(first.input_size, -1))]
        self.layers: list[Affine] = []
        self.partners: list[Integers] = []

    def add_level(self, level: int) -> None:
        """The neurons of the first network, the separate ones of the second, the differences."""
        own = self._first.layers[level - 1].size if level <= len(self._first.layers) else 0
        parts = [self._first_rows(self._first.layers[level - 1])] if own else []
        partners = [-1] * own
        rounding = self._rounding(level, own)
        if level in self._layer_at:
            more, mates = self._second_part(level, own, parts[0] if parts else None)
            parts += more
            partners += mates
        stacked = AffineRows.stacked(parts)
        self._sizes.append(stacked.size)
        self.layers.append(replace(stacked.affine(), rounding=rounding))
        self.partners.append(np.array(partners, dtype=np.int64))

    def _rounding(self, level: int, own: int) -> Rounding | None:
        """What float32 may do to the neurons of a level; both networks' errors meet in a difference."""
        if not self._first.is_float32:
            return None
        bounds = [layer.rounding for layer in self._first.layers[level - 1 : level] if layer.rounding is not None]
        parts = [self._first_rows(bound.magnitudes) for bound in bounds]
        if level in self._layer_at:
            layer = self._layer_at[level]
            bound = self._second.layers[layer].rounding
            assert bound is not None  # noqa: S101 - both networks have the same semantics
            rows, mates = self._second_rows(bound.magnitudes), self._pairing.partners[layer]
            bounds.append(bound)
            parts.append(rows.take([i for i, mate in enumerate(mates) if mate is None]))
            paired = [(i, mate) for i, mate in enumerate(mates) if mate is not None]
            if own and paired:
                parts.append(rows.take([i for i, _ in paired]) + parts[0].take([p for _, p in paired]))
        return Rounding(AffineRows.stacked(parts).affine(), max((bound.count for bound in bounds), default=0))

    def _second_part(self, level: int, own: int, base: AffineRows | None) -> tuple[list[AffineRows], list[int]]:
        """Rows and partners of the second network's neurons at a level, behind `own` neurons of the first with rows `base`."""
        layer = self._layer_at[level]
        rows, mates = self._second_rows(self._second.layers[layer]), self._pairing.partners[layer]
        separate = [i for i, mate in enumerate(mates) if mate is None]
        column, difference = np.full(len(mates), -1), np.full(len(mates), -1)
        column[separate] = own + np.arange(len(separate))
        parts, kinds = [rows.take(separate)], [-1] * len(separate)
        paired = [(i, mate) for i, mate in enumerate(mates) if mate is not None]
        if base is not None and paired:
            changes = rows.take([i for i, _ in paired]) - base.take([p for _, p in paired])
            if self._limited:
                self.shifts[level - 1] = min(self.shifts[level - 1], base.room(changes))
            changes = changes.scaled(Fraction(1 << self.shifts[level - 1]))
            alive = list(range(changes.size)) if self._first.is_float32 else changes.nonzero()
            parts.append(changes.take(alive))
            kinds += [paired[n][1] for n in alive]
            column[[i for i, _ in paired]] = [p for _, p in paired]
            difference[[paired[n][0] for n in alive]] = own + len(separate) + np.arange(len(alive))
        self.places.append(_Places(column, difference))
        return parts, kinds

    def output(self) -> Affine:
        """The outputs of the first network, then those of the second."""
        outputs = self._first.output, self._second.output
        exact = self._both_rows(*outputs)
        mine, other = (output.rounding for output in outputs)
        if mine is None or other is None:
            return exact
        bound = self._both_rows(mine.magnitudes, other.magnitudes)
        return replace(exact, rounding=Rounding(bound, max(mine.count, other.count)))

    def _both_rows(self, first: Affine, second: Affine) -> Affine:
        return AffineRows.stacked([self._first_rows(first), self._second_rows(second)]).affine()

    def _first_rows(self, affine: Affine) -> AffineRows:
        blocks: dict[int, ExactArray] = {}
        for term in affine.terms:
            matrix = term.map.dense().array()
            columns = np.arange(matrix.shape[1])
            add_block(blocks, term.source, spread(matrix, columns, self._sizes[term.source]))
        return AffineRows(blocks, bias_column(affine))

    def _second_rows(self, affine: Affine) -> AffineRows:
        blocks: dict[int, ExactArray] = {}
        for term in affine.terms:
            matrix = term.map.dense().array()
            level = self._level_of[term.source]
            place, width = self.places[term.source], self._sizes[level]
            add_block(blocks, level, spread(matrix, place.base, width))
            moved = np.flatnonzero(place.difference >= 0)
            if moved.size:
                unit = ExactArray(np.full((1, 1), 2.0 ** -self.shifts[level - 1]))
                changed = matrix.rearranged(lambda a, moved=moved: a[:, moved]) * unit  # type: ignore[misc]
                add_block(blocks, level, spread(changed, place.difference[moved], width))
        return AffineRows(blocks, bias_column(affine))
