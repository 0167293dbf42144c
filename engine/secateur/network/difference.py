"""Two networks as one that carries their differences (FORMAT.md, section 9).

Requires two networks over the same inputs and a pairing of their neurons. Returns the first network with, at each level, the
neurons of the second: *separate* ones as they are, paired ones as their difference from the partner, counted in units of
2**-shift; where that is identically 0 the neuron is *shared* and vanishes. Whatever the second network reads is then read as
partner plus difference, exactly. Soundness: all entries are placed, scaled by powers of two, added and subtracted exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray, Floats
from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term

__all__ = ["DifferenceNetwork", "Pairing", "difference_network", "paired_by_position"]

Integers = NDArray[np.int64]
_SAMPLES = 256
_ROOM = 2
_LARGEST_SHIFT = 40
_MORE_BITS = 4
"""How many bits longer than the first network's coefficients over one of its neurons a scaled change may be: one column of an
integer matrix holds both, and what the longer ones take of its bits the others lose."""


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

    ValueError where the networks have not the same inputs, or the pairing does not fit them.
    """
    if first.input_size != second.input_size:
        raise ValueError("networks of different input sizes have no differences")
    _require_fit(first, second, pairing)
    depth = max(len(first.layers), *pairing.levels, 0) if pairing.levels else len(first.layers)
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
        if level in self._layer_at:
            more, mates = self._second_part(level, own, parts[0] if parts else None)
            parts += more
            partners += mates
        stacked = _Rows.stacked(parts)
        self._sizes.append(stacked.size)
        self.layers.append(stacked.affine())
        self.partners.append(np.array(partners, dtype=np.int64))

    def _second_part(self, level: int, own: int, base: _Rows | None) -> tuple[list[_Rows], list[int]]:
        """Rows and partners of the second network's neurons at a level, behind `own` neurons of the first with rows `base`."""
        layer = self._layer_at[level]
        rows, mates = self._second_rows(self._second.layers[layer]), self._pairing.partners[layer]
        separate = [i for i, mate in enumerate(mates) if mate is None]
        column, difference = np.full(len(mates), -1), np.full(len(mates), -1)
        column[separate] = own + np.arange(len(separate))
        parts, kinds = [rows.take(separate)], [-1] * len(separate)
        paired = [(i, mate) for i, mate in enumerate(mates) if mate is not None]
        if base is not None and paired:
            changes = _Rows.change(rows.take([i for i, _ in paired]), base.take([p for _, p in paired]))
            if self._limited:
                self.shifts[level - 1] = min(self.shifts[level - 1], base.room(changes))
            changes = changes.scaled(Fraction(1 << self.shifts[level - 1]))
            alive = changes.nonzero()
            parts.append(changes.take(alive))
            kinds += [paired[n][1] for n in alive]
            column[[i for i, _ in paired]] = [p for _, p in paired]
            difference[[paired[n][0] for n in alive]] = own + len(separate) + np.arange(len(alive))
        self.places.append(_Places(column, difference))
        return parts, kinds

    def output(self) -> Affine:
        """The outputs of the first network, then those of the second."""
        return _Rows.stacked([self._first_rows(self._first.output), self._second_rows(self._second.output)]).affine()

    def _first_rows(self, affine: Affine) -> _Rows:
        blocks: dict[int, ExactArray] = {}
        for term in affine.terms:
            matrix = term.map.dense().array()
            columns = np.arange(matrix.shape[1])
            _add(blocks, term.source, _spread(matrix, columns, self._sizes[term.source]))
        return _Rows(blocks, _bias(affine))

    def _second_rows(self, affine: Affine) -> _Rows:
        blocks: dict[int, ExactArray] = {}
        for term in affine.terms:
            matrix = term.map.dense().array()
            level = self._level_of[term.source]
            place, width = self.places[term.source], self._sizes[level]
            _add(blocks, level, _spread(matrix, place.base, width))
            moved = np.flatnonzero(place.difference >= 0)
            if moved.size:
                unit = ExactArray(np.full((1, 1), 2.0 ** -self.shifts[level - 1]))
                changed = matrix.rearranged(lambda a, moved=moved: a[:, moved]) * unit  # type: ignore[misc]
                _add(blocks, level, _spread(changed, place.difference[moved], width))
        return _Rows(blocks, _bias(affine))


