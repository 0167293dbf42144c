"""The phase of every neuron at once: falsify, prove by intervals, prove by split trees, layer by layer.

Layers are taken in order, because proven facts tighten what follows. The open claims of a layer share one tree (the bounds of a
sub-domain serve them all, which costs half of separate trees in deep layers); where the shared tree is not done within its share
of the time, the claims that are furthest get trees of their own, and last the shared tree goes on as long as time permits.
A claim that exact replay refutes leaves its tree, which starts again without it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from secateur.bounds import Claim, QuantisedNetwork, quantise, root, root_bounds, set_threads, warmup
from secateur.network import Network
from secateur.options import PruneOptions
from secateur.progress import Progress
from secateur.search.falsify import Falsifier
from secateur.search.result import (
    Basis,
    NeuronStatus,
    PhaseEvidence,
    PhaseResult,
    PhaseStatistics,
    ProvenTree,
    Status,
)
from secateur.search.tree import SplitTree
from secateur.specification import Domain

__all__ = ["decide_phases"]

_STEPS = 3
"""Slope optimisation steps: 3 save a third of the nodes of plain bounds, more save little."""
_SLICE = 20_000
"""Nodes between two looks at the clock, the replayed hits and the progress line."""
_FALSE_ALARMS = 50
"""Exact replays that a claim may cost without being refuted before its float hits are ignored."""
_FIRST_SHARE = 0.4
"""Share of the remaining time that the shared tree of a layer gets at first."""


@dataclass(eq=False)
class _Run:
    """State of one run: what is proven so far, and the means to prove more."""

    network: Network
    quantised: QuantisedNetwork
    falsifier: Falsifier
    progress: Progress
    deadline: float
    interval: list[Claim] = field(default_factory=list)
    trees: list[ProvenTree] = field(default_factory=list)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    alarms: dict[Claim, int] = field(default_factory=dict)
    ties: list[Claim] = field(default_factory=list)
    """Claims that kept a shared tree from ending, because they are as good as 0 somewhere."""
    nodes: int = 0
    interrupted: bool = False

    @property
    def facts(self) -> dict[tuple[int, int], int]:
        claims = [*self.interval, *(c for t in self.trees for c in t.claims)]
        return {(layer, neuron): sign for layer, neuron, sign in claims}

    def open_claims(self) -> list[Claim]:
        proven = self.facts
        return [c for c in self.falsifier.open_claims() if c[:2] not in proven]


def decide_phases(
    network: Network, domain: Domain, options: PruneOptions, progress: Progress
) -> PhaseResult:
    """Prove or refute the phase of every ReLU neuron of `network` on `domain`.

    Works until all is decided, `options.timeout` seconds have passed or Ctrl-C; what is decided is kept. Raises InputError where the
    network cannot be brought into the integer form, ContradictoryBoundsError on a fault of the arithmetic.
    """
    started = time.monotonic()
    deadline = started + options.timeout
    progress.stage("compile kernels")
    set_threads(options.jobs)
    warmup()
    progress.stage("falsify")
    quantised = quantise(network, domain.lower, domain.upper)
    run = _Run(network, quantised, Falsifier(network, domain, options.seed), progress, deadline)
    attacked = time.monotonic()
    try:
        run.falsifier.attack()
        attacked = time.monotonic()
        progress.stage("prove phases")
        _prove_by_intervals(run)
        _prove_by_trees(run)
    except KeyboardInterrupt:
        run.interrupted = True
    seconds = time.monotonic()
    statistics = PhaseStatistics(run.nodes, attacked - started, seconds - attacked)
    evidence = PhaseEvidence(quantised.grids, tuple(run.interval), tuple(run.trees))
    return PhaseResult(_statuses(run), tuple(run.falsifier.points), evidence, statistics, run.interrupted)


def _prove_by_intervals(run: _Run) -> None:
    bounds = root_bounds(run.quantised.layers, {})
    run.interval = [c for c in run.open_claims() if bounds.decides(c)]
    # A first-layer row is exact: where intervals do not prove the claim, the row's own corner refutes it.
    for claim in run.open_claims():
        if claim[0] == 1:
            row = run.quantised.layers[0].rows[claim[1]]
            run.falsifier.replay([(1 << 24) if w * claim[2] < 0 else 0 for w in row[:-1]])


def _prove_by_trees(run: _Run) -> None:
    waiting: list[SplitTree] = []
    for layer in range(1, len(run.network.sizes) + 1):
        claims = [c for c in run.open_claims() if c[0] == layer]
        if claims:
            shared = _work(run, claims, _FIRST_SHARE)
            if shared is not None:
                waiting += _single_trees(run, shared)
    waiting += [_new_tree(run, [c]) for c in run.ties if not run.falsifier.is_refuted(c)]
    _take_turns(run, waiting)


def _single_trees(run: _Run, shared: SplitTree) -> list[SplitTree]:
    """Trees for the claims that a shared tree could not finish, those first that it brought furthest."""
    if len(shared.claims) == 1:
        return [shared]
    order = np.argsort(-shared.proven_share)
    return [_new_tree(run, [shared.claims[c]]) for c in order]


def _take_turns(run: _Run, trees: Sequence[SplitTree]) -> None:
    """Spend what time is left on the unfinished trees, an equal share each, until it is used up."""
    pending = list(trees)
    while pending and time.monotonic() < run.deadline:
        tree = pending.pop(0)
        share = (run.deadline - time.monotonic()) / (len(pending) + 1)
        left = _advance(run, tree, time.monotonic() + share)
        if left is not None and not left.stuck and pending:
            pending.append(left)
        for claim in left.claims if left is not None else ():
            run.reasons[claim[:2]] = "cannot be split further" if left is not None and left.stuck else "deadline"


def _new_tree(run: _Run, claims: Sequence[Claim]) -> SplitTree:
    bounds = root_bounds(run.quantised.layers, run.facts)
    return SplitTree(run.quantised, root(run.quantised, bounds, len(claims)), claims, _STEPS)


def _work(run: _Run, claims: Sequence[Claim], share: float) -> SplitTree | None:
    """A shared tree for the claims, for a share of the remaining time; None once everything is decided."""
    now = time.monotonic()
    return _advance(run, _new_tree(run, claims), now + share * (run.deadline - now))


def _advance(run: _Run, tree: SplitTree, until: float) -> SplitTree | None:
    """Drive a tree until `until`; returns it while unfinished (perhaps without refuted claims), None once decided."""
    while not tree.finished and not tree.stuck and time.monotonic() < until:
        before = tree.nodes
        hits = tree.advance(until, _SLICE)
        run.nodes += tree.nodes - before
        run.progress.update(_describe(run, tree), float(tree.proven_share.mean()))
        for hit in (*hits, *tree.stuck):
            if run.alarms.get(hit.claim, 0) < _FALSE_ALARMS and not run.falsifier.is_refuted(hit.claim):
                run.alarms[hit.claim] = run.alarms.get(hit.claim, 0) + 1
                run.falsifier.replay(hit.point)
        standing = [c for c in tree.claims if not run.falsifier.is_refuted(c)]
        if not standing:
            return None
        ties = {hit.claim for hit in tree.stuck} & set(standing)
        run.ties += [c for c in standing if c in ties and len(standing) > 1]
        easier = [c for c in standing if c not in ties]
        if len(standing) < len(tree.claims) or (ties and easier):
            tree = _new_tree(run, easier or standing)
    if tree.finished:
        run.trees.append(tree.proof())
        return None
    return tree


def _describe(run: _Run, tree: SplitTree) -> str:
    layer = tree.claims[0][0]
    return f"layer {layer}: {len(tree.claims)} open, {run.nodes:,} sub-domains, {len(run.facts)} neurons proven"


def _statuses(run: _Run) -> tuple[tuple[NeuronStatus, ...], ...]:
    by_interval = {c[:2] for c in run.interval}
    facts = run.facts
    return tuple(
        tuple(_status(run, (k, i), facts, by_interval) for i in range(size))
        for k, size in enumerate(run.network.sizes, start=1)
    )


def _status(run: _Run, neuron: tuple[int, int], facts: dict[tuple[int, int], int], by_interval: set[tuple[int, int]]) -> NeuronStatus:
    positive, negative = run.falsifier.positive.get(neuron), run.falsifier.negative.get(neuron)
    if neuron in facts:
        status = Status.INACTIVE if facts[neuron] < 0 else Status.ACTIVE
        basis = Basis.INTERVAL if neuron in by_interval else Basis.TREE
        return NeuronStatus(status, basis, positive=positive, negative=negative)
    if positive is not None and negative is not None:
        return NeuronStatus(Status.BOTH, Basis.WITNESS, positive=positive, negative=negative)
    reason = "interrupted" if run.interrupted else run.reasons.get(neuron, "deadline")
    return NeuronStatus(Status.UNKNOWN, Basis.NONE, reason, positive, negative)
