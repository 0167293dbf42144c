"""Questions: is there a point of a box where all rows of some goal hold? What the search decides about a query.

A query's disjuncts over one box become one question: the rows of all disjuncts are the outputs of one network, in
such a way that row r holds where output r is <= 0 (< 0 where the row is strict). Conditions that make two inputs equal are
resolved by making them one coordinate. Exact: rows are composed with the outputs in rationals; each is scaled by a power of two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from weakref import WeakKeyDictionary

import numpy as np

from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from secateur.network.difference import DifferenceNetwork, Pairing, difference_network
from secateur.network.exact import ExactArray
from secateur.network.float32 import require_range
from secateur.network.join import side_by_side
from secateur.specification import Domain, Query
from secateur.specification.vnnlib.formula import Kind, Polytope, Row, Variable

__all__ = ["MOST_GOALS", "Question", "composed", "questions"]

_LARGEST = Fraction(sys.float_info.max)
_SURELY_FLOAT = 1000
"""Bounds below two to this, and their differences, are within float64."""
MOST_GOALS = 256
"""Disjuncts that share one question: its tables grow with their number."""
_MOST_REMEMBERED = 64
"""Rows of a question up to which their composition is remembered, and how many are, for each network."""
_known: WeakKeyDictionary[Affine, dict[tuple[int, tuple[Row, ...], tuple[int, ...]], Affine]] = WeakKeyDictionary()
"""A memory of pure results, as long as their networks live."""


@dataclass(frozen=True, eq=False)
class Question:
    """Is there x in the domain with all rows of some goal satisfied?

    network : its outputs are the rows' values. domain : over its inputs. goals : for each disjunct the rows it consists of.
    strict : whether row r needs a value < 0 rather than <= 0. coordinates : for each input of the query the coordinate of the
    domain that it is. difference : two networks side by side once more, in a form whose bounds are tighter where they differ
    little; its outputs are the same rows.
    """

    network: Network
    domain: Domain
    goals: tuple[tuple[int, ...], ...]
    strict: tuple[bool, ...]
    coordinates: tuple[int, ...]
    difference: DifferenceNetwork | None = None

    @property
    def is_float32(self) -> bool:
        """Whether it is asked of all float32 evaluations, for which exact deciders have no form."""
        return (self.network if self.difference is None else self.difference.network).is_float32

    def query_point(self, point: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """A point of the domain as the query's inputs."""
        return tuple(point[c] for c in self.coordinates)

    def meets(self, point: Sequence[Fraction], values: Sequence[Fraction]) -> bool:
        """Whether exact row values at a point of the domain satisfy some goal."""
        zero = Fraction(0)
        held = [v < zero or (v == zero and not s) for v, s in zip(values, self.strict, strict=True)]
        return self.domain.contains(point) and any(all(held[r] for r in goal) for goal in self.goals)


def questions(query: Query, networks: Sequence[Network], pairing: Pairing | None = None) -> Iterator[Question]:
    """The query as questions whose union it is, streamed in the order of the file.

    `networks` in the order of the query's declarations, the hidden values of each following its outputs; `pairing` of two
    networks that get the same inputs. InputError for an input without bounds, for numbers beyond float64, and for networks that
    stand for float32 evaluations which may overflow, or of which there are several without a pairing; ValueError where a
    network has other outputs than these.
    """
    if [n.output_size for n in networks] != [d.size(Kind.OUTPUT) + d.size(Kind.HIDDEN) for d in query.networks]:
        raise ValueError("every network needs its declared outputs, followed by its hidden values")
    pending: list[Polytope] = []
    for polytope in query.disjuncts():
        if pending and (len(pending) == MOST_GOALS or not _same_box(pending[0], polytope)):
            yield from _question(query, networks, pending, pairing)
            pending = []
        pending.append(polytope)
    if pending:
        yield from _question(query, networks, pending, pairing)


def _same_box(one: Polytope, other: Polytope) -> bool:
    if one.lower != other.lower or one.upper != other.upper:
        return False
    # Disjuncts begin with the conditions that they share, which may be thousands: only what follows can differ.
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(one.rows, other.rows, strict=False)))
    if not any(_compares_inputs(row) for rows in (one.rows, other.rows) for row in rows[shared:]):
        return True
    return _equalities(one) == _equalities(other)


def _compares_inputs(row: Row) -> bool:
    """Whether the row says that an input is at most another one."""
    if len(row.coefficients) != 2 or row.strict or row.bound != 0:
        return False
    (a, c), (b, d) = row.coefficients
    return a.kind is Kind.INPUT and b.kind is Kind.INPUT and c == -d


