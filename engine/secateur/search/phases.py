"""The phase of every neuron at once: falsify, prove by intervals, prove by split trees, layer by layer.

Layers are taken in order, because proven facts tighten what follows. The open claims of a layer share one tree (the bounds of a
sub-domain serve them all, which costs half of separate trees in deep layers); where the shared tree is not done within its share
of the time, the claims that are furthest get trees of their own, and last the shared tree goes on as long as time permits.
A claim that exact replay refutes leaves its tree, which starts again without it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from secateur.bounds import Claim, Goal, QuantisedNetwork, quantise, root, root_bounds, set_threads, warmup
from secateur.network import Network
from secateur.options import PruneOptions
from secateur.progress import Progress
from secateur.residual import ResidualSolver, solver_versions
from secateur.search.falsify import Falsifier
from secateur.search.result import (
    PhaseEvidence,
    PhaseResult,
    PhaseStatistics,
    ProvenTree,
    SolverClaim,
)
from secateur.search.settle import PAUSES, decide_claim
from secateur.search.statuses import Witnesses, statuses
from secateur.search.tree import Answer, Aside, SplitTree
from secateur.specification import Domain

__all__ = ["decide_phases"]

_STEPS = 3
"""Slope optimisation steps: 3 save a third of the nodes of plain bounds, more save little."""
_SLICE = 20_000
"""Nodes between two looks at the clock, the replayed hits and the progress line."""
_FIRST_LOOK = 5_000
"""Nodes of a layer's shared tree before the solver is asked about what is left."""
_NO_SYMBOL = 254
"""So many inputs leave no symbol for leaves with evidence in the bytes of a certificate."""
_FALSE_ALARMS = 50
"""Exact replays that a claim may cost without being refuted before its float hits are ignored."""
_ATTACK_SHARE = 0.3
"""Share of the time in which points may be looked for before anything is split."""
_FIRST_SHARE = 0.7
"""Share of the remaining time that the shared tree of a layer gets at first."""
_WORTH_KEEPING = 0.4
"""Proven share from which an unfinished shared tree goes on; below it, each claim gets a tree of its own."""


@dataclass(eq=False)
class _Run:
    """State of one run: what is proven so far, and the means to prove more."""

    network: Network
    quantised: QuantisedNetwork
    domain: Domain
    falsifier: Falsifier
    solver: ResidualSolver
    progress: Progress
    deadline: float
    interval: list[Claim] = field(default_factory=list)
    trees: list[ProvenTree] = field(default_factory=list)
    solved: list[SolverClaim] = field(default_factory=list)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    alarms: dict[Claim, int] = field(default_factory=dict)
    ties: list[Claim] = field(default_factory=list)
    """Claims that kept a shared tree from ending, because they are as good as 0 somewhere."""
    nodes: int = 0
    interrupted: bool = False

    @property
    def sizes(self) -> list[int]:
        """Neurons of each layer in chain form."""
        return [layer.size for layer in self.quantised.layers]

    @property
    def facts(self) -> dict[tuple[int, int], int]:
        claims = [*self.interval, *(c for t in self.trees for c in t.claims), *(s.claim for s in self.solved)]
        return {(layer, neuron): sign for layer, neuron, sign in claims}

    @property
    def replayable_facts(self) -> dict[tuple[int, int], int]:
        """Facts that a tree may build on: a certificate lists what solvers say last."""
        claims = [*self.interval, *(c for t in self.trees for c in t.claims)]
        return {(layer, neuron): sign for layer, neuron, sign in claims}

    def open_claims(self) -> list[Claim]:
        proven = self.facts
        return [c for c in self.falsifier.open_claims() if c[:2] not in proven]

    @property
    def decided_share(self) -> float:
        """Of all neurons: it never falls, unlike what is done of a tree."""
        return 1 - len(self.open_claims()) / sum(self.network.sizes)


def decide_phases(network: Network, domain: Domain, options: PruneOptions, progress: Progress) -> PhaseResult:
    """Prove or refute the phase of every ReLU neuron of `network` on `domain`.

    Works until all is decided, `options.timeout` seconds have passed or Ctrl-C; what is decided is kept.
    Raises InputError where the network cannot be brought into the integer form, ContradictoryBoundsError on a fault of
    the arithmetic.
    """
    progress.stage("compile kernels")  # where they are not yet: that is no search, and takes none of its time
    set_threads(options.jobs)
    warmup()
    started = time.monotonic()
    progress.stage("falsify")
    quantised = quantise(network, domain.lower, domain.upper)
    with ResidualSolver(options.solver) as solver:
        falsifier = Falsifier(network, domain, options.seed)
        run = _Run(network, quantised, domain, falsifier, solver, progress, started + options.timeout)
        return _decide(run, started)


