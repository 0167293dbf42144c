"""Root bounds: interval bounds of all neurons over the whole domain, rounded outward to 24 bits (FORMAT.md, section 3).

The bounds are those of exact arithmetic, to the bit, but exact arithmetic is seldom done. Method, layer by layer: doubles with an
error bound settle almost every end, because 24 of its 53 bits are wanted. What is in doubt (mostly values with few bits, of dead
rows and pass-through neurons) goes to an exactly rounded sum of error-free products, and where a matrix is known only nearly
to fractions. Start at `root_bounds`. Soundness: near.py says what the error bounds rest on; numbers of a magnitude for which they
might not hold (underflow) send all layers after them to integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import add, mul, sub
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.chain import LINEAR, ChainLayer
from secateur.bounds.parts import IntegerParts
from secateur.bounds.rounding import BITS, floor_ratio
from secateur.errors import InputError
from secateur.network.exact import two_product

__all__ = ["Claim", "RootBounds", "integer_ends", "root_bounds"]

Floats = NDArray[np.float64]

Claim = tuple[int, int, int]
"""(layer from 1, neuron from 0, sign): sign +1 claims z >= 0 on the domain (active), -1 claims z <= 0 (inactive)."""

_Dyadic = tuple[int, int]
"""(q, s): the number q 2**-s, where s >= 0."""
_FAR = 1000
_MODERATE = 200
"""Exponents of two up to which products in doubles neither overflow nor underflow (see near.py)."""


class _Ratios(NamedTuple):
    """Exact ranges of a layer's rows: numerators over one denominator, not reduced."""

    bottoms: list[int]
    tops: list[int]
    denominator: int


class _Ends(NamedTuple):
    """A layer's ends, rounded outward to 24 bits: without the facts about it, and with them."""

    lower: Floats
    upper: Floats
    narrowed: tuple[Floats, Floats]

    def outputs(self, layer: ChainLayer) -> tuple[Floats, Floats]:
        """Ranges of the values of the layer's neurons (FORMAT.md, sections 3 and 9)."""
        low, high = self.narrowed
        least, most = np.maximum(low, 0.0), np.maximum(high, 0.0)
        linear, twins = np.flatnonzero(layer.kinds == LINEAR), np.flatnonzero(layer.kinds >= 0)
        least[linear], most[linear] = low[linear], high[linear]
        if len(twins):
            base, growth = layer.kinds[twins], 2.0**layer.shift
            least[twins], most[twins] = _difference_ranges(low[twins], high[twins], low[base], high[base], growth)
        return least, most


def _difference_ranges(low: Floats, high: Floats, base_low: Floats, base_high: Floats, growth: float) -> tuple[Floats, Floats]:
    """Ranges of differences, as the kernels' `value_range` has them. Products with powers of two are exact."""

    def below(x: Floats, y: Floats) -> Floats:
        return _down((x + y) - 2.0**-50 * (np.abs(x) + np.abs(y)))[0]

    def above(x: Floats, y: Floats) -> Floats:
        return 0.0 - below(-x, -y)

    from_below, from_above = base_high <= 0.0, base_low >= 0.0
    to_below, to_above = high <= -base_high * growth, low >= -base_low * growth
    second_low, second_high = below(base_low * growth, low), above(base_high * growth, high)
    least = below(np.maximum(0.0, second_low), -growth * np.maximum(0.0, base_high))
    most = above(np.maximum(0.0, second_high), -growth * np.maximum(0.0, base_low))
    least = np.maximum(least, np.where(from_below, 0.0, np.minimum(0.0, low)))
    most = np.minimum(most, np.where(to_below, 0.0, np.maximum(0.0, high)))
    both_below, both_above = (from_below & to_below) | ((low == 0.0) & (high == 0.0)), from_above & to_above
    least = np.where(both_above, low, np.where(both_below, 0.0, least))
    return least, np.where(both_above, high, np.where(both_below, 0.0, most))


