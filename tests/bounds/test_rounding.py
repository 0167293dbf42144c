"""Directed rounding to a number of bits, against the definition."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.bounds.rounding import binary_exponent, ceil_to_bits, floor_to_bits

values = st.fractions().filter(bool)


@settings(deadline=None)
@given(values, st.integers(-40, 40))
def test_binary_exponent_brackets_the_magnitude(value: Fraction, shift: int) -> None:
    scaled = value * Fraction(2) ** shift
    e = binary_exponent(scaled)
    assert Fraction(2) ** (e - 1) <= abs(scaled) < Fraction(2) ** e


@settings(deadline=None)
@given(values, st.integers(1, 30))
def test_floor_is_the_nearest_representable_number_below(value: Fraction, bits: int) -> None:
    low = floor_to_bits(value, bits)
    unit = Fraction(2) ** (binary_exponent(value) - bits)
    assert low <= value < low + unit
    assert (low / unit).denominator == 1
    assert abs(low / unit) <= 2**bits


@settings(deadline=None)
@given(values)
def test_ceiling_mirrors_the_floor_and_fits_a_float32(value: Fraction) -> None:
    import numpy as np

    high = ceil_to_bits(value)
    assert high == -floor_to_bits(-value)
    if 2.0**-100 < abs(value) < 2.0**100:
        assert Fraction(float(np.float32(float(high)))) == high


def test_representable_values_stay() -> None:
    assert floor_to_bits(Fraction(0)) == 0
    assert floor_to_bits(Fraction(3, 8)) == ceil_to_bits(Fraction(3, 8)) == Fraction(3, 8)
    assert floor_to_bits(Fraction(2**24 + 1)) == 2**24
    assert ceil_to_bits(Fraction(2**24 + 1)) == 2**24 + 2
