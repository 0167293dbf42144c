"""The algebra of maps against the same algebra on matrices of fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Conv, Dense
from secateur.network.exact import ExactArray
from secateur.network.maps import (
    Map,
    Monomial,
    UnsupportedError,
    added,
    check_size,
    composed,
    materialised,
    selected,
    stacked,
)
from tests.strategies import float32_weights

ENTRIES = st.one_of(float32_weights().map(Fraction), st.fractions(-4, 4, max_denominator=9), st.just(Fraction(0)))
IN, MIDDLE, OUT = 4, 6, 3


def exact_array(values: list[Fraction], *shape: int) -> ExactArray:
    return ExactArray.of_fractions(values, shape)


@st.composite
def maps(draw: st.DrawFn, rows: int, columns: int) -> Map:
    """A matrix or a monomial; indices may repeat and scales may be zero or one."""
    if draw(st.booleans()):
        array = exact_array(draw(st.lists(ENTRIES, min_size=rows * columns, max_size=rows * columns)), rows, columns)
        return Dense(array.floats, array.rationals)
    index = np.array(draw(st.lists(st.integers(0, columns - 1), min_size=rows, max_size=rows)), dtype=np.intp)
    scale = draw(st.lists(st.one_of(ENTRIES, st.just(Fraction(1))), min_size=rows, max_size=rows))
    return Monomial(index, exact_array(scale, rows), columns)


def matrix(map_: Map) -> Any:
    return np.array(materialised(map_).dense().rationals(), dtype=object).reshape(map_.out_size, map_.in_size)


@given(maps(MIDDLE, IN))
@settings(deadline=None, max_examples=30)
def test_a_monomial_is_the_matrix_it_says(map_: Map) -> None:
    if isinstance(map_, Monomial):
        twin = np.full((MIDDLE, IN), Fraction(0), dtype=object)
        for i, (j, factor) in enumerate(zip(map_.index, map_.scale.fractions(), strict=True)):
            twin[i, j] = factor
        assert (matrix(map_) == twin).all()
    else:
        assert materialised(map_).dense().rationals() == map_.dense().rationals()


@given(maps(OUT, MIDDLE).filter(lambda m: isinstance(m, Dense)), maps(MIDDLE, IN))
@settings(deadline=None, max_examples=30)
def test_composition(outer: Any, inner: Map) -> None:
    assert (matrix(composed(outer, inner)) == matrix(outer).dot(matrix(inner))).all()


@given(maps(MIDDLE, IN), st.lists(st.integers(0, MIDDLE - 1), min_size=OUT, max_size=OUT), st.data())
@settings(deadline=None, max_examples=30)
def test_selection(map_: Map, rows: list[int], data: st.DataObject) -> None:
    scale = data.draw(st.lists(ENTRIES, min_size=OUT, max_size=OUT))
    result = selected(map_, np.array(rows), exact_array(scale, OUT))
    assert (matrix(result) == matrix(map_)[rows] * np.array(scale, dtype=object)[:, None]).all()


@given(maps(MIDDLE, IN), maps(MIDDLE, IN), maps(OUT, IN))
@settings(deadline=None, max_examples=30)
def test_sums_and_stacks(left: Map, right: Map, below: Map) -> None:
    assert (matrix(added(left, right)) == matrix(left) + matrix(right)).all()
    assert (matrix(added(left, left)) == 2 * matrix(left)).all()
    assert (matrix(stacked([left, below, right])) == np.concatenate(list(map(matrix, (left, below, right))))).all()


def test_convolutions_survive_only_identities() -> None:
    conv = Conv(np.ones((1, 1, 2, 2)), (1, 3, 3))
    assert composed(conv, Monomial.identity(9)) is conv
    assert selected(conv, np.arange(4), ExactArray.full((4,), 1.0)) is conv
    turned = composed(conv, Monomial(np.arange(9)[::-1], ExactArray.full((9,), 1.0), 9))
    assert (matrix(turned) == matrix(conv)[:, ::-1]).all()
    assert (matrix(selected(conv, np.array([3, 0]), ExactArray.full((2,), -1.0))) == -matrix(conv)[[3, 0]]).all()


def test_matrices_beyond_the_memory_are_refused_before_they_are_built() -> None:
    check_size(2**13, 2**13)
    with pytest.raises(UnsupportedError, match="100000 x 100000"):
        materialised(Monomial.identity(100_000))
