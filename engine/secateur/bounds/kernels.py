"""Sub-domains: refresh, goals, contraction and splits of a batch (FORMAT.md, sections 5 and 6).

A *goal* is a set of target rows s z of one layer, and what is to be shown on a sub-domain is that they are not all negative (or
not all <= 0) at once: some sum of them with weights >= 0 is not. A claim about a neuron's phase is a goal of one row.

Plain arrays in, plain arrays changed in place; the typed layer is bounds/batch.py. Start reading at `evaluate_batch`. Bounds come
from rows.py and are exact; only what *chooses* slopes (propagation.py), and the split score, round, and the former do so in a
fixed order of IEEE operations, which a checker repeats.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from secateur.bounds.goals import Work, try_goals
from secateur.bounds.powers import kernel
from secateur.bounds.quantised import KernelNetwork
from secateur.bounds.refresh import refresh
from secateur.bounds.relaxing import prepare_relaxation
from secateur.bounds.rows import pack, set_reach
from secateur.bounds.scratch import new_scratch

__all__ = ["Work", "evaluate_batch"]

CALLS_INTO = "f2995af7c209670e"  # a digest of what this file calls into (see powers.py)
_INTEGER = np.int64
"""Plain literals as arguments would make numba compile a function once more for each value."""


@kernel
def _best_split(kmax, net, lower, upper, s):
    """The coordinate whose halving promises most; -2 where none is wider than one grid step.

    Score: sum over unstable neurons of loss x |input coefficient| x width / (u - l), plus a quarter of the claim rows'
    |coefficient| x width. Any choice is sound.
    """
    n = net.sizes[0]
    for v in range(net.neurons[kmax]):
        if s.losses[v] > 0.0:
            share = s.losses[v] / (np.float64(upper[v]) - np.float64(lower[v]))
            for i in range(n):
                s.scores[i] += share * s.influence[v, i]
    best, choice = -1.0, -2
    for i in range(n):
        width = s.new_high[i] - s.new_low[i]
        score = s.scores[i] * width
        if width >= 2.0 and score > best:
            best, choice = score, i
    return choice


@kernel
def _tighten(b, net, work, s):
    """Refresh all layers before the last that an open goal is about. Returns that layer, or -1 on contradictory bounds."""
    kmax = 0
    for g in range(len(work.goals)):
        if work.open_goals[b, g]:
            kmax = max(kmax, work.targets[work.goals[g, 0], 0])
    lower, upper = work.lower[b], work.upper[b]
    s.influence[: net.neurons[kmax]] = 0.0
    s.losses[: net.neurons[kmax]] = 0.0
    s.scores[:] = 0.0
    if kmax > 0:
        set_reach(_INTEGER(0), net, lower, upper, s)
    for k in range(1, kmax):
        if not refresh(k, net, work.box_low[b], work.box_high[b], lower, upper, s):
            return -1
        prepare_relaxation(k, net, lower, upper, s)
        pack(k, net, s)
        set_reach(k, net, lower, upper, s)
    return kmax


@kernel
def _evaluate(b, net, work, s):
    """One node: refresh, goals, contraction, split choice (FORMAT.md, section 6)."""
    kmax = _tighten(b, net, work, s)
    if kmax < 0:
        work.split[b] = -3
        return
    low, high = work.box_low[b], work.box_high[b]
    for i in range(net.sizes[0]):
        s.new_low[i], s.new_high[i] = high[i], low[i]
    if try_goals(b, net, work, s) == 0:
        work.split[b] = -1
        return
    work.split[b] = _best_split(kmax, net, work.lower[b], work.upper[b], s)
    for i in range(net.sizes[0]):
        low[i], high[i] = s.new_low[i], s.new_high[i]


@njit(cache=True, parallel=True, nogil=True)
def evaluate_batch(net: KernelNetwork, work: Work, workers: int) -> None:
    """Evaluate every sub-domain of a batch, in place; `workers` slices run side by side, each with its own scratch."""
    batch = len(work.box_low)
    for w in prange(workers):
        s = new_scratch(net)
        for b in range(w, batch, workers):
            _evaluate(b, net, work, s)
