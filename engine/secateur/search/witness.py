"""Witnesses: what makes a candidate an answer, and how it is written down.

A candidate is rounded to numbers of the network's own element type within the exact box, evaluated exactly, and replayed by
onnxruntime on the original file; it is a witness only where both sets of outputs satisfy the query, decided in rationals.
Networks that exist in memory alone have no file to replay: there exact evaluation decides, at any rational point of the box.
Whatever fails on the way is a `Rejection`, never an answer. Begin at `WitnessChecker.first_confirmed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from secateur.network import Network, Replay
from secateur.search.attack import Attack, Candidate, nearest_floats
from secateur.search.question import Question
from secateur.specification import Query
from secateur.specification.numerals import format_rational, shown
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Row, Valuation, Variable, fold
from secateur.specification.vnnlib.query import TensorDeclaration

__all__ = ["Rejection", "Witness", "WitnessChecker", "push_inward", "rounded_words"]

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating[Any]]

_MOST_TRIED = 4
"""Candidates of one batch that are evaluated exactly: where the widest margins fail, thinner ones rarely do better."""
_NEVER = Fraction(1 << 1023)
"""What an empty disjunction misses by."""


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is no witness; `final` where no other point of the question can be one either."""

    reason: str
    final: bool = False


@dataclass(frozen=True, eq=False)
class Witness:
    """A point that satisfies a query, both exactly and, where there are files, as onnxruntime evaluates it.

    inputs, outputs, hidden : one flat array per network of the query, in its element type, as onnxruntime read and returned them;
    all empty where there was no file to replay, and exact evaluation alone decided.
    exact_inputs, exact_outputs, exact_hidden : the point, by input of the query, and what the networks mean there. The exact
    inputs are those of `inputs`, except where `WitnessChecker(nearest=True)` found a range without any number of the type.
    lower, upper : exact bounds of each input of the query, which the exact inputs respect.
    """

    query: Query
    inputs: tuple[Numbers, ...]
    outputs: tuple[Numbers, ...]
    hidden: tuple[Numbers, ...]
    exact_inputs: tuple[Fraction, ...]
    exact_outputs: tuple[tuple[Fraction, ...], ...]
    exact_hidden: tuple[tuple[Fraction, ...], ...]
    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]

    def __repr__(self) -> str:
        outputs = ", ".join(map(shown, self.exact_outputs))
        return f"<Witness: inputs {shown(self.exact_inputs)}, outputs {outputs}>"

    def text(self) -> str:
        """The assignment in the form of the query's own version of VNN-LIB, ended by a newline; it follows the line `sat`.

        Decimals without exponent that read back as the same numbers; those of inputs lie, as rationals, within their bounds.
        ValueError where nothing was replayed.
        """
        if not self.outputs:
            raise ValueError("a witness that no network file returned has no such text")
        values = {kind: [_decimal(v) for a in arrays for v in a] for kind, arrays in self._computed()}
        values[Kind.INPUT] = self._input_decimals()
        tensors = [t for network in self.query.networks for kind in Kind for t in network.tensors(kind)]
        if self.query.version == "1.0":
            pairs = [f"({t.name}_{i} {value})" for t in tensors for i, value in enumerate(values[t.kind])]
            return "(" + "\n ".join(pairs) + ")\n"
        return "".join(_block(t, values[t.kind][t.offset : t.offset + t.size]) for t in tensors)

    def tensors(self) -> Iterator[tuple[TensorDeclaration, Numbers]]:
        """Every declared tensor with its elements, as onnxruntime read and returned them."""
        for kind, arrays in ((Kind.INPUT, self.inputs), *self._computed()):
            for network, array in zip(self.query.networks, arrays, strict=True):
                declared = network.tensors(kind)
                ends = accumulate((t.size for t in declared), initial=0)
                yield from ((t, array[end : end + t.size].reshape(t.shape)) for t, end in zip(declared, ends, strict=False))

    def _computed(self) -> tuple[tuple[Kind, tuple[Numbers, ...]], ...]:
        return (Kind.HIDDEN, self.hidden), (Kind.OUTPUT, self.outputs)

    def _input_decimals(self) -> list[str]:
        # The widest type for all: inputs that several networks share read the same in each.
        wide = np.result_type(*(a.dtype for a in self.inputs))
        values = [v for array in self.inputs for v in array.astype(wide)]
        bounds = zip(values, self.exact_inputs, self.lower, self.upper, strict=True)
        return [_decimal(v, low, high) if float(v) == exact else format_rational(exact) for v, exact, low, high in bounds]