@dataclass(frozen=True, eq=False)
class RootBounds:
    """Interval bounds over the whole domain as doubles, rounded outward to 24 bits; exactly, where somebody asks.

    lower, upper : of all neurons, layer by layer, facts taken into account.
    """

    layers: tuple[ChainLayer, ...]
    ends: tuple[_Ends, ...]

    @cached_property
    def lower(self) -> Floats:
        return np.concatenate([np.zeros(0), *(e.narrowed[0] for e in self.ends)])

    @cached_property
    def upper(self) -> Floats:
        return np.concatenate([np.zeros(0), *(e.narrowed[1] for e in self.ends)])

    @cached_property
    def exact_lower(self) -> tuple[tuple[Fraction, ...], ...]:
        """By layer and neuron, before rounding."""
        return tuple(tuple(Fraction(v, r.denominator) for v in r.bottoms) for r in self._ratios)

    @cached_property
    def exact_upper(self) -> tuple[tuple[Fraction, ...], ...]:
        """By layer and neuron, before rounding."""
        return tuple(tuple(Fraction(v, r.denominator) for v in r.tops) for r in self._ratios)

    def decides(self, claim: Claim) -> bool:
        """Whether interval arithmetic proves the claim: rounding never takes a bound across 0."""
        layer, neuron, sign = claim
        ends = self.ends[layer - 1]
        return bool(ends.upper[neuron] <= 0.0) if sign < 0 else bool(ends.lower[neuron] >= 0.0)

    @cached_property
    def _ratios(self) -> tuple[_Ratios, ...]:
        after = (e.outputs(layer) for e, layer in zip(self.ends, self.layers, strict=True))
        before = [_unit_box(self.layers), *after]
        return tuple(_intervals(layer, *map(_dyadics, ranges)) for layer, ranges in zip(self.layers, before, strict=False))


def root_bounds(layers: Sequence[ChainLayer], facts: Mapping[tuple[int, int], int]) -> RootBounds:
    """Interval bounds, exactly rounded; `facts` maps (layer, neuron) to a proven sign.

    InputError where a bound is no double.
    """
    ends: list[_Ends] = []
    before, moderate = _unit_box(layers), True
    for k, layer in enumerate(layers, start=1):
        moderate = moderate and layer.is_moderate
        found = _float_ends(layer, *before) if moderate and layer.slack is None else integer_ends(layer, *before)
        ends.append(_narrowed(*found, {i: sign for (level, i), sign in facts.items() if level == k} if facts else {}))
        before = ends[-1].outputs(layer)
        moderate = moderate and _has_moderate_exponents(np.concatenate(found))
    return RootBounds(tuple(layers), tuple(ends))


def _unit_box(layers: Sequence[ChainLayer]) -> tuple[Floats, Floats]:
    size = layers[0].in_size if layers else 0
    return np.zeros(size), np.ones(size)


def _narrowed(lower: Floats, upper: Floats, signs: Mapping[int, int]) -> _Ends:
    if not signs:
        return _Ends(lower, upper, (lower, upper))
    low, high = lower.copy(), upper.copy()
    for i, sign in signs.items():
        if sign < 0:
            high[i] = min(high[i], 0.0)
        elif sign > 0:
            low[i] = max(low[i], 0.0)
    return _Ends(lower, upper, (low, high))


# --- by doubles