def _equalities(polytope: Polytope) -> frozenset[tuple[int, int]]:
    """Pairs of inputs (i < j) that two rows of the polytope make equal."""
    differences = set()
    for row in polytope.rows:
        if _compares_inputs(row):
            (a, c), (b, _) = row.coefficients
            differences.add((a.position, b.position, c > 0))
    return frozenset((i, j) for i, j, positive in differences if positive and (i, j, False) in differences)


def _question(
    query: Query, networks: Sequence[Network], polytopes: Sequence[Polytope], pairing: Pairing | None
) -> Iterator[Question]:
    """One question, or none where inputs that are equal have no value in common."""
    first = polytopes[0]
    coordinates = _coordinates(query.input_count, _equalities(first))
    domain = _domain(query, first, coordinates)
    if domain is None:
        return
    offsets = np.cumsum([0, *(n.input_size for n in networks)])
    inputs = [coordinates[offsets[n] : offsets[n + 1]] for n in range(len(networks))]
    joined = side_by_side(networks, inputs, domain.dimension)
    for network, own in zip(networks, inputs, strict=True):
        if network.is_float32:
            require_range(network, [domain.lower[c] for c in own], [domain.upper[c] for c in own], query.source)
    rows: list[Row] = []
    goals = []
    settled = {id(r) for r in first.rows if _is_settled(r, coordinates)}  # rows that disjuncts share are the same objects
    for polytope in polytopes:
        kept = [r for r in polytope.rows if id(r) not in settled and not _is_settled(r, coordinates)]
        goals.append(tuple(range(len(rows), len(rows) + len(kept))))
        rows += kept
    try:
        values = _remembered(query, joined, tuple(rows), coordinates)
    except OverflowError:
        raise _beyond_floats("a condition", query) from None
    network = Network(joined.input_size, joined.layers, values, joined.interface)
    difference = None
    if pairing is not None and inputs[0] == inputs[1] == tuple(range(domain.dimension)):
        low, high = (np.array([float(v) for v in side]) for side in (domain.lower, domain.upper))
        whole = difference_network(networks[0], networks[1], pairing, (low, high))
        difference = whole.with_output(_row_values(query, whole.network, rows, coordinates))
    question = Question(network, domain, tuple(goals), tuple(r.strict for r in rows), coordinates, difference)
    if question.is_float32 != any(network.is_float32 for network in networks):
        problem = "a float32 claim is about one network, or about two with the same inputs that are not too large for split trees"
        raise InputError(problem, where=query.source, remedy="claim it of the reals")
    yield question


