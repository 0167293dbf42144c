"""The course of a run: cut the domain, make every slice, try those again that are not decided while there is time.

Slices are made by a `concurrent.futures.Executor`, one to each worker at a time, and every one gets its share of the time that is
left; easy ones leave theirs to the others. Ctrl-C asks all workers to come to an end; slices that nobody began then keep the
original network, so the family is complete and correct whenever it ends. What is done lies in a ledger (`ledger.py`).
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from secateur.amounts import plural
from secateur.errors import InputError
from secateur.options import SliceOptions
from secateur.progress import Progress
from secateur.reduction.model_file import ModelFile
from secateur.reduction.slicing.ledger import Ledger, SliceRecord, SliceStatistics, digest
from secateur.reduction.slicing.partition import Analysis, Partition, Region, analyse_region
from secateur.reduction.slicing.work import SliceTask, make_slice
from secateur.specification import Domain

__all__ = ["MOST_SLICES", "Sliced", "slice_domain"]

MOST_SLICES = 1 << 16
"""Slices up to which `max_neurons` goes on cutting."""
_FIRST_TURN, _NEXT_TURN = 0.2, 0.5
"""Share of the time that first turns get, and share of the rest for each next one: it goes to slices that are not decided, first
to those that seem nearest to it. Claims differ a hundredfold in what they cost, and the cheap ones of all slices come first."""
_AGAIN = 2.0
"""How much longer another turn is at least: what was proven stays, but a tree that was not finished begins anew."""
_LEAST = 0.02
_CUTTING = 0.5
"""Share of the time after which no more slices are cut."""
_BEAT = 1.0
"""Seconds without news after which the progress is told again."""


@dataclass(eq=False)
class Sliced:
    """The outcome: the partition, and the ledger with every slice under its name. A slice without a name was not begun.

    late : what was left undone for want of time, in words.
    """

    partition: Partition
    ledger: Ledger
    names: dict[Region, str] = field(default_factory=dict)
    interrupted: bool = False
    late: str = ""

    def record(self, region: Region) -> SliceRecord | None:
        """What was made of a slice; None where it keeps the original network."""
        name = self.names.get(region)
        return None if name is None else self.ledger.slice(name)


class _Open(NamedTuple):
    """A region in the order in which it is cut: by unstable neurons times volume, the largest first, of equals the oldest.

    That is what the region adds to the neurons that a uniform input meets; by neurons alone, cuts pile up where many switch at
    once, and the mean over the slices is worse as well.
    """

    weight: float
    number: int
    region: Region
    coordinate: int


@dataclass(eq=False)
class _Run:
    model: ModelFile
    domain: Domain
    options: SliceOptions
    ledger: Ledger
    executor: Executor
    progress: Progress
    begun: float
    sliced: Sliced
    made: dict[Region, SliceStatistics] = field(default_factory=dict)

    @property
    def deadline(self) -> float:
        return self.begun + self.options.timeout

    def name(self, region: Region) -> str:
        return digest(self.model.sha256, region.box, region.known, self.options.claim, self.options.seed)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C ends the block and the run, and what is done so far counts."""
        try:
            yield
        except KeyboardInterrupt:
            self.sliced.interrupted = True
            self.ledger.stop()


def slice_domain(
    model: ModelFile, domain: Domain, options: SliceOptions, ledger: Ledger, executor: Executor, progress: Progress
) -> Sliced:
    """Cut the domain and make every slice. Ends by itself when all is decided, after `options.timeout` seconds or on Ctrl-C.

    A second Ctrl-C raises KeyboardInterrupt; the ledger then holds what was done. InputError where a slice cannot be written
    exactly, and where a worker died.
    """
    begun = time.monotonic()
    ledger.keep_model(model.data)
    sliced = Sliced(Partition(Region(domain)), ledger)
    run = _Run(model, domain, options, ledger, executor, progress, begun, sliced)
    try:
        progress.stage("cut")
        with run.interruptible():
            _cut(run)
        _make_all(run)
    except BaseException as error:
        ledger.stop()  # nobody waits for the slices in work
        if not isinstance(error, BrokenExecutor):
            raise
        raise InputError(
            "a worker ended unexpectedly (is there enough memory?)",
            remedy="run the same command again, it goes on from here; perhaps with fewer --jobs",
        ) from None
    sliced.names = {region: run.name(region) for region in run.made}
    return sliced


