"""From a network file and a domain to a smaller network file and its evidence, stage by stage.

`analyse` decides the phases and has them confirmed; `reduce` rewrites and stores; `relaxed` removes more than phases allow. They
are separate because a caller may want a second `reduce` of one analysis: with another tolerance, or where a check was not passed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

from secateur.certificate import interval_evidence
from secateur.errors import InputError
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.network.difference import Pairing
from secateur.options import PruneOptions
from secateur.progress import Progress
from secateur.reduction.confirm import Confirmation, confirm_claims
from secateur.reduction.facts import Facts, Phase
from secateur.reduction.measure import Agreement, Latencies, measure_agreement, measure_latency
from secateur.reduction.model_file import ModelFile
from secateur.reduction.relax import Effort, Relaxable, relax
from secateur.reduction.rewrite import Rewrite, rewrite
from secateur.reduction.size import network_size
from secateur.residual import ResidualSolver
from secateur.search import PartProof, PhaseEvidence, PhaseResult, Status, Until, decide_phases
from secateur.specification import Domain
from secateur.specification.comparison import Comparison
from secateur.specification.numerals import format_rational
from secateur.version import version

__all__ = [
    "Analysis",
    "DifferenceEvidence",
    "Measurement",
    "Reduction",
    "analyse",
    "claim_in_words",
    "facts_of",
    "measure",
    "reduce",
    "relaxed",
]

#: Points on which original and reduced file are compared in onnxruntime.
POINTS = 100_000

_LEAST_SECONDS, _SAMPLES, _STEPS = 5.0, 16_384, 3
"""For an attempt to remove more than phases allow: seconds at least, sampled points, steps of slope optimisation."""

_CONFIRMING, _LEAST_CONFIRMING, _MOST_CONFIRMING = 0.2, 5.0, 60.0
"""When solvers begin no further confirmation of a proof: after a share of the time of the search, within these seconds."""
_PHASES = {Status.INACTIVE: Phase.INACTIVE, Status.ACTIVE: Phase.ACTIVE}


class Stopwatch:
    """Seconds by stage, announced as they begin."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as part of the stage `name`."""
        self._progress.stage(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of the neurons of one network on one domain, and who confirmed it."""

    model: ModelFile
    domain: Domain
    options: PruneOptions
    phases: PhaseResult
    confirmation: Confirmation

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the search or the confirmation early."""
        return self.phases.interrupted or self.confirmation.interrupted


@dataclass(frozen=True, eq=False)
class DifferenceEvidence:
    """A proof by differences (FORMAT.md, section 9): what is claimed, which neurons are paired, the tree, the facts it uses."""

    claim: Comparison
    pairing: Pairing
    proof: PartProof
    facts: PhaseEvidence


@dataclass(frozen=True, eq=False)
class Reduction:
    """A smaller network: as an object, as the bytes of a file, and with the evidence for the final claim.

    network : what `data` means, read back from it. tolerance : the claim is |N - N'| <= tolerance on the domain;
    0 for an exact rewriting, None where the claim is about decisions. evidence : the phases of `network` that interval arithmetic
    proves. difference : the proof, where it is one by differences. linearised : (layer from 1, neuron) of the neurons that were
    removed without a proven phase.
    """

    analysis: Analysis
    rewrite: Rewrite = field(repr=False)
    tolerance: Fraction | None
    network: Network
    data: bytes = field(repr=False)
    evidence: PhaseEvidence = field(repr=False)
    difference: DifferenceEvidence | None = field(default=None, repr=False)
    linearised: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def claim(self) -> str:
        """The statement that the certificate proves, in words."""
        return claim_in_words(self.tolerance or Fraction(0)) if self.difference is None else self.difference.claim.words

    def match(self) -> tuple[tuple[int, int, int, int], ...]:
        """Pairs (layer, neuron, layer', neuron') of corresponding neurons of N and N', for the certificate.

        Empty for an exact rewriting, where correspondence shows in equal expressions.
        """
        if self.tolerance == 0:
            return ()
        settled = {claim[:2] for claim in self.evidence.claims}  # linear in N': the checker composes these away
        return tuple(
            (self.rewrite.layers[k] + 1, neuron.original, k + 1, i)
            for k, layer in enumerate(self.rewrite.neurons)
            for i, neuron in enumerate(layer)
            if neuron.original is not None and (k + 1, i) not in settled
        )


@dataclass(frozen=True)
class Measurement:
    """What onnxruntime showed: agreement, and latency (original, reduced)."""

    agreement: Agreement
    latency: tuple[Latencies, Latencies]


def claim_in_words(tolerance: Fraction) -> str:
    """The final claim about N, N' and D."""
    if tolerance == 0:
        return "N and N' agree exactly on D"
    return f"max |N - N'| <= {tolerance} on D"


def analyse(model: ModelFile, domain: Domain, options: PruneOptions, watch: Stopwatch, progress: Progress) -> Analysis:
    """Decide the phases of all neurons, then have the deciding inequalities confirmed.

    InputError where the domain does not fit the network or the solver is not installed; both are asked first.
    """
    domain.require_dimension(model.network.input_size, str(model.path))
    with ResidualSolver(options.solver) as solver:
        try:
            phases = decide_phases(model.network, domain, options, progress)
        except InputError as error:
            raise error.about(str(model.path)) from None
        effort = phases.statistics
        watch.seconds |= {"falsify": effort.attack_seconds, "prove": effort.search_seconds}
        if phases.interrupted:
            return Analysis(model, domain, options, phases, Confirmation())
        try:
            with watch.stage("confirm"):
                seconds = _CONFIRMING * (effort.attack_seconds + effort.search_seconds)
                seconds = min(max(seconds, _LEAST_CONFIRMING), _MOST_CONFIRMING)
                confirmation = confirm_claims(model.network, domain, phases.evidence, solver, progress, seconds)
        except KeyboardInterrupt:  # before the solver was asked
            confirmation = Confirmation(interrupted=True)
    return Analysis(model, domain, options, phases, confirmation)


def reduce(analysis: Analysis, tolerance: Fraction, watch: Stopwatch) -> Reduction:
    """Rewrite the network and store it; the claim is `tolerance`, or 0 where the rewriting is exact.

    InputError where the element type cannot hold the exact weights.
    """
    with watch.stage("rewrite"):
        result = rewrite(analysis.model.network, facts_of(analysis), tolerance)
        claimed = tolerance if result.error else Fraction(0)
        try:
            data = _stored(analysis, result.network, claim_in_words(claimed))
        except ValueError as error:
            kind = analysis.model.network.interface.element_type
            raise InputError(
                f"the network cannot be written exactly in {kind} ({error})",
                where=str(analysis.model.path),
                remedy=_more_tolerance(analysis.options.tolerance),
            ) from None
        network = parse_onnx(data, "reduced.onnx")
        evidence = interval_evidence(network, analysis.domain)
    return Reduction(analysis, result, claimed, network, data, evidence)


def relaxed(
    analysis: Analysis, exact: Reduction, claim: Comparison, solver: ResidualSolver, deadline: float, progress: Progress
) -> tuple[Reduction, bool]:
    """The smallest network found until the deadline (`time.monotonic`) for which the claim is proven, `exact` if none is smaller;
    and whether Ctrl-C ended the search. What was proven is kept.
    """
    phases = {
        (k, i): phase
        for k, layer in enumerate(facts_of(analysis).phases, start=1)
        for i, phase in enumerate(layer)
        if phase is not Phase.UNSTABLE
    }
    facts = replace(analysis.phases.evidence, solver=())  # what a checker verifies itself
    given = Relaxable(
        analysis.model.network,
        analysis.domain,
        claim,
        phases,
        facts.claims,
        lambda network: _stored(analysis, network, claim.words),
    )
    effort = Effort(Until(deadline), _LEAST_SECONDS, _SAMPLES, analysis.options.seed, _STEPS)
    found, interrupted = relax(given, network_size(exact.network), effort, solver, progress)
    if found is None:
        return exact, interrupted
    evidence = DifferenceEvidence(claim, found.pairing, found.proof, facts)
    tolerance = getattr(claim, "tolerance", None)
    smaller = Reduction(
        analysis, found.rewrite, tolerance, found.network, found.data, PhaseEvidence(()), evidence, found.linearised
    )
    return smaller, interrupted


def facts_of(analysis: Analysis) -> Facts:
    """The proven phases, as the rewriter takes them."""
    phases = [[_PHASES.get(n.status, Phase.UNSTABLE) for n in layer] for layer in analysis.phases.neurons]
    return Facts(analysis.domain.lower, analysis.domain.upper, phases)


def _stored(analysis: Analysis, network: Network, claim: str) -> bytes:
    """The reduced network as a file that says what is claimed. ValueError where the element type cannot hold the weights."""
    provenance: Mapping[str, str] = {
        "secateur.version": version(),
        "secateur.source_sha256": analysis.model.sha256,
        "secateur.domain_sha256": hashlib.sha256(analysis.domain.to_json().encode()).hexdigest(),
        "secateur.claim": claim,
    }
    return to_model_bytes(network, provenance=provenance)


def _more_tolerance(given: Fraction) -> str:
    if given == 0:
        return "allow rounding, for example with --tolerance 1e-6"
    return f"rounding is not provably within {format_rational(given)}; give a larger --tolerance"


def measure(reduction: Reduction, watch: Stopwatch) -> Measurement:
    """Compare both files in onnxruntime: `POINTS` random points, and the time of a call."""
    analysis = reduction.analysis
    model = analysis.model
    with watch.stage("measure"):
        agreement = measure_agreement(
            (model.network, model.data),
            (reduction.network, reduction.data),
            analysis.domain,
            POINTS,
            analysis.options.seed,
            analysis.options.preserve,
        )
        latency = measure_latency(model.data, reduction.data, analysis.domain)
    return Measurement(agreement, latency)
