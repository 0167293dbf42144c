"""The network as its users run it: onnxruntime on the original bytes.

Exact evaluation says what the network means; this says what the deployed file returns. Witnesses are replayed
with both, and reductions are compared with both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.network.exact import Floats
from secateur.network.wiring import Wiring, matched

__all__ = ["Replay"]

_CHUNK = 1024  # points per call: bounds the memory of wide layers
_ELEMENT_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


class Replay:
    """Evaluates an ONNX file in its own element type, on one thread of the CPU.

    Parameters
    ----------
    model : path of the file, or its bytes. wiring : the tensors that make up input and output; by default the file has one input,
    and its first output is evaluated. name : what errors call a network that is given as bytes.
    """

    def __init__(self, model: str | Path | bytes, wiring: Wiring | None = None, name: str = "the network") -> None:
        import onnxruntime

        where = name if isinstance(model, bytes) else str(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # silent: what matters is raised
        hidden = [] if wiring is None else [wire.name for wire in wiring.hidden if wire.name is not None]
        try:
            data = model if isinstance(model, bytes) else str(model)
            outputs, data = _with_outputs(data, hidden) if hidden else (None, data)
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no closer base class
            raise InputError(f"onnxruntime cannot load it: {_first_line(error)}", where=where) from None
        names = [port.name for port in self._session.get_outputs()] if outputs is None else outputs
        ports = self._session.get_inputs()
        if wiring is None and len(ports) != 1:
            raise InputError(f"onnxruntime sees {len(ports)} inputs, not one", where=where)
        if wiring is None:
            self._outputs = names[:1]
        else:
            by_name = {port.name: port for port in ports}
            ports = [by_name[name] for name in matched(wiring.inputs, [port.name for port in ports], "input", where)]
            self._outputs = [*matched(wiring.outputs, names, "output", where), *hidden]
        self._inputs = [_Input.of(port, where) for port in ports]
        self._wiring, self._where = wiring, where
        if wiring is not None:
            for wire, port in zip(wiring.inputs, self._inputs, strict=True):
                wire.require_size(port.size, where)
        # Hidden values may hold the batch on any axis.
        batched = wiring is None and bool(ports[0].shape) and not isinstance(ports[0].shape[0], int)
        self._batched = batched and self._takes_batches()

    @property
    def input_size(self) -> int:
        return sum(port.size for port in self._inputs)

    def evaluate(self, points: Floats) -> Floats:
        """Shape (n, input_size), row-major, to (n, output_size); points are rounded to the element type."""
        rows = np.asarray(points, dtype=np.float64).reshape(-1, self.input_size)
        if not len(rows):
            return np.zeros((0, self._run(np.zeros((1, self.input_size))).shape[1]))
        step = _CHUNK if self._batched else 1
        return np.concatenate([self._run(rows[i : i + step]) for i in range(0, len(rows), step)])

    def _run(self, rows: Floats) -> Floats:
        feeds, begin = {}, 0
        for port in self._inputs:
            feeds[port.name] = port.fed(rows[:, begin : begin + port.size])
            begin += port.size
        # A hidden value may be an output at the same time: each tensor is fetched once.
        names = list(dict.fromkeys(self._outputs))
        values: dict[str, Any] = dict(zip(names, self._session.run(names, feeds), strict=True))
        parts = [np.asarray(values[name], dtype=np.float64).reshape(len(rows), -1) for name in self._outputs]
        if self._wiring is not None:
            for wire, part in zip((*self._wiring.outputs, *self._wiring.hidden), parts, strict=True):
                wire.require_size(part.shape[1], self._where)
        return np.concatenate(parts, axis=1)

    def _takes_batches(self) -> bool:
        """Whether two points at once give two results: a reshape inside may have fixed the batch at one."""
        (port,) = self._inputs
        try:
            (result,) = self._session.run(self._outputs, {port.name: port.fed(np.zeros((2, port.size)))})
        except Exception:  # onnxruntime's exceptions have no closer base class; here: shapes that do not fit
            return False
        return bool(result.shape[:1] == (2,))


@dataclass(frozen=True)
class _Input:
    """An input tensor of a session; `shape` is that for one point."""

    name: str
    element_type: type[np.floating[Any]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, port: Any, where: str) -> _Input:
        if port.type not in _ELEMENT_TYPES:
            raise InputError(f"onnxruntime sees input {port.name!r} of type {port.type}", where=where)
        shape = tuple(n if isinstance(n, int) and n > 0 else 1 for n in port.shape)
        return cls(port.name, _ELEMENT_TYPES[port.type], shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def fed(self, rows: Floats) -> NDArray[Any]:
        """The tensor for points of shape (n, size)."""
        shape = (len(rows), *self.shape[1:]) if len(rows) > 1 else self.shape
        return rows.astype(self.element_type).reshape(shape)


def _with_outputs(model: str | bytes, names: Sequence[str]) -> tuple[list[str], bytes]:
    """The names of a model's outputs, and the model with these tensors as further outputs."""
    import onnx

    proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load_model(model)
    outputs = [port.name for port in proto.graph.output]
    added = [name for name in dict.fromkeys(names) if name not in outputs]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
    return outputs, proto.SerializeToString()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
