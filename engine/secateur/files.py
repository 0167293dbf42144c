"""Writing a file completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from secateur.errors import InputError

__all__ = ["path_from", "write_atomically"]


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, then rename; InputError where that is not possible."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def path_from(folder: str | Path, path: Path) -> str:
    """The path as seen from a folder, with slashes: how a certificate names a file."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()
