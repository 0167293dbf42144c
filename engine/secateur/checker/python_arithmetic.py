"""Rows, refresh, goals, contraction and splits in plain Python integers (sections 4 to 6, 8, 9 and 11 of the format).

The transparent one of the two arithmetics: slow, and written to be compared with the text of the format line by line.
IEEE doubles occur where the format says so, to choose multipliers and slopes; no bound depends on their accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from secateur.checker.chain import Chain, ChainLayer
from secateur.checker.differences import Difference, differences_of, value_ranges
from secateur.checker.exact import ceil_shift, down24, floor_shift, round_shift, round_up_16, scaled_ceil
from secateur.checker.mixing import Line, mixing_weights
from secateur.checker.nodes import (
    CONTRADICTION,
    FULL,
    LEAF_OPEN,
    LIMIT,
    MAX_CUT_SHIFT,
    MAX_MIXED_EXPONENT,
    MIXED_EXPONENT,
    REFUTED_CLOSED,
    SPLIT_CLOSED,
    TOO_NARROW,
    TRUSTED_CLOSED,
    VOID,
    Goal,
    LeafState,
    Outcome,
    mixed_threshold,
)
from secateur.checker.relaxation import Source, least_point, relax
from secateur.checker.slack import NONE, Charges, charges

__all__ = ["PyNode", "PythonArithmetic", "Row", "contract_by_row", "split_interval"]

Box = tuple[list[int], list[int]]  # low and high, integers over 2^24


@dataclass(frozen=True)
class PyNode:
    """A box (integers over 2^24), the bounds of layers 1, 2, ..., and the numbers of the open goals."""

    low: list[int]
    high: list[int]
    lower: list[list[float]]
    upper: list[list[float]]
    open: tuple[int, ...]


@dataclass(frozen=True)
class Start:
    """What a row of layer k begins with: the multipliers of its neurons, P and e of section 4; and the value at which it closes a
    goal."""

    layer: int
    multipliers: dict[int, int]
    p: list[int]
    exponent: int = 0
    threshold: int = 0


@dataclass(frozen=True)
class Row:
    """The bounded value is >= value 2^-G on the box; `coefficients[h]` are the a_j of source h, `exponent` is the last e."""

    value: int
    exponent: int
    coefficients: list[list[int]]


def _below(value: int, limit: int) -> int | None:
    return value if value < limit else None


def _refreshed(layer: ChainLayer, lower: list[float], upper: list[float]) -> list[int]:
    """The neurons whose bounds are computed anew.

    These are unstable ReLU neurons, difference neurons that are not 0 for certain, and the partners of those whose value is not
    their pre-activation either.
    """
    differences = differences_of(layer, lower, upper)
    chosen = {i for i, own in differences.items() if not own.zero}
    chosen |= {layer.partners[i] for i in chosen if not differences[i].linear}
    pairs = enumerate(zip(lower, upper, strict=True))
    relu = {i for i, (below, above) in pairs if below < 0.0 < above} - layer.linear - differences.keys()
    return sorted(chosen | relu)


def contract_by_row(row: Row, grid: int, low: list[int], high: list[int]) -> Box:
    """The part of the box in which the row does not show that its value is large enough."""
    low, high = low.copy(), high.copy()
    shift = 24 + row.exponent - grid
    if abs(shift) > MAX_CUT_SHIFT:
        return low, high
    need = ceil_shift(-row.value, shift)
    for i, a in enumerate(row.coefficients[0]):
        width = high[i] - low[i]
        if a != 0 and need < width * abs(a):
            d = need // abs(a) + 1
            if d < width and a > 0:
                high[i] = low[i] + d
            elif d < width:
                low[i] = high[i] - d
    return low, high


def _intersection(left: Box, right: Box) -> Box:
    low = [max(ends) for ends in zip(left[0], right[0], strict=True)]
    high = [min(ends) for ends in zip(left[1], right[1], strict=True)]
    return low, high


def _hull(boxes: Sequence[Box]) -> Box:
    """The smallest box that contains all of them."""
    low = [min(ends) for ends in zip(*(box[0] for box in boxes), strict=True)]
    high = [max(ends) for ends in zip(*(box[1] for box in boxes), strict=True)]
    return low, high


def _empty(box: Box) -> bool:
    return any(low > high for low, high in zip(*box, strict=True))


def split_interval(low: int, high: int) -> int | None:
    """Where a coordinate is split; None where it is too narrow."""
    return (low + high) // 2 if high - low >= 2 else None


class PythonArithmetic:
    """Visits the nodes of one tree. See `walk` for the protocol."""

    batch = 1

    def __init__(self, chain: Chain, grid: Sequence[int], goals: Sequence[Goal], steps: int) -> None:
        self._layers = chain.layers
        self._grid = (0, *grid)  # G_0 = 0
        self._goals, self._steps = goals, steps
        self.input_size = chain.input_size

    def root(self, bounds: Sequence[tuple[list[float], list[float]]]) -> PyNode:
        """The node of the whole domain, from the root bounds of layers 1, 2, ..."""
        n = self.input_size
        lower, upper = [list(pair[0]) for pair in bounds], [list(pair[1]) for pair in bounds]
        return PyNode([0] * n, [FULL] * n, lower, upper, tuple(range(len(self._goals))))

    def visit(self, batch: Sequence[tuple[PyNode, int]]) -> list[Outcome[PyNode]]:
        """Visits nodes with their symbols."""
        return [self._visit(node, symbol) for node, symbol in batch]

    def _visit(self, node: PyNode, symbol: int) -> Outcome[PyNode]:
        last = max((self._goals[g].layer for g in node.open), default=0)
        sources = self.refresh(node, last)
        if sources is None:
            return Outcome(CONTRADICTION)
        left = self._settle(node, sources)
        if symbol == 0:
            return Outcome(LEAF_OPEN, min(left)) if left else Outcome()
        trusted, refuted = symbol == self.input_size + 1, symbol == self.input_size + 2
        if not left:
            return Outcome(TRUSTED_CLOSED if trusted else REFUTED_CLOSED if refuted else SPLIT_CLOSED)
        if trusted:
            return Outcome()
        low, high = _hull(list(left.values()))
        if refuted:
            before = max(goal.layer for goal in self._goals) - 1
            return Outcome(leaf=LeafState(low, high, node.lower[:before], node.upper[:before], tuple(left)))
        return self._split(replace(node, low=low, high=high, open=tuple(left)), symbol - 1)

    # Section 4

    def source(self, node: PyNode, h: int) -> Source:
        """Source h with the present bounds of the node."""
        grid = self._grid[h]
        if h == 0:
            lower, upper = [0.0] * self.input_size, [1.0] * self.input_size
            reach, differences, linear = upper, dict[int, Difference](), frozenset[int]()
        else:
            layer, lower, upper = self._layers[h - 1], node.lower[h - 1], node.upper[h - 1]
            reach = [max(-low, high) for low, high in zip(*value_ranges(layer, lower, upper), strict=True)]
            differences, linear = differences_of(layer, lower, upper), layer.linear
        total = sum(scaled_ceil(r, grid) for r in reach)
        dead = [high <= 0.0 and j not in linear for j, high in enumerate(upper)]
        for j, difference in differences.items():
            dead[j] = difference.zero
        unstable = [below < 0.0 < above for below, above in zip(lower, upper, strict=True)]
        pairs = list(zip(lower, upper, unstable, strict=True))
        slopes = [1.0 if open_ and above > -below else 0.0 for below, above, open_ in pairs]
        chords = [above / (above - below) if open_ else 0.0 for below, above, open_ in pairs]
        limits = _below(total, LIMIT), self._error(h + 1, reach), self._charges(h + 1, reach)
        return Source(lower, upper, *limits, slopes, chords, differences, linear, dead)

    def _error(self, k: int, reach: list[float]) -> int | None:
        """D_k: what the quantisation of layer k's matrix can amount to, per unit of multiplier."""
        if k > len(self._layers):
            return 0  # no layer reads this source
        layer, grid = self._layers[k - 1], self._grid[k]
        terms = zip([*reach, 1.0], layer.errors, strict=True)
        error = sum(scaled_ceil(own, grid + 24, r) for r, own in terms)
        return None if error >= LIMIT else round_up_16(error)

    def _charges(self, k: int, reach: list[float]) -> Charges | None:
        """What rounding in float32 can do to the neurons of layer k (section 11)."""
        return NONE if k > len(self._layers) else charges(self._layers[k - 1].slack, reach, self._grid[k])

    def row(self, node: PyNode, sources: list[Source], neuron: tuple[int, int, int], slopes: list[list[float]]) -> Row | None:
        """A lower bound of s z_{k,i}, for neuron = (k, i, s); None where the row is void."""
        k, i, sign = neuron
        return self._propagate(node, sources, self._start_of(k, {i: sign}), slopes)

    def _start_of(self, k: int, multipliers: dict[int, int], exponent: int = 0, threshold: int = 0) -> Start:
        """The row of a sum of layer k's neurons, times 2^-exponent."""
        return Start(k, multipliers, self._combine(k, multipliers), exponent, threshold)

    def _propagate(self, node: PyNode, sources: list[Source], start: Start, slopes: list[list[float]]) -> Row | None:
        """The row that begins with `start`; None where it is void."""
        k, p, e, mu = start.layer, start.p, start.exponent, start.multipliers
        grid, value = self._grid[k], 0
        coefficients: list[list[int]] = [[] for _ in range(k)]
        for h in range(k - 1, -1, -1):
            layer, source = self._layers[h], sources[h]
            if source.error is None or source.charges is None:
                return None
            *exponents, bias_exponent = layer.exponents
            bias = floor_shift(p[-1], grid - e - bias_exponent)
            unit = grid - e - self._grid[h + 1] - 24
            error = ceil_shift(sum(map(abs, mu.values())) * source.error, unit)
            rounding = ceil_shift(source.charges.of(mu), unit + source.charges.shift)
            alive = [0 if dead else q for q, dead in zip(p[:-1], source.dead, strict=True)]
            top = max((q.bit_length() - c for q, c in zip(alive, exponents, strict=True) if q), default=None)
            a, charge = [0] * len(exponents), 0
            if top is not None:
                if source.total is None:
                    return None
                a = [round_shift(q, 24 - top - c) for q, c in zip(alive, exponents, strict=True)]
                e += 24 - top
                charge = ceil_shift(source.total, grid - e - 1 - self._grid[h])
            if h == 0:
                corners = zip(a, node.low, node.high, strict=True)
                total = sum(floor_shift(x * (lo if x > 0 else hi), grid - e - 24) for x, lo, hi in corners)
                magnitude = abs(total)
            else:
                multipliers, terms = relax(a, source, slopes[h], grid - e)
                total, magnitude = sum(terms), sum(map(abs, terms))
                mu = dict(enumerate(multipliers))
                p = self._combine(h, mu)
            coefficients[h] = a
            if max(abs(bias), error, rounding, charge, magnitude) >= VOID:
                return None
            value += bias - error - rounding - charge + total
        return Row(value, e, coefficients)

    def _combine(self, h: int, multipliers: dict[int, int]) -> list[int]:
        """mu Q^h, all columns; neurons that are not named have mu = 0."""
        total = [0] * len(self._layers[h - 1].exponents)
        for neuron, mu in multipliers.items():
            if mu:
                total = [t + mu * q for t, q in zip(total, self._layers[h - 1].quantised[neuron], strict=True)]
        return total

    # Section 6, step 1

    def refresh(self, node: PyNode, last: int) -> list[Source] | None:
        """Tightens the bounds of layers 1 to last - 1 in place; the sources 0 to last - 1, or None: contradiction."""
        sources = [self.source(node, 0)]
        for k in range(1, last):
            grid, slopes = self._grid[k], [source.slopes for source in sources]
            lower, upper = node.lower[k - 1], node.upper[k - 1]
            for i in _refreshed(self._layers[k - 1], lower, upper):
                below, above = lower[i], upper[i]
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

    # Sections 5 and 8

    def _settle(self, node: PyNode, sources: list[Source]) -> dict[int, Box]:
        """Tries every open goal; those that stay open, in order, with what each leaves of the box."""
        left = {g: self.goal(node, sources, self._goals[g]) for g in node.open}
        return {g: box for g, box in left.items() if box is not None}

    def goal(self, node: PyNode, sources: list[Source], goal: Goal) -> Box | None:
        """The part of the box that the goal leaves; None where it is closed."""
        grid, rows = self._grid[goal.layer], [] if len(goal.targets) == 1 else self._single_rows(node, sources, goal)
        pairs = zip(rows, goal.thresholds, strict=False)  # no rows where there is one target
        if any(row is not None and row.value >= threshold for row, threshold in pairs):
            return None
        start = self._start(node, goal, rows)
        best = self._best_row(node, sources, start) if start else None
        if start and best is not None and best.value >= start.threshold:
            return None
        kept = (node.low, node.high)
        for row in (*rows, best):
            if row is not None:
                kept = _intersection(kept, contract_by_row(row, grid, node.low, node.high))
        return None if _empty(kept) else kept

    def _single_rows(self, node: PyNode, sources: list[Source], goal: Goal) -> list[Row | None]:
        """The row of each target with default slopes."""
        slopes = [source.slopes for source in sources]
        return [self.row(node, sources, (goal.layer, i, sign), slopes) for i, sign in goal.targets]

    def _start(self, node: PyNode, goal: Goal, rows: list[Row | None]) -> Start | None:
        """The start of the only target's row, or of the row that mixes all targets; None where some row does not allow it."""
        if not rows:
            return self._start_of(goal.layer, dict(goal.targets), threshold=goal.thresholds[0])
        lines = [Line(r.value, r.exponent, r.coefficients[0]) for r in rows if r and abs(r.exponent) <= MAX_MIXED_EXPONENT]
        if len(lines) < len(rows):
            return None
        widths = [high - low for low, high in zip(node.low, node.high, strict=True)]
        weights = mixing_weights(lines, self._grid[goal.layer], widths)
        signed = {i: weight * sign for weight, (i, sign) in zip(weights, goal.targets, strict=True)}
        threshold = mixed_threshold(goal.thresholds, weights)
        return self._start_of(goal.layer, signed, MIXED_EXPONENT, threshold)

    def _best_row(self, node: PyNode, sources: list[Source], start: Start) -> Row | None:
        """The best row found with optimised slopes (section 5); stops where one reaches the threshold."""
        slopes = [source.slopes.copy() for source in sources[: start.layer]]
        best: Row | None = None
        gain = 4.0
        for step in range(self._steps + 1):
            row = self._propagate(node, sources, start, slopes)
            if row is None:
                break
            if best is None or row.value > best.value:
                best = row
            if best.value >= start.threshold or step == self._steps:
                break
            self._improve(node, sources, row, slopes, gain)
            gain *= 0.75
        return best

    def _improve(self, node: PyNode, sources: list[Source], row: Row, slopes: list[list[float]], gain: float) -> None:
        """New slopes, in place, from the point where the relaxed row is least (IEEE doubles, fixed order)."""
        a = row.coefficients
        values = [float(lo if x > 0 else hi) * 2.0**-24 for x, lo, hi in zip(a[0], node.low, node.high, strict=True)]
        for h in range(1, len(a)):
            values = least_point(a[h], self._pre_activations(h, values), sources[h], slopes[h], gain)

    def _pre_activations(self, h: int, values: list[float]) -> list[float]:
        layer = self._layers[h - 1]
        scales = [2.0**-c for c in layer.exponents]
        pre = [float(row[-1]) * scales[-1] for row in layer.quantised]
        for j, value in enumerate(values):
            if value != 0.0:
                scaled = value * scales[j]
                pre = [z + float(row[j]) * scaled for z, row in zip(pre, layer.quantised, strict=True)]
        return pre

    # Section 6, step 5

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
