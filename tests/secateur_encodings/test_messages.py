"""The protocol between parent and child: everything survives the way there and back, nonsense is refused."""

from __future__ import annotations

import io
import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_encodings import Problem, Sat, Unknown, Unsat, Verdict
from secateur_encodings.messages import (
    ChildError,
    MessageError,
    Query,
    answer_to_json,
    failure,
    greeting,
    read_answer,
    read_greeting,
    read_message,
    read_query,
    write_message,
)
from tests.secateur_encodings.support import fractions, hard_problem, problems

VERDICTS = st.one_of(
    st.just(Unsat()),
    st.builds(Unknown, st.text()),
    st.builds(Sat, st.lists(fractions(), max_size=3).map(tuple)),
)


def sent(message: dict[str, object]) -> dict[str, object]:
    """The message after its way through a pipe."""
    stream = io.BytesIO()
    write_message(stream, message)
    stream.seek(0)
    received = read_message(stream)
    assert received is not None
    assert stream.read() == b""
    return received


@settings(deadline=None, max_examples=50)
@given(problems(), st.integers(0, 2**40), st.one_of(st.none(), st.floats(0.001, 1e6)))
def test_queries_arrive_as_they_were_sent(problem: Problem, number: int, limit: float | None) -> None:
    query = Query(number, problem, limit)
    assert read_query(sent(query.to_json())) == query


@settings(deadline=None, max_examples=50)
@given(VERDICTS, st.integers(0, 2**40))
def test_answers_arrive_as_they_were_sent(verdict: Verdict, number: int) -> None:
    assert read_answer(sent(answer_to_json(number, verdict)), number) == verdict


def test_rationals_beyond_pythons_decimal_limit_arrive() -> None:
    verdict = Sat((Fraction(3**20000, 2**30000),))
    assert read_answer(sent(answer_to_json(1, verdict)), 1) == verdict


def test_greetings_and_failures() -> None:
    read_greeting(sent(greeting()))
    with pytest.raises(MessageError, match="no greeting"):
        read_greeting({"ready": False})
    for read in (read_greeting, lambda message: read_answer(message, 1)):
        with pytest.raises(ChildError, match="MemoryError: full"):
            read(sent(failure(MemoryError("full"))))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x00\x00\x00\x05{}",
        b"\xff\xff\xff\xff{}",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x04null",
        b"\x00\x00\x00\x03{x}",
        b"\x00\x00\x00\x02\xff\xfe",
        b'(error "no")\n',
    ],
)
def test_streams_of_nonsense_are_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        read_message(io.BytesIO(data))


def test_nesting_that_exhausts_the_reader_is_refused() -> None:
    data = b"[" * 200_000
    with pytest.raises(MessageError):
        read_message(io.BytesIO(len(data).to_bytes(4, "big") + data))


def test_the_end_of_a_stream_is_no_message() -> None:
    assert read_message(io.BytesIO(b"")) is None


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"number": 1},
        {"number": 2, "verdict": "unsat"},
        {"number": True, "verdict": "unsat"},
        {"number": "1", "verdict": "unsat"},
        {"verdict": "unsat"},
        {"number": 1, "verdict": "UNSAT"},
        {"number": 1, "verdict": "unsat", "model": []},
        {"number": 1, "verdict": "sat"},
        {"number": 1, "verdict": "sat", "model": "1/2"},
        {"number": 1, "verdict": "sat", "model": [0.5]},
        {"number": 1, "verdict": "sat", "model": ["1/0"]},
        {"number": 1, "verdict": "sat", "model": ["1/2/3"]},
        {"number": 1, "verdict": "sat", "model": ["nan/1"]},
        {"number": 1, "verdict": "unknown"},
        {"number": 1, "verdict": "unknown", "reason": 7},
        {"number": 1, "verdict": "unsat", "failure": "x"},
    ],
)
def test_malformed_answers_are_refused(answer: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        read_answer(answer, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number", "1"),
        ("limit", "1"),
        ("problem", None),
        ("problem", {}),
        ("problem", {"inputs": [["0/1"]], "relus": [], "rows": []}),
        ("problem", {"inputs": [["1/1", "0/1"]], "relus": [], "rows": []}),
        ("problem", {"inputs": [["0/1", "1/0"]], "relus": [], "rows": []}),
        ("problem", {"inputs": [], "relus": [], "rows": [[[[[0, "1/1"]], "0/1"], "0/1", False]]}),
        ("problem", {"inputs": [], "relus": [], "rows": [[[[], "0/1"], "0/1", 1]]}),
    ],
)
def test_malformed_queries_are_refused(key: str, value: object) -> None:
    good = json.loads(json.dumps(Query(1, hard_problem(1), 1.0).to_json()))
    assert read_query(good).number == 1
    with pytest.raises(MessageError, match="malformed"):
        read_query({**good, key: value})
    with pytest.raises(MessageError, match="malformed"):
        read_query({k: v for k, v in good.items() if k != key})
