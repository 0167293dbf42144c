"""Storing exact weights in the element type of the file, and a rigorous bound on what that changes.

Exact and rounded network are paired neuron by neuron, so only their difference has to be bounded. Write z for
exact and z' for rounded values, and D = z' - z for a layer that reads sources with values r and r':

    D = W' (r' - r) + [(W' - W) r + (b' - b)]

The bracket is the layer's own error; exact interval arithmetic bounds it (`affine_ranges`). r' - r = s D with
a slope s in [0, 1], since ReLU is monotone and 1-Lipschitz. Of a neuron with z >= l >= 0 more is known:
r' - r = D + max(0, -z'), and -z' <= |D| - l. With z <= u <= 0, r' - r = max(0, z') <= max(0, |D| + u). So
stable neurons have slope 1 or 0 and an own error that is nearly always zero. Substituting backward from a
layer gives its |D| as a sum of coefficients times own errors, where signed coefficients may cancel.

The coefficients are float64 matrices c with a radius d: the true coefficient lies in [c - d, c + d]. A
product c W' of inner dimension n, computed in any order or fused, is off by at most gamma_n |c| |W'|, where
gamma_n = n u / (1 - n u) and u = 2**-53 (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.5); the radius takes that up. Sums of products of non-negative numbers have the relative error
gamma_n. `_growth(n)` exceeds gamma_(n + 16) by nearly a factor of two, which covers the handful of operations
around each product, and `_TINY` is far above what underflow can lose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network.linear import Dense, LinearMap
from secateur.network.model import Affine, Network, Term
from secateur.reduction.exact import affine_from_rationals, dense_from_rationals, rational_matrix
from secateur.reduction.facts import Range, affine_ranges, relu_range
from secateur.reduction.state import affines_of, replace_affines

__all__ = ["is_storable", "round_weights", "rounding_error"]

Floats = NDArray[np.float64]

_TINY = 1e-290


def round_weights(network: Network) -> Network:
    """The network with matrices and biases rounded to the nearest numbers of the interface's element type.

    Numbers beyond the range of the type become its largest; what has nothing to round is the same object as
    before. Convolutions stay as they are: no rewrite makes a new one.
    """
    affines = affines_of(network)
    return replace_affines(network, {k: _rounded(a, network.interface.element_type) for k, a in enumerate(affines)})


def is_storable(network: Network) -> bool:
    """Whether the element type holds every weight and bias, so that there is nothing to round."""
    pairs = zip(affines_of(network), affines_of(round_weights(network)), strict=True)
    return all(
        before.exact_bias is None
        and np.array_equal(before.bias, after.bias)
        and all(old.map is new.map for old, new in zip(before.terms, after.terms, strict=True))
        for before, after in pairs
    )


def _rounded(affine: Affine, element_type: str) -> Affine:
    terms = tuple(Term(t.source, _rounded_map(t.map, element_type)) for t in affine.terms)
    return Affine(terms, _nearest(affine.bias, element_type))


def _rounded_map(linear: LinearMap, element_type: str) -> LinearMap:
    if not isinstance(linear, Dense):
        return linear
    weight = _nearest(linear.weight, element_type)
    return linear if linear.exact is None and np.array_equal(weight, linear.weight) else Dense(weight)


def _nearest(values: Floats, element_type: str) -> Floats:
    largest = float(np.finfo(element_type).max)
    return np.clip(values, -largest, largest).astype(element_type).astype(np.float64)


@dataclass(frozen=True)
class _Coefficients:
    """Coefficients of a source's difference, shape (rows, source size): `centre`, and entrywise `radius`."""

    centre: Floats
    radius: Floats

    @property
    def magnitude(self) -> Floats:
        """An upper bound of the absolute values."""
        return _raised(np.abs(self.centre) + self.radius)

    def through(self, slopes: _Slopes) -> _Coefficients:
        """Pushed back through a ReLU layer: s a with s in [0, 1] differs from c / 2 by <= |c| / 2 + d."""
        open_radius = _raised(np.abs(self.centre) / 2 + self.radius)
        centre = np.where(slopes.one, self.centre, np.where(slopes.zero, 0.0, self.centre / 2))
        return _Coefficients(centre, np.where(slopes.one, self.radius, np.where(slopes.zero, 0.0, open_radius)))

    def times(self, weight: Floats) -> _Coefficients:
        """Pushed back through a matrix of exact floats."""
        spread = self.radius + _growth(weight.shape[0]) * np.abs(self.centre) + _TINY
        return _Coefficients(self.centre @ weight, _product(spread, np.abs(weight)))

    def plus(self, other: _Coefficients | None) -> _Coefficients:
        if other is None:
            return self
        centre = self.centre + other.centre
        return _Coefficients(centre, _raised(self.radius + other.radius + 2.0**-52 * np.abs(centre)))


@dataclass(frozen=True)
class _Slopes:
    """Of a layer: where the slope is exactly one or zero (else in [0, 1]), and own errors behind the ReLU."""

    one: NDArray[np.bool_]
    zero: NDArray[np.bool_]
    extra: Floats


def _growth(terms: int) -> float:
    return (terms + 16) * 2.0**-52