def _make_all(run: _Run) -> None:
    """First turns, more turns while there is time, and again for the slices that are cut because they are too large."""
    waiting = list(run.sliced.partition.slices())
    while waiting and not run.sliced.interrupted:
        run.progress.stage("reduce slices")
        _make(run, waiting, 1, time.monotonic() + _FIRST_TURN * (run.deadline - time.monotonic()))
        for turn in count(2):
            again = [r for r in waiting if r in run.made and run.made[r].undecided]
            if not again or run.sliced.interrupted or time.monotonic() >= run.deadline:
                break
            run.progress.stage("try undecided slices again")
            again.sort(key=lambda r: (run.made[r].needed, run.made[r].undecided))
            now = time.monotonic()
            _make(run, again, turn, now + _NEXT_TURN * (run.deadline - now))
        waiting = []
        if run.options.max_neurons is not None and not run.sliced.interrupted:
            with run.interruptible():
                waiting = _cut_large(run, run.options.max_neurons)


# --- cutting


def _look(run: _Run, region: Region) -> Analysis:
    """A first look at a region, or what an earlier run saw."""
    name = run.name(region)
    analysis = run.ledger.analysis(name)
    if analysis is None:
        analysis = analyse_region(run.model.network, region, run.domain, run.options.seed)
        run.ledger.note(name, analysis)
    return analysis


def _cut(run: _Run) -> None:
    """Cut the domain as the options say, until there are enough slices or half of the time is over."""
    until = run.begun + _CUTTING * run.options.timeout
    if run.options.rounds is None:
        wanted = run.options.slices or MOST_SLICES
        order = _adaptive(run, wanted)
    else:
        coordinates = [i for i, width in enumerate(run.domain.widths()) if width > 0] * run.options.rounds
        wanted = 1 << len(coordinates)
        order = _equal(run, coordinates)
    partition = run.sliced.partition
    for region, coordinate in order:
        if time.monotonic() >= until:
            run.sliced.late = f"time was up at {plural(partition.count, 'slice')}"
            return
        partition.split(region, coordinate)
        run.progress.update(plural(partition.count, "slice"), partition.count / wanted)


def _equal(run: _Run, coordinates: Sequence[int]) -> Iterator[tuple[Region, int]]:
    """Every region along the first coordinate, every half along the second, and so on."""
    for coordinate in coordinates:
        for region in list(run.sliced.partition.slices()):
            region.facts = _look(run, region).facts
            yield region, coordinate


def _adaptive(run: _Run, wanted: int) -> Iterator[tuple[Region, int]]:
    """The region with most unstable neurons by volume, along the coordinate that stabilises most of them, over and over."""
    partition, limit, numbers = run.sliced.partition, run.options.max_neurons, count()
    heap: list[_Open] = []
    fresh: Sequence[Region] = (partition.root,)
    while partition.count < wanted:
        for region in fresh:
            analysis = _look(run, region)
            region.facts = analysis.facts
            if analysis.coordinate is not None and (limit is None or analysis.unstable > limit):
                weight = -analysis.unstable * 0.5**region.depth
                heapq.heappush(heap, _Open(weight, next(numbers), region, analysis.coordinate))
        if not heap and limit is None:
            run.sliced.late = f"no more than {plural(partition.count, 'slice')}: finer cuts would stabilise nothing"
        if not heap:
            return
        top = heapq.heappop(heap)
        yield top.region, top.coordinate
        fresh = top.region.children


