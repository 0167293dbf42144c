"""Difference neurons: phases, ranges and relaxation against brute force over exact values of both neurons."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import ChainLayer
from secateur.checker.differences import Difference, Relation, above, below, differences_of, value_ranges
from secateur.checker.exact import down24, down24_double
from secateur.checker.relaxation import relax_difference

seeds = st.integers(0, 1 << 30)


def layer(shift: int) -> ChainLayer:
    """Neuron 0, and a difference neuron 1 whose partner it is."""
    return ChainLayer(2, 1, [], [], [], [], {1: 0}, shift)


def difference(l: float, u: float, l_p: float, u_p: float, shift: int = 0) -> Difference:  # noqa: E741 - as in the format
    return differences_of(layer(shift), [l_p, l], [u_p, u])[1]


def phases(own: Difference) -> tuple[bool, bool, bool, bool]:
    return own.from_below, own.from_above, own.to_below, own.to_above


@pytest.mark.parametrize(
    ("bounds", "expected", "values"),
    [
        # (l, u, l_p, u_p, s): (from below, from above, to below, to above), range
        ((-1, 1, -2, 2, 0), (False, False, False, False), (-1, 1)),
        ((-1, 1, -2, 0, 0), (True, False, False, False), (0, 1)),
        ((-1, 1, 0, 2, 0), (False, True, False, False), (-1, 1)),
        ((-3, -2, -2, 2, 0), (False, False, True, False), (-2 - 2**-22, 0)),  # -r_p >= -2, less the slack
        ((2, 3, -2, 2, 0), (False, False, False, True), (0, 3)),
        ((-1, 1, -3, -1, 0), (True, False, True, False), (0, 0)),  # both outputs are 0
        ((-1, 1, 1, 3, 0), (False, True, False, True), (-1, 1)),  # d = delta
        ((0.25, 1, 1, 3, 0), (False, True, False, True), (0.25, 1)),
        ((-4, -3, 1, 3, 0), (False, True, True, False), (-3 - 2**-22, -1 + 2**-24)),  # -r_p
        ((3, 4, -3, -1, 0), (True, False, False, True), (0, 3 + 2**-21)),  # r' <= -1 + 4, less the slack twice
        ((-1, 1, -2, 0, 3), (True, False, False, False), (0, 1)),
        ((-17, -16, -2, 2, 3), (False, False, True, False), (-16 - 2**-19, 0)),  # u = -u_p 2^s
        ((-17, -15.75, -2, 2, 3), (False, False, False, False), (-16 - 2**-19, 0)),
        ((16, 17, -2, 2, 3), (False, False, False, True), (0, 17)),  # l = -l_p 2^s
        ((15.75, 17, -2, 2, 3), (False, False, False, False), (0, 17)),
        ((-5, 5, -2, 1, 0), (False, False, False, False), (-1 - 2**-23, 5)),
        ((-1, 9, -4, -2, 0), (True, False, False, False), (0, 7 + 2**-20)),
        ((4, 6, -1, 1, 0), (False, False, False, True), (2 - 3 * 2**-23, 6)),  # r' >= 3 and r_p <= 1
        ((-6, -4, 3, 5, 1), (False, True, False, True), (-6, -4)),  # 2 z' >= 6 - 6
        ((0, 0, 0, 0, 0), (True, False, True, False), (0, 0)),  # d = 0, whatever the partner
        ((0, 0, -1, 1, 64), (True, False, True, False), (0, 0)),
        ((0, 0, 1, 2, 0), (True, False, True, False), (0, 0)),
        ((0, 1, 0, 0, 0), (True, True, False, True), (0, 1)),  # z_p = 0
    ],
)
def test_phases_and_ranges(
    bounds: tuple[float, float, float, float, int], expected: tuple[bool, bool, bool, bool], values: tuple[float, float]
) -> None:
    own = difference(*bounds)
    assert phases(own) == expected
    assert (own.low, own.high) == values
    assert (own.zero, own.linear) == (expected[0] and expected[2], expected[1] and expected[3])


def test_ranges_of_the_three_kinds() -> None:
    own = ChainLayer(2, 1, [], [], [], [], {1: 0}, 0, frozenset({2}))
    assert value_ranges(own, [-1.0, -2.0, -3.0, -4.0], [2.0, 1.0, 5.0, -1.0]) == ([0.0, -2.0, -3.0, 0.0], [2.0, 1.0, 5.0, 0.0])


def bound(rng: random.Random) -> Fraction:
    """Of any sign and size, often 0 and often with few bits."""
    return Fraction(rng.choice([0, rng.randint(-4, 4), rng.randint(-(1 << 24), 1 << 24)])) / 2 ** rng.choice([0, 2, 22, 24])


def states(rng: random.Random, count: int) -> Iterator[tuple[Fraction, Fraction]]:
    """Values of z_p and z' that are often 0 or equal."""
    for _ in range(count):
        z = bound(rng)
        yield z, rng.choice([Fraction(0), z, bound(rng), z + bound(rng) / 1024])


