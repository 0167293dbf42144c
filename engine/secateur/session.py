"""An ONNX file in onnxruntime, row by row or in batches. Needs numpy and onnxruntime only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError

__all__ = ["CHUNK", "Port", "Session", "opened", "takes_batches", "unloadable"]

CHUNK = 1024
"""Points per call: bounds the memory of wide layers."""

_ELEMENT_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


def opened(model: str | bytes, where: str) -> Any:
    """onnxruntime's session of a file or its bytes, on one thread of the CPU. InputError where it cannot be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # silent: what matters is raised
    # Else four letters in a file make it one in another format, with another network than its protobuf has.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no closer base class
        raise unloadable(error, where) from None


def unloadable(error: Exception, where: str) -> InputError:
    """What to raise for a model that onnxruntime, or onnx on the way there, does not take."""
    text = str(error).strip()
    return InputError(f"onnxruntime cannot load it: {text.splitlines()[0] if text else type(error).__name__}", where=where)


@dataclass(frozen=True)
class Port:
    """An input tensor of a session; `shape` is that for one point, `dynamic` whether its first axis has no fixed length."""

    name: str
    element_type: type[np.floating[Any]]
    shape: tuple[int, ...]
    dynamic: bool

    @classmethod
    def of(cls, port: Any, where: str) -> Port:
        """Of onnxruntime's description; InputError for elements that are no floats."""
        if port.type not in _ELEMENT_TYPES:
            raise InputError(f"onnxruntime sees input {port.name!r} of type {port.type}", where=where)
        shape = tuple(n if isinstance(n, int) and n > 0 else 1 for n in port.shape)
        return cls(port.name, _ELEMENT_TYPES[port.type], shape, bool(port.shape) and not isinstance(port.shape[0], int))

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def fed(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The tensor for points of shape (n, size)."""
        shape = (len(rows), *self.shape[1:]) if len(rows) > 1 else self.shape
        return rows.astype(self.element_type).reshape(shape)


def takes_batches(session: Any, port: Port, outputs: Sequence[str] | None = None) -> bool:
    """Whether two points at once give two results in the one output: a reshape inside may have fixed the batch at one."""
    try:
        (result,) = session.run(outputs, {port.name: port.fed(np.zeros((2, port.size)))})
    except Exception:  # onnxruntime's exceptions have no closer base class; here: shapes that do not fit
        return False
    return bool(result.shape[:1] == (2,))


class Session:
    """Evaluates an ONNX file in its own element type, on one thread of the CPU.

    Parameters
    ----------
    model : path of the file, or its bytes. where : what errors call it.
    """

    def __init__(self, model: str | bytes, where: str) -> None:
        self._session = opened(model, where)
        ports = self._session.get_inputs()
        if len(ports) != 1:
            raise InputError(f"onnxruntime sees {len(ports)} inputs, not one", where=where)
        self._port = Port.of(ports[0], where)
        self.type = self._port.element_type
        """The element type of inputs and outputs."""
        self._batched = self._port.dynamic and takes_batches(self._session, self._port)

    @property
    def input_size(self) -> int:
        return self._port.size

    def evaluate(self, points: NDArray[Any]) -> NDArray[Any]:
        """Shape (n, input_size), row-major, to (n, output_size), in the element type; points are rounded to it."""
        rows = np.asarray(points).reshape(-1, self.input_size)
        if not len(rows):
            return np.zeros((0, self._run(np.zeros((1, self.input_size))).shape[1]), dtype=self.type)
        step = CHUNK if self._batched else 1
        return np.concatenate([self._run(rows[i : i + step]) for i in range(0, len(rows), step)])

    def _run(self, rows: NDArray[Any]) -> NDArray[Any]:
        result: Any = self._session.run(None, {self._port.name: self._port.fed(rows)})[0]
        return np.asarray(result).reshape(len(rows), -1)