def _cut_large(run: _Run, limit: int) -> list[Region]:
    """Cut the slices whose networks have more than `limit` neurons; returns the new ones.

    Where every neuron has one phase, the network is linear, and no cut would make it smaller.
    """
    partition, fresh = run.sliced.partition, list[Region]()
    over = [r for r, made in run.made.items() if made.neurons > limit]
    large = [r for r in over if run.made[r].proven < run.model.network.neuron_count]
    if over and not large:
        run.sliced.late = (
            f"{plural(len(over), 'slice has', 'slices have')} more than {plural(limit, 'neuron')}, all with one phase: "
            "exact weights cannot merge them"
        )
    if large and (time.monotonic() >= run.deadline or partition.count + len(large) > MOST_SLICES):
        reason = "time was up" if time.monotonic() >= run.deadline else f"there are {partition.count:,} slices"
        run.sliced.late = f"{reason} with {plural(len(large), 'slice')} of more than {plural(limit, 'neuron')}"
        return []
    run.progress.stage("cut")
    for region in large:
        record, coordinate = run.ledger.slice(run.name(region)), _look(run, region).coordinate
        if record is not None and coordinate is not None:
            region.facts = record.facts  # more than the first look had
            del run.made[region]
            fresh += partition.split(region, coordinate)
    return fresh


# --- making


def _make(run: _Run, regions: Sequence[Region], turn: int, until: float) -> None:
    """Have slices made until all are, `until`, or Ctrl-C; what an earlier run made counts."""
    pending: deque[Region] = deque()
    for region in regions:
        made = run.ledger.statistics(run.name(region))
        if made is not None:
            run.made[region] = made
        if made is None or (made.undecided and made.turn < turn):
            pending.append(region)
    running: dict[Future[SliceStatistics], Region] = {}
    whole = len(pending)
    with run.interruptible():
        while pending or running:
            while pending and len(running) < run.options.jobs:
                if time.monotonic() >= run.deadline:
                    pending.clear()
                    break
                seconds = _share(run, len(pending) + len(running), until, turn, pending[0])
                region = pending.popleft()
                running[run.executor.submit(make_slice, _task(run, region, seconds, turn))] = region
            _collect(run, running)
            _tell(run, whole, whole - len(pending) - len(running))
    if run.sliced.interrupted and running:
        run.progress.note("stopping: the slices in work end with what they have; press Ctrl-C again to leave at once")
        while running:
            _collect(run, running)
    unmade = sum(region not in run.made for region in regions)
    if unmade and not run.sliced.interrupted:
        run.sliced.late = (
            f"time was up before {plural(unmade, 'slice was', 'slices were')} begun: the original network stays there"
        )


def _share(run: _Run, open_slices: int, until: float, turn: int, region: Region) -> float:
    """Seconds for the phases of the next slice: an equal share of what is left, without what else a slice takes."""
    others = [made.seconds - made.searched for made in run.made.values()]
    overhead = sum(others) / len(others) if others else 0.0
    left = until - time.monotonic()
    seconds = left * run.options.jobs / open_slices - overhead
    if turn > 1:
        seconds = min(run.deadline - time.monotonic(), max(seconds, _AGAIN * run.made[region].searched))
    return max(_LEAST, seconds)


def _task(run: _Run, region: Region, seconds: float, turn: int) -> SliceTask:
    return SliceTask(
        run.ledger.folder.resolve(),
        run.name(region),
        run.model.sha256,
        region.box,
        region.known,
        None if run.options.is_exact else run.options.claim,
        run.options.seed,
        seconds,
        turn,
    )


def _collect(run: _Run, running: dict[Future[SliceStatistics], Region]) -> None:
    """Wait a moment for slices that are ready."""
    ready, _ = wait(running, timeout=_BEAT, return_when=FIRST_COMPLETED)
    for future in ready:
        run.made[running.pop(future)] = future.result()


def _tell(run: _Run, whole: int, done: int) -> None:
    made = run.made.values()
    mean = sum(m.parameters for m in made) / max(1, len(made))
    undecided = sum(m.undecided > 0 for m in made)
    text = f"{done:,} of {plural(whole, 'slice')}, {mean:,.0f} parameters on average, {undecided:,} not decided"
    run.progress.update(text, done / max(1, whole))
