"""The phases of all neurons on one of many boxes: within a budget, and without witnesses.

Where a network is reduced on a thousand boxes, a neuron that is not decided simply stays. So nothing has to be shown to change
its phase: float evaluations (of sampled points, and of the corners that rows point at) drop candidates, and only proofs count.
Facts of a larger box hold on this one, and come first. Then layer by layer, the open claims of a layer in one shared tree;
trees that do not end within their share of the time take turns at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import Claim, Goal, QuantisedNetwork, evaluate, quantise, root, root_bounds
from secateur.network import Network
from secateur.search.result import PhaseEvidence, ProvenTree
from secateur.search.tree import SplitTree
from secateur.specification import Domain

__all__ = ["Candidates", "EarlierTurn", "SlicePhases", "decide_slice", "prove_at_once", "sample", "standing"]

Floats = NDArray[np.float64]

_STEPS = 3
"""Slope optimisation steps: 3 take a tenth less time than 1, a third fewer sub-domains to check, and more gain little."""
_NODES = 4_000
"""Nodes between two looks at the hits and at whoever may stop the work."""
_VALUES = 1 << 22
"""Sampled pre-activations that are held at once."""
_FEWEST, _MOST = 256, 8_192
"""Sampled points."""
_CLEAR = 1e-9
"""Relative distance from 0 up to which the sign of a float evaluation is not believed."""
_SCALES = (0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.02, 0.02, 0.01, 0.005)
"""How far points are moved, round by round, in widths of the box."""
_CLOSEST, _MOVES = 6, 8
"""Points that are moved for each claim, and how often each."""
_SHARE = 0.5
"""Share of the remaining time that a layer's tree gets at first, if later layers have open claims."""
_PROBES = (0.1, 0.25)
"""Shares of a tree's last turn after which its progress is measured: once the first are, sub-domains are settled steadily."""
_DOUBT = 4.0
"""A tree goes on as long as it would not need more than this many times what is left: easy sub-domains are settled first, so the
pace of those that follow tells too much of the rest."""
_ROOM = 0.6
"""Share of the time left that the claims of a smaller tree should take."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """A sample of a box: points (in [0, 1], normalised), the values of all neurons there, and what could be a phase.

    values : (points, neurons). claims : one per neuron that was seen with one sign only.
    """

    points: Floats
    values: Floats
    claims: tuple[Claim, ...]


@dataclass(frozen=True, eq=False)
class SlicePhases:
    """What was proven on a box beyond the facts that were known, and the claims that neither a proof nor a point settled.

    needed : seconds that the trees that did not end seem to lack, infinite where one was not begun.
    """

    evidence: PhaseEvidence
    undecided: tuple[Claim, ...]
    nodes: int = 0
    needed: float = 0.0


@dataclass(frozen=True)
class EarlierTurn:
    """What an earlier call proved on a box, in the order of the certificate, and the claims that it left undecided."""

    proven: tuple[Claim, ...]
    undecided: tuple[Claim, ...]


def sample(network: Network, domain: Domain, seed: Sequence[int], most: int = _MOST) -> Candidates:
    """Evaluate random points, a sixteenth of them corners, in floats: cheap, and no proof of anything."""
    random = np.random.default_rng(list(seed))
    count = int(np.clip(_VALUES // max(network.neuron_count, 1), _FEWEST, most))
    points = random.random((count, network.input_size))
    points[: count // 16] = np.rint(points[: count // 16])
    values = _values(network, domain, points)
    slack = _CLEAR * np.abs(values).max(axis=0, initial=0.0)
    inactive, active = (values <= slack).all(axis=0), (values >= -slack).all(axis=0)
    names = [(k, i) for k, size in enumerate(network.sizes, start=1) for i in range(size)]
    claims = [(k, i, -1 if inactive[v] else 1) for v, (k, i) in enumerate(names) if inactive[v] or active[v]]
    return Candidates(points, values, tuple(claims))


def _values(network: Network, domain: Domain, points: Floats) -> Floats:
    """All pre-activations at normalised points, in floats; shape (points, neurons)."""
    low, width = np.array([float(v) for v in domain.lower]), np.array([float(v) for v in domain.widths()])
    layers = network.pre_activations(low + width * points)
    return np.concatenate(layers, axis=1) if layers else np.zeros((len(points), 0))


def standing(
    network: Network, domain: Domain, candidates: Candidates, claims: Sequence[Claim], seed: Sequence[int]
) -> list[Claim]:
    """Those of the claims that stand when points are moved about where they are closest to failing.

    A false claim that reaches a tree costs all that the tree did before it met a counterexample.
    """
    random = np.random.default_rng([*seed, 1])
    starts = np.cumsum([0, *network.sizes])
    slack = _CLEAR * np.abs(candidates.values).max(axis=0, initial=0.0)
    points, values, left = candidates.points, candidates.values, list(claims)
    for scale in _SCALES:
        if not left:
            break
        columns = np.array([starts[k - 1] + i for k, i, _ in left])
        margins = values[:, columns] * np.array([sign for _, _, sign in left])
        closest = np.unique(np.argpartition(margins, min(_CLOSEST, len(margins) - 1), axis=0)[:_CLOSEST])
        moved = np.repeat(points[closest], _MOVES, axis=0)
        moved = np.clip(moved + scale * random.standard_normal(moved.shape), 0.0, 1.0)
        points = np.concatenate([points[closest], moved])
        values = _values(network, domain, points)
        worst = (values[:, columns] * np.array([sign for _, _, sign in left])).min(axis=0)
        left = [c for c, margin, v in zip(left, worst, columns, strict=True) if margin >= -slack[v]]
    return left


def prove_at_once(network: Network, domain: Domain, known: Sequence[Claim], claims: Sequence[Claim]) -> PhaseEvidence:
    """Those of the claims that intervals prove, or bounds of the box as a whole: milliseconds.

    `known` : facts on this box, in the order of the certificate (FORMAT.md, section 10). Raises as `quantise` does.
    """
    run = _Run(quantise(network, domain.lower, domain.upper), tuple(known), time.monotonic(), _never)
    _prove_first(run, claims)
    return run.evidence


def decide_slice(
    network: Network,
    domain: Domain,
    known: Sequence[Claim],
    seed: Sequence[int],
    seconds: float,
    stopped: Callable[[], bool],
    earlier: EarlierTurn | None = None,
) -> SlicePhases:
    """Prove as many phases on the box as `seconds` allow, or until `stopped` says so.

    Parameters
    ----------
    known : facts on this box, in the order of the certificate. seed : of the sampled points. earlier : an earlier call's
    outcome, whose evidence stands between that of `known` and what is returned: trees for claims that it left undecided.

    Raises InputError where the network cannot be brought into the integer form, ContradictoryBoundsError on a fault of the
    arithmetic.
    """
    deadline = time.monotonic() + seconds
    proven = () if earlier is None else earlier.proven
    run = _Run(quantise(network, domain.lower, domain.upper), (*known, *proven), deadline, stopped)
    claims = _claims(run, network, domain, seed) if earlier is None else earlier.undecided
    waiting: list[SplitTree] = []
    for layer in range(1, len(network.sizes) + 1):
        open_claims = [c for c in run.open(claims) if c[0] == layer]
        if open_claims:
            now, fresh = time.monotonic(), _new_tree(run, open_claims)
            later = any(c[0] > layer for c in run.open(claims))
            tree = _advance(run, fresh, now + _SHARE * max(0.0, deadline - now)) if later else fresh
            waiting += [tree] if tree is not None else []
    _take_turns(run, waiting)
    return SlicePhases(run.evidence, tuple(run.open(claims)), run.nodes, run.needed)


def _claims(run: _Run, network: Network, domain: Domain, seed: Sequence[int]) -> Sequence[Claim]:
    """Prove what takes no time, and say what is left for trees."""
    candidates = sample(network, domain, seed)
    _prove_first(run, candidates.claims)
    return standing(network, domain, candidates, run.open(candidates.claims), seed)


def _never() -> bool:
    return False


@dataclass(eq=False)
class _Run:
    quantised: QuantisedNetwork
    known: tuple[Claim, ...]
    deadline: float
    stopped: Callable[[], bool]
    interval: list[Claim] = field(default_factory=list)
    trees: list[ProvenTree] = field(default_factory=list)
    dropped: set[Claim] = field(default_factory=set)
    nodes: int = 0
    needed: float = 0.0

    @property
    def evidence(self) -> PhaseEvidence:
        return PhaseEvidence(self.quantised.grids, tuple(self.interval), tuple(self.trees))

    @property
    def facts(self) -> dict[tuple[int, int], int]:
        """All proven phases by neuron."""
        claims = (*self.known, *self.interval, *(c for t in self.trees for c in t.claims))
        return {(layer, neuron): sign for layer, neuron, sign in claims}

    @property
    def established(self) -> int:
        """How many facts a tree that comes next may use."""
        return len(self.known) + len(self.interval) + sum(len(t.claims) for t in self.trees)

    def open(self, claims: Sequence[Claim]) -> list[Claim]:
        facts = self.facts
        return [c for c in claims if c[:2] not in facts and c not in self.dropped]


def _new_tree(run: _Run, claims: Sequence[Claim]) -> SplitTree:
    bounds = root_bounds(run.quantised.layers, run.facts)
    start = root(run.quantised, bounds, len(claims))
    return SplitTree(run.quantised, start, [Goal.of(c) for c in claims], _STEPS, run.established)


def _prove_first(run: _Run, claims: Sequence[Claim]) -> None:
    """Intervals, then one tree of a single node for all claims that the bounds of the whole box prove, whatever their layer."""
    layers = run.quantised.layers
    bounds = root_bounds(layers, run.facts)
    run.interval = [c for c in run.open(claims) if bounds.decides(c)]
    waiting = run.open(claims)
    if not waiting:
        return
    whole = root(run.quantised, root_bounds(layers, run.facts), len(waiting))
    found = evaluate(run.quantised, whole, [Goal.of(c) for c in waiting], _STEPS, 1)
    run.dropped |= {c for c, hit in zip(waiting, found.hits[0], strict=True) if hit}
    closed = [c for c, still_open in zip(waiting, whole.open[0], strict=True) if not still_open]
    if closed:
        tree = _new_tree(run, closed)
        tree.advance(float("inf"), 1)
        if tree.finished:  # without the other claims the node does the same; the tree itself is the judge of that
            run.trees.append(tree.proof())
    run.nodes += 2


def _advance(run: _Run, tree: SplitTree, until: float) -> SplitTree | None:
    """Drive a tree until `until`; returns it while unfinished (perhaps without some claims), None once nothing is open."""
    while not tree.finished and time.monotonic() < until and not run.stopped():
        before = tree.nodes
        hits = tree.advance(until, _NODES)
        run.nodes += tree.nodes - before
        # A claim that a float evaluation violates is refuted or a tie; where a tree is stuck, it is a tie. Neither is worth more.
        gone = {tree.claims[hit.goal] for hit in (*hits, *tree.stuck)}
        if gone:
            run.dropped |= gone
            standing = [c for c in tree.claims if c not in gone]
            if not standing:
                return None
            tree = _new_tree(run, standing)
    if tree.finished:
        run.trees.append(tree.proof())
        return None
    return tree


def _take_turns(run: _Run, trees: Sequence[SplitTree]) -> None:
    """Spend what time is left on the unfinished trees, those first that will end first.

    A tree that would not end within its turn makes way for smaller ones (for each claim they cost about the same, and some get
    done): its claims, those first that it has settled most of.
    """
    pending = sorted(trees, key=lambda tree: tree.expected_seconds)
    while pending and time.monotonic() < run.deadline and not run.stopped():
        chosen, now = pending.pop(0), time.monotonic()
        end = now + (run.deadline - now) / (len(pending) + 1)
        tree, needed = _probed(run, chosen, now, end)
        left = end - time.monotonic()
        if tree is None:
            continue
        if left > 0 and needed <= _DOUBT * left:
            unfinished = _advance(run, tree, end)
            run.needed += 0.0 if unfinished is None else unfinished.expected_seconds
            continue
        run.needed += needed
        if left <= 0:
            continue
        together = max(1, int(len(tree.claims) * _ROOM * left / needed))
        order = [tree.claims[c] for c in np.argsort(-tree.proven_share, kind="stable")]
        for first in range(0, len(order), together):
            _advance(run, _new_tree(run, order[first : first + together]), end)
    run.needed += sum(tree.expected_seconds for tree in pending)


def _probed(run: _Run, tree: SplitTree, now: float, end: float) -> tuple[SplitTree | None, float]:
    """Drive a tree for a part of its turn; returns it while unfinished, and how many seconds it will need at its last pace."""
    shares: list[tuple[float, float]] = []
    unfinished: SplitTree | None = tree
    for probe in _PROBES:
        unfinished = _advance(run, tree, now + probe * (end - now))
        if unfinished is None:
            return None, 0.0
        if unfinished is not tree:
            shares.clear()  # it began anew
        tree = unfinished
        shares.append((time.monotonic(), float(tree.proven_share.mean())))
    (first, before), (last, after) = shares[0], shares[-1]
    return unfinished, (1.0 - after) * (last - first) / (after - before) if after > before else float("inf")
