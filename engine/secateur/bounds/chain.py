"""The chain form of a network on a box: each layer reads only the one before it, inputs lie in [0, 1].

Values that a later layer reads across others are carried by pass-through neurons, whose values are never negative: an
output of a ReLU, or a normalised input t with x = lower + (upper - lower) t. The bound propagator, the certificate and its
checker then know one shape of network only. All matrices are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from secateur.network import Network
from secateur.network.model import Affine, Term

__all__ = ["ChainLayer", "chain_form"]

Rows = list[list[Fraction]]


@dataclass(frozen=True)
class ChainLayer:
    """One layer: rows of [W | b] as rationals, bias last; `own` neurons first, pass-through neurons behind them."""

    rows: Rows
    own: int

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def in_size(self) -> int:
        return len(self.rows[0]) - 1 if self.rows else 0


def chain_form(network: Network, lower: tuple[Fraction, ...], upper: tuple[Fraction, ...]) -> tuple[ChainLayer, ...]:
    """The ReLU layers of a network on the box [lower, upper], in chain form.

    Layers whose maps are no matrices are multiplied out; the output layer is not part of the result.
    """
    last_reader = _last_readers(network)
    sizes = (network.input_size, *network.sizes)
    layers: list[ChainLayer] = []
    position = {0: 0}  # where each carried source starts in the layer before
    width = network.input_size
    for k, affine in enumerate(network.layers, start=1):
        rows = _own_rows(affine, position, width, lower, upper)
        carried = [s for s in sorted(position) if last_reader[s] > k]
        placed = {k: 0}
        for source in carried:
            placed[source] = len(rows)
            rows += [_unit_row(position[source] + i, width) for i in range(sizes[source])]
        layers.append(ChainLayer(rows, affine.size))
        position, width = placed, len(rows)
    return tuple(layers)


def _last_readers(network: Network) -> list[int]:
    last = [0] * (len(network.layers) + 1)
    for k, affine in enumerate(network.layers, start=1):
        for term in _read(affine):
            last[term.source] = k
    return last


def _read(affine: Affine) -> list[Term]:
    """The terms with a coefficient other than zero."""
    return [t for t in affine.terms if t.map.dense().weight.any() or t.map.dense().exact is not None]


def _unit_row(column: int, width: int) -> list[Fraction]:
    row = [Fraction(0)] * (width + 1)
    row[column] = Fraction(1)
    return row


def _own_rows(
    affine: Affine,
    position: dict[int, int],
    width: int,
    lower: tuple[Fraction, ...],
    upper: tuple[Fraction, ...],
) -> Rows:
    bias = list(affine.rational_bias())
    rows = [[Fraction(0)] * (width + 1) for _ in range(affine.size)]
    widths = [high - low for low, high in zip(lower, upper, strict=True)]
    for term in _read(affine):
        start = position[term.source]
        for i, stored in enumerate(term.map.dense().rationals()):
            row, weights = rows[i], stored
            if term.source == 0:
                bias[i] += sum((w * low for w, low in zip(stored, lower, strict=True) if w), Fraction(0))
                weights = [w * span if w else w for w, span in zip(stored, widths, strict=True)]
            for j, weight in enumerate(weights, start=start):
                if weight:
                    row[j] += weight
    for row, value in zip(rows, bias, strict=True):
        row[-1] = value
    return rows
