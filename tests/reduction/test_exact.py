from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.reduction.exact import (
    Arithmetic,
    Rationals,
    coarse_ceiling,
    dense_from_rationals,
    multiply,
    rational_matrix,
    rational_vector,
    row_basis,
)

small = st.fractions(min_value=-9, max_value=9, max_denominator=12)


def matrix_of(rows: list[list[Fraction]]) -> Rationals:
    return rational_vector(v for row in rows for v in row).reshape(len(rows), len(rows[0]))


@st.composite
def matrices(draw: st.DrawFn, rows: int, columns: int) -> Rationals:
    return matrix_of([[draw(small) for _ in range(columns)] for _ in range(rows)])


def naive_product(a: Rationals, b: Rationals) -> list[list[Fraction]]:
    return [
        [sum((a[i, k] * b[k, j] for k in range(b.shape[0])), Fraction(0)) for j in range(b.shape[1])] for i in range(a.shape[0])
    ]


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_products_equal_the_definition(data: st.DataObject, rows: int, inner: int, columns: int) -> None:
    a, b = data.draw(matrices(rows, inner)), data.draw(matrices(inner, columns))
    assert multiply(a, b).tolist() == naive_product(a, b)


@given(st.fractions(min_value=Fraction(1, 10**30), max_value=10**30))
@settings(deadline=None)
def test_a_coarse_ceiling_is_short_and_barely_above(value: Fraction) -> None:
    ceiling = coarse_ceiling(value)
    assert value <= ceiling < value * Fraction(101, 100)
    odd = ceiling.numerator
    while odd % 2 == 0:
        odd //= 2
    assert odd.bit_length() <= 9
    assert ceiling.denominator.bit_count() == 1


def test_a_coarse_ceiling_is_never_negative() -> None:
    assert coarse_ceiling(Fraction(-7, 3)) == 0
    assert coarse_ceiling(Fraction(0)) == 0


def naive_rank(rows: list[list[Fraction]]) -> int:
    """Elimination by the definition: the first row with a first nonzero entry clears that column below it."""
    if not rows or not rows[0]:
        return 0
    pivot = next((row for row in rows if row[0]), None)
    if pivot is None:
        return naive_rank([row[1:] for row in rows])
    others = [row for row in rows if row is not pivot]
    return 1 + naive_rank([[v - row[0] / pivot[0] * w for v, w in zip(row, pivot, strict=True)][1:] for row in others])


@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_a_row_basis_reproduces_the_matrix(data: st.DataObject, rows: int, rank: int, columns: int) -> None:
    product = multiply(data.draw(matrices(rows, rank)), data.draw(matrices(rank, columns)))
    found = row_basis(product)
    true_rank = naive_rank(product.tolist())
    if true_rank in (0, min(rows, columns)):
        assert found is None
    else:
        assert found is not None
        basis, transform = found
        assert len(basis) == true_rank
        assert naive_product(transform, product[basis]) == product.tolist()


@pytest.mark.parametrize(
    ("kind", "value", "exactly", "roughly"),
    [
        ("float32", Fraction(1, 2), True, True),
        ("float32", Fraction(1, 3), False, True),
        ("float32", Fraction(2**24 + 1), False, True),
        ("float64", Fraction(2**24 + 1), True, True),
        ("float32", Fraction(10) ** 39, False, False),
        ("float16", Fraction(65504), True, True),
        ("float16", Fraction(65505), False, False),
        ("float64", Fraction(10) ** 400, False, False),
        ("float32", Fraction(1, 2**200), False, True),
    ],
)
def test_what_an_element_type_accepts(kind: str, value: Fraction, exactly: bool, roughly: bool) -> None:
    assert Arithmetic(kind, exact_only=True).accepts([Fraction(0), value]) is exactly
    assert Arithmetic(kind, exact_only=False).accepts([value]) is roughly


def test_rationals_are_carried_only_where_floats_do_not_hold_them() -> None:
    assert dense_from_rationals(matrix_of([[Fraction(1, 4)]])).exact is None
    third = dense_from_rationals(matrix_of([[Fraction(1, 3), Fraction(1)]]))
    assert third.rationals() == [[Fraction(1, 3), Fraction(1)]]
    assert rational_matrix(third).tolist() == third.rationals()