def _decide(run: _Run, started: float) -> PhaseResult:
    attacked = time.monotonic()
    try:
        until = started + _ATTACK_SHARE * (run.deadline - started)
        run.falsifier.sample(until)
        _prove_by_intervals(run)
        _prove_on_whole_domain(run)
        run.falsifier.attack(run.open_claims(), until)
        attacked = time.monotonic()
        run.progress.stage("prove phases")
        _prove_by_trees(run)
    except KeyboardInterrupt:
        run.interrupted = True
    seconds = time.monotonic()
    statistics = PhaseStatistics(run.nodes, attacked - started, seconds - attacked)
    evidence = PhaseEvidence(run.quantised.grids, tuple(run.interval), tuple(run.trees), tuple(run.solved))
    points = run.falsifier.points
    reasons = defaultdict(lambda: "interrupted" if run.interrupted else "deadline", {} if run.interrupted else run.reasons)
    witnesses = Witnesses(run.falsifier.positive, run.falsifier.negative)
    return PhaseResult(
        statuses(run.network.sizes, evidence, witnesses, reasons), tuple(points), evidence, statistics, run.interrupted
    )


def _prove_by_intervals(run: _Run) -> None:
    bounds = run.quantised.bounds
    run.interval = [c for c in run.open_claims() if bounds.decides(c)]
    # A first-layer row is exact: where intervals do not prove the claim, the row's own corner refutes it.
    for claim in run.open_claims():
        if claim[0] == 1:
            row = run.quantised.layers[0].rows[claim[1]]
            run.falsifier.replay([(1 << 24) if w * claim[2] < 0 else 0 for w in row[:-1]])


def _prove_on_whole_domain(run: _Run) -> None:
    """What the domain itself shows, without a split: costs less than looking for points that refute it."""
    for layer in range(2, len(run.network.sizes) + 1):
        claims = [c for c in run.open_claims() if c[0] == layer]
        if claims and time.monotonic() < run.deadline:
            first = _new_tree(run, claims)
            first.advance(run.deadline, 1)
            shown = [c for c, share in zip(claims, first.proven_share, strict=True) if share == 1.0]
            run.nodes += first.nodes
            if shown:
                _advance(run, _new_tree(run, shown), run.deadline)


def _prove_by_trees(run: _Run) -> None:
    waiting: list[SplitTree] = []
    for layer in range(1, len(run.network.sizes) + 1):
        claims = [c for c in run.open_claims() if c[0] == layer]
        if claims:
            tree = _new_tree(run, claims)
            shared = _advance(run, tree, run.deadline, _FIRST_LOOK)
            if shared is not None:
                _ask_deciders(run, [*shared.claims, *run.ties])
                shared = _without_decided(run, shared)
            if shared is not None:
                now = time.monotonic()
                shared = _advance(run, shared, now + _FIRST_SHARE * (run.deadline - now))
            if shared is not None:
                waiting += _next_trees(run, shared)
    waiting += [_new_tree(run, [c]) for c in run.ties if _is_open(run, c)]
    _take_turns(run, waiting)


def _is_open(run: _Run, claim: Claim) -> bool:
    return claim[:2] not in run.facts and not run.falsifier.is_refuted(claim)


def _without_decided(run: _Run, tree: SplitTree) -> SplitTree | None:
    """The tree itself if all its claims are open, otherwise a new one for those that are."""
    standing = [c for c in tree.claims if _is_open(run, c)]
    if len(standing) == len(tree.claims):
        return tree
    return _new_tree(run, standing) if standing else None


def _ask_deciders(run: _Run, claims: Sequence[Claim]) -> None:
    """What few nodes did not decide may be a tie, or a network too wide to split: decided as a whole if it is small enough."""
    named = solver_versions(run.solver.choice)
    for claim in claims:
        if time.monotonic() >= run.deadline or not _is_open(run, claim):
            continue
        tree = _new_tree(run, [claim], pauses=[0])
        tree.advance(run.deadline, 1)
        if not tree.aside:
            continue
        solver = run.solver if named else None
        answer = decide_claim(run.network, run.domain, run.sizes, claim, tree.aside[-1], run.deadline, solver)
        if answer.point:
            run.falsifier.replay_point(answer.point)
        elif answer.evidence is not None:
            tree.settle((answer.evidence,))
            run.trees.append(tree.proof())
        elif answer.refuted:
            run.solved.append(SolverClaim(claim, named))


