"""A witness satisfies the query exactly and in onnxruntime; everything else is rejected, with a reason."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Network, Replay, to_model_bytes
from secateur.search.attack import Candidate
from secateur.search.question import Question
from secateur.search.witness import Rejection, Witness, WitnessChecker, push_inward, rounded_words
from secateur.specification import Query, parse_query
from tests.search.queries import flat_query, layered, only_question
from tests.strategies import networks

F = Fraction
IDENTITY = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
TWO = (
    "(vnnlib-version <2.0>)"
    "(declare-network f (declare-input X {0} [1,2]) (declare-output Y {0} [2]))"
    "(declare-network g (declare-input U {1} [2,1]) (declare-output V {1} []))"
    "(assert (and (>= X[0,0] 0.1) (<= X[0,0] 0.2) (>= X[0,1] -0.1) (<= X[0,1] 0.3)))"
    "(assert (and (== X[0,0] U[0,0]) (== X[0,1] U[1,0])))"
    "(assert (>= (+ Y[0] Y[1]) (+ V 0.01)))"
)


def soon() -> float:
    return time.monotonic() + 20.0


def checker_of(query: Query, *parts: Network, nearest: bool = False) -> tuple[WitnessChecker, Question]:
    def replays() -> list[Replay]:
        return [Replay(to_model_bytes(part)) for part in parts]

    return WitnessChecker(query, parts, replays, nearest=nearest), only_question(query, *parts)


def confirmed(query: Query, point: list[float] | list[Fraction], *parts: Network, nearest: bool = False) -> Witness | Rejection:
    checker, question = checker_of(query, *parts, nearest=nearest)
    return checker.confirm(question, point)


@given(
    networks(max_layers=2),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.integers(-8, 8).map(lambda n: n / 4),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_a_witness_is_never_a_point_that_exact_evaluation_refutes(
    network: Network, coordinates: list[float], bound: float, strict: bool
) -> None:
    relation, last = "<" if strict else "<=", network.output_size - 1
    query = flat_query([("-1", "0.7")] * network.input_size, last + 1, f"({relation} Y_{last} (+ X_0 {bound}))")
    point = coordinates[: network.input_size]
    result = confirmed(query, point, network)
    rounded = [min(max(F(float(np.float32(x))), F(-1)), F(float(np.float32(0.7)))) for x in point]
    value = network.exact(rounded).output[last] - rounded[0] - F(bound)
    if isinstance(result, Witness):
        assert result.exact_inputs == tuple(rounded)
        assert value <= 0
        assert not (strict and value == 0)
        assert result.exact_outputs[0][last] == value + rounded[0] + F(bound)
        replayed = F(float(result.outputs[0][last])) - rounded[0] - F(bound)
        assert replayed <= 0
        assert not (strict and replayed == 0)
    elif result.reason.startswith("evaluated exactly"):
        assert value > 0 or (strict and value == 0)
    else:
        assert result.reason.startswith("evaluated by onnxruntime")
        assert value <= 0


def test_a_violation_that_float32_does_not_show_is_rejected() -> None:
    # x + 2^25 has no room for x in float32: the file returns 0 where the network means x.
    network = layered(([[1.0]], [2.0**25]), ([[1.0]], [-(2.0**25)]))
    result = confirmed(flat_query([("0.25", "0.5")], 1, "(>= Y_0 0.2)"), [0.3], network)
    assert result == Rejection("evaluated by onnxruntime, the point misses the query by 0.2")


def test_a_violation_that_only_float32_shows_is_rejected() -> None:
    network = layered(([[1.0]], [2.0**25]), ([[1.0]], [-(2.0**25)]))
    result = confirmed(flat_query([("0.25", "0.5")], 1, "(<= Y_0 0.125)"), [0.25], network)
    assert result == Rejection("evaluated exactly, the point misses the query by 0.125")


def test_a_violation_between_two_float32_numbers_is_rejected() -> None:
    query = flat_query([("0", "1")], 1, "(and (>= Y_0 0.3333333333) (<= Y_0 0.3333333334))")
    result = confirmed(query, [F(1, 3)], IDENTITY)
    assert isinstance(result, Rejection)
    assert result.reason.startswith("evaluated exactly, the point misses the query by")
    assert not result.final


def test_onnxruntime_is_not_needed_for_what_exact_evaluation_refutes() -> None:
    def replays() -> list[Replay]:
        raise AssertionError("the replay was made")

    query = flat_query([("0", "1")], 1, "(>= Y_0 2)")
    checker = WitnessChecker(query, [IDENTITY], replays)
    assert isinstance(checker.confirm(only_question(query, IDENTITY), [0.5]), Rejection)


def test_values_beyond_float32_are_rejected() -> None:
    network = layered(([[2.0**100]], [0.0]), ([[2.0**100]], [0.0]))
    result = confirmed(flat_query([("1", "2")], 1, "(>= Y_0 0)"), [1.0], network)
    assert result == Rejection("onnxruntime returns a value that is no finite number")


@pytest.mark.parametrize("point", [[float("nan")], [float("inf")], [F(10) ** 400]])
def test_points_that_are_not_finite_are_rejected(point: list[float]) -> None:
    assert confirmed(flat_query([("0", "1")], 1, "(>= Y_0 0)"), point, IDENTITY) == Rejection("the point is not finite")


@pytest.mark.parametrize(("low", "high"), [("0.1", "0.1"), ("0.10000000149011613", "0.10000000149011613"), ("1e39", "1e40")])
def test_a_range_without_float32_numbers_is_final(low: str, high: str) -> None:
    query = flat_query([("0", "1"), (low, high)], 1, "(>= Y_0 0)")
    network = layered(([[1.0, 0.0]], [0.0]), ([[1.0]], [0.0]))
    checker, question = checker_of(query, network)
    expected = Rejection("no float32 number in the range of input X_1", final=True)
    assert checker.confirm(question, [0.5, float(low)]) == expected
    assert checker.first_confirmed(question, [Candidate(0, np.array([0.5, float(low)]), 1.0)], soon()) == expected


def test_the_nearest_number_stands_in_for_a_fixed_input_where_that_is_allowed() -> None:
    query = flat_query([("0.1", "0.1")], 1, "(>= Y_0 0.05)")
    result = confirmed(query, [0.1], IDENTITY, nearest=True)
    assert isinstance(result, Witness)
    assert (result.exact_inputs, result.exact_outputs) == ((F(1, 10),), ((F(1, 10),),))
    assert result.inputs[0].tolist() == [float(np.float32(0.1))]
    assert result.text() == "((X_0 0.1)\n (Y_0 0.1))\n"
    # What only the nearest number satisfies is still rejected, and so is a number beyond the type.
    tight = flat_query([("0.1", "0.1")], 1, "(> Y_0 0.1)")
    assert confirmed(tight, [0.1], IDENTITY, nearest=True) == Rejection(
        "evaluated exactly, the point misses the query by a tie with a strict condition"
    )
    far = confirmed(flat_query([("1e39", "1e39")], 1, "(>= Y_0 0)"), [1e39], IDENTITY, nearest=True)
    assert far == Rejection("no float32 number in the range of input X_0", final=True)


def test_points_are_rounded_into_the_box() -> None:
    query = flat_query([("0.1", "0.7")], 1, "(>= Y_0 0)")  # both nearest float32 numbers lie outside: 0.1 rounds up, 0.7 down
    for given_, direction in ((0.1, 1), (0.7, -1), (-5.0, 1), (5.0, -1)):
        result = confirmed(query, [given_], IDENTITY)
        assert isinstance(result, Witness)
        (value,) = result.exact_inputs
        assert F(1, 10) <= value <= F(7, 10)
        beyond = float(np.nextafter(result.inputs[0][0], np.float32(-direction * 9)))
        assert beyond < F(1, 10) or beyond > F(7, 10)


def test_a_thin_candidate_is_pushed_inward() -> None:
    query = flat_query([("0", "1")], 1, "(< Y_0 0.5)")
    checker, question = checker_of(query, IDENTITY)
    thin = np.array([0.5 - 1e-12])
    assert isinstance(checker.confirm(question, thin), Rejection)
    result = checker.first_confirmed(question, [Candidate(0, thin, 1e-12)], soon())
    assert isinstance(result, Witness)
    assert result.exact_inputs[0] < F(1, 2)
    assert push_inward(question, thin, soon())[0] < 0.5 - 1e-3


def test_a_clear_candidate_comes_first() -> None:
    query = flat_query([("0", "1")], 1, "(< Y_0 0.5)")
    checker, question = checker_of(query, IDENTITY)
    candidates = [Candidate(0, np.array([0.5 - 1e-12]), 9.0), Candidate(0, np.array([0.25]), 1.0)]
    result = checker.first_confirmed(question, candidates, time.monotonic() - 1.0)  # time for one attempt only
    assert isinstance(result, Witness)
    assert result.exact_inputs == (F(1, 4),)
    assert checker.first_confirmed(question, [], soon()) == Rejection("there is no candidate")


@given(st.lists(st.floats(-1, 2, width=32), min_size=2, max_size=2))
@settings(deadline=None, max_examples=40)
def test_text_of_version_1_reads_back(point: list[float]) -> None:
    network = layered((np.eye(2), [0.125, 0.0]), ([[1.0, -1.0], [0.5, 2.0]], [0.0, -3.0]))
    query = flat_query([("-0.3", "0.7"), ("0.1", "1.9")], 2, "(<= Y_1 9)")
    result = confirmed(query, point, network)
    assert isinstance(result, Witness)
    text = result.text()
    assert text.startswith("((X_0 ")
    assert text.endswith("))\n")
    pairs = re.findall(r"\((\w+) (-?[0-9]+(?:\.[0-9]+)?)\)", text)
    assert [name for name, _ in pairs] == ["X_0", "X_1", "Y_0", "Y_1"]
    assert [np.float32(value) for _, value in pairs] == [*result.inputs[0], *result.outputs[0]]
    assert F(-3, 10) <= F(pairs[0][1]) <= F(7, 10)
    assert F(1, 10) <= F(pairs[1][1]) <= F(19, 10)


@pytest.mark.parametrize(
    ("low", "high", "point", "expected"),
    [
        ("0", "1", 0.025, "0.025"),
        ("0", "1", 0.1, "0.1"),
        ("0.1", "0.2", 0.1, "0.100000001"),  # the shortest would lie on the bound, where the number does not
        ("0.100000001", "0.2", 0.1, "0.1000000015"),
        ("0.10000000149011611938", "0.10000000149011611939", 0.1, "0.100000001490116119385"),  # not exact
        ("0.5", "0.5", 0.5, "0.5"),
        ("-1", "1", -0.0, "0.0"),
        ("0", "1", 1e-45, "0." + "0" * 44 + "1"),
        ("0", "3.1e38", 3e38, "3" + "0" * 38 + ".0"),
    ],
)
def test_decimals_lie_in_the_box(low: str, high: str, point: float, expected: str) -> None:
    result = confirmed(flat_query([(low, high)], 1, "(>= Y_0 0)"), [point], IDENTITY)
    assert isinstance(result, Witness)
    assert result.text().splitlines()[0].removeprefix("((X_0 ").removesuffix(")") == expected


@pytest.mark.parametrize(("first", "second"), [("float32", "float32"), ("float32", "float64"), ("float64", "float16")])
def test_text_of_version_2_reads_back_and_shared_inputs_are_the_same_numbers(first: str, second: str) -> None:
    f = layered(([[2.0, 1.0], [0.0, 1.0]], [1.0, 0.5]), (np.eye(2), [0.0, 0.0]), element_type=first)
    g = layered(([[1.0, -1.0]], [0.0]), ([[1.0]], [0.0]), element_type=second)
    query = parse_query(TWO.format(first, second), "query")
    result = confirmed(query, [0.1, 1 / 7], f, g)
    assert isinstance(result, Witness)
    assert [a.dtype.name for a in result.inputs] == [first, second]
    assert result.inputs[0].tolist() == result.inputs[1].tolist()
    lines = result.text().splitlines()
    headers = [i for i, line in enumerate(lines) if not re.fullmatch(r"-?[0-9]+\.[0-9]+", line)]
    assert [lines[i] for i in headers] == [f"X {first} [1,2]", f"Y {first} [2]", f"U {second} [2,1]", f"V {second} []"]
    blocks = [lines[a + 1 : b] for a, b in zip(headers, [*headers[1:], len(lines)], strict=True)]
    assert blocks[0] == blocks[2]
    types = [np.dtype(name).type for name in (first, first, second, second)]
    arrays = [result.inputs[0], result.outputs[0], result.inputs[1], result.outputs[1]]
    for block, kind, array in zip(blocks, types, arrays, strict=True):
        assert [kind(value) for value in block] == array.tolist()
    assert F(1, 10) <= F(blocks[0][0]) <= F(1, 5)


# --- networks without a file


def exactly(query: Query, point: list[float] | list[Fraction], *parts: Network) -> Witness | Rejection:
    return WitnessChecker(query, parts, None, nearest=True).confirm(only_question(query, *parts), point)


def test_without_a_file_exact_evaluation_decides() -> None:
    """What float32 does not show is a witness all the same, and nothing was replayed."""
    network = layered(([[1.0]], [2.0**25]), ([[1.0]], [-(2.0**25)]))
    result = exactly(flat_query([("0.25", "0.5")], 1, "(>= Y_0 0.2)"), [0.3], network)
    assert isinstance(result, Witness)
    assert result.exact_inputs == (F(float(np.float32(0.3))),)
    assert result.exact_outputs == (result.exact_inputs,)
    assert (result.inputs, result.outputs) == ((), ())
    with pytest.raises(ValueError, match="no network file"):
        result.text()
    missed = exactly(flat_query([("0.25", "0.5")], 1, "(<= Y_0 0.125)"), [0.25], network)
    assert missed == Rejection("evaluated exactly, the point misses the query by 0.125")


def test_without_a_file_a_point_need_not_be_a_number_of_the_type() -> None:
    """There is no float32 number between the two decimals, so that 1/3 is taken as it is."""
    thin = flat_query([("0", "1")], 1, "(>= Y_0 0.3333333333)", "(<= Y_0 0.3333333334)")
    result = exactly(thin, [F(1, 3)], IDENTITY)
    assert isinstance(result, Witness)
    assert result.exact_inputs == (F(1, 3),)


def test_without_a_file_points_outside_are_moved_into_the_box() -> None:
    result = exactly(flat_query([("0.1", "0.2")], 1, "(<= Y_0 0.1)"), [0.05], IDENTITY)
    assert isinstance(result, Witness)
    assert result.exact_inputs == (F(1, 10),)


@pytest.mark.parametrize(
    ("value", "words"), [(F(1, 8), "0.125"), (F(10) ** 400 * 2, "2.00e+400"), (F(1, 3 * 10**330), "3.33e-331")]
)
def test_numbers_of_any_size_are_put_in_words(value: Fraction, words: str) -> None:
    assert rounded_words(value) == words


def test_a_point_that_misses_by_more_than_a_float_is_rejected_in_words() -> None:
    """A bound of 320 digits over the smallest coefficient that a float holds; rows are scaled to coefficients of 1."""
    query = flat_query([("-1", "1")], 1, f"(<= (* 0.{'0' * 299}1 Y_0) -{10**7}.0)")
    checker, question = checker_of(query, IDENTITY)
    result = checker.confirm(question, [F(0)])
    assert result == Rejection("evaluated exactly, the point misses the query by 1.00e+307")