def _coordinates(count: int, equalities: frozenset[tuple[int, int]]) -> tuple[int, ...]:
    """Each input's coordinate, inputs that are equal having the same."""
    leader = list(range(count))

    def find(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for i, j in equalities:
        a, b = sorted((find(i), find(j)))
        leader[b] = a
    number: dict[int, int] = {}
    return tuple(number.setdefault(find(i), len(number)) for i in range(count))


def _domain(query: Query, polytope: Polytope, coordinates: Sequence[int]) -> Domain | None:
    """The box; equal inputs share the intersection of their bounds. None where that is empty."""
    size = max(coordinates) + 1
    lower: list[Fraction | None] = [None] * size
    upper: list[Fraction | None] = [None] * size
    for c, low, high in zip(coordinates, polytope.lower, polytope.upper, strict=True):
        known_low, known_high = lower[c], upper[c]
        lower[c] = low if known_low is None else known_low if low is None else max(known_low, low)
        upper[c] = high if known_high is None else known_high if high is None else min(known_high, high)
    bounds = []
    for c, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if low is None or high is None:
            side = "lower" if low is None else "upper"
            problem = f"{_input_name(query, coordinates, c)} has no {side} bound"
            raise InputError(problem, where=query.source, remedy="bound every input on both sides")
        if max(map(_magnitude, (low, high))) > _SURELY_FLOAT and max(abs(low), abs(high), high - low) > _LARGEST:
            raise _beyond_floats(_input_name(query, coordinates, c), query)
        bounds.append((low, high))
    if any(low > high for low, high in bounds):
        return None
    return Domain(tuple(b[0] for b in bounds), tuple(b[1] for b in bounds), query.source)


def _magnitude(value: Fraction) -> int:
    """An exponent e with |value| < 2**e."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1


def _input_name(query: Query, coordinates: Sequence[int], coordinate: int) -> str:
    return f"input {query.name(Variable(Kind.INPUT, coordinates.index(coordinate)))}"


def _beyond_floats(what: str, query: Query) -> InputError:
    return InputError(f"{what} has a number beyond float64", where=query.source, remedy="rescale the query")


def _is_settled(row: Row, coordinates: Sequence[int]) -> bool:
    """Whether the row only says that a coordinate equals itself."""
    if not _compares_inputs(row):
        return False
    (a, _), (b, _) = row.coefficients
    return coordinates[a.position] == coordinates[b.position]


def _remembered(query: Query, network: Network, rows: tuple[Row, ...], coordinates: tuple[int, ...]) -> Affine:
    """`_row_values`, made once for each network and few rows: an engine asks the same of many boxes."""
    if len(rows) > _MOST_REMEMBERED:
        return _row_values(query, network, rows, coordinates)
    known = _known.setdefault(network.output, {})
    key = network.input_size, rows, coordinates
    values = known.get(key)
    if values is None:
        values = _row_values(query, network, rows, coordinates)
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[key] = values
    return values


def _row_values(query: Query, network: Network, rows: Sequence[Row], coordinates: Sequence[int]) -> Affine:
    """The rows as an affine function of the network's sources."""
    over_inputs: list[dict[int, Fraction]] = [{} for _ in rows]
    over_outputs: list[dict[int, Fraction]] = [{} for _ in rows]
    places = _places(query)
    bounds = []
    for r, row in enumerate(rows):
        scale = _scale(row)
        for variable, coefficient in row.coefficients:
            if variable.kind is Kind.INPUT:
                target, place = over_inputs[r], coordinates[variable.position]
            else:
                target, place = over_outputs[r], places[variable.kind][variable.position]
            target[place] = target.get(place, Fraction(0)) + coefficient * scale
        bounds.append(row.bound * scale)
    outer = _matrix(over_outputs, network.output_size)
    return composed(outer, _matrix(over_inputs, network.input_size), bounds, network.output)


def _places(query: Query) -> dict[Kind, list[int]]:
    """Where outputs and hidden values lie among the outputs of all networks: each has its own outputs first."""
    places: dict[Kind, list[int]] = {Kind.OUTPUT: [], Kind.HIDDEN: []}
    begin = 0
    for network in query.networks:
        for kind in places:
            end = begin + network.size(kind)
            places[kind] += range(begin, end)
            begin = end
    return places


def _scale(row: Row) -> Fraction:
    """The power of two that brings the row's largest coefficient to about 1: rows share the columns of one matrix."""
    largest = max((abs(c) for _, c in row.coefficients), default=Fraction(1))
    exponent = largest.numerator.bit_length() - largest.denominator.bit_length()
    return Fraction(2) ** -exponent


def _matrix(rows: Sequence[Mapping[int, Fraction]], width: int) -> ExactArray:
    """The matrix with these entries by column, zeros elsewhere."""
    places = [(r, c) for r, row in enumerate(rows) for c in row]
    entries = ExactArray.of_fractions([v for row in rows for v in row.values()], (len(places),))
    index = np.array(places, dtype=np.intp).reshape(-1, 2)
    return entries.placed((len(rows), width), (index[:, 0], index[:, 1]))


def composed(outer: ExactArray, direct: ExactArray, bounds: Sequence[Fraction], inner: Affine) -> Affine:
    """outer @ inner + direct @ input - bounds; what rounding does to the result is what it does to `inner`."""
    blocks = {0: direct} if direct.rationals is not None or direct.floats.any() else {}
    for term in inner.terms:
        product = outer @ term.map.dense().array()
        blocks[term.source] = blocks[term.source] + product if term.source in blocks else product
    constant = outer @ ExactArray.of_fractions(list(inner.rational_bias()), (inner.size, 1))
    bias = [v - b for v, b in zip(constant.fractions(), bounds, strict=True)]
    whole = ExactArray.of_fractions(bias, (len(bias),))
    terms = tuple(Term(source, Dense(array.floats, array.rationals)) for source, array in sorted(blocks.items()))
    rounding = None
    if inner.rounding is not None:
        shape, free = direct.shape, [Fraction(0)] * len(bounds)
        magnitudes = composed(outer.rearranged(np.abs), ExactArray.full(shape), free, inner.rounding.magnitudes)
        rounding = replace(inner.rounding, magnitudes=magnitudes)
    return Affine(terms, whole.floats, None if whole.rationals is None else tuple(whole.rationals.tolist()), rounding)
