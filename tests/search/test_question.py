"""A question asks exactly what its disjuncts ask: rows, equal inputs, boxes, and what cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from secateur.search.question import Question, _known, questions
from secateur.specification import Query, parse_query
from secateur.specification.vnnlib.formula import Kind, Polytope, Row, Variable
from tests.search.queries import flat_query, layered, only_question
from tests.search.random_cases import Case, random_case

F = Fraction
IDENTITY = layered((np.eye(2).tolist(), [8.0, 8.0]), (np.eye(2).tolist(), [-8.0, -8.0]))
TWINS = (
    "(vnnlib-version <2.0>)"
    "(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [2]))"
    "(declare-network g (declare-input U float32 [2]) (declare-output V float32 [2]))"
)


def points_of(case: Case, seed: int) -> Iterator[list[Fraction]]:
    """Points within a disjunct's box (on its faces, too) or a little outside, mostly equal where the query wants it."""
    rng = np.random.default_rng(seed)
    for number in range(12):
        disjunct = case.disjuncts[number % len(case.disjuncts)]
        shares = [F(int(s), 4) for s in rng.choice([0, 0, 1, 2, 3, 4, 4, 5], len(disjunct.lower))]
        if number % 4:
            for a, b in case.pairs:
                shares[b] = shares[a]
        yield [low + (high - low) * s for low, high, s in zip(disjunct.lower, disjunct.upper, shares, strict=True)]


def met(question: Question, inputs: list[Fraction]) -> bool | None:
    """Whether the question is met at inputs of the query; None where these are no point of it (equal inputs that differ)."""
    place: dict[int, Fraction] = {}
    for coordinate, value in zip(question.coordinates, inputs, strict=True):
        if place.setdefault(coordinate, value) != value:
            return None
    point = [place[c] for c in range(question.domain.dimension)]
    assert question.query_point(point) == tuple(inputs)
    return question.meets(point, question.network.exact(point).output)


@pytest.mark.parametrize("block", range(6))
def test_questions_mean_what_the_query_means(block: int) -> None:
    satisfied = 0
    for seed in range(20 * block, 20 * block + 20):
        case = random_case(seed)
        asked = list(questions(case.query, case.networks))
        for inputs in points_of(case, seed):
            expected = case.query.satisfied_by(inputs, case.values(inputs))
            assert any(met(question, inputs) for question in asked) is expected
            satisfied += expected
    assert satisfied > 10


@pytest.mark.parametrize("block", range(3))
def test_row_values_are_those_of_the_query_up_to_a_power_of_two(block: int) -> None:
    for seed in range(200 + 20 * block, 220 + 20 * block):
        case = random_case(seed)
        polytopes = list(case.query.disjuncts())
        found = [goal_rows for q in questions(case.query, case.networks) for goal_rows in _goals_of(q)]
        assert len(found) == len(polytopes)
        for (question, goal), polytope in zip(found, polytopes, strict=True):
            kept = [row for row in polytope.rows if not _makes_equal(row, case)]
            assert [question.strict[r] for r in goal] == [row.strict for row in kept]
            point = [(low + 2 * high) / 3 for low, high in zip(question.domain.lower, question.domain.upper, strict=True)]
            values, inputs = question.network.exact(point).output, question.query_point(point)
            of_kind = (inputs, (), case.values(inputs))
            for r, row in zip(goal, kept, strict=True):
                own = sum((c * of_kind[v.kind][v.position] for v, c in row.coefficients), -row.bound)
                scale = values[r] / own if own else F(1)
                assert (values[r] == 0) == (own == 0)
                assert scale > 0
                assert scale.numerator.bit_count() == scale.denominator.bit_count() == 1


def _goals_of(question: Question) -> list[tuple[Question, tuple[int, ...]]]:
    return [(question, goal) for goal in question.goals]


def _makes_equal(row: Row, case: Case) -> bool:
    positions = [v.position for v, _ in row.coefficients if v.kind is Kind.INPUT]
    return len(row.coefficients) == 2 and tuple(sorted(positions)) in {tuple(sorted(p)) for p in case.pairs}


# --- equal inputs


def twins(*conditions: str) -> Query:
    box = [f"(>= {t}[{i}] {low})(<= {t}[{i}] {high})" for t, low, high in (("X", 0, 2), ("U", 1, 3)) for i in range(2)]
    return parse_query(TWINS + f"(assert (and {' '.join(box)}))" + "".join(f"(assert {c})" for c in conditions))


def test_equal_inputs_are_one_coordinate_over_the_common_box() -> None:
    question = only_question(twins("(== X[0] U[1])", "(== U[0] X[1])", "(<= Y[0] V[0])"), IDENTITY, IDENTITY)
    assert question.coordinates == (0, 1, 1, 0)
    assert (question.domain.lower, question.domain.upper) == ((1, 1), (2, 2))
    assert question.network.output_size == 1  # the equalities are no rows any more
    assert question.network.exact([F(5, 4), F(3, 2)]).output == (F(5, 4) - F(3, 2),)


