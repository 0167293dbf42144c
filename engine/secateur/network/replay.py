"""The network as its users run it: onnxruntime on the original bytes.

Exact evaluation says what the network means; this says what the deployed file returns. Witnesses are replayed
with both, and reductions are compared with both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from secateur.network.exact import Floats
from secateur.session import Session

__all__ = ["Replay"]


class Replay:
    """Evaluates an ONNX file in its own element type, on one thread of the CPU.

    Parameters
    ----------
    model : path of the file, or its bytes.
    """

    def __init__(self, model: str | Path | bytes) -> None:
        if isinstance(model, bytes):
            self._session = Session(model, "the network")
        else:
            self._session = Session(str(model), str(model))

    @property
    def input_size(self) -> int:
        return self._session.input_size

    def evaluate(self, points: Floats) -> Floats:
        """Shape (n, input_size), row-major, to (n, output_size); points are rounded to the element type."""
        rows = np.asarray(points, dtype=np.float64)
        return self._session.evaluate(rows).astype(np.float64)
