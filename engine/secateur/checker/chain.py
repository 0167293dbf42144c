"""The chain form of a network on the normalised input, and its integer matrices (section 2 of the format).

Each chain layer reads only the one before it: what an earlier source still has to tell a later layer is carried by
pass-through neurons, which stand behind the layer's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

from secateur.checker.domain import Domain
from secateur.checker.exact import binary_exponent, round_ratio
from secateur.checker.lowering import Affine, Network
from secateur.checker.refusal import Refusal
from secateur.checker.slack import Magnitudes, neuron_slack

__all__ = ["Chain", "ChainLayer", "Differences", "chain_form"]

MAX_WIDTH = 8192
MAX_COLUMN_EXPONENT = 900


@dataclass(frozen=True)
class Differences:
    """Which neurons of a layer are difference neurons (section 9): the partner of each, by index, and the layer's shift."""

    partners: Mapping[int, int]
    shift: int


NONE = Differences({}, 0)


@dataclass(frozen=True)
class ChainLayer:
    """M = rows / denominator, bias as last column; the first `own` rows are the layer's own neurons.

    `quantised` holds the integers Q, `exponents` the column exponents c, `inexact` whether the column was rounded
    (its error delta is then 2^-(c+1)). `partners` and `shift` are those of the difference neurons among the own ones;
    `linear` are the pass-through neurons that carry the value of one. All other neurons are ReLU neurons. `slack` is sigma: what
    rounding in float32 can do to the own neurons, a row for each, the bias last (section 11); over the reals it is empty.
    """

    own: int
    denominator: int
    rows: list[list[int]]
    quantised: list[list[int]]
    exponents: list[int]
    inexact: list[bool]
    partners: Mapping[int, int] = field(default_factory=dict)
    shift: int = 0
    linear: frozenset[int] = frozenset()
    slack: Sequence[Sequence[float]] = ()

    @cached_property
    def errors(self) -> list[float]:
        """delta of each column."""
        return [math.ldexp(0.5, -c) if inexact else 0.0 for c, inexact in zip(self.exponents, self.inexact, strict=True)]


@dataclass(frozen=True)
class Chain:
    """The chain layers of a network; layer k is `layers[k - 1]`."""

    input_size: int
    layers: tuple[ChainLayer, ...]

    def width(self, source: int) -> int:
        """n_h: the number of values of source h, pass-through neurons included."""
        return self.input_size if source == 0 else len(self.layers[source - 1].rows)

    def has_neuron(self, layer: int, neuron: int) -> bool:
        return 1 <= layer <= len(self.layers) and 0 <= neuron < self.layers[layer - 1].own


def _last_readers(network: Network) -> list[int]:
    """For each source the last ReLU layer with a nonzero coefficient on it, 0 where there is none."""
    last = [0] * len(network.starts)
    for k, layer in enumerate(network.layers, 1):
        for symbol in set().union(*layer.rows) - {0}:
            last[network.source(symbol)] = k
    return last


def _quantise_column(column: list[int], denominator: int) -> tuple[list[int], int, bool]:
    """(Q, c, inexact) of one column of M."""
    norm = sum(map(abs, column))
    if norm == 0:
        return column, 0, False
    exponent = 27 - binary_exponent(norm, denominator)
    if abs(exponent) > MAX_COLUMN_EXPONENT:
        raise Refusal("network", "integer matrices", f"a column exponent of {exponent} is out of range")
    numerator, divisor = (exponent, 0) if exponent >= 0 else (0, -exponent)
    divisor = denominator << divisor
    quantised = [round_ratio(value << numerator, divisor) for value in column]
    inexact = any(value << numerator != q * divisor for value, q in zip(column, quantised, strict=True))
    return quantised, exponent, inexact