def test_equality_is_transitive() -> None:
    question = only_question(twins("(== X[0] U[0])", "(== U[0] U[1])", "(== X[1] U[1])", "(<= Y[0] V[0])"), IDENTITY, IDENTITY)
    assert question.coordinates == (0, 0, 0, 0)
    assert question.domain.dimension == 1


def test_one_sided_scaled_and_shifted_conditions_make_nothing_equal() -> None:
    for condition in (
        "(<= X[0] U[0])",
        "(== X[0] (* 2.0 U[0]))",
        "(== X[0] (+ U[0] 1.0))",
        "(== X[0] (- 0.0 U[0]))",
        "(== X[0] Y[0])",
    ):
        question = only_question(twins(condition, "(<= Y[0] V[0])"), IDENTITY, IDENTITY)
        assert question.coordinates == (0, 1, 2, 3)
        assert question.network.output_size == 1 + (2 if "==" in condition else 1)


def test_a_strict_order_of_equal_inputs_stays_a_row_that_nothing_meets() -> None:
    question = only_question(twins("(== X[0] U[0])", "(< X[0] U[0])", "(<= Y[1] V[1])"), IDENTITY, IDENTITY)
    point = [F(3, 2)] * question.domain.dimension
    values = question.network.exact(point).output
    assert sorted(values) == [0, 0]
    assert not question.meets(point, values)


def test_equal_inputs_without_a_common_value_ask_nothing() -> None:
    far = parse_query(
        TWINS
        + "(assert (and (>= X[0] 0)(<= X[0] 1)(>= X[1] 0)(<= X[1] 1)(>= U[0] 2)(<= U[0] 3)(>= U[1] 0)(<= U[1] 1)))"
        + "(assert (== X[0] U[0])) (assert (>= Y[0] 0))"
    )
    assert list(questions(far, [IDENTITY, IDENTITY])) == []


# --- boxes


def test_an_empty_box_asks_nothing() -> None:
    query = flat_query([("0", "1"), ("0", "1")], 2, "(>= X_0 2)", "(>= Y_0 0)")
    assert list(questions(query, [IDENTITY])) == []


def test_disjuncts_over_one_box_share_a_question_and_others_do_not() -> None:
    query = flat_query(
        [("0", "4"), ("0", "4")],
        2,
        "(or (<= Y_0 1) (and (<= Y_1 1) (< Y_0 Y_1)) (and (<= X_0 1) (<= Y_0 2)) (and (<= X_0 1) (>= Y_0 2)) (>= Y_0 3))",
    )
    asked = list(questions(query, [IDENTITY]))
    assert [q.goals for q in asked] == [((0,), (1, 2)), ((0,), (1,)), ((0,),)]
    assert [q.strict for q in asked] == [(False, False, True), (False, False), (False,)]
    assert [q.domain.upper[0] for q in asked] == [4, 1, 4]


def test_many_disjuncts_are_streamed_in_groups() -> None:
    choices = " ".join(f"(<= Y_0 {i})" for i in range(600))
    stream = questions(flat_query([("0", "1"), ("0", "1")], 2, f"(or {choices})"), [IDENTITY])
    sizes = [len(q.goals) for q in stream]
    assert sum(sizes) == 600
    assert max(sizes) <= 256


