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
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import GRID_BITS, UNSPLITTABLE, Goal, SubDomains, evaluate, kernels_ready, quantise, root
from secateur.network import Affine, Network
from secateur.network.exact import ExactArray
from secateur.progress import Progress
from secateur.search.attack import Attack, nearest_floats
from secateur.search.question import Question, composed
from secateur.search.verdict import SearchStatistics
from secateur.specification import Domain

__all__ = ["OutputBounds", "output_bounds"]

Floats = NDArray[np.float64]
Point = tuple[Fraction, ...]
Rationals = tuple[Fraction, ...]

_STEPS = 3
"""Slope optimisation steps: as for phases, more save little."""
_BATCH, _BATCH_SECONDS, _WORKERS = 256, 0.2, 8
"""As in tree.py: batches of slow nodes are smaller, so that deadlines are kept."""
_MOST_SIDES, _GROUP_ENTRIES = 64, 50_000
"""Sides that share a frontier: the kernels' answer has a row per sub-domain and side."""
_FRONTIER_BYTES = 256 << 20
"""Of all frontiers together; beyond it the newest sub-domains come first instead of the most urgent, which frees memory."""
_ATTACK_SHARE = 0.15
_SAMPLES, _CORNERS, _STARTS = 512, 128, 2
_MOST_HITS = 4
"""Points of one batch that are evaluated exactly."""
_RESOLUTION = Fraction(1, 1 << 32)
"""Share of the width that interval arithmetic gives which is always allowed: a constant output attains no width."""
_UNIT = 1 << GRID_BITS


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

    def arrays(self) -> tuple[Floats, Floats]:
        """`lower` and `upper` as float64, rounded outward: still certified."""
        return np.array([_rounded(v, -1) for v in self.lower]), np.array([_rounded(v, 1) for v in self.upper])


