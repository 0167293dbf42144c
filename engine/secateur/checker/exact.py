"""Integers, powers of two and rationals: the few exact operations that every rule is made of.

A rational is a pair of integers (numerator, positive denominator). A bound is a Python float that holds a number
of at most 24 significant bits exactly; wherever it enters arithmetic it does so as an integer times a power of two.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from secateur.checker.refusal import Refusal

__all__ = [
    "binary_exponent",
    "ceil_shift",
    "down24",
    "down24_double",
    "floor_shift",
    "mantissa",
    "parse_rational",
    "round_ratio",
    "round_shift",
    "round_up_16",
    "scaled_ceil",
    "up24",
]

MAX_BOUND_EXPONENT = 900  # bounds stay far inside the range of doubles, so that they are held exactly
MAX_TEXT = 2000
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_QUOTIENT = re.compile(r"[+-]?[0-9]+/[0-9]*[1-9][0-9]*")


def floor_shift(number: int, shift: int) -> int:
    """floor(number 2^shift)."""
    return number << shift if shift >= 0 else number >> -shift


def ceil_shift(number: int, shift: int) -> int:
    """ceil(number 2^shift)."""
    return -floor_shift(-number, shift)


def round_ratio(numerator: int, denominator: int) -> int:
    """The integer nearest to numerator / denominator, halves to even; denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def round_shift(number: int, shift: int) -> int:
    """The integer nearest to number 2^shift, halves to even."""
    return number << shift if shift >= 0 else round_ratio(number, 1 << -shift)


def binary_exponent(numerator: int, denominator: int) -> int:
    """The integer E with 2^(E-1) <= numerator / denominator < 2^E; both positive."""
    guess = numerator.bit_length() - denominator.bit_length()
    reached = numerator >= denominator << guess if guess >= 0 else numerator << -guess >= denominator
    return guess + reached


def round_up_16(number: int) -> int:
    """The least integer >= number that has at most 16 significant bits; number >= 0."""
    surplus = max(0, number.bit_length() - 16)
    return ceil_shift(number, -surplus) << surplus


def down24(numerator: int, denominator: int) -> float:
    """The greatest number of at most 24 significant bits that is <= numerator / denominator."""
    if numerator == 0:
        return 0.0
    exponent = binary_exponent(abs(numerator), denominator)
    if abs(exponent) > MAX_BOUND_EXPONENT:
        raise Refusal("bounds", "", f"a bound of magnitude 2^{exponent} is out of range")
    shift = 24 - exponent
    scaled = (numerator << shift) // denominator if shift >= 0 else numerator // (denominator << -shift)
    return math.ldexp(scaled, -shift)


def up24(numerator: int, denominator: int) -> float:
    """The least number of at most 24 significant bits that is >= numerator / denominator."""
    return -down24(-numerator, denominator)


def down24_double(value: float) -> float:
    """The greatest number of at most 24 significant bits that is <= a double, far from where doubles become subnormal."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(math.floor(math.ldexp(fraction, 24)), exponent - 24)


def mantissa(bound: float) -> tuple[int, int]:
    """Integers (m, x) with bound = m 2^x, exactly."""
    numerator, denominator = bound.as_integer_ratio()
    return numerator, 1 - denominator.bit_length()


def scaled_ceil(bound: float, shift: int, factor: float = 1.0) -> int:
    """ceil(bound factor 2^shift)."""
    (numerator, exponent), (other, more) = mantissa(bound), mantissa(factor)
    return ceil_shift(numerator * other, exponent + more + shift)


def parse_rational(text: str) -> Fraction | None:
    """The exact value of `p`, `p/q` or a decimal text; None where it is none of them (NaN, too long, ...)."""
    if len(text) > MAX_TEXT or not (_DECIMAL.fullmatch(text) or _QUOTIENT.fullmatch(text)):
        return None
    return Fraction(text)
