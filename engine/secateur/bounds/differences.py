"""Kinds of neurons, and what is known of a difference neuron (FORMAT.md, section 9).

Two networks that differ little are bounded by their differences: instead of a neuron z' of the second network stands the neuron
with pre-activation delta = 2**s (z' - z) and value d = 2**s (max(0, z') - max(0, z)), z being its partner in the first. d lies
between 0 and delta, whatever the phases are; known phases say more, and so do the bounds of z and z' themselves, which matter
where the two differ much. Two bounds that are hundreds of times wider than the difference of what they bound would otherwise be
subtracted from each other.

Reference: differential bounds go back to ReluDiff (Paulsen, Wang and Wang, ICSE 2020); here they are relaxed backwards, with one
multiplier a neuron, so that splits, optimised slopes and certificates work as for any network.
"""

from __future__ import annotations

from numba import njit

from secateur.bounds.chain import LINEAR, RELU
from secateur.bounds.powers import floor_to_bits
from secateur.bounds.rounding import BITS

__all__ = ["FREE", "LINE", "LINEAR", "RELU", "VALUE", "lower_form", "phases_of", "upper_form", "value_range"]

CALLS_INTO = "d5ae5e9b76ec889b"  # a digest of what this file calls into (see powers.py)
FREE, LINE, VALUE = 0, 1, 2
"""How a difference is bounded on one side: by delta or 0 without loss, by a line through two corners, by a constant."""
_SLACK = 2.0**-50


@njit(cache=True, inline="always")
def phases_of(low, high, partner_low, partner_high, growth):
    """Whether (z <= 0, z >= 0, z' <= 0, z' >= 0) for partner z and second neuron z'; growth = 2**s. Products are exact.

    A difference that is 0 counts as one of two inactive neurons.
    """
    if low == 0.0 and high == 0.0:
        return True, False, True, False
    return partner_high <= 0.0, partner_low >= 0.0, high <= -partner_high * growth, low >= -partner_low * growth


@njit(cache=True, inline="always")
def _below(x, y):
    """A number of 24 bits below x + y. The slack exceeds what the three roundings can do."""
    return floor_to_bits((x + y) - _SLACK * (abs(x) + abs(y)), BITS)


@njit(cache=True, inline="always")
def _above(x, y):
    """A number of 24 bits above x + y."""
    return -_below(-x, -y)


@njit(cache=True, inline="always")
def value_range(low, high, partner_low, partner_high, growth, known):
    """Bounds of d where its phases are `known`."""
    from_below, from_above, to_below, to_above = known
    if from_above and to_above:
        return low, high
    if from_below and to_below:
        return 0.0, 0.0
    second_low, second_high = _below(partner_low * growth, low), _above(partner_high * growth, high)
    least = _below(max(0.0, second_low), -growth * max(0.0, partner_high))
    most = _above(max(0.0, second_high), -growth * max(0.0, partner_low))
    return max(least, 0.0 if from_below else min(0.0, low)), min(most, 0.0 if to_below else max(0.0, high))


@njit(cache=True, inline="always")
def lower_form(low, high, least, known):
    """(form, slope) of the bound of d from below by slope * delta and more; `least` as `value_range` has it."""
    from_below, from_above, to_below, to_above = known
    below, above = min(0.0, low), max(0.0, high)
    if from_above and to_above:
        return FREE, 1.0
    if from_below and to_below:
        return FREE, 0.0
    if from_above and least <= (low + high) * 0.5:
        return FREE, 1.0
    if not from_above and not from_below and above - below > 0.0 and least <= below * 0.5:
        return LINE, -below / (above - below)
    return VALUE, 0.0


@njit(cache=True, inline="always")
def upper_form(low, high, most, known):
    """The same from above."""
    from_below, from_above, to_below, to_above = known
    below, above = min(0.0, low), max(0.0, high)
    if from_above and to_above:
        return FREE, 1.0
    if from_below and to_below:
        return FREE, 0.0
    if to_above and most >= (low + high) * 0.5:
        return FREE, 1.0
    if not to_above and not to_below and above - below > 0.0 and most >= above * 0.5:
        return LINE, above / (above - below)
    return VALUE, 0.0
