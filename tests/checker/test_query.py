"""The checker's VNN-LIB reader: what each construct means, the order of disjuncts and rows, and the words of each refusal."""

from __future__ import annotations

import gzip
from fractions import Fraction

import pytest

from secateur.checker import query_syntax, query_tokens
from secateur.checker.query import Disjunct, QueryRow, read_query
from secateur.checker.refusal import Refusal
from tests.checker.query_support import FLAT, INPUTS, NAMES, boxed, contains, query_of


def rows_of(body: str, version: int = 1) -> list[tuple[QueryRow, ...]]:
    return [disjunct.rows for disjunct in query_of(boxed(body, version), version).disjuncts()]


def bound(j: int, value: int, *, strict: bool = False, sign: int = 1) -> QueryRow:
    """sign * y_j <= value."""
    return QueryRow((), ((j, Fraction(sign)),), Fraction(value), strict)


# What each construct means: the point has x = (1, 2, -1/2) and y = (3, -4).

POINT = ((Fraction(1), Fraction(2), Fraction(-1, 2)), (Fraction(3), Fraction(-4)))
TRUTHS_OF_BOTH = [
    ("(<= {0} 1)", "(<= {0} 0.999)"),
    ("(>= {0} 1)", "(>= {0} 1.001)"),
    ("(< {0} 1.001)", "(< {0} 1)"),
    ("(> {0} 0.999)", "(> {0} 1)"),
    ("(<= 3 {3})", "(<= 4 {3})"),
    ("(<= {2} -0.5)", "(<= {2} -.51)"),
    ("(>= {2} -5e-1)", "(>= {2} -4.9E-1)"),
    ("(<= {1} +2.)", "(<= {1} +1.)"),
    ("(< 0 1e-999)", "(< 1e-999 0)"),
    ("(<= (+ {0} {1} {2}) 2.5)", "(<= (+ {0} {1} {2}) 2.4)"),
    ("(<= (+ {0}) 1)", "(< (+ {0}) 1)"),
    ("(<= (- {3}) -3)", "(< (- {3}) -3)"),
    ("(<= (- {3} {0} {1}) 0)", "(< (- {3} {0} {1}) 0)"),
    ("(<= (* 2 {4} 0.5) -4)", "(< (* 2 {4} 0.5) -4)"),
    ("(<= (* (- 2 1) (+ {4} 1)) -3)", "(< (* (+ {4} 1) (- 2 1)) -3)"),
    ("(<= (* 3) 3)", "(< (* 3) 3)"),
    ("(<= (- {0} {0}) 0)", "(< (- {0} {0}) 0)"),
    ("(and (<= {0} 1) (<= {3} 3))", "(and (<= {0} 1) (<= {3} 2))"),
    ("(and (<= {0} 1))", "(and (< {0} 1))"),
    ("(or (<= {0} 0) (<= {3} 3))", "(or (<= {0} 0) (<= {3} 2))"),
    ("(or (<= {0} 1))", "(or (< {0} 1))"),
]
TRUTHS_OF_1 = [
    ("(= {1} (+ {0} 1))", "(= {1} {0})"),
    ("(not (= {1} {0}))", "(not (= {1} (+ {0} 1)))"),
    ("(not (<= {0} 0.5))", "(not (<= {0} 1))"),
    ("(not (> {0} 1))", "(not (>= {0} 1))"),
    ("(not (not (<= {0} 1)))", "(not (not (< {0} 1)))"),
    ("(not (and (<= {0} 1) (< {3} 3)))", "(not (and (<= {0} 1) (<= {3} 3)))"),
    ("(not (or (< {0} 1) (< {3} 3)))", "(not (or (< {0} 1) (<= {3} 3)))"),
    ("(=> (<= {0} 1) (<= {3} 3))", "(=> (<= {0} 1) (< {3} 3))"),
    ("(=> (< {0} 1) (< {3} 3))", "(not (=> (< {0} 1) (< {3} 3)))"),
    ("(=> (<= {0} 1) (< {1} 2) (< {3} 3))", "(=> (<= {0} 1) (<= {1} 2) (< {3} 3))"),
]
TRUTHS_OF_2 = [
    ("(== {1} (+ {0} 1))", "(== {1} {0})"),
    ("(!= {1} {0})", "(!= {1} (+ {0} 1))"),
    ("(<= A [ 1 ] 2)", "(<= A [1] 1)"),
]
TRUTHS = [
    *((1, *pair) for pair in TRUTHS_OF_BOTH + TRUTHS_OF_1),
    *((2, *pair) for pair in TRUTHS_OF_BOTH + TRUTHS_OF_2),
]


