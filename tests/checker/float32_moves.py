"""What Mul and Div scale by, applied at other places at random, as section 11 of the format lets runtimes do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

__all__ = ["moved"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _Scale:
    """A factor next to a product, what it multiplies the bias by, if it does, and the places it may be applied at."""

    factor: Array
    of_bias: Array | None
    places: tuple[str, ...]
    rows: bool  # a vector that scales what the product reads


def moved(
    nodes: list[NodeProto], stored: dict[str, Array], rng: random.Random, rounded: Callable[[Array], Array]
) -> tuple[list[NodeProto], dict[str, Array]]:
    """Nodes and constants of a network with the scales next to MatMul, Gemm and Conv at random places."""
    mover = _Mover(list(nodes), dict(stored), rng, rounded)
    for own in nodes:
        if own.op_type in ("MatMul", "Gemm", "Conv") and own.input[1] in stored:
            mover.product(own)
    return mover.nodes, mover.stored


class _Mover:
    def __init__(
        self, nodes: list[NodeProto], stored: dict[str, Array], rng: random.Random, rounded: Callable[[Array], Array]
    ) -> None:
        self.nodes, self.stored, self._random, self._rounded = nodes, stored, rng, rounded

    def product(self, own: NodeProto) -> None:
        alone = len(self._readers(own.input[0])) == 1
        before = self._scale([n for n in self.nodes if own.input[0] in n.output and alone])
        after = self._scale(self._readers(own.output[0]))
        name, result = own.input[0] if before is None else before.input[0], own.output[0] if after is None else after.output[0]
        self._replace(own, name, self._scales(before, after, len(own.input) > 2), result)
        self.nodes = [n for n in self.nodes if n not in (before, after)]

    def _scales(self, before: NodeProto | None, after: NodeProto | None, biased: bool) -> list[_Scale]:
        scales = []
        if before is not None:
            factor = self._factor(before)
            places = ("before", "within", "after") if factor.size == 1 and not biased else ("before", "within")
            scales.append(_Scale(factor, None, places, True))
        if after is not None:
            factor = self._factor(after)
            places = ("before", "within", "after") if factor.size == 1 else ("within", "after")
            scales.append(_Scale(factor, factor, places, False))
        if len(scales) == 2 and all(s.factor.size == 1 for s in scales) and self._random.random() < 0.5:
            scales = [self._as_one(scales[0], scales[1], biased)]
        return scales

    def _readers(self, name: str) -> list[NodeProto]:
        return [n for n in self.nodes if name in n.input]

    def _scale(self, found: list[NodeProto]) -> NodeProto | None:
        """The one node found, if it is a scale that is to be moved."""
        scale = len(found) == 1 and found[0].op_type in ("Mul", "Div") and found[0].input[1] in self.stored
        return found[0] if scale and self._random.random() < 0.8 else None

    def _factor(self, scale: NodeProto) -> Array:
        value = self.stored[scale.input[1]]
        return value if scale.op_type == "Mul" else self._rounded(1 / value)

    def _as_one(self, before: _Scale, after: _Scale, biased: bool) -> _Scale:
        factor = self._rounded(np.asarray(before.factor.reshape(1) * after.factor.reshape(1)))
        return _Scale(factor, after.factor, ("before", "within") if biased else ("before", "within", "after"), True)

    def _replace(self, own: NodeProto, name: str, scales: list[_Scale], result: str) -> None:
        """The product, reading `name` and making `result`, with the scales around or in it."""
        label = own.output[0]
        constants = [self.stored[constant] for constant in own.input[1:]]
        made: list[NodeProto] = []
        late = []
        for number, scale in enumerate(scales):
            place, factor = self._random.choice(scale.places), f"{label}_factor{number}"
            self.stored[factor] = scale.factor
            if place == "before":
                made.append(helper.make_node("Mul", [name, factor], [f"{label}_early{number}"]))
                name = made[-1].output[0]
            elif place == "within":
                constants[0] = self._rounded(constants[0] * _along(scale, own, constants[0]))
            else:
                late.append(factor)
            if place != "after" and scale.of_bias is not None and len(constants) > 1:
                constants[1] = self._rounded(constants[1] * scale.of_bias.ravel())
        changed = NodeProto()
        changed.CopyFrom(own)
        changed.input[:] = [name, *(f"{label}_constant{i}" for i in range(len(constants)))]
        self.stored |= dict(zip(changed.input[1:], constants, strict=True))
        made.append(changed)
        for number, factor in enumerate(late):
            made.append(helper.make_node("Mul", [made[-1].output[0], factor], [f"{label}_late{number}"]))
        made[-1].output[0] = result
        place_of = self.nodes.index(own)
        self.nodes[place_of : place_of + 1] = made


def _along(scale: _Scale, own: NodeProto, weights: Array) -> Array:
    """The factor in a shape that multiplies the weights."""
    if scale.factor.size == 1:
        return scale.factor.reshape([1] * weights.ndim)
    if own.op_type == "Conv":
        return scale.factor.reshape(-1, 1, 1, 1)
    first = scale.rows == (own.op_type == "MatMul")  # what a MatMul reads belongs to rows, here to columns in a Gemm
    return scale.factor.reshape(-1, 1) if first else scale.factor.reshape(1, -1)
