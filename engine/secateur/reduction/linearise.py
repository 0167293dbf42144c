"""Linearised neurons: outputs replaced by affine functions of the pre-activations, and folded into whoever read them.

Match: neurons of one layer, each with a line a z + c for its output r.
Result: the neurons vanish; each reader reads a z + c, that is, the sources of z, in place of r. A layer that is left without
    neurons vanishes too. All other neurons stay, each paired with itself.
Needs: no facts. The result is another function, exactly the one named, and nothing is assumed of the sign of a z + c; what it is
    worth in place of the original is for a claim about both to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from secateur.network import Affine, Dense, Network, Term
from secateur.network.affine_rows import add_block, bias_column
from secateur.network.difference import Pairing
from secateur.network.exact import ExactArray
from secateur.network.maps import check_size
from secateur.specification.numerals import format_rational

__all__ = ["Line", "Linearised", "layer_outputs", "linearised", "pre_activations_of"]

_ZERO, _ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Line:
    """What stands in for a neuron's output: slope z + constant."""

    slope: Fraction
    constant: Fraction

    @property
    def words(self) -> str:
        if not self.slope:
            return format_rational(self.constant)
        factor = "" if self.slope == 1 else f"{format_rational(self.slope)} "
        sign = "-" if self.constant < 0 else "+"
        return f"{factor}z" + (f" {sign} {format_rational(abs(self.constant))}" if self.constant else "")

    @staticmethod
    def zero() -> Line:
        return Line(_ZERO, _ZERO)

    @staticmethod
    def identity() -> Line:
        return Line(_ONE, _ZERO)

    @staticmethod
    def middle(low: Fraction, high: Fraction) -> Line:
        """The constant nearest max(0, z) on low <= z <= high."""
        return Line(_ZERO, (max(_ZERO, low) + max(_ZERO, high)) / 2)

    @staticmethod
    def minimax(low: Fraction, high: Fraction) -> Line:
        """The affine function nearest max(0, z) on low <= z <= high."""
        if low >= 0 or high <= 0:
            return Line.zero() if high <= 0 else Line.identity()
        return Line(high / (high - low), -low * high / (2 * (high - low)))


@dataclass(frozen=True, eq=False)
class Linearised:
    """network : without the linearised neurons. pairing : its neurons with those of the original that they are."""

    network: Network
    pairing: Pairing

    def own_layer(self, layer: int) -> int:
        """The number that the original's layer has here."""
        return self.pairing.levels.index(layer) + 1

    def up_to(self, layer: int) -> Linearised:
        """Both cut after the original's layer `layer`, with that layer's outputs r as outputs."""
        own = self.own_layer(layer)
        cut = Pairing(self.pairing.levels[:own], self.pairing.partners[:own])
        return Linearised(layer_outputs(self.network, own), cut)


def linearised(network: Network, layer: int, lines: Mapping[int, Line]) -> Linearised:
    """The network with the lines in place of the outputs of neurons of a layer (from 1).

    UnsupportedError for a convolution of so many values that its matrix would exhaust the memory.
    """
    inner = network.layers[layer - 1]
    kept = [i for i in range(inner.size) if i not in lines]
    fold = _Fold(network, layer, lines, kept)
    affines = [fold.reader(a) if any(t.source == layer for t in a.terms) else a for a in (*network.layers, network.output)]
    levels = list(range(1, len(network.layers) + 1))
    partners: list[tuple[int | None, ...]] = [tuple(range(size)) for size in network.sizes]
    if kept:
        affines[layer - 1] = _rows_of(inner, kept)
        partners[layer - 1] = tuple(kept)
    else:
        affines = [_renumbered(affine, layer) for affine in affines]
        del affines[layer - 1], levels[layer - 1], partners[layer - 1]
    reduced = replace(network, layers=tuple(affines[:-1]), output=affines[-1])
    return Linearised(reduced, Pairing(tuple(levels), tuple(partners)))


