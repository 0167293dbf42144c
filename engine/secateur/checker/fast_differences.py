"""Difference neurons of the compiled arithmetic (section 9 of the format): phases, ranges of values, and their part of step 4.

In step 4 every bound of d has one shape: a_j d >= mu_j delta + min(0, -mu_j near, (a_j - mu_j) far) + a_j constant, with
mu_j = round(a_j factor). A line that is delta itself has factor 1 and nothing else, a chord has no constant, a constant
has nothing else, and where d is 0 there is nothing at all.
"""

from __future__ import annotations

import math

import numpy as np

from secateur.checker.fast_layout import Floats, System, Work, kernel, power

__all__ = ["CALLS_INTO", "down24", "phases", "prepare_differences", "relax_differences"]

CALLS_INTO = "b5f7b4d050310031"  # a digest of fast_layout.py and nodes.py (see the head of the first)

Lines = tuple[Floats, Floats, Floats]  # near, far and constant of one source, for a >= 0 or for a < 0

_Phases = tuple[bool, bool, bool, bool]  # from below, from above, to below, to above
_SLACK = 2.0**-50


@kernel
def down24(x: float) -> float:
    """The greatest number of at most 24 significant bits that is <= x; exact as far as the powers reach."""
    if x == 0.0:
        return 0.0
    exponent = math.frexp(x)[1]
    return np.floor(x * power(24 - exponent)) * power(exponent - 24)  # type: ignore[no-any-return]


@kernel
def _below(x: float, y: float) -> float:
    """A number of 24 bits that is <= x + y."""
    return down24((x + y) - _SLACK * (abs(x) + abs(y)))


@kernel
def _above(x: float, y: float) -> float:
    """A number of 24 bits that is >= x + y."""
    return -down24(-((x + y) + _SLACK * (abs(x) + abs(y))))


@kernel
def phases(system: System, h: int, j: int, lower: Floats, upper: Floats) -> _Phases:
    """The phases of difference neuron j of source h, within bounds of the source."""
    if lower[j] == 0.0 and upper[j] == 0.0:
        return True, False, True, False
    p, scale = system.partner[system.start[h] + j], system.shift[h]
    low, high = lower[p] * scale, upper[p] * scale
    return high <= 0.0, low >= 0.0, upper[j] <= -high, lower[j] >= -low


@kernel
def _value_range(own: tuple[float, float], partner: tuple[float, float], from_below: bool, to_below: bool) -> tuple[float, float]:
    """[d_lo, d_hi] where the phases alone do not say it; the partner's bounds are multiplied by 2^s."""
    (below, above), (low, high) = own, partner
    least = _below(max(0.0, _below(low, below)), -max(0.0, high))
    most = _above(max(0.0, _above(high, above)), -max(0.0, low))
    return max(least, 0.0 if from_below else min(0.0, below)), min(most, 0.0 if to_below else max(0.0, above))


@kernel
def _prepare_lines(work: Work, place: int, own: tuple[float, float], values: tuple[float, float], signs: _Phases) -> None:
    """Factors, chords and constants of a difference neuron that is neither linear nor dead."""
    from_below, from_above, to_below, to_above = signs
    middle, least, most = (own[0] + own[1]) * 0.5, min(0.0, own[0]), max(0.0, own[1])
    length = most - least
    work.rise[place] = work.fall[place] = 0.0
    work.rise_constant[place], work.fall_constant[place] = values
    if from_above and values[0] <= middle:
        work.rise[place], work.rise_constant[place] = 1.0, 0.0
    elif not from_above and not from_below and length > 0.0 and values[0] <= least * 0.5:
        work.rise[place], work.rise_constant[place] = -least / length, 0.0
        work.rise_near[place], work.rise_far[place] = most, least
    if to_above and values[1] >= middle:
        work.fall[place], work.fall_constant[place] = 1.0, 0.0
    elif not to_above and not to_below and length > 0.0 and values[1] >= most * 0.5:
        work.fall[place], work.fall_constant[place] = most / length, 0.0
        work.fall_near[place], work.fall_far[place] = least, most


@kernel
def prepare_differences(system: System, work: Work, h: int, lower: Floats, upper: Floats) -> None:
    """What rows need of the difference neurons of source h that are alive; their rbar in work.reach."""
    s, scale, first, end = system.start[h], system.shift[h], work.first_difference[h], work.end_difference[h]
    for chords in (work.rise_near, work.rise_far, work.fall_near, work.fall_far):
        chords[s + first : s + end] = 0.0
    for place in range(s + first, s + end):
        j = work.alive[place]
        signs, p, own = phases(system, h, j, lower, upper), system.partner[s + j], (lower[j], upper[j])
        if signs[1] and signs[3]:
            work.rise[place] = work.fall[place] = 1.0
            work.rise_constant[place] = work.fall_constant[place] = 0.0
            work.reach[j] = max(-own[0], own[1])
        else:
            low, high = _value_range(own, (lower[p] * scale, upper[p] * scale), signs[0], signs[2])
            _prepare_lines(work, place, own, (low, high), signs)
            work.reach[j] = max(-low, high)


@kernel
def relax_differences(a: Floats, first: int, rise: Lines, fall: Lines, scaling: Floats, term: Floats, mu: Floats) -> None:
    """Step 4 for many rows: the terms of the difference neurons, which begin at `first`."""
    rise_near, rise_far, rise_constant = rise
    fall_near, fall_far, fall_constant = fall
    for r in range(len(scaling)):
        own, multiplier, target, scale = a[r, first:], mu[r, first:], term[r, first:], scaling[r]
        for j in range(len(rise_near)):
            near_up, near_down, far_up, far_down = rise_near[j], fall_near[j], rise_far[j], fall_far[j]
            near, far = (near_up if own[j] >= 0.0 else near_down), (far_up if own[j] >= 0.0 else far_down)
            low, high = -multiplier[j] * near, (own[j] - multiplier[j]) * far
            least = low if low < high else high
            target[j] = np.floor((least if least < 0.0 else 0.0) * scale)
        for j in range(len(rise_near)):
            up, down = rise_constant[j], fall_constant[j]
            target[j] += np.floor(own[j] * (up if own[j] >= 0.0 else down) * scale)
