"""What a user of the files will see: agreement and latency in onnxruntime. Measured, not proven.

Differences are expected even where the two networks are equal over the reals, because each file is evaluated in
its own element type. How much that may be is estimated on the same points, by the distance of each file from a
float64 evaluation of its network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.network import Network, Replay
from secateur.specification import Domain

__all__ = ["Agreement", "Latencies", "measure_agreement", "measure_latency", "random_points", "take_turns"]

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
    """Largest difference between two files over random points, and how much of it rounding may explain."""

    points: int
    max_difference: float
    noise: float


def measure_agreement(
    original: tuple[Network, bytes], reduced: tuple[Network, bytes], domain: Domain, points: int, seed: int
) -> Agreement:
    """Run both files on random points of the domain, a third of the coordinates on its faces.

    Points are numbers of the input's element type inside the domain; where a side of it holds no such number,
    the nearest one outside. Networks that are too slow for `points` points in four seconds get fewer.
    """
    sides = [(network, Replay(data)) for network, data in (original, reduced)]
    low, high = _representable_box(domain, original[0].interface.element_type)
    random = np.random.default_rng(seed)
    done, difference, noise, end = 0, 0.0, 0.0, time.monotonic() + _LONGEST
    while done < points and (not done or time.monotonic() < end):
        batch = random_points(random, low, high, min(_CHUNK, points - done))
        got = [replay.evaluate(batch) for _, replay in sides]
        exact = [network.forward(batch) for network, _ in sides]
        drift = sum(np.abs(g - e) for g, e in zip(got, exact, strict=True)) + _REFERENCE * np.abs(exact).max()
        difference = max(difference, float(np.abs(got[0] - got[1]).max()))
        noise = max(noise, float(drift.max()))
        done += len(batch)
    return Agreement(done, difference, noise)


def _representable_box(domain: Domain, element_type: str) -> tuple[Floats, Floats]:
    """The largest box inside the domain whose corners are numbers of the type, as float64."""
    low = np.array([_inward(float(v), v, element_type, up=True) for v in domain.lower])
    high = np.array([_inward(float(v), v, element_type, up=False) for v in domain.upper])
    return np.minimum(low, high), np.maximum(low, high)


def _inward(near: float, exact: Any, element_type: str, *, up: bool) -> float:
    kind = np.dtype(element_type).type
    value = kind(near)
    if (float(value) < exact) if up else (float(value) > exact):
        value = np.nextafter(value, kind(np.inf if up else -np.inf))
    return float(value)


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
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [n if isinstance(n, int) and n > 0 else 1 for n in port.shape]
    if batch > 1 and (not port.shape or isinstance(port.shape[0], int)):
        return None
    middle = np.array([float((lo + hi) / 2) for lo, hi in zip(domain.lower, domain.upper, strict=True)])
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
    shape = [batch, *shape[1:]] if batch > 1 else shape
    feed = {port.name: np.resize(middle, shape).astype(kinds[port.type])}

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