def _settle_aside(run: _Run, tree: SplitTree, until: float) -> None:
    """Decide what the tree has put aside, or let it be split; what can be neither stays aside."""

    def ask(aside: Aside, g: int) -> Answer:
        return decide_claim(run.network, run.domain, run.sizes, tree.claims[g], aside, until)

    reason = ""
    while tree.aside and not reason and time.monotonic() < until:
        points, reason = tree.decide_aside(ask)
        for point in points:
            run.falsifier.replay_point(point)


def _next_trees(run: _Run, shared: SplitTree) -> list[SplitTree]:
    """The shared tree if it is far enough; otherwise a tree for each of its claims, those first that it brought furthest."""
    if len(shared.claims) == 1 or float(shared.proven_share.mean()) >= _WORTH_KEEPING:
        return [shared]
    order = np.argsort(-shared.proven_share)
    return [_new_tree(run, [shared.claims[c]]) for c in order]


def _take_turns(run: _Run, trees: Sequence[SplitTree]) -> None:
    """Spend what time is left on the unfinished trees: all of it on the first that can finish, else an equal share each."""
    pending = list(trees)
    while pending and time.monotonic() < run.deadline:
        left = run.deadline - time.monotonic()
        pending.sort(key=lambda tree: tree.expected_seconds)
        tree = pending.pop(0)
        share = left if tree.expected_seconds < left else left / (len(pending) + 1)
        unfinished = _advance(run, tree, time.monotonic() + share)
        if unfinished is not None and unfinished.stuck:
            run.reasons |= {c[:2]: "as good as 0 on a sub-domain that cannot be split further" for c in unfinished.claims}
        elif unfinished is not None and pending:
            pending.append(unfinished)


def _new_tree(run: _Run, claims: Sequence[Claim], pauses: Sequence[int] = tuple(PAUSES)) -> SplitTree:
    facts = run.replayable_facts
    start = root(run.quantised, root_bounds(run.quantised.layers, facts), len(claims))
    if run.network.input_size == _NO_SYMBOL:
        pauses = ()
    return SplitTree(run.quantised, start, [Goal.of(c) for c in claims], _STEPS, len(facts), pauses)


def _advance(run: _Run, tree: SplitTree, until: float, most_nodes: int | None = None) -> SplitTree | None:
    """Drive a tree until `until`; returns it while unfinished (perhaps without refuted claims), None once decided."""
    last = None if most_nodes is None else run.nodes + most_nodes
    while not tree.finished and not tree.stuck and time.monotonic() < until and (last is None or run.nodes < last):
        before = tree.nodes
        hits = tree.advance(until, _SLICE if most_nodes is None else most_nodes)
        _settle_aside(run, tree, until)
        run.nodes += tree.nodes - before
        run.progress.update(_describe(run, tree), run.decided_share)
        for hit in (*hits, *tree.stuck):
            claim = tree.claims[hit.goal]
            if run.alarms.get(claim, 0) < _FALSE_ALARMS and not run.falsifier.is_refuted(claim):
                run.alarms[claim] = run.alarms.get(claim, 0) + 1
                run.falsifier.replay(hit.point)
        standing = [c for c in tree.claims if not run.falsifier.is_refuted(c)]
        if not standing:
            return None
        ties = {tree.claims[hit.goal] for hit in tree.stuck} & set(standing)
        run.ties += [c for c in standing if c in ties and len(standing) > 1]
        easier = [c for c in standing if c not in ties]
        if len(standing) < len(tree.claims) or (ties and easier):
            tree = _new_tree(run, easier or standing)
    if tree.finished:
        run.trees.append(tree.proof())
        return None
    return tree


def _describe(run: _Run, tree: SplitTree) -> str:
    layer, share = tree.claims[0][0], float(tree.proven_share.mean())
    done = f"{run.nodes:,} sub-domains, {len(run.facts)} neurons proven"
    return f"layer {layer}: {len(tree.claims)} open, {share:.0%} of their tree done; {done}"
