"""What is read is what the text says, and every fault of a file is one line with its place."""

from __future__ import annotations

import gzip
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.specification.vnnlib import And, Kind, Or, Row, Variable, parse_query, read_query
from tests.specification.vnnlib import trees

F = Fraction
X0, X1, Y0 = Variable(Kind.INPUT, 0), Variable(Kind.INPUT, 1), Variable(Kind.OUTPUT, 0)
OLD = "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const X_1 Real)\n"
NEW = (
    "(vnnlib-version <2.0>)\n"
    '(declare-network f (declare-input X float32 [2,3]) (declare-hidden H real [] "relu 1")'
    " (declare-output Y float32 [2]))\n"
)


def row(*terms: tuple[Variable, int], bound: Fraction | int, strict: bool = False) -> Row:
    return Row(tuple((variable, F(c)) for variable, c in terms), F(bound), strict)


@settings(deadline=None, max_examples=150)
@given(
    data=st.data(),
    version=st.sampled_from(["1.0", "2.0"]),
    seed=st.integers(0, 2**32),
)
def test_random_queries_mean_what_they_say(data: st.DataObject, version: str, seed: int) -> None:
    conditions = trees.old_conditions if version == "1.0" else trees.conditions
    asserted = data.draw(st.lists(conditions, min_size=1, max_size=3))
    query = parse_query(trees.query_text(asserted, version, random.Random(seed)))
    assert query.version == version
    assert (query.input_count, query.output_count) == (trees.INPUTS, trees.OUTPUTS)
    for inputs, outputs in data.draw(st.lists(trees.points, min_size=5, max_size=20)):
        expected = all(trees.evaluate(tree, inputs, outputs) for tree in asserted)
        assert query.satisfied_by(inputs, outputs) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(<= X_0 0.5)", row((X0, 1), bound=F(1, 2))),
        ("(>= X_0 0.5)", row((X0, -1), bound=F(-1, 2))),
        ("(< 1e-1 X_0)", row((X0, -1), bound=F(-1, 10), strict=True)),
        ("(> X_0 Y_0)", row((X0, -1), (Y0, 1), bound=0, strict=True)),
        ("(<= (+ X_0 (* 2 Y_0) 1) (- X_1 X_0))", row((X0, 2), (X1, -1), (Y0, 2), bound=-1)),
        ("(<= (- X_0) (- 1 2 3))", row((X0, -1), bound=-4)),
        ("(<= (- X_0 X_0) Y_0)", row((Y0, -1), bound=0)),
        ("(<= (* 2 X_0 3 (- X_1 X_1 -1)) 6)", row((X0, 6), bound=6)),
        ("(<= 1 2)", row(bound=1)),
        ("(== X_0 1)", And((row((X0, 1), bound=1), row((X0, -1), bound=-1)))),
        ("(!= X_0 1)", Or((row((X0, 1), bound=1, strict=True), row((X0, -1), bound=-1, strict=True)))),
        (
            "(not (and (<= X_0 1) (< Y_0 2)))",
            Or((row((X0, -1), bound=-1, strict=True), row((Y0, -1), bound=-2))),
        ),
        ("(=> (<= X_0 1) (<= Y_0 2))", Or((row((X0, -1), bound=-1, strict=True), row((Y0, 1), bound=2)))),
        ("(or (and (<= X_0 1)))", Or((And((row((X0, 1), bound=1),)),))),
    ],
)
def test_the_tree_of_a_condition(text: str, expected: object) -> None:
    query = parse_query(f"{OLD}(assert {text})")
    assert query.assertions == (expected,)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), version=st.sampled_from(["1.0", "2.0"]), seed=st.integers(0, 2**32))
def test_plain_conjunctions_mean_what_they_mean_piece_by_piece(data: st.DataObject, version: str, seed: int) -> None:
    comparisons = st.tuples(st.sampled_from(["<=", ">=", "<", ">"]), trees.variables, trees.variables | trees.constants)
    plain = st.lists(comparisons, min_size=1, max_size=6).map(lambda rows: ("and", *rows))
    tree = data.draw(st.lists(plain, min_size=1, max_size=4).map(lambda children: ("or", *children)))
    text = trees.query_text([tree], version, random.Random(seed)).replace("; (odd] comment", "")
    # A comment in front of every parenthesis: nothing is read in one piece.
    slow = parse_query(text.replace("(", ";\n(").replace(")", ";\n)"))
    fast = parse_query(text)
    assert fast.assertions == slow.assertions
    assert hash(fast.assertions) == hash(slow.assertions)
    assert list(fast.disjuncts()) == list(slow.disjuncts())


