"""Operators that move elements about without touching their values, and the constants that say how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from secateur.network.exact import ExactArray
from secateur.network.maps import UnsupportedError, check_size
from secateur.network.operators.node import FLOAT_TYPES, Node, Operator, constant_tensor
from secateur.network.symbolic import Tensor, concatenated

__all__ = ["OPERATORS"]

# The element types of TensorProto that a Cast may name.
_CAST_TYPES = {1: "float32", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_PAD_MODES = ("constant", "reflect", "edge", "wrap")


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise UnsupportedError(f"axis {axis} does not exist in a tensor of rank {rank}")
    return axis % rank


def _reshaped(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    if math.prod(shape) != tensor.size:
        raise UnsupportedError(f"shape {list(tensor.shape)} cannot become {list(shape)}")
    return tensor.reshape(shape)


def _identity(node: Node) -> Tensor:
    return node.required(0)


def _dropout(node: Node) -> Tensor:
    mode = node.optional(2)
    if mode is not None and not (mode.is_constant and mode.bias.is_zero):
        raise UnsupportedError("Dropout in training mode is random", "export the network in evaluation mode")
    return node.required(0)


def _cast(node: Node) -> Tensor:
    tensor, target = node.required(0), _CAST_TYPES.get(node.integer("to", 0))
    if target is None:
        raise UnsupportedError(f"a cast to ONNX type {node.integer('to', 0)}", "use float16, float32 or float64")
    if tensor.is_constant:
        if tensor.bias.rationals is not None:
            raise UnsupportedError("a cast of a constant that is no float64 number", "fold the constants first")
        return constant_tensor(tensor.bias.floats.astype(target), "the constant that is cast")
    if target not in FLOAT_TYPES or FLOAT_TYPES.index(target) < FLOAT_TYPES.index(tensor.element_type):
        raise UnsupportedError(f"a cast from {tensor.element_type} to {target} rounds", "export without the cast")
    return replace(tensor, element_type=target)


def _constant(node: Node) -> Tensor:
    for name, type_ in (("value_float", "float32"), ("value_floats", "float32"), ("value_int", "int64"),
                        ("value_ints", "int64")):  # fmt: skip
        if name in node.attributes:
            return constant_tensor(np.array(node.attributes[name], dtype=type_), "the constant")
    if "value" not in node.attributes:
        raise UnsupportedError("a constant that is no dense number or array", "store it as a dense tensor")
    return constant_tensor(node.attributes["value"], "the constant")


def _shape(node: Node) -> Tensor:
    shape = np.array(node.required(0).shape, dtype=np.int64)
    return constant_tensor(shape[node.integer("start", 0) : node.attributes.get("end")], "the shape")


def _flatten(node: Node) -> Tensor:
    tensor, axis = node.required(0), node.integer("axis", 1)
    rank = len(tensor.shape)
    if not -rank <= axis <= rank:
        raise UnsupportedError(f"axis {axis} does not exist in a tensor of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return tensor.reshape((math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])))


def _reshape(node: Node) -> Tensor:
    tensor, shape = node.required(0), node.integers("shape", 1)
    if shape is None:
        raise UnsupportedError("the shape is missing")
    if not node.integer("allowzero", 0):
        if any(n == 0 and i >= len(tensor.shape) for i, n in enumerate(shape)):
            raise UnsupportedError(f"shape {shape} copies an axis that {list(tensor.shape)} does not have")
        shape = [tensor.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        shape = [tensor.size // known if n == -1 and known else n for n in shape]
    return _reshaped(tensor, shape)


def _squeeze(node: Node) -> Tensor:
    tensor, axes = node.required(0), node.integers("axes", 1)
    rank = len(tensor.shape)
    if axes == []:
        raise UnsupportedError("an empty list of axes, which means none to some programs and all to others", "name the axes")
    dropped = {i for i in range(rank) if tensor.shape[i] == 1} if axes is None else {_axis(a, rank) for a in axes}
    return _reshaped(tensor, [n for i, n in enumerate(tensor.shape) if i not in dropped])


def _unsqueeze(node: Node) -> Tensor:
    tensor, axes = node.required(0), node.integers("axes", 1) or []
    rank = len(tensor.shape) + len(axes)
    added, kept = {_axis(a, rank) for a in axes}, iter(tensor.shape)
    if len(added) != len(axes):
        raise UnsupportedError(f"axes {axes} name one axis twice")
    return tensor.reshape([1 if i in added else next(kept) for i in range(rank)])


def _transpose(node: Node) -> Tensor:
    tensor, order = node.required(0), node.integers("perm")
    if order is not None and sorted(order) != list(range(len(tensor.shape))):
        raise UnsupportedError(f"perm {order} is no order of the axes of {list(tensor.shape)}")
    return tensor.take(np.transpose(tensor.positions(), order))


def _concat(node: Node) -> Tensor:
    parts = [node.required(i) for i in range(len(node.inputs))]
    return concatenated(parts, _axis(node.integer("axis", 0), len(parts[0].shape)))


def _split(node: Node) -> tuple[Tensor, ...]:
    tensor = node.required(0)
    axis = _axis(node.integer("axis", 0), len(tensor.shape))
    length, parts = tensor.shape[axis], node.output_count
    # The last part is shorter where the length is no multiple of the number of parts (opset 18).
    equal = [-(-length // parts)] * (parts - 1)
    sizes = node.integers("split", 1) or [*equal, length - sum(equal)]
    if sum(sizes) != length or len(sizes) != parts or min(sizes) < 0:
        raise UnsupportedError(f"an axis of length {length} cannot be split into {sizes} for {parts} outputs")
    return tuple(map(tensor.take, np.split(tensor.positions(), np.cumsum(sizes)[:-1], axis)))


def _slice(node: Node) -> Tensor:
    tensor = node.required(0)
    starts, ends = node.integers("starts", 1), node.integers("ends", 2)
    if starts is None or ends is None:
        raise UnsupportedError("starts or ends are missing")
    axes = node.integers("axes", 3) or list(range(len(starts)))
    steps = node.integers("steps", 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise UnsupportedError(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} do not fit together")
    cut = [slice(None)] * len(tensor.shape)
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = _axis(given, len(cut))
        if step < 0 and (start < -tensor.shape[axis] or end >= tensor.shape[axis]):
            problem = f"a slice backwards from {start} to {end}, beyond the ends, of which programs make different things"
            raise UnsupportedError(problem, "start at -1, and end at -INT_MAX")
        cut[axis] = slice(start, end, step)  # Python clamps and counts from the end as ONNX does
    return tensor.take(tensor.positions()[tuple(cut)])


def _gather(node: Node) -> Tensor:
    tensor, chosen = node.required(0), node.constant(1, "index")
    axis = _axis(node.integer("axis", 0), len(tensor.shape))
    index = chosen.bias.floats.astype(np.int64)
    if index.size and not (-tensor.shape[axis] <= index.min() and index.max() < tensor.shape[axis]):
        raise UnsupportedError(f"an index is outside an axis of length {tensor.shape[axis]}")
    return tensor.take(np.take(tensor.positions(), index, axis))


def _pad(node: Node) -> Tensor:
    tensor, pads, mode = node.required(0), node.integers("pads", 1), node.text("mode", "constant")
    axes = [_axis(a, len(tensor.shape)) for a in node.integers("axes", 3) or range(len(tensor.shape))]
    if pads is None or len(pads) != 2 * len(axes) or min(pads, default=0) < 0 or mode not in _PAD_MODES:
        raise UnsupportedError(f"pads {pads} in mode {mode}", f"use non-negative pads and one of {_PAD_MODES}")
    widths = [(0, 0)] * len(tensor.shape)
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        widths[axis] = (before, after)
    check_size(1, math.prod(n + sum(w) for n, w in zip(tensor.shape, widths, strict=True)))
    if mode != "constant":
        return tensor.take(np.pad(tensor.positions(), widths, mode=mode))  # type: ignore[call-overload]
    return tensor.take(np.pad(tensor.positions(), widths, constant_values=-1), _pad_value(node))


def _pad_value(node: Node) -> float:
    given = node.optional(2)
    value = ExactArray.full((), node.number("value", 0.0)) if given is None else node.constant(2, "padding value").bias
    if value.rationals is not None:
        raise UnsupportedError("a padding value that is no float64 number", "fold the constants first")
    return float(value.floats.sum())  # a tensor of one element, of whatever rank


OPERATORS: dict[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