def around(values: list[Fraction], rng: random.Random) -> tuple[float, float]:
    """Bounds of 24 bits that contain the values; often as tight as that, now and then wide."""
    low, high = min(values) - rng.choice([0, 0, 1]), max(values) + rng.choice([0, 0, 1])
    return down24(*low.as_integer_ratio()), -down24(*(-high).as_integer_ratio())


@given(seeds)
@settings(deadline=None, max_examples=400)
def test_ranges_and_relaxation_hold_for_all_values_within_the_bounds(seed: int) -> None:
    rng = random.Random(seed)
    shift = rng.choice([0, 0, 3, rng.randint(0, 64)])
    chosen = list(states(rng, rng.choice([1, 2, 3, 6])))
    l_p, u_p = around([z for z, _ in chosen], rng)
    low, high = around([2**shift * (other - z) for z, other in chosen], rng)
    own = difference(low, high, l_p, u_p, shift)
    cases = [(2**shift * (b - a), 2**shift * (max(Fraction(0), b) - max(Fraction(0), a))) for a, b in chosen]
    assert own.low <= own.high
    for delta, d in cases:
        assert low <= delta <= high
        assert own.low <= d <= own.high
    for _ in range(4):
        a, scale = rng.choice([0, 1, -1, rng.randint(-(1 << 24), 1 << 24)]), rng.choice([40, 0, -5])
        mu, term = relax_difference(a, own, scale)
        assert min(0, a) <= mu <= max(0, a)
        for delta, d in cases:
            assert a * d >= mu * delta + term * Fraction(2) ** -scale


@given(seeds)
@settings(deadline=None, max_examples=300)
def test_sums_are_bounded_closely_from_both_sides(seed: int) -> None:
    """Numbers of 24 bits near each other and far apart, also where nearly all of the sum cancels."""
    rng = random.Random(seed)
    x = math.ldexp(rng.randint(-(1 << 24), 1 << 24), rng.choice([0, -24, rng.randint(-850, 850)]))
    y = rng.choice([0.0, -x, x, down24_double(-x * (1 + rng.choice([1, -1]) * 2.0 ** -rng.randint(1, 24)))])
    y = rng.choice([y, math.ldexp(rng.randint(-(1 << 24), 1 << 24), rng.randint(-60, 60))])
    low, exact, high = Fraction(below(x, y)), Fraction(x) + Fraction(y), Fraction(above(x, y))
    size = abs(Fraction(x)) + abs(Fraction(y))
    assert low <= exact <= high
    assert high - low <= abs(exact) / 2**21 + size / 2**48
    assert (low == high) == (size == 0)
    for end in (low, high):
        assert abs(end.numerator >> (end.numerator & -end.numerator).bit_length() - 1).bit_length() <= 24 if end else True


def test_the_slack_is_what_is_left_of_a_sum_that_cancels() -> None:
    assert (below(1, -1), above(1, -1)) == (-(2.0**-49), 2.0**-49)
    assert (below(0, 0), above(0, 0)) == (0, 0)
    assert (below(1, 0), above(1, 0)) == (1 - 2.0**-24, 1 + 2.0**-23)


@given(st.floats(min_value=2.0**-890, max_value=2.0**890), st.sampled_from([1, -1]))
def test_doubles_are_rounded_down_like_rationals(size: float, sign: int) -> None:
    assert down24_double(sign * size) == down24(*(sign * size).as_integer_ratio())


def test_tiny_doubles_are_rounded_down_exactly() -> None:
    assert down24_double(2.0**-974 * (1 + 2.0**-52)) == 2.0**-974
    assert down24_double(-(2.0**-974) * (1 + 2.0**-52)) == -(2.0**-974) * (1 + 2.0**-23)
    assert down24_double(0.0) == 0.0


