"""Sections 3, 4 and 11 of the format in plain rationals, for layers of ReLUs: what a box gives with default slopes.

Written from the format, one line for each of its lines; nothing is shared with the kernels but the exact matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from secateur.bounds.chain import ChainLayer
from secateur.bounds.rounding import binary_exponent, ceil_to_bits, floor_to_bits

__all__ = ["PlainBox"]

VOID, EXACT = 1 << 46, 1 << 53
Ends = tuple[list[Fraction], list[Fraction]]


def two(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


@dataclass(frozen=True)
class Charges:
    """What step 1 and 2 take from the rows of a layer: D and S of its source, and (s_i, f); None where sums are too large."""

    errors: int | None
    reach: int | None
    slack: tuple[list[int], int] | None


class PlainMatrix:
    """The integer matrix of a layer, with sigma."""

    def __init__(self, layer: ChainLayer) -> None:
        rows = layer.rows
        self.width, self.size = layer.in_size, layer.size
        norms = [sum(abs(row[j]) for row in rows) for j in range(self.width + 1)]
        self.exponents = [27 - binary_exponent(Fraction(norm)) if norm else 0 for norm in norms]
        scaled = [[m * two(c) for m, c in zip(row, self.exponents, strict=True)] for row in rows]
        self.integers = [[round(m) for m in row] for row in scaled]
        whole = [all(row[j] == own[j] for row, own in zip(scaled, self.integers, strict=True)) for j in range(self.width + 1)]
        self.deltas = [Fraction(0) if w else two(-c - 1) for w, c in zip(whole, self.exponents, strict=True)]
        given = [] if layer.slack is None else layer.slack.tolist()
        self.sigma = [[*map(Fraction, row)] for row in given] + [[Fraction(0)] * (self.width + 1)] * (layer.size - len(given))


class PlainBox:
    """A box (integers 0 .. 2**24) of a network with these grids, and the bounds of all layers, which `refresh` tightens."""

    def __init__(self, layers: Sequence[ChainLayer], grids: Sequence[int], box: tuple[list[int], list[int]], ends: list[Ends]):
        self.matrices = [PlainMatrix(layer) for layer in layers]
        self.grids, self.box = [0, *grids], box
        self.ends = ends
        self.charges: list[Charges] = []

    def refresh(self, last: int) -> None:
        """Tighten all layers before `last`, and find what rows up to that layer are charged."""
        for k in range(1, last + 1):
            self.charges.append(self._charges(k))
            if k < last:
                lower, upper = self.ends[k - 1]
                for i in [i for i in range(len(lower)) if lower[i] < 0 < upper[i]]:
                    low, high = self.row(k, i, 1), self.row(k, i, -1)
                    unit = two(-self.grids[k])
                    lower[i] = lower[i] if low is None else max(lower[i], floor_to_bits(low * unit))
                    upper[i] = upper[i] if high is None else min(upper[i], ceil_to_bits(-high * unit))

    def _charges(self, k: int) -> Charges:
        matrix, grid = self.matrices[k - 1], self.grids[k]
        reach = [max(Fraction(0), u) for u in self.ends[k - 2][1]] if k > 1 else [Fraction(1)] * matrix.width
        fine = two(grid + 24)
        d = sum(ceil(delta * r * fine) for delta, r in zip(matrix.deltas, [*reach, Fraction(1)], strict=True))
        span = sum(ceil(r * two(self.grids[k - 1])) for r in reach)
        sums = [sum(ceil(c * r * fine) for c, r in zip(row, [*reach, Fraction(1)], strict=True)) for row in matrix.sigma]
        f = 0
        while max(sums, default=0) > 1 << 16 + f:
            f += 1
        slack = None if max(sums, default=0) >= EXACT else ([ceil(v * two(-f)) for v in sums], f)
        return Charges(int(ceil_to_bits(Fraction(d), 16)) if d < EXACT else None, span if span < EXACT else None, slack)

    def row(self, k: int, neuron: int, sign: int) -> int | None:
        """The lower bound of sign z in units of 2**-G_k; None where it is void."""
        top, grid = self.matrices[k - 1], self.grids[k]
        p, e, w, const = [sign * q for q in top.integers[neuron]], 0, 1, 0
        slack = self.charges[k - 1].slack
        v = 0 if slack is None else slack[0][neuron]
        for h in range(k - 1, -1, -1):
            own, charges, fine = self.matrices[h], self.charges[h], self.grids[h + 1] + 24
            if charges.errors is None or charges.slack is None:
                return None
            terms = [floor(p[-1] * two(grid - e - own.exponents[-1])), -ceil(w * charges.errors * two(grid - e - fine))]
            terms.append(-ceil(v * two(charges.slack[1] + grid - e - fine)))
            living = [True] * own.width if h == 0 else [u > 0 for u in self.ends[h - 1][1]]
            columns = zip(p[:-1], own.exponents[:-1], living, strict=True)
            scaled = [q * two(-c) if lives else Fraction(0) for q, c, lives in columns]
            largest = max(map(abs, scaled), default=Fraction(0))
            if largest and charges.reach is None:
                return None
            shift = 24 - binary_exponent(largest) if largest else 0
            a = [round(x * two(shift)) for x in scaled]
            e += shift
            terms.append(-ceil(charges.reach * two(grid - e - 1 - self.grids[h])) if largest else 0)
            if h == 0:
                corners = (x * (lo if x > 0 else hi) for x, lo, hi in zip(a, *self.box, strict=True))
                last = sum(floor(c * two(grid - e - 24)) for c in corners)
                terms.append(last)
                return None if max(map(abs, terms)) >= VOID else const + sum(terms)
            mu, cost = self._relaxed(h, a, two(grid - e))
            terms.append(cost)
            if max(map(abs, terms)) >= VOID:
                return None
            const += sum(terms)
            w = sum(map(abs, mu))
            below = self.charges[h - 1].slack
            v = 0 if below is None else sum(abs(m) * s for m, s in zip(mu, below[0], strict=True))
            lower = self.matrices[h - 1]
            p = [sum(m * row[j] for m, row in zip(mu, lower.integers, strict=True)) for j in range(lower.width + 1)]
        raise AssertionError("no layer before the first")

    def _relaxed(self, h: int, a: list[int], unit: Fraction) -> tuple[list[int], int]:
        mu, cost = [], 0
        for x, low, high in zip(a, *self.ends[h - 1], strict=True):
            if high <= 0 or low >= 0:
                mu.append(0 if high <= 0 else x)
                continue
            alpha = (1.0 if high > -low else 0.0) if x >= 0 else float(high) / (float(high) - float(low))
            mu.append(round(float(x) * alpha))
            cost += floor(min(Fraction(0), -mu[-1] * low, (x - mu[-1]) * high) * unit)
        return mu, cost