@pytest.mark.parametrize(("version", "true", "false"), TRUTHS)
def test_each_construct_means_what_it_says(version: int, true: str, false: str) -> None:
    for formula, expected in ((true, True), (false, False)):
        body = boxed(f"(assert {formula.format(*NAMES[version])})", version)
        query = query_of(body, version)
        assert query.holds_at(*POINT) is expected
        assert any(contains(d, *POINT) for d in query.disjuncts()) is expected


def test_assertions_hold_together() -> None:
    assert query_of("(assert (<= X_0 1))(assert (<= X_1 2))").holds_at(*POINT)
    assert not query_of("(assert (<= X_0 1))(assert (<= X_1 1))").holds_at(*POINT)


def test_numbers_are_exact() -> None:
    (rows,) = rows_of("(assert (<= (* 0.1 Y_0) 0.30000000000000000001))")
    assert rows == (QueryRow((), ((0, Fraction(1, 10)),), Fraction(30000000000000000001, 10**20), False),)


def test_comments_and_white_space_do_not_count() -> None:
    body = "; (assert (<= X_0 -5))\r\n(assert\t( <= X_0 ;)\n -1))"
    assert not query_of(body).holds_at(*POINT)
    assert query_of(body.replace("-1", "1")).holds_at(*POINT)


def test_variables_may_be_declared_in_any_order() -> None:
    query = read_query(b"(declare-const Y_0 Real)(declare-const X_1 Real)(assert (<= X_1 1))(declare-const X_0 Real)")
    assert (query.input_size, query.output_size) == (2, 1)
    assert query.holds_at((Fraction(5), Fraction(1)), (Fraction(0),))


def test_elements_are_numbered_row_major_one_tensor_after_the_other() -> None:
    head = """(vnnlib-version <2.0>) (declare-network f
      (declare-input A real [2,3]) (declare-output Z float64 []) (declare-input B float32 [2]) (declare-output C real [1,1,2]))"""
    query = read_query((head + "(assert (<= A[1,0] B[1]))(assert (<= Z C[0,0,1]))").encode())
    assert (query.input_size, query.output_size) == (8, 3)
    for place in (3, 7):
        inputs = [Fraction(int(i == place)) for i in range(8)]
        assert query.holds_at(inputs, [Fraction(0)] * 3) is (place == 7)
    assert not query.holds_at([Fraction(0)] * 8, [Fraction(1), Fraction(2), Fraction(0)])
    assert query.holds_at([Fraction(0)] * 8, [Fraction(1), Fraction(0), Fraction(2)])


# The order of disjuncts and rows


def test_the_first_disjunction_varies_slowest_and_inner_ones_come_directly_after() -> None:
    body = """(assert (or (and (<= Y_0 1) (or (<= Y_0 2) (<= Y_0 3)) (<= Y_0 4)) (<= Y_0 5)))
              (assert (<= Y_1 0)) (assert (or (<= Y_1 6) (<= Y_1 7)))"""
    expected = [(1, 4, 2, 6), (1, 4, 2, 7), (1, 4, 3, 6), (1, 4, 3, 7), (5, 6), (5, 7)]
    assert [tuple(int(r.bound) for r in rows[1:]) for rows in rows_of(body)] == expected
    assert {rows[0] for rows in rows_of(body)} == {bound(1, 0)}


