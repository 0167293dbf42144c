"""The network as its users run it: onnxruntime on the original bytes.

Exact evaluation says what the network means; this says what the deployed file returns. Witnesses are replayed
with both, and reductions are compared with both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secateur.errors import InputError
from secateur.network.exact import Floats
from secateur.network.wiring import Wiring, matched
from secateur.session import CHUNK, Port, opened, takes_batches, unloadable

__all__ = ["Replay"]


class Replay:
    """Evaluates an ONNX file in its own element type, on one thread of the CPU.

    Parameters
    ----------
    model : path of the file, or its bytes. wiring : the tensors that make up input and output; by default the file has one input,
    and its first output is evaluated. name : what errors call a network that is given as bytes.
    """

    def __init__(self, model: str | Path | bytes, wiring: Wiring | None = None, name: str = "the network") -> None:
        where = name if isinstance(model, bytes) else str(model)
        hidden = [] if wiring is None else [wire.name for wire in wiring.hidden if wire.name is not None]
        data = model if isinstance(model, bytes) else str(model)
        outputs, data = _with_outputs(data, hidden, where) if hidden else (None, data)
        self._session = opened(data, where)
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
        self._inputs = [Port.of(port, where) for port in ports]
        self._wiring, self._where = wiring, where
        if wiring is not None:
            for wire, port in zip(wiring.inputs, self._inputs, strict=True):
                wire.require_size(port.size, where)
        # Hidden values may hold the batch on any axis.
        batched = wiring is None and self._inputs[0].dynamic
        self._batched = batched and takes_batches(self._session, self._inputs[0], self._outputs)

    @property
    def input_size(self) -> int:
        return sum(port.size for port in self._inputs)

    def evaluate(self, points: Floats) -> Floats:
        """Shape (n, input_size), row-major, to (n, output_size); points are rounded to the element type."""
        rows = np.asarray(points, dtype=np.float64).reshape(-1, self.input_size)
        if not len(rows):
            return np.zeros((0, self._run(np.zeros((1, self.input_size))).shape[1]))
        step = CHUNK if self._batched else 1
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


def _with_outputs(model: str | bytes, names: Sequence[str], where: str) -> tuple[list[str], bytes]:
    """The names of a model's outputs, and the model with these tensors as further outputs."""
    import onnx

    try:
        proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load_model(model)
    except Exception as error:  # protobuf's and the system's
        raise unloadable(error, where) from None
    outputs = [port.name for port in proto.graph.output]
    added = [name for name in dict.fromkeys(names) if name not in outputs]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
    return outputs, proto.SerializeToString()
