"""Tensors affine in the input and in earlier ReLU layers: a graph on its way to a `Network`.

Each operator of a graph is a function on such tensors. Nothing is rounded on the way: see `exact` and `maps`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray
from secateur.network.linear import Conv, Dense
from secateur.network.maps import (
    Map,
    Monomial,
    UnsupportedError,
    added,
    check_size,
    composed,
    materialised,
    selected,
    stacked,
)
from secateur.network.model import Affine, Term

__all__ = ["FLOAT_TYPES", "Lowering", "Tensor", "affine", "concatenated", "repeated_blocks"]

Index = NDArray[np.intp]
FLOAT_TYPES = ("float16", "float32", "float64")  # narrow to wide
_INT64_LIMIT = 2**63


@dataclass(frozen=True, eq=False)
class Tensor:
    """bias + sum of map(source), element by element in row-major order; a constant has no terms.

    `terms` maps the number of a source (0 the input, k the output of ReLU layer k) to the linear map of the
    flattened elements. `element_type` is the numpy name of the ONNX type. Integer tensors are constants:
    shapes, axes, indices. Arithmetic on them is refused where a runtime's would wrap, and for types that no
    shape has.
    """

    bias: ExactArray
    terms: dict[int, Map] = field(default_factory=dict)
    element_type: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bias.shape

    @property
    def size(self) -> int:
        return self.bias.size

    @property
    def is_constant(self) -> bool:
        return not self.terms

    def positions(self) -> Index:
        """The flat number of each element, in the tensor's shape: rearranged, the argument of `take`."""
        return np.arange(self.size).reshape(self.shape)

    def take(self, index: Index, fill: float = 0.0) -> Tensor:
        """The elements of these flat numbers, in the shape of `index`; -1 stands for the constant `fill`."""
        inside = index >= 0
        moved = self.bias.rearranged(lambda a: a.ravel()[np.where(inside, index, 0)] if a.size else a.reshape(index.shape))
        if not inside.all():
            mask = ExactArray(inside.astype(np.float64))
            moved = moved * mask + ExactArray(np.where(inside, 0.0, fill))
        if index.size == self.size and np.array_equal(index.ravel(), np.arange(self.size)):
            return replace(self, bias=moved)
        rows, scale = np.where(inside, index, 0).ravel(), ExactArray(inside.ravel().astype(np.float64))
        return replace(self, bias=moved, terms={s: selected(m, rows, scale) for s, m in self.terms.items()})

    def reshape(self, shape: Sequence[int]) -> Tensor:
        return replace(self, bias=self.bias.reshape(tuple(shape)))

    def broadcast(self, shape: tuple[int, ...]) -> Tensor:
        return self if self.shape == shape else self.take(np.broadcast_to(self.positions(), shape))

    def __neg__(self) -> Tensor:
        return self.scaled(ExactArray.full((), -1.0))

    def __sub__(self, other: Tensor) -> Tensor:
        return self + -other

    def __add__(self, other: Tensor) -> Tensor:
        self.check_type(other)
        shape = _common_shape(self, other)
        left, right = self.broadcast(shape), other.broadcast(shape)
        terms = dict(left.terms)
        for source, map_ in right.terms.items():
            terms[source] = added(terms[source], map_) if source in terms else map_
        return Tensor(left.bias + right.bias, terms, self.element_type).without_overflow()

    def check_type(self, other: Tensor) -> None:
        """UnsupportedError unless both operands of an arithmetic operator have one element type."""
        if self.element_type != other.element_type:
            raise UnsupportedError(f"arithmetic on {self.element_type} and {other.element_type}", "use one element type")

    def without_overflow(self) -> Tensor:
        """The tensor itself, the result of arithmetic; UnsupportedError if its integers may have wrapped."""
        if self.element_type in FLOAT_TYPES:
            return self
        if self.element_type != "int64":
            raise UnsupportedError(f"arithmetic on {self.element_type} constants", "fold the constants first")
        if not all(-_INT64_LIMIT <= v < _INT64_LIMIT for v in self.bias.fractions()):
            raise UnsupportedError("arithmetic on int64 constants overflows", "repair the shape arithmetic")
        return self

    def scaled(self, factor: ExactArray) -> Tensor:
        """The element-wise product with constants, broadcast as numpy does."""
        shape = _common_shape(self, Tensor(factor))
        wide, factor = self.broadcast(shape), factor.broadcast(shape)
        rows, flat = np.arange(wide.size), factor.reshape((-1,))
        terms = {s: selected(m, rows, flat) for s, m in wide.terms.items()}
        return replace(wide, bias=wide.bias * factor, terms=terms).without_overflow()

    def mapped(self, outer: Dense | Conv, shape: tuple[int, ...]) -> Tensor:
        """The image of the flattened elements under a linear map, in a new shape."""
        if self.bias.is_zero:
            bias = ExactArray.full(shape)
        else:
            image = outer.apply_exact(self.bias.fractions())
            bias = ExactArray.of_fractions(image, shape)
        image_terms = {s: composed(outer, m) for s, m in self.terms.items()}
        return replace(self, bias=bias, terms=image_terms).without_overflow()

    def times_matrix(self, matrix: ExactArray) -> Tensor:
        """Shape (..., k) times a constant matrix (k, m): shape (..., m)."""
        k, m = matrix.shape
        if not self.shape or self.shape[-1] != k:
            raise UnsupportedError(f"shapes {list(self.shape)} and {list(matrix.shape)} do not multiply")
        batch = self.shape[:-1]
        blocks = repeated_blocks(matrix.rearranged(np.transpose), math.prod(batch))
        return self.mapped(Dense.of(blocks), (*batch, m))


