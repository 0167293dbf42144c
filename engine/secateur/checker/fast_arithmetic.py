"""The compiled arithmetic: lays networks and nodes out for `fast_kernels` and visits nodes in batches on all cores."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from secateur.checker.chain import Chain, ChainLayer
from secateur.checker.fast_kernels import visit_all
from secateur.checker.fast_layout import DIFFERENCE, LANES, LINEAR, OUT, ROWS, Floats, Integers, Pool, System, Work, padded
from secateur.checker.fast_rows import prepare_error
from secateur.checker.nodes import FULL, Goal, LeafState, Outcome, OutOfRange

__all__ = ["FastArithmetic"]

MAX_COLUMN_EXPONENT = 250
MAX_BOUND_EXPONENT = 300
MAX_LAYERS = 31
MAX_ROUNDED_LAYERS = 25  # whose values are computed in float32: a layer has five terms, not four
MAX_GATHERED = 1 << 19  # entries of a matrix of which each thread keeps a part for the node that it visits
LINE = 8  # doubles in a cache line
BATCH = 256


def _zeros(*shape: int) -> Floats:
    """Zeros from the start of a cache line on: vectors that cross one are slow to read where they have just been written."""
    size = math.prod(shape)
    memory = np.zeros(size + LINE)
    first = -memory.ctypes.data // memory.itemsize % LINE
    return memory[first : first + size].reshape(shape)


def _matrices(layers: Sequence[ChainLayer], width: Integers, by_rows: bool) -> tuple[Floats, Integers]:
    """All Q in one flat array, padded with zeros; where each layer begins (index k; 0 is unused)."""
    parts, starts, at = [], [0], 0
    for k, layer in enumerate(layers, 1):
        q = np.array(layer.quantised, dtype=np.float64).reshape(len(layer.rows), len(layer.exponents))
        shape = (len(q) + 1, width[k - 1]) if by_rows else (q.shape[1], width[k])
        part = np.zeros(shape)
        own = q if by_rows else q.T
        part[: own.shape[0], : own.shape[1]] = own
        parts.append(part.ravel())
        starts.append(at)
        at += part.size
    flat = _zeros(at)
    np.concatenate(parts, out=flat)
    return flat, np.array(starts)


def _sigma(layers: Sequence[ChainLayer], width: Integers, grid: Sequence[int]) -> Floats:
    """sigma 2^(G+24) of all layers in one flat array, in the places that `_matrices` gives to the rows of Q."""
    parts = []
    for layer, columns, exponent in zip(layers, width, grid, strict=False):
        part = np.zeros((len(layer.rows) + 1, columns))
        if layer.slack:
            own = np.array(layer.slack)
            part[: own.shape[0], : own.shape[1]] = np.ldexp(own, exponent + 24)
        parts.append(part.ravel())
    return np.concatenate(parts)


def _gathered_sizes(size: Integers, width: Integers) -> Integers:
    """[k] room for the part of layer k's matrix that is alive at a node; 0 where none is needed, or it would be too large.

    The first layer's columns are never dead, and no row comes through the last layer.
    """
    sizes = size * np.concatenate([[0], width[:-1]])
    sizes[[1, -1]] = 0
    return np.where(sizes > MAX_GATHERED, 0, sizes)


def _difference_ranges(layers: Sequence[ChainLayer]) -> tuple[Integers, Integers]:
    """Where the difference neurons of each source begin and end: they stand side by side."""
    ends = [(min(layer.partners, default=0), max(layer.partners, default=-1) + 1) for layer in layers]
    return np.array([0, *(first for first, _ in ends)]), np.array([0, *(end for _, end in ends)])


def _system(chain: Chain, grid: Sequence[int], goals: Sequence[Goal], steps: int) -> System:
    layers, count = chain.layers, len(chain.layers)
    size = np.array([chain.width(h) for h in range(count + 1)])
    width = np.array([padded(n) for n in size])
    start = np.concatenate([[0], np.cumsum(width)[:-1]])
    scale, delta, bias_delta = np.zeros(width.sum()), np.zeros(width.sum()), np.zeros(count + 1)
    for k, layer in enumerate(layers, 1):
        place = slice(start[k - 1], start[k - 1] + size[k - 1])
        scale[place] = np.ldexp(1.0, -np.array(layer.exponents)[:-1])
        deltas = np.ldexp(layer.errors, grid[k - 1] + 24)
        delta[place], bias_delta[k] = deltas[:-1], np.ceil(deltas[-1])
    rounds = any(layer.slack for layer in layers)
    kind, partner = np.zeros(width.sum(), np.uint8), np.zeros(width.sum(), np.int64)
    for k, layer in enumerate(layers, 1):
        kind[[start[k] + i for i in layer.linear]] = LINEAR
        for i, p in layer.partners.items():
            kind[start[k] + i], partner[start[k] + i] = DIFFERENCE, p
    targets = np.array([target for goal in goals for target in goal.targets], dtype=np.int64)
    rows, row_start = _matrices(layers, width, by_rows=True)
    columns, column_start = _matrices(layers, width, by_rows=False)
    gathered = _gathered_sizes(size, width)
    return System(
        size, width, start, np.array([0, *grid]), rows, row_start, columns, column_start,
        np.where(gathered > 0, np.cumsum(gathered) - gathered, -1), scale,
        np.array([0, *(layer.exponents[-1] for layer in layers)]), delta, bias_delta, rounds,
        _sigma(layers, width, grid) if rounds else np.zeros(1), kind, partner,
        np.ldexp(1.0, [0, *(layer.shift for layer in layers)]), *_difference_ranges(layers),
        np.array([goal.layer for goal in goals]), np.cumsum([0, *(len(goal.targets) for goal in goals)]),
        np.array([t for goal in goals for t in goal.thresholds], dtype=np.float64), targets[:, 0].copy(),
        targets[:, 1].astype(np.float64), steps,
    )  # fmt: skip


_BY_ROW_AND_PLACE = ("p", "a", "term", "mu")
_BY_ROW = ("value", "weight", "rounding", "largest", "factor", "scaling", "total_term", "magnitude")
_BY_NEURON = ("reach", "z")
_BY_SOURCE = ("alives", "span", "first_difference", "end_difference", "charge_shift")
_BY_PLACE = (
    "scale", "rise", "fall", "lower", "upper", "rise_near", "rise_far", "fall_near", "fall_far", "rise_constant",
    "fall_constant", "charge", "alive_charge", "point",
)  # fmt: skip
_BY_TARGET = ("constant", "unit", "share", "mix")


def _work(system: System) -> Work:
    goals, inputs, targets = len(system.goal_layer), int(system.size[0]), int(np.diff(system.goal_first).max())
    wide, places, sources = int(system.width.max()), int(system.width.sum()), len(system.size)
    arrays: dict[str, Any] = {
        **{name: _zeros(ROWS, wide) for name in _BY_ROW_AND_PLACE},
        **{name: np.zeros(ROWS) for name in _BY_ROW},
        **{name: _zeros(wide) for name in _BY_NEURON},
        **{name: np.zeros(sources, np.int64) for name in _BY_SOURCE},
        **{name: _zeros(places) for name in _BY_PLACE},
        **{name: np.zeros(targets) for name in _BY_TARGET},
    }
    work = Work(
        **arrays,
        exponent=np.zeros(ROWS, np.int64),
        void=np.zeros(ROWS, np.uint8),
        lane=np.zeros(ROWS, np.int64),
        neuron=np.zeros(max(ROWS, wide), np.int64),
        needed=np.zeros(wide, np.uint8),
        chosen=np.zeros(wide, np.int64),
        alive=np.zeros(places, np.int64),
        row_place=np.zeros(places, np.int64),
        total=np.zeros(sources),
        error=np.zeros(sources),
        gathered=_zeros(_gathered_sizes(system.size, system.width).sum()),
        default=arrays["rise"][np.newaxis],
        slopes=_zeros(LANES, places),
        kept=_zeros(LANES, places),
        goal=np.zeros(LANES, np.int64),
        best=np.zeros((LANES, inputs)),
        best_value=np.zeros(LANES),
        best_exponent=np.zeros(LANES, np.int64),
        left_low=np.zeros((goals, inputs)),
        left_high=np.zeros((goals, inputs)),
        tilt=np.zeros((targets, inputs)),
        upper_end=np.zeros(inputs),
    )
    places = int(system.width[0])  # nothing of the input is dead
    work.alive[:places] = np.minimum(np.arange(places), inputs)
    work.alives[0], work.span[0], work.scale[:places], work.total[0] = inputs, places, system.scale[:places], inputs
    prepare_error(system, work, 0, np.ones(int(system.width[0])))
    return work


def _pool(nodes: int, inputs: int, places: int, goals: int) -> Pool:
    boxes, bounds = (nodes, inputs), (nodes, places)
    return Pool(
        np.zeros(boxes),
        np.zeros(boxes),
        np.zeros(bounds),
        np.zeros(bounds),
        np.zeros((nodes, goals), np.uint8),
    )


def _fits(chain: Chain, bounds: Sequence[tuple[list[float], list[float]]]) -> bool:
    """Whether exponents are small enough for the argument at the head of this file."""
    exponents = [c for layer in chain.layers for c in layer.exponents]
    slacks = [row for layer in chain.layers for row in layer.slack]
    numbers = [b for pair in bounds for side in pair for b in side]
    numbers += [end for row in slacks for end in (max(row), min(filter(None, row), default=0.0))]
    sizes = [math.frexp(b)[1] for b in numbers if b != 0.0]
    return (
        len(chain.layers) <= (MAX_ROUNDED_LAYERS if slacks else MAX_LAYERS)
        and max(map(abs, exponents), default=0) <= MAX_COLUMN_EXPONENT
        and max(map(abs, sizes), default=0) <= MAX_BOUND_EXPONENT
    )


class FastArithmetic:
    """Visits the nodes of one tree, a batch at a time on all cores. See `walk` for the protocol; a node is a slot."""

    batch = BATCH

    def __init__(
        self,
        chain: Chain,
        grid: Sequence[int],
        goals: Sequence[Goal],
        steps: int,
        bounds: Sequence[tuple[list[float], list[float]]],
    ) -> None:
        if not goals or not _fits(chain, bounds):
            raise OutOfRange
        self.input_size = chain.input_size
        self._deepest = max(goal.layer for goal in goals)
        part = Chain(chain.input_size, chain.layers[: self._deepest])  # later layers play no part
        self._system = _system(part, grid[: self._deepest], goals, steps)
        threads = min(os.cpu_count() or 1, 64)
        self._works = [_work(self._system) for _ in range(threads)]
        self._threads = ThreadPoolExecutor(threads)
        places = int(self._system.width[1:-1].sum())
        self._shape = (chain.input_size, places, len(goals))
        self.pool = _pool(0, *self._shape)
        self._free: list[int] = []

    def _take(self) -> int:
        """A free slot; the pool doubles where there is none."""
        if not self._free:
            old, size = self.pool, len(self.pool.low)
            self.pool = _pool(max(64, 2 * size), *self._shape)
            for name in Pool._fields:
                getattr(self.pool, name)[:size] = getattr(old, name)
            self._free = list(range(len(self.pool.low) - 1, size - 1, -1))
        return self._free.pop()

    def root(self, bounds: Sequence[tuple[list[float], list[float]]]) -> int:
        """The node of the whole domain, from the root bounds of layers 1, 2, ..."""
        slot, system = self._take(), self._system
        self.pool.low[slot], self.pool.high[slot], self.pool.open[slot] = 0.0, float(FULL), 1
        for k in range(1, self._deepest):
            first = int(system.start[k] - system.width[0])
            place = slice(first, first + int(system.size[k]))
            self.pool.lower[slot, place], self.pool.upper[slot, place] = bounds[k - 1]
        return slot

    def visit(self, batch: Sequence[tuple[int, int]]) -> list[Outcome[int]]:
        """Visits nodes with their symbols."""
        jobs = np.array([(slot, self._take() if self._splits(symbol) else slot, symbol) for slot, symbol in batch])
        results = np.zeros((len(batch), 2), dtype=np.int64)
        step = min(len(self._works), len(batch))
        calls = [
            self._threads.submit(visit_all, self._system, work, self.pool, jobs, results, begin, step)
            for begin, work in enumerate(self._works[:step])
        ]
        for call in calls:
            call.result()
        return [self._outcome(*job, *result) for job, result in zip(jobs.tolist(), results.tolist(), strict=True)]

    def _splits(self, symbol: int) -> bool:
        """Whether a symbol is that of a split; there are three kinds of leaves."""
        return 0 < symbol <= self.input_size

    def _outcome(self, slot: int, spare: int, symbol: int, status: int, goal: int) -> Outcome[int]:
        if status == OUT:
            raise OutOfRange
        if not status and self._splits(symbol):
            return Outcome(children=(slot, spare))
        refuted = not status and symbol == self.input_size + 2
        outcome = Outcome[int](leaf=self._state(slot)) if refuted else Outcome[int](status, goal)
        self._free += {slot, spare}
        return outcome

    def _state(self, slot: int) -> LeafState:
        """A node that has just been visited, in integers and lists."""
        pool, system = self.pool, self._system
        low, high = ([int(end) for end in side[slot]] for side in (pool.low, pool.high))
        first = [int(start - system.width[0]) for start in system.start]
        places = [slice(first[k], first[k] + int(system.size[k])) for k in range(1, self._deepest)]
        lower, upper = ([side[slot, place].tolist() for place in places] for side in (pool.lower, pool.upper))
        return LeafState(low, high, lower, upper, tuple(np.flatnonzero(pool.open[slot]).tolist()))
