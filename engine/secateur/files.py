"""Writing a file completely or not at all, and what a process that was killed leaves of one.

What is not complete yet has a name that tells its machine and process: `.NAME.MACHINE-PROCESS.tmp`, where others may be made by
the same process with an ending of its own. A later run removes it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from secateur.errors import InputError

__all__ = ["bytes_of", "network_path", "path_from", "remove_stale", "scratch_folder", "temporary_name", "write_atomically"]

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]+)\.tmp(\..*)?", re.DOTALL)


def network_path(given: object) -> Path:
    """The path of a network's file that a caller gives; InputError for what is none, such as the network itself."""
    if isinstance(given, str | os.PathLike):
        return Path(given)
    problem = f"{type(given).__name__} is no path of an ONNX file"
    raise InputError(problem, remedy="save the model, with onnx.save for example, and give its path")


def bytes_of(path: Path) -> bytes:
    """All of a file; InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, then rename; InputError where that is not possible."""
    path = Path(path)
    temporary = path.with_name(temporary_name(path.name))
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(name: str) -> str:
    """What a file or folder is called in its folder while this process has not completed it."""
    return f".{name}.{_machine()}-{os.getpid()}.tmp"


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this machine that have died left in a folder; `name`: only what was to become that."""
    if os.name != "posix" or not folder.is_dir():  # elsewhere nobody can be asked whether he is alive without being killed
        return
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or found["machine"] != _machine() or name not in (None, found["name"]):
            continue
        if _is_alive(int(found["process"])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder; where its files cannot be written, InputError with its place."""
    try:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}",
            where=f"temporary folder {tempfile.gettempdir() if error.filename is None else error.filename}",
            remedy="free space there, or let TMPDIR name another folder",
        ) from None


def path_from(folder: str | Path, path: Path) -> str:
    """The path as seen from a folder, with slashes: how a certificate names a file."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()