class _Endless(Query):
    """Stands for a file whose disjuncts never end; the query is otherwise ordinary."""

    def disjuncts(self) -> Iterator[Polytope]:
        row = Row(((Variable(Kind.OUTPUT, 0), F(1)),), F(0), False)
        for k in range(10**9):
            yield Polytope((F(0), F(0)), (F(k // 2 + 1), F(1)), (row,))


def test_questions_are_made_when_they_are_asked_for() -> None:
    query = flat_query([("0", "1"), ("0", "1")], 2, "(<= Y_0 0)")
    stream = questions(_Endless(query.version, query.networks, query.assertions), [IDENTITY])
    first = [next(stream) for _ in range(3)]
    assert [len(q.goals) for q in first] == [2, 2, 2]
    assert [q.domain.upper[0] for q in first] == [1, 2, 3]


def test_a_query_about_inputs_alone_has_a_goal_without_rows() -> None:
    question = only_question(flat_query([("0", "1"), ("0", "1")], 2), IDENTITY)
    assert question.goals == ((),)
    assert question.meets([F(0), F(1)], ())
    assert not question.meets([F(0), F(2)], ())


def test_a_strict_bound_is_a_row_too() -> None:
    question = only_question(flat_query([("0", "1"), ("0", "1")], 2, "(< X_0 1)"), IDENTITY)
    assert (question.strict, question.goals) == ((True,), ((0,),))
    assert not question.meets([F(1), F(0)], question.network.exact([F(1), F(0)]).output)


# --- what cannot be asked


@pytest.mark.parametrize(("bound", "side"), [("(<= X_1 1)", "lower"), ("(>= X_1 1)", "upper")])
def test_an_input_without_a_bound_is_refused(bound: str, side: str) -> None:
    names = "".join(f"(declare-const {n} Real)" for n in ("X_0", "X_1", "Y_0", "Y_1"))
    query = parse_query(f"{names}(assert (and (<= X_0 1) (>= X_0 0) {bound} (<= Y_0 0)))", "query")
    with pytest.raises(InputError, match=f"^query: input X_1 has no {side} bound; bound every input on both sides$"):
        list(questions(query, [IDENTITY]))


HIDDEN = (
    "(vnnlib-version <2.0>)"
    '(declare-network f (declare-input X real [1]) (declare-hidden H real [2] "h") (declare-output Y real [1]))'
    '(declare-network g (declare-input U real [1]) (declare-output V real [2]) (declare-hidden K real [1] "k"))'
    "(assert (and (>= X[0] -1) (<= X[0] 1) (>= U[0] -1) (<= U[0] 1)))"
)


@pytest.mark.parametrize("seed", range(20))
def test_hidden_values_follow_the_outputs_of_their_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # f gives Y[0], H[0], H[1]; g gives V[0], V[1], K[0].
    parts = [layered((rng.integers(-3, 4, (2, 1)), [1.0, -0.5]), (rng.integers(-3, 4, (3, 2)), [0.0, 0.5, 1.0])) for _ in "fg"]
    names = rng.permutation(["Y[0]", "H[0]", "H[1]", "V[0]", "V[1]", "K[0]", "X[0]"])[:4]
    terms = " ".join(f"(* {c} {n})" for c, n in zip(rng.integers(-2, 3, 4), names, strict=True))
    query = parse_query(f"{HIDDEN}(assert (or (and (<= (+ {terms}) 0.5) (>= K[0] 0)) (< H[1] -1)))", "query")
    question = only_question(query, *parts)
    for x, u in rng.integers(-5, 6, (30, 2)):
        point = [F(int(x), 4), F(int(u), 4)]
        (y, *h), (*v, k) = (part.exact([value]).output for part, value in zip(parts, point, strict=True))
        expected = query.satisfied_by(point, [y, *v], [*h, k])
        assert question.meets(point, question.network.exact(point).output) is expected


def test_networks_without_the_declared_hidden_values_are_refused() -> None:
    query = parse_query(f"{HIDDEN}(assert (>= H[0] 0))", "query")
    two, three = (layered((np.ones((n, 1)), np.zeros(n)), (np.eye(n), np.zeros(n))) for n in (2, 3))
    with pytest.raises(ValueError, match="followed by its hidden values"):
        list(questions(query, [two, three]))


@pytest.mark.parametrize(
    ("box", "condition", "what"),
    [
        (("0", "1e400"), "(<= Y_0 1)", "input X_0"),
        (("-1e308", "1e308"), "(<= Y_0 1)", "input X_0"),
        (("0", "1"), "(<= Y_0 1e400)", "a condition"),
        (("0", "1"), "(<= (* 1e-400 Y_0) 1)", "a condition"),
    ],
)
def test_numbers_beyond_float64_are_refused(box: tuple[str, str], condition: str, what: str) -> None:
    query = flat_query([box, ("0", "1")], 2, condition)
    with pytest.raises(InputError, match=f"^query: {what} has a number beyond float64; rescale the query$"):
        list(questions(query, [IDENTITY]))


def test_weights_far_apart_stay_exact() -> None:
    tiny = Network(1, (), Affine((Term(0, Dense(np.array([[2.0**-70], [2.0**70]]))),), np.zeros(2)))
    question = only_question(flat_query([("0", "1")], 2, "(<= (+ (* 3.0 Y_0) Y_1) 0.1)"), tiny)
    (value,) = question.network.exact([F(1)]).output
    assert value / (3 * F(2) ** -70 + F(2) ** 70 - F(1, 10)) in {F(1), F(1, 2), F(1, 4)}


def test_what_is_remembered_of_a_network_is_what_was_asked() -> None:
    """Boxes share composed rows; other rows, bounds and strictness have their own, and so has everything fresh."""
    network = layered((np.eye(2).tolist(), [8.0, 8.0]), (np.eye(2).tolist(), [-8.0, -8.0]))
    sides = [[("-1", "1"), ("0", "2")], [("-3", "1"), ("0", "0.1")]]
    conditions = ["(<= Y_0 Y_1)", "(>= Y_0 Y_1)", "(< Y_0 Y_1)", "(<= Y_0 (+ Y_1 1))", "(<= Y_0 X_1)", "(<= Y_0 X_0)"]
    found = {(b, c): only_question(flat_query(sides[b], 2, c), network) for c in conditions for b in (0, 1, 0)}
    point = (F(1, 4), F(1, 16))
    for (b, condition), question in found.items():
        fresh = only_question(flat_query(sides[b], 2, condition), replace(network, output=replace(network.output)))
        assert question.network.output is found[0, condition].network.output
        assert question.strict == fresh.strict
        assert question.network.exact(point).output == fresh.network.exact(point).output
    assert len({id(q.network.output) for q in found.values()}) == len(conditions)


def test_few_rows_are_remembered() -> None:
    network = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
    outputs = [only_question(flat_query([("0", "1")], 1, f"(<= Y_0 {n})"), network).network.output for n in range(200)]
    assert len(_known[network.output]) <= 64
    assert [o.rational_bias()[0] for o in outputs] == [F(-n) for n in range(200)]
