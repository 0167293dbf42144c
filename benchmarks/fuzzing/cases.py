"""A case is a network, a box and a question; as JSON it can be kept and asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from benchmarks.fuzzing.formulas import Atom, Formula, Node
from benchmarks.fuzzing.networks import Box, Described, Layer, without

__all__ = ["Case", "Equivalent", "Phases", "Pruned", "Query", "Question", "Ranges", "Zeroed", "from_json", "to_json"]


@dataclass(frozen=True)
class Query:
    """Does a point of the box fulfil the formula? `version` of VNN-LIB; `certified`: through files, with a certificate."""

    formula: Formula
    version: int = 1
    certified: bool = False


@dataclass(frozen=True)
class Equivalent:
    """Do the network and another one differ by at most epsilon?"""

    other: Described
    epsilon: Fraction


@dataclass(frozen=True)
class Phases:
    """Has each of these neurons of a layer one phase? The layer and the neurons count from 0."""

    layer: int
    neurons: tuple[int, ...]


@dataclass(frozen=True)
class Zeroed:
    """Does 0 in the place of these neurons' outputs change the network's outputs by at most a tolerance?"""

    layer: int
    neurons: tuple[int, ...]
    tolerance: Fraction


@dataclass(frozen=True)
class Pruned:
    """Which phases does pruning find, and does the reduced network compute the same?"""


@dataclass(frozen=True)
class Ranges:
    """How far do the outputs reach, or where there is another network, how far are the two apart?"""

    other: Described | None = None


Question = Query | Equivalent | Phases | Zeroed | Pruned | Ranges
_KINDS: Mapping[str, type[Question]] = {
    "query": Query,
    "equivalent": Equivalent,
    "phases": Phases,
    "zeroed": Zeroed,
    "pruned": Pruned,
    "ranges": Ranges,
}


@dataclass(frozen=True)
class Case:
    """One question about one network on one box."""

    network: Described
    box: Box
    question: Question

    @property
    def kind(self) -> str:
        return next(word for word, kind in _KINDS.items() if isinstance(self.question, kind))

    @property
    def networks(self) -> tuple[Described, ...]:
        """The networks that the truth is about: this one, and the one that it is compared with."""
        match self.question:
            case Equivalent(other) | Ranges(Described() as other):
                return self.network, other
            case Zeroed(layer, neurons):
                return self.network, without(self.network, layer, neurons)
        return (self.network,)


def to_json(case: Case) -> dict[str, Any]:
    """Numbers of the network as JSON numbers, which keep every digit; all other numbers as exact text."""
    asked: dict[str, Any] = {"kind": case.kind}
    match case.question:
        case Query(formula, version, certified):
            asked |= {"formula": _formula_out(formula), "version": version, "certified": certified}
        case Equivalent(other, epsilon):
            asked |= {"other": _network_out(other), "epsilon": str(epsilon)}
        case Phases(layer, neurons):
            asked |= {"layer": layer, "neurons": list(neurons)}
        case Zeroed(layer, neurons, tolerance):
            asked |= {"layer": layer, "neurons": list(neurons), "tolerance": str(tolerance)}
        case Ranges(other):
            asked |= {"other": None if other is None else _network_out(other)}
    return {"network": _network_out(case.network), "box": [[str(a), str(b)] for a, b in case.box], "question": asked}


def from_json(data: Mapping[str, Any]) -> Case:
    """What `to_json` wrote."""
    box = tuple((Fraction(low), Fraction(high)) for low, high in data["box"])
    return Case(_network_in(data["network"]), box, _question_in(data["question"]))


def _question_in(asked: Mapping[str, Any]) -> Question:
    match asked["kind"]:
        case "query":
            return Query(_formula_in(asked["formula"]), asked["version"], asked["certified"])
        case "equivalent":
            return Equivalent(_network_in(asked["other"]), Fraction(asked["epsilon"]))
        case "phases":
            return Phases(asked["layer"], tuple(asked["neurons"]))
        case "zeroed":
            return Zeroed(asked["layer"], tuple(asked["neurons"]), Fraction(asked["tolerance"]))
        case "pruned":
            return Pruned()
        case "ranges":
            return Ranges(None if asked["other"] is None else _network_in(asked["other"]))
    raise ValueError(f"there is no question of kind {asked['kind']!r}")


def _network_out(network: Described) -> dict[str, Any]:
    layers = [
        {"terms": [[source, [list(row) for row in matrix]] for source, matrix in layer.terms], "bias": list(layer.bias)}
        | ({"kernel": list(layer.kernel)} if layer.kernel else {})
        for layer in network.layers
    ]
    return {"inputs": network.inputs, "kind": network.kind, "layers": layers}


def _network_in(data: Mapping[str, Any]) -> Described:
    layers = tuple(
        Layer(
            tuple((source, tuple(tuple(map(float, row)) for row in matrix)) for source, matrix in layer["terms"]),
            tuple(map(float, layer["bias"])),
            tuple(map(float, layer.get("kernel", ()))),
        )
        for layer in data["layers"]
    )
    return Described(data["inputs"], layers, data["kind"])


def _formula_out(formula: Formula) -> Any:
    if isinstance(formula, Node):
        return [formula.head, *map(_formula_out, formula.parts)]
    return {"terms": [[i, str(c)] for i, c in formula.terms], "sign": formula.sign, "bound": str(formula.bound)}


def _formula_in(data: Any) -> Formula:
    if isinstance(data, list):
        return Node(data[0], tuple(map(_formula_in, data[1:])))
    return Atom(tuple((i, Fraction(c)) for i, c in data["terms"]), data["sign"], Fraction(data["bound"]))
