"""What the engine and a solver child say to each other: length-prefixed JSON, rationals as hexadecimal "p/q".

Hexadecimal, because Python refuses decimal text of more than 4,300 digits and reads long decimals slowly. No
pickle: a child that answers nonsense must not be able to do worse than be refused. Every reader raises
`MessageError` on anything but a message in its exact form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

from secateur_encodings.problem import Interval, LinearForm, Problem, Relu, Row
from secateur_encodings.verdict import Sat, Unknown, Unsat, Verdict

__all__ = [
    "ChildError",
    "MessageError",
    "Query",
    "answer_to_json",
    "failure",
    "greeting",
    "read_answer",
    "read_greeting",
    "read_message",
    "read_query",
    "write_message",
]

#: A longer message is taken for nonsense.
LONGEST_MESSAGE = 1 << 28
PREFIX_BYTES = 4


class MessageError(ValueError):
    """A message that does not have its form, or a stream that ended within one."""


class ChildError(RuntimeError):
    """The child says that it failed, and how. It ends after that."""


@dataclass(frozen=True)
class Query:
    """One question to a child; `limit` is in seconds, None for none. The answer carries the same `number`."""

    number: int
    problem: Problem
    limit: float | None

    def to_json(self) -> dict[str, object]:
        return {"number": self.number, "problem": _problem_to_json(self.problem), "limit": self.limit}


def greeting() -> dict[str, object]:
    """What a child says once, when it has loaded its solver."""
    return {"ready": True}


def failure(error: Exception) -> dict[str, object]:
    """What a child says last, in place of a greeting or an answer."""
    return {"failure": f"{type(error).__name__}: {error}"}


def write_message(stream: IO[bytes], message: dict[str, object]) -> None:
    data = json.dumps(message, separators=(",", ":")).encode()
    stream.write(len(data).to_bytes(PREFIX_BYTES, "big") + data)
    stream.flush()


def read_message(stream: IO[bytes]) -> dict[str, object] | None:
    """The next message, or None where the stream ends before one."""
    prefix = stream.read(PREFIX_BYTES)
    if not prefix:
        return None
    size = int.from_bytes(prefix, "big")
    if len(prefix) < PREFIX_BYTES or size > LONGEST_MESSAGE:
        raise MessageError("a message starts without a sensible length")
    data = stream.read(size)
    if len(data) < size:
        raise MessageError("a message is cut short")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MessageError("a message is not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("a message is not a JSON object")
    return message


def read_greeting(message: dict[str, object]) -> None:
    """Raises unless the message is a greeting."""
    _raise_failure(message)
    if message != greeting():
        raise MessageError("no greeting")


def _raise_failure(message: dict[str, object]) -> None:
    match message:
        case {"failure": str(reason)} if len(message) == 1:
            raise ChildError(reason)


def read_query(message: dict[str, object]) -> Query:
    try:
        limit = message["limit"]
        number = message["number"]
        if not isinstance(number, int) or not (limit is None or isinstance(limit, float | int)):
            raise TypeError("number or limit")
        return Query(number, _problem_from_json(message["problem"]), limit)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise MessageError(f"a query is malformed: {error}") from error


def answer_to_json(number: int, verdict: Verdict) -> dict[str, object]:
    match verdict:
        case Unsat():
            return {"number": number, "verdict": "unsat"}
        case Sat(model):
            return {"number": number, "verdict": "sat", "model": [_rational(value) for value in model]}
        case Unknown(reason):
            return {"number": number, "verdict": "unknown", "reason": reason}


def read_answer(message: dict[str, object], number: int) -> Verdict:
    """The verdict in an answer to question `number`; a model is read, not yet replayed."""
    _raise_failure(message)
    if message.get("number") != number or isinstance(message["number"], bool):
        raise MessageError("an answer to another question")
    fields = {key: value for key, value in message.items() if key != "number"}
    match fields:
        case {"verdict": "unsat"} if len(fields) == 1:
            return Unsat()
        case {"verdict": "sat", "model": list(model)} if len(fields) == 2:
            return Sat(tuple(_model_value(text) for text in model))
        case {"verdict": "unknown", "reason": str(reason)} if len(fields) == 2:
            return Unknown(reason)
    raise MessageError("an answer without a verdict")


def _model_value(text: object) -> Fraction:
    try:
        return _fraction(text)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise MessageError("a model with a value that is no rational") from error


def _rational(value: Fraction) -> str:
    return f"{value.numerator:x}/{value.denominator:x}"


def _fraction(text: object) -> Fraction:
    if not isinstance(text, str):
        raise TypeError("a rational must be text")
    numerator, denominator = text.split("/")
    return Fraction(int(numerator, 16), int(denominator, 16))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a flag must be true or false")
    return value


def _form_to_json(form: LinearForm) -> list[object]:
    return [[[v, _rational(c)] for v, c in form.terms], _rational(form.constant)]


def _form_from_json(data: Any) -> LinearForm:
    terms, constant = data
    return LinearForm(tuple((int(v), _fraction(c)) for v, c in terms), _fraction(constant))


def _problem_to_json(problem: Problem) -> dict[str, object]:
    return {
        "inputs": [[_rational(x.lower), _rational(x.upper)] for x in problem.inputs],
        "relus": [[_form_to_json(r.pre), _rational(r.lower), _rational(r.upper)] for r in problem.relus],
        "rows": [[_form_to_json(r.form), _rational(r.bound), r.strict] for r in problem.rows],
    }


def _problem_from_json(data: Any) -> Problem:
    return Problem(
        inputs=tuple(Interval(_fraction(low), _fraction(high)) for low, high in data["inputs"]),
        relus=tuple(Relu(_form_from_json(pre), _fraction(low), _fraction(high)) for pre, low, high in data["relus"]),
        rows=tuple(Row(_form_from_json(form), _fraction(bound), _flag(strict)) for form, bound, strict in data["rows"]),
    )
