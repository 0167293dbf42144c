"""Whether what a certificate states is true: read and decided without the checker, by Z3 over the rationals.

Nothing of the checker or the engine is used: the files are read with json, onnx and Z3's own SMT-LIB reader, networks become
terms of real arithmetic, and Z3 is asked for a point where the statement fails. Only small networks of Gemm, MatMul, Add
and Relu nodes are understood. `Unclear` where Z3 does not answer in time, or a file is none of these.

A claim about float32 arithmetic is false if some float32 evaluation among many breaks it, or a real one does (what is accepted
holds for exact evaluations, too); it is true if it holds for all values that differ from the real ones by what rounding can do.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import z3

from tests.forged.float32_values import computed, errors
from tests.forged.graphs import Affine, Graph, Unclear, read_graph

__all__ = ["Unclear", "is_true"]

TIMEOUT = 20_000  # milliseconds
POINTS = 24  # random ones, besides corners
ORDERS = 4  # evaluations of each network at a point
Terms = list[Any]
Box = tuple[list[Fraction], list[Fraction]]


@dataclass(frozen=True)
class Values:
    """Terms of a network: the outputs of its ReLU layers, and its outputs."""

    layers: list[Terms]
    outputs: Terms


def _real(value: Fraction) -> Any:
    return z3.RatVal(value.numerator, value.denominator)


def _affine(own: Affine, values: Terms) -> Terms:
    if any(len(row) != len(values) for row in own.rows):
        raise Unclear("matrices that do not fit")
    return [
        z3.Sum([_real(w) * v for w, v in zip(row, values, strict=True)]) + _real(b)
        for row, b in zip(own.rows, own.bias, strict=True)
    ]


def _network(graph: Graph, inputs: Terms) -> Values:
    """A network's terms, at terms for its inputs."""
    known, layers = {graph.input: inputs}, []
    for own in graph.nodes:
        operands = [known[name] for name in own.reads]
        if own.affine is not None:
            known[own.name] = _affine(own.affine, operands[0])
        elif len(operands) == 2:
            known[own.name] = [a + b for a, b in zip(*operands, strict=True)]
        else:
            layers.append([z3.If(z > 0, z, 0) for z in operands[0]])
            known[own.name] = layers[-1]
    return Values(layers, known[graph.output])


@dataclass(frozen=True)
class Statement:
    """Something about values of networks on a box; `broken`, at terms for inputs and values, says where it is false."""

    graphs: list[Graph]
    box: Box
    broken: Callable[[Terms, list[Values]], Any]


def _never(*constraints: Any) -> bool:
    """Whether no values of the variables satisfy the constraints."""
    solver = z3.SolverFor("QF_LRA")
    solver.set("timeout", TIMEOUT)
    solver.add(*constraints)
    answer = solver.check()
    if answer == z3.unknown:
        raise Unclear("Z3 did not decide in time")
    return bool(answer == z3.unsat)


def _holds(statement: Statement) -> bool:
    """Whether it is true over the reals."""
    x = _inputs(len(statement.box[0]))
    return _never(statement.broken(x, [_network(graph, x) for graph in statement.graphs]))


def _broken(claim: Mapping[str, Any], first: Values, second: Values) -> Any:
    """The claim about two networks is false."""
    y, other = first.outputs, second.outputs
    if "layer" in claim:
        k, own = claim["layer"]
        y, other = first.layers[k - 1], second.layers[own - 1]
    if len(y) != len(other):
        raise Unclear("as many values are needed")
    if claim["kind"] == "agree":
        bound = _real(Fraction(claim["tolerance"]))
        return z3.Or([z3.Or(a - b > bound, b - a > bound) for a, b in zip(y, other, strict=True)])
    sign, margin = (1 if claim["rule"] == "argmax" else -1), _real(Fraction(claim["margin"]))
    cases = []
    for i in range(len(y)):
        rivals = [k for k in range(len(y)) if k != i]
        leads = z3.And([sign * (y[i] - y[k]) > margin for k in rivals])
        cases.append(z3.And(leads, z3.Or([sign * (other[i] - other[k]) <= 0 for k in rivals])))
    return z3.Or(cases)


