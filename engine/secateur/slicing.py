"""`slice_network`: a network as a family of smaller ones, each for a part of the domain, with one certificate.

result = secateur.slice_network("net.onnx", "domain.json", slices=32, out="sliced")
secateur.Family.load("sliced").predict(X)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secateur.bounds import warmup
from secateur.certificate_file import require_readable
from secateur.checker import Accepted, Refused, check
from secateur.errors import InputError
from secateur.family import MANIFEST, Family
from secateur.files import scratch_folder
from secateur.options import SliceOptions
from secateur.progress import Progress, SilentProgress
from secateur.reduction.model_file import ModelFile, read_model
from secateur.reduction.pipeline import Stopwatch
from secateur.reduction.publish import publish, require_writable
from secateur.reduction.slicing import Sliced, slice_domain
from secateur.reduction.slicing.ledger import Ledger
from secateur.reduction.slicing.summary import (
    CERTIFICATE,
    FamilyFiles,
    collect,
    measure_family,
    original_reference,
    summarise_family,
)
from secateur.reduction.slicing.work import prepare_worker
from secateur.report.family import render_family
from secateur.specification import Domain, DomainLike, domain_of
from secateur.specification.comparison import Decision
from secateur.specification.numerals import Number, exact_rational

__all__ = ["FamilyResult", "slice_network"]

_MEMORY_EACH = 1 << 17
"""Bytes of memory that a slice takes in the main process: its region, facts and part of the certificate."""


@dataclass(frozen=True, eq=False)
class FamilyResult:
    """The outcome of `slice_network`. summary : the content of `summary.json` (keys: `secateur.report.family`)."""

    summary: dict[str, Any]
    files: dict[str, bytes]
    folder: Path | None

    def __repr__(self) -> str:
        summary, place = self.summary, "" if self.folder is None else f", in {str(self.folder)!r}"
        left = f"{summary['neurons']['mean']:.1f} of {summary['neurons']['original']} neurons left in the mean"
        ended = "; interrupted" if self.interrupted else ""
        return f"<FamilyResult: {summary['slices']} slices, {left}{place}: {summary['claim']}{ended}>"

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run early; what had been decided is kept."""
        return bool(self.summary["interrupted"])

    def family(self) -> Family:
        """The family at work."""
        return Family(self.files[MANIFEST], self.files.__getitem__, "the family")