def layer_outputs(network: Network, layer: int, *, cut: bool = True) -> Network:
    """The network whose outputs are the outputs r = max(0, z) of a layer (from 1); cut there, or with the later layers unread."""
    size = network.layers[layer - 1].size
    same = Affine((Term(layer, Dense(np.eye(size))),), np.zeros(size))
    return _cut(network, layer if cut else len(network.layers), same)


def pre_activations_of(network: Network, layer: int, neurons: Sequence[int]) -> Network:
    """The network cut before the ReLUs of a layer (from 1): its outputs are z of these neurons."""
    return _cut(network, layer - 1, _rows_of(network.layers[layer - 1], neurons))


def _cut(network: Network, layers: int, output: Affine) -> Network:
    ports = replace(network.interface, output_shape=(None, output.size))
    return Network(network.input_size, network.layers[:layers], output, ports)


class _Fold:
    """The lines in place of neurons of one layer, as functions of the sources of z."""

    def __init__(self, network: Network, layer: int, lines: Mapping[int, Line], kept: Sequence[int]) -> None:
        self._inner, self._layer, self._kept = network.layers[layer - 1], layer, list(kept)
        self._width = network.input_size
        self._gone = sorted(lines)
        count = len(self._gone)
        self._slopes = ExactArray.of_fractions([lines[i].slope for i in self._gone], (1, count))
        bias = self._inner.rational_bias()
        offsets = [lines[i].slope * bias[i] + lines[i].constant for i in self._gone]
        self._offsets = ExactArray.of_fractions(offsets, (count, 1))

    def reader(self, affine: Affine) -> Affine:
        """An affine function that reads the layer, reading the lines instead."""
        blocks: dict[int, ExactArray] = {}
        bias = bias_column(affine)
        for term in affine.terms:
            if term.source != self._layer:
                continue
            matrix = _matrix(term)
            columns = matrix.rearranged(lambda a: a[:, self._gone])
            bias = bias + columns @ self._offsets
            self._add_deeper(blocks, columns * self._slopes)
            if self._kept:
                add_block(blocks, self._layer, matrix.rearranged(lambda a: a[:, self._kept]))
        others = [t for t in affine.terms if t.source != self._layer]
        for term in others:
            if term.source in blocks:
                add_block(blocks, term.source, _matrix(term))
        terms = [t for t in others if t.source not in blocks]
        terms += [Term(source, Dense.of(block)) for source, block in blocks.items()]
        # An affine function has to read something: a constant reads zero times the input.
        terms = terms or [Term(0, Dense(np.zeros((affine.size, self._width))))]
        return Affine.of(tuple(sorted(terms, key=lambda t: t.source)), bias)

    def _add_deeper(self, blocks: dict[int, ExactArray], factor: ExactArray) -> None:
        """factor times z of the neurons, but for the constants."""
        if not factor.is_zero:
            for term in self._inner.terms:
                add_block(blocks, term.source, factor @ _matrix(term).rearranged(lambda a: a[self._gone]))


def _matrix(term: Term) -> ExactArray:
    check_size(term.map.out_size, term.map.in_size)
    return term.map.dense().array()


def _rows_of(affine: Affine, rows: Sequence[int]) -> Affine:
    index = np.array(rows, dtype=np.intp)
    terms = []
    for term in affine.terms:
        terms.append(Term(term.source, Dense.of(_matrix(term).rearranged(lambda a: a[index]))))
    bias = affine.rational_bias()
    return Affine.of(tuple(terms), ExactArray.of_fractions([bias[i] for i in rows], (len(rows), 1)))


def _renumbered(affine: Affine, gone: int) -> Affine:
    """The same once a layer that nobody reads is gone."""
    terms = tuple(replace(t, source=t.source - 1) if t.source > gone else t for t in affine.terms)
    return replace(affine, terms=terms)
