"""An ONNX file in onnxruntime, row by row or in batches. Needs numpy and onnxruntime only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError

__all__ = ["Session"]

_CHUNK = 1024  # points per call: bounds the memory of wide layers
_ELEMENT_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


class Session:
    """Evaluates an ONNX file in its own element type, on one thread of the CPU.

    Parameters
    ----------
    model : path of the file, or its bytes. where : what errors call it.
    """

    def __init__(self, model: str | bytes, where: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # silent: what matters is raised
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no closer base class
            raise InputError(f"onnxruntime cannot load it: {_first_line(error)}", where=where) from None
        port = self._session.get_inputs()[0]
        if len(self._session.get_inputs()) != 1:
            raise InputError(f"onnxruntime sees {len(self._session.get_inputs())} inputs, not one", where=where)
        if port.type not in _ELEMENT_TYPES:
            raise InputError(f"onnxruntime sees input {port.name!r} of type {port.type}", where=where)
        self._name = port.name
        self.type = _ELEMENT_TYPES[port.type]
        """The element type of inputs and outputs."""
        self._shape = tuple(n if isinstance(n, int) and n > 0 else 1 for n in port.shape)
        self._batched = bool(port.shape) and not isinstance(port.shape[0], int) and self._takes_batches()

    @property
    def input_size(self) -> int:
        return int(np.prod(self._shape))

    def evaluate(self, points: NDArray[Any]) -> NDArray[Any]:
        """Shape (n, input_size), row-major, to (n, output_size), in the element type; points are rounded to it."""
        rows = np.asarray(points).reshape(-1, self.input_size)
        if not len(rows):
            return np.zeros((0, self._run(np.zeros(self.input_size), 1).size), dtype=self.type)
        step = _CHUNK if self._batched else 1
        parts = [self._run(rows[i : i + step], len(rows[i : i + step])) for i in range(0, len(rows), step)]
        return np.concatenate(parts)

    def _run(self, rows: NDArray[Any], count: int) -> NDArray[Any]:
        shape = (count, *self._shape[1:]) if count > 1 else self._shape
        result: Any = self._session.run(None, {self._name: rows.astype(self.type).reshape(shape)})[0]
        return np.asarray(result).reshape(count, -1)

    def _takes_batches(self) -> bool:
        """Whether two points at once give two results: a reshape inside may have fixed the batch at one."""
        two = np.zeros((2, *self._shape[1:]), dtype=self.type)
        try:
            (result,) = self._session.run(None, {self._name: two})
        except Exception:  # onnxruntime's exceptions have no closer base class; here: shapes that do not fit
            return False
        return bool(result.shape[:1] == (2,))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
