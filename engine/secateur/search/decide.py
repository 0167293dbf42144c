"""The verdict on a query: attack and refutation take turns, question by question, until one of them is done.

Start at `decide`. Every question (the disjuncts over one box) is pursued in turn, the first time for a moment only, so that an
easy counterexample is not kept waiting by a hard proof. Whatever ends early leaves `Unknown` with its reason, never a verdict.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from secateur.bounds import kernels_ready
from secateur.errors import InputError
from secateur.network import Network, Replay
from secateur.network.difference import Pairing
from secateur.options import VerifyOptions
from secateur.progress import Progress
from secateur.residual import ResidualSolver
from secateur.search.attack import Attack
from secateur.search.question import Question, questions
from secateur.search.refute import PartProof, Point, Refutation
from secateur.search.verdict import Holds, SearchStatistics, Unknown, Verdict, Violated
from secateur.search.witness import Rejection, Witness, WitnessChecker, push_inward
from secateur.specification import Query

__all__ = ["decide"]

_FIRST_STARTS, _MOST_STARTS = 16, 256
_SMALL_NETWORK = 400
"""Neurons up to which bounds of one sub-domain take a fraction of a millisecond."""
_FIRST_NODES, _MOST_NODES = 256, 20_000
_ATTACK_SHARE = 0.15
"""Share of the time that goes to the attack once a refutation is under way."""
_FIRST_SECONDS, _TURN_SECONDS = 1.0, 5.0
_ENOUGH_STARTS = 5_000
"""Starts per goal after which an attack without a refutation beside it gives up."""
_MOST_ALARMS = 4
"""Candidates of one step that are replayed exactly."""


@dataclass(eq=False)
class _Pursuit:
    """One question: the attack on it, its refutation, and how far they are."""

    question: Question
    checker: WitnessChecker
    solver: ResidualSolver
    seed: int
    deadline: float
    number: int
    certify: bool
    facts: Mapping[tuple[int, int], int]
    refutation: Refutation | None = None
    reason: str = ""
    rejection: str = ""
    attacked: float = 0.0
    worked: float = 0.0
    starts: int = _FIRST_STARTS
    tried: int = 0
    nodes: int = 1
    hopeless: bool = False
    """No point of the question can be a witness."""

    def __post_init__(self) -> None:
        if not all(self.question.goals):  # nothing to refute: that point of the box which can be replayed is a witness
            self.reason = "a disjunct asks for nothing but its input box, of which no point could be confirmed"

    @cached_property
    def attack(self) -> Attack:
        return Attack(self.question, self.seed)

    @property
    def finished(self) -> bool:
        return self.refutation is not None and self.refutation.finished

    @property
    def over(self) -> bool:
        """Whether neither side can go on."""
        return self.finished or (bool(self.reason) and (self.hopeless or self.tried > _ENOUGH_STARTS))

    def step(self, deadline: float) -> Witness | None:
        """A turn of the attack where it is due, and one of the refutation."""
        witness = None
        if self._attack_is_due():
            witness = self._attack(deadline)
        if witness is None and not self.reason and time.monotonic() < deadline:
            witness = self._refute(deadline)
        return witness

    def _attack_is_due(self) -> bool:
        if self.hopeless or self.reason:
            return not self.hopeless
        if not self.worked:  # bounds of the whole domain come first where they take no longer than an attack, or say much
            large = self.question.difference is None and sum(self.question.network.sizes) > _SMALL_NETWORK
            return large or not kernels_ready(-math.inf)
        return self.attacked <= _ATTACK_SHARE * self.worked

    def _attack(self, deadline: float) -> Witness | None:
        begun = time.monotonic()
        candidates = self.attack.advance(self.starts, deadline)
        self.tried += self.starts
        self.starts = min(2 * self.starts, _MOST_STARTS)
        result: Witness | Rejection | None = None
        if candidates:
            result = self.checker.first_confirmed(self.question, candidates, deadline)
        self.attacked += time.monotonic() - begun
        return self._kept(result)

    def _refute(self, deadline: float) -> Witness | None:
        if not kernels_ready(deadline):
            return None
        begun = time.monotonic()
        try:
            if self.refutation is None:
                self.refutation = Refutation(self.question, self.solver, self.deadline, certify=self.certify, facts=self.facts)
            points = self.refutation.advance(deadline, self.nodes)
        except InputError as error:  # beyond what the kernels hold: the attack goes on alone
            self.reason = str(error)
            return None
        self.nodes = min(max(2 * self.nodes, _FIRST_NODES), _MOST_NODES)
        self.reason = self.refutation.reason
        self.worked += time.monotonic() - begun
        return self._confirmed(points, deadline)

    def _confirmed(self, points: Sequence[Point], deadline: float) -> Witness | None:
        for point in points[:_MOST_ALARMS]:
            witness = self._kept(self.checker.confirm(self.question, point))
            if witness is None and self.rejection and not self.hopeless:
                moved = push_inward(self.question, np.array([float(x) for x in point]), deadline)
                witness = self._kept(self.checker.confirm(self.question, moved))
            if witness is not None:
                return witness
        return None

    def _kept(self, result: Witness | Rejection | None) -> Witness | None:
        if isinstance(result, Rejection):
            self.rejection = result.reason
            self.hopeless = self.hopeless or result.final
            return None
        return result


@dataclass(eq=False)
class _Run:
    started: float
    deadline: float
    progress: Progress
    nodes: int = 0
    residuals: int = 0
    trusted: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    asked: int = 0
    refuted: int = 0
    proofs: dict[int, PartProof] = field(default_factory=dict)

    def pursue(self, pursuit: _Pursuit, until: float) -> Witness | None:
        """Work on one question until it is decided or `until`."""
        while not pursuit.over and time.monotonic() < until:
            witness = pursuit.step(until)
            if witness is not None:
                return witness
            self._report(pursuit)
        return None

    def close(self, pursuit: _Pursuit) -> None:
        """Take over what a question that is done with has shown, or why it is open."""
        refutation = pursuit.refutation
        if refutation is not None:
            self.nodes += refutation.nodes
            self.residuals += refutation.residuals
            if refutation.trusted:
                self.trusted.add(refutation.trusted)
        if refutation is not None and pursuit.finished:
            self.refuted += 1
            if pursuit.certify:
                self.proofs[pursuit.number] = refutation.proof()
        elif pursuit.reason or pursuit.rejection:
            self.reasons.append(pursuit.reason or f"a point that may satisfy the query is no witness: {pursuit.rejection}")

    def statistics(self) -> SearchStatistics:
        return SearchStatistics(self.nodes, self.residuals, time.monotonic() - self.started)

    def _report(self, pursuit: _Pursuit) -> None:
        if pursuit.refutation is not None:
            share = float(pursuit.refutation.tree.proven_share.mean())
            nodes = self.nodes + pursuit.refutation.nodes
            self.progress.update(f"{self.refuted:,} questions refuted, {nodes:,} sub-domains", share)


def decide(
    query: Query,
    networks: Sequence[Network],
    replays: Callable[[], Sequence[Replay]] | None,
    solver: ResidualSolver,
    options: VerifyOptions,
    progress: Progress,
    *,
    pairing: Pairing | None = None,
    facts: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> Verdict:
    """Is there a point that satisfies the query? Keeps `options.timeout` seconds from the call on.

    `networks` in the order of the query's declarations; `replays` opens their original files in onnxruntime when that is needed.
    It is None where the networks exist in memory alone: no witness is then replayed, exact evaluation decides.
    pairing : of the neurons of two networks that get the same inputs. facts : proven phases of the (first) network's neurons
    wherever the query's conditions on the inputs hold, (layer, neuron) to sign.
    Raises InputError for queries that cannot be asked (an unbounded input) and, after Ctrl-C, KeyboardInterrupt.
    """
    started = time.monotonic()
    run = _Run(started, started + options.timeout, progress)
    in_float32 = any(network.is_float32 for network in networks)
    checker = WitnessChecker(query, networks, replays, nearest=not in_float32)
    waiting: list[_Pursuit] = []

    def fresh() -> Iterator[_Pursuit]:
        for question in questions(query, networks, pairing):
            run.asked += 1
            if options.certify and pairing is None and question.coordinates != tuple(range(len(question.coordinates))):
                raise InputError(
                    "makes inputs equal, which a certificate cannot cover", where=query.source, remedy="ask without --certificate"
                )
            yield _Pursuit(question, checker, solver, options.seed, run.deadline, run.asked, options.certify, facts)

    progress.stage("search (the first time, kernels are compiled)")
    for pursuits, seconds in ((fresh(), _FIRST_SECONDS), (_turns(waiting), _TURN_SECONDS)):
        for pursuit in pursuits:
            now = time.monotonic()
            if now >= run.deadline:
                return _late(run, [pursuit, *waiting], options)
            witness = run.pursue(pursuit, min(run.deadline, now + seconds))
            if witness is not None:
                run.close(pursuit)
                return Violated(witness, statistics=run.statistics())
            if pursuit.over:
                run.close(pursuit)
            else:
                waiting.append(pursuit)
    if not run.asked:
        progress.note(f"{query.source}: no input meets the query's conditions on the inputs: its input region is empty")
    if run.refuted < run.asked:
        return Unknown("; ".join(run.reasons[:1]) or "undecided", statistics=run.statistics())
    proofs = tuple(run.proofs[number] for number in sorted(run.proofs))
    return Holds(" and ".join(sorted(run.trusted)), proofs, statistics=run.statistics())


def _turns(waiting: list[_Pursuit]) -> Iterator[_Pursuit]:
    """The waiting ones, over and over, until none is left."""
    while waiting:
        yield waiting.pop(0)


def _late(run: _Run, open_ones: Sequence[_Pursuit], options: VerifyOptions) -> Unknown:
    for pursuit in open_ones:
        run.close(pursuit)
    used_up = f"the time limit of {options.timeout:.3g} s is used up"
    if not kernels_ready(-math.inf):
        used_up = "the time limit is used up by compiling the kernels, which goes on for the next query"
    reason = run.reasons[0] if run.reasons else used_up
    return Unknown(reason, timed_out=True, statistics=run.statistics())