def test_single_choices_and_inner_conjunctions_count_in_their_place() -> None:
    body = "(assert (and (<= Y_0 1) (or (and (<= Y_0 2) (or (or (<= Y_0 3) (<= Y_0 4))))) (<= Y_0 5)))(assert (<= Y_0 6))"
    assert [tuple(int(r.bound) for r in rows) for rows in rows_of(body)] == [(1, 2, 5, 6, 3), (1, 2, 5, 6, 4)]


@pytest.mark.parametrize(
    ("version", "formula", "expected"),
    [
        (1, "(= Y_0 1)", [(bound(0, 1), bound(0, -1, sign=-1))]),
        (1, "(not (= Y_0 1))", [(bound(0, -1, sign=-1, strict=True),), (bound(0, 1, strict=True),)]),
        (1, "(not (< Y_0 1))", [(bound(0, -1, sign=-1),)]),
        (1, "(=> (<= Y_0 1) (<= Y_1 2))", [(bound(0, -1, sign=-1, strict=True),), (bound(1, 2),)]),
        (1, "(not (=> (<= Y_0 1) (<= Y_1 2)))", [(bound(0, 1), bound(1, -2, sign=-1, strict=True))]),
        (2, "(== C[0,0] 1)", [(bound(0, 1), bound(0, -1, sign=-1))]),
        (2, "(!= C[0,0] 1)", [(bound(0, 1, strict=True),), (bound(0, -1, sign=-1, strict=True),)]),
        (2, "(or (<= 1 0) (<= 0 1) (< 0 0) (<= 0 0))", [(), ()]),
    ],
)
def test_rows_of_atoms_and_negations(version: int, formula: str, expected: list[tuple[QueryRow, ...]]) -> None:
    assert rows_of(f"(assert {formula})", version) == expected


def test_sides_are_moved_exactly() -> None:
    (rows,) = rows_of("(assert (>= (+ (* 2 X_1) 3 Y_1) (- X_0 (* 0.5 Y_0) 1)))")
    inputs = ((0, Fraction(1)), (1, Fraction(-2)))
    outputs = ((0, Fraction(-1, 2)), (1, Fraction(-1)))
    assert rows == (QueryRow(inputs, outputs, Fraction(4), False),)


def test_the_box_is_the_tightest_and_strict_bounds_stay_rows() -> None:
    body = "(assert (< (* -2 X_0) 3))(assert (>= 4 (* 0.5 X_1)))(assert (<= X_1 8.5))(assert (or (<= X_2 1) (< X_2 2)))"
    first, second = query_of(boxed(body)).disjuncts()
    strict = QueryRow(((0, Fraction(-2)),), (), Fraction(3), True)
    assert first == Disjunct((Fraction(-3, 2), Fraction(-9), Fraction(-9)), (Fraction(9), Fraction(8), Fraction(1)), (strict,))
    assert second.upper == (Fraction(9), Fraction(8), Fraction(2))
    assert second.rows == (strict, QueryRow(((2, Fraction(1)),), (), Fraction(2), True))


def test_contradictory_disjuncts_are_left_out() -> None:
    body = "(assert (or (<= X_0 -10) (and (<= X_0 1) (>= X_0 1)) (and (< X_0 1) (> X_0 1)) (and (<= X_0 1) (>= X_0 1.1))))"
    assert [(d.lower[0], d.upper[0], len(d.rows)) for d in query_of(boxed(body)).disjuncts()] == [(1, 1, 0), (1, 1, 2)]
    assert list(query_of("(assert (<= 1 0))").disjuncts()) == []


