"""One split tree for many goals: the search that proves phases and refutes queries.

The sub-domains that are still open wait on a stack (depth first keeps memory small and meets counterexamples early); batches
of them are evaluated on all cores. What the kernels decide at a node is a function of its history alone, so the tree's split
choices are all a checker needs to replay the proof. A tree is anytime: `advance` works until a deadline and can be called again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import LEAF, UNSPLITTABLE, Claim, Goal, QuantisedNetwork, SubDomains, evaluate
from secateur.residual import Sat, Unsat, Verdict
from secateur.search.leaf import GoalRefutation, LeafRefutation
from secateur.search.result import ProvenTree, Tightest

__all__ = ["Answer", "Aside", "Decided", "Hit", "SplitTree", "Waiting", "answer"]

Integers = NDArray[np.int64]

_BATCH = 256
_BATCH_SECONDS = 0.2
"""A batch of slow nodes is made smaller, so that deadlines are kept."""
_WORKERS = 8
"""Slices of a batch; more than cores, so that an uneven slice does not leave a core idle for long."""


class Waiting(NamedTuple):
    """Sub-domains with their numbers and depths in the tree, one per row."""

    domains: SubDomains
    numbers: Integers
    depths: Integers

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: NDArray[np.intp] | slice) -> Waiting:
        """A copy of some of them."""
        return Waiting(self.domains.take(index), self.numbers[index], self.depths[index])

    @staticmethod
    def joined(parts: Sequence[Waiting]) -> Waiting:
        """All of the parts, in order."""
        return Waiting(
            SubDomains.joined([p.domains for p in parts]),
            np.concatenate([p.numbers for p in parts]),
            np.concatenate([p.depths for p in parts]),
        )


class Aside(NamedTuple):
    """One open sub-domain that was not split, and the coordinate that it would be split along (or UNSPLITTABLE)."""

    part: Waiting
    coordinate: int


@dataclass(frozen=True)
class Answer:
    """What is known of a goal on a sub-domain: refuted (with evidence, or None for a solver's word), or a point, or why not."""

    refuted: bool
    evidence: GoalRefutation | None = None
    point: tuple[Fraction, ...] = ()
    reason: str = ""


def answer(verdict: Verdict, evidence: GoalRefutation | None) -> Answer:
    """A decider's verdict on a goal as an answer."""
    if isinstance(verdict, Unsat):
        return Answer(True, evidence)
    if isinstance(verdict, Sat):
        return Answer(False, point=tuple(verdict.model), reason="the query is satisfied at a point of it")
    return Answer(False, reason=verdict.reason)


class Decided(NamedTuple):
    """Points that speak against goals, and why a sub-domain that cannot be split is left (empty where it is not)."""

    points: tuple[tuple[Fraction, ...], ...]
    reason: str


@dataclass(frozen=True)
class Hit:
    """A point where a float evaluation violates a goal (its number): a candidate for exact replay. Units of 2**-24, integers."""

    goal: int
    point: tuple[int, ...]


class SplitTree:
    """A proof in progress that settles every goal of a list on the whole domain."""

    def __init__(
        self,
        network: QuantisedNetwork,
        start: SubDomains,
        goals: Sequence[Goal],
        steps: int,
        uses: int = 0,
        pauses: Sequence[int] = (),
    ) -> None:
        """`pauses`: sub-domains that are open at one of these depths are put aside as if they could not be split."""
        self.network, self.goals, self.steps, self.uses, self._pauses = network, tuple(goals), steps, uses, list(pauses)
        self.tightest = [Tightest() for _ in self.goals]
        self.nodes = 0
        self.seconds = 0.0
        self.aside: list[Aside] = []
        """Sub-domains that shall or can be split no further: somebody else may settle them."""
        self._stack = [Waiting(start, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))]
        self._split: list[tuple[Integers, Integers, Integers]] = []
        self._size = 1
        self._settled: dict[int, LeafRefutation | None] = {}
        self._unsettled = False

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The goals as claims about one neuron each."""
        return tuple(goal.targets[0] for goal in self.goals)

    @property
    def finished(self) -> bool:
        """Whether every goal is settled."""
        return not self._stack and not self.aside and not self._unsettled

    @property
    def stuck(self) -> tuple[Hit, ...]:
        """Goals that stay open on sub-domains put aside, each with a corner of one."""
        return tuple(hit for a in self.aside for hit in self._hits(a.part.domains.open, a.part.domains.low))

    @property
    def proven_share(self) -> NDArray[np.float64]:
        """For each goal the share of the tree, by volume of halvings, on which it is settled; shape (goals,)."""
        return 1.0 - self._open_shares()

    def advance(self, deadline: float, most_nodes: int | None = None) -> list[Hit]:
        """Work until finished, stuck, a hit, the deadline (`time.monotonic`) or a number of nodes."""
        started = time.monotonic()
        stop = None if most_nodes is None else self.nodes + most_nodes
        while self._stack and not self.aside and time.monotonic() < deadline and (stop is None or self.nodes < stop):
            hits = self._step()
            if hits:
                break
        else:
            hits = []
        self.seconds += time.monotonic() - started
        return hits

    @property
    def expected_seconds(self) -> float:
        """A guess of the time to the end, from the share proven so far; infinite before the first node."""
        share = float(self.proven_share.mean())
        return self.seconds * (1.0 - share) / share if share > 0 else float("inf")

    def proof(self) -> ProvenTree:
        """The finished tree, of claims. Raises ValueError while goals are open, or where a solver's word settled some."""
        symbols, refuted = self.leaves()
        if None in refuted:
            raise ValueError("the tree is not all of the proof")
        return ProvenTree(self.claims, self.steps, self.uses, symbols, tuple(self.tightest), tuple(r for r in refuted if r))

    def leaves(self) -> tuple[NDArray[np.uint16], list[LeafRefutation | None]]:
        """The finished tree in preorder, and, in that order, what was settled elsewhere: the evidence, None for a solver's word.

        Symbols: 0 leaf, 1 + i split of coordinate i, 1 + n_0 settled by a solver, 2 + n_0 settled with evidence. ValueError where
        goals are open.
        """
        if not self.finished:
            raise ValueError("the tree is not finished")
        symbols, place = self._preorder()
        ordered = sorted(self._settled.items(), key=lambda entry: place[entry[0]])
        for number, evidence in ordered:
            symbols[place[number]] = self.network.input_size + (1 if evidence is None else 2)
        return symbols, [evidence for _, evidence in ordered]

    def settle(self, evidence: LeafRefutation | None) -> None:
        """Count the last sub-domain put aside as a leaf: its open goals are refuted; None where that is a solver's word."""
        self._settled[int(self.aside[-1].part.numbers[0])] = evidence
        self.aside.pop()

    def decide_aside(self, ask: Callable[[Aside, int], Answer]) -> Decided:
        """Ask about every goal that is open on the sub-domain put aside last: it becomes a leaf, or is split if it can be.

        ask : of a goal's number; its answer counts as refuted with evidence, or by a solver's word.
        """
        aside = self.aside[-1]
        answers = [ask(aside, int(g)) for g in np.flatnonzero(aside.part.domains.open[0])]
        points = tuple(answer.point for answer in answers if answer.point)
        reason = next((answer.reason for answer in answers if not answer.refuted), "")
        if all(answer.refuted for answer in answers):
            evidence = tuple(answer.evidence for answer in answers if answer.evidence is not None)
            self.settle(evidence if len(evidence) == len(answers) else None)
        elif aside.coordinate != UNSPLITTABLE:
            self.split_further()
            reason = ""
        return Decided(points, reason)

    def split_further(self) -> None:
        """Split the last sub-domain put aside after all. ValueError where it cannot be split."""
        aside = self.aside[-1]
        if aside.coordinate == UNSPLITTABLE:
            raise ValueError("the sub-domain cannot be split")
        self._split_nodes(aside.part, np.array([aside.coordinate]))
        self.aside.pop()  # last: an interruption before it must not lose the sub-domain

    def _batch_size(self) -> int:
        pace = self.seconds / self.nodes if self.nodes and self.seconds > 0 else 0.0
        return _BATCH if pace * _BATCH <= _BATCH_SECONDS else max(1, int(_BATCH_SECONDS / pace))

    def _pop(self) -> Waiting:
        most = self._batch_size()
        parts = [self._stack.pop()]
        while self._stack and sum(map(len, parts)) < most:
            parts.insert(0, self._stack.pop())
        batch = Waiting.joined(parts) if len(parts) > 1 else parts[0]
        surplus = len(batch) - most
        if surplus > 0:
            self._stack.append(batch.take(slice(0, surplus)))
            batch = batch.take(slice(surplus, None))
        return batch

    def _step(self) -> list[Hit]:
        self._unsettled = True  # an exception from here on would lose sub-domains: such a tree never counts as finished
        batch = self._pop()
        before = batch.domains.open.copy()
        found = evaluate(self.network, batch.domains, self.goals, self.steps, _WORKERS)
        self.nodes += len(batch)
        self._note_tightest(batch.domains, before & ~batch.domains.open, found.margins, found.rows)
        left = found.split != LEAF
        if left.any():
            deep = left & ((found.split == UNSPLITTABLE) | np.isin(batch.depths, self._pauses))
            self.aside += [Aside(batch.take(np.array([b])), int(found.split[b])) for b in np.flatnonzero(deep)]
            parents = np.flatnonzero(left & ~deep)
            if len(parents):
                self._split_nodes(batch.take(parents), found.split[parents])
        self._unsettled = False
        return self._hits(found.hits, found.points)

    def _hits(self, which: NDArray[np.bool_], points: NDArray[np.float64]) -> list[Hit]:
        return [Hit(int(g), tuple(int(q) for q in points[b])) for b, g in zip(*np.nonzero(which), strict=True)]

    def _split_nodes(self, batch: Waiting, coordinate: Integers) -> None:
        count = len(batch)
        rows = np.arange(count)
        first, second = batch.take(slice(None)).domains, batch.domains
        middle = np.floor((first.low[rows, coordinate] + first.high[rows, coordinate]) / 2)
        first.high[rows, coordinate] = middle
        second.low[rows, coordinate] = middle
        numbers = self._size + 2 * rows
        self._split.append((batch.numbers, coordinate, numbers))
        self._size += 2 * count
        depths = batch.depths + 1
        self._stack.append(Waiting.joined([Waiting(second, numbers + 1, depths), Waiting(first, numbers, depths)]))

    def _note_tightest(
        self,
        batch: SubDomains,
        closed: NDArray[np.bool_],
        margins: NDArray[np.float64],
        rows: NDArray[np.float64],
    ) -> None:
        values = np.where(closed, margins, np.inf)
        for c, b in enumerate(values.argmin(axis=0)):
            if values[b, c] < self.tightest[c].margin:
                self.tightest[c] = Tightest(
                    float(values[b, c]),
                    tuple(int(q) for q in batch.low[b]),
                    tuple(int(q) for q in batch.high[b]),
                    tuple(float(a) for a in rows[b, c]),
                )

    def _open_shares(self) -> NDArray[np.float64]:
        shares = np.zeros(len(self.goals))
        for part in (*self._stack, *(a.part for a in self.aside)):
            shares += (np.ldexp(1.0, -part.depths.astype(np.int32))[:, None] * part.domains.open).sum(axis=0)
        return shares

    def _preorder(self) -> tuple[NDArray[np.uint16], Integers]:
        """Splits of all nodes in preorder, and each node's place. Children are numbered after their parent, as batches came."""
        size = np.ones(self._size, dtype=np.int64)
        for numbers, _, first in reversed(self._split):
            size[numbers] += size[first] + size[first + 1]
        place = np.zeros(self._size, dtype=np.int64)
        symbols = np.zeros(self._size, dtype=np.uint16)
        for numbers, coordinate, first in self._split:
            place[first] = place[numbers] + 1
            place[first + 1] = place[numbers] + 1 + size[first]
            symbols[place[numbers]] = 1 + coordinate
        return symbols, place
