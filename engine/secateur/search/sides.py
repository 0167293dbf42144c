"""The sides of a range problem: what is known of each minimum, and the attack that looks for lower values.

Side j is the minimum of output j of a network over a box, side m + j that of its negative. Certified bounds come from
frontier.py; everything attained was evaluated exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import QuantisedNetwork
from secateur.network import Affine, Network
from secateur.network.difference import DifferenceNetwork
from secateur.network.exact import ExactArray
from secateur.search.attack import Attack, nearest_floats
from secateur.search.question import Question, composed
from secateur.search.refute import quantised_rows
from secateur.specification import Domain

__all__ = ["Minimiser", "Ranged", "Sides", "magnitude"]

Floats = NDArray[np.float64]
Point = tuple[Fraction, ...]

_SAMPLES, _CORNERS, _STARTS = 512, 128, 2
_RESOLUTION = Fraction(1, 1 << 32)
"""Share of the width that interval arithmetic gives which is always allowed: a constant output attains no width."""


@dataclass(frozen=True, eq=False)
class Ranged:
    """What is ranged: the outputs of a network over a box.

    difference : the same outputs once more, in the form of two networks by their differences, for tighter bounds. joint : only
    the smallest of all minima is wanted, so every side is measured against the smallest value that any of them attains.
    """

    network: Network
    domain: Domain
    difference: DifferenceNetwork | None = None
    joint: bool = False

    def quantised(self, rows: Affine) -> QuantisedNetwork:
        """What the kernels bound, with rows (see `Sides.rows`) as last layer."""
        return quantised_rows(self.network, rows, self.domain, self.difference)

    @property
    def bounded_output(self) -> Affine:
        """The outputs over the sources of what the kernels bound."""
        return self.network.output if self.difference is None else self.difference.network.output


class Sides:
    """What is known so far. Side j is the minimum of output j, side m + j that of its negative.

    floors : certified lower bounds of the minima. seen, places : the smallest values attained, and where.
    """

    def __init__(self, ranged: Ranged, tolerance: Fraction) -> None:
        self.ranged, self.network, self.domain = ranged, ranged.network, ranged.domain
        self._tolerance = tolerance
        m, domain = self.network.output_size, self.domain
        low, high = self._interval()
        self.floors = [*low, *(-v for v in high)]
        widths = [b - a for a, b in zip(low, high, strict=True)]
        self._resolution = [_RESOLUTION * (max(widths) if ranged.joint else width) for width in widths]
        middle = tuple((a + b) / 2 for a, b in zip(domain.lower, domain.upper, strict=True))
        values = self.network.exact(middle).output
        self.seen = [*values, *(-v for v in values)]
        self.places = [middle] * (2 * m)
        if domain.lower == domain.upper:  # this was the only point
            self.floors = list(self.seen)

    def _interval(self) -> tuple[Point, Point]:
        """Ranges of the outputs by exact interval arithmetic."""
        bounds = self.ranged.quantised(self.ranged.bounded_output).bounds
        return bounds.exact_lower[-1], bounds.exact_upper[-1]

    def look_at(self, point: Point) -> bool:
        """Evaluate a point of the domain exactly; whether it improves any side."""
        if not self.domain.contains(point):
            raise ValueError("a point outside the domain attains nothing")
        values = self.network.exact(point).output
        better = [g for g, v in enumerate([*values, *(-v for v in values)]) if v < self.seen[g]]
        for g in better:
            self.seen[g] = values[g] if g < len(values) else -values[g - len(values)]
            self.places[g] = point
        return bool(better)

    def raise_floor(self, side: int, value: Fraction) -> None:
        """Note a certified bound. RuntimeError if a point contradicts it: a fault of ours or of the machine."""
        if value > self.seen[side]:
            raise RuntimeError(f"contradiction: side {side} has a certified bound above a value that it attains")
        self.floors[side] = max(self.floors[side], value)

    def _attained_width(self, side: int) -> Fraction:
        """Of the side's output; that of the whole around 0 where the sides are one problem."""
        if self.ranged.joint:
            return -min(self.seen)
        j, m = side % self.network.output_size, self.network.output_size
        return -self.seen[j + m] - self.seen[j]

    def allowed(self, side: int) -> Fraction:
        """The gap that a side may keep."""
        return max(self._tolerance * self._attained_width(side), self._resolution[side % self.network.output_size])

    def wanted(self, side: int) -> Fraction:
        """The certified bound from which on a side is finished."""
        return (min(self.seen) if self.ranged.joint else self.seen[side]) - self.allowed(side)

    def exponent(self, side: int) -> int:
        """That of a power of two which brings the values of a side to about 1: rows share the columns of one matrix."""
        width = self._attained_width(side)
        return -magnitude(width) if width else 0

    def open_sides(self) -> list[int]:
        return [g for g in range(len(self.floors)) if self.is_open(g)]

    def is_open(self, side: int) -> bool:
        return self.floors[side] < self.wanted(side)

    def rows(self, sides: Sequence[int], thresholds: Sequence[Fraction], exponents: Sequence[int], outputs: Affine) -> Affine:
        """The values of the sides less their thresholds, each times a power of two, as functions of the sources of `outputs`."""
        m, n = self.network.output_size, self.network.input_size
        outer = np.zeros((len(sides), m))
        for r, (side, e) in enumerate(zip(sides, exponents, strict=True)):
            outer[r, side % m] = math.ldexp(1.0 if side < m else -1.0, e)
        scaled = [t * Fraction(2) ** e for t, e in zip(thresholds, exponents, strict=True)]
        return composed(ExactArray(outer), ExactArray.full((len(sides), n)), scaled, outputs)