def _block(tensor: TensorDeclaration, decimals: Sequence[str]) -> str:
    header = f"{tensor.name} {tensor.element_type} [{','.join(map(str, tensor.shape))}]"
    return "\n".join([header, *decimals]) + "\n"


def _decimal(value: np.floating[Any], low: Fraction | None = None, high: Fraction | None = None) -> str:
    """A short decimal that reads back as the value, by way of float64 too, and lies within (low, high) if it is not exact."""
    text = np.format_float_positional(value, unique=True, trim="0")
    exact = Fraction(float(value))
    places = len(text.partition(".")[2])
    while True:
        read = Fraction(text)
        inside = (low is None or low < read) and (high is None or read < high)
        if (inside or read == exact) and value.dtype.type(float(text)) == value:
            return text
        # The exact expansion has as many places as its denominator has factors of two: there this ends.
        places += 1
        text = format_rational(Fraction(round(exact * 10**places), 10**places))


class WitnessChecker:
    """Decides whether points are witnesses of one query.

    Parameters
    ----------
    query, networks : what is asked, and the networks in the order of the query's declarations, the hidden values of each
    following its outputs. replays : gives onnxruntime's sessions on their original files, in the same order; called once, when
    the first point passes the exact test. None where the networks exist in memory alone: exact evaluation then decides, and a
    point need not consist of numbers of an element type. nearest : a fixed input such as 0.1 is no number of any float type, so
    strictly no point of such a query can be replayed. Where this is true, its exact value is used over the reals and in the text,
    and onnxruntime gets the nearest number, as it would from a reader of that text; otherwise all points are rejected.
    """

    def __init__(
        self,
        query: Query,
        networks: Sequence[Network],
        replays: Callable[[], Sequence[Replay]] | None,
        *,
        nearest: bool = False,
    ) -> None:
        self._query, self._networks, self._make_replays, self._nearest = query, tuple(networks), replays, nearest
        self._types = tuple(np.dtype(n.interface.element_type) for n in networks)
        self._output_counts = [n.size(Kind.OUTPUT) for n in query.networks]
        ends = np.cumsum([0, *(n.input_size for n in networks)]).tolist()
        self._parts = tuple(slice(a, b) for a, b in pairwise(ends))
        self._grids: WeakKeyDictionary[Question, _Grid] = WeakKeyDictionary()

    @cached_property
    def _replays(self) -> tuple[Replay, ...]:
        return () if self._make_replays is None else tuple(self._make_replays())

    def confirm(self, question: Question, point: Sequence[float] | Sequence[Fraction] | Floats) -> Witness | Rejection:
        """The witness that a point of the question's domain is, after rounding, or why it is none."""
        grid = self._grid(question)
        impossible = None if self._make_replays is None else self._impossible(question, grid)
        if impossible is not None:
            return impossible
        floats = nearest_floats(point)
        if not np.isfinite(floats).all():
            return Rejection("the point is not finite")
        if self._make_replays is None:
            return self._exactly(question, grid, point)
        return self._checked(question, grid, grid.nearest(floats))

    def first_confirmed(self, question: Question, candidates: Sequence[Candidate], deadline: float) -> Witness | Rejection:
        """The first witness among the candidates, clear ones first; where all fail, the best is pushed inward and tried again.

        After the deadline (`time.monotonic`) no attempt begins but the first.
        """
        result: Witness | Rejection = Rejection("there is no candidate")
        ordered = self._clear_first(question, candidates)
        for number, candidate in enumerate(ordered[:_MOST_TRIED]):
            if number and time.monotonic() >= deadline:
                return result
            result = self.confirm(question, candidate.point)
            if isinstance(result, Witness) or result.final:
                return result
        if ordered and time.monotonic() < deadline:
            return self.confirm(question, push_inward(question, ordered[0].point, deadline))
        return result

    def _clear_first(self, question: Question, candidates: Sequence[Candidate]) -> list[Candidate]:
        """By margin, those last whose goal float64 no longer finds met once they are rounded."""
        if not candidates:
            return []
        rounded = self._grid(question).nearest(np.array([c.point for c in candidates]))
        values = question.network.forward(rounded)
        lost = [bool((v[list(question.goals[c.goal])] >= 0).any()) for v, c in zip(values, candidates, strict=True)]
        order = sorted(range(len(candidates)), key=lambda i: (lost[i], -candidates[i].margin))
        return [candidates[i] for i in order]

    def _grid(self, question: Question) -> _Grid:
        grid = self._grids.get(question)
        if grid is None:
            of_inputs = [t for t, n in zip(self._types, self._networks, strict=True) for _ in range(n.input_size)]
            grid = self._grids[question] = _made_grid(question, of_inputs)
        return grid

    def _impossible(self, question: Question, grid: _Grid) -> Rejection | None:
        """The rejection of all points where a range contains no number of its type, and none may stand in."""
        empty = next((c for c, value in grid.instead.items() if value is None or not self._nearest), None)
        if empty is None:
            return None
        name = self._query.name(Variable(Kind.INPUT, question.coordinates.index(empty)))
        return Rejection(f"no {grid.types[empty]} number in the range of input {name}", final=True)

    def _checked(self, question: Question, grid: _Grid, rounded: Floats) -> Witness | Rejection:
        """Exact evaluation first, then onnxruntime; `rounded` consists of numbers that the networks can read."""
        found = self._evaluated(question, [grid.exact(c, v) for c, v in enumerate(rounded.tolist())])
        if isinstance(found, Rejection):
            return found
        inputs = found.exact_inputs
        read = rounded[list(question.coordinates)]
        points = [read[part] for part in self._parts]
        outputs = [replay.evaluate(point)[0] for replay, point in zip(self._replays, points, strict=True)]
        if not all(np.isfinite(output).all() for output in outputs):
            return Rejection("onnxruntime returns a value that is no finite number")
        missed = self._missed(inputs, [[Fraction(v) for v in output.tolist()] for output in outputs])
        if missed is not None:
            return Rejection(f"evaluated by onnxruntime, the point misses the query by {missed}")
        typed = [o.astype(t) for o, t in zip(outputs, self._types, strict=True)]
        return replace(
            found,
            inputs=tuple(p.astype(t) for p, t in zip(points, self._types, strict=True)),
            outputs=tuple(v[:n] for v, n in zip(typed, self._output_counts, strict=True)),
            hidden=tuple(v[n:] for v, n in zip(typed, self._output_counts, strict=True)),
        )

    def _exactly(
        self, question: Question, grid: _Grid, point: Sequence[float] | Sequence[Fraction] | Floats
    ) -> Witness | Rejection:
        """Without a file to replay: at numbers of the element type if those will do, else at the point itself, within the box."""
        rounded = [grid.exact(c, v) for c, v in enumerate(grid.nearest(nearest_floats(point)).tolist())]
        found = self._evaluated(question, rounded)
        if isinstance(found, Witness):
            return found
        box = zip(question.domain.lower, point, question.domain.upper, strict=True)
        return self._evaluated(question, [min(max(low, Fraction(x)), high) for low, x, high in box])

    def _evaluated(self, question: Question, point: Sequence[Fraction]) -> Witness | Rejection:
        """The witness that a point is by exact evaluation, with nothing replayed yet."""
        inputs = question.query_point(point)
        exact = tuple(n.exact(inputs[part]).output for n, part in zip(self._networks, self._parts, strict=True))
        missed = self._missed(inputs, exact)
        if missed is not None:
            return Rejection(f"evaluated exactly, the point misses the query by {missed}")
        outputs = tuple(v[:n] for v, n in zip(exact, self._output_counts, strict=True))
        hidden = tuple(v[n:] for v, n in zip(exact, self._output_counts, strict=True))
        low, high = question.query_point(question.domain.lower), question.query_point(question.domain.upper)
        return Witness(self._query, (), (), (), inputs, outputs, hidden, low, high)

    def _missed(self, inputs: Sequence[Fraction], computed: Sequence[Sequence[Fraction]]) -> str | None:
        """None where the query is satisfied, else for a message by how much it is not; `computed` by network."""
        outputs = [v for values, n in zip(computed, self._output_counts, strict=True) for v in values[:n]]
        hidden = [v for values, n in zip(computed, self._output_counts, strict=True) for v in values[n:]]
        if self._query.satisfied_by(inputs, outputs, hidden):
            return None
        excess = max(_excess(a, (inputs, hidden, outputs)) for a in self._query.assertions)
        return rounded_words(excess) if excess else "a tie with a strict condition"


