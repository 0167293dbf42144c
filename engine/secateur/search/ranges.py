"""Ranges of outputs over a box: certified from outside, attained by evaluated points from inside, better the longer it runs.

Method: branch and bound over all outputs and both of their sides at once. A side is the minimum of a value v (an output, or an
output negated). The attack finds points where v is small; their exact values bound the minimum from above. The kernels bound v
from below on sub-domains; those where that is furthest from what is wanted are halved first. Begin at `output_bounds`.
Soundness: lower bounds are the kernels' margins, which are exact numbers, over sub-domains that cover the box, and every one of
them is accounted for when it leaves the frontier; attained values are those of exact evaluation. Floats choose, never bound.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import kernels_ready
from secateur.progress import Progress
from secateur.search.attack import nearest_floats
from secateur.search.frontier import Frontier
from secateur.search.sides import Minimiser, Ranged, Sides
from secateur.search.verdict import SearchStatistics
from secateur.specification.numerals import shown

__all__ = ["OutputBounds", "output_bounds", "outward"]

Floats = NDArray[np.float64]
Point = tuple[Fraction, ...]
Rationals = tuple[Fraction, ...]

_MOST_SIDES, _GROUP_ENTRIES = 64, 50_000
"""Sides that share a frontier: the kernels' answer has a row per sub-domain and side."""
_FRONTIER_BYTES = 256 << 20
"""Of all frontiers together; beyond it the newest sub-domains come first instead of the most urgent, which frees memory."""
_ATTACK_SHARE = 0.15


@dataclass(frozen=True)
class OutputBounds:
    """Ranges of a network's outputs over a box, in exact rationals, by output.

    lower, upper : certified: every point of the box has lower <= y <= upper. attained_lower, attained_upper : values that y takes
    at `lowest_at` and `highest_at`, points of the box that were evaluated exactly; the true range lies between these and those.
    finished : whether every gap between a certified and an attained value is at most the tolerance times the attained width, or
    2**-32 of the width that interval arithmetic gives (a constant output attains no width).
    """

    lower: Rationals
    upper: Rationals
    attained_lower: Rationals
    attained_upper: Rationals
    lowest_at: tuple[Point, ...]
    highest_at: tuple[Point, ...]
    finished: bool
    statistics: SearchStatistics

    def __repr__(self) -> str:
        ended = "" if self.finished else "; not finished"
        return f"<OutputBounds of {len(self.lower)} outputs: {shown(self.lower)} to {shown(self.upper)}{ended}>"

    def arrays(self) -> tuple[Floats, Floats]:
        """`lower` and `upper` as float64, rounded outward: still certified."""
        return np.array([outward(v, -1) for v in self.lower]), np.array([outward(v, 1) for v in self.upper])


def output_bounds(ranged: Ranged, tolerance: float, seed: int, deadline: float, progress: Progress) -> OutputBounds:
    """The ranges of all outputs over the domain, until every gap is within the tolerance or the deadline (`time.monotonic`).

    Raises InputError where the network does not fit the kernels.
    """
    begun = time.monotonic()
    sides = Sides(ranged, Fraction(tolerance))
    frontiers: list[Frontier] = []
    if sides.open_sides():
        kernels_ready(begun)  # not yet, the first time: the attack runs while they are compiled
        attack = Minimiser(sides, seed)
        attack.run(begun + _ATTACK_SHARE * (deadline - begun))
        groups = _groups(sides) if kernels_ready(deadline) and time.monotonic() < deadline else []
        frontiers = [Frontier(sides, attack, group, _FRONTIER_BYTES // len(groups)) for group in groups]
    pending = list(frontiers)
    while pending and time.monotonic() < deadline:
        for number, frontier in enumerate(pending):
            now = time.monotonic()
            until = now + (deadline - now) / (len(pending) - number)
            while not frontier.finished and time.monotonic() < until:
                frontier.step(until)
                done = 1.0 - len(sides.open_sides()) / len(sides.seen)
                progress.update(f"{sum(f.nodes for f in frontiers):,} sub-domains", done)
        pending = [f for f in pending if not f.finished]
    return _result(sides, SearchStatistics(sum(f.nodes for f in frontiers), 0, time.monotonic() - begun))


def _groups(sides: Sides) -> list[list[int]]:
    open_ones = sides.open_sides()
    size = max(1, min(_MOST_SIDES, _GROUP_ENTRIES // sides.domain.dimension))
    return [open_ones[i : i + size] for i in range(0, len(open_ones), size)]


def _result(sides: Sides, statistics: SearchStatistics) -> OutputBounds:
    m = sides.network.output_size
    return OutputBounds(
        tuple(sides.floors[:m]),
        tuple(-v for v in sides.floors[m:]),
        tuple(sides.seen[:m]),
        tuple(-v for v in sides.seen[m:]),
        tuple(sides.places[:m]),
        tuple(sides.places[m:]),
        not sides.open_sides(),
        statistics,
    )


def outward(value: Fraction, direction: int) -> float:
    """The nearest double on one side of a value (direction -1: below), or the value itself."""
    number = float(nearest_floats([value])[0])
    if math.isinf(number):
        return number if (number > 0) == (direction > 0) else math.copysign(np.finfo(float).max, number)
    outside = Fraction(number) > value if direction < 0 else Fraction(number) < value
    return math.nextafter(number, direction * math.inf) if outside else number
