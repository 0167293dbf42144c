"""Numbers from text are exact, bounded, and printed so that they are read back."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.specification.numerals import format_rational, parse_decimal, parse_rational


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Fraction(0)),
        ("-0.0", Fraction(0)),
        ("0.1", Fraction(1, 10)),
        ("+5", Fraction(5)),
        ("5.", Fraction(5)),
        (".5", Fraction(1, 2)),
        ("1e-05", Fraction(1, 100_000)),
        ("2.50E+3", Fraction(2500)),
        ("1.7312612073369356", Fraction(17312612073369356, 10**16)),
        ("-0.328422877", Fraction(-328422877, 10**9)),
    ],
)
def test_decimals_are_exact(text: str, value: Fraction) -> None:
    assert parse_decimal(text) == value


@pytest.mark.parametrize("text", ["", ".", "-", "e5", "nan", "inf", "-Infinity", "0x10", "1_000", "1,5", "1/2", "٣"])
def test_everything_else_is_no_decimal(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_decimal(text, "here")
    assert str(caught.value) == f"here: {text!r} is not a finite number"


@pytest.mark.parametrize("text", ["1/0", "1/-2", "a/2", "1/2/3", "/2", "1/", "1.5/2"])
def test_malformed_fractions_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a finite number"):
        parse_rational(text)


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999",
        "1e-99999999999999999999",
        "9" * 5000,
        "0." + "1" * 5000,
        "1/" + "3" * 5000,
        "9" * 3900 + "e3900",
    ],
)
def test_numbers_without_end_cost_nothing_and_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="has too many digits") as caught:
        parse_rational(text)
    assert len(str(caught.value)) < 100


@settings(deadline=None)
@given(
    st.fractions()
    | st.floats(allow_nan=False, allow_infinity=False).map(Fraction)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30).map(Fraction)
)
def test_printed_numbers_are_read_back(value: Fraction) -> None:
    assert parse_rational(format_rational(value)) == value
    assert parse_rational(str(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 2), "0.5"),
        (Fraction(-1, 40), "-0.025"),
        (Fraction(7), "7"),
        (Fraction(-12345, 100), "-123.45"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-5, 6), "-5/6"),
        (Fraction(1, 2**2000), f"1/{2**2000}"),
    ],
)
def test_decimals_are_preferred(value: Fraction, text: str) -> None:
    assert format_rational(value) == text
