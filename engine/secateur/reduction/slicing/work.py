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
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from secateur.bounds import Claim, set_threads, warmup
from secateur.certificate import interval_evidence
from secateur.certificate.family import WrittenFacts, written_facts
from secateur.errors import InputError
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.network.model import Interface
from secateur.reduction.facts import Facts, Phase
from secateur.reduction.rewrite import rewrite
from secateur.reduction.size import network_size
from secateur.reduction.slicing.ledger import Ledger, SliceRecord, SliceStatistics
from secateur.search import SlicePhases, decide_slice
from secateur.specification import Domain
from secateur.version import version

__all__ = ["SliceTask", "make_slice", "prepare_worker"]


@dataclass(frozen=True)
class SliceTask:
    """A slice to be made. folder : the run's. name : in the ledger. sha256 : of the original. seconds : for its phases."""

    folder: Path
    name: str
    sha256: str
    box: Domain
    known: tuple[Claim, ...]
    seed: int
    seconds: float
    turn: int


def prepare_worker() -> None:
    """For a process that works on slices: Ctrl-C is the run's to hear, and nobody stays when the run is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.join,), daemon=True).start()


def _end_with(ended: Callable[[], None]) -> None:
    ended()
    os._exit(1)


def make_slice(task: SliceTask) -> SliceStatistics:
    """Decide phases, rewrite, file the result. InputError where the network cannot be rewritten exactly."""
    begun = time.monotonic()
    ledger = Ledger(task.folder)
    network = _network(ledger.model)
    seed = (task.seed, int(task.name[:12], 16))
    phases = decide_slice(network, task.box, task.known, seed, task.seconds, lambda: ledger.stopped)
    searched = time.monotonic() - begun
    facts = written_facts(phases.evidence, network.input_size)
    data = _reduced(network, task, facts)
    small = parse_onnx(data, "slice")
    reduced = written_facts(interval_evidence(small, task.box), network.input_size)
    statistics = _statistics(small, phases, facts, task, (time.monotonic() - begun, searched))
    earlier = ledger.slice(task.name)
    if earlier is not None and earlier.statistics.parameters <= statistics.parameters:  # a second turn need not be luckier
        statistics = replace(earlier.statistics, turn=task.turn)
        ledger.keep(task.name, replace(earlier, statistics=statistics))
    else:
        ledger.keep(task.name, SliceRecord(facts, reduced, len(small.layers), data, statistics))
    return statistics


@lru_cache(maxsize=1)
def _network(path: Path) -> Network:
    """The network of the run, read once in a process; kernels are compiled, and use one thread: every core has its own slice."""
    network = parse_onnx(path.read_bytes(), str(path))
    warmup()
    set_threads(1)
    return network


def _reduced(network: Network, task: SliceTask, facts: WrittenFacts) -> bytes:
    signs = {(k, i): sign for k, i, sign in (*task.known, *facts.claims)}
    words = {-1: Phase.INACTIVE, 1: Phase.ACTIVE, 0: Phase.UNSTABLE}
    phases = [[words[signs.get((k, i), 0)] for i in range(size)] for k, size in enumerate(network.sizes, start=1)]
    small = rewrite(network, Facts(task.box.lower, task.box.upper, phases)).network
    # Nothing that depends on the box: slices that are the same network are the same file.
    provenance = {"secateur.version": version(), "secateur.source_sha256": task.sha256}
    try:
        return to_model_bytes(replace(small, interface=_in_batches(small)), provenance=provenance)
    except ValueError as error:
        kind = network.interface.element_type
        raise InputError(f"the network cannot be written exactly in {kind} ({error})", remedy="it cannot be sliced") from None


def _in_batches(network: Network) -> Interface:
    """The ports of the network, the first axis free where the file says that it is 1: rows are evaluated together."""
    ports = network.interface
    if ports.input_shape[:1] != (1,) or ports.output_shape[:1] != (1,):
        return ports
    return replace(ports, input_shape=(None, *ports.input_shape[1:]), output_shape=(None, *ports.output_shape[1:]))


def _statistics(
    small: Network, phases: SlicePhases, facts: WrittenFacts, task: SliceTask, times: tuple[float, float]
) -> SliceStatistics:
    size = network_size(small)
    proven = len({c[:2] for c in (*task.known, *facts.claims)})
    seconds, searched = times
    return SliceStatistics(
        size.parameters, size.neurons, len(phases.undecided), proven, phases.nodes, seconds, searched, task.turn
    )
