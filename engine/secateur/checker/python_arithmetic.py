"""Rows, refresh, claims, contraction and splits in plain Python integers (sections 4 to 6 of the format).

The transparent one of the two arithmetics: slow, and written to be compared with the text of the format line by line.
IEEE doubles occur where the format says so, to choose multipliers and slopes; no bound depends on their accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from secateur.checker.chain import Chain
from secateur.checker.container import Claim
from secateur.checker.exact import ceil_shift, down24, floor_shift, mantissa, round_shift, round_up_16
from secateur.checker.nodes import (
    CONTRADICTION,
    FULL,
    LEAF_OPEN,
    LIMIT,
    SPLIT_CLOSED,
    TOO_NARROW,
    VOID,
    Outcome,
)

__all__ = ["PyNode", "PythonArithmetic", "Row", "Source", "contract_by_row", "split_interval"]


@dataclass(frozen=True)
class PyNode:
    """A box (integers over 2^24), the bounds of layers 1, 2, ..., and the numbers of the open claims."""

    low: list[int]
    high: list[int]
    lower: list[list[float]]
    upper: list[list[float]]
    open: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Source h in one node, as rows read it. `total` is S_h and `error` D_{h+1}; None where it reaches 2^53."""

    lower: list[float]
    upper: list[float]
    total: int | None
    error: int | None
    slopes: list[float]  # alpha of unstable neurons, 0 elsewhere
    chords: list[float]  # u / (u - l) of unstable neurons, 0 elsewhere


@dataclass(frozen=True)
class Row:
    """s z >= value 2^-G on the box; `coefficients[h]` are the a_j of source h, `exponent` is the last e."""

    value: int
    exponent: int
    coefficients: list[list[int]]


def _below(value: int, limit: int) -> int | None:
    return value if value < limit else None


def _scaled_ceil(bound: float, shift: int) -> int:
    numerator, exponent = mantissa(bound)
    return ceil_shift(numerator, exponent + shift)


def _scaled_floor(factor: int, bound: float, shift: int) -> int:
    """floor(factor bound 2^shift)."""
    numerator, exponent = mantissa(bound)
    return floor_shift(factor * numerator, exponent + shift)


def _clip(value: float) -> float:
    """min(1, max(0, value)); 0 where the value is not a number."""
    return 1.0 if value > 1.0 else value if value > 0.0 else 0.0


def contract_by_row(row: Row, grid: int, low: list[int], high: list[int]) -> tuple[list[int], list[int]]:
    """The part of the box in which the row does not show its claim."""
    low, high = low.copy(), high.copy()
    need = ceil_shift(-row.value, 24 + row.exponent - grid)
    for i, a in enumerate(row.coefficients[0]):
        width = high[i] - low[i]
        if a != 0 and need < width * abs(a):
            d = need // abs(a) + 1
            if d < width and a > 0:
                high[i] = low[i] + d
            elif d < width:
                low[i] = high[i] - d
    return low, high


def split_interval(low: int, high: int) -> int | None:
    """Where a coordinate is split; None where it is too narrow."""
    return (low + high) // 2 if high - low >= 2 else None


