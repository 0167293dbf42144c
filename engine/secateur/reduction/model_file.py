"""A network as it lies on disk: its bytes, their SHA-256 and their meaning, all from one reading.

What is hashed is what is parsed, so that a file that changes during a run cannot end up in a certificate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from secateur.errors import InputError
from secateur.files import bytes_of, network_path
from secateur.network import Network, keeps_weights_outside, parse_onnx

__all__ = ["ModelFile", "read_model"]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An ONNX file: where it lies, what it holds, what that means."""

    path: Path
    data: bytes = field(repr=False)
    network: Network

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def read_model(path: str | Path) -> ModelFile:
    """Read an ONNX file once. InputError where it cannot be read, its output is its input, or it keeps weights in other files.

    A certificate names one file by its SHA-256; weights elsewhere would not be covered by it.
    """
    import onnx

    path = network_path(path)
    data = bytes_of(path)
    network = parse_onnx(data, str(path), path.parent)
    if network.interface.input_name == network.interface.output_name:
        raise InputError("its output is its input", where=str(path), remedy="there is nothing to remove")
    if keeps_weights_outside(onnx.load_model_from_string(data)):
        raise InputError(
            "keeps weights in another file, which a certificate could not cover",
            where=str(path),
            remedy="store everything in one file: onnx.save(onnx.load(old), new)",
        )
    return ModelFile(path, data, network)
