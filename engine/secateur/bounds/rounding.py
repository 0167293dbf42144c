"""Why the bounds are sound: exact integer arithmetic in float64 registers.

Nothing here is rounded by the machine. Every number a kernel touches is an integer times a known power of two, and every
product and sum stays below 2**53, so IEEE doubles hold it exactly, in any order of summation, with or without fused
operations, on any machine and with any number of threads. Rounding happens only where the algorithm says so, in a known
direction, and is charged to the bound:

1. *Weights.* Column j of a layer's matrix [W | b] is stored as integers Q with a common exponent c_j such that
   sum_i |Q_ij| <= 2**28. With |W_ij - Q_ij 2**-c_j| <= delta_j, multipliers mu (integers, |mu_i| <= 2**24, scale 2**-e) and
   0 <= r_j <= rbar_j, replacing mu W r by mu Q r changes the row by at most 2**-e ||mu||_1 sum_j delta_j rbar_j: one
   number per layer and box, as for the a-priori error gamma_n ||A||_1 s_k of a floating-point product (Higham, Accuracy and
   Stability of Numerical Algorithms, ch. 3), only that here the product mu Q itself has no error at all.
2. *Rows.* A row of at most 53 bits is rounded to 24 bits; each coefficient moves by at most half a unit, which costs
   at most 2**-e / 2 * sum_j rbar_j.
3. *Relaxation.* For l <= z <= u, r = max(0, z) and *any* mu: a r >= mu z + min(0, -mu l, (a - mu) u), because a r - mu z is
   piecewise linear in z with its kink at 0. A rounded slope is simply another mu, so slopes may come from plain floats
   (the same safeguard as Neumaier and Shcherbina's for LP duals, Math. Programming 99, 2004: the multipliers are
   untrusted, the bound is recomputed from them).
4. *Constants.* They are summed in units of 2**-G, each term rounded down. The terms that relaxation adds are never
   positive, so a partial sum that left the exact range would stay out of it: testing each total against 2**46 suffices,
   and a row that fails the test says nothing ("void").
5. *Float32 evaluations.* Where these are meant, neuron i is off by at most sum_j sigma_ij rbar_j on a sub-domain: an integer of
   at most 2**16 in units that the layer's neurons share. With multipliers of 24 bits and layers of at most 2**13 neurons the
   row's loss, sum |mu_i| times that, is at most 2**53, and exact too.

Interval bounds of neurons have 24 significant bits and are rounded outward. The complete algorithm, to the bit, is the
certificate format (certificate/FORMAT.md, sections 2 to 6): a checker replays it.
"""

from __future__ import annotations

from fractions import Fraction

__all__ = [
    "BITS",
    "COLUMN_BITS",
    "EXACT",
    "GRID_BITS",
    "SLACK_BITS",
    "VOID",
    "binary_exponent",
    "ceil_to_bits",
    "floor_ratio",
    "floor_to_bits",
]

BITS = 24
"""Significant bits of row coefficients and of neuron bounds."""
COLUMN_BITS = 27
"""Columns are scaled so that their 1-norm lies in [2**26, 2**27)."""
GRID_BITS = 24
"""The normalised input has coordinates q / 2**24."""
VOID = 2.0**46
"""A constant term of this size makes a row void."""
EXACT = 2.0**53
"""Sums of integers stay below this, or say so."""
SLACK_BITS = 16
"""What float32 rounding may add to a neuron has at most this many bits, or is two to this power."""


def binary_exponent(value: Fraction) -> int:
    """The integer E with 2**(E - 1) <= |value| < 2**E, for a value other than zero."""
    return _exponent_of(abs(value.numerator), value.denominator)


def _exponent_of(numerator: int, denominator: int) -> int:
    """The same for a ratio of positive integers."""
    guess = numerator.bit_length() - denominator.bit_length()
    # 2**(guess-1) < |value| < 2**(guess+1): one comparison decides.
    reached = numerator >= denominator << guess if guess >= 0 else numerator << -guess >= denominator
    return guess + 1 if reached else guess


def floor_to_bits(value: Fraction, bits: int = BITS) -> Fraction:
    """The largest number with at most `bits` significant bits that is not above `value`."""
    integer, shift = floor_ratio(value.numerator, value.denominator, bits)
    return Fraction(integer, 1 << shift)


def floor_ratio(numerator: int, denominator: int, bits: int = BITS) -> tuple[int, int]:
    """The same for a ratio with a positive denominator, reduced or not: integers q and s >= 0 that stand for q 2**-s."""
    if not numerator:
        return 0, 0
    shift = bits - _exponent_of(abs(numerator), denominator)
    if shift >= 0:
        return (numerator << shift) // denominator, shift
    return (numerator // (denominator << -shift)) << -shift, 0


def ceil_to_bits(value: Fraction, bits: int = BITS) -> Fraction:
    """The smallest number with at most `bits` significant bits that is not below `value`."""
    return -floor_to_bits(-value, bits)
