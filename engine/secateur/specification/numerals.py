"""Exact rationals from decimal text, and back.

A domain and a query mean what their text says: `0.1` is one tenth, never the nearest float. Numbers are
bounded in length so that a short hostile text (`1e999999999`) costs nothing and every accepted number can be
printed again (CPython refuses integers of more than 4,300 digits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from secateur.errors import InputError

__all__ = [
    "MAX_BITS",
    "Number",
    "exact_rational",
    "format_rational",
    "parse_decimal",
    "parse_rational",
    "short_decimal",
    "shorten",
    "shown",
]

Number = Fraction | int | float | str
"""What callers may give for a rational; numpy's numbers pass for floats."""
MAX_BITS = 13_000
"""Longest accepted numerator or denominator; 13,000 bits are 3,914 decimal digits."""

_MAX_LENGTH = 3_900
_SURELY_SHORT = 3_000  # digits that certainly stay below MAX_BITS
_MAX_PLACES = 1_100  # every float64 has at most 1,074 decimal places
_MOST_SHOWN = 4
_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_INTEGER, _NATURAL = re.compile(r"[+-]?[0-9]+"), re.compile(r"[0-9]+")


def shorten(text: str) -> str:
    """The text for an error message: quoted, at most 40 characters of it."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def parse_decimal(text: str, where: str = "") -> Fraction:
    """The exact value of a decimal literal, exponent allowed.

    Raises `InputError` for anything else: NaN, infinity, hexadecimal, underscores, more than 3,900 digits.
    """
    if len(text) > _MAX_LENGTH:
        raise _too_long(text, where)
    match = _DECIMAL.fullmatch(text)
    sign, whole, places, exponent = match.groups(default="") if match else ("", "", "", "")
    if not whole + places:
        raise InputError(f"{shorten(text)} is not a finite number", where=where)
    if len(exponent) > 5 or abs(power := int(exponent or 0) - len(places)) > _MAX_LENGTH:
        raise _too_long(text, where)
    numerator = int(sign + whole + places)
    value = Fraction(numerator, 10**-power) if power < 0 else Fraction(numerator * 10**power)
    return value if len(text) + abs(power) < _SURELY_SHORT else _bounded(value, text, where)


def short_decimal(text: str, sign: int = 1) -> Fraction:
    """`sign` times a decimal literal known to be one and to be short: what `parse_decimal` gives, in half the time."""
    whole, _, places = text.partition(".")
    try:
        return Fraction(sign * int(whole + places), 10 ** len(places))
    except ValueError:  # an exponent
        return sign * parse_decimal(text)


def parse_rational(text: str, where: str = "") -> Fraction:
    """The exact value of a decimal literal or a fraction `p/q`; `InputError` otherwise."""
    numerator, slash, denominator = text.partition("/")
    if not slash:
        return parse_decimal(text, where)
    if max(len(numerator), len(denominator)) > _MAX_LENGTH + 20:
        raise _too_long(text, where)
    if not (_INTEGER.fullmatch(numerator) and _NATURAL.fullmatch(denominator) and int(denominator)):
        raise InputError(f"{shorten(text)} is not a finite number", where=where)
    return _bounded(Fraction(int(numerator), int(denominator)), text, where)


def exact_rational(value: Any, where: str) -> Fraction:
    """The rational that a number (Python's or numpy's) or a text is; `InputError` for anything else, NaN and infinities."""
    if isinstance(value, str):
        return parse_rational(value, where)
    try:
        # numpy's scalars are no Python numbers; `item` makes them such, exactly.
        return Fraction(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{value!r} is not a finite number", where=where) from None


def shown(values: Sequence[Fraction]) -> str:
    """A few of the numbers, about: for people who look at a result, not to be read back."""
    few = [f"{Decimal(v.numerator) / v.denominator:.6g}" for v in values[:_MOST_SHOWN]]
    return f"({', '.join([*few, '...'] if len(values) > _MOST_SHOWN else few)})"


def _bounded(value: Fraction, text: str, where: str) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _too_long(text, where)
    return value


def _too_long(text: str, where: str) -> InputError:
    return InputError(f"the number {shorten(text)} has too many digits", where=where)


def format_rational(value: Fraction) -> str:
    """Decimal text where there is one of moderate length, else `p/q`; `parse_rational` reads it back."""
    places = _decimal_places(value.denominator)
    if places is None:
        return str(value)
    if places == 0:
        return str(value.numerator)
    digits = str(abs(value.numerator) * (10**places // value.denominator)).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    text = f"{sign}{digits[:-places]}.{digits[-places:]}"
    return text if len(text) <= _MAX_LENGTH else str(value)


def _decimal_places(denominator: int) -> int | None:
    """Decimal places of a reduced fraction with this denominator; None where there is no (short) decimal."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return places if rest == 1 and places <= _MAX_PLACES else None