def test_disjuncts_are_made_one_at_a_time() -> None:
    choices = "".join(f"(assert (or (<= Y_0 {i}) (<= Y_1 {i})))" for i in range(200))
    disjuncts = query_of(boxed(choices)).disjuncts()
    assert [len(next(disjuncts).rows) for _ in range(3)] == [200] * 3
    impossible = "".join(f"(assert (or (>= X_0 {i}) (>= X_1 {i})))" for i in range(10, 70))  # 2^60 choices, none of them left
    assert list(query_of(boxed(impossible)).disjuncts()) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("(assert (<= X_0 1))", ("disjunct 0", "input 0 has no lower bound")),
        ("(assert (and (= X_0 1) (= X_2 1)))", ("disjunct 0", "input 1 has no lower bound")),
        ("(assert (>= X_0 0))(assert (>= X_1 0))(assert (>= X_2 0))", ("disjunct 0", "input 0 has no upper bound")),
        (
            "(assert (and (= X_0 1) (= X_1 1)))(assert (or (= 0 1) (= X_2 1) (>= X_2 1)))",
            ("disjunct 1", "input 2 has no upper bound"),
        ),
        ("(assert (<= (+ X_0 Y_0) 1))", ("disjunct 0", "input 0 has no lower bound")),
    ],
)
def test_an_open_box_is_refused(body: str, reason: tuple[str, str]) -> None:
    query = query_of(body)
    with pytest.raises(Refusal) as refused:
        list(query.disjuncts())
    assert refused.value.args == ("query", *reason)


