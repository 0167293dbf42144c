"""Branch and bound from below for some sides of a range problem: sub-domains furthest from what is wanted are halved first.

Soundness: the kernels' margins are exact numbers, on sub-domains that cover the box, and every one of them is accounted for when
it leaves the frontier. Floats choose, never bound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import GRID_BITS, UNSPLITTABLE, Goal, SubDomains, evaluate, root
from secateur.search.attack import nearest_floats
from secateur.search.sides import Minimiser, Sides, magnitude

__all__ = ["Frontier"]

Floats = NDArray[np.float64]

_STEPS = 3
"""Slope optimisation steps: as for phases, more save little."""
_BATCH, _BATCH_SECONDS, _WORKERS = 256, 0.2, 8
"""As in tree.py: batches of slow nodes are smaller, so that deadlines are kept."""
_MOST_HITS = 4
"""Points of one batch that are evaluated exactly."""
_UNIT = 1 << GRID_BITS


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


class Frontier:
    """Branch and bound for some sides: row r is 2**exponent (value of its side - threshold), to be bounded from below.

    No row needs to be shown to be more than 0; `_settled` is the smallest certified bound of each on all that has left the
    frontier.
    """

    def __init__(self, known: Sides, attack: Minimiser, sides: Sequence[int], most_bytes: int) -> None:
        self._known, self._attack, self._sides, self._most_bytes = known, attack, tuple(sides), most_bytes
        self._thresholds = [_just_above(known.wanted(g), known.allowed(g)) for g in sides]
        self._exponents = [known.exponent(g) for g in sides]
        rows = known.rows(sides, self._thresholds, self._exponents, known.ranged.bounded_output)
        self._quantised = known.ranged.quantised(rows)
        last = len(self._quantised.layers)
        self._goals = [Goal.of((last, r, 1)) for r in range(len(sides))]
        start = root(self._quantised, self._quantised.bounds, len(sides))
        self._settled = np.zeros(len(sides))
        self._parts = [_Part(start, np.full((1, len(sides)), -np.inf), np.full(1, np.inf))]
        self.nodes = 0
        self._seconds = 0.0

    @property
    def finished(self) -> bool:
        return not self._parts or not any(self._known.is_open(g) for g in self._sides)

    def step(self, deadline: float) -> None:
        """Evaluate a batch, halve what is still open, and note what that shows; look at points until the deadline at most."""
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
        self._look_at(found.points[found.hits.any(axis=1)], deadline)

    def _targets(self) -> Floats:
        """The bound of each row from which on its side is finished, in its own units."""
        exact = [self._in_rows(r, self._known.wanted(g)) for r, g in enumerate(self._sides)]
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
                self._known.raise_floor(self._sides[r], floor)

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

    def _look_at(self, grid: Floats, deadline: float) -> None:
        """Points where floats put a row below 0: descend from those that would improve a side."""
        if not len(grid):
            return
        domain = self._known.domain
        points = nearest_floats(domain.lower) + nearest_floats(domain.widths()) * (grid / _UNIT)
        values = self._attack.values(points)
        seen = nearest_floats(self._known.seen)
        better = [g for g in self._sides if values[:, g].min() < seen[g]]
        for g in better[:_MOST_HITS]:
            self._attack.descend(g, points[values[:, g].argmin()], min(deadline, time.monotonic() + _BATCH_SECONDS))


def _just_above(value: Fraction, allowed: Fraction) -> Fraction:
    """A short dyadic number from value to value + allowed / 32."""
    bits = 6 - magnitude(allowed)
    unit = Fraction(2) ** -bits
    return math.ceil(value / unit) * unit
