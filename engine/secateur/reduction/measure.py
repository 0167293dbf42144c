"""What a user of the files will see: agreement and latency in onnxruntime. Measured, not proven.

Differences are expected even where the two networks are equal over the reals, because each file is evaluated in
its own element type. How much that may be is estimated on the same points, by the distance of each file from a
float64 evaluation of its network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secateur.family import representable_box
from secateur.network import Network, Replay
from secateur.session import Port, opened
from secateur.specification import Domain
from secateur.specification.comparison import Decision

__all__ = ["Agreement", "Latencies", "agreement_of", "measure_agreement", "measure_latency", "random_points", "take_turns"]

Floats = NDArray[np.float64]

#: Batch size (as text, for JSON) to median and 95th percentile, microseconds per call.
Latencies = dict[str, tuple[float, float]]

BATCHES = (1, 64)
_CHUNK = 1_000  # points at once
_LONGEST = 4.0  # seconds for all points together: large networks, and files that take one point a call, get fewer
_ROUNDS, _CALLS = 40, 5  # original and reduced take turns, so that both see the same machine
_LATENCY_SECONDS = 0.4  # per batch size
_REFERENCE = 2.0**-40  # of the largest output: far above what float64 loses, far below what float32 does


@dataclass(frozen=True)
class Agreement:
    """How far two files are apart on random points.

    points : that were compared. overflows : further points, left out because a value there is beyond an element type.
    max_difference : of an output. noise : how much of it rounding may explain. changed : points at which another output wins, and
    no rounding explains it; None where the claim is not about decisions.
    """

    points: int
    overflows: int
    max_difference: float
    noise: float
    changed: int | None = None

    def __add__(self, other: Agreement) -> Agreement:
        changed = None if self.changed is None or other.changed is None else self.changed + other.changed
        return Agreement(
            self.points + other.points,
            self.overflows + other.overflows,
            max(self.max_difference, other.max_difference),
            max(self.noise, other.noise),
            changed,
        )


def agreement_of(got: Sequence[Floats], exact: Sequence[Floats], decision: Decision | None = None) -> Agreement:
    """Compare what two files return for the same points, `got`; `exact` : float64 values of those networks whose rounding counts.

    Each of shape (points, outputs).
    """
    finite = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in (*got, *exact)])
    first, second = (values[finite] for values in got)
    if not len(first):
        return Agreement(0, len(finite), 0.0, 0.0, None if decision is None else 0)
    true = [values[finite] for values in exact]
    own_error = _REFERENCE * max(np.abs(e).max() for e in true)
    drift = own_error + sum(np.abs(g - e) for g, e in zip((first, second), true, strict=False))
    changed = None if decision is None else _changed(first, second, drift.max(axis=1), decision)
    return Agreement(len(first), int((~finite).sum()), float(np.abs(first - second).max()), float(drift.max()), changed)


def _changed(first: Floats, second: Floats, drift: Floats, decision: Decision) -> int:
    """Points whose winner leads by more than the margin in `first` and loses in `second`, whatever rounding did to either."""
    sign = 1.0 if decision.rule == "argmax" else -1.0
    rows = np.arange(len(first))
    winner = (sign * first).argmax(axis=1)
    leads = []
    for values in (first, second):
        others = sign * values
        own = others[rows, winner]
        others[rows, winner] = -np.inf
        leads.append(own - others.max(axis=1))
    return int(((leads[0] > float(decision.margin) + 2 * drift) & (leads[1] < -2 * drift)).sum())


def measure_agreement(
    original: tuple[Network, bytes],
    reduced: tuple[Network, bytes],
    domain: Domain,
    points: int,
    seed: int,
    decision: Decision | None = None,
) -> Agreement:
    """Run both files on random points of the domain, a third of the coordinates on its faces.

    Points are numbers of the input's element type inside the domain; where a side of it holds no such number,
    the nearest one outside. Networks that are too slow for `points` points in four seconds get fewer.
    decision : what must not change, where the claim is about decisions.
    """
    sides = [(network, Replay(data)) for network, data in (original, reduced)]
    kind = np.dtype(original[0].interface.element_type).type
    low, high = (side.astype(np.float64) for side in representable_box(domain.lower, domain.upper, kind))
    random = np.random.default_rng(seed)
    found, done, end = Agreement(0, 0, 0.0, 0.0, None if decision is None else 0), 0, time.monotonic() + _LONGEST
    while done < points and (not done or time.monotonic() < end):
        batch = random_points(random, low, high, min(_CHUNK, points - done))
        got, exact = [replay.evaluate(batch) for _, replay in sides], [network.forward(batch) for network, _ in sides]
        found += agreement_of(got, exact, decision)
        done += len(batch)
    return found


def random_points(random: np.random.Generator, low: Floats, high: Floats, count: int) -> Floats:
    """Points of a box, a third of the coordinates on its faces."""
    share = random.random((count, len(low)))
    faces = random.random(share.shape) < 1 / 3
    return np.clip(low + (high - low) * np.where(faces, np.round(share), share), low, high)


def measure_latency(original: bytes, reduced: bytes, domain: Domain) -> tuple[Latencies, Latencies]:
    """Median and 95th percentile of one call on one thread, for each batch size that both files accept."""
    before: Latencies = {}
    after: Latencies = {}
    for batch in BATCHES:
        calls = [_call(data, domain, batch) for data in (original, reduced)]
        if calls[0] is not None and calls[1] is not None:
            before[str(batch)], after[str(batch)] = take_turns(calls[0], calls[1])
    return before, after


def _call(data: bytes, domain: Domain, batch: int) -> Callable[[], object] | None:
    """One evaluation of the middle of the domain, or None where the file does not take such a batch."""
    session = opened(data, "the network")
    port = Port.of(session.get_inputs()[0], "the network")
    if batch > 1 and not port.dynamic:
        return None
    middle = np.array([float((lo + hi) / 2) for lo, hi in zip(domain.lower, domain.upper, strict=True)])
    with np.errstate(over="ignore"):  # a point beyond the type takes as long
        feed = {port.name: port.fed(np.tile(middle, (batch, 1)))}

    def call() -> object:
        return session.run(None, feed)

    try:
        call()
    except Exception:  # onnxruntime's exceptions have no closer base class; here: a reshape that fixed the batch
        return None
    return call


def take_turns(first: Callable[[], object], second: Callable[[], object]) -> list[tuple[float, float]]:
    """Median and 95th percentile of the microseconds that each call takes."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + _LATENCY_SECONDS
    for turn in range(_ROUNDS):
        if turn > 2 and time.perf_counter() > end:
            break
        for call, taken in zip((first, second), times, strict=True):
            for _ in range(_CALLS):
                begun = time.perf_counter()
                call()
                taken.append((time.perf_counter() - begun) * 1e6)
    return [(round(float(np.median(t)), 3), round(float(np.quantile(t, 0.95)), 3)) for t in times]
