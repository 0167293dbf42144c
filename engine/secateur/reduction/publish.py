"""A folder of results that appears as a whole: everything is written beside it first, then moved in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import InputError

__all__ = ["publish", "require_writable"]


def require_writable(folder: str | Path) -> None:
    """InputError unless `publish(folder, ...)` can be expected to work; leaves nothing behind.

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


def publish(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write the files into `folder`, made where it is missing; files of other names stay. Names may have folders.

    A reader sees each file old or new, never in part, and a new folder only when it is complete. InputError
    where that is not possible.
    """
    folder = Path(folder)
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    with _draft_folder(parent, folder) as draft:
        try:
            for name, data in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(data)
            _move(draft, folder, files)
        except OSError as error:
            raise _unwritable(folder, error) from None


def _move(draft: Path, folder: Path, files: Mapping[str, bytes]) -> None:
    if not folder.exists():
        draft.chmod(0o777 & ~_umask())  # temporary folders are private; this one is no longer temporary
        draft.replace(folder)
        return
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(folder / name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _draft_folder(parent: Path, folder: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, on the same file system as `folder`, removed at the end."""
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=parent))
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
