"""Specifications from arrays: exact numbers, the meaning of conditions and of their negation, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.specification import Box, Condition, Query, Specification, outputs, robust
from secateur.specification.vnnlib.formula import Kind

F = Fraction
quiet = settings(deadline=None)
numbers = st.fractions(min_value=-3, max_value=3, max_denominator=6)
UNIT = Box([0], [1])


def points(size: int) -> st.SearchStrategy[list[Fraction]]:
    return st.lists(numbers, min_size=size, max_size=size)


def claimed(condition: Condition, y: list[Fraction]) -> bool:
    """Whether a condition holds, as its negation in a query says."""
    return not Specification(UNIT, condition).query(len(y)).satisfied_by([F(0)], y)


def test_floats_are_the_rationals_they_are_and_text_is_read_exactly() -> None:
    assert Box([0.1], [1]).lower == (F(3602879701896397, 1 << 55),)
    assert Box(["0.1", "1/3"], [F(1, 2), 1]).lower == (F(1, 10), F(1, 3))
    mixed = Box(np.array([0.1], np.float32), np.array([0.11]))
    assert (mixed.lower, mixed.upper) == ((F(13421773, 1 << 27),), (F(0.11),))


def test_boxes_are_flattened_row_by_row() -> None:
    lower = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert Box(lower, lower + 1).lower == tuple(map(F, range(6)))
    assert Box([[1, 2], [3, 4]], [[5, 5], [5, 5]]).lower == (1, 2, 3, 4)
    assert Box(np.asfortranarray(lower), lower + 1).lower == Box(lower, lower + 1).lower


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Box([0.0, float("nan")], [1, 1]), "Box, lower bound 1: nan is not a finite number"),
        (lambda: Box(np.array([0.0]), np.array([np.inf])), "Box, upper bound 0: inf is not a finite number"),
        (lambda: Box(["x"], [1]), "Box, lower bound 0: 'x' is not a finite number"),
        (lambda: Box([None], [1]), "Box, lower bound 0: None is not a finite number"),
        (lambda: Box([0, 0], [1]), r"lower bounds of shape \(2,\) and upper bounds of shape \(1,\) are no box"),
        (lambda: Box(0, 1), r"lower bounds of shape \(\) and upper bounds of shape \(\) are no box"),
        (lambda: Box([], []), "Box: the domain has no coordinates"),
        (lambda: Box([[0, 0], [0]], [[1, 1], [1]]), r"Box, lower bound 0: \[0, 0\] is not a finite number"),
        (lambda: Box([np.zeros((2, 3)), np.zeros((2, 2))], [0, 0]), "Box, lower: these arrays are not all of one shape"),
        (lambda: Box([2], [1]), "Box: coordinate 0: lower bound 2 is above upper bound 1"),
        (lambda: outputs @ 3, r"a matrix of shape \(\) gives no linear forms"),
        (lambda: outputs @ np.zeros((2, 0)), r"a matrix of shape \(2, 0\) gives no linear forms"),
        (lambda: outputs @ [np.nan], "outputs @ C, entry 0: nan is not a finite number"),
        (lambda: outputs @ [[1, 0], [0, 1]] <= [1, 2, 3], r"bounds of shape \(3,\) for 2 linear forms"),
        (lambda: outputs @ [1] <= float("inf"), "outputs @ C, bound: inf is not a finite number"),
        (lambda: robust([0, 0], -0.1, 0), "robust: the radius eps is negative"),
        (lambda: robust([0, 0], [0.1], 0), r"eps has shape \(1,\), x has \(2,\); give one number, or one per input"),
        (lambda: robust([0, np.nan], 0.1, 0), "robust, x 1: nan is not a finite number"),
        (lambda: robust(0.5, 0.1, 0), "robust: x is one number, not an array"),
        (lambda: robust([0], 0.1, -1), "label -1 is no number of an output"),
        (lambda: robust([0], 0.1, 1.0), "label 1.0 is no number of an output"),  # type: ignore[arg-type]
        (lambda: robust([0], 0.1, True), "label True is no number of an output"),
        (lambda: robust([2], 0.5, 0, lower=0, upper=1), "coordinate 0: lower bound 1.5 is above upper bound 1"),
        (lambda: robust([0], 0.1, 3).query(3), "label 3 is out of range, the network has 3 outputs"),
        (lambda: robust([0], 0.1, 0).query(1), "the network has one output"),
        (lambda: Specification(UNIT, outputs @ [1, 2] <= 0).query(3), "the condition is about 2 outputs, the network has 3"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make: Callable[[], Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        make()
    assert "\n" not in str(caught.value)


@quiet
@given(points(3), numbers, points(3))
def test_one_form_means_what_it_says(y: list[Fraction], d: Fraction, c: list[Fraction]) -> None:
    form = sum((a * b for a, b in zip(y, c, strict=True)), F(0))
    assert claimed(outputs @ c <= d, y) == (form <= d)
    assert claimed(outputs @ c < d, y) == (form < d)
    assert claimed(outputs @ c >= d, y) == (form >= d)
    assert claimed(outputs @ c > d, y) == (form > d)


@quiet
@given(points(2), points(3), st.lists(points(3), min_size=2, max_size=2))
def test_several_forms_all_hold(y: list[Fraction], d: list[Fraction], C: list[list[Fraction]]) -> None:
    forms = [sum((a * row[r] for a, row in zip(y, C, strict=True)), F(0)) for r in range(3)]
    assert claimed(outputs @ C <= d, y) == all(f <= b for f, b in zip(forms, d, strict=True))
    assert claimed(outputs @ C >= 0, y) == all(f >= 0 for f in forms)


@quiet
@given(points(2), numbers, numbers)
def test_conditions_combine(y: list[Fraction], low: Fraction, high: Fraction) -> None:
    first, second = outputs @ [1, 0], outputs @ [0, 1]
    assert claimed((first >= low) & (first <= high), y) == (low <= y[0] <= high)
    assert claimed((first >= low) | (second < high), y) == (y[0] >= low or y[1] < high)
    assert claimed(((first >= low) | (second < high)) & (second > low), y) == ((y[0] >= low or y[1] < high) and y[1] > low)


def test_arrays_may_stand_on_either_side() -> None:
    forms, d = outputs @ np.eye(2), np.array([1.0, 2.0])
    assert (d >= forms) == (forms <= d)
    assert (d < forms) == (forms > d)


def test_conditions_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"combine two of them with & or \|"):
        _ = 0 <= outputs @ [1] <= 1
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = (outputs @ [1] <= 1) & True


@quiet
@given(st.integers(2, 4), st.data())
def test_robust_claims_that_the_label_is_strictly_largest(count: int, data: st.DataObject) -> None:
    label, y = data.draw(st.integers(0, count - 1)), data.draw(points(count))
    query = robust([F(1, 2)], 0, label).query(count)
    counterexample = any(v >= y[label] for j, v in enumerate(y) if j != label)
    assert query.satisfied_by([F(1, 2)], y) == counterexample
    assert not query.satisfied_by([F(1, 3)], y)


def test_the_box_of_robust_is_exact_and_clipped() -> None:
    box = robust(np.array([0.1, 0.5, 1.0]), 0.3, 0, lower=0, upper=[0.7, 1, 1]).box
    assert box.lower == (0, F(0.5) - F(0.3), 1 - F(0.3))
    assert box.upper == (F(0.1) + F(0.3), F(0.5) + F(0.3), 1)
    assert robust([["1/3", "1/2"]], [["1/3", 0]], np.int64(1)).box.upper == (F(2, 3), F(1, 2))


@quiet
@given(points(2), points(2), st.lists(numbers, min_size=2, max_size=2))
def test_the_query_is_the_box_and_the_negation(x: list[Fraction], y: list[Fraction], ends: list[Fraction]) -> None:
    low, high = sorted(ends)
    specification = Specification(Box([low, low], [high, high]), outputs @ [1, -1] <= F(1, 3))
    expected = all(low <= v <= high for v in x) and y[0] - y[1] > F(1, 3)
    query = specification.query(2)
    assert query.satisfied_by(x, y) == expected
    assert any(p.contains(x, y) for p in query.disjuncts()) == expected


def test_the_query_declares_one_network() -> None:
    query: Query = robust([[0.5, 0.5]], 0.1, 1).query(3, "float64")
    assert query.version == "2.0"
    (network,) = query.networks
    assert network.name == "N"
    assert [(t.name, t.element_type, t.shape) for t in (*network.inputs, *network.outputs)] == [
        ("X", "float64", (2,)),
        ("Y", "float64", (3,)),
    ]
    assert (network.size(Kind.INPUT), network.size(Kind.HIDDEN), network.size(Kind.OUTPUT)) == (2, 0, 3)
    assert robust([0], 1, 0).query(2).networks[0].inputs[0].element_type == "float32"
