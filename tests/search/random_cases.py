"""Random queries about small networks, and their exact answers by a solver that sees every neuron.

The cases are nasty on purpose: zero rows, duplicated neurons, dead neurons, boxes with fixed inputs and with bounds that are no
floats, several disjuncts over one box or over different ones, and rows that a point of the box meets with equality. What answers
them shares nothing with the engine: it is built from networks and disjuncts as they were drawn, with a variable per neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from secateur.network import Affine, Dense, Interface, Network, Term
from secateur.specification import Domain, Query
from secateur.specification.comparison import Agreement, Comparison, Decision, comparison_query
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Row, Variable
from secateur.specification.vnnlib.query import NetworkDeclaration, TensorDeclaration
from secateur_encodings import Encoding, Interval, LinearForm, Problem, Relu, Sat, Unknown, Unsat, solve
from secateur_encodings import Row as ProblemRow
from tests.secateur_encodings.support import range_of

__all__ = ["Case", "exact_answer", "random_case", "random_comparison"]

F = Fraction
Point = tuple[Fraction, ...]
_NONE = F(0)
_BOUNDS = [F(0), F(1), F(-1), F(1, 2), F(-3, 4), F(1, 3), F(-2, 7), F(1, 10), F(3, 2)]


@dataclass(frozen=True, eq=False)
class Disjunct:
    """A box over all inputs of a query, cut by rows."""

    lower: Point
    upper: Point
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """A query with its networks, and the disjuncts that it was made of. pairs : inputs that it makes equal."""

    query: Query
    networks: tuple[Network, ...]
    disjuncts: tuple[Disjunct, ...]
    pairs: tuple[tuple[int, int], ...]

    def values(self, inputs: Sequence[Fraction]) -> Point:
        """The outputs of all networks, exactly."""
        outputs: list[Fraction] = []
        for network in self.networks:
            outputs += network.exact(inputs[: network.input_size]).output
            inputs = inputs[network.input_size :]
        return tuple(outputs)


class _Drawn:
    """Everything random about a case, from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def dyadic(self, size: int = 8, unit: int = 4) -> Fraction:
        return F(int(self.rng.integers(-size, size + 1)), unit)

    def affine(self, size: int, sources: dict[int, int]) -> Affine:
        weights = {s: self.rng.integers(-8, 9, (size, width)) / 4 for s, width in sources.items()}
        bias = self.rng.integers(-6, 7, size) / 4
        for i in range(size):
            fate = self.rng.choice(["plain", "plain", "plain", "zero", "copy", "dead"])
            for matrix in weights.values():
                matrix[i] = 0.0 if fate == "zero" else matrix[i - 1] if fate == "copy" and i else matrix[i]
            bias[i] = -64.0 if fate == "dead" else bias[i - 1] if fate == "copy" and i else bias[i]
        return Affine(tuple(Term(s, Dense(matrix)) for s, matrix in weights.items()), bias)

    def network(self, inputs: int, outputs: int = 0) -> Network:
        """A random one, with one to three outputs unless a number is given."""
        widths = self.rng.integers(1, 5, self.rng.integers(1, 4)).tolist()
        outputs = outputs or int(self.rng.integers(1, 4))
        sizes = [inputs, *widths]
        affines = [self.affine(size, {k: sizes[k]}) for k, size in enumerate([*widths, outputs])]
        if self.chance(0.3):  # the output reads the input as well
            affines[-1] = self.affine(outputs, {0: inputs, len(widths): widths[-1]})
        ports = Interface(input_shape=(1, inputs), output_shape=(1, outputs))
        return Network(inputs, tuple(affines[:-1]), affines[-1], ports)

    def changed(self, network: Network) -> Network:
        """The network with some weights moved a little (or none, now and then)."""
        unit = float(self.rng.choice([2.0**-6, 2.0**-3, 0.0]))

        def moved(affine: Affine) -> Affine:
            terms = []
            for term in affine.terms:
                weight = term.map.dense().weight
                noise = unit * self.rng.integers(-2, 3, weight.shape) * (self.rng.random(weight.shape) < 0.5)
                terms.append(Term(term.source, Dense(weight + noise)))
            return Affine(tuple(terms), affine.bias + unit * self.rng.integers(-2, 3, affine.size))

        return Network(network.input_size, tuple(map(moved, network.layers)), moved(network.output), network.interface)

    def claim(self, networks: Sequence[Network], box: Sequence[tuple[Fraction, Fraction]]) -> Comparison:
        """A claim whose epsilon or margin now and then ties with what a point of the box shows."""
        x = self.point(box, ())
        y, other = (network.exact(x).output for network in networks)
        if len(y) > 1 and self.chance(0.4):
            rule = str(self.rng.choice(["argmax", "argmin"]))
            lead = abs(y[0] - y[1])
            return Decision(rule, [F(0), lead, lead / 2, F(1, 4)][self.rng.integers(4)])
        apart = max(abs(a - b) for a, b in zip(y, other, strict=True))
        return Agreement([F(0), apart, apart / 2, 2 * apart, F(1, 16)][self.rng.integers(5)])

    def interval(self) -> tuple[Fraction, Fraction]:
        low, high = sorted((self.rng.choice(len(_BOUNDS)), self.rng.choice(len(_BOUNDS))), key=lambda i: _BOUNDS[i])
        return _BOUNDS[low], _BOUNDS[high]

    def part(self, box: Sequence[tuple[Fraction, Fraction]], pairs: Sequence[tuple[int, int]]) -> list[tuple[Fraction, Fraction]]:
        """The box, or a half of it along some input (and along those equal to it)."""
        if self.chance(0.6):
            return list(box)
        i = int(self.rng.integers(len(box)))
        middle = (box[i][0] + box[i][1]) / 2
        half = (box[i][0], middle) if self.chance(0.5) else (middle, box[i][1])
        equal = {i, *(b for a, b in pairs if a == i), *(a for a, b in pairs if b == i)}
        return [half if j in equal else side for j, side in enumerate(box)]

    def point(self, box: Sequence[tuple[Fraction, Fraction]], pairs: Sequence[tuple[int, int]]) -> list[Fraction]:
        """A corner, the middle, or a dyadic share of the way."""
        shares = [F(int(self.rng.choice([0, 0, 4, 4, 2, 1, 3])), 4) for _ in box]
        for a, b in pairs:
            shares[b] = shares[a]
        return [low + (high - low) * s for (low, high), s in zip(box, shares, strict=True)]


