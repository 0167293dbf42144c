"""One slice, from its box to its network: the work that processes share.

A worker gets a `SliceTask`, reads the network from the run's folder (once), and files what it made in the ledger before it
reports: a run that is killed at any moment loses no more than the slices in work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from secateur.bounds import Claim, set_threads, warmup
from secateur.certificate.family import NO_FACTS, written_facts
from secateur.network import parse_onnx
from secateur.reduction.relax import Effort
from secateur.reduction.removed import Name, removed_by_kind
from secateur.reduction.slicing.ledger import Ledger, SliceRecord, SliceStatistics
from secateur.reduction.slicing.relaxed import shrink_further
from secateur.reduction.slicing.shrink import Original, Shrunk, shrink
from secateur.search import EarlierTurn, SlicePhases, Until, decide_slice
from secateur.specification import Domain
from secateur.specification.comparison import Comparison, Decision

__all__ = ["SliceTask", "make_slice", "prepare_worker"]

_LEAST_RELAXING, _LEAST_ATTEMPT = 1.0, 0.1
"""Seconds for removing more than phases allow, which otherwise gets as long as the phases took; and those of one attempt."""
_SAMPLES, _STEPS = 4_096, 1
"""For an attempt: sampled points, steps of slope optimisation."""


@dataclass(frozen=True)
class SliceTask:
    """A slice to be made. folder : the run's. name : in the ledger. sha256 : of the original. seconds : for its phases.

    claim : what it has to keep, where that is less than equality.
    """

    folder: Path
    name: str
    sha256: str
    box: Domain
    known: tuple[Claim, ...]
    claim: Comparison | None
    seed: int
    seconds: float
    turn: int


def prepare_worker() -> None:
    """For a process that works on slices: Ctrl-C is the run's to hear, and nobody stays when the run is killed.

    Kernels are loaded before the first slice's time begins, and use one thread: every core has its own slice.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.join,), daemon=True).start()
    warmup()
    set_threads(1)


def _end_with(ended: Callable[[], None]) -> None:
    ended()
    os._exit(1)


def make_slice(task: SliceTask) -> SliceStatistics:
    """Decide phases, beginning with what an earlier turn proved; rewrite, remove more where the claim allows it, file the result.

    InputError where the network cannot be rewritten exactly.
    """
    begun = time.monotonic()
    ledger = Ledger(task.folder)
    original, earlier = _original(ledger.model, task.sha256), ledger.slice(task.name)
    seed = (task.seed, int(task.name[:12], 16))
    before = None if earlier is None else EarlierTurn(earlier.facts.claims, earlier.undecided)
    phases = decide_slice(original.network, task.box, task.known, seed, task.seconds, lambda: ledger.stopped, before)
    searched = time.monotonic() - begun
    if earlier is not None and task.claim is None and not phases.evidence.claims:
        record = _unchanged(earlier, phases, searched, task.turn)
    else:
        record = _rewritten(task, ledger, original, earlier, phases, searched)
        if earlier is not None and earlier.statistics.parameters < record.statistics.parameters:
            # Proofs by differences may have had luck before.
            kept = replace(earlier.statistics, turn=task.turn, searched=searched, needed=phases.needed)
            record = replace(earlier, statistics=kept)
    ledger.keep(task.name, record)
    return record.statistics


def _unchanged(earlier: SliceRecord, phases: SlicePhases, searched: float, turn: int) -> SliceRecord:
    """The slice of a turn before, where this one proved nothing more."""
    statistics = replace(
        earlier.statistics,
        undecided=len(phases.undecided),
        nodes=phases.nodes + earlier.statistics.nodes,
        seconds=searched,
        searched=searched,
        turn=turn,
        needed=phases.needed,
    )
    return replace(earlier, statistics=statistics, undecided=phases.undecided)


def _rewritten(
    task: SliceTask, ledger: Ledger, original: Original, earlier: SliceRecord | None, phases: SlicePhases, searched: float
) -> SliceRecord:
    """The slice with everything that is proven of it by now; `searched` seconds were spent on it in this turn."""
    facts = NO_FACTS if earlier is None else earlier.facts
    facts = facts.followed_by(written_facts(phases.evidence, original.network.input_size))
    claims = (*task.known, *facts.claims)
    begun = time.monotonic()
    shrunk, relaxing = shrink(original, task.box, claims), time.monotonic()
    if task.claim is not None:
        end = relaxing + max(_LEAST_RELAXING, searched)
        effort = Effort(Until(end, lambda: ledger.stopped), _LEAST_ATTEMPT, _SAMPLES, task.seed, _STEPS)
        shrunk = shrink_further(original, task.box, claims, task.claim, shrunk, effort)
    now, proven = time.monotonic(), {c[:2] for c in claims}
    statistics = SliceStatistics(
        shrunk.size.parameters,
        shrunk.size.neurons,
        len(phases.undecided),
        len(proven),
        _removed(original, shrunk, proven, task.claim),
        phases.nodes + (0 if earlier is None else earlier.statistics.nodes),
        shrunk.differences,
        searched + now - begun,
        searched,
        now - relaxing,
        task.turn,
        phases.needed,
    )
    return SliceRecord(facts, shrunk.proof, shrunk.data, statistics, phases.undecided)


def _removed(original: Original, shrunk: Shrunk, proven: Collection[Name], claim: Comparison | None) -> dict[str, int]:
    """Neurons that are gone, by kind."""
    if shrunk.rewrite is None:
        return {}
    decides = isinstance(claim, Decision)
    return removed_by_kind(original.network, shrunk.rewrite, proven, set(shrunk.linearised), decides=decides)


@lru_cache(maxsize=1)
def _original(path: Path, sha256: str) -> Original:
    """The network of the run, read once in a process."""
    return Original(path, sha256, parse_onnx(path.read_bytes(), str(path)))
