"""`export`: the claims of a certificate, for other tools to confirm or for people to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from secateur.errors import InputError
from secateur.exporting.instances import benchmark_files
from secateur.exporting.material import Given, described, material, read_source, require_real
from secateur.exporting.readable import readable
from secateur.exporting.smtlib import script_files
from secateur.files import write_atomically
from secateur.progress import Progress, SilentProgress
from secateur.reduction.publish import publish, require_writable

__all__ = ["FORMS", "Exported", "export"]

FORMS = ("vnnlib", "smtlib", "json")


@dataclass(frozen=True)
class Exported:
    """What was written: the claim in words, the folder or file, the names of the files in it, and what could not be expressed."""

    claim: str
    path: Path
    files: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...]


def export(
    certificate: str | Path,
    out: str | Path,
    *,
    form: str = "vnnlib",
    original: str | Path | None = None,
    reduced: str | Path | None = None,
    query: str | Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write what a certificate claims so that any other tool can confirm it. It is not checked here: see `check`.

    Parameters
    ----------
    certificate : the file, or the folder that contains `certificate.secateur` or `family.secateur`. out : a folder that is
    missing or empty; for `json` a file that does not exist yet. form : `vnnlib` writes networks, VNN-LIB queries and
    `instances.csv`, whose expected answers `manifest.json` names; `smtlib` an SMT-LIB 2 text for each claim, exactly; both take
    claims about exact values only; `json` the certificate itself, unpacked.
    original, reduced, query : files in place of those that the certificate names; the hashes must agree.

    Returns
    -------
    What was written. Raises InputError for bad input; nothing is then written.
    """
    if form not in FORMS:
        raise InputError(f"there is no form {form!r}", remedy=f"choose {', '.join(FORMS)}")
    progress = SilentProgress() if progress is None else progress
    path, given = Path(out), Given(original, reduced, query)
    progress.stage("read")
    source = read_source(certificate)
    claim = described(source.certificate)
    if form == "json":
        if given != Given():
            raise InputError("the JSON form reads the certificate only, so no other file can be given")
        _require_no_file(path)
        progress.stage("write")
        write_atomically(path, readable(source))
        return Exported(claim, path, (path.name,), ())
    require_real(source)
    _require_free(path)
    found = material(source, given)
    progress.stage("export")
    files, notes = benchmark_files(found, progress) if form == "vnnlib" else (script_files(found, progress), list(found.notes))
    progress.stage("write")
    publish(path, files, "manifest.json")
    return Exported(claim, path, tuple(sorted(files)), tuple(notes))


def _require_no_file(path: Path) -> None:
    """InputError where something would be overwritten, the certificate itself perhaps."""
    if path.exists() or not path.name:
        raise InputError("exists already", where=f"output file {path}", remedy="choose another --out")


def _require_free(folder: Path) -> None:
    """InputError unless the folder is missing or empty: claims of another certificate must not stay between these."""
    require_writable(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError("is not empty", where=f"output folder {folder}", remedy="choose another --out")