def _inputs(count: int) -> Terms:
    return [z3.Real(f"X_{i}") for i in range(count)]


def _numbers(values: Sequence[Any]) -> list[Fraction]:
    return [Fraction(str(value)) for value in values]


def _box(data: bytes) -> Box:
    domain = json.loads(data, parse_float=str, parse_int=str)
    return _numbers(domain["lower"]), _numbers(domain["upper"])


def _within(x: Terms, box: Box) -> Any:
    return z3.And([z3.And(_real(low) <= v, v <= _real(high)) for low, v, high in zip(box[0], x, box[1], strict=True)])


def _about_pair(claim: Mapping[str, Any], networks: tuple[bytes, bytes], box: Box) -> Statement:
    """A claim about two networks on a box."""
    graphs = [read_graph(own) for own in networks]
    return Statement(graphs, box, lambda x, values: z3.And(_within(x, box), _broken(claim, *values)))


def _refuted(claim: Mapping[str, Any], networks: tuple[bytes, bytes], box: Box) -> bool:
    point = _numbers(claim["point"])
    if not all(low <= own <= high for low, own, high in zip(box[0], point, box[1], strict=True)):
        return False
    x = [_real(value) for value in point]
    return not _never(_broken(claim["claim"], *(_network(read_graph(own), x) for own in networks)))


def _about_query(network: bytes, text: bytes) -> Statement:
    """That a query of VNN-LIB 1.0, which is SMT-LIB, has no solution."""
    asserted = z3.And(list(z3.parse_smt2_string(text.decode())))
    inputs = _inputs(text.count(b"(declare-const X_"))

    def broken(x: Terms, values: list[Values]) -> Any:
        (own,) = values
        outputs = [(z3.Real(f"Y_{j}"), y) for j, y in enumerate(own.outputs)]
        return z3.substitute(asserted, *zip(inputs, x, strict=True), *outputs)

    return Statement([read_graph(network)], _hull(asserted, inputs), broken)


def _hull(asserted: Any, inputs: Terms) -> Box:
    """The least and largest values of the inputs, whatever the outputs are."""
    sides: Box = ([], [])
    for side, own in product((0, 1), inputs):
        solver = z3.Optimize()
        solver.set("timeout", TIMEOUT)
        solver.add(asserted)
        goal = solver.minimize(own) if side == 0 else solver.maximize(own)
        found = z3.sat == solver.check() and (goal.lower() if side == 0 else goal.upper())
        sides[side].append(Fraction(found.as_fraction()) if z3.is_rational_value(found) else Fraction(0))
    return sides


def _point(claim: Mapping[str, Any], statement: Statement) -> bool:
    """Whether the claim's point is a solution of the query."""
    x = [_real(value) for value in _numbers(claim["point"])]
    return not _never(statement.broken(x, [_network(graph, x) for graph in statement.graphs]))


def _slices(nodes: Iterator[Any], box: Box) -> Iterator[tuple[int, Box]]:
    """The leaves of a partition, with their boxes."""
    node = next(nodes)
    if not isinstance(node, list):
        yield int(node), box
        return
    i, cut = int(node[0]), Fraction(node[1])
    for side in (1, 0):  # the first child ends at the cut
        ends = ([*box[0]], [*box[1]])
        ends[side][i] = cut
        yield from _slices(nodes, ends)


