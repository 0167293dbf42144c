"""ExactArray against Fraction arithmetic, entry by entry."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secateur.network.exact import ExactArray, scaled_floats

# Any finite double: subnormal, huge, and those float32 numbers whose sums and products stay exact.
DOUBLES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-8, 8, width=32),
    st.integers(-64, 64).map(float),
)
MODERATE = st.one_of(st.floats(-(2.0**100), 2.0**100), st.floats(-8, 8, width=32), st.integers(-64, 64).map(float))
RATIONALS = st.fractions(min_value=-100, max_value=100, max_denominator=50)


def exact(values: list[Fraction], shape: tuple[int, ...]) -> ExactArray:
    return ExactArray.of_fractions(values, shape)


def arrays(size: int, entries: st.SearchStrategy[float] = MODERATE) -> st.SearchStrategy[ExactArray]:
    """Arrays of floats, or of rationals of which some are no floats."""
    floats = st.lists(entries, min_size=size, max_size=size).map(lambda v: ExactArray(np.array(v, dtype=float)))
    rationals = st.lists(RATIONALS, min_size=size, max_size=size).map(lambda v: exact(v, (size,)))
    return st.one_of(floats, rationals)


def consistent(array: ExactArray) -> bool:
    """The floats are the nearest ones, and rationals are there exactly if some float is not exact."""
    values = array.fractions()
    nearest = [v.numerator / v.denominator for v in values]
    needed = [Fraction(f) for f in nearest] != values
    return nearest == array.floats.ravel().tolist() and (array.rationals is not None) == needed


@given(st.lists(DOUBLES, min_size=1, max_size=6))
@example([5e-324, 1.7e308, 0.0, -0.0])
@settings(deadline=None, max_examples=60)
def test_scaled_floats_are_exact(values: list[float]) -> None:
    numerators, denominator = scaled_floats(np.array(values))
    assert [Fraction(n, denominator) for n in numerators.tolist()] == [Fraction(v) for v in values]
    assert denominator.bit_count() == 1


@given(arrays(3), arrays(3))
@example(ExactArray(np.array([1.0, 2.0**53, 0.1])), ExactArray(np.array([2.0**-53, 1.0, 0.2])))
@settings(deadline=None, max_examples=60)
def test_elementwise_arithmetic_is_exact(a: ExactArray, b: ExactArray) -> None:
    left, right = a.fractions(), b.fractions()
    for result, twin in (
        (a + b, [x + y for x, y in zip(left, right, strict=True)]),
        (a - b, [x - y for x, y in zip(left, right, strict=True)]),
        (a * b, [x * y for x, y in zip(left, right, strict=True)]),
        (-a, [-x for x in left]),
    ):
        assert result.fractions() == twin
        assert consistent(result)


@given(arrays(6), arrays(6))
@settings(deadline=None, max_examples=60)
def test_matrix_product_is_exact(a: ExactArray, b: ExactArray) -> None:
    product = a.reshape((2, 3)) @ b.reshape((3, 2))
    x, y = a.fractions(), b.fractions()
    twin = [sum((x[3 * i + j] * y[2 * j + k] for j in range(3)), Fraction(0)) for i in range(2) for k in range(2)]
    assert product.fractions() == twin
    assert consistent(product)


@given(arrays(4))
@settings(deadline=None, max_examples=60)
def test_rearranging_broadcasting_and_placing_keep_the_values(a: ExactArray) -> None:
    values = a.fractions()
    assert a.reshape((2, 2)).rearranged(np.transpose).fractions() == [values[i] for i in (0, 2, 1, 3)]
    assert a.broadcast((2, 4)).fractions() == values * 2
    placed = a.placed((2, 4), (slice(1, None),))
    assert placed.fractions() == [Fraction(0)] * 4 + values
    joined = ExactArray.concatenated([a, placed.reshape((8,))])
    assert joined.fractions() == [*values, *placed.fractions()]
    assert all(map(consistent, (placed, joined)))


def test_integer_and_float32_products_never_leave_float64() -> None:
    rng = np.random.default_rng(0)

    def float32(shape: tuple[int, ...]) -> NDArray[np.float64]:
        return rng.normal(size=shape).astype(np.float32).astype(np.float64)

    assert (ExactArray(float32((50, 50))) * ExactArray(float32((50,)))).rationals is None
    whole = ExactArray(rng.integers(-100, 100, (20, 30)).astype(float))
    assert (whole @ ExactArray(rng.integers(-100, 100, (30, 20)) / 64)).rationals is None


def test_reciprocals() -> None:
    assert ExactArray(np.array([3.0, -0.5])).reciprocal().fractions() == [Fraction(1, 3), Fraction(-2)]
    with pytest.raises(ZeroDivisionError):
        ExactArray(np.array([1.0, 0.0])).reciprocal()


def test_a_value_beyond_float64_raises_instead_of_becoming_infinite() -> None:
    huge = ExactArray(np.array([1e308]))
    for operation in (
        lambda: huge + huge,
        lambda: huge * huge,
        lambda: huge.reshape((1, 1)) @ huge.reshape((1, 1)),
    ):
        with pytest.raises(OverflowError):
            operation()


def test_a_value_below_float64_keeps_its_rational() -> None:
    tiny = ExactArray(np.array([5e-324]))
    product = tiny * tiny
    assert product.floats.tolist() == [0.0]
    assert product.fractions() == [Fraction(5e-324) ** 2]
    assert not product.is_zero