def _bias(affine: Affine) -> ExactArray:
    return ExactArray.of_fractions(list(affine.rational_bias()), (affine.size, 1))


def _add(blocks: dict[int, ExactArray], source: int, matrix: ExactArray) -> None:
    blocks[source] = blocks[source] + matrix if source in blocks else matrix


def _spread(matrix: ExactArray, columns: Integers, width: int) -> ExactArray:
    """The matrix with its columns at other (distinct) places among `width`."""
    height = matrix.shape[0]
    return matrix.placed((height, width), (np.arange(height)[:, None], columns[None, :]))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Affine functions of the joined network's sources: a matrix for each source that is read, and constants (rows, 1)."""

    blocks: Mapping[int, ExactArray]
    bias: ExactArray

    @classmethod
    def change(cls, second: _Rows, first: _Rows) -> _Rows:
        """second - first."""
        blocks = dict(second.blocks)
        for source, matrix in first.blocks.items():
            _add(blocks, source, -matrix)
        return cls(blocks, second.bias - first.bias)

    def scaled(self, factor: Fraction) -> _Rows:
        """Multiplied by a number."""
        number = ExactArray.of_fractions([factor], (1, 1))
        return _Rows({s: m * number for s, m in self.blocks.items()}, self.bias * number)

    def room(self, changes: _Rows) -> int:
        """The largest shift with which changes are not much longer than these rows in any column that both read."""
        room = _LARGEST_SHIFT
        pairs = [(self.blocks[s], changes.blocks[s]) for s in self.blocks if s in changes.blocks]
        for own, change in [*pairs, (self.bias, changes.bias)]:
            size, moved = (np.abs(a.floats).max(axis=0, initial=0.0) for a in (own, change))
            both = (size > 0.0) & (moved > 0.0)
            if both.any():
                room = min(room, int(np.frexp(size[both] / moved[both])[1].min()) + _MORE_BITS)
        return max(room, 0)

    @classmethod
    def stacked(cls, parts: Sequence[_Rows]) -> _Rows:
        """The parts below each other."""
        sources = sorted({s for part in parts for s in part.blocks})
        blocks = {}
        for source in sources:
            width = next(part.blocks[source].shape[1] for part in parts if source in part.blocks)
            blocks[source] = ExactArray.concatenated(
                [part.blocks.get(source, ExactArray(np.zeros((part.size, width)))) for part in parts]
            )
        return cls(blocks, ExactArray.concatenated([part.bias for part in parts] or [ExactArray(np.zeros((0, 1)))]))

    @property
    def size(self) -> int:
        return int(self.bias.shape[0])

    def take(self, rows: Sequence[int]) -> _Rows:
        index = np.array(rows, dtype=np.intp)
        blocks = {s: m.rearranged(lambda a: a[index]) for s, m in self.blocks.items()}
        return _Rows(blocks, self.bias.rearranged(lambda a: a[index]))

    def nonzero(self) -> list[int]:
        """The rows that are not identically 0."""
        arrays = [*self.blocks.values(), self.bias]
        some = np.zeros(self.size, dtype=bool)
        for array in arrays:
            entries = array.floats if array.rationals is None else array.rationals
            some |= (entries != 0).any(axis=1)
        return np.flatnonzero(some).tolist()

    def affine(self) -> Affine:
        bias = self.bias.reshape((self.size,))
        terms = tuple(Term(s, Dense(m.floats, m.rationals)) for s, m in sorted(self.blocks.items()))
        return Affine(terms, bias.floats, None if bias.rationals is None else tuple(bias.rationals.tolist()))
