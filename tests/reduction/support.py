"""Networks and honest facts for the tests of the rewriter; from an interval twin of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term
from secateur.reduction import Facts, Phase

Bounds = list[tuple[Fraction, Fraction]]


def dense(rows: Sequence[Sequence[float]]) -> Dense:
    return Dense(np.array(rows, dtype=np.float64))


def chain(*layers: tuple[Sequence[Sequence[float]], Sequence[float]]) -> Network:
    """A feed-forward network from (matrix, bias) pairs, the last of them the output."""
    stack = [Affine((Term(k, dense(rows)),), np.array(bias, dtype=np.float64)) for k, (rows, bias) in enumerate(layers)]
    return Network(len(layers[0][0][0]), tuple(stack[:-1]), stack[-1])


@dataclass(frozen=True, eq=False)
class Convolution:
    """A one-dimensional convolution with one channel and no padding: a map that is no stored matrix."""

    kernel: NDArray[np.float64]
    in_size: int

    @property
    def out_size(self) -> int:
        return self.in_size - len(self.kernel) + 1

    @property
    def parameter_count(self) -> int:
        return len(self.kernel)

    def dense(self) -> Dense:
        matrix = np.zeros((self.out_size, self.in_size))
        for i in range(self.out_size):
            matrix[i, i : i + len(self.kernel)] = self.kernel
        return Dense(matrix)

    def apply(self, batch: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.dense().apply(batch)

    def apply_exact(self, point: Sequence[Fraction]) -> list[Fraction]:
        return self.dense().apply_exact(point)


def naive_bounds(network: Network, box: Bounds) -> list[Bounds]:
    """Exact intervals of all pre-activations, by the definition."""
    sources, layers = [box], []
    for layer in network.layers:
        bounds = []
        for i, bias in enumerate(layer.rational_bias()):
            low = high = bias
            for term in layer.terms:
                for weight, (lo, hi) in zip(term.map.dense().rationals()[i], sources[term.source], strict=True):
                    low += min(weight * lo, weight * hi)
                    high += max(weight * lo, weight * hi)
            bounds.append((low, high))
        layers.append(bounds)
        sources.append([(max(Fraction(0), lo), max(Fraction(0), hi)) for lo, hi in bounds])
    return layers


def phase_of(low: Fraction, high: Fraction) -> Phase:
    if high <= 0:
        return Phase.INACTIVE
    return Phase.ACTIVE if low >= 0 else Phase.UNSTABLE


def proven_facts(network: Network, box: Bounds) -> Facts:
    """All phases that interval arithmetic proves."""
    phases = [[phase_of(*bound) for bound in layer] for layer in naive_bounds(network, box)]
    return Facts([lo for lo, _ in box], [hi for _, hi in box], phases)


@st.composite
def boxes(draw: st.DrawFn, size: int) -> Bounds:
    """Small boxes, some flat in some direction; their corners are rarely floating-point numbers."""
    corner = st.fractions(min_value=-2, max_value=2, max_denominator=50)
    width = st.sampled_from([Fraction(0), Fraction(1, 997), Fraction(1, 30), Fraction(1, 3), Fraction(3, 2)])
    lowers = draw(st.lists(corner, min_size=size, max_size=size))
    return [(low, low + draw(width)) for low in lowers]


@st.composite
def points_in(draw: st.DrawFn, box: Bounds) -> tuple[Fraction, ...]:
    fraction = st.fractions(min_value=0, max_value=1, max_denominator=12)
    return tuple(lo + (hi - lo) * draw(fraction) for lo, hi in box)


def largest_difference(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