def slice_network(
    model: str | Path | ModelFile,
    domain: DomainLike,
    *,
    out: str | Path | None = None,
    slices: int | None = None,
    max_neurons: int | None = None,
    rounds: int | None = None,
    tolerance: Number = 0,
    preserve: Decision | None = None,
    timeout: float = 3600.0,
    jobs: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> FamilyResult:
    """Cut a domain into boxes and prove, for each, which neurons the network does not need there.

    Parameters
    ----------
    model : an ONNX file. domain : a `Domain`, a file that `read_domain` reads, or (lower, upper). out : a folder that does not
    exist yet, for the networks, manifest.json, family.secateur, report.html and summary.json; None writes nothing.
    slices : how many, by adaptive cuts; or max_neurons : cut until no slice's network has more; or rounds : cut every coordinate
    of every slice in half, so often. tolerance, preserve : as for `prune`; by default every slice computes exactly what the
    original does. timeout : seconds for cutting and all slices. jobs : slices in work at a time; all cores by
    default. seed : of sampled points. executor : who works on the slices, `jobs` at a time; processes of this machine by default
    (scripts then need the usual `if __name__ == "__main__"`), elsewhere they have to reach the folder beside `out`.

    Returns
    -------
    The result; Ctrl-C ends the run early, and the family is complete and correct with what was decided (`interrupted`).
    A run with `out` that is killed goes on where it was when it is started again.

    Raises InputError for anything that the caller can mend; nothing is then written.
    """
    progress = SilentProgress() if progress is None else progress
    options = SliceOptions(
        slices, max_neurons, rounds, timeout, seed=seed, tolerance=exact_rational(tolerance, "tolerance"), preserve=preserve
    )
    options = options if jobs is None else replace(options, jobs=jobs)
    watch = Stopwatch(progress)
    with watch.stage("read"):
        source = model if isinstance(model, ModelFile) else read_model(model)
        box = domain_of(domain)
        box.require_dimension(source.network.input_size, str(source.path))
        options.claim.negation(source.network.output_size)  # says at once whether it can be asked
        folder = None if out is None else _free_folder(Path(out))
        _require_room(source, box, options, folder)
        require_readable(source.data, str(source.path), "nothing was written")
    progress.stage("compile kernels")  # for all workers, before the time for slicing begins
    warmup()
    with _work_folder(folder) as work:
        with watch.stage("slice"), _workers(executor, options.jobs) as workers:
            sliced = slice_domain(source, box, options, Ledger.opened(work), workers, progress)
        with watch.stage("collect"):
            files = collect(sliced, source, box, options.claim)
        return _published(files, sliced, source, box, options, watch, folder, progress)


def _published(
    files: FamilyFiles,
    sliced: Sliced,
    source: ModelFile,
    box: Domain,
    options: SliceOptions,
    watch: Stopwatch,
    folder: Path | None,
    progress: Progress,
) -> FamilyResult:
    """Nothing is claimed before the checker has accepted it, on the files as they will lie."""
    with watch.stage("check"):
        checked = _checked(files, source, options.jobs, progress)
    measured = None
    if not sliced.interrupted:
        with suppress(KeyboardInterrupt), watch.stage("measure"):  # all proofs are done: they are worth saving
            measured = measure_family(files, source, options.seed)
    certificate = files.certificate(original_reference(source, folder))
    summary = summarise_family(files, sliced, source, box, options, measured, certificate, watch.seconds)
    summary["interrupted"] = sliced.interrupted or not checked
    content = {
        **files.networks,
        MANIFEST: files.manifest,
        CERTIFICATE: certificate,
        "report.html": render_family(summary).encode(),
        "summary.json": (json.dumps(summary, indent=1) + "\n").encode(),
    }
    if folder is not None:
        publish(folder, content, CERTIFICATE)
    return FamilyResult(summary, content, folder)


def _checked(files: FamilyFiles, source: ModelFile, jobs: int, progress: Progress) -> bool:
    """Have the checker accept the family; InputError if it does not.

    False if Ctrl-C ended the check: the family is kept, to be checked by the user.
    """
    try:
        with scratch_folder() as scratch:
            folder, original = scratch / "family", scratch / "original.onnx"
            original.write_bytes(source.data)
            certificate = files.certificate(original_reference(source, None))
            publish(folder, {**files.networks, MANIFEST: files.manifest, CERTIFICATE: certificate}, CERTIFICATE)
            verdict = check(folder, original=original, progress=progress.update, jobs=jobs)
    except KeyboardInterrupt:
        progress.note("interrupted before the certificate was checked; run: secateur check")
        return False
    _require(verdict, source)
    return True


def _require(verdict: Accepted | Refused, source: ModelFile) -> None:
    if isinstance(verdict, Refused):
        raise InputError(
            f"no certificate that the checker accepts can be written: {verdict.step}: {verdict.reason}",
            where=str(source.path),
            remedy="nothing was written",
        )


def _free_folder(folder: Path) -> Path:
    """InputError unless the folder is missing or empty: files of another family must not stay between these."""
    require_writable(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError("is not empty", where=f"output folder {folder}", remedy="choose another --out")
    return folder


def _require_room(source: ModelFile, box: Domain, options: SliceOptions, folder: Path | None) -> None:
    """InputError where memory or disk would not hold the slices that are asked for."""
    if options.rounds is not None:
        cuts = sum(width > 0 for width in box.widths()) * options.rounds
        asked, shown = 1 << min(cuts, 64), f"2^{cuts}" if cuts > 20 else f"{1 << cuts:,}"
    else:
        asked, shown = options.slices or 1, f"{options.slices or 1:,}"
    # On disk, each may take the original's bytes twice (in the work folder, and in the results) and its evidence.
    room = {"memory": _free_memory() // (_MEMORY_EACH + len(source.data))}
    if folder is not None:
        parent = next(p for p in folder.absolute().parents if p.exists())
        room["disk"] = shutil.disk_usage(parent).free // (2 * len(source.data) + _MEMORY_EACH)
    tightest = min(room, key=lambda kind: room[kind])
    if asked > room[tightest]:
        where = "--slices" if options.rounds is None else f"--rounds {options.rounds}"
        raise InputError(f"{shown} slices are more than the {tightest} holds: about {room[tightest]:,} fit", where=where)


def _free_memory() -> int:
    """Bytes that programs can have (caches of files count as free); as good as no limit where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 1 << 62
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 1 << 62)


@contextmanager
def _work_folder(folder: Path | None) -> Iterator[Path]:
    """Where the ledger lies: beside the results, so that a killed run goes on; it goes when they are complete."""
    if folder is None:
        with scratch_folder() as scratch:
            yield scratch
        return
    work = folder.absolute().with_name(f"{folder.name}.partial")
    yield work
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _workers(given: Executor | None, jobs: int) -> Iterator[Executor]:
    """Who works on slices: processes with one thread each, spawned, since numba's and onnxruntime's threads survive no fork."""
    if given is not None:
        yield given
        return
    threads = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by the children as they begin
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=prepare_worker) as pool:
            yield pool
    finally:
        if threads is None:
            os.environ.pop("OPENBLAS_NUM_THREADS", None)
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = threads
