"""Network files in memory: read once, and again only where they changed on disk."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from secateur.errors import InputError
from secateur.network import Network, Replay, Wiring, parse_onnx
from secateur.network.float32 import float32_network

__all__ = ["LoadedModel", "ModelStore"]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network file in memory, decompressed, as one query sees it (`wiring`); `stamp` tells when it changed on disk."""

    path: Path
    stamp: tuple[int, int]
    data: bytes = field(repr=False)
    network: Network
    wiring: Wiring | None

    @cached_property
    def float32(self) -> Network:
        """The network standing for its float32 evaluations; InputError where their rounding is not known."""
        return float32_network(self.network, self.data, str(self.path), self.path.parent, self.wiring)

    def meant(self, semantics: str) -> Network:
        """The network as claims of this semantics mean it (`SEMANTICS`)."""
        return self.float32 if semantics == "float32" else self.network

    @cached_property
    def replay(self) -> Replay:
        return Replay(self.data, self.wiring, str(self.path))


class ModelStore:
    """What has been loaded so far, by path."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[Path, Wiring | None], LoadedModel] = {}

    def clear(self) -> None:
        """Forget all of it."""
        self._loaded.clear()

    def load(self, path: Path, wiring: Wiring | None = None) -> LoadedModel:
        """An ONNX file, or `.gz` of one, with the tensors of `wiring`. InputError where it is none that can be read."""
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            known = self._loaded.get((path, wiring))
            if known is not None and known.stamp == stamp:
                return known
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
        plain = _plain(data, path)
        network = parse_onnx(plain, str(path), path.parent, wiring)
        self._loaded[path, wiring] = LoadedModel(path, stamp, plain, network, wiring)
        return self._loaded[path, wiring]


def _plain(data: bytes, path: Path) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"is no complete gzip file: {error}", where=str(path)) from None
