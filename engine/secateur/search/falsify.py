"""Falsification: points of the domain that show a neuron both ways, and what is left to prove.

Sampling finds the bulk, corners and gradient ascent on pre-activations the rest; floats only propose, exact evaluation
decides. All points lie on the grid x = lower + (upper - lower) q / 2**24, so they are in the domain by construction.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import GRID_BITS, Claim
from secateur.network import ExactTrace, Network
from secateur.specification import Domain

__all__ = ["Falsifier"]

Floats = NDArray[np.float64]

_UNIT = 1 << GRID_BITS
_SAMPLES = 100_000
_CHUNK, _LEAST_CHUNK = 10_000, 100
_CHUNK_PRODUCTS = 5e8
"""Multiplications of one batch of points: some tenths of a second."""
_CORNERS = 2_000
_STARTS = 48
_ROUNDS = 60
_MOST_ATTACKS = 4
_LEAK = 0.1
"""Gradients alternate between exact and leaky ReLUs: a dead neuron gives no direction otherwise."""
_CLEAR = 1e-9
"""Relative distance from 0 below which a float evaluation is not worth an exact replay."""


@dataclass(eq=False)
class Falsifier:
    """Exact witnesses for the signs of pre-activations, collected over a run.

    points : exact points in the order found.
    positive, negative : for (layer from 1, neuron) the index of a point where z > 0, z < 0.
    """

    network: Network
    domain: Domain
    seed: int
    points: list[tuple[Fraction, ...]] = field(default_factory=list)
    positive: dict[tuple[int, int], int] = field(default_factory=dict)
    negative: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._low = np.array([float(v) for v in self.domain.lower])
        self._width = np.array([float(v) for v in self.domain.widths()])
        self._rng = np.random.default_rng(self.seed)

    def is_refuted(self, claim: Claim) -> bool:
        """Whether a witness against the claim is known."""
        layer, neuron, sign = claim
        return (layer, neuron) in (self.positive if sign < 0 else self.negative)

    def open_claims(self) -> list[Claim]:
        """Per neuron without witnesses for both signs, the claim to prove: inactive where z > 0 was never seen, else active."""
        claims = []
        for k, size in enumerate(self.network.sizes, start=1):
            for i in range(size):
                if (k, i) not in self.positive:
                    claims.append((k, i, -1))
                elif (k, i) not in self.negative:
                    claims.append((k, i, 1))
        return claims

    def replay(self, grid_point: Sequence[int]) -> ExactTrace:
        """Evaluate one grid point exactly and keep every sign it shows that was not known."""
        return self.replay_point(
            tuple(
                low + width * Fraction(int(q), _UNIT)
                for low, width, q in zip(self.domain.lower, self.domain.widths(), grid_point, strict=True)
            )
        )

    def replay_point(self, point: tuple[Fraction, ...]) -> ExactTrace:
        """The same for any rational point of the domain; ValueError for a point outside."""
        if not self.domain.contains(point):
            raise ValueError("a witness must lie in the domain")
        trace = self.network.exact(point)
        fresh = False
        for k, layer in enumerate(trace.pre_activations, start=1):
            for i, z in enumerate(layer):
                known = self.positive if z > 0 else self.negative if z < 0 else None
                if known is not None and (k, i) not in known:
                    known[k, i] = len(self.points)
                    fresh = True
        if fresh:
            self.points.append(point)
        return trace

    def attack(self, claims: Iterable[Claim], deadline: float) -> None:
        """Ascend again and again as long as that refutes claims, at most until the deadline (`time.monotonic`)."""
        left = list(claims)
        for _ in range(_MOST_ATTACKS):
            self.ascend(left, deadline)
            before, left = len(left), [c for c in left if not self.is_refuted(c)]
            if len(left) == before:
                break

    def sample(self, deadline: float) -> None:
        """Random points and corners: the bulk of the witnesses, few points that show many signs first.

        Stops at the deadline (`time.monotonic`); networks of many weights get fewer points.
        """
        if not self.network.neuron_count:
            return
        n = self.network.input_size
        chunk = max(_LEAST_CHUNK, min(_CHUNK, int(_CHUNK_PRODUCTS / self._products())))
        corners = self._rng.integers(0, 2, (min(_CORNERS, chunk), n)) * _UNIT
        self._cover(np.concatenate([corners, self._rng.integers(0, _UNIT + 1, (chunk, n))]), deadline)
        for _ in range(_SAMPLES // _CHUNK):
            if time.monotonic() < deadline:
                self._cover(self._rng.integers(0, _UNIT + 1, (chunk, n)), deadline)

    def ascend(self, claims: Iterable[Claim], deadline: float) -> None:
        """Gradient ascent towards a violation of each claim that is not refuted yet, from many starts."""
        most = max(1, int(_CHUNK_PRODUCTS / self._products()) // _STARTS)
        by_layer: dict[int, list[Claim]] = {}
        for claim in claims:
            by_layer.setdefault(claim[0], []).append(claim)
        for layer, group in sorted(by_layer.items()):
            open_group = [c for c in group if not self.is_refuted(c)]
            for first in range(0, len(open_group), most):
                if time.monotonic() < deadline:
                    self._ascend_layer(layer, open_group[first : first + most], deadline)

    def _products(self) -> int:
        """Multiplications of one evaluation, about."""
        return 1 + sum(term.map.in_size * layer.size for layer in self.network.layers for term in layer.terms)

    def _float_points(self, grid: NDArray[np.int64] | Floats) -> Floats:
        return self._low + self._width * (grid / _UNIT)

    def _cover(self, grid: NDArray[np.int64], deadline: float) -> None:
        """Replay points that show unknown signs, greedily those that show most."""
        values = np.concatenate(self.network.pre_activations(self._float_points(grid)), axis=1)
        names = [(k, i) for k, size in enumerate(self.network.sizes, start=1) for i in range(size)]
        scale = _CLEAR * np.abs(values).max(axis=0, initial=0.0)
        shows = np.concatenate([values > scale, values < -scale], axis=1)
        wanted = np.array([v not in self.positive for v in names] + [v not in self.negative for v in names], dtype=bool)
        shows &= wanted
        while shows.any() and time.monotonic() < deadline:
            best = int(shows.sum(axis=1).argmax())
            gained = shows[best].copy()
            self.replay(grid[best])
            shows &= ~gained

    def _ascend_layer(self, layer: int, claims: Sequence[Claim], deadline: float) -> None:
        neurons = np.array([c[1] for c in claims])
        signs = np.array([-float(c[2]) for c in claims])  # ascend on sign * z
        chunk = max(_LEAST_CHUNK, min(_CHUNK, int(_CHUNK_PRODUCTS / self._products())))
        pool = self._rng.integers(0, _UNIT + 1, (chunk, self.network.input_size))
        values = self.network.pre_activations(self._float_points(pool))[layer - 1][:, neurons] * signs
        starts = np.argsort(-values, axis=0)[:_STARTS]
        best = pool[starts.T.ravel()] / _UNIT  # normalised points, _STARTS per claim
        reached = np.take_along_axis(values, starts, axis=0).T.ravel()
        target = np.repeat(np.arange(len(claims)), starts.shape[0])
        current = best.copy()
        for turn in range(_ROUNDS):
            if time.monotonic() >= deadline:
                return
            traces = self.network.pre_activations(self._low + self._width * current)
            value = traces[layer - 1][np.arange(len(target)), neurons[target]] * signs[target]
            better = value > reached
            best[better], reached[better] = current[better], value[better]
            if not self._keep_refuting(claims, target, best, reached):
                return
            gradient = self._gradient(layer, neurons[target], signs[target], best, leaky=bool(turn % 2))
            current = np.clip(best + self._steps(gradient, turn), 0.0, 1.0)

    def _keep_refuting(self, claims: Sequence[Claim], target: NDArray[np.intp], best: Floats, reached: Floats) -> bool:
        """Replay new violations; whether some claim still stands."""
        for c, claim in enumerate(claims):
            if self.is_refuted(claim):
                continue
            mine = np.flatnonzero(target == c)
            top = mine[reached[mine].argmax()]
            if reached[top] > 0:
                self.replay(np.rint(best[top] * _UNIT).astype(np.int64))
        return any(not self.is_refuted(claim) for claim in claims)

    def _steps(self, gradient: Floats, turn: int) -> Floats:
        """Signed steps of random length, and every third time along the gradient itself."""
        size: Floats = self._rng.choice([0.1, 0.03, 0.01, 0.001], (len(gradient), 1))
        if turn % 3:
            direction: Floats = np.sign(gradient) * self._rng.uniform(0.0, 1.0, (len(gradient), 1))
        else:
            largest = np.abs(gradient).max(axis=1, keepdims=True)
            direction = gradient / np.where(largest > 0, largest, 1.0)
        return direction * size

    def _gradient(self, layer: int, neurons: NDArray[np.int64], signs: Floats, points: Floats, *, leaky: bool) -> Floats:
        """Gradient of sign * z at normalised points, one target neuron per point."""
        traces = self.network.pre_activations(self._low + self._width * points)
        sources: list[Floats | None] = [None] * layer
        self._pull(layer, neurons, signs, sources)
        for k in range(layer - 1, 0, -1):
            upstream = sources[k]
            if upstream is not None:
                slope = np.where(traces[k - 1] > 0, 1.0, _LEAK if leaky else 0.0)
                self._push(k, upstream * slope, sources)
        gradient = sources[0]
        return np.zeros_like(points) if gradient is None else gradient * self._width

    def _pull(self, layer: int, neurons: NDArray[np.int64], signs: Floats, sources: list[Floats | None]) -> None:
        for term in self.network.layers[layer - 1].terms:
            sources[term.source] = term.map.dense().weight[neurons] * signs[:, None]

    def _push(self, layer: int, upstream: Floats, sources: list[Floats | None]) -> None:
        for term in self.network.layers[layer - 1].terms:
            part = upstream @ term.map.dense().weight
            earlier = sources[term.source]
            sources[term.source] = part if earlier is None else earlier + part