def output_bounds(
    network: Network, domain: Domain, tolerance: float, seed: int, deadline: float, progress: Progress
) -> OutputBounds:
    """The ranges of all outputs over the domain, until every gap is within the tolerance or the deadline (`time.monotonic`).

    Raises InputError where the network does not fit the kernels.
    """
    begun = time.monotonic()
    ranges = _Ranges(network, domain, Fraction(tolerance))
    frontiers: list[_Frontier] = []
    if ranges.open_sides():
        kernels_ready(begun)  # not yet, the first time: the attack runs while they are compiled
        attack = _Minimiser(ranges, seed)
        attack.run(begun + _ATTACK_SHARE * (deadline - begun))
        groups = _groups(ranges) if kernels_ready(deadline) and time.monotonic() < deadline else []
        frontiers = [_Frontier(ranges, attack, group, _FRONTIER_BYTES // len(groups)) for group in groups]
    pending = list(frontiers)
    while pending and time.monotonic() < deadline:
        for number, frontier in enumerate(pending):
            now = time.monotonic()
            until = now + (deadline - now) / (len(pending) - number)
            while not frontier.finished and time.monotonic() < until:
                frontier.step()
                done = 1.0 - len(ranges.open_sides()) / len(ranges.seen)
                progress.update(f"{sum(f.nodes for f in frontiers):,} sub-domains", done)
        pending = [f for f in pending if not f.finished]
    return ranges.result(SearchStatistics(sum(f.nodes for f in frontiers), 0, time.monotonic() - begun))


def _groups(ranges: _Ranges) -> list[list[int]]:
    sides = ranges.open_sides()
    size = max(1, min(_MOST_SIDES, _GROUP_ENTRIES // ranges.domain.dimension))
    return [sides[i : i + size] for i in range(0, len(sides), size)]


class _Ranges:
    """What is known so far. Side j is the minimum of output j, side m + j that of its negative.

    floors : certified lower bounds of the minima. seen, places : the smallest values attained, and where.
    """

    def __init__(self, network: Network, domain: Domain, tolerance: Fraction) -> None:
        self.network, self.domain = network, domain
        self._tolerance = tolerance
        m = network.output_size
        low, high = _interval(network, domain)
        self.floors = [*low, *(-v for v in high)]
        self._resolution = [_RESOLUTION * (b - a) for a, b in zip(low, high, strict=True)]
        middle = tuple((a + b) / 2 for a, b in zip(domain.lower, domain.upper, strict=True))
        values = network.exact(middle).output
        self.seen = [*values, *(-v for v in values)]
        self.places = [middle] * (2 * m)
        if domain.lower == domain.upper:  # this was the only point
            self.floors = list(self.seen)

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

    def allowed(self, side: int) -> Fraction:
        """The gap that a side may keep."""
        j = side % self.network.output_size
        width = -self.seen[j + self.network.output_size] - self.seen[j]
        return max(self._tolerance * width, self._resolution[j])

    def wanted(self, side: int) -> Fraction:
        """The certified bound from which on a side is finished."""
        return self.seen[side] - self.allowed(side)

    def open_sides(self) -> list[int]:
        return [g for g in range(len(self.floors)) if self.is_open(g)]

    def is_open(self, side: int) -> bool:
        return self.floors[side] < self.wanted(side)

    def rows(self, sides: Sequence[int], thresholds: Sequence[Fraction], exponents: Sequence[int]) -> Affine:
        """The values of the sides less their thresholds, each times a power of two, as functions of the network's sources."""
        m, n = self.network.output_size, self.network.input_size
        outer = np.zeros((len(sides), m))
        for r, (side, e) in enumerate(zip(sides, exponents, strict=True)):
            outer[r, side % m] = math.ldexp(1.0 if side < m else -1.0, e)
        scaled = [t * Fraction(2) ** e for t, e in zip(thresholds, exponents, strict=True)]
        return composed(ExactArray(outer), ExactArray.full((len(sides), n)), scaled, self.network.output)

    def result(self, statistics: SearchStatistics) -> OutputBounds:
        m = self.network.output_size
        return OutputBounds(
            tuple(self.floors[:m]),
            tuple(-v for v in self.floors[m:]),
            tuple(self.seen[:m]),
            tuple(-v for v in self.seen[m:]),
            tuple(self.places[:m]),
            tuple(self.places[m:]),
            not self.open_sides(),
            statistics,
        )


def _interval(network: Network, domain: Domain) -> tuple[Rationals, Rationals]:
    """Ranges of the outputs by exact interval arithmetic."""
    whole = Network(network.input_size, (*network.layers, network.output), Affine((), np.zeros(0)))
    bounds = quantise(whole, domain.lower, domain.upper).bounds
    return bounds.exact_lower[-1], bounds.exact_upper[-1]


class _Minimiser:
    """Finds points where sides are small: the attack on rows that are below zero everywhere, which it pushes further down."""

    def __init__(self, ranges: _Ranges, seed: int) -> None:
        self._ranges = ranges
        domain, sides = ranges.domain, range(len(ranges.floors))
        m = ranges.network.output_size
        above = [1 - ranges.floors[(g + m) % (2 * m)] for g in sides]
        rows = ranges.rows(sides, above, [0] * len(sides))
        network = Network(ranges.network.input_size, ranges.network.layers, rows, ranges.network.interface)
        goals = tuple((g,) for g in sides)
        question = Question(network, domain, goals, (False,) * len(goals), tuple(range(domain.dimension)))
        self._attack = Attack(question, seed)
        self._rng = np.random.default_rng(seed)
        self._low, self._high = nearest_floats(domain.lower), nearest_floats(domain.upper)

    def run(self, deadline: float) -> None:
        """Search from the best of many samples, for each side in turn."""
        places = self._rng.random((_SAMPLES + _CORNERS, len(self._low)))
        places[_SAMPLES:] = np.rint(places[_SAMPLES:])
        points = self._low + (self._high - self._low) * places
        values = self.values(points)
        for side in self._ranges.open_sides():
            if time.monotonic() >= deadline:
                break
            for start in np.argsort(values[:, side], kind="stable")[:_STARTS]:
                self.descend(side, points[start], deadline)

    def descend(self, side: int, point: Floats, deadline: float) -> None:
        """Look at the point where the side is smallest near another one, if floats say that it is smaller than all before."""
        better = self._attack.improve(side, point, deadline)
        best = point if better is None else better.point
        if self.values(best[None])[0, side] < float(self._ranges.seen[side]):
            self._ranges.look_at(self._inside(best))

    def values(self, points: Floats) -> Floats:
        """All sides in float64, shape (points, sides)."""
        outputs = self._ranges.network.forward(points)
        return np.concatenate([outputs, -outputs], axis=1)

    def _inside(self, point: Floats) -> Point:
        domain = self._ranges.domain
        bounds = zip(domain.lower, point.tolist(), domain.upper, strict=True)
        return tuple(min(max(low, Fraction(x)), high) for low, x, high in bounds)


@dataclass(frozen=True, eq=False)
class _Part:
    """Sub-domains of the frontier, most urgent first; bounds : (B, C) certified lower bounds of the rows on them."""

    domains: SubDomains
    bounds: Floats
    urgency: Floats

    def __len__(self) -> int:
        return len(self.bounds)

    def take(self, index: NDArray[np.intp] | slice) -> _Part:
        return _Part(self.domains.take(index), self.bounds[index], self.urgency[index])

    @staticmethod
    def joined(parts: Sequence[_Part]) -> _Part:
        if len(parts) == 1:
            return parts[0]
        domains = SubDomains.joined([p.domains for p in parts])
        bounds, urgency = (np.concatenate([getattr(p, name) for p in parts]) for name in ("bounds", "urgency"))
        return _Part(domains, bounds, urgency)


class _Frontier:
    """Branch and bound for some sides: row r is 2**exponent (value of its side - threshold), to be bounded from below.

    No row needs to be shown to be more than 0; `_settled` is the smallest certified bound of each on all that has left the
    frontier.
    """

    def __init__(self, ranges: _Ranges, attack: _Minimiser, sides: Sequence[int], most_bytes: int) -> None:
        self._ranges, self._attack, self._sides, self._most_bytes = ranges, attack, tuple(sides), most_bytes
        self._thresholds = [_just_above(ranges.wanted(g), ranges.allowed(g)) for g in sides]
        self._exponents = [_exponent(ranges, g) for g in sides]
        rows = ranges.rows(sides, self._thresholds, self._exponents)
        layers = (*ranges.network.layers, rows)
        network = Network(ranges.network.input_size, layers, Affine((), np.zeros(0)))
        self._quantised = quantise(network, ranges.domain.lower, ranges.domain.upper)
        self._goals = [Goal.of((len(layers), r, 1)) for r in range(len(sides))]
        start = root(self._quantised, self._quantised.bounds, len(sides))
        self._settled = np.zeros(len(sides))
        self._parts = [_Part(start, np.full((1, len(sides)), -np.inf), np.full(1, np.inf))]
        self.nodes = 0
        self._seconds = 0.0

    @property
    def finished(self) -> bool:
        return not self._parts or not any(self._ranges.is_open(g) for g in self._sides)

    def step(self) -> None:
        """Evaluate a batch, halve what is still open, and note what that shows."""
        begun = time.monotonic()
        batch = self._pop()
        found = evaluate(self._quantised, batch.domains, self._goals, _STEPS, _WORKERS)
        open_rows = batch.domains.open
        # A row that the kernels closed is at least 0, which `_settled` has from the start.
        bounds = np.maximum(batch.bounds, found.margins)
        enough = open_rows & (bounds >= self._targets())
        stuck = open_rows & (found.split == UNSPLITTABLE)[:, None]
        self._settle(bounds, enough | stuck)
        open_rows &= ~(enough | stuck)
        left = np.flatnonzero(open_rows.any(axis=1))
        if len(left):
            self._push(batch.domains.take(left), bounds[left], found.split[left])
        self.nodes += len(batch)
        self._note_floors()
        self._seconds += time.monotonic() - begun
        self._look_at(found.points[found.hits.any(axis=1)])

    def _targets(self) -> Floats:
        """The bound of each row from which on its side is finished, in its own units."""
        exact = [self._in_rows(r, self._ranges.wanted(g)) for r, g in enumerate(self._sides)]
        return np.nextafter(nearest_floats(exact), np.inf)

    def _in_rows(self, row: int, value: Fraction) -> Fraction:
        return (value - self._thresholds[row]) * Fraction(2) ** self._exponents[row]

    def _settle(self, bounds: Floats, which: NDArray[np.bool_]) -> None:
        self._settled = np.minimum(self._settled, np.where(which, bounds, np.inf).min(axis=0, initial=np.inf))

    def _note_floors(self) -> None:
        """The certified minimum of each row is the smallest over what was settled and what is open."""
        lowest = self._settled
        for part in self._parts:
            lowest = np.minimum(lowest, np.where(part.domains.open, part.bounds, np.inf).min(axis=0))
        for r, value in enumerate(lowest.tolist()):
            if math.isfinite(value):
                floor = self._thresholds[r] + Fraction(value) / Fraction(2) ** self._exponents[r]
                self._ranges.raise_floor(self._sides[r], floor)

    def _batch_size(self) -> int:
        pace = self._seconds / self.nodes if self.nodes else 0.0
        return _BATCH if pace * _BATCH <= _BATCH_SECONDS else max(1, int(_BATCH_SECONDS / pace))

    def _pop(self) -> _Part:
        """The most urgent sub-domains; the newest ones where there are too many."""
        most, taken = self._batch_size(), list[_Part]()
        full = sum(a.nbytes for p in self._parts for a in p.domains.arrays()) > self._most_bytes
        while self._parts and sum(map(len, taken)) < most:
            first = len(self._parts) - 1 if full else max(range(len(self._parts)), key=lambda i: self._parts[i].urgency[0])
            taken.append(self._parts.pop(first))
        batch = _Part.joined(taken)
        if len(batch) > most:
            batch = batch.take(np.argsort(-batch.urgency, kind="stable"))
            self._parts.append(batch.take(slice(most, None)))
            batch = batch.take(slice(0, most))
        return batch

    def _push(self, domains: SubDomains, bounds: Floats, coordinate: NDArray[np.int64]) -> None:
        """Both halves of every sub-domain."""
        rows = np.arange(len(bounds))
        upper = domains.take(slice(None))
        middle = np.floor((domains.low[rows, coordinate] + domains.high[rows, coordinate]) / 2)
        domains.high[rows, coordinate] = middle
        upper.low[rows, coordinate] = middle
        halves = SubDomains.joined([domains, upper])
        bounds = np.concatenate([bounds, bounds])
        missing = np.where(halves.open, self._targets() - bounds, -np.inf).max(axis=1)
        part = _Part(halves, bounds, missing).take(np.argsort(-missing, kind="stable"))
        self._parts += [part.take(slice(i, i + _BATCH)) for i in range(0, len(part), _BATCH)]

    def _look_at(self, grid: Floats) -> None:
        """Points where floats put a row below 0: descend from those that would improve a side."""
        if not len(grid):
            return
        domain = self._ranges.domain
        points = nearest_floats(domain.lower) + nearest_floats(domain.widths()) * (grid / _UNIT)
        values = self._attack.values(points)
        seen = nearest_floats(self._ranges.seen)
        better = [g for g in self._sides if values[:, g].min() < seen[g]]
        for g in better[:_MOST_HITS]:
            self._attack.descend(g, points[values[:, g].argmin()], time.monotonic() + _BATCH_SECONDS)


def _just_above(value: Fraction, allowed: Fraction) -> Fraction:
    """A short dyadic number from value to value + allowed / 32."""
    bits = 6 - _magnitude(allowed)
    unit = Fraction(2) ** -bits
    return math.ceil(value / unit) * unit


def _exponent(ranges: _Ranges, side: int) -> int:
    """Brings the values of a side to about 1: rows share the columns of one matrix."""
    m = ranges.network.output_size
    seen = abs(ranges.seen[side] + ranges.seen[(side + m) % (2 * m)])
    return -_magnitude(seen) if seen else 0


def _magnitude(value: Fraction) -> int:
    """e with 2**(e - 1) < value < 2**(e + 1)."""
    return value.numerator.bit_length() - value.denominator.bit_length()


def _rounded(value: Fraction, direction: int) -> float:
    """The nearest double on one side of a value (direction -1: below), or the value itself."""
    number = float(nearest_floats([value])[0])
    if math.isinf(number):
        return number if (number > 0) == (direction > 0) else math.copysign(np.finfo(float).max, number)
    outside = Fraction(number) > value if direction < 0 else Fraction(number) < value
    return math.nextafter(number, direction * math.inf) if outside else number
