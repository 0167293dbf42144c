"""Numbers and lists as people read them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.report import words


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (300, 279, "\N{MINUS SIGN}7.0 %"),
        (100, 50, "\N{MINUS SIGN}50 %"),
        (100, 100, "0 %"),
        (10, 12, "+20 %"),
        (10**6, 10**6 + 1, "0.0 %"),
        (0, 3, ""),
    ],
)
def test_change(before: float, after: float, text: str) -> None:
    assert words.change(before, after) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (0.08, "0.08 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (245.0, "4 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7384.0, "2 h 03 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.42, "6.42 µs"), (245.4, "245 µs"), (1240.0, "1.24 ms"), (2.5e6, "2.50 s"), (0.0, "0 µs")],
)
def test_microseconds(value: float, text: str) -> None:
    assert words.microseconds(value) == text


def test_small_forms() -> None:
    assert [words.scientific(x) for x in (0.0, 3e-7)] == ["0", "3.0e-07"]
    assert [words.share(1.0, 4.0), words.share(1.0, 0.0)] == ["25 %", ""]


@pytest.mark.parametrize(("text", "zero"), [("0", True), ("0.000", True), ("1/1000", False), ("1e-30", False)])
def test_is_zero(text: str, *, zero: bool) -> None:
    assert words.is_zero(text) == zero
    assert (words.rational(text) == Fraction(0)) == zero


def test_ranges() -> None:
    assert words.ranges([7, 0, 1, 2, 3, 10, 9]) == "0 to 3, 7, 9, 10"
    assert words.ranges([]) == ""


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_exactly_the_numbers(numbers: set[int]) -> None:
    named: list[int] = []
    for block in filter(None, words.ranges(numbers).split(", ")):
        first, *last = map(int, block.split(" to "))
        named += range(first, (last[0] if last else first) + 1)
    assert named == sorted(numbers)


@given(st.lists(st.integers(0, 2), max_size=30))
def test_runs_partition_into_longest_equal_stretches(items: list[int]) -> None:
    found = words.runs(items)
    assert [k for a, b in found for k in range(a, b + 1)] == list(range(len(items)))
    assert all(len(set(items[a : b + 1])) == 1 for a, b in found)
    assert all(items[b] != items[c] for (_, b), (c, _) in pairwise(found))
