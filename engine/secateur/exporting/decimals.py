"""Rationals as the decimals of VNN-LIB: exact where there is a short one, else rounded to the side that the caller names."""

from __future__ import annotations

from fractions import Fraction

from secateur.specification.numerals import format_rational

__all__ = ["decimal", "is_decimal"]

_LONGEST = 400  # characters that any reader takes
_DIGITS = 30  # of a rounded number, below its leading one


def is_decimal(value: Fraction) -> bool:
    """Whether `decimal` writes the value exactly."""
    text = format_rational(value)
    return "/" not in text and len(text) <= _LONGEST


def decimal(value: Fraction, *, up: bool) -> str:
    """Decimal text without an exponent; where that cannot be exact, of the next number above (`up`) or below."""
    if not is_decimal(value):
        size = len(str(value.denominator)) - len(str(abs(value.numerator)))  # about how many places are zeros
        unit = Fraction(1, 10 ** (max(0, size) + _DIGITS))
        value = (-(-value // unit) if up else value // unit) * unit
    text = format_rational(value)
    return text if "." in text else f"{text}.0"
