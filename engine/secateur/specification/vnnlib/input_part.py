"""The input part of a query as one box.

Conditions that mention an output or a hidden value say what is asked, not where: they are replaced by "true".
What remains must be one closed box; a relaxation would change the question, so everything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NoReturn

from secateur.errors import InputError
from secateur.specification.domain import Domain
from secateur.specification.numerals import format_rational
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Polytope, Row, Variable, fold
from secateur.specification.vnnlib.normal_form import Conjunction, conjunctions

if TYPE_CHECKING:
    from secateur.specification.vnnlib.query import Query

__all__ = ["input_box"]

_ONE_BOX = "the domain must be one closed box"


def input_box(query: Query) -> Domain:
    """See `Query.input_box`."""
    if len({network.size(Kind.INPUT) for network in query.networks}) > 1:
        _refuse(query, "the declared networks have inputs of different sizes", "give a domain for one network")
    parts = [part for part in map(_about_inputs, query.assertions) if part is not None]
    boxes = (_one_network(query, polytope) for polytope in conjunctions(parts, query.input_count))
    first = next(boxes, None)
    if first is None:
        _refuse_contradiction(query, parts)
    if any(box != first for box in boxes):
        _refuse(query, "the inputs range over a union of several boxes", "split the file into one query per box")
    bounds = tuple(_require(query, side, index, bound) for side, index, bound in _sides(first))
    size = len(bounds) // 2
    return Domain(bounds[:size], bounds[size:], query.source)


def _about_inputs(formula: Formula) -> Formula | None:
    """The formula with every row that mentions more than inputs made true; None where it is true itself."""

    def leaf(row: Row) -> Formula | None:
        return row if all(v.kind is Kind.INPUT for v, _ in row.coefficients) else None

    def join(node: And | Or, children: list[Formula | None]) -> Formula | None:
        kept = tuple(child for child in children if child is not None)
        if isinstance(node, And):
            return And(kept) if kept else None
        return Or(kept) if len(kept) == len(children) else None

    return fold(formula, leaf, join)


def _one_network(query: Query, polytope: Polytope) -> Polytope:
    """The box of the first network; refuses rows, except those that tie other networks' inputs to it."""
    size = query.networks[0].size(Kind.INPUT)
    ties = {row.coefficients for row in polytope.rows if _is_tie(row, size)}
    complete = {c for c in ties if tuple((v, -a) for v, a in c) in ties}
    for row in polytope.rows:
        if row.coefficients not in complete:
            _refuse_row(query, row)
    tied = {second.position for (_, _), (second, _) in complete}
    for index in range(size, query.input_count):
        if index not in tied:
            name = query.name(Variable(Kind.INPUT, index))
            _refuse(query, f"the input {name} is not tied to the first network's", f"assert that {name} equals it")
    return _merge(query, polytope, size)


def _is_tie(row: Row, size: int) -> bool:
    """Whether a row is half of `x == x'`, x an input of the first network, x' the same input of another."""
    if row.strict or row.bound or len(row.coefficients) != 2:
        return False
    (first, a), (second, b) = row.coefficients
    return a == -b and abs(a) == 1 and first.position < size and (second.position - first.position) % size == 0


def _merge(query: Query, polytope: Polytope, size: int) -> Polytope:
    """The bounds of all tied inputs intersected, on the first network's inputs."""
    state = Conjunction(list(polytope.lower[:size]), list(polytope.upper[:size]))
    for index in range(size, len(polytope.lower)):
        for bound, sign in ((polytope.lower[index], -1), (polytope.upper[index], 1)):
            if bound is not None:
                variable = Variable(Kind.INPUT, index % size)
                state.assume(Row(((variable, Fraction(sign)),), sign * bound, False), None)
    if state.conflict is not None:
        _refuse_conflict(query, state)
    return state.polytope()


def _sides(box: Polytope) -> Iterator[tuple[str, int, Fraction | None]]:
    for side, values in (("lower", box.lower), ("upper", box.upper)):
        yield from ((side, index, value) for index, value in enumerate(values))


def _require(query: Query, side: str, index: int, bound: Fraction | None) -> Fraction:
    if bound is None:
        relation = ">=" if side == "lower" else "<="
        name = query.name(Variable(Kind.INPUT, index))
        _refuse(query, f"input {name} (coordinate {index}) has no {side} bound", f"assert ({relation} {name} ...)")
    return bound


def _refuse_row(query: Query, row: Row) -> NoReturn:
    terms = " + ".join(f"{format_rational(c)} {query.name(v)}" for v, c in row.coefficients[:3])
    terms += " + ..." if len(row.coefficients) > 3 else ""
    text = f"{terms} {'<' if row.strict else '<='} {format_rational(row.bound)}"
    if row.strict and len(row.coefficients) == 1:
        _refuse(query, f"the input bound {text} is strict", f"{_ONE_BOX}: use <= or >=")
    _refuse(query, f"the input condition {text} is no bound of a single input", _ONE_BOX)


def _refuse_contradiction(query: Query, parts: list[Formula]) -> NoReturn:
    size = query.input_count
    state = Conjunction([None] * size, [None] * size)
    state.assume(And(tuple(parts)), None)
    _refuse_conflict(query, state)


def _refuse_conflict(query: Query, state: Conjunction) -> NoReturn:
    index = state.conflict
    low, high = (None, None) if index in (None, -1) else (state.lower[index], state.upper[index])
    if index is None or low is None or high is None:
        _refuse(query, "the conditions on the inputs contradict each other", "give a box that is not empty")
    name = query.name(Variable(Kind.INPUT, index))
    bounds = f"lower bound {format_rational(low)} is above upper bound {format_rational(high)}"
    _refuse(query, f"input {name} (coordinate {index}): {bounds}", "give a box that is not empty")


def _refuse(query: Query, problem: str, remedy: str) -> NoReturn:
    raise InputError(problem, where=query.source, remedy=remedy)
