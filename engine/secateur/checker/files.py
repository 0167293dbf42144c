"""The files that a certificate speaks about: found, compared with their hashes, and unpacked."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path, PurePosixPath

from secateur.checker.records import FileReference
from secateur.checker.refusal import CheckInputError, Refusal

__all__ = ["certificate_path", "read_file", "referenced", "unpacked"]

NAMES = ("certificate.secateur", "family.secateur")
GZIP = b"\x1f\x8b"
MAX_UNPACKED = 1 << 31


def certificate_path(path: Path) -> Path:
    """The certificate at a path: of a folder the only one, where there are two names for it."""
    if not path.is_dir():
        return path
    found = [path / name for name in NAMES if (path / name).exists()]
    if len(found) > 1:
        raise CheckInputError(f"{path} holds both {' and '.join(NAMES)}: name the one to check")
    if not found:
        raise CheckInputError(f"{path} holds neither {' nor '.join(NAMES)}")
    return found[0]


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file; CheckInputError where it cannot be read."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        detail = error.strerror if isinstance(error, OSError) else None
        raise CheckInputError(f"{path}: the {what} cannot be read: {detail or error}") from None


def referenced(what: str, key: str, reference: FileReference, folder: Path, given: str | Path | None) -> bytes:
    """The bytes of a file that the certificate names under `key`, or of the one given in its place; the hash must agree."""
    if given is None and PurePosixPath(reference.file).is_absolute():
        raise Refusal("header", f"{key}.file", "a path relative to the certificate is needed")
    path = folder / reference.file if given is None else Path(given)
    data = read_file(path, what)
    if hashlib.sha256(data).hexdigest() != reference.sha256:
        raise Refusal("hash", key, f"{path.name} is not the file that was certified")
    return data


def unpacked(data: bytes, what: str, most: int = MAX_UNPACKED) -> bytes:
    """What a gzip file holds, of `most` bytes at most; other data as they are."""
    parts, room = [], most
    while data[:2] == GZIP:
        inflater = zlib.decompressobj(wbits=31)
        try:
            parts.append(inflater.decompress(data, room + 1))
        except zlib.error as error:
            raise Refusal("gzip", what, f"the file is damaged: {error}") from None
        room -= len(parts[-1])
        if room < 0:
            raise Refusal("gzip", what, f"it unpacks to more than {most} bytes")
        if not inflater.eof:
            raise Refusal("gzip", what, "the file ends too early")
        data = inflater.unused_data
    if parts and data:
        raise Refusal("gzip", what, "bytes follow the compressed data")
    return b"".join(parts) if parts else data