def _raised(values: Floats) -> Floats:
    """An upper bound of non-negative numbers that a few roundings computed."""
    return np.asarray(values * (1 + 2.0**-50) + _TINY)


def _product(left: Floats, right: Floats) -> Floats:
    """An upper bound of the product of two non-negative matrices; exactly zero for a zero factor."""
    if not left.any() or not right.any():
        return np.zeros(left.shape[:-1] + right.shape[1:])
    return np.asarray((left @ right) * (1 + _growth(left.shape[-1])) + _TINY)


def rounding_error(exact: Network, rounded: Network, box: Sequence[Range], layers: Sequence[Sequence[Range]]) -> Fraction | None:
    """An upper bound of |exact - rounded| over all outputs and all points of the domain.

    rounded : the network `round_weights` made of `exact`. box : ranges of the inputs. layers : proven ranges
    of the exact network's pre-activations. None if no finite bound follows, for want of ranges or by
    overflow.
    """
    sources = [tuple(box), *(tuple(map(relu_range, ranges)) for ranges in layers)]
    pairs = list(zip(affines_of(exact), affines_of(rounded), strict=True))
    own = [_own_error(before, after, sources) for before, after in pairs]
    slopes: list[_Slopes] = []
    worst = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for position in range(len(pairs)):
            difference = _difference(rounded, position, own, slopes)
            if difference is None or not np.isfinite(difference).all():
                return None
            if position < len(layers):
                slopes.append(_slopes(layers[position], difference))
            else:
                worst = float(difference.max(initial=0.0))
    return Fraction(worst)


def _own_error(before: Affine, after: Affine, sources: Sequence[Sequence[Range]]) -> Floats:
    """Bounds of |(W' - W) r + b' - b|, infinite where a range is missing."""
    terms = [
        Term(old.source, _map_difference(old.map, new.map))
        for old, new in zip(before.terms, after.terms, strict=True)
        if old.map is not new.map
    ]
    bias = [a - b for a, b in zip(after.rational_bias(), before.rational_bias(), strict=True)]
    ranges = affine_ranges(affine_from_rationals(tuple(terms), bias), sources)
    return np.array([_magnitude(r) for r in ranges])


def _map_difference(old: LinearMap, new: LinearMap) -> Dense:
    return dense_from_rationals(rational_matrix(new.dense()) - rational_matrix(old.dense()))


def _magnitude(bound: Range) -> float:
    if bound.lower is None or bound.upper is None:
        return math.inf
    return _float_above(max(-bound.lower, bound.upper))


def _float_above(value: Fraction) -> float:
    """The float64 nearest to a number, or the next one if that is below it."""
    if value > Fraction(np.finfo(np.float64).max):
        return math.inf
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def _slopes(ranges: Sequence[Range], difference: Floats) -> _Slopes:
    one = np.array([r.lower is not None and r.lower >= 0 for r in ranges], dtype=bool)
    zero = np.array([r.upper is not None and r.upper <= 0 for r in ranges], dtype=bool)
    extra = [_crossing(r, Fraction(float(d))) for r, d in zip(ranges, difference, strict=True)]
    return _Slopes(one & ~zero, zero, np.array(extra))


def _crossing(bound: Range, difference: Fraction) -> float:
    """By how much the rounded neuron may leave the phase that the exact one has."""
    if bound.upper is not None and bound.upper <= 0:
        return _float_above(max(Fraction(0), difference + bound.upper))
    if bound.lower is not None and bound.lower >= 0:
        return _float_above(max(Fraction(0), difference - bound.lower))
    return 0.0


def _difference(rounded: Network, position: int, own: Sequence[Floats], slopes: Sequence[_Slopes]) -> Floats | None:
    """Bounds of |z' - z| at one affine function; None if a difference would have to pass a convolution."""
    affine = affines_of(rounded)[position]
    total = own[position]
    changed = _changed_sources(rounded, own)
    pending: dict[int, _Coefficients] = {}
    if not _push_back(affine, None, changed, pending):
        return None
    for source in range(position, 0, -1):
        if source not in pending:
            continue
        behind = pending.pop(source)
        before = behind.through(slopes[source - 1])
        if not _push_back(rounded.layers[source - 1], before, changed, pending):
            return None
        errors = _product(before.magnitude, own[source - 1])
        errors = errors + _product(behind.magnitude, slopes[source - 1].extra)
        total = _raised(total + errors) if errors.any() else total
    return total


def _changed_sources(rounded: Network, own: Sequence[Floats]) -> set[int]:
    """Sources whose value may differ between the two networks."""
    changed: set[int] = set()
    for k, layer in enumerate(rounded.layers):
        if own[k].any() or any(term.source in changed for term in layer.terms):
            changed.add(k + 1)
    return changed


def _push_back(affine: Affine, behind: _Coefficients | None, changed: set[int], pending: dict[int, _Coefficients]) -> bool:
    """Add the coefficients of an affine function's changed sources to `pending`; False at a convolution."""
    for term in affine.terms:
        if term.source not in changed:
            continue
        if not isinstance(term.map, Dense) or term.map.exact is not None:
            return False
        weight = term.map.weight
        own = _Coefficients(weight, np.zeros_like(weight)) if behind is None else behind.times(weight)
        pending[term.source] = own.plus(pending.get(term.source))
    return True
