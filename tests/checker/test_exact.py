"""The exact helpers against definitions by fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.exact import (
    binary_exponent,
    ceil_shift,
    down24,
    floor_shift,
    mantissa,
    parse_rational,
    round_ratio,
    round_shift,
    round_up_16,
    up24,
)
from secateur.checker.refusal import Refusal

numbers = st.one_of(st.integers(-(1 << 80), 1 << 80), st.integers(-300, 300))
positive = st.integers(1, 1 << 70)


@given(numbers, st.integers(-90, 90))
@settings(deadline=None)
def test_shifts_round_as_they_say(number: int, shift: int) -> None:
    exact = number * Fraction(2) ** shift
    assert floor_shift(number, shift) == math.floor(exact)
    assert ceil_shift(number, shift) == math.ceil(exact)
    assert round_shift(number, shift) == round(exact)


@given(numbers, positive)
@settings(deadline=None)
def test_ratios_round_half_to_even(numerator: int, denominator: int) -> None:
    assert round_ratio(numerator, denominator) == round(Fraction(numerator, denominator))


@given(positive, positive)
@settings(deadline=None)
def test_binary_exponent_brackets_its_number(numerator: int, denominator: int) -> None:
    exponent = binary_exponent(numerator, denominator)
    assert Fraction(2) ** (exponent - 1) <= Fraction(numerator, denominator) < Fraction(2) ** exponent


@given(numbers, positive)
@settings(deadline=None)
def test_24_bit_bounds_are_the_nearest_ones(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    below, above = (
        Fraction(*bound.as_integer_ratio()) for bound in (down24(numerator, denominator), up24(numerator, denominator))
    )
    assert below <= exact <= above
    for bound in (below, above):
        odd = bound.numerator
        while odd and odd % 2 == 0:
            odd //= 2
        assert abs(odd) < 1 << 24
    if exact:
        unit = Fraction(2) ** (binary_exponent(abs(numerator), denominator) - 24)
        assert above - below == (0 if (exact / unit).denominator == 1 else unit)


def test_bounds_beyond_the_range_of_doubles_are_refused() -> None:
    with pytest.raises(Refusal, match="out of range"):
        down24(1 << 1000, 1)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_mantissa_is_the_bound(bound: float) -> None:
    numerator, exponent = mantissa(bound)
    assert numerator * Fraction(2) ** exponent == Fraction(bound)


@given(st.integers(0, 1 << 60))
@settings(deadline=None)
def test_sixteen_bits_rounded_up(number: int) -> None:
    rounded = round_up_16(number)
    unit = 1 << max(0, number.bit_length() - 16)
    assert number <= rounded < number + unit
    assert rounded % unit == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", Fraction(3)),
        ("-7/3", Fraction(-7, 3)),
        ("-0.328422877", Fraction(-328422877, 10**9)),
        ("1e-3", Fraction(1, 1000)),
        ("+.5E2", Fraction(50)),
        ("1.", Fraction(1)),
        ("1/0", None),
        ("1/00", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (" 1", None),
        ("1_0", None),
        ("0x1", None),
        ("1e1000000000", None),
        ("1e9999", None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
        ("1" * 3000, None),
    ],
)
def test_rationals_are_read_from_their_text(text: str, value: Fraction | None) -> None:
    assert parse_rational(text) == value
