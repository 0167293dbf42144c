"""Attack: search for a point that meets a goal, by successive linear programs.

At a point the rows of a goal are linear as far as the ReLUs keep their phases. Within a box around the point (the trust region)
that model is minimised, the largest row first; the step is taken where the true rows follow the model, and the region grows,
otherwise it shrinks. Many starts advance as one batch. Slopes alternate between exact ones and those of leaky ReLUs: exact ones
vanish where a network is dead around a point, and mislead where its other pieces are near. Everything here is float64 and only
proposes: `witness.py` decides. Begin at `Attack.advance`.

References: successive linear programming with a trust region (Fletcher and Sainz de la Maza, 1989); a linear program over a box
with few rows is a game of rows against corners, played by multiplicative weights (Freund and Schapire, 1999).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.search.question import Question

__all__ = ["Attack", "Candidate", "nearest_floats"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

_LEAK = 0.1
_STEPS = 24
_PUSH = 4
"""Steps after a goal is first met: they widen the margin, which makes a witness survive rounding."""
_SMALLEST_RADIUS = 1e-4
_FIRST_RADIUS = 0.5
_ROUNDS = 4
"""Rounds of multiplicative weights per linear program; the weights carry over to the next one."""
_RATE = 4.0
_SAMPLES = 64
_BATCH = 64
_BATCH_VALUES = 40_000
"""Neurons and inputs a batch may hold: keeps a step of a wide network short, and with it the deadline."""
_FEW_INPUTS = 32
"""Inputs up to which samples differ enough for the best of many to be a better start."""
_FIRST_POOL, _LARGEST_POOL = 8, 64
"""Samples per start: doubles with every batch, because an easy goal is found before it pays."""
_REPEATS = 4
"""One start in so many begins near the best point that an earlier one reached."""
_NEAR = 0.02
_COPIES = 16


def nearest_floats(values: Iterable[Fraction | float]) -> Floats:
    """The nearest float64 numbers; infinite ones beyond their range."""
    return np.array([_nearest_float(v) for v in values], dtype=np.float64)


def _nearest_float(value: Fraction | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A point that meets a goal in float64.

    point : in the coordinates of the question's domain. margin : how far the goal's largest row lies below zero, in standard
    deviations of that row over the domain; infinite for a goal without rows.
    """

    goal: int
    point: Floats
    margin: float


@dataclass(frozen=True, eq=False)
class _Values:
    """Scaled rows of each start's goal at its place, shape (starts, rows), and the active neurons of each layer there."""

    rows: Floats
    active: tuple[Flags, ...]

    @property
    def worst(self) -> Floats:
        return np.asarray(self.rows.max(axis=1))

    def take(self, kept: Indices | Flags) -> _Values:
        return _Values(self.rows[kept], tuple(a[kept] for a in self.active))

    def replaced(self, which: Flags, other: _Values) -> _Values:
        """With the starts of `which` taken from another evaluation."""
        pairs = zip(self.active, other.active, strict=True)
        return _Values(np.where(which[:, None], other.rows, self.rows), tuple(np.where(which[:, None], b, a) for a, b in pairs))


@dataclass(eq=False)
class _Starts:
    """Searches under way, one per line.

    goal : (starts,). place : (starts, inputs), in [0, 1]. slopes : (starts, rows, inputs), of the values over the place; `leaky`
    says whose are those of leaky ReLUs. radius : (starts,). weights : (starts, rows), each line sums to 1: which rows the last
    linear program found binding.
    """

    goal: Indices
    place: Floats
    values: _Values
    slopes: Floats
    leaky: Flags
    radius: Floats
    weights: Floats

    def take(self, kept: Indices | Flags) -> _Starts:
        return _Starts(
            self.goal[kept],
            self.place[kept],
            self.values.take(kept),
            self.slopes[kept],
            self.leaky[kept],
            self.radius[kept],
            self.weights[kept],
        )