def test_plain_conjunctions_of_one_shape() -> None:
    query = parse_query(
        f"{OLD}(assert (or (and (<= X_0 1.5) (> X_1 -2e1)) (and (<= X_0 +.25) (> X_1 3.)) (and (<= X_0 Y_0) (> X_1 3))))"
    )
    assert query.assertions == (
        Or(
            (
                And((row((X0, 1), bound=F(3, 2)), row((X1, -1), bound=20, strict=True))),
                And((row((X0, 1), bound=F(1, 4)), row((X1, -1), bound=-3, strict=True))),
                And((row((X0, 1), (Y0, -1), bound=0), row((X1, -1), bound=-3, strict=True))),
            )
        ),
    )
    assert query.assertions != parse_query(f"{OLD}(assert (or (and (<= X_0 1.5) (> X_1 -2e1))))").assertions


def test_names_that_look_like_numerals() -> None:
    head = "(vnnlib-version <2.0>)(declare-network f (declare-input e1 real [1]) (declare-output E real []))"
    slow, fast = (parse_query(f"{head}(assert (and (<= e1[0] E){c} (>= e1 [ 0 ] 1) (<= E 2)))") for c in (";\n", ""))
    assert fast.assertions == slow.assertions


def test_version_2_declarations() -> None:
    query = parse_query(
        NEW + "(declare-network g (equal-to f) (declare-input U float32 [2,3]) (declare-output V float32 [2]))"
        "(assert (and (<= U[1, 2] X[1,0]) (> V [0] Y[1]) (<= H 1)))"
    )
    f, g = query.networks
    assert (f.name, f.equal_to, f.isomorphic_to) == ("f", None, None)
    assert (g.name, g.equal_to, g.isomorphic_to) == ("g", "f", None)
    assert [(t.name, t.kind, t.element_type, t.shape, t.offset, t.onnx_name) for t in f.inputs + f.hidden] == [
        ("X", Kind.INPUT, "float32", (2, 3), 0, None),
        ("H", Kind.HIDDEN, "real", (), 0, "relu 1"),
    ]
    assert [(t.offset, t.size) for t in g.inputs + g.outputs] == [(6, 6), (2, 2)]
    u, x = Variable(Kind.INPUT, 11), Variable(Kind.INPUT, 3)
    v, y, h = Variable(Kind.OUTPUT, 2), Variable(Kind.OUTPUT, 1), Variable(Kind.HIDDEN, 0)
    assert query.assertions == (
        And((row((x, -1), (u, 1), bound=0), row((y, 1), (v, -1), bound=0, strict=True), row((h, 1), bound=1))),
    )
    assert [query.name(variable) for variable in (u, x, v, y, h)] == ["U[1,2]", "X[1,0]", "V[0]", "Y[1]", "H"]


def test_depth_and_length_do_not_matter() -> None:
    depth = 50_000
    nested = parse_query(f"{OLD}(assert {'(and ' * depth}(<= X_0 1){')' * depth})")
    assert nested.satisfied_by([F(1), F(0)], [F(0)])
    assert not nested.satisfied_by([F(2), F(0)], [F(0)])
    assert [p.upper for p in nested.disjuncts()] == [(F(1), None)]
    total = parse_query(f"{OLD}(assert (<= {'(+ X_0 ' * depth}0{')' * depth} 1))")
    assert total.assertions == (row((X0, depth), bound=1),)
    negated = parse_query(f"{OLD}(assert {'(not ' * 999}(<= X_0 1){')' * 999})")
    assert negated.assertions == (row((X0, -1), bound=-1, strict=True),)