@pytest.mark.parametrize(("inputs", "outputs", "reason"), [
    (2, 2, "2 inputs, but the query has 3"), (3, 3, "3 outputs, but the query has 2"),
])  # fmt: skip
def test_a_point_of_another_size_is_refused(inputs: int, outputs: int, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        query_of("").holds_at([Fraction(0)] * inputs, [Fraction(0)] * outputs)
    assert refused.value.args == ("query", "point", reason)


# What is refused


def in_2(tensors: str) -> str:
    return f"(vnnlib-version <2.0>)\n(declare-network f {tensors})"


GOOD_2 = in_2("(declare-input A real [2,3]) (declare-output C real [])")
MALFORMED = [
    ("", 1, "the query declares no input"),
    ("(declare-const X_0 Real)\n", 1, "the query declares no output"),
    ("\n(declare-const Z_0 Real)", 2, "X_i or Y_j is needed, not 'Z_0'"),
    ("(declare-const X_01 Real)", 1, "X_i or Y_j is needed, not 'X_01'"),
    ("(declare-const X_0 Int)", 1, "'Real' is needed, not 'Int'"),
    ("(declare-const X_0\nReal)\n(declare-const X_0 Real)", 3, "X_0 is declared twice"),
    ("(declare-const X_0 Real)\n(declare-const X_2 Real)(declare-const Y_0 Real)", 2,
     "X_2 is declared, but some X_i before it is not"),
    ("(declare-const X_0 Real)\n(declare-const Y_1 Real)", 2, "Y_1 is declared, but some Y_i before it is not"),
    ("(declare-fun X_0 () Real)", 1, "a command of VNN-LIB 1.0 is needed, not 'declare-fun'"),
    ("(declare-const X_0 Real)\n\n(vnnlib-version <2.0>)", 3, "a command of VNN-LIB 1.0 is needed, not 'vnnlib-version'"),
    ("X_0", 1, "'(' is needed, not 'X_0'"),
    (FLAT + "\n(assert (<= X_0 1)", 2, "the file ends too early"),
    (FLAT + "\n(assert (<= X_0 1)))", 2, "'(' is needed, not ')'"),
    (FLAT + "\n(assert (<= X_0 1) (<= X_0 1))", 2, "')' is needed, not '('"),
    (FLAT + "(assert ())", 1, "an operator of VNN-LIB 1.0 is needed, not ')'"),
    (FLAT + "(assert ((<= X_0 1)))", 1, "an operator of VNN-LIB 1.0 is needed, not '('"),
    (FLAT + "(assert )", 1, "a number or a declared variable is needed, not ')'"),
    (FLAT + "(assert X_0)", 1, "an assertion of a term"),
    (FLAT + "(assert (+ X_0 1))", 1, "an assertion of a term"),
    (FLAT + "(assert true)", 1, "a number or a declared variable is needed, not 'true'"),
    (FLAT + "(assert (<= X_3 1))", 1, "a number or a declared variable is needed, not 'X_3'"),
    (FLAT + "(assert (<= |X_0| 1))", 1, "a number or a declared variable is needed, not '|X_0|'"),
    (FLAT + "(assert (<= X_0[0] 1))", 1, "X_0 takes 0 indices, not 1"),
    (FLAT + "(assert (<= X_0 1/3))", 1, "a number is needed, not '1/3'"),
    (FLAT + "(assert (<= X_0 1e))", 1, "a number is needed, not '1e'"),
    (FLAT + "(assert (<= X_0 1e1000))", 1, "a number is needed, not '1e1000'"),
    (FLAT + "(assert (<= X_0 1_0))", 1, "a number is needed, not '1_0'"),
    (FLAT + "(assert (<= X_0 -X_1))", 1, "a number is needed, not '-X_1'"),
    (FLAT + "(assert (<= X_0 " + "1" * 2001 + "))", 1, f"a number is needed, not '{'1' * 40}'"),
    (FLAT + "(assert (<= X_0 NaN))", 1, "a number or a declared variable is needed, not 'NaN'"),
    (FLAT + "(assert (<= X_0 \u0661))", 1, "a number or a declared variable is needed, not '\u0661'"),
    (FLAT + "(assert (<= X_0\u00a01))", 1, "a number or a declared variable is needed, not 'X_0\u00a01'"),
    (FLAT + "(assert (== X_0 1))", 1, "an operator of VNN-LIB 1.0 is needed, not '=='"),
    (FLAT + "(assert (/ X_0 2))", 1, "an operator of VNN-LIB 1.0 is needed, not '/'"),
    (FLAT + "(assert (<= 0\nX_0 1))", 1, "'<=' does not take 3 operands"),
    (FLAT + "(assert (< X_0))", 1, "'<' does not take 1 operands"),
    (FLAT + "(assert (and))", 1, "'and' does not take 0 operands"),
    (FLAT + "(assert (or))", 1, "'or' does not take 0 operands"),
    (FLAT + "(assert (not (<= X_0 1) (<= X_0 1)))", 1, "'not' does not take 2 operands"),
    (FLAT + "(assert (=> (<= X_0 1)))", 1, "'=>' does not take 1 operands"),
    (FLAT + "(assert (<= (+) 1))", 1, "'+' does not take 0 operands"),
    (FLAT + "(assert (and (<= X_0 1) X_0))", 1, "'and' takes formulas, not terms"),
    (FLAT + "(assert (<= (<= X_0 1) 1))", 1, "'<=' takes terms, not formulas"),
    (FLAT + "(assert (<= (* 2 X_0 3 Y_0) 1))", 1, "a product of two terms with variables"),
    (FLAT + "(assert (<= " + "(* 1e999 " * 31 + "X_0" + ")" * 31 + " 1))", 1, "a number of more than 100000 bits"),
    ("(vnnlib-version <1.0>)", 1, "'<2.0>' is needed, not '<1.0>'"),
    ("(vnnlib-version 2.0)", 1, "'<2.0>' is needed, not '2.0'"),
    ("(vnnlib-version <2.0>)\n(declare-const X_0 Real)", 2, "a command of VNN-LIB 2.0 is needed, not 'declare-const'"),
    ("(vnnlib-version <2.0>)", 1, "the query declares no input"),
    (in_2("(declare-input A real [2])"), 2, "the query declares no output"),
    (in_2("(equal-to g)"), 2, "'declare-input' or 'declare-output' is needed, not 'equal-to'"),
    (in_2("(isomorphic-to g)"), 2, "'declare-input' or 'declare-output' is needed, not 'isomorphic-to'"),
    (in_2('(declare-hidden H real [2] "h")'), 2, "'declare-input' or 'declare-output' is needed, not 'declare-hidden'"),
    (in_2("(declare-input 2A real [2])"), 2, "a name is needed, not '2A'"),
    (in_2("(declare-input f real [2])"), 2, "f is declared twice"),
    (in_2("(declare-input A real [2])\n(declare-output A real [2])"), 3, "A is declared twice"),
    (in_2("(declare-input A int8 [2])"), 2, "an element type of real numbers is needed, not 'int8'"),
    (in_2("(declare-input A real)"), 2, "'[' is needed, not ')'"),
    (in_2("(declare-input A real [2,])"), 2, "a natural number is needed, not ']'"),
    (in_2("(declare-input A real [2 3])"), 2, "']' is needed, not '3'"),
    (in_2("(declare-input A real [-1])"), 2, "a natural number is needed, not '-1'"),
    (in_2("(declare-input A real [n])"), 2, "a natural number is needed, not 'n'"),
    (in_2("(declare-input A real [3,0])"), 2, "A has no elements"),
    (in_2("(declare-input A real [4096,4097])"), 2, "more than 16777216 variables"),
    (in_2('(declare-input A real [2] "a")'), 2, "')' is needed, not '\"a\"'"),
    (GOOD_2 + "\n(declare-network g)", 3, "a query about two networks"),
    (GOOD_2 + "(assert (<= A 1))", 2, "A takes 2 indices, not 0"),
    (GOOD_2 + "(assert (<= A[1] 1))", 2, "A takes 2 indices, not 1"),
    (GOOD_2 + "(assert (<= A[2,0] 1))", 2, "A: index 2 of a dimension of 2"),
    (GOOD_2 + "(assert (<= A[0,3] 1))", 2, "A: index 3 of a dimension of 3"),
    (GOOD_2 + "(assert (<= A[] 1))", 2, "a natural number is needed, not ']'"),
    (GOOD_2 + "(assert (<= A[0,-1] 1))", 2, "a natural number is needed, not '-1'"),
    (GOOD_2 + "(assert (<= C[0] 1))", 2, "C takes 0 indices, not 1"),
    (GOOD_2 + "(assert (= C 1))", 2, "an operator of VNN-LIB 2.0 is needed, not '='"),
    (GOOD_2 + "(assert (not (<= C 1)))", 2, "an operator of VNN-LIB 2.0 is needed, not 'not'"),
    (FLAT + "\n; one line\r(assert (<= X_0 1))", 2, "a carriage return that ends no line"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), MALFORMED)
def test_malformed_queries_are_refused(text: str, line: int, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_query(text.encode())
    assert refused.value.args == ("query", f"line {line}", reason)


def test_compressed_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(FLAT.encode())
    assert read_query(data).input_size == INPUTS
    for broken, reason in (
        (data[:-1], "not a valid gzip stream: Compressed file ended before the end-of-stream marker was reached"),
        (data + b"more", "not a valid gzip stream: Not a gzipped file (b'mo')"),
        (gzip.compress(b"\xff"), "not UTF-8: invalid start byte"),
    ):
        with pytest.raises(Refusal) as refused:
            read_query(broken)
        assert refused.value.args == ("query", "file", reason)
    monkeypatch.setattr(query_tokens, "MAX_BYTES", len(FLAT))
    assert read_query(data).input_size == INPUTS
    monkeypatch.setattr(query_tokens, "MAX_BYTES", len(FLAT) - 1)
    with pytest.raises(Refusal, match="more than 119 bytes when decompressed"):
        read_query(data)


DEEP = 10_000


@pytest.mark.parametrize(
    ("start", "opening", "core", "closing", "truth"),
    [
        ("", "(not ", "(<= X_0 1)", ")", True),
        ("", "(and (or ", "(<= X_0 0)", "))", False),
        ("", "(or (< X_0 1) (and (<= X_1 2) ", "(<= X_0 1)", "))", True),
        ("", "(=> (<= X_0 1) ", "(<= X_0 0)", ")", False),
        ("(<= X_0 ", "(+ 0 ", "1", ")", True),
        ("(< X_0 ", "(* -1 ", "1", ")", False),
    ],
)
def test_any_depth_is_read(start: str, opening: str, core: str, closing: str, truth: bool) -> None:
    query = query_of(boxed(f"(assert {start}{opening * DEEP}{core}{closing * DEEP}{')' if start else ''})"))
    assert query.holds_at(*POINT) is truth
    assert next(query.disjuncts()).lower[1:] == (-9, -9)


def test_limits_are_what_the_messages_say() -> None:
    assert (query_syntax.MAX_BITS, query_syntax.MAX_VALUES, query_tokens.MAX_BYTES) == (100_000, 1 << 24, 1 << 30)