def _float_ends(layer: ChainLayer, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """A layer's ends from those of its inputs, low <= high; all numbers must be moderate."""
    near, bias = layer.near, layer.near.floats[:, -1]
    sides = np.empty((len(low), 2))
    np.multiply(high - low, 0.5, out=sides[:, 0])
    np.maximum(high, -low, out=sides[:, 1])
    # The range is W m -+ |W| r around the bias, with middles m and radii r: two products instead of four.
    middle = near.floats[:, :-1] @ ((low + high) * 0.5) + bias
    spread, terms = (layer.magnitudes @ sides).T
    # Twice what rounding can do to sums of so many terms, each rounded twice before; without terms, the bias is exact.
    errors = (terms + np.abs(bias)) * ((len(low) + 8) * 2.0**-52) * (terms > 0.0)
    if near.errors is not None:
        errors += 2.0 * (near.errors[:, :-1] @ sides[:, 1] + near.errors[:, -1])
    # Upper ends are negated: then all are rounded down.
    values = np.array([middle, -middle]) - spread
    rounded, units = _down(values)
    above = values - rounded  # exact, and so is the way to the next number of 24 bits
    doubtful = np.flatnonzero(((above <= errors) | (units - above <= errors)) & (errors > 0.0))
    if len(doubtful):
        summed = _summed if near.errors is None else _added
        rounded.ravel()[doubtful] = _down(summed(layer, doubtful, low, high))[0]
    return rounded[0] + 0.0, 0.0 - rounded[1]  # never -0.0


def _down(values: Floats) -> tuple[Floats, Floats]:
    """The nearest numbers of 24 bits that are not above, and the distance to the next ones."""
    units = np.ldexp(1.0, np.frexp(values)[1] - BITS)
    return np.floor(values / units) * units, units


def _has_moderate_exponents(values: Floats) -> bool:
    exponents = np.abs(np.frexp(values)[1])
    return bool(exponents.max(initial=0) <= _MODERATE)


def _summed(layer: ChainLayer, which: NDArray[np.intp], low: Floats, high: Floats) -> Floats:
    """Some ends (from `size` on: negated upper ends), as doubles with the same numbers of 24 bits below them."""
    row, sign = which % layer.size, np.where(which < layer.size, 1.0, -1.0)[:, None]
    signed = layer.near.floats[row] * sign
    weights = signed[:, :-1]
    products, errors = two_product(weights, np.where(weights > 0.0, low, high))
    return np.array([_rounded_sum(terms) for terms in np.concatenate([products, errors, signed[:, -1:]], axis=1).tolist()])


def _rounded_sum(terms: list[float]) -> float:
    """The sum, correctly rounded, or the double below it where that is more than the sum."""
    value = math.fsum(terms)
    return math.nextafter(value, -math.inf) if math.fsum([*terms, -value]) < 0.0 else value


def _added(layer: ChainLayer, which: NDArray[np.intp], low: Floats, high: Floats) -> Floats:
    """The same from the exact entries of the matrix, as numbers of 24 bits."""
    sides = low.tolist(), high.tolist()
    ends = []
    for i in which.tolist():
        row, sign = i % layer.size, 1 if i < layer.size else -1
        weights = [sign * layer.exact.entry(row, j) for j in range(layer.in_size + 1)]
        terms = (w * Fraction(a if w > 0 else b) for w, a, b in zip(weights, *sides, strict=False))
        end = sum(terms, weights[-1])
        ends.append(_exact_float(*floor_ratio(end.numerator, end.denominator)))
    return np.array(ends)


# --- by integers


def integer_ends(layer: ChainLayer, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The same for numbers of any magnitude, slowly. InputError where an end is no double."""
    bottoms, tops, denominator = _intervals(layer, _dyadics(low), _dyadics(high))
    lower = [_exact_float(*floor_ratio(v, denominator)) for v in bottoms]
    upper = [-_exact_float(*floor_ratio(-v, denominator)) for v in tops]
    return np.array(lower) + 0.0, np.array(upper) + 0.0  # never -0.0


def _dyadics(values: Floats) -> list[_Dyadic]:
    ratios = map(float.as_integer_ratio, values.tolist())
    return [(numerator, denominator.bit_length() - 1) for numerator, denominator in ratios]


def _intervals(layer: ChainLayer, low: Sequence[_Dyadic], high: Sequence[_Dyadic]) -> _Ratios:
    """Exact ranges of a layer's rows, in integers over one denominator: fractions would cost ten times more."""
    rows, magnitudes, biases, denominator = layer.parts
    finest = max((shift for _, shift in (*low, *high)), default=0)
    a, b = ([q << (finest - shift) for q, shift in side] for side in (low, high))
    # Twice the range is W (a + b) -+ |W| (b - a), around the bias: two products instead of four.
    sums, spreads = list(map(add, a, b)), list(map(sub, b, a))
    bottoms, tops = [], []
    for row, magnitude, bias in zip(rows, magnitudes, biases, strict=True):
        middle = sum(map(mul, row, sums)) + (bias << finest + 1)
        spread = sum(map(mul, magnitude, spreads))
        bottoms.append(middle - spread >> 1)
        tops.append(middle + spread >> 1)
    exact = _Ratios(bottoms, tops, denominator << finest)
    return exact if layer.slack_parts is None else _widened(exact, layer.slack_parts, a, b, finest)


def _widened(exact: _Ratios, slack: IntegerParts, low: list[int], high: list[int], finest: int) -> _Ratios:
    """Ranges with what float32 rounding may add to the layer's own neurons, in units of 2**-finest (FORMAT.md, section 11)."""
    reaches = [max(abs(a), abs(b)) for a, b in zip(low, high, strict=True)]
    common = math.lcm(exact.denominator, slack.denominator << finest)
    scale, share = common // exact.denominator, common // (slack.denominator << finest)
    errors = [sum(map(mul, row, reaches)) + (bias << finest) for row, bias in zip(slack.rows, slack.biases, strict=True)]
    errors += [0] * (len(exact.tops) - len(errors))  # pass-through neurons are not computed
    bottoms = [v * scale - error * share for v, error in zip(exact.bottoms, errors, strict=True)]
    return _Ratios(bottoms, [v * scale + error * share for v, error in zip(exact.tops, errors, strict=True)], common)


def _exact_float(integer: int, shift: int) -> float:
    """A number integer 2**-shift of 24 bits as a double; InputError where its exponent does not fit."""
    if integer.bit_length() - shift <= _FAR:
        number = math.ldexp(integer, -shift)
        if shift <= _FAR or Fraction(number) == Fraction(integer) / (1 << shift):
            return number
    raise InputError(
        "a pre-activation has bounds outside the range of doubles on the domain", remedy="rescale the network's layers"
    )