def _family(claim: Mapping[str, Any], original: bytes, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> bool:
    box = _numbers(manifest["lower"]), _numbers(manifest["upper"])
    parts = _slices(iter(manifest["nodes"]), box)
    networks = ((original, files[manifest["files"][number]["file"]], own) for number, own in parts)
    return all(_holds(_about_pair(claim, (first, second), own)) for first, second, own in networks)


def _samples(box: Box, rng: random.Random) -> Iterator[list[np.float32]]:
    """Points of the box whose coordinates are float32 numbers: corners, and random ones."""
    sides = list(zip(*box, strict=True))
    shares: list[Sequence[float]] = [own for own, _ in zip(product((0.0, 1.0), repeat=len(sides)), range(16), strict=False)]
    for share in [*shares, *([rng.random() for _ in sides] for _ in range(POINTS))]:
        point = [np.float32(float(low + (high - low) * Fraction(s))) for (low, high), s in zip(sides, share, strict=True)]
        inside = [_inside(own, *side) for own, side in zip(point, sides, strict=True)]
        if None not in inside:
            yield inside  # type: ignore[misc]


def _inside(value: np.float32, low: Fraction, high: Fraction) -> np.float32 | None:
    """The value, or a neighbour of it that lies within the bounds."""
    around = (value, np.nextafter(value, np.float32(-np.inf)), np.nextafter(value, np.float32(np.inf)))
    return next((own for own in around if low <= Fraction(float(own)) <= high), None)


def _broken_by_rounding(statement: Statement, rng: random.Random) -> bool:
    """Whether some float32 evaluation breaks it."""
    for point in _samples(statement.box, rng):
        x = [_real(Fraction(float(own))) for own in point]
        for _ in range(ORDERS):
            found = [computed(graph, point, rng) for graph in statement.graphs]
            values = [Values([[*map(_real, own)] for own in f.layers], [*map(_real, f.outputs)]) for f in found]
            if z3.is_true(z3.simplify(statement.broken(x, values))):
                return True
    return False


def _nearby(name: str, terms: Terms, room: Sequence[Fraction]) -> tuple[Terms, list[Any]]:
    """Variables for computed values, and that they are as close to the real ones as rounding leaves them."""
    own = [z3.Real(f"{name}_{i}") for i in range(len(terms))]
    return own, [z3.And(v - t <= _real(e), t - v <= _real(e)) for v, t, e in zip(own, terms, room, strict=True)]


def _holds_with_room(statement: Statement) -> bool:
    """Whether it is true for all values that rounding can lead to."""
    x, all_values, close = _inputs(len(statement.box[0])), [], []
    sides = [max(abs(low), abs(high)) for low, high in zip(*statement.box, strict=True)]
    for side, graph in enumerate(statement.graphs):
        exact, room = _network(graph, x), errors(graph, sides)
        pairs = zip([*exact.layers, exact.outputs], [*room.layers, room.outputs], strict=True)
        found = [_nearby(f"v_{side}_{k}", terms, own) for k, (terms, own) in enumerate(pairs)]
        all_values.append(Values([own for own, _ in found[:-1]], found[-1][0]))
        close += [one for _, own in found for one in own]
    return _never(statement.broken(x, all_values), *close)


def _holds_in_float32(statement: Statement) -> bool:
    if _broken_by_rounding(statement, random.Random(0)):
        return False
    if _holds_with_room(statement):
        return True
    if not _holds(statement):
        return False
    raise Unclear("true over the reals, but with less room than rounding may need")


def is_true(header: Mapping[str, Any], files: Mapping[str, bytes]) -> bool:
    """Whether the statement of a certificate with this header, about these files (by path), is true."""
    claim = header["claim"]
    if claim["kind"] == "family":
        manifest = json.loads(files[header["manifest"]["file"]], parse_float=str)
        return _family(claim["claim"], files[header["original"]["file"]], files, manifest)
    if claim["kind"] in ("sat", "unsat"):
        statement = _about_query(files[header["network"]["file"]], files[header["query"]["file"]])
        if claim["kind"] == "sat":
            return _point(claim, statement)
    else:
        networks, box = (
            (files[header["original"]["file"]], files[header["reduced"]["file"]]),
            _box(files[header["domain"]["file"]]),
        )
        if claim["kind"] == "refuted":
            return _refuted(claim, networks, box)
        statement = _about_pair(claim, networks, box)
    return _holds_in_float32(statement) if header.get("semantics") == "float32" else _holds(statement)