def random_case(seed: int) -> Case:
    """The case of a seed: one network, or (one in four) two over inputs that are shared, permuted, partly shared or not."""
    drawn = _Drawn(seed)
    size = int(drawn.rng.integers(1, 4))
    networks = [drawn.network(size) for _ in range(1 + drawn.chance(0.25))]
    box = [drawn.interval() for _ in range(size)] * len(networks)
    pairs: tuple[tuple[int, int], ...] = ()
    if len(networks) == 2:
        order = drawn.rng.permutation(size) if drawn.chance(0.3) else np.arange(size)
        shared = size if drawn.chance(0.7) else int(drawn.rng.integers(0, size + 1))
        pairs = tuple((int(order[j]), size + j) for j in range(shared))
        box = box[:size] + [box[int(order[j])] if j < shared else drawn.interval() for j in range(size)]
    bare = Case(_query(networks, ()), tuple(networks), (), pairs)
    disjuncts = tuple(_disjunct(drawn, bare, box) for _ in range(drawn.rng.choice([1, 1, 2, 3])))
    return Case(_query(networks, _assertions(disjuncts, pairs)), tuple(networks), disjuncts, pairs)


def random_comparison(seed: int) -> Case:
    """The negation of a claim about two networks over the same inputs: the same one twice, one and a changed one, or any two."""
    drawn = _Drawn(seed)
    size = int(drawn.rng.integers(1, 4))
    first = drawn.network(size)
    kind = drawn.rng.choice(["same", "changed", "other"], p=[0.15, 0.5, 0.35])
    second = first if kind == "same" else drawn.changed(first) if kind == "changed" else drawn.network(size, first.output_size)
    box = [drawn.interval() for _ in range(size)]
    claim = drawn.claim((first, second), box)
    domain = Domain(tuple(b[0] for b in box), tuple(b[1] for b in box), "random")
    query = comparison_query(claim, domain, first.output_size, ["float32", "float32"])
    disjuncts = tuple(Disjunct(domain.lower * 2, domain.upper * 2, tuple(rows)) for rows in claim.negation(first.output_size))
    return Case(query, (first, second), disjuncts, tuple((i, size + i) for i in range(size)))


def _disjunct(drawn: _Drawn, case: Case, whole: Sequence[tuple[Fraction, Fraction]]) -> Disjunct:
    box = drawn.part(whole, case.pairs)
    points = [drawn.point(box, case.pairs) for _ in range(12)]
    places = [(p, case.values(p)) for p in points]
    rows = tuple(_row(drawn, places) for _ in range(drawn.rng.choice([1, 1, 2, 3])))
    return Disjunct(tuple(b[0] for b in box), tuple(b[1] for b in box), rows)


def _row(drawn: _Drawn, places: Sequence[tuple[Sequence[Fraction], Point]]) -> Row:
    """A row over outputs and now and then inputs; its bound ties with a point or the least value seen, or misses it."""
    terms: dict[Variable, Fraction] = {}
    for i in drawn.rng.permutation(len(places[0][1]))[: drawn.rng.integers(1, 3)]:
        terms[Variable(Kind.OUTPUT, int(i))] = drawn.rng.choice([F(1), F(-1), F(2), F(-1, 3), F(5, 4)])
    if drawn.chance(0.35):
        terms[Variable(Kind.INPUT, int(drawn.rng.integers(len(places[0][0]))))] = drawn.dyadic() or F(1)
    coefficients = tuple(sorted(terms.items()))
    strict = drawn.chance(0.4)
    values = [
        sum((c * (x[v.position] if v.kind is Kind.INPUT else y[v.position]) for v, c in coefficients), F(0)) for x, y in places
    ]
    least, spread = min(values), max(values) - min(values) + 1
    match drawn.rng.choice(["least", "point", "below", "above", "free"], p=[0.25, 0.15, 0.25, 0.2, 0.15]):
        case "least":
            bound = least
        case "point":
            bound = values[0]
        case "below":
            bound = least - spread * F(int(drawn.rng.integers(1, 40)), 64)
        case "above":
            bound = least + spread * F(int(drawn.rng.integers(1, 16)), 64)
        case _:
            bound = drawn.dyadic(20)
    return Row(coefficients, bound, strict)