def repeated_blocks(matrix: ExactArray, count: int) -> ExactArray:
    """`count` copies of a matrix along the diagonal."""
    if count == 1:
        return matrix
    check_size(matrix.shape[0] * count, matrix.shape[1] * count)
    return matrix.rearranged(lambda a: np.kron(np.eye(count, dtype=a.dtype), a))


def _common_shape(left: Tensor, right: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        raise UnsupportedError(f"shapes {list(left.shape)} and {list(right.shape)} do not broadcast") from None


def concatenated(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """The tensors joined along one axis."""
    try:
        starts = np.cumsum([0, *(t.size for t in tensors)])
        index = np.concatenate([t.positions() + start for t, start in zip(tensors, starts, strict=False)], axis)
    except ValueError:
        raise UnsupportedError(f"shapes {[list(t.shape) for t in tensors]} do not join on axis {axis}") from None
    bias = ExactArray.concatenated([t.bias.reshape((-1,)) for t in tensors])
    widths = {s: m.in_size for t in tensors for s, m in t.terms.items()}
    terms = {s: stacked([t.terms.get(s) or _zero(t.size, w) for t in tensors]) for s, w in widths.items()}
    return Tensor(bias, terms, tensors[0].element_type).take(index)


def _zero(rows: int, columns: int) -> Monomial:
    return Monomial(np.zeros(rows, dtype=np.intp), ExactArray.full((rows,)), columns)


@dataclass
class Lowering:
    """The ReLU layers met so far, in the order of the graph."""

    layers: list[Affine] = field(default_factory=list)

    def relu(self, tensor: Tensor) -> Tensor:
        """max(0, tensor): a new layer, unless the tensor is constant."""
        if tensor.is_constant:
            values = [max(v, Fraction(0)) for v in tensor.bias.fractions()]
            return replace(tensor, bias=ExactArray.of_fractions(values, tensor.shape))
        self.layers.append(affine(tensor))
        return replace(
            tensor,
            bias=ExactArray.full(tensor.shape),
            terms={len(self.layers): Monomial.identity(tensor.size)},
        )


def affine(tensor: Tensor) -> Affine:
    """The flattened tensor as a layer or output of a network."""
    terms = tuple(Term(source, materialised(map_)) for source, map_ in sorted(tensor.terms.items()))
    return Affine.of(terms, tensor.bias)
