"""Hypothesis strategies that every test package shares: small networks and exact points.

The networks are small on purpose (an exact twin must stay fast) and nasty on purpose: zero rows, neurons that
are never active, duplicated neurons and weights of mixed magnitude turn up in most examples, because those
are what redundancy claims are about. Every weight is a float32 number, so each network can be written and
read again unchanged.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from secateur.network.linear import Dense
from secateur.network.model import Affine, Interface, Network, Term

__all__ = ["affines", "exact_points", "float32_weights", "networks", "skip_networks", "small_dyadics"]

Floats = NDArray[np.float64]


def small_dyadics() -> st.SearchStrategy[float]:
    """Multiples of 1/8 in [-4, 4]: sums of products of these stay exact in float64."""
    return st.integers(-32, 32).map(lambda n: n / 8)


def float32_weights() -> st.SearchStrategy[float]:
    """Float32 numbers in [-4, 4] of any exponent but subnormal ones, with many simple values among them."""
    wild = st.floats(-4, 4, width=32, allow_subnormal=False)
    return st.one_of(small_dyadics(), wild).map(lambda w: w + 0.0)  # never -0.0


def exact_points(size: int, *, bound: int = 4) -> st.SearchStrategy[tuple[Fraction, ...]]:
    """Rational points of [-bound, bound]^size; many coordinates are no floating-point numbers."""
    coordinate = st.fractions(min_value=-bound, max_value=bound, max_denominator=1000)
    return st.lists(coordinate, min_size=size, max_size=size).map(tuple)


def _matrix(draw: st.DrawFn, rows: int, columns: int, weights: st.SearchStrategy[float]) -> Floats:
    flat = draw(st.lists(weights, min_size=rows * columns, max_size=rows * columns))
    return np.array(flat, dtype=np.float64).reshape(rows, columns)


@st.composite
def affines(draw: st.DrawFn, size: int, sources: dict[int, int], weights: st.SearchStrategy[float] | None = None) -> Affine:
    """An affine function of `size` values that reads every source of `sources` (number -> its size).

    Some rows are made zero, some copies of the row above, and some get a bias that keeps them below zero on
    small domains.
    """
    weights = float32_weights() if weights is None else weights
    matrices = {s: _matrix(draw, size, width, weights) for s, width in sources.items()}
    bias = _matrix(draw, 1, size, weights)[0]
    for i in range(size):
        fate = draw(st.sampled_from(["plain", "plain", "plain", "zero", "copy", "dead"]))
        if fate == "dead":
            bias[i] = -1000.0
        for matrix in matrices.values():
            if fate == "zero":
                matrix[i] = 0.0
            elif fate == "copy" and i:
                matrix[i], bias[i] = matrix[i - 1], bias[i - 1]
    return Affine(tuple(Term(s, Dense(matrix)) for s, matrix in matrices.items()), bias)


def _interface(inputs: int, outputs: int) -> Interface:
    return Interface(input_shape=(None, inputs), output_shape=(None, outputs))


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    max_inputs: int = 3,
    max_layers: int = 3,
    max_width: int = 4,
    max_outputs: int = 3,
    weights: st.SearchStrategy[float] | None = None,
) -> Network:
    """A plain feed-forward network of one to `max_layers` ReLU layers (`is_chain` holds)."""
    widths = draw(st.lists(st.integers(1, max_width), min_size=1, max_size=max_layers))
    inputs, outputs = draw(st.integers(1, max_inputs)), draw(st.integers(1, max_outputs))
    sizes = [inputs, *widths, outputs]
    stack = [draw(affines(sizes[k + 1], {k: sizes[k]}, weights)) for k in range(len(sizes) - 1)]
    return Network(inputs, tuple(stack[:-1]), stack[-1], _interface(inputs, outputs))


@st.composite
def skip_networks(
    draw: st.DrawFn,
    *,
    max_inputs: int = 3,
    max_layers: int = 3,
    max_width: int = 3,
    max_outputs: int = 2,
    weights: st.SearchStrategy[float] | None = None,
) -> Network:
    """A network whose layers and output each read a random non-empty set of the input and earlier layers."""
    widths = draw(st.lists(st.integers(1, max_width), min_size=1, max_size=max_layers))
    inputs, outputs = draw(st.integers(1, max_inputs)), draw(st.integers(1, max_outputs))
    sizes = [inputs, *widths]
    stack = []
    for k, size in enumerate([*widths, outputs]):
        read = sorted(draw(st.sets(st.integers(0, k), min_size=1)))
        stack.append(draw(affines(size, {s: sizes[s] for s in read}, weights)))
    return Network(inputs, tuple(stack[:-1]), stack[-1], _interface(inputs, outputs))
