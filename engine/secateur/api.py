"""The Python interface: `prune` a network, look at the result, save it.

    result = secateur.prune("net.onnx", "domain.json", out="pruned")
    result.summary["neurons"]          # {'original': 300, 'reduced': 279}
    secateur.check("pruned")           # Accepted(statement='Verified: for all x in D, ...')

The command line does nothing that these functions do not do.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from secateur.bounds import quantise
from secateur.bounds import warmup as compile_kernels
from secateur.certificate import FileReference, refutation_bytes
from secateur.certificate_file import require_readable
from secateur.checker import Accepted
from secateur.checking import check
from secateur.errors import InputError
from secateur.files import scratch_folder
from secateur.network import Affine, Dense, Network, Term, to_model_bytes
from secateur.options import PruneOptions
from secateur.progress import Progress, SilentProgress
from secateur.reduction.model_file import ModelFile, read_model
from secateur.reduction.pipeline import Analysis, Measurement, Reduction, Stopwatch, analyse, measure, reduce, relaxed
from secateur.reduction.publish import publish, require_writable
from secateur.reduction.summary import (
    CERTIFICATE,
    DOMAIN,
    REDUCED,
    certificate_for,
    domain_file,
    summarise,
    witness_file,
)
from secateur.report import render
from secateur.residual import ResidualSolver
from secateur.search import PartProof, PhaseResult
from secateur.search.question import questions
from secateur.search.refute import row_network
from secateur.specification import Domain, DomainLike, domain_of, read_query
from secateur.specification.comparison import Decision
from secateur.specification.numerals import Number, exact_rational

__all__ = ["ModelFile", "PruneResult", "prune", "read_model", "warmup"]


@dataclass(frozen=True, eq=False)
class PruneResult:
    """The outcome of `prune`, as objects.

    reduction : how it came about, with all evidence. measurement : what onnxruntime showed; None after Ctrl-C.
    stages : seconds by name. seconds : in all. folder : where the files lie, or None if they were not written.
    interrupted : whether Ctrl-C ended the run early; what had been decided is kept.
    """

    reduction: Reduction
    measurement: Measurement | None
    stages: Mapping[str, float]
    seconds: float
    folder: Path | None = None
    interrupted: bool = False

    def __repr__(self) -> str:
        left = f"{self.network.neuron_count} of {self.original.neuron_count} neurons left"
        place = "" if self.folder is None else f", in {str(self.folder)!r}"
        return f"<PruneResult: {self.claim}; {left}{place}{'; interrupted' if self.interrupted else ''}>"

    @property
    def original(self) -> Network:
        """N: the network as it was read."""
        return self.reduction.analysis.model.network

    @property
    def network(self) -> Network:
        """N': the reduced network, read back from its bytes."""
        return self.reduction.network

    @property
    def data(self) -> bytes:
        """The reduced network as an ONNX file."""
        return self.reduction.data

    @property
    def domain(self) -> Domain:
        """D: the box on which the claim holds."""
        return self.reduction.analysis.domain

    @property
    def phases(self) -> PhaseResult:
        """The status of every neuron, with witnesses and proofs."""
        return self.reduction.analysis.phases

    @property
    def tolerance(self) -> Fraction | None:
        """The claimed bound on |N - N'|; 0 for exact equality, None where the claim is about decisions."""
        return self.reduction.tolerance

    @property
    def claim(self) -> str:
        """The statement that the certificate proves, in words."""
        return self.reduction.claim

    @cached_property
    def certificate(self) -> bytes:
        """The certificate, as it lies in `folder`."""
        return certificate_for(self.reduction, self.folder)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of `summary.json`; its keys are documented in `secateur.report`."""
        return self._summary(self.certificate)

    def files(self, folder: str | Path | None = None) -> dict[str, bytes]:
        """All files by name, as they belong into `folder` (the certificate names the original by its path)."""
        certificate = certificate_for(self.reduction, None if folder is None else Path(folder))
        summary = self._summary(certificate)
        return {
            REDUCED: self.data,
            DOMAIN: domain_file(self.reduction.analysis),
            "witnesses.json": witness_file(self.reduction.analysis),
            CERTIFICATE: certificate,
            "report.html": render(summary).encode(),
            "summary.json": (json.dumps(summary, indent=1) + "\n").encode(),
        }

    def save(self, folder: str | Path) -> None:
        """Write all files into a folder, made where it is missing; InputError where that is not possible."""
        _require_foreign(self.reduction.analysis.model, folder)
        publish(folder, self.files(folder), CERTIFICATE)

    def _summary(self, certificate: bytes) -> dict[str, Any]:
        summary = summarise(self.reduction, self.measurement, certificate, self.stages, self.seconds)
        return summary | {"interrupted": self.interrupted}


def prune(
    model: str | Path | ModelFile,
    domain: DomainLike,
    *,
    out: str | Path | None = None,
    tolerance: Number = 0,
    preserve: Decision | None = None,
    timeout: float = 300.0,
    jobs: int | None = None,
    solver: str = "z3",
    seed: int = 0,
    progress: Progress | None = None,
) -> PruneResult:
    """Prove which neurons a network does not need on a domain, and remove them.

    Parameters
    ----------
    model : an ONNX file. domain : a `Domain`, a file that `read_domain` reads, or (lower, upper), whose floats
    count as the rationals they are and whose strings are read exactly. out : a folder for reduced.onnx,
    certificate.secateur, domain.json, witnesses.json, report.html and summary.json; None writes nothing.
    tolerance : largest admitted |N - N'| on the domain; with 0 only rewrites that are exact with the stored weights are
    made. preserve : `Decision("argmax")` or `Decision("argmin", margin)`, in place of a tolerance: outputs may change, winners
    that lead by more than the margin may not. timeout : seconds for the search. jobs : threads; all cores by default.
    solver : `z3`, `cvc5`, `both` or `none`, who confirms the deciding inequalities. seed : of random points.

    Returns
    -------
    The result; Ctrl-C ends the search early, and the result then holds what was decided (`interrupted`).

    Raises InputError for anything that the caller can mend; nothing is then written.
    """
    begun = time.monotonic()
    progress = SilentProgress() if progress is None else progress
    options = _options(tolerance, preserve, timeout, jobs, solver, seed)
    watch = Stopwatch(progress)
    with watch.stage("read"):
        source = model if isinstance(model, ModelFile) else read_model(model)
        box = domain_of(domain)
        if out is not None:
            _require_foreign(source, out)
            require_writable(out)
        require_readable(source.data, str(source.path), "nothing was written")
    analysis, reduction, interrupted = _reduced(source, box, options, watch, progress)
    reduction, refusal, checked = _checked(analysis, reduction, watch, progress)
    if refusal:
        raise InputError(
            f"no certificate that the checker accepts can be written: {refusal}",
            where=str(source.path),
            remedy="nothing was written",
        )
    interrupted |= not checked
    measurement = None if interrupted else _measured(reduction, watch)
    interrupted |= measurement is None
    folder = None if out is None else Path(out)
    result = PruneResult(reduction, measurement, watch.seconds, time.monotonic() - begun, folder, interrupted)
    return result if folder is None else _saved(result, folder, progress)


def _reduced(
    model: ModelFile, domain: Domain, options: PruneOptions, watch: Stopwatch, progress: Progress
) -> tuple[Analysis, Reduction, bool]:
    """The smallest network that the options admit: by phases, and in the other half of the time by more than these allow.

    And whether Ctrl-C ended any of it: then with what had been decided.
    """
    claim = options.relaxed_claim
    if claim is not None:
        claim.negation(model.network.output_size)  # says at once whether it can be asked
    share = options if claim is None else replace(options, timeout=options.timeout / 2)
    analysis = replace(analyse(model, domain, share, watch, progress), options=options)
    if analysis.interrupted:
        return analysis, reduce(analysis, Fraction(0), watch), True
    try:
        reduction = reduce(analysis, options.tolerance, watch)
    except KeyboardInterrupt:  # it takes little time, and the phases are worth saving
        return analysis, reduce(analysis, Fraction(0), watch), True
    if claim is None:
        return analysis, reduction, False
    try:
        with watch.stage("relax"), ResidualSolver(options.solver) as solver:
            effort = analysis.phases.statistics
            left = options.timeout - effort.attack_seconds - effort.search_seconds
            return analysis, *relaxed(analysis, reduction, claim, solver, time.monotonic() + left, progress)
    except KeyboardInterrupt:  # before or after the search
        return analysis, reduction, True


def warmup(progress: Progress | None = None) -> None:
    """Compile the kernels of engine and checker side by side, once per machine; later runs load them from numba's cache.

    Afterwards proves and checks, as a user's run would, that 2 a - 2 b - 1 <= 0 for a = b = relu(x) on [-1, 1]: intervals do not
    show it, one sub-domain does.
    """
    progress = SilentProgress() if progress is None else progress
    progress.stage("compile kernels")
    with scratch_folder() as folder, _checker_process(folder) as child:
        compile_kernels()
        progress.stage("compile the checker's kernels")
        child.wait()
    first = Affine((Term(0, Dense(np.array([[1.0], [1.0]]))),), np.zeros(2))
    second = Affine((Term(1, Dense(np.array([[2.0, -2.0]]))),), np.array([-1.0]))
    network = Network(1, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))
    model = ModelFile(Path("warmup.onnx"), to_model_bytes(network), network)
    prune(model, ((-1,), (1,)), timeout=60.0, jobs=1, solver="none", progress=progress)


def _checker_process(folder: Path) -> subprocess.Popen[bytes]:
    """The checker at work on a tiny certificate (a leaf that says relu(x) > -1): it compiles its kernels into the cache."""
    unit = Affine((Term(0, Dense(np.array([[1.0]]))),), np.zeros(1))
    network = Network(1, (unit,), Affine((Term(1, Dense(np.array([[1.0]]))),), np.zeros(1)))
    model, query = (
        to_model_bytes(network),
        b"(declare-const X_0 Real)(declare-const Y_0 Real)"
        + b"".join(b"(assert (%s))" % condition for condition in (b">= X_0 0", b"<= X_0 1", b"<= Y_0 -1")),
    )
    files = {"net.onnx": model, "query.vnnlib": query}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    names = [FileReference(name, hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    (question,) = questions(read_query(folder / "query.vnnlib"), [network])
    grids = quantise(row_network(question.network), question.domain.lower, question.domain.upper).grids
    proof = PartProof(1, grids, 0, np.zeros(1, dtype=np.uint16), 0)
    certificate = folder / "leaf.secateur"
    certificate.write_bytes(refutation_bytes(producer="secateur", network=names[0], query=names[1], input_size=1, proofs=[proof]))
    here = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", "secateur.checker", str(certificate)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _measured(reduction: Reduction, watch: Stopwatch) -> Measurement | None:
    try:
        return measure(reduction, watch)
    except KeyboardInterrupt:  # all proofs are done: they are worth saving
        return None


def _saved(result: PruneResult, folder: Path, progress: Progress) -> PruneResult:
    """The result, as it is saved: Ctrl-C comes too late to stop that, and is told."""
    try:
        progress.stage("write")
        result.save(folder)
    except KeyboardInterrupt:
        result = replace(result, interrupted=True)
        result.save(folder)
    return result


def _checked(analysis: Analysis, reduction: Reduction, watch: Stopwatch, progress: Progress) -> tuple[Reduction, str, bool]:
    """Nothing is claimed before the checker has accepted it: the reduction whose certificate it accepts, or its refusal.

    With a tolerance the claim depends on the checker's own bound of the difference; where that does not suffice, or a proof by
    differences is refused, the exact reduction stands in. The last says whether the check was finished: Ctrl-C ends it, and the
    reduction is kept, to be checked by the user.
    """
    try:
        with watch.stage("check"):
            refusal = _refusal(reduction, progress)
        if refusal and (reduction.difference is not None or reduction.tolerance):
            progress.note(f"not provable: {reduction.claim} ({refusal}); falling back to exact rewriting")
            reduction = reduce(analysis, Fraction(0), watch)
            with watch.stage("check"):
                refusal = _refusal(reduction, progress)
    except KeyboardInterrupt:
        progress.note("interrupted before the certificate was checked; run: secateur check")
        return reduction, "", False
    return reduction, refusal, True


def _refusal(reduction: Reduction, progress: Progress) -> str:
    """Why the checker would refuse the certificate; empty if it accepts."""
    with scratch_folder() as folder:
        source = folder / "original.onnx"
        source.write_bytes(reduction.analysis.model.data)
        (folder / REDUCED).write_bytes(reduction.data)
        (folder / DOMAIN).write_bytes(domain_file(reduction.analysis))
        (folder / CERTIFICATE).write_bytes(certificate_for(reduction, None))
        verdict = check(folder, original=source, progress=progress.update)
    return "" if isinstance(verdict, Accepted) else f"{verdict.step}: {verdict.reason}"


def _options(
    tolerance: Number, preserve: Decision | None, timeout: float, jobs: int | None, solver: str, seed: int
) -> PruneOptions:
    exact = exact_rational(tolerance, "tolerance")
    options = PruneOptions(tolerance=exact, timeout=timeout, solver=solver, seed=seed, preserve=preserve)
    return options if jobs is None else replace(options, jobs=jobs)


def _require_foreign(model: ModelFile, folder: str | Path) -> None:
    """InputError if saving to the folder would overwrite the original, of which the certificate speaks."""
    target = Path(folder) / REDUCED
    if target.resolve() == model.path.resolve() or (target.exists() and model.path.exists() and target.samefile(model.path)):
        raise InputError(
            f"the output folder {folder} would overwrite the network itself",
            where=str(model.path),
            remedy="choose another --out",
        )