def _chain_layer(
    own: int, denominator: int, rows: list[list[int]], width: int, differences: Differences, linear: frozenset[int]
) -> ChainLayer:
    """A layer of rows over `width` columns and the bias."""
    columns = [_quantise_column([row[j] for row in rows], denominator) for j in range(width + 1)]
    quantised = [list(row) for row in zip(*(column[0] for column in columns), strict=True)]
    exponents, inexact = [c[1] for c in columns], [c[2] for c in columns]
    kinds = differences.partners, differences.shift, linear
    return ChainLayer(own, denominator, rows, quantised, exponents, inexact, *kinds)


class _Normaliser:
    """x_j = lower_j + width_j t_j, over one common denominator."""

    def __init__(self, domain: Domain) -> None:
        widths = [high - low for low, high in zip(domain.lower, domain.upper, strict=True)]
        self.scale = math.lcm(*(value.denominator for value in (*domain.lower, *widths)))
        self.lower = [self._over(value) for value in domain.lower]
        self.width = [self._over(value) for value in widths]

    def _over(self, value: Fraction) -> int:
        return value.numerator * (self.scale // value.denominator)

    def concerns(self, affine: Affine) -> bool:
        """Whether a layer reads the input: if not, its matrix does not depend on the domain."""
        return any(1 <= symbol <= len(self.lower) for row in affine.rows for symbol in row)

    def rows(self, affine: Affine, place: dict[int, int], width: int) -> tuple[int, list[list[int]]]:
        """The dense matrix of a layer over the chain's columns: (denominator, rows)."""
        inputs = len(self.lower)
        scale = self.scale if self.concerns(affine) else 1
        dense = []
        for row in affine.rows:
            values = [0] * (width + 1)
            for symbol, value in row.items():
                if symbol == 0:
                    values[width] += value * scale
                elif symbol <= inputs:
                    values[place[symbol]] = value * self.width[symbol - 1]
                    values[width] += value * self.lower[symbol - 1]
                else:
                    values[place[symbol]] = value * scale
            dense.append(values)
        return affine.denominator * scale, dense


def chain_form(
    network: Network,
    domain: Domain,
    differences: Sequence[Differences] = (),
    kept: dict[int, ChainLayer] | None = None,
    magnitudes: Magnitudes | None = None,
) -> Chain:
    """The chain form of a network on t in [0, 1]^n; refuses networks that are too wide.

    `differences` says which neurons of layers 1, 2, ... are difference neurons; layers beyond its end have none. `kept` holds the
    layers that do not depend on the domain, and is filled: for the same network and differences on another domain.
    `magnitudes` are those of all layers, where values are computed in float32.
    """
    kept = {} if kept is None else kept
    normaliser, last = _Normaliser(domain), _last_readers(network)
    place = {symbol: symbol - 1 for symbol in range(1, 1 + network.input_size)}
    layers, signed = [], set[int]()  # symbols whose values may be negative
    for k, affine in enumerate(network.layers, 1):
        here = differences[k - 1] if k <= len(differences) else NONE
        carried = [s for s in range(k) if k < last[s]]
        symbols = [network.starts[s] + i for s in carried for i in range(network.size(s))]
        own, width = len(affine.rows), len(place)
        if own + len(symbols) > MAX_WIDTH:
            raise Refusal("network", f"layer {k}", f"wider than {MAX_WIDTH} in chain form")
        layer = kept.get(k)
        if layer is None:
            denominator, rows = normaliser.rows(affine, place, width)
            for symbol in symbols:
                rows.append([denominator if column == place[symbol] else 0 for column in range(width + 1)])
            linear = frozenset(own + i for i, symbol in enumerate(symbols) if symbol in signed)
            layer = _chain_layer(own, denominator, rows, width, here, linear)
            if not normaliser.concerns(affine):
                kept[k] = layer
        if magnitudes is not None:
            layer = replace(layer, slack=neuron_slack(magnitudes, k, place, domain))
        layers.append(layer)
        signed.update(network.starts[k] + i for i in here.partners)
        outputs = [*range(network.starts[k], network.starts[k] + own), *symbols]
        place = {symbol: column for column, symbol in enumerate(outputs)}
    return Chain(network.input_size, tuple(layers))
