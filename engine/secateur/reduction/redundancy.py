"""Deciding a redundancy claim: is it true of these neurons on the whole domain? Begin at `decide_redundancy`.

A phase is a question about z alone, on the network cut before the layer's ReLUs. All other kinds compare the network N with the
linearised network N'', whose remaining neurons are paired one to one with N's, so that what bounds them are their differences.
Neurons whose lines are right everywhere (0 for an inactive one, z for an active one) change nothing at all; that is tried first.

Soundness: N'' is composed in exact rationals, and the neurons are gone from it: nothing assumes that a line is >= 0. A range that
a line is made of is certified. *Not replayed*: N'' is no file, and no element type may hold it, so a counterexample is a rational
point where both networks were evaluated exactly; onnxruntime is not asked, because the claims are about the reals.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import NoReturn

import numpy as np

from secateur.errors import InputError
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.network.difference import Pairing
from secateur.network.maps import UnsupportedError
from secateur.options import VerifyOptions
from secateur.progress import Progress
from secateur.reduction.facts import Phase
from secateur.reduction.linearise import Line, Linearised, layer_outputs, linearised, pre_activations_of
from secateur.reduction.redundancy_claim import RedundancyClaim
from secateur.residual import ResidualSolver
from secateur.search import Holds, Ranged, SearchStatistics, Unknown, Verdict, Violated, decide, output_bounds
from secateur.specification import Domain, Query, Specification, outputs
from secateur.specification.comparison import comparison_query

__all__ = ["BothSigns", "Changed", "Redundancy", "decide_redundancy"]

Point = tuple[Fraction, ...]

_PHASE_SHARE = 0.5
"""Share of the time for phases that make the claim trivial: they are easier to show than any difference, and as hard to miss."""
_RANGE_SHARE, _RANGE_TOLERANCE = 0.2, 0.01
"""Share of the time for the certified ranges that lines are made of, and how wide a gap they may keep."""


@dataclass(frozen=True)
class BothSigns:
    """A neuron that has no one phase: z > 0 at one point, z < 0 at another; `values` are the two z, exactly."""

    neuron: int
    points: tuple[Point, Point]
    values: tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Changed:
    """A point where linearising shows: the values that may not change, of N and of N'', exactly."""

    point: Point
    original: tuple[Fraction, ...]
    linearised: tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Redundancy:
    """Whether a redundancy claim is true.

    words : the claim in words. verdict : `Holds`, `Violated` or `Unknown`, to be told apart by type. counterexample : what shows
    that it is false; None unless it is. phases : of the neurons whose phase was proven on the way. lines : what took the place of
    each neuron's output; empty for phases. linearised : N'' and which of its neurons are which of N's; None for phases.
    data : N'' as an ONNX file, where a certificate is wanted.
    """

    claim: RedundancyClaim
    words: str
    verdict: Verdict
    counterexample: BothSigns | Changed | None = None
    phases: Mapping[int, Phase] = field(default_factory=dict)
    lines: Mapping[int, Line] = field(default_factory=dict)
    linearised: Linearised | None = None
    data: bytes | None = None

    def __repr__(self) -> str:
        return f"<Redundancy: {self.words}: {self.verdict!r}>"

    def __bool__(self) -> NoReturn:
        raise TypeError("a redundancy is no truth value: match its verdict against Holds, Violated and Unknown")


def decide_redundancy(
    network: Network,
    domain: Domain,
    claim: RedundancyClaim,
    solver: ResidualSolver,
    options: VerifyOptions,
    deadline: float,
    progress: Progress,
) -> Redundancy:
    """Decide the claim, which fits the network (`RedundancyClaim.require_fit`) as the domain does, until the deadline.

    deadline : by `time.monotonic`; `options.timeout` is what messages name. With `options.certify` a comparison rests on nothing
    that a certificate cannot hold. InputError where a convolution is too large to be taken apart, ranges are asked of a network
    beyond what the kernels hold, or a certificate is wanted and N'' cannot be stored.
    """
    run = _Run(network, domain, claim, solver, options, deadline, progress)
    try:
        return run.phase() if claim.kind == "phase" else run.comparison()
    except UnsupportedError as error:
        raise InputError(error.problem, where=f"layer {claim.layer}", remedy=error.remedy) from None


class _Run:
    """One claim, and the time for it."""

    def __init__(
        self,
        network: Network,
        domain: Domain,
        claim: RedundancyClaim,
        solver: ResidualSolver,
        options: VerifyOptions,
        deadline: float,
        progress: Progress,
    ) -> None:
        self._network, self._domain, self._claim = network, domain, claim
        self._solver, self._options, self._progress = solver, options, progress
        self._certify = options.certify
        self._started, self._deadline = time.monotonic(), deadline
        self._words = claim.words(network)
        self._trusted: set[str] = set()
        self._nodes = self._residuals = 0

    def phase(self) -> Redundancy:
        """Whether each of the neurons has one phase."""
        verdict, phases, counterexample = self._phases(self._claim.neurons, self._deadline)
        return Redundancy(self._claim, self._words, self._closed(verdict), counterexample, phases)

    def comparison(self) -> Redundancy:
        """Whether the network and the linearised one are as alike as is claimed."""
        lines, phases = self._replacements()
        whole = linearised(self._network, self._claim.layer, lines)
        data = _stored(whole) if self._certify else None
        if data is None and all(_is_exact(line, phases.get(i)) for i, line in lines.items()):
            return Redundancy(self._claim, self._words, self._closed(Holds()), None, phases, lines, whole)
        first, second = self._compared(whole)
        types = [self._network.interface.element_type] * 2
        query = comparison_query(self._claim.comparison(), self._domain, first.output_size, types)
        signs = {Phase.ACTIVE: 1, Phase.INACTIVE: -1}
        facts = {} if self._certify else {(self._claim.layer, i): signs[phase] for i, phase in phases.items()}
        verdict = self._asked(query, [first, second.network], self._deadline, second.pairing, facts)
        changed = None
        if isinstance(verdict, Violated):
            point = verdict.witness.exact_inputs[: self._network.input_size]
            changed = Changed(point, *verdict.witness.exact_outputs)
        return Redundancy(self._claim, self._words, self._closed(verdict), changed, phases, lines, whole, data)

    def _compared(self, whole: Linearised) -> tuple[Network, Linearised]:
        """Both networks with what may not change as outputs; whole where a certificate shall speak about them."""
        watched = self._claim.watched_layer(self._network)
        if watched is None:
            return self._network, whole
        if self._certify:
            second = layer_outputs(whole.network, whole.own_layer(watched), cut=False)
            return layer_outputs(self._network, watched, cut=False), replace(whole, network=second)
        return layer_outputs(self._network, watched), whole.up_to(watched)

    def _replacements(self) -> tuple[dict[int, Line], dict[int, Phase]]:
        """The line of each neuron, and the phases that were proven on the way."""
        how, neurons = self._claim.replace, self._claim.neurons
        if how in {"constant", "line"}:
            ranges = self._ranges()
            make = Line.middle if how == "constant" else Line.minimax
            stable = {i: high <= 0 for i, (low, high) in ranges.items() if low >= 0 or high <= 0}
            phases = {i: Phase.INACTIVE if dead else Phase.ACTIVE for i, dead in stable.items()}
            return {i: make(low, high) for i, (low, high) in ranges.items()}, phases
        phases = {}
        until = time.monotonic() + _PHASE_SHARE * (self._deadline - time.monotonic())
        for number, i in enumerate(neurons):
            now = time.monotonic()
            phases |= self._phases([i], now + (until - now) / (len(neurons) - number))[1]
        steep = {i for i in neurons if how == "identity" or (how is None and phases.get(i) is Phase.ACTIVE)}
        return {i: Line.identity() if i in steep else Line.zero() for i in neurons}, phases

    def _ranges(self) -> dict[int, tuple[Fraction, Fraction]]:
        """Certified bounds of z of each neuron, as float64 numbers, which keep what is made of them short."""
        network = pre_activations_of(self._network, self._claim.layer, self._claim.neurons)
        until = time.monotonic() + _RANGE_SHARE * (self._deadline - time.monotonic())
        self._progress.stage("bound the pre-activations (the first time, kernels are compiled)")
        found = output_bounds(Ranged(network, self._domain), _RANGE_TOLERANCE, self._options.seed, until, self._progress)
        self._nodes += found.statistics.nodes
        lower, upper = (map(Fraction, side.tolist()) for side in found.arrays())
        return dict(zip(self._claim.neurons, zip(lower, upper, strict=True), strict=True))

    def _phases(self, neurons: Sequence[int], deadline: float) -> tuple[Verdict, dict[int, Phase], BothSigns | None]:
        """Whether each has one phase: all of them in one search, each for the phase that no point seen so far speaks against."""
        network = pre_activations_of(self._network, self._claim.layer, neurons)
        seen: list[dict[int, tuple[Point, Fraction]]] = [{} for _ in neurons]
        middle = tuple((low + high) / 2 for low, high in zip(self._domain.lower, self._domain.upper, strict=True))
        _note(seen, middle, network.exact(middle).output)
        while True:
            signs = [-1 if 1 in known else 1 for known in seen]  # sign z <= 0 is what is claimed
            claim = Specification(self._domain, outputs @ np.diag(signs) <= 0)
            query = claim.query(len(neurons), network.interface.element_type)
            verdict = self._asked(query, [network], deadline)
            if isinstance(verdict, Holds):
                phases = {i: Phase.ACTIVE if sign < 0 else Phase.INACTIVE for i, sign in zip(neurons, signs, strict=True)}
                return verdict, phases, None
            if isinstance(verdict, Unknown):
                return verdict, {}, None
            _note(seen, verdict.witness.exact_inputs, verdict.witness.exact_outputs[0])
            both = next((j for j, known in enumerate(seen) if len(known) == 2), None)
            if both is not None:
                (above, high), (below, low) = seen[both][1], seen[both][-1]
                return verdict, {}, BothSigns(neurons[both], (above, below), (high, low))

    def _asked(
        self,
        query: Query,
        networks: Sequence[Network],
        deadline: float,
        pairing: Pairing | None = None,
        facts: Mapping[tuple[int, int], int] = MappingProxyType({}),
    ) -> Verdict:
        """The answer to a query about networks that exist in memory alone."""
        left = deadline - time.monotonic()
        if left <= 0:
            return Unknown(f"the time limit of {self._options.timeout:g} s is used up", timed_out=True)
        options = replace(self._options, timeout=left, certify=self._certify and pairing is not None)
        verdict = decide(query, networks, None, self._solver, options, self._progress, pairing=pairing, facts=facts)
        self._nodes += verdict.statistics.nodes
        self._residuals += verdict.statistics.residuals
        if isinstance(verdict, Holds) and verdict.trusted:
            self._trusted.add(verdict.trusted)
        return verdict

    def _closed(self, verdict: Verdict) -> Verdict:
        """The verdict with what all of the work took, and whose word was needed on the way."""
        statistics = SearchStatistics(self._nodes, self._residuals, time.monotonic() - self._started)
        if isinstance(verdict, Holds):
            return replace(verdict, trusted=" and ".join(sorted(self._trusted)), statistics=statistics)
        return replace(verdict, statistics=statistics)


def _note(seen: Sequence[dict[int, tuple[Point, Fraction]]], point: Point, values: Sequence[Fraction]) -> None:
    """Keep the first point of each sign of each value."""
    for known, value in zip(seen, values, strict=True):
        if value:
            known.setdefault(1 if value > 0 else -1, (point, value))


def _stored(whole: Linearised) -> bytes:
    """N'' as a file, which says the same when it is read. InputError where there is none."""
    kind, where = whole.network.interface.element_type, "--certificate"
    try:
        data = to_model_bytes(whole.network)
    except ValueError:
        problem = f"the linearised network is not storable in {kind}, so there can be no certificate"
        raise InputError(problem, where=where, remedy="ask without one, or with another --replace") from None
    if parse_onnx(data, "the linearised network").sizes != whole.network.sizes:
        problem = "a layer of the linearised network is read by nobody, so there can be no certificate"
        raise InputError(problem, where=where, remedy="ask without one, or with another --replace")
    return data


def _is_exact(line: Line, phase: Phase | None) -> bool:
    """Whether the line is max(0, z) wherever the phase holds."""
    return (phase is Phase.INACTIVE and line == Line.zero()) or (phase is Phase.ACTIVE and line == Line.identity())