class Attack:
    """An attack on one question that can be continued at any time; the same seed and calls give the same points.

    Parameters
    ----------
    question : its goals are attacked in turn. seed : of the random starts.
    """

    def __init__(self, question: Question, seed: int) -> None:
        self._network, self._goals = question.network, question.goals
        self._low = nearest_floats(question.domain.lower)
        self._width = nearest_floats(question.domain.widths())
        self._rng = np.random.default_rng(seed)
        # Goals with fewer rows repeat theirs: the largest row is the same.
        most = max(map(len, self._goals), default=0)
        self._rows = np.array([[goal[i % len(goal)] for i in range(most)] for goal in self._goals if goal], dtype=np.intp)
        self._easy = [g for g, goal in enumerate(self._goals) if not goal]
        with np.errstate(over="ignore", invalid="ignore"):
            self._scale = self._row_scales()
        values = sum(self._network.sizes) + len(self._low)
        self._batch = min(_BATCH, max(8, _BATCH_VALUES // values))
        self._batches = self._started = 0
        self._best_value = np.full(len(self._goals), np.inf)
        self._best_place = np.full((len(self._goals), len(self._low)), 0.5)

    def advance(self, starts: int, deadline: float) -> list[Candidate]:
        """Up to `starts` fresh starts for each goal, goals in turn, until one is met; candidates with the widest margin first.

        Stops at the deadline (`time.monotonic`) too, after the step in progress. An empty list says nothing about the question.
        """
        if self._easy:  # a goal without rows is met anywhere
            return [Candidate(g, self._points(np.full(len(self._low), 0.5)), float("inf")) for g in self._easy]
        left = starts * len(self._goals)
        found: list[Candidate] = []
        with np.errstate(over="ignore", invalid="ignore"):
            while left > 0 and not found and time.monotonic() < deadline:
                goal = (self._started + np.arange(min(left, self._batch))) % len(self._goals)
                left -= len(goal)
                found = self._search(self._fresh(goal), goal, _FIRST_RADIUS, _PUSH, deadline)
        return found

    def improve(self, goal: int, point: Floats, deadline: float) -> Candidate | None:
        """Where the goal is met with the widest margin found near a point of the domain; None where it is not met there."""
        if self._easy:
            return Candidate(goal, point, float("inf")) if goal in self._easy else None
        place = np.zeros_like(self._low)
        np.divide(point - self._low, self._width, out=place, where=self._width > 0)
        near = self._rng.uniform(-_NEAR, _NEAR, (_COPIES, len(place)))
        near[0] = 0.0
        goals = np.full(_COPIES, goal, dtype=np.intp)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._search(np.clip(place + near, 0.0, 1.0), goals, _NEAR, _STEPS, deadline)
        return found[0] if found else None

    def _points(self, place: Floats) -> Floats:
        return np.asarray(self._low + self._width * place)

    def _row_scales(self) -> Floats:
        """Standard deviation of each row over the domain: makes rows of different units comparable."""
        values = self._network.forward(self._points(self._rng.random((_SAMPLES, len(self._low)))))
        spread = values.std(axis=0)
        return np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)

    def _fresh(self, goal: Indices) -> Floats:
        """Places to begin at, for a batch of goals."""
        pool = min(_FIRST_POOL << min(self._batches, 8), _LARGEST_POOL) if len(self._low) <= _FEW_INPUTS else 1
        place = self._sampled(len(goal) * pool)
        if pool > 1:
            place = self._best_sampled(place, goal)
        number = self._started + np.arange(len(goal))
        again = (number % _REPEATS == _REPEATS - 1) & np.isfinite(self._best_value[goal])
        spread = self._rng.uniform(-1.0, 1.0, place.shape) * 10.0 ** self._rng.uniform(-3.0, -0.5, (len(goal), 1))
        self._batches += 1
        self._started += len(goal)
        return np.where(again[:, None], np.clip(self._best_place[goal] + spread, 0.0, 1.0), place)

    def _sampled(self, count: int) -> Floats:
        """Uniform places, every fourth a corner; the very first is the centre."""
        place = self._rng.random((count, len(self._low)))
        place[1::4] = np.rint(place[1::4])
        if not self._batches:
            place[0] = 0.5
        return place

    def _best_sampled(self, place: Floats, goal: Indices) -> Floats:
        """For each start the sample with the smallest largest row of its goal; starts of one goal take different ones."""
        values = self._network.forward(self._points(place)) / self._scale
        chosen = np.empty((len(goal), place.shape[1]))
        for g in np.unique(goal):
            mine = np.flatnonzero(goal == g)
            worst = values[:, self._rows[g]].max(axis=1)
            chosen[mine] = place[np.argsort(worst, kind="stable")[: len(mine)]]
        return chosen

    def _search(self, place: Floats, goal: Indices, radius: float, push: int, deadline: float) -> list[Candidate]:
        """Advance the starts until all are stuck, or some met their goals and were pushed on; candidates, best first."""
        starts = self._at(place, goal, radius)
        left = push
        for step in range(_STEPS):
            met = starts.values.worst < 0
            if met.any():
                starts, left = starts.take(met), left - 1
            if left < 0 or time.monotonic() >= deadline:
                break
            self._advance(starts, leaky=step % 2 == 1)
            moving = starts.radius > _SMALLEST_RADIUS
            if not moving.any():
                break
            if not met.any() and not moving.all():
                self._keep_best(starts.take(~moving))
                starts = starts.take(moving)
        self._keep_best(starts)
        return self._candidates(starts)

    def _keep_best(self, starts: _Starts) -> None:
        worst = starts.values.worst
        for i in np.argsort(-worst, kind="stable"):
            if worst[i] < self._best_value[starts.goal[i]]:
                self._best_value[starts.goal[i]] = worst[i]
                self._best_place[starts.goal[i]] = starts.place[i]

    def _candidates(self, starts: _Starts) -> list[Candidate]:
        worst = starts.values.worst
        order = [i for i in np.argsort(worst, kind="stable") if worst[i] < 0]
        return [Candidate(int(starts.goal[i]), self._points(starts.place[i]), -float(worst[i])) for i in order]

    def _at(self, place: Floats, goal: Indices, radius: float) -> _Starts:
        values = self._evaluate(place, goal)
        leaky = np.ones(len(goal), dtype=bool)
        weights = np.full(values.rows.shape, 1.0 / values.rows.shape[1])
        slopes = self._slopes(values.active, goal, leaky)
        return _Starts(goal, place, values, slopes, leaky, np.full(len(goal), radius), weights)

    def _advance(self, starts: _Starts, *, leaky: bool) -> None:
        """One step of every start, in place. A failed step along leaky slopes costs no radius: exact ones come next."""
        reach = starts.radius[:, None]
        low, high = np.maximum(-reach, -starts.place), np.minimum(reach, 1.0 - starts.place)
        place = np.clip(starts.place + _model_minimum(starts, low, high), 0.0, 1.0)
        values = self._evaluate(place, starts.goal)
        better = values.worst < starts.values.worst
        doubtful = ~better & starts.leaky
        starts.radius = np.where(better, np.minimum(starts.radius * 1.5, 1.0), starts.radius * np.where(doubtful, 1.0, 0.5))
        starts.place = np.where(better[:, None], place, starts.place)
        starts.values = starts.values.replaced(better, values)
        fresh = np.flatnonzero(better | doubtful)
        if len(fresh):
            starts.leaky[fresh] = better[fresh] & leaky
            active = starts.values.take(fresh).active
            starts.slopes[fresh] = self._slopes(active, starts.goal[fresh], starts.leaky[fresh])

    def _evaluate(self, place: Floats, goal: Indices) -> _Values:
        sources, active = [self._points(place)], []
        for layer in self._network.layers:
            before = layer.apply(sources)
            active.append(before > 0)
            sources.append(np.maximum(before, 0.0))
        rows = self._network.output.apply(sources) / self._scale
        return _Values(np.take_along_axis(rows, self._rows[goal], axis=1), tuple(active))

    def _slopes(self, active: Sequence[Flags], goal: Indices, leaky: Flags) -> Floats:
        """Slopes of the scaled rows over the place, shape (starts, rows, inputs)."""
        rows = self._rows[goal].ravel()
        leak = np.where(leaky, _LEAK, 0.0)[:, None]
        sources: list[Floats | None] = [None] * (len(active) + 1)
        for term in self._network.output.terms:
            sources[term.source] = term.map.dense().weight[rows] / self._scale[rows, None]
        for k in range(len(active), 0, -1):
            above = sources[k]
            if above is None:
                continue
            slope = np.where(active[k - 1], 1.0, leak)[:, None, :]
            through = (above.reshape(len(goal), -1, above.shape[1]) * slope).reshape(above.shape)
            for term in self._network.layers[k - 1].terms:
                part, earlier = term.map.apply_transposed(through), sources[term.source]
                sources[term.source] = part if earlier is None else earlier + part
        down = sources[0]
        if down is None:
            down = np.zeros((len(rows), len(self._low)))
        return (down * self._width).reshape(len(goal), -1, len(self._low))


def _model_minimum(starts: _Starts, low: Floats, high: Floats) -> Floats:
    """Moves d in [low, high], shape (starts, inputs), that nearly minimise the largest row of values + slopes d."""
    if starts.values.rows.shape[1] == 1:
        return np.where(starts.slopes[:, 0] > 0, low, high)
    rows, slopes = starts.values.rows, starts.slopes
    best, best_value = np.zeros_like(low), rows.max(axis=1)
    move_sum, value_sum = np.zeros_like(low), np.zeros_like(rows)
    span = (np.abs(slopes) @ (high - low)[:, :, None])[:, :, 0].max(axis=1, keepdims=True)
    rate = _RATE / np.where(span > 0, span, 1.0)
    weights = 0.9 * starts.weights + 0.1 / rows.shape[1]  # a row that did not bind must be able to come back
    for k in range(1, _ROUNDS + 1):
        corner = np.where((weights[:, None, :] @ slopes)[:, 0] > 0, low, high)
        value = rows + (slopes @ corner[:, :, None])[:, :, 0]
        move_sum, value_sum = move_sum + corner, value_sum + value
        for move, reached in ((corner, value.max(axis=1)), (move_sum / k, value_sum.max(axis=1) / k)):
            better = reached < best_value
            best = np.where(better[:, None], move, best)
            best_value = np.where(better, reached, best_value)
        weights = weights * np.exp(rate * (value - value.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
    starts.weights = weights
    return best