def _tensors(networks: Sequence[Network]) -> tuple[NetworkDeclaration, ...]:
    declared, starts = [], [0, 0]
    for n, network in enumerate(networks):
        first = TensorDeclaration(f"X{n}", Kind.INPUT, "float32", (1, network.input_size), starts[0])
        last = TensorDeclaration(f"Y{n}", Kind.OUTPUT, "float32", (1, network.output_size), starts[1])
        starts = [starts[0] + first.size, starts[1] + last.size]
        declared.append(NetworkDeclaration(f"f{n}", (first,), (), (last,)))
    return tuple(declared)


def _query(networks: Sequence[Network], assertions: Sequence[Formula]) -> Query:
    return Query("2.0", _tensors(networks), tuple(assertions), "random")


def _assertions(disjuncts: Sequence[Disjunct], pairs: Sequence[tuple[int, int]]) -> list[Formula]:
    equal: list[Formula] = []
    for a, b in pairs:
        first, second = Variable(Kind.INPUT, a), Variable(Kind.INPUT, b)
        equal += [Row(((first, F(s)), (second, F(-s))), F(0), False) for s in (1, -1)]
    return [*equal, Or(tuple(And((*_box_rows(d), *d.rows)) for d in disjuncts))]


def _box_rows(disjunct: Disjunct) -> list[Row]:
    rows = []
    for i, (low, high) in enumerate(zip(disjunct.lower, disjunct.upper, strict=True)):
        x = Variable(Kind.INPUT, i)
        rows += [Row(((x, F(-1)),), -low, False), Row(((x, F(1)),), high, False)]
    return rows


def exact_answer(case: Case, slack: Fraction = _NONE, limit: float = 10.0) -> bool | None:
    """Whether some point satisfies the query once all rows are loosened by `slack`, by exact Z3; None where it gives up."""
    answers = [_solved(case, disjunct, slack, limit) for disjunct in case.disjuncts]
    if True in answers:
        return True
    return None if None in answers else False


def _solved(case: Case, disjunct: Disjunct, slack: Fraction, limit: float) -> bool | None:
    verdict = solve(_problem(case, disjunct, slack), "z3", encoding=Encoding.CASE_SPLIT, limit=limit)
    match verdict:
        case Sat():
            return True
        case Unsat():
            return False
        case Unknown():
            return None


def _problem(case: Case, disjunct: Disjunct, slack: Fraction) -> Problem:
    """Every neuron a ReLU with its interval bounds, stable or not."""
    inputs = [Interval(a, b) for a, b in zip(disjunct.lower, disjunct.upper, strict=True)]
    ranges, relus, outputs, first = list(inputs), list[Relu](), list[LinearForm](), 0
    for network in case.networks:
        starts = [first]
        first += network.input_size
        for affine in (*network.layers, network.output):
            forms = _forms(affine, starts)
            if affine is network.output:
                outputs += forms
                continue
            found = [range_of(form, ranges) for form in forms]
            starts.append(len(ranges))
            relus += [Relu(form, z.lower, z.upper) for form, z in zip(forms, found, strict=True)]
            ranges += [Interval(max(F(0), z.lower), max(F(0), z.upper)) for z in found]
    rows = [_stated(row, outputs, slack) for row in disjunct.rows]
    for a, b in case.pairs:
        rows += [ProblemRow(LinearForm.of({a: F(s), b: F(-s)}), F(0), False) for s in (1, -1)]
    return Problem(tuple(inputs), tuple(relus), tuple(rows))


def _forms(affine: Affine, starts: Sequence[int]) -> list[LinearForm]:
    coefficients: list[dict[int, Fraction]] = [{} for _ in range(affine.size)]
    for term in affine.terms:
        for i, row in enumerate(term.map.dense().rationals()):
            for j, weight in enumerate(row):
                coefficients[i][starts[term.source] + j] = weight
    return [LinearForm.of(c, b) for c, b in zip(coefficients, affine.rational_bias(), strict=True)]


def _stated(row: Row, outputs: Sequence[LinearForm], slack: Fraction) -> ProblemRow:
    terms: dict[int, Fraction] = {}
    constant = F(0)
    for variable, c in row.coefficients:
        form = LinearForm.of({variable.position: F(1)}) if variable.kind is Kind.INPUT else outputs[variable.position]
        constant += c * form.constant
        for v, a in form.terms:
            terms[v] = terms.get(v, F(0)) + c * a
    return ProblemRow(LinearForm.of(terms), row.bound + slack - constant, row.strict)
