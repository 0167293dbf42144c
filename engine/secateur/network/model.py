"""The one form of a network: ReLU layers whose pre-activations are affine in the input and in earlier layers.

Everything piecewise linear lowers to this form when it is read, so the bound propagator, the search, the
encoder, the rewriter and the writer each exist once. A network *means* the function over the reals that the
exact rational values of its stored weights define; floats appear here only where they hold those values
exactly, or next to the exact values.

Sources are numbered: 0 is the input, k >= 1 the output of ReLU layer k (`Network.layers[k - 1]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from secateur.network.exact import ExactArray, Floats
from secateur.network.linear import LinearMap

__all__ = ["Affine", "ExactTrace", "Interface", "Network", "Rounding", "Term"]


@dataclass(frozen=True, eq=False)
class Term:
    """One linear contribution: `map` applied to the values of source `source`."""

    source: int
    map: LinearMap


@dataclass(frozen=True, eq=False)
class Affine:
    """An affine function of the sources: z = sum of map(source) + bias.

    `bias` has shape (size,), float64. Where its exact value is no float64, `exact_bias` holds the rationals
    and `bias` the nearest floats; otherwise `exact_bias` is None. `rounding` is what its evaluation in float32 may add, None
    where exact values are meant.
    """

    terms: tuple[Term, ...]
    bias: Floats
    exact_bias: tuple[Fraction, ...] | None = None
    rounding: Rounding | None = None

    @classmethod
    def of(cls, terms: tuple[Term, ...], bias: ExactArray) -> Affine:
        """With constants of any shape, row-major."""
        exact = None if bias.rationals is None else tuple(bias.rationals.ravel().tolist())
        return cls(terms, bias.floats.ravel(), exact)

    @property
    def size(self) -> int:
        return len(self.bias)

    def rational_bias(self) -> tuple[Fraction, ...]:
        """The bias, exactly."""
        return self.exact_bias if self.exact_bias is not None else tuple(map(Fraction, self.bias.tolist()))

    def apply(self, values: Sequence[Floats]) -> Floats:
        """Float64 value for a batch; `values[s]` has shape (batch, size of source s)."""
        total = np.broadcast_to(self.bias, (values[0].shape[0], self.size)).copy()
        for term in self.terms:
            total += term.map.apply(values[term.source])
        return total

    def apply_exact(self, values: Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """Exact value at one point; `values[s]` are the rationals of source s."""
        total = list(self.rational_bias())
        for term in self.terms:
            for i, value in enumerate(term.map.apply_exact(values[term.source])):
                total[i] += value
        return total


@dataclass(frozen=True, eq=False)
class Rounding:
    """What float32 arithmetic may do to an affine function: it is off by at most gamma(count) magnitudes(|values|).

    magnitudes : an affine function with coefficients >= 0. count : roundings on the longest way to a value. steps : what
    intermediate results are at most, in the same form: none of them, and no input, may exceed `limit`, or a value between them
    may overflow. Source: FORMAT.md, section 11.
    """

    magnitudes: Affine
    count: int
    steps: tuple[Affine, ...] = ()
    limit: float = 0.0


@dataclass(frozen=True)
class Interface:
    """What callers of the ONNX file see, kept when a network is written again.

    Shapes are those of the file, with `None` for a dynamic axis. `element_type` is the numpy name of the
    input and output type ("float32", "float64", "float16").
    """

    input_name: str = "input"
    input_shape: tuple[int | None, ...] = (None, None)
    output_name: str = "output"
    output_shape: tuple[int | None, ...] = (None, None)
    element_type: str = "float32"
    graph_name: str = "network"


@dataclass(frozen=True)
class ExactTrace:
    """All values of an exact evaluation: pre-activations by layer, and the outputs."""

    pre_activations: tuple[tuple[Fraction, ...], ...]
    output: tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A piecewise-linear network as ReLU layers and an affine output."""

    input_size: int
    layers: tuple[Affine, ...]
    output: Affine
    interface: Interface = field(default_factory=Interface)

    def __repr__(self) -> str:
        layers = f"{len(self.layers)} ReLU layer{'s' if len(self.layers) != 1 else ''}, {self.neuron_count} neurons"
        return f"<Network: {self.input_size} inputs, {layers}, {self.output_size} outputs>"

    @property
    def output_size(self) -> int:
        return self.output.size

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of ReLU neurons, by layer."""
        return tuple(layer.size for layer in self.layers)

    @property
    def neuron_count(self) -> int:
        return sum(self.sizes)

    @property
    def is_float32(self) -> bool:
        """Whether the network stands for its float32 evaluations, not for one function over the reals."""
        return self.output.rounding is not None

    @cached_property
    def is_chain(self) -> bool:
        """Whether each layer reads the one before it and nothing else: a plain feed-forward network."""
        affines = (*self.layers, self.output)
        return all(len(a.terms) == 1 and a.terms[0].source == k for k, a in enumerate(affines))

    def pre_activations(self, points: Floats) -> list[Floats]:
        """Float64 pre-activations z of each ReLU layer; `points` has shape (batch, input_size)."""
        return self._run(points)[:-1]

    def forward(self, points: Floats) -> Floats:
        """Float64 outputs, shape (batch, output_size); not rigorous, for sampling and attacks."""
        return self._run(points)[-1]

    def _run(self, points: Floats) -> list[Floats]:
        values, pre = [points], []
        for layer in self.layers:
            pre.append(layer.apply(values))
            values.append(np.maximum(pre[-1], 0.0))
        return [*pre, self.output.apply(values)]

    def exact(self, point: Sequence[Fraction]) -> ExactTrace:
        """The exact value of every pre-activation and output at one rational point."""
        values: list[Sequence[Fraction]] = [point]
        pre = []
        zero = Fraction(0)
        for layer in self.layers:
            z = layer.apply_exact(values)
            pre.append(tuple(z))
            values.append([v if v > zero else zero for v in z])
        return ExactTrace(tuple(pre), tuple(self.output.apply_exact(values)))
