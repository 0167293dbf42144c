"""One attempt to prove a claim about two networks, for those who have many to try.

Requires a pairing of the neurons. Returns the proof, or points that speak against the claim, or neither. Method: the split tree
of a refutation, left as soon as its pace says that it will not end in time: a smaller claim may. Soundness: that of
`Refutation`. Points are where a float evaluation meets a goal; nobody has replayed them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from secateur.network import Network
from secateur.network.difference import Pairing
from secateur.residual import ResidualSolver
from secateur.search.question import questions
from secateur.search.refute import STEPS, PartProof, Refutation
from secateur.specification import Query

__all__ = ["Attempt", "Until", "attempt"]

_MOST_NODES = 256
"""Nodes between two looks at the pace."""
_PROBE = 0.2
"""Share of the time after which the pace is believed."""
_DOUBT = 3.0
"""A tree goes on as long as it would not need more than this many times what is left."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """What came of it: a proof, or points against the claim. nodes : sub-domains that were bounded."""

    proof: PartProof | None
    points: tuple[tuple[Fraction, ...], ...] = ()
    nodes: int = 0


class Until(NamedTuple):
    """When to come to an end: at the deadline (`time.monotonic`), or as soon as `stopped` says so."""

    deadline: float
    stopped: Callable[[], bool] = lambda: False

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.deadline or self.stopped()


def attempt(
    query: Query,
    networks: Sequence[Network],
    pairing: Pairing,
    facts: Mapping[tuple[int, int], int],
    solver: ResidualSolver,
    until: Until,
    steps: int = STEPS,
) -> Attempt:
    """Try for that long to prove that no point satisfies the query.

    facts : proven phases of the first network's neurons, (layer, neuron) to sign. steps : of slope optimisation.
    The query's disjuncts have to fit one tree, or nothing is proven.
    InputError where the networks do not fit the kernels.
    """
    asked = list(questions(query, networks, pairing))
    if len(asked) != 1 or until.over:
        return Attempt(None)
    started, nodes, deadline = time.monotonic(), 1, until.deadline
    refutation = Refutation(asked[0], solver, deadline, certify=True, facts=facts, steps=steps)
    while not refutation.finished:
        now = time.monotonic()
        late = now - started > _PROBE * (deadline - started) and refutation.tree.expected_seconds > _DOUBT * (deadline - now)
        if refutation.reason or late or until.over:
            return Attempt(None, nodes=refutation.nodes)
        points = refutation.advance(deadline, nodes)
        if points:
            return Attempt(None, tuple(points), refutation.nodes)
        nodes = min(2 * nodes, _MOST_NODES)
    return Attempt(refutation.proof(), nodes=refutation.nodes)