class PythonArithmetic:
    """Visits the nodes of one tree. See `walk` for the protocol."""

    batch = 1

    def __init__(self, chain: Chain, grid: Sequence[int], claims: Sequence[Claim], steps: int) -> None:
        self._layers = chain.layers
        self._grid = (0, *grid)  # G_0 = 0
        self._claims, self._steps = claims, steps
        self.input_size = chain.input_size

    def root(self, bounds: Sequence[tuple[list[float], list[float]]]) -> PyNode:
        """The node of the whole domain, from the root bounds of layers 1, 2, ..."""
        n = self.input_size
        lower, upper = [list(pair[0]) for pair in bounds], [list(pair[1]) for pair in bounds]
        return PyNode([0] * n, [FULL] * n, lower, upper, tuple(range(len(self._claims))))

    def visit(self, batch: Sequence[tuple[PyNode, int]]) -> list[Outcome[PyNode]]:
        """Visits nodes with their symbols."""
        return [self._visit(node, symbol) for node, symbol in batch]

    def _visit(self, node: PyNode, symbol: int) -> Outcome[PyNode]:
        last = max((self._claims[c].layer for c in node.open), default=0)
        sources = self.refresh(node, last)
        if sources is None:
            return Outcome(CONTRADICTION)
        node, rows = self._settle(node, sources)
        if symbol == 0:
            return Outcome(LEAF_OPEN, node.open[0]) if node.open else Outcome()
        if not node.open:
            return Outcome(SPLIT_CLOSED)
        return self._split(self._contract(node, rows), symbol - 1)

    # Section 4

    def source(self, node: PyNode, h: int) -> Source:
        """Source h with the present bounds of the node."""
        grid = self._grid[h]
        if h == 0:
            lower, upper = [0.0] * self.input_size, [1.0] * self.input_size
        else:
            lower, upper = node.lower[h - 1], node.upper[h - 1]
        reach = [max(0.0, u) for u in upper]
        total = sum(_scaled_ceil(r, grid) for r in reach)
        unstable = [below < 0.0 < above for below, above in zip(lower, upper, strict=True)]
        pairs = list(zip(lower, upper, unstable, strict=True))
        slopes = [1.0 if open_ and above > -below else 0.0 for below, above, open_ in pairs]
        chords = [above / (above - below) if open_ else 0.0 for below, above, open_ in pairs]
        return Source(lower, upper, _below(total, LIMIT), self._error(h + 1, reach), slopes, chords)

    def _error(self, k: int, reach: list[float]) -> int | None:
        """D_k: what the quantisation of layer k's matrix can amount to, per unit of multiplier."""
        if k > len(self._layers):
            return 0  # no layer reads this source
        layer, grid = self._layers[k - 1], self._grid[k]
        terms = zip([*reach, 1.0], layer.exponents, layer.inexact, strict=True)
        error = sum(_scaled_ceil(r, grid + 24 - (c + 1)) for r, c, inexact in terms if inexact)
        return None if error >= LIMIT else round_up_16(error)

    def row(self, node: PyNode, sources: list[Source], neuron: tuple[int, int, int], slopes: list[list[float]]) -> Row | None:
        """A lower bound of s z_{k,i}, for neuron = (k, i, s); None where the row is void."""
        k, i, sign = neuron
        grid = self._grid[k]
        p = [sign * q for q in self._layers[k - 1].quantised[i]]
        value, e, weight = 0, 0, 1
        coefficients: list[list[int]] = [[] for _ in range(k)]
        for h in range(k - 1, -1, -1):
            layer, source = self._layers[h], sources[h]
            if source.error is None:
                return None
            *exponents, bias_exponent = layer.exponents
            bias = floor_shift(p[-1], grid - e - bias_exponent)
            error = ceil_shift(weight * source.error, grid - e - self._grid[h + 1] - 24)
            top = max((q.bit_length() - c for q, c in zip(p, exponents, strict=False) if q), default=None)
            a, charge = [0] * len(exponents), 0
            if top is not None:
                if source.total is None:
                    return None
                a = [round_shift(q, 24 - top - c) for q, c in zip(p, exponents, strict=False)]
                e += 24 - top
                charge = ceil_shift(source.total, grid - e - 1 - self._grid[h])
            if h == 0:
                corners = zip(a, node.low, node.high, strict=True)
                total = sum(floor_shift(x * (lo if x > 0 else hi), grid - e - 24) for x, lo, hi in corners)
            else:
                multipliers, total = _relax(a, source, slopes[h], grid - e)
                weight = sum(map(abs, multipliers))
                p = self._combine(h, multipliers)
            coefficients[h] = a
            if max(abs(bias), error, charge, abs(total)) >= VOID:
                return None
            value += bias - error - charge + total
        return Row(value, e, coefficients)

    def _combine(self, h: int, multipliers: list[int]) -> list[int]:
        """mu Q^h, all columns."""
        total = [0] * len(self._layers[h - 1].exponents)
        for mu, row in zip(multipliers, self._layers[h - 1].quantised, strict=True):
            if mu:
                total = [t + mu * q for t, q in zip(total, row, strict=True)]
        return total

    # Section 6, step 1

    def refresh(self, node: PyNode, last: int) -> list[Source] | None:
        """Tightens the bounds of layers 1 to last - 1 in place; the sources 0 to last - 1, or None: contradiction."""
        sources = [self.source(node, 0)]
        for k in range(1, last):
            grid, slopes = self._grid[k], [source.slopes for source in sources]
            lower, upper = node.lower[k - 1], node.upper[k - 1]
            for i, (below, above) in enumerate(zip(lower, upper, strict=True)):
                if not below < 0.0 < above:
                    continue
                least = self.row(node, sources, (k, i, 1), slopes)
                greatest = self.row(node, sources, (k, i, -1), slopes)
                if least is not None:
                    lower[i] = max(below, _on_grid(least.value, grid))
                if greatest is not None:
                    upper[i] = min(above, -_on_grid(greatest.value, grid))
                if lower[i] > upper[i]:
                    return None
            sources.append(self.source(node, k))
        return sources

    # Section 5

    def _settle(self, node: PyNode, sources: list[Source]) -> tuple[PyNode, list[Row | None]]:
        """Tries every open claim; the node with those that stay open, and the best row of each of these."""
        rows = {c: self.claim(node, sources, self._claims[c]) for c in node.open}
        still = tuple(c for c, row in rows.items() if row is None or row.value < 0)
        return replace(node, open=still), [rows[c] for c in still]

    def claim(self, node: PyNode, sources: list[Source], claim: Claim) -> Row | None:
        """The best row found for a claim; it holds on the box if the value is >= 0."""
        slopes = [source.slopes.copy() for source in sources[: claim.layer]]
        best: Row | None = None
        gain = 4.0
        for step in range(self._steps + 1):
            row = self.row(node, sources, (claim.layer, claim.neuron, claim.sign), slopes)
            if row is None:
                break
            if best is None or row.value > best.value:
                best = row
            if best.value >= 0 or step == self._steps:
                break
            self._improve(node, sources, row, slopes, gain)
            gain *= 0.75
        return best

    def _improve(self, node: PyNode, sources: list[Source], row: Row, slopes: list[list[float]], gain: float) -> None:
        """New slopes, in place, from the point where the relaxed row is least (IEEE doubles, fixed order)."""
        a = row.coefficients
        values = [float(lo if x > 0 else hi) * 2.0**-24 for x, lo, hi in zip(a[0], node.low, node.high, strict=True)]
        for h in range(1, len(a)):
            source = sources[h]
            pre = self._pre_activations(h, values)
            values = []
            for i, z in enumerate(pre):
                below, above = source.lower[i], source.upper[i]
                if above <= 0.0:
                    values.append(0.0)
                elif below >= 0.0:
                    values.append(z)
                elif a[h][i] >= 0:
                    values.append(slopes[h][i] * z)
                else:
                    values.append(source.chords[i] * (z - below))
                if below < 0.0 < above and a[h][i] > 0:
                    slopes[h][i] = _clip(slopes[h][i] + gain * (z / (above - below)))

    def _pre_activations(self, h: int, values: list[float]) -> list[float]:
        layer = self._layers[h - 1]
        scales = [2.0**-c for c in layer.exponents]
        pre = [float(row[-1]) * scales[-1] for row in layer.quantised]
        for j, value in enumerate(values):
            if value != 0.0:
                scaled = value * scales[j]
                pre = [z + float(row[j]) * scaled for z, row in zip(pre, layer.quantised, strict=True)]
        return pre

    # Section 6, steps 4 and 5

    def _contract(self, node: PyNode, rows: list[Row | None]) -> PyNode:
        """The node on the smallest box that contains what every open claim leaves."""
        parts = []
        for c, row in zip(node.open, rows, strict=True):
            grid = self._grid[self._claims[c].layer]
            whole = (node.low, node.high)
            parts.append(whole if row is None else contract_by_row(row, grid, node.low, node.high))
        low = [min(ends) for ends in zip(*(part[0] for part in parts), strict=True)]
        high = [max(ends) for ends in zip(*(part[1] for part in parts), strict=True)]
        return replace(node, low=low, high=high)

    def _split(self, node: PyNode, coordinate: int) -> Outcome[PyNode]:
        middle = split_interval(node.low[coordinate], node.high[coordinate])
        if middle is None:
            return Outcome(TOO_NARROW)
        first_high, second_low = node.high.copy(), node.low.copy()
        first_high[coordinate] = second_low[coordinate] = middle
        copies = [[list(layer) for layer in side] for side in (node.lower, node.upper)]
        first = replace(node, high=first_high)
        return Outcome(children=(first, replace(node, low=second_low, lower=copies[0], upper=copies[1])))


def _on_grid(value: int, grid: int) -> float:
    """down24(value 2^-grid)."""
    return down24(value, 1 << grid) if grid >= 0 else down24(value << -grid, 1)


def _relax(a: list[int], source: Source, slopes: list[float], shift: int) -> tuple[list[int], int]:
    """Step 4: the multipliers mu, and the sum that is added to the constant."""
    multipliers, total = [], 0
    for x, below, above, slope, chord in zip(a, source.lower, source.upper, slopes, source.chords, strict=True):
        if above <= 0.0:
            mu = 0
        elif below >= 0.0:
            mu = x
        else:
            mu = round(float(x) * (slope if x >= 0 else chord))
            total += min(0, _scaled_floor(-mu, below, shift), _scaled_floor(x - mu, above, shift))
        multipliers.append(mu)
    return multipliers, total