def test_files_plain_and_gzipped(tmp_path: Path) -> None:
    text = f"{OLD}(assert (<= X_0 1))"
    plain, packed = tmp_path / "q.vnnlib", tmp_path / "q.vnnlib.gz"
    plain.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_query(plain).assertions == read_query(packed).assertions == parse_query(text).assertions
    assert read_query(plain).source == str(plain)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            gzip.compress(b"(declare-const X_0 Real)" * 500)[:40],
            "f: is a damaged gzip file: Compressed file ended",
        ),
        (b"\x1f\x8bnonsense", "f: is a damaged gzip file: "),
        (b"(assert \xff)", "f: is no UTF-8 text"),
        (None, "f: cannot be read: No such file or directory"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "q.vnnlib"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_query(path)
    assert str(caught.value).replace(str(path), "f").startswith(expected)


BAD_OLD = [
    ("", "f: declares no input; write (declare-const X_0 Real)"),
    ("(declare-const Y_0 Real)", "f: declares no input; write (declare-const X_0 Real)"),
    (OLD, "f: asserts nothing; add (assert ...)"),
    (
        f"{OLD}(assert (<= X_0 1)",
        "f, line 2: the file ends inside the parenthesis opened here; is it complete?",
    ),
    (f"{OLD}(assert\n(and", "f, line 3: the file ends inside the parenthesis opened here; is it complete?"),
    ("(declare-const X_0", "f, line 1: the file ends inside the parenthesis opened here; is it complete?"),
    ("(", "f, line 1: the file ends inside the parenthesis opened here; is it complete?"),
    (f"{OLD})", "f, line 2: unexpected ')'; a file is a list of (declare-...) and (assert ...)"),
    (
        f"{OLD}(<= X_0 1)",
        "f, line 2: unexpected '(<= X_0 1)'; a file is a list of (declare-...) and (assert ...)",
    ),
    (f"{OLD}((assert (<= X_0 1)))", "f, line 2: unexpected '('"),
    (f"{OLD}(assert (<= X_0 1) (<= X_1 1))", "f, line 2: assert takes one condition, 2 are given"),
    (f"{OLD}(assert)", "f, line 2: assert takes one condition, 0 are given"),
    (f"{OLD}(assert X_0)", "f, line 2: assert takes one condition, not a term"),
    (f"{OLD}(assert\n\n(<= X_0 #))", "f, line 4: unexpected '#'"),
    (f'{OLD}(assert (<= X_0 "1"))', "f, line 2: unexpected '\"1\"'"),
    (f"{OLD}(assert (<= X_0 <=))", "f, line 2: unexpected '<='"),
    (f"{OLD}(assert ())", "f, line 2: unexpected ')'; an operator must follow a parenthesis"),
    (
        f"{OLD}(assert ((<= X_0 1)))",
        "f, line 2: unexpected '(<= X_0 1)'; an operator must follow a parenthesis",
    ),
    (f"{OLD}(assert (<= X_7 1))", "f, line 2: unknown variable 'X_7'; declare it before its use"),
    (
        f"{OLD}(assert\n(and (<= X_0 1)\n (<= X_7 1)))",
        "f, line 4: unknown variable 'X_7'; declare it before its use",
    ),
    (f"{OLD}(and (<= X_0 1))", "f, line 2: unexpected '(<= X_0 1)'"),
    (f"{OLD}\n((and (<= X_0 1)))", "f, line 3: unexpected '('"),
    (f"{OLD}(assert (+ (and (<= X_0 1)) 1))", "f, line 2: + takes terms, not a condition"),
    (f"{OLD}(assert (<= X_0 inf))", "f, line 2: unknown variable 'inf'; declare it before its use"),
    (f"{OLD}(assert (<= X[0] 1))", "f, line 2: unknown variable 'X[0]'; declare it before its use"),
    (f"{OLD}(assert (<= X_0 1.2.3))", "f, line 2: '1.2.3' is not a finite number"),
    (f"{OLD}(assert (<= X_0 0x1F))", "f, line 2: '0x1F' is not a finite number"),
    (f"{OLD}(assert (<= X_0 1/2))", "f, line 2: '1/2' is not a finite number"),
    (f"{OLD}(assert (<= X_0 1e99999))", "f, line 2: the number '1e99999' has too many digits"),
    (
        f"{OLD}(assert (<= X_0\n(* X_1\n(+ Y_0 1))))",
        "f, line 3: the product of X_1 and Y_0 is not linear; at most one factor may depend on variables",
    ),
    (
        f"{OLD}(assert (<= (* 2 X_0 3 X_0) 1))",
        "f, line 2: the product of X_0 and X_0 is not linear; at most one factor may depend on variables",
    ),
    (f"{OLD}(assert (/ X_0 2))", "f, line 2: unexpected '/'; an operator must follow a parenthesis"),
    (f"{OLD}(assert (xor (<= X_0 1)))", "f, line 2: unknown operator 'xor' in version 1.0"),
    (f"{OLD}(assert (<= X_0 X_1 1))", "f, line 2: <= takes two terms, 3 are given"),
    (f"{OLD}(assert (<= (<= X_0 1) 1))", "f, line 2: <= takes two terms, not a condition"),
    (f"{OLD}(assert (<= (+) 1))", "f, line 2: + takes terms, 0 are given"),
    (f"{OLD}(assert (and))", "f, line 2: and takes conditions, 0 are given"),
    (f"{OLD}(assert (or X_0))", "f, line 2: or takes conditions, not a term"),
    (f"{OLD}(assert (not (<= X_0 1) (<= X_1 1)))", "f, line 2: not takes one condition, 2 are given"),
    (f"{OLD}(assert (=> (<= X_0 1)))", "f, line 2: => takes two conditions, 1 are given"),
    (f"{OLD}(declare-const X_0 Real)", "f, line 2: 'X_0' is declared twice"),
    ("(declare-const X_0)", "f, line 1: malformed declare-const; write (declare-const X_0 Real)"),
    ("(declare-const X_0 (Real))", "f, line 1: malformed declare-const; write (declare-const X_0 Real)"),
    (
        "(declare-const X_0 Int)",
        "f, line 1: cannot declare 'X_0' of sort 'Int'; inputs are X_i and outputs Y_j, of sort Real",
    ),
    (
        "(declare-const Z_0 Real)",
        "f, line 1: cannot declare 'Z_0' of sort 'Real'; inputs are X_i and outputs Y_j, of sort Real",
    ),
    ("(declare-const X_0 <)", "f, line 1: unexpected '<'"),
    ("(declare-const X_1 Real)(assert (<= X_1 1))", "f: X_0 is not declared, but a later X is"),
    ("\n(check-sat)", "f, line 2: unknown command 'check-sat'"),
    (
        "(declare-network f)",
        "f, line 1: unknown command 'declare-network'; a file with declare-network begins with (vnnlib-version <2.0>)",
    ),
    (f"{OLD}(vnnlib-version <2.0>)", "f, line 2: vnnlib-version must come first"),
    ("(vnnlib-version <3.1>)", "f, line 1: unknown version '<3.1>'; versions 1.0 and 2.0 are understood"),
    ("(vnnlib-version)", "f, line 1: malformed vnnlib-version; write (vnnlib-version <2.0>)"),
]


@pytest.mark.parametrize(("text", "expected"), BAD_OLD)
def test_malformed_version_1(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_query(text, "f")
    assert str(caught.value) == expected


HEAD, TAIL = "(vnnlib-version <2.0>)\n", "(assert (<= X[0] 1))"
IN, OUT = "(declare-input X real [2])", "(declare-output Y real [2])"
BAD_NEW = [
    (HEAD, "f: declares no network; write (declare-network ...)"),
    (NEW, "f: asserts nothing; add (assert ...)"),
    (
        HEAD + "(declare-const X_0 Real)",
        "f, line 2: unknown command 'declare-const'; version 2.0 declares variables in (declare-network ...)",
    ),
    (HEAD + "(declare-network)", "f, line 2: declare-network without a name"),
    (HEAD + f"(declare-network f {IN})", "f, line 2: network 'f' has no output"),
    (HEAD + f"(declare-network f {OUT})", "f, line 2: network 'f' has no input"),
    (HEAD + f"(declare-network f stray {IN} {OUT})", "f, line 2: unexpected 'stray' in declare-network"),
    (
        HEAD + f"(declare-network f\n(declare-state X real [2]) {OUT})",
        "f, line 3: unknown declaration 'declare-state'",
    ),
    (
        HEAD + f"(declare-network f (declare-input X real) {OUT})",
        "f, line 2: malformed declare-input; write (declare-input NAME TYPE [dims])",
    ),
    (
        HEAD + f"(declare-network f (declare-input X real [2] initialized) {OUT})",
        "f, line 2: malformed declare-input; write (declare-input NAME TYPE [dims])",
    ),
    (
        HEAD + f"(declare-network f {IN} (declare-hidden H real [2]) {OUT})",
        'f, line 2: malformed declare-hidden; write (declare-hidden NAME TYPE [dims] "onnx name")',
    ),
    (
        HEAD + f"(declare-network f (declare-input X string [2]) {OUT})",
        "f, line 2: unknown element type 'string'",
    ),
    (
        HEAD + f"(declare-network f (declare-input X real [n]) {OUT})",
        "f, line 2: [n] is no list of natural numbers",
    ),
    (
        HEAD + f"(declare-network f (declare-input X real [2,-1]) {OUT})",
        "f, line 2: [2,-1] is no list of natural numbers",
    ),
    (HEAD + f"(declare-network f (declare-input X real [2,0]) {OUT})", "f, line 2: 'X' has 0 elements"),
    (
        HEAD + f"(declare-network f (declare-input X real [100000,100000]) {OUT})",
        "f, line 2: 'X' has 10000000000 elements",
    ),
    (
        HEAD + f"(declare-network f (declare-input X-1 real [2]) {OUT})",
        "f, line 2: 'X-1' is no name; a name is a letter followed by letters, digits and underscores",
    ),
    (HEAD + f"(declare-network f {IN} (declare-output X real [2]))", "f, line 2: 'X' is declared twice"),
    (
        HEAD + f"(declare-network f {IN} {OUT})\n(declare-network f {IN} {OUT})",
        "f, line 3: 'f' is declared twice",
    ),
    (
        HEAD + f'(declare-network f (declare-input X real [2] "x") {OUT})',
        "f, line 2: network 'f' gives ONNX names to some inputs and outputs only; name all of them or none",
    ),
    (
        HEAD + f"(declare-network f (equal-to g) {IN} {OUT})",
        "f, line 2: unknown network 'g'; declare it first",
    ),
    (
        HEAD + f"(declare-network f {IN} {OUT})\n"
        "(declare-network g (isomorphic-to f) (declare-input U real [3]) (declare-output V real [2]))",
        "f, line 3: input shapes of 'g' and 'f' differ",
    ),
    (
        HEAD + f"(declare-network f {IN} {OUT}){TAIL}\n(declare-network g {IN} {OUT})",
        "f, line 3: declare-network after an assertion; declare networks before all assertions",
    ),
    (NEW + "(assert (<= X[0] 1))", "f, line 3: 'X[0]' is no element of X, whose shape is [2, 3]"),
    (NEW + "(assert (<= X 1))", "f, line 3: 'X' is no element of X, whose shape is [2, 3]"),
    (NEW + "(assert (<= X[2,0] 1))", "f, line 3: 'X[2,0]' is no element of X, whose shape is [2, 3]"),
    (NEW + "(assert (<= H[0] 1))", "f, line 3: 'H[0]' is no element of H, whose shape is []"),
    (NEW + "(assert (<= X[0,a] 1))", "f, line 3: [0,a] is no list of natural numbers"),
    (NEW + "(assert (<= Z 1))", "f, line 3: unknown variable 'Z'; declare it before its use"),
    (NEW + "(assert (= Y[0] 1))", "f, line 3: unknown operator '=' in version 2.0"),
    (NEW + "(assert (= (+ Y[0]) 1))", "f, line 3: unknown operator '=' in version 2.0"),
    (NEW + "(assert (not (<= Y[0] 1)))", "f, line 3: unknown operator 'not' in version 2.0"),
    (
        NEW + "(assert (<= (* X[0,1] H) 1))",
        "f, line 3: the product of X[0,1] and H is not linear; at most one factor may depend on variables",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD_NEW)
def test_malformed_version_2(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_query(text, "f")
    assert str(caught.value) == expected


@settings(deadline=None, max_examples=200)
@given(data=st.data(), version=st.sampled_from(["1.0", "2.0"]), seed=st.integers(0, 2**32))
def test_damaged_text_is_refused_or_read_but_never_crashes(data: st.DataObject, version: str, seed: int) -> None:
    tree = data.draw(trees.conditions)
    text = trees.query_text([tree], version, random.Random(seed))
    cut = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(alphabet='()[]<=>!-+*;"X_0.,1e \n', max_size=4))
    damaged = text[:cut] + junk + text[cut + data.draw(st.integers(0, 4)) :]
    refusal, assertions = "", 0
    try:
        assertions = len(parse_query(damaged, "f").assertions)
    except InputError as error:  # either outcome is right, any other exception is not
        refusal = str(error)
    assert (assertions > 0) != refusal.startswith("f")
    assert "\n" not in refusal