def rounded_words(value: Fraction) -> str:
    """A rational to three digits, for messages; of any size, which float64 does not hold."""
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.3g}"


class _Grid(NamedTuple):
    """Per coordinate of a question the numbers that its networks can read: their type, the lowest and the highest in range.

    instead : for coordinates without any, the end of the range that is a decimal (None: neither is); low and high are nearest it.
    """

    types: tuple[np.dtype[Any], ...]
    low: Floats
    high: Floats
    instead: dict[int, Fraction | None]

    def nearest(self, points: Floats) -> Floats:
        """The points, shape (..., coordinates), rounded to such numbers within range."""
        rounded = np.empty_like(points)
        for kind in set(self.types):
            mine = [t == kind for t in self.types]
            with np.errstate(over="ignore"):
                rounded[..., mine] = points[..., mine].astype(kind)
        return np.asarray(np.clip(rounded, self.low, self.high) + 0.0)  # never -0.0

    def exact(self, coordinate: int, number: float) -> Fraction:
        """The exact value that a number of this grid stands for."""
        value = self.instead.get(coordinate)
        return Fraction(number) if value is None else value


def _stand_in(low: Fraction, high: Fraction, kind: np.dtype[Any]) -> tuple[Fraction | None, float]:
    """The end of a range without numbers that can be written as a decimal, and the number of the type nearest it."""
    for end in (low, high):
        with np.errstate(over="ignore"):
            nearest = float(nearest_floats([end]).astype(kind)[0])
        if "/" not in format_rational(end) and np.isfinite(nearest):
            return end, nearest
    return None, 0.0


