"""Values that a network may compute in float32: samples, and how far they can be from the real ones (without the checker).

Rounding errors are bounded by gamma_n = n u / (1 - n u), u = 2^-24, times the sum of the magnitudes that are added up, where n is
at least the number of roundings on the way (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). That is coarse
on purpose: a statement is called true only with this much room.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tests.forged.graphs import Affine, Graph, Unclear

__all__ = ["Computed", "Errors", "computed", "errors"]

UNIT = Fraction(1, 1 << 24)
TINY = Fraction(1, 1 << 149)


@dataclass(frozen=True)
class Computed:
    """What one float32 evaluation gave: the outputs of the ReLU layers, and the outputs."""

    layers: list[list[Fraction]]
    outputs: list[Fraction]


@dataclass(frozen=True)
class Errors:
    """How far computed values can be from the real ones, for each ReLU layer and the outputs."""

    layers: list[list[Fraction]]
    outputs: list[Fraction]


def _sum(terms: list[np.float32], rng: random.Random) -> np.float32:
    """Numbers added up in a random order, one after the other or in pairs."""
    rng.shuffle(terms)
    if rng.random() < 0.5:
        total = np.float32(0)
        for own in terms:
            total = np.float32(total + own)
        return total
    while len(terms) > 1:
        terms.append(np.float32(terms.pop(rng.randrange(len(terms))) + terms.pop(rng.randrange(len(terms)))))
    return terms[0]


def _affine(own: Affine, values: list[np.float32], rng: random.Random) -> list[np.float32]:
    sums = []
    for row, bias in zip(own.rows, own.bias, strict=True):
        products = [np.float32(np.float32(float(w)) * v) for w, v in zip(row, values, strict=True)]
        sums.append(_sum([*products, np.float32(float(bias))], rng))
    return sums


def computed(graph: Graph, point: Sequence[np.float32], rng: random.Random) -> Computed:
    """One evaluation at a point, with every sum in an order of its own."""
    known, layers = {graph.input: list(point)}, []
    for own in graph.nodes:
        operands = [known[name] for name in own.reads]
        if own.affine is not None:
            if not own.affine.plain:
                raise Unclear("a Gemm that scales")
            known[own.name] = _affine(own.affine, operands[0], rng)
        elif len(operands) == 2:
            known[own.name] = [np.float32(a + b) for a, b in zip(*operands, strict=True)]
        else:
            known[own.name] = [max(z, np.float32(0)) for z in operands[0]]
            layers.append(known[own.name])
    exact = [[Fraction(float(v)) for v in values] for values in (*layers, known[graph.output])]
    return Computed(exact[:-1], exact[-1])


@dataclass(frozen=True)
class _Range:
    """Magnitudes, errors, and the number of roundings since the last ReLU layer."""

    sizes: list[Fraction]
    errors: list[Fraction]
    roundings: int


def _rounded(sizes: list[Fraction], inherited: list[Fraction], roundings: int) -> _Range:
    """Of sums of magnitudes `sizes` whose summands have the errors `inherited` in all."""
    gamma = roundings * UNIT / (1 - roundings * UNIT)
    found = [error + gamma * size + roundings * TINY for size, error in zip(sizes, inherited, strict=True)]
    return _Range([size + error for size, error in zip(sizes, found, strict=True)], found, roundings)


def _dots(rows: list[list[Fraction]], values: list[Fraction]) -> list[Fraction]:
    return [sum((abs(w) * v for w, v in zip(row, values, strict=True)), Fraction(0)) for row in rows]


def _added(first: list[Fraction], second: list[Fraction]) -> list[Fraction]:
    return [a + b for a, b in zip(first, second, strict=True)]


def errors(graph: Graph, sides: Sequence[Fraction]) -> Errors:
    """Bounds of the rounding errors for inputs of at most these magnitudes."""
    known, layers = {graph.input: _Range(list(sides), [Fraction(0)] * len(sides), 0)}, []
    for own in graph.nodes:
        operands = [known[name] for name in own.reads]
        if own.affine is not None:
            before, rows = operands[0], own.affine.rows
            sizes = [size + abs(b) for size, b in zip(_dots(rows, before.sizes), own.affine.bias, strict=True)]
            # what is added to the result later may come first, so the count of before remains: each rounding is one of the sum
            known[own.name] = _rounded(sizes, _dots(rows, before.errors), before.roundings + len(before.sizes) + 2)
        elif len(operands) == 2:
            first, second = operands
            sizes, inherited = _added(first.sizes, second.sizes), _added(first.errors, second.errors)
            known[own.name] = _rounded(sizes, inherited, first.roundings + second.roundings + 1)
        else:
            known[own.name] = _Range(operands[0].sizes, operands[0].errors, 0)
            layers.append(operands[0].errors)
    return Errors(layers, known[graph.output].errors)
