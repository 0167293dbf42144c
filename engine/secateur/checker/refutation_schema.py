"""The evidence of a refuted leaf, read from JSON (section 13 of the format); nothing in it is believed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from secateur.checker.schema import MAX_INTEGER, bad, read_integer, read_list, read_object

__all__ = ["Consequence", "Lemma", "Refutation", "read_refutation"]

MAX_DIGITS = 10_000
_CHUNK = 4_000  # digits that Python reads at once, whatever its limit is set to
_INTEGER = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}")

Clause = tuple[int, ...]


@dataclass(frozen=True)
class Lemma:
    """A clause that the multipliers of the goal's rows and of the refutation's neurons show."""

    clause: Clause
    rows: tuple[int, ...]
    multipliers: tuple[int, ...]


@dataclass(frozen=True)
class Consequence:
    """A clause that follows from those before it."""

    clause: Clause


@dataclass(frozen=True)
class Refutation:
    """The neurons that the clauses are about, by name, and the steps that lead to the empty clause."""

    neurons: tuple[tuple[int, ...], ...]
    steps: tuple[Lemma | Consequence, ...]


def _integer(value: Any, where: str) -> int:
    """An integer from its decimal digits."""
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise bad(where, f"the text of an integer of at most {MAX_DIGITS:,} digits is needed")
    digits, total = value.removeprefix("-"), 0
    for at in range(0, len(digits), _CHUNK):
        chunk = digits[at : at + _CHUNK]
        total = total * 10 ** len(chunk) + int(chunk)
    return -total if value.startswith("-") else total


def _weight(value: Any, where: str) -> int:
    weight = _integer(value, where)
    if weight < 0:
        raise bad(where, "the multiplier of a row is negative")
    return weight


def _integers(value: Any, where: str, wanted: int, read: Any, what: str) -> tuple[int, ...]:
    found = read_list(value, where, read)
    if len(found) != wanted:
        raise bad(where, f"{len(found)} multipliers for {wanted} {what}")
    return found


def _neuron(value: Any, where: str, sides: int) -> tuple[int, ...]:
    """[layer, neuron], or [side, layer, neuron] of two networks."""
    ranges = [(1, MAX_INTEGER), (0, MAX_INTEGER)] if sides == 1 else [(0, 1), (1, MAX_INTEGER), (0, MAX_INTEGER)]
    if not isinstance(value, list) or len(value) != len(ranges):
        raise bad(where, f"{len(ranges)} integers are needed")
    return tuple(read_integer(number, where, *own) for number, own in zip(value, ranges, strict=True))


def _clause(value: Any, where: str, neurons: int) -> Clause:
    clause: Clause = read_list(value, where, lambda v, w: read_integer(v, w, -neurons, neurons))
    if 0 in clause:
        raise bad(where, "0 is no literal")
    if len(set(map(abs, clause))) != len(clause):
        raise bad(where, "a neuron occurs twice")
    return clause


def _step(value: Any, where: str, rows: int, neurons: int) -> Lemma | Consequence:
    lemma = isinstance(value, dict) and len(value) > 1
    value = read_object(value, where, "clause rows multipliers" if lemma else "clause")
    clause = _clause(value["clause"], f"{where}.clause", neurons)
    if not lemma:
        return Consequence(clause)
    weights = _integers(value["rows"], f"{where}.rows", rows, _weight, "rows")
    return Lemma(clause, weights, _integers(value["multipliers"], f"{where}.multipliers", neurons, _integer, "neurons"))


def read_refutation(value: Any, rows: int, sides: int) -> Refutation:
    """The refutation of a goal with so many rows, about one network or two (`sides`)."""
    value = read_object(value, "", "neurons steps")
    neurons = read_list(value["neurons"], "neurons", lambda v, w: _neuron(v, w, sides))
    if len(set(neurons)) != len(neurons):
        raise bad("neurons", "a neuron is listed twice")
    return Refutation(neurons, read_list(value["steps"], "steps", lambda v, w: _step(v, w, rows, len(neurons))))