def _made_grid(question: Question, of_inputs: Sequence[np.dtype[Any]]) -> _Grid:
    """Inputs that share a coordinate get numbers of the coarsest of their types: the finer ones contain them."""
    coarsest: dict[int, np.dtype[Any]] = {}
    for kind, c in zip(of_inputs, question.coordinates, strict=True):
        coarsest[c] = min(kind, coarsest.get(c, kind), key=lambda t: t.itemsize)
    types = tuple(coarsest[c] for c in range(question.domain.dimension))
    low = np.array([_inward(v, t, 1) for v, t in zip(question.domain.lower, types, strict=True)])
    high = np.array([_inward(v, t, -1) for v, t in zip(question.domain.upper, types, strict=True)])
    instead: dict[int, Fraction | None] = {}
    for c in np.flatnonzero(low > high).tolist():
        instead[c], low[c] = _stand_in(question.domain.lower[c], question.domain.upper[c], types[c])
        high[c] = low[c]
    return _Grid(types, low, high, instead)


def _inward(bound: Fraction, kind: np.dtype[Any], direction: int) -> float:
    """The first number of a type at or beyond a bound, upwards (direction 1) or downwards (-1); infinite where there is none."""
    with np.errstate(over="ignore", under="ignore"):
        number = nearest_floats([bound]).astype(kind)[0]
        while float(number) < bound if direction > 0 else float(number) > bound:
            number = np.nextafter(number, kind.type(direction * np.inf))
    return float(number)


def _excess(formula: Formula, values: Valuation) -> Fraction:
    """How far a formula is from being true, its rows scaled to coefficients of 1 at most; positive or a tie where it is false."""

    def of_row(row: Row) -> Fraction:
        scale = max((abs(c) for _, c in row.coefficients), default=Fraction(1))
        return sum((c * values[v.kind][v.position] for v, c in row.coefficients), -row.bound) / scale

    def of_node(node: And | Or, children: list[Fraction]) -> Fraction:
        return max(children, default=-_NEVER) if isinstance(node, And) else min(children, default=_NEVER)

    return fold(formula, of_row, of_node)


def push_inward(question: Question, point: Floats, deadline: float) -> Floats:
    """A point nearby that meets the goal it is closest to with a wider margin, or the point itself where there is none."""
    values = question.network.forward(np.asarray(point, dtype=np.float64)[None, :])[0]
    worst = [max((values[r] for r in goal), default=-np.inf) for goal in question.goals]
    better = Attack(question, seed=0).improve(int(np.argmin(worst)), np.asarray(point, dtype=np.float64), deadline)
    return np.asarray(point, dtype=np.float64) if better is None else better.point