def test_the_relaxation_is_the_tightest_line() -> None:
    """On [-1, 3] without phases: d >= min(0, delta) >= (delta - 3) / 4, and d <= max(0, delta) <= 3 (delta + 1) / 4."""
    own = difference(-1, 3, -9, 9)
    assert relax_difference(1 << 20, own, 0) == (1 << 18, -3 << 18)
    assert relax_difference(-(1 << 20), own, 0) == (-3 << 18, -3 << 18)
    assert relax_difference(1 << 20, difference(1, 3, -9, 9), 0) == (0, 0)  # d >= 0
    assert relax_difference(-(1 << 20), difference(1, 3, -9, 9), 0) == (-1 << 20, 0)  # d <= delta
    assert relax_difference(1 << 20, difference(-3, -1, -9, 9), 0) == (1 << 20, 0)  # d >= delta
    assert relax_difference(-(1 << 20), difference(-3, -1, -9, 9), 0) == (0, 0)  # d <= 0


def test_a_constant_bounds_the_value_where_it_is_closer_on_average() -> None:
    """r_p <= 1/4 or r' <= 1/4 in all of these, up to the slack of the ends."""
    a, down, up = 1 << 26, -0.25 - 2**-25, 0.25 + 2**-24  # slack once, and twice for r' <= u_p + u
    assert relax_difference(a, difference(-1, 3, -9, 0.25), 0) == (0, a * down)  # -1/4 > -1 / 2
    assert relax_difference(a, difference(-0.5, 3, -9, 0.25), 0) == (round(a / 7), -3 * round(a / 7))
    assert relax_difference(a, difference(-1, -0.875, 0, 0.25), 0) == (0, a * down)  # -1/4 > (-1 - 7/8) / 2
    assert relax_difference(a, difference(-1, 0.75, 0, 0.25), 0) == (a, 0)  # -1/4 <= -1/8
    assert relax_difference(-a, difference(-3, 1, -9, -0.75), 0) == (0, -a * up)
    assert relax_difference(-a, difference(-3, 0.5, -9, -0.25), 0) == (-round(a / 7), -3 * round(a / 7))
    assert relax_difference(-a, difference(9, 9.5, -9, -9.25), 0) == (0, -a * up)  # z' >= 0, and 1/4 < 9.25
    assert relax_difference(a, difference(4, 6, -1, 1), 0) == (0, a * (2 - 3 * 2**-23))  # the term is positive
    assert relax_difference(-a, difference(-4, -3, 1, 3), 0) == (0, a * (1 - 2**-24))
    assert relax_difference(-3, difference(-4, -3, 1, 3), 0) == (0, 2)  # rounded down


def test_phases_decide_each_side_on_its_own() -> None:
    a = 1 << 20
    from_below, from_above = difference(-1, 3, -9, 0), difference(-1, 3, 0, 9)
    assert relax_difference(a, from_below, 0) == (0, 0)
    assert relax_difference(a, from_above, 0) == (a, 0)
    assert relax_difference(-a, from_below, 0) == relax_difference(-a, from_above, 0) == (-3 << 18, -3 << 18)
    to_below, to_above = difference(-12, -9, -9, 9), difference(9, 12, -9, 9)
    assert (to_below.to_below, to_above.to_above) == (True, True)
    assert relax_difference(-a, to_below, 0) == (0, 0)
    assert relax_difference(-a, to_above, 0) == (-a, 0)


def test_random_bounds_meet_every_rule() -> None:
    """The random test above says something only if each branch of the rule occurs in it."""
    met: Counter[tuple[bool, Relation, bool]] = Counter()
    for seed in range(2000):
        rng = random.Random(seed)
        chosen = list(states(rng, rng.choice([1, 2, 3])))
        l_p, u_p = around([z for z, _ in chosen], rng)
        low, high = around([other - z for z, other in chosen], rng)
        own = difference(low, high, l_p, u_p)
        for rising in (True, False):
            met[rising, own.relation(rising), (own.low if rising else -own.high) > 0] += 1
    needed = {(rising, relation) for rising in (True, False) for relation in Relation}
    assert {key[:2] for key, count in met.items() if count >= 5} == needed, met
    assert all(met[rising, Relation.CONSTANT, True] >= 5 for rising in (True, False)), met


def test_ties_take_the_first_rule_that_applies() -> None:
    """At d_lo = l' / 2 and d_hi = u' / 2 the chord, at d_lo = m and d_hi = m the pre-activation itself."""
    free = Difference(-2.0, 4.0, False, False, False, False, -1.0, 2.0)
    assert (free.relation(True), free.relation(False)) == (Relation.CHORD, Relation.CHORD)
    above_zero = Difference(-2.0, 4.0, False, True, False, False, 1.0, 4.0)
    assert above_zero.relation(True) == Relation.DELTA
    to_above = Difference(-2.0, 4.0, False, False, False, True, -2.0, 1.0)
    assert to_above.relation(False) == Relation.DELTA
