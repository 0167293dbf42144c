"""Floats near exact values, with a bound of each error: most roundings can be decided from them, the rest from the values.

The first layer of a network depends on the box, so its exact matrix would have to be made for every question, in rationals,
because differences such as x - eps rarely are doubles. Its integers and bounds have 24 to 28 bits, though, and doubles 53: a
rounding is in doubt once in a million times. So everything that rounds takes a `Near`, decides what its error bounds allow, and
asks for the exact values where they do not. Soundness: `errors` are rigorous (Higham, Accuracy and Stability of Numerical
Algorithms, ch. 3: an inner product of n terms errs by at most gamma_n |a| |b|, in any order of summation, with or without fused
operations) as long as nothing underflows, which `first_layer` requires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.network.exact import ExactArray, exact_affine

__all__ = ["Near", "NearBox", "first_layer", "has_moderate_floats", "is_moderate"]

Floats = NDArray[np.float64]
_Bounded = tuple[Floats, Floats]

_FEW_BITS = 29
"""Bits that a factor may have whose product with one of 24 bits is a double."""
_RANGE = 2.0**200
"""Numbers of magnitudes from its reciprocal to this, and sums of their products, neither overflow nor underflow."""


class Near(NamedTuple):
    """Exact values lie within `errors` of `floats`, elementwise; they are the floats where errors is None."""

    floats: Floats
    errors: Floats | None

    @classmethod
    def of(cls, array: ExactArray) -> Near:
        """What an exact array has as its nearest floats."""
        if array.rationals is None:
            return cls(array.floats, None)
        # The smallest numbers have no relative precision; nothing that small decides anything but by exact values.
        return cls(array.floats, np.abs(array.floats) * 2.0**-52 + 2.0**-1000)


@dataclass(frozen=True, eq=False)
class NearBox:
    """A box in floats: nearest its lower bounds and widths, and which widths are exact and have few bits."""

    lower: Sequence[Fraction]
    widths: Sequence[Fraction]

    @cached_property
    def floats(self) -> tuple[Floats, Floats]:
        """Lower bounds and widths. OverflowError beyond float64."""
        low, width = ([v.numerator / v.denominator for v in side] for side in (self.lower, self.widths))
        return np.array(low), np.array(width)

    @cached_property
    def is_moderate(self) -> bool:
        """Whether the floats are moderate, and 0 only where the values are."""
        values, numbers = (*self.lower, *self.widths), np.concatenate(self.floats)
        return is_moderate(numbers) and all(values[i] == 0 for i in np.flatnonzero(numbers == 0.0))

    @cached_property
    def has_exact_lower(self) -> bool:
        """Whether all lower bounds are doubles."""
        return all(Fraction(f) == v for f, v in zip(self.floats[0].tolist(), self.lower, strict=True))

    @cached_property
    def short(self) -> NDArray[np.bool_]:
        """Which widths are doubles with few bits."""
        found = _has_bits(self.floats[1], _FEW_BITS)
        for i in np.flatnonzero(found).tolist():
            found[i] = Fraction(self.floats[1][i]) == self.widths[i]
        return found


def is_moderate(values: Floats) -> bool:
    """Whether all values but zeros are neither huge nor tiny (and none is NaN)."""
    magnitudes = np.abs(values)
    return bool(((magnitudes == 0.0) | ((magnitudes >= 1 / _RANGE) & (magnitudes <= _RANGE))).all())


def has_moderate_floats(weights: ExactArray, bias: ExactArray) -> bool:
    """Whether `first_layer` can do with the floats of these."""
    return weights.rationals is None and bias.rationals is None and is_moderate(weights.floats) and is_moderate(bias.floats)


def first_layer(weights: Floats, bias: Floats, box: NearBox) -> tuple[_Bounded, _Bounded]:
    """weights * widths, and bias + weights @ lower as a column, each with errors.

    Requires moderate floats and a moderate box: larger and smaller ones may lose what they stand for.
    """
    lower, widths = box.floats
    scaled = weights * widths
    errors = np.abs(scaled) * 2.0**-51  # width and product are each off by 2**-53 of themselves at most
    if box.short.any():
        errors[:, box.short & _has_bits(weights, 24).all(axis=0)] = 0.0
    exact = exact_affine(weights, lower[:, None], bias) if box.has_exact_lower else None
    if exact is not None:  # integers and the like: their sums decide many ties, which errors would leave in doubt
        return (scaled, errors), (exact, np.zeros_like(exact))
    spread = np.abs(weights) @ np.abs(lower)[:, None]
    shifted = weights @ lower[:, None] + bias
    rounded = (len(lower) + 8) * 2.0**-52 * (spread + np.abs(bias))
    return (scaled, errors), (shifted, np.where(spread > 0.0, rounded, 0.0))


def _has_bits(values: Floats, bits: int) -> NDArray[np.bool_]:
    """Which moderate values have at most so many significant bits."""
    scaled = np.ldexp(np.frexp(values)[0], bits)
    return np.asarray(scaled == np.rint(scaled))
