"""Secateur as a verification oracle: one call from a network and a question to a verdict.

    with secateur.Engine() as engine:
        engine.verify("net.onnx", "prop.vnnlib", timeout=10)                 # Holds | Violated | Unknown
        engine.verify("net.onnx", secateur.robust(x, 0.03, label=7))
        engine.bounds("net.onnx", secateur.Box(lower, upper))                # certified ranges of the outputs
        engine.equivalent("net.onnx", "half.onnx", "domain.json", epsilon="0.01")
        engine.distance("net.onnx", "half.onnx", "domain.json")              # how far apart they are, certified

An `Engine` keeps kernels, solver processes and loaded networks warm over thousands of calls; `verify` is one call of one engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from secateur.asked import Asked, Models, asked_of, uncovered
from secateur.bounds import set_threads
from secateur.equivalence import Pair, certificate_target, claimed, decide_pair
from secateur.errors import InputError
from secateur.files import network_path
from secateur.models import LoadedModel, ModelStore
from secateur.options import VerifyOptions, check_semantics
from secateur.progress import Progress, SilentProgress
from secateur.residual import ResidualSolver
from secateur.search import (
    Distance,
    Holds,
    OutputBounds,
    Ranged,
    Unknown,
    Verdict,
    better_pairing,
    decide,
    largest_difference,
    output_bounds,
)
from secateur.specification import Domain, DomainLike, Query, domain_of
from secateur.specification.comparison import Agreement
from secateur.specification.numerals import Number
from secateur.specification.sources import domain_file_of

if TYPE_CHECKING:
    from secateur.query_certificate import CertificateTarget
    from secateur.reduction.redundancy import Redundancy
    from secateur.reduction.redundancy_claim import RedundancyClaim
    from secateur.redundancy_certificate import RedundancyCertificate

__all__ = ["Engine", "bounds", "distance", "equivalent", "verify"]

_ROOM = 1 + Fraction(1, 1 << 12)


class Engine:
    """Verifies queries with everything kept warm; a context manager, to be used by one thread at a time.

    Parameters
    ----------
    jobs : threads; all cores by default. solver : `z3`, `cvc5`, `both` or `none`, who gets what the engine's own deciders
    leave. seed : of the attack. InputError for values that make no sense.
    """

    def __init__(self, *, jobs: int | None = None, solver: str = "z3", seed: int = 0) -> None:
        options = VerifyOptions(solver=solver, seed=seed)
        self._options = options if jobs is None else VerifyOptions(jobs=jobs, solver=solver, seed=seed)
        self._solver = ResidualSolver(solver)
        self._models = ModelStore()

    def __repr__(self) -> str:
        return f"<Engine: jobs {self._options.jobs}, solver {self._options.solver}, seed {self._options.seed}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the solver processes and forget the networks. Idempotent."""
        self._solver.close()
        self._models.clear()

    def verify(
        self,
        model: Models,
        query: Asked,
        *,
        semantics: str = "real",
        timeout: float = 300.0,
        certificate: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Verdict:
        """Is there a point that satisfies the query, or is a counterexample to the specification?

        Parameters
        ----------
        model : an ONNX file (or `.gz`), or a mapping from the names of the query's networks to files. query : a VNN-LIB file, a
        `Query`, or a `Specification` such as `robust` makes, which is about one network. semantics : `real`, or `float32`, where
        `Holds` says that no float32 input satisfies the query however the outputs are evaluated in float32 (in the sense
        of FORMAT.md, section 11). timeout : seconds of wall time, reading included. certificate : a file for the evidence of a
        decided verdict on a query file about one network, of one input and one output tensor, without hidden values; it is
        written after the checker has accepted it, which the time limit does not cover.

        Returns
        -------
        `Holds` (unsat), `Violated` with a witness (sat), or `Unknown` with a reason. Raises InputError for bad input.
        """
        begun = time.monotonic()
        replace(self._options, timeout=timeout)  # before anything is read
        check_semantics(semantics)
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        asked, models = asked_of(model, query, self._models)
        target = None if certificate is None else _target(certificate, query, asked, models, semantics)
        set_threads(self._options.jobs)
        networks = [m.meant(semantics) for m in models]
        pairing = better_pairing(asked, networks, begun + timeout) if len(networks) == 2 else None
        left = timeout - (time.monotonic() - begun)
        if left <= 0:
            return Unknown(f"the time limit of {timeout:g} s is used up", timed_out=True)
        options = replace(self._options, timeout=left, certify=target is not None)
        verdict = decide(asked, networks, lambda: [m.replay for m in models], self._solver, options, progress, pairing=pairing)
        if target is not None:
            target.write(verdict, networks[0].input_size, progress)
        return verdict

    def bounds(
        self,
        model: str | Path,
        domain: DomainLike,
        *,
        timeout: float = 60.0,
        tolerance: float = 0.01,
        progress: Progress | None = None,
    ) -> OutputBounds:
        """Certified ranges of all outputs over a box, as narrow as the time allows.

        Parameters
        ----------
        model : an ONNX file (or `.gz`). domain : a box, a file of one, or (lower, upper). timeout : seconds of wall time,
        reading included. tolerance : how wide a gap between certified and attained values may stay, as a share of the attained
        width; once all gaps are as narrow, the work ends.

        Returns
        -------
        Bounds that hold whether or not the tolerance was reached. Raises InputError for bad input, and for networks beyond what
        the kernels hold.
        """
        begun = time.monotonic()
        options = replace(self._options, timeout=timeout)  # before anything is read
        _require_share(tolerance)
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        loaded = self._models.load(network_path(model))
        box = domain_of(domain)
        box.require_dimension(loaded.network.input_size, str(loaded.path))
        set_threads(options.jobs)
        progress.stage("search (the first time, kernels are compiled)")
        return output_bounds(Ranged(loaded.network, box), tolerance, options.seed, begun + timeout, progress)

    def redundancy(
        self,
        model: str | Path,
        claim: RedundancyClaim,
        domain: DomainLike,
        *,
        timeout: float = 300.0,
        certificate: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Redundancy:
        """Is a neuron, or a set of them, redundant on a domain, in the way that is claimed?

        Parameters
        ----------
        model : an ONNX file (or `.gz`). claim : which neurons, and what kind of redundancy. domain : a box, a file of one, or
        (lower, upper). timeout : seconds of wall time, reading included. certificate : a file for the evidence of a decided
        comparison; it is written after the checker has accepted it, which the time limit does not cover, with the linearised
        network as NAME.linearised.onnx beside it.

        Returns
        -------
        A record with the verdict and what shows it; it has no truth value. Raises InputError for bad input.
        """
        from secateur.reduction.redundancy import decide_redundancy

        begun = time.monotonic()
        options = replace(self._options, timeout=timeout)  # before anything is read
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        loaded = self._models.load(network_path(model))
        claim.require_fit(loaded.network, str(loaded.path))
        box = domain_of(domain)
        box.require_dimension(loaded.network.input_size, str(loaded.path))
        target = None if certificate is None else _redundancy_target(certificate, claim, loaded, box, domain)
        set_threads(options.jobs)
        options = replace(options, certify=target is not None)
        found = decide_redundancy(loaded.network, box, claim, self._solver, options, begun + timeout, progress)
        if target is not None:
            target.write(found, progress)
        return found

    def equivalent(
        self,
        original: str | Path,
        other: str | Path,
        domain: DomainLike,
        *,
        epsilon: Number | None = None,
        decision: str | None = None,
        margin: Number = 0,
        semantics: str = "real",
        timeout: float = 300.0,
        certificate: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Verdict:
        """Do two networks agree on a box, up to epsilon in every output or in what they decide?

        Parameters
        ----------
        original, other : ONNX files (or `.gz`) with as many inputs and outputs. domain : a box, a file of one, or
        (lower, upper). epsilon : the largest admitted difference of an output. decision : `argmax` or `argmin`; wherever the
        original has a single winner that leads by more than `margin`, the other network must have the same. Exactly one of the
        two is to be given. semantics : `real`, or `float32`, where `Holds` speaks of all float32 evaluations of both networks at
        float32 inputs (in the sense of FORMAT.md, section 11). timeout : seconds of wall time, reading included. certificate : a
        file for the evidence of a decided verdict; it is written after the checker has accepted it, which the time limit does not
        cover; it names a JSON file of the domain, and where `domain` is none, NAME.domain.json is written beside it.

        Returns
        -------
        `Holds`, `Violated` with a point where they do not agree, or `Unknown` with a reason. Raises InputError for bad input.
        """
        begun = time.monotonic()
        options = replace(self._options, timeout=timeout)  # before anything is read
        claim = claimed(epsilon, decision, margin)
        check_semantics(semantics)
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        pair = self._pair(original, other, domain)
        return decide_pair(pair, claim, self._solver, options, begun, certificate, progress, semantics)

    def distance(
        self,
        a: str | Path,
        b: str | Path,
        domain: DomainLike,
        *,
        timeout: float = 60.0,
        tolerance: float = 0.01,
        certificate: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Distance:
        """The largest difference of any output of two networks anywhere on a box, between two bounds.

        Parameters
        ----------
        a, b : ONNX files (or `.gz`) with as many inputs and outputs. domain : a box, a file of one, or (lower, upper).
        timeout : seconds of wall time, reading included. tolerance : how far the bounds may stay apart, as a share of the lower.
        certificate : a file for the evidence that no output differs by more than the upper bound and 1/4096 of it, which leaves
        room for a proof. That claim is proven by itself, in as much time again; where that does not suffice, `progress` says so
        and nothing is written.

        Returns
        -------
        A certified upper bound, and a lower one with the exact point where it is attained; they hold whether or not the
        tolerance was reached. Raises InputError for bad input, and for networks beyond what the kernels hold.
        """
        begun = time.monotonic()
        options = replace(self._options, timeout=timeout)  # before anything is read
        _require_share(tolerance)
        progress = SilentProgress() if progress is None else progress
        progress.stage("read")
        pair = self._pair(a, b, domain)
        if certificate is not None:
            certificate_target(certificate, Agreement(Fraction(0)), pair)  # says at once whether it can be written
        progress.stage("search (the first time, kernels are compiled)")
        found = largest_difference(pair.networks, pair.domain, tolerance, options.seed, begun + timeout, progress)
        if certificate is not None:
            proof = decide_pair(
                pair, Agreement(found.upper * _ROOM), self._solver, options, time.monotonic(), certificate, progress
            )
            if not isinstance(proof, Holds):
                progress.note("no certificate: the upper bound was not proven once more within the time limit")
        return found

    def _pair(self, first: str | Path, second: str | Path, domain: DomainLike) -> Pair:
        set_threads(self._options.jobs)
        models = self._models.load(network_path(first)), self._models.load(network_path(second))
        return Pair(*models, domain_of(domain), domain_file_of(domain))


def verify(
    model: Models,
    query: Asked,
    *,
    semantics: str = "real",
    timeout: float = 300.0,
    certificate: str | Path | None = None,
    jobs: int | None = None,
    solver: str = "z3",
    seed: int = 0,
    progress: Progress | None = None,
) -> Verdict:
    """One call of `Engine.verify` with an engine of its own; see there."""
    with Engine(jobs=jobs, solver=solver, seed=seed) as engine:
        return engine.verify(model, query, semantics=semantics, timeout=timeout, certificate=certificate, progress=progress)


def equivalent(
    original: str | Path,
    other: str | Path,
    domain: DomainLike,
    *,
    epsilon: Number | None = None,
    decision: str | None = None,
    margin: Number = 0,
    semantics: str = "real",
    timeout: float = 300.0,
    certificate: str | Path | None = None,
    jobs: int | None = None,
    solver: str = "z3",
    seed: int = 0,
    progress: Progress | None = None,
) -> Verdict:
    """One call of `Engine.equivalent` with an engine of its own; see there."""
    with Engine(jobs=jobs, solver=solver, seed=seed) as engine:
        return engine.equivalent(
            original,
            other,
            domain,
            epsilon=epsilon,
            decision=decision,
            margin=margin,
            semantics=semantics,
            timeout=timeout,
            certificate=certificate,
            progress=progress,
        )


def distance(
    a: str | Path,
    b: str | Path,
    domain: DomainLike,
    *,
    timeout: float = 60.0,
    tolerance: float = 0.01,
    certificate: str | Path | None = None,
    jobs: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Distance:
    """One call of `Engine.distance` with an engine of its own; see there."""
    with Engine(jobs=jobs, solver="none", seed=seed) as engine:
        return engine.distance(a, b, domain, timeout=timeout, tolerance=tolerance, certificate=certificate, progress=progress)


def _require_share(tolerance: float) -> None:
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"tolerance {tolerance} is no share of a width", remedy="give a number from 0, such as 0.01")


def _redundancy_target(
    certificate: str | Path, claim: RedundancyClaim, model: LoadedModel, box: Domain, domain: DomainLike
) -> RedundancyCertificate:
    from secateur.redundancy_certificate import RedundancyCertificate  # loads the checker: only where it is needed

    return RedundancyCertificate(certificate, claim, model, box, domain_file_of(domain))


def _target(
    certificate: str | Path, query: Asked, asked: Query, models: Sequence[LoadedModel], semantics: str
) -> CertificateTarget:
    """Where the certificate goes; InputError for what one cannot speak about."""
    from secateur.query_certificate import CertificateTarget  # loads the checker: only where it is needed

    if not isinstance(query, str | Path) or len(models) != 1:
        problem = "a certificate speaks about a query file and one network"
        raise InputError(problem, where=asked.source, remedy="ask without a certificate")
    what = uncovered(asked.networks[0])
    if what:
        raise InputError(f"a certificate cannot cover {what}", where=asked.source, remedy="ask without a certificate")
    return CertificateTarget(certificate, models[0].path, Path(query), semantics)


def bounds(
    model: str | Path,
    domain: DomainLike,
    *,
    timeout: float = 60.0,
    tolerance: float = 0.01,
    jobs: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> OutputBounds:
    """One call of `Engine.bounds` with an engine of its own; see there."""
    with Engine(jobs=jobs, solver="none", seed=seed) as engine:
        return engine.bounds(model, domain, timeout=timeout, tolerance=tolerance, progress=progress)
