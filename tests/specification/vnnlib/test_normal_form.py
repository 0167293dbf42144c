"""The union of the streamed polytopes is the query, exactly."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.specification.vnnlib import Kind, Row, Variable, parse_query
from tests.specification.vnnlib import trees

F = Fraction
OLD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"


@settings(deadline=None, max_examples=150)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_disjuncts_cover_exactly_the_query(data: st.DataObject, seed: int) -> None:
    asserted = data.draw(st.lists(trees.old_conditions, min_size=1, max_size=3))
    query = parse_query(trees.query_text(asserted, "1.0", random.Random(seed)))
    polytopes = list(itertools.islice(query.disjuncts(), 5000))
    for inputs, outputs in data.draw(st.lists(trees.points, min_size=5, max_size=20)):
        expected = all(trees.evaluate(tree, inputs, outputs) for tree in asserted)
        assert any(p.contains(inputs, outputs) for p in polytopes) == expected


def test_boxes_rows_and_shared_conditions() -> None:
    query = parse_query(
        f"{OLD}(assert (>= X_0 0))(assert (<= Y_0 4))(assert (or (and (<= (* 2 X_0) 1) (< X_1 3)) (<= X_0 X_1) (<= X_0 -1)))"
    )
    first, second = query.disjuncts()  # the third branch contradicts the shared bound
    x0, x1, y0 = Variable(Kind.INPUT, 0), Variable(Kind.INPUT, 1), Variable(Kind.OUTPUT, 0)
    output = Row(((y0, F(1)),), F(4), False)
    assert (first.lower, first.upper) == ((F(0), None), (F(1, 2), F(3)))
    assert first.rows == (output, Row(((x1, F(1)),), F(3), True))
    assert (second.lower, second.upper) == ((F(0), None), (None, None))
    assert second.rows == (output, Row(((x0, F(1)), (x1, F(-1))), F(0), False))


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ("(and (<= X_0 1) (>= X_0 2))", 0),
        ("(<= 1 0)", 0),
        ("(< 0 0)", 0),
        ("(<= 0 0)", 1),
        ("(or (<= 1 0) (<= 0 1) (!= Y_0 1))", 3),
        ("(and (or (<= Y_0 1) (<= Y_0 2)) (or (<= Y_0 3) (<= Y_0 4) (<= Y_0 5)))", 6),
        ("(or (and (or (<= X_0 1) (>= X_0 3)) (or (<= X_0 2) (>= X_0 4))) (<= Y_0 1))", 3),
        ("(and (or (<= X_0 0) (>= X_0 1)) (<= X_0 -1) (>= X_0 -2))", 1),
    ],
)
def test_number_of_disjuncts(conditions: str, count: int) -> None:
    assert sum(1 for _ in parse_query(f"{OLD}(assert {conditions})").disjuncts()) == count


def test_disjuncts_come_in_the_order_of_the_file() -> None:
    query = parse_query(f"{OLD}(assert (or (<= Y_0 0) (and (or (<= Y_0 1) (<= Y_0 2)) (<= X_0 9)) (<= Y_0 3)))")
    bounds = [next(r.bound for r in p.rows if r.coefficients[0][0].kind is Kind.OUTPUT) for p in query.disjuncts()]
    assert bounds == [0, 1, 2, 3]


def test_a_product_of_many_choices_is_streamed() -> None:
    choices = "".join(f"(assert (or (<= Y_0 {i}) (<= X_0 {i})))" for i in range(200))
    query = parse_query(OLD + choices)  # 2^200 disjuncts
    first = list(itertools.islice(query.disjuncts(), 3))
    assert [len(p.rows) for p in first] == [200, 199, 199]
    assert [p.upper[0] for p in first] == [None, F(199), F(198)]


def test_many_boxes_share_what_is_common() -> None:
    size = 3000
    boxes = "".join(f"(and (>= X_0 {i}) (<= X_0 {i}.5))\n" for i in range(size))
    query = parse_query(f"{OLD}(assert (and (>= X_1 0) (<= X_1 1) (<= Y_0 0)))(assert (or {boxes}))")
    polytopes = list(query.disjuncts())
    assert len(polytopes) == size
    for i, polytope in enumerate(polytopes):
        assert (polytope.lower, polytope.upper) == ((F(i), F(0)), (F(2 * i + 1, 2), F(1)))
