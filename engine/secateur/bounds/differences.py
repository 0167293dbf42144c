"""Kinds of neurons, and what is known of a difference neuron (FORMAT.md, section 9).

Two networks that differ little are bounded by their differences: instead of a neuron z' of the second network stands the neuron
with pre-activation delta = 2**s (z' - z) and value d = 2**s (max(0, z') - max(0, z)), z being its partner in the first. d lies
between 0 and delta, whatever the phases are; known phases say more. Two bounds that are hundreds of times wider than the
difference of what they bound would otherwise be subtracted from each other.

Reference: differential bounds go back to ReluDiff (Paulsen, Wang and Wang, ICSE 2020); here they are relaxed backwards, with one
multiplier a neuron, so that splits, optimised slopes and certificates work as for any network.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from secateur.bounds.chain import LINEAR, RELU

__all__ = ["LINEAR", "RELU", "chord_down", "chord_up", "largest_value", "phases_of"]


@njit(cache=True, inline="always")
def phases_of(low, high, partner_low, partner_high, growth):
    """Whether (z <= 0, z >= 0, z' <= 0, z' >= 0) for partner z and second neuron z'; growth = 2**s. Products are exact."""
    return partner_high <= 0.0, partner_low >= 0.0, high <= -partner_high * growth, low >= -partner_low * growth


@njit(cache=True, inline="always")
def chord_up(low, high):
    """Slope of the line below d, through (min(0, low), itself) and (max(0, high), 0)."""
    below, above = min(0.0, low), max(0.0, high)
    return -below / (above - below) if above > below else 0.0


@njit(cache=True, inline="always")
def chord_down(low, high):
    """Slope of the line above d, through (min(0, low), 0) and (max(0, high), itself)."""
    below, above = min(0.0, low), max(0.0, high)
    return above / (above - below) if above > below else 0.0


@njit(cache=True, inline="always")
def largest_value(j, first, net, layer, lower, upper):
    """Largest magnitude of the value of neuron j of a layer whose neurons begin at `first`."""
    kind = net.kinds[first + j]
    low, high = np.float64(lower[first + j]), np.float64(upper[first + j])
    if kind == RELU:
        return max(0.0, high)
    if kind == LINEAR:
        return max(0.0, high, -low)
    p = first + kind
    from_below, from_above, to_below, to_above = phases_of(
        low, high, np.float64(lower[p]), np.float64(upper[p]), net.growth[layer]
    )
    if from_above and to_above:
        return max(abs(low), abs(high))
    return max(0.0 if to_below else max(0.0, high), 0.0 if from_below else -min(0.0, low))
