"""The input part of a query is one closed box, or the refusal says why not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from secateur.errors import InputError
from secateur.specification import Domain
from secateur.specification.vnnlib import Kind, Variable, parse_query

F = Fraction
OLD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
BOX = "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 -0.1) (<= X_1 0.1)))"
UNIT = Domain((F(0), F(-1, 10)), (F(1), F(1, 10)))
TWO = (
    "(vnnlib-version <2.0>)"
    "(declare-network f (declare-input X real [1,2]) (declare-output Y real [1]))"
    "(declare-network g (isomorphic-to f) (declare-input U real [1,2]) (declare-output V real [1]))"
    "(assert (and (>= X[0,0] 0) (<= U[0,0] 1) (>= X[0,1] -0.1) (<= X[0,1] 0.1) (<= U[0,1] 7)))"
)
TIES = "(assert (and (== X[0,0] U[0,0]) (== U[0,1] X[0,1])))"


@pytest.mark.parametrize(
    "text",
    [
        OLD + BOX,
        OLD + BOX + "(assert (or (<= Y_0 1) (and (<= Y_1 X_0) (!= Y_0 2))))",
        OLD + BOX + "(assert (<= X_0 1.0))(assert (>= X_1 -5))",
        OLD + BOX + "(assert (or (and (<= X_0 0.5) (<= Y_0 0)) (<= Y_1 0)))",
        OLD + f"(assert (or (and {BOX[8:-1]} (<= Y_0 0)) (and {BOX[8:-1]} (<= Y_1 0))))",
        OLD + f"(assert (or {BOX[8:-1]}))",
        OLD + "(assert (and (>= (* 2 X_0) 0) (>= 2 (* X_0 2)) (<= (* -3 X_1) 0.3) (>= 0.1 X_1)))",
        TWO + TIES,
    ],
)
def test_one_box(text: str) -> None:
    domain = parse_query(text, "f").input_box()
    assert domain == UNIT
    assert domain.description == "f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            OLD + "(assert (>= X_0 0))(assert (<= X_0 1))(assert (<= X_1 1))",
            "f: input X_1 (coordinate 1) has no lower bound; assert (>= X_1 ...)",
        ),
        (
            OLD + "(assert (or (<= X_0 1) (<= Y_0 1)))",
            "f: input X_0 (coordinate 0) has no lower bound; assert (>= X_0 ...)",
        ),
        (
            OLD + BOX + "(assert (>= X_0 2.5))",
            "f: input X_0 (coordinate 0): lower bound 2.5 is above upper bound 1; give a box that is not empty",
        ),
        (
            OLD + BOX + "(assert (or (>= X_0 2) (<= X_1 -1)))",
            "f: the conditions on the inputs contradict each other; give a box that is not empty",
        ),
        (
            OLD + BOX + "(assert (<= 1 0))",
            "f: the conditions on the inputs contradict each other; give a box that is not empty",
        ),
        (
            OLD + BOX + "(assert (or (<= X_0 0.5) (and (>= X_0 0.75) (<= Y_0 0))))",
            "f: the inputs range over a union of several boxes; split the file into one query per box",
        ),
        (
            OLD + BOX + "(assert (< X_0 0.5))",
            "f: the input bound 1 X_0 < 0.5 is strict; the domain must be one closed box: use <= or >=",
        ),
        (
            OLD + BOX + "(assert (<= (+ X_0 (* 0.5 X_1)) 1))",
            "f: the input condition 1 X_0 + 0.5 X_1 <= 1 is no bound of a single input; the domain must be one closed box",
        ),
        (
            TWO,
            "f: the input U[0,0] is not tied to the first network's; assert that U[0,0] equals it",
        ),
        (
            TWO + "(assert (== X[0,0] U[0,0]))(assert (<= X[0,1] U[0,1]))",
            "f: the input condition 1 X[0,1] + -1 U[0,1] <= 0 is no bound of a single input; the domain must be one closed box",
        ),
        (
            TWO + "(assert (== X[0,0] U[0,1]))(assert (== X[0,1] U[0,0]))",
            "f: the input condition 1 X[0,0] + -1 U[0,1] <= 0 is no bound of a single input; the domain must be one closed box",
        ),
        (
            TWO + TIES + "(assert (>= U[0,1] 0.5))",
            "f: input X[0,1] (coordinate 1): lower bound 0.5 is above upper bound 0.1; give a box that is not empty",
        ),
        (
            TWO.replace("(isomorphic-to f) (declare-input U real [1,2])", "(declare-input U real [4,2])") + TIES,
            "f: the declared networks have inputs of different sizes; give a domain for one network",
        ),
    ],
)
def test_no_single_box(text: str, expected: str) -> None:
    query = parse_query(text, "f")
    with pytest.raises(InputError) as caught:
        query.input_box()
    assert str(caught.value) == expected


def test_names_and_counts() -> None:
    query = parse_query(TWO)
    assert (query.count(Kind.INPUT), query.count(Kind.HIDDEN), query.count(Kind.OUTPUT)) == (4, 0, 2)
    names = [query.name(Variable(Kind.INPUT, i)) for i in range(4)]
    assert names == ["X[0,0]", "X[0,1]", "U[0,0]", "U[0,1]"]
    old = parse_query(OLD + BOX)
    assert [old.name(Variable(Kind.OUTPUT, i)) for i in range(2)] == ["Y_0", "Y_1"]


def test_satisfaction_sees_every_kind() -> None:
    query = parse_query(
        "(vnnlib-version <2.0>)(declare-network f (declare-input X real [])"
        '(declare-hidden H real [2] "h")(declare-output Y real []))(assert (< (+ X H[1]) Y))'
    )
    assert query.satisfied_by([F(1)], [F(4)], [F(100), F(2)])
    assert not query.satisfied_by([F(1)], [F(3)], [F(-100), F(2)])
    (polytope,) = query.disjuncts()
    assert polytope.contains([F(1)], [F(4)], [F(100), F(2)])
    assert not polytope.contains([F(1)], [F(3)], [F(-100), F(2)])
