"""A folder of results that appears as a whole: everything is written beside it first, then moved in.

One of its files, the certificate, vouches for the others. Where the folder exists and holds something, files are moved one by
one: then the old certificate goes first, and the new one comes last, so that a certificate never lies among other files than its
own, whenever the process is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import InputError
from secateur.files import remove_stale, temporary_name

__all__ = ["publish", "require_writable"]


def require_writable(folder: str | Path) -> None:
    """InputError unless `publish(folder, ...)` can be expected to work; leaves nothing behind, not even of runs that were killed.

    Asked before the long work, so that nobody loses an hour to a mistyped path.
    """
    folder = Path(folder)
    if folder.exists():
        _require_folder(folder, folder)
    ancestor = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    _require_folder(ancestor, folder)
    # Asked of the system by doing it: permissions have too many sources to be read.
    with _draft_folder(ancestor, folder):
        pass
    with contextlib.suppress(OSError):  # a folder that may be written but not listed
        remove_stale(folder.resolve().parent, folder.resolve().name)
        remove_stale(ancestor, folder.name)


def publish(folder: str | Path, files: Mapping[str, bytes], certificate: str) -> None:
    """Write the files into `folder`, made where it is missing; files of other names stay. Names may have folders.

    `certificate` names the file that vouches for the others. A reader sees each file old or new, never in part, a new or empty
    folder only when it is complete, and in any other the certificate only with its own files. InputError where that is not
    possible.
    """
    folder = Path(folder)
    try:
        place = _place(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    with _draft_folder(place, folder) as draft:
        try:
            for name, data in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(data)
            _move(draft, folder.resolve(), files, certificate)
        except OSError as error:
            raise _unwritable(folder, error) from None


def _place(folder: Path) -> Path:
    """Where the draft lies, so that it can be moved: beside the folder, or in it where that is another file system or closed."""
    parent = folder.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir() and (folder.stat().st_dev != parent.stat().st_dev or not os.access(parent, os.W_OK)):
        return folder
    return parent


def _move(draft: Path, folder: Path, files: Mapping[str, bytes], certificate: str) -> None:
    if not folder.exists():
        draft.chmod(0o777 & ~_umask())  # temporary folders are private; this one is no longer temporary
        draft.replace(folder)
        return
    if _is_replaced(draft, folder):
        return
    (folder / certificate).unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name == certificate):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(folder / name)


def _is_replaced(draft: Path, folder: Path) -> bool:
    """Put the draft in the place of an empty folder, at once. False where there is more in it, or somebody stands in it."""
    if draft.parent == folder or any(folder.iterdir()) or folder.samefile(Path.cwd()):
        return False
    try:
        draft.chmod(stat.S_IMODE(folder.stat().st_mode))
        draft.replace(folder)
    except OSError:  # Windows does not rename to what is there, and nobody renames what is mounted
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _draft_folder(parent: Path, folder: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, on the same file system as `folder`, removed at the end."""
    try:
        draft = Path(tempfile.mkdtemp(prefix=f"{temporary_name(folder.resolve().name)}.", dir=parent))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_folder(path: Path, target: Path) -> None:
    if not path.is_dir():
        problem = "is a file, not a folder" if path == target else f"cannot be made: {path} is a file, not a folder"
        raise InputError(problem, where=f"output folder {target}", remedy="choose another --out")


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be written: {error.strerror or error}",
        where=f"output folder {folder}",
        remedy="choose another --out",
    )