class Minimiser:
    """Finds points where sides are small: the attack on rows that are below zero everywhere, which it pushes further down."""

    def __init__(self, sides: Sides, seed: int) -> None:
        self._sides = sides
        network, domain, count = sides.network, sides.domain, len(sides.floors)
        above = [1 - sides.floors[(g + count // 2) % count] for g in range(count)]
        rows = sides.rows(range(count), above, [0] * count, network.output)
        goals = tuple((g,) for g in range(count))
        whole = Network(network.input_size, network.layers, rows, network.interface)
        question = Question(whole, domain, goals, (False,) * count, tuple(range(domain.dimension)))
        self._attack = Attack(question, seed)
        self._rng = np.random.default_rng(seed)
        self._low, self._high = nearest_floats(domain.lower), nearest_floats(domain.upper)

    def run(self, deadline: float) -> None:
        """Search from the best of many samples, for each side in turn."""
        places = self._rng.random((_SAMPLES + _CORNERS, len(self._low)))
        places[_SAMPLES:] = np.rint(places[_SAMPLES:])
        points = self._low + (self._high - self._low) * places
        values = self.values(points)
        for side in self._sides.open_sides():
            if time.monotonic() >= deadline:
                break
            for start in np.argsort(values[:, side], kind="stable")[:_STARTS]:
                self.descend(side, points[start], deadline)

    def descend(self, side: int, point: Floats, deadline: float) -> None:
        """Look at the point where the side is smallest near another one, if floats say that it is smaller than all before."""
        better = self._attack.improve(side, point, deadline)
        best = point if better is None else better.point
        if self.values(best[None])[0, side] < float(self._sides.seen[side]):
            self._sides.look_at(self._inside(best))

    def values(self, points: Floats) -> Floats:
        """All sides in float64, shape (points, sides)."""
        outputs = self._sides.network.forward(points)
        return np.concatenate([outputs, -outputs], axis=1)

    def _inside(self, point: Floats) -> Point:
        domain = self._sides.domain
        bounds = zip(domain.lower, point.tolist(), domain.upper, strict=True)
        return tuple(min(max(low, Fraction(x)), high) for low, x, high in bounds)


def magnitude(value: Fraction) -> int:
    """e with 2**(e - 1) < value < 2**(e + 1)."""
    return value.numerator.bit_length() - value.denominator.bit_length()
