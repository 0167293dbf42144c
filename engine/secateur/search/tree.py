"""One split tree for many claims: the search that proves phases.

The sub-domains that are still open wait on a stack (depth first keeps memory small and meets counterexamples early); batches
of them are evaluated on all cores. What the kernels decide at a node is a function of its history alone, so the tree's split
choices are all a checker needs to replay the proof. A tree is anytime: `advance` works until a deadline and can be called again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import LEAF, UNSPLITTABLE, Claim, QuantisedNetwork, SubDomains, evaluate
from secateur.search.result import ProvenTree, Tightest

__all__ = ["Hit", "SplitTree"]

_BATCH = 256
_WORKERS = 8
"""Slices of a batch; more than cores, so that an uneven slice does not leave a core idle for long."""


@dataclass(frozen=True)
class Hit:
    """A point where a float evaluation violates a claim: a candidate for exact replay. Units of 2**-24."""

    claim: Claim
    point: tuple[int, ...]


class SplitTree:
    """A proof in progress that every claim of a list holds on the whole domain."""

    def __init__(self, network: QuantisedNetwork, start: SubDomains, claims: Sequence[Claim], steps: int, uses: int = 0) -> None:
        self.network, self.claims, self.steps, self.uses = network, tuple(claims), steps, uses
        self.tightest = [Tightest() for _ in self.claims]
        self.nodes = 0
        self.seconds = 0.0
        self.stuck: tuple[Hit, ...] = ()
        """Claims that stay open on sub-domains which can be split no further, each with a corner of one."""
        self._stack: list[tuple[SubDomains, NDArray[np.int64]]] = [(start, np.zeros(1, dtype=np.int64))]
        self._split: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        self._size = 1
        self._unsettled = False

    @property
    def finished(self) -> bool:
        """Whether every claim is proven."""
        return not self._stack and not self._unsettled

    @property
    def proven_share(self) -> NDArray[np.float64]:
        """For each claim the share of the tree, by volume of halvings, on which it is proven; shape (claims,)."""
        return 1.0 - self._open_shares()

    def advance(self, deadline: float, most_nodes: int | None = None) -> list[Hit]:
        """Work until finished, stuck, a hit, the deadline (`time.monotonic`) or a number of nodes."""
        started = time.monotonic()
        stop = None if most_nodes is None else self.nodes + most_nodes
        while self._stack and not self.stuck and time.monotonic() < deadline and (stop is None or self.nodes < stop):
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
        """The finished tree. Raises ValueError while claims are open."""
        if not self.finished:
            raise ValueError("the tree is not finished")
        return ProvenTree(self.claims, self.steps, self.uses, self._preorder(), tuple(self.tightest))

    def _pop(self) -> tuple[SubDomains, NDArray[np.int64]]:
        parts = [self._stack.pop()]
        while self._stack and sum(len(p[1]) for p in parts) < _BATCH:
            parts.insert(0, self._stack.pop())
        batch = SubDomains.joined([p[0] for p in parts]) if len(parts) > 1 else parts[0][0]
        numbers = np.concatenate([p[1] for p in parts])
        surplus = len(numbers) - _BATCH
        if surplus > 0:
            self._stack.append((batch.take(slice(0, surplus)), numbers[:surplus]))
            batch, numbers = batch.take(slice(surplus, None)), numbers[surplus:]
        return batch, numbers

    def _step(self) -> list[Hit]:
        self._unsettled = True  # an exception from here on would lose sub-domains: such a tree never counts as finished
        batch, numbers = self._pop()
        before = batch.open.copy()
        found = evaluate(self.network, batch, self.claims, self.steps, _WORKERS)
        self.nodes += len(numbers)
        self._note_tightest(batch, before & ~batch.open, found.margins, found.rows)
        parents = np.flatnonzero(found.split != LEAF)
        unsplittable = found.split == UNSPLITTABLE
        if unsplittable.any():
            self.stuck = tuple(self._hits(batch.open & unsplittable[:, None], batch.low))
            self._stack.append((batch.take(parents), numbers[parents]))
        elif len(parents):
            self._split_nodes(batch.take(parents), numbers[parents], found.split[parents])
        self._unsettled = False
        return self._hits(found.hits, found.points)

    def _hits(self, which: NDArray[np.bool_], points: NDArray[np.float64]) -> list[Hit]:
        return [Hit(self.claims[c], tuple(int(q) for q in points[b])) for b, c in zip(*np.nonzero(which), strict=True)]

    def _split_nodes(self, batch: SubDomains, numbers: NDArray[np.int64], coordinate: NDArray[np.int64]) -> None:
        count = len(numbers)
        rows = np.arange(count)
        middle = np.floor((batch.low[rows, coordinate] + batch.high[rows, coordinate]) / 2)
        first, second = batch.take(slice(None)), batch
        first.high[rows, coordinate] = middle
        second.low[rows, coordinate] = middle
        first_numbers = self._size + 2 * rows
        self._split.append((numbers, coordinate, first_numbers))
        self._size += 2 * count
        self._stack.append((SubDomains.joined([second, first]), np.concatenate([first_numbers + 1, first_numbers])))

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
        depth = np.zeros(self._size, dtype=np.int64)
        for numbers, _, first in self._split:
            depth[first] = depth[numbers] + 1
            depth[first + 1] = depth[first]
        shares = np.zeros(len(self.claims))
        for batch, numbers in self._stack:
            shares += (np.ldexp(1.0, -depth[numbers])[:, None] * batch.open).sum(axis=0)
        return shares

    def _preorder(self) -> NDArray[np.uint16]:
        """Symbols of all nodes in preorder. Children are numbered after their parent, and in the order of the batches."""
        size = np.ones(self._size, dtype=np.int64)
        for numbers, _, first in reversed(self._split):
            size[numbers] += size[first] + size[first + 1]
        place = np.zeros(self._size, dtype=np.int64)
        symbols = np.zeros(self._size, dtype=np.uint16)
        for numbers, coordinate, first in self._split:
            place[first] = place[numbers] + 1
            place[first + 1] = place[numbers] + 1 + size[first]
            symbols[place[numbers]] = 1 + coordinate
        return symbols
