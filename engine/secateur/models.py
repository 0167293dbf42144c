"""Network files in memory: parsed once, and again where they changed on disk."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from secateur.errors import InputError
from secateur.files import bytes_of
from secateur.network import Network, Replay, Wiring, parse_onnx, with_all_weights
from secateur.network.float32 import float32_network

__all__ = ["LoadedModel", "ModelStore"]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network file in memory, decompressed and with all of its weights, as one query sees it (`wiring`)."""

    path: Path
    data: bytes = field(repr=False)
    network: Network
    wiring: Wiring | None

    @cached_property
    def float32(self) -> Network:
        """The network standing for its float32 evaluations; InputError where their rounding is not known."""
        return float32_network(self.network, self.data, str(self.path), self.wiring)

    def meant(self, semantics: str) -> Network:
        """The network as claims of this semantics mean it (`SEMANTICS`)."""
        return self.float32 if semantics == "float32" else self.network

    @cached_property
    def replay(self) -> Replay:
        return Replay(self.data, self.wiring, str(self.path))


class ModelStore:
    """What has been loaded so far, by path, with the SHA-256 of the file that it was.

    Files are read whenever they are asked for: their size and time say nothing certain of their content. Networks with weights in
    other files are not kept.
    """

    def __init__(self) -> None:
        self._loaded: dict[tuple[Path, Wiring | None], tuple[bytes, LoadedModel]] = {}

    def clear(self) -> None:
        """Forget all of it."""
        self._loaded.clear()

    def load(self, path: Path, wiring: Wiring | None = None) -> LoadedModel:
        """An ONNX file, or `.gz` of one, with the tensors of `wiring`. InputError where it is none that can be read."""
        data = bytes_of(path)
        digest = hashlib.sha256(data).digest()
        known = self._loaded.get((path, wiring))
        if known is not None and known[0] == digest:
            return known[1]
        plain = _plain(data, path)
        whole = with_all_weights(plain, str(path), path.parent)
        model = LoadedModel(path, whole, parse_onnx(whole, str(path), wiring=wiring), wiring)
        if whole is plain:
            self._loaded[path, wiring] = digest, model
        return model


def _plain(data: bytes, path: Path) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"is no complete gzip file: {error}", where=str(path)) from None
