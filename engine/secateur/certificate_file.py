"""The file of a certificate: where it may go, and that nothing is written which the checker does not accept."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from secateur.checker import Accepted, check, unreadable
from secateur.errors import InputError
from secateur.files import bytes_of, remove_stale, scratch_folder
from secateur.progress import Progress

__all__ = ["named_file", "require_accepted", "require_other", "require_place", "require_readable", "sha256_of"]


def named_file(path: str | Path) -> Path:
    """The path of a certificate; InputError where it names no file, but a folder or nothing."""
    path = Path(path)
    if not path.name or path.is_dir():
        raise InputError("is a folder", where=f"--certificate {path}", remedy="name a file in it")
    return path


def require_other(path: Path, targets: Iterable[Path], read: Iterable[Path]) -> None:
    """InputError where one of the files that the certificate at `path` takes would be written over one that is read."""
    taken = {own.resolve() for own in read}
    for target in targets:
        if target.resolve() in taken:
            raise InputError(f"would overwrite {target}", where=f"--certificate {path}", remedy="choose another name")


def require_place(path: Path) -> None:
    """InputError unless a file can be made in the certificate's folder: asked before the long work, by doing it.

    Removes what killed runs left of the certificate and of the files beside it.
    """
    where, folder = f"--certificate {path}", path.resolve().parent
    if not folder.is_dir():
        raise InputError("its folder does not exist", where=where)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        for own in (path, path.with_suffix(".domain.json"), path.with_suffix(".linearised.onnx")):
            remove_stale(folder, own.name)
    except OSError as error:
        raise InputError(f"its folder cannot be written: {error.strerror or error}", where=where) from None


def require_readable(data: bytes, where: str, remedy: str) -> None:
    """InputError where the checker cannot read a network, the bytes of its file: asked before the long work, for certificates are
    accepted before they are written.
    """
    reason = unreadable(data)
    if reason:
        raise InputError(f"no certificate that the checker accepts can be written: {reason}", where=where, remedy=remedy)


def require_accepted(
    draft: Callable[[Path], bytes],
    where: str,
    progress: Progress,
    *,
    original: Path,
    reduced: Path | None = None,
    query: Path | None = None,
) -> None:
    """InputError unless the checker accepts a certificate about these files; `draft` gives its bytes as they would lie in a
    folder.
    """
    progress.stage("check")
    with scratch_folder() as folder:
        path = folder / "draft.secateur"
        path.write_bytes(draft(folder))
        outcome = check(path, original=original, reduced=reduced, query=query, progress=progress.update)
    if not isinstance(outcome, Accepted):
        raise InputError(
            f"no certificate that the checker accepts can be written: {outcome.step}: {outcome.reason}",
            where=where,
            remedy="nothing was written",
        )


def sha256_of(path: Path) -> str:
    """Of a file's bytes; InputError where it cannot be read."""
    return hashlib.sha256(bytes_of(path)).hexdigest()
