"""Evidence for refuted leaves: a reference prover that tries all phases of a few neurons, and a query that ties at 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import floor
from typing import Any

import highspy
import numpy as np

from secateur.checker.domain import Domain
from secateur.checker.lowering import lower
from secateur.checker.nodes import Goal, LeafState
from secateur.checker.python_arithmetic import PythonArithmetic
from secateur.checker.query import read_query
from secateur.checker.refusal import Refusal
from secateur.checker.refuted_leaves import LeafEvidence
from secateur.checker.replay import Proof
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import with_exact_rows
from secateur.checker.subject import Region, Row, Subject, about_one
from secateur.checker.walk import walk_tree
from tests.checker.pair_cases import PairCase
from tests.checker.pair_cases import problem as pair_problem
from tests.checker.query_cases import PartCase, QueryCase, head
from tests.checker.query_cases import problem as query_problem
from tests.checker.support import dense_model

__all__ = ["TIE", "Affine", "evidence_of", "leaves_of", "pair_evidence", "pieces", "query_evidence", "refute", "tie_case"]

MOST_NEURONS = 7  # whose phases are tried
SCALE = 1 << 30
Affine = list[Fraction]  # the constant, then the coefficients of the inputs


class _Collector:
    """Evidence that believes everything, and keeps what it saw. See `walk.Evidence`."""

    def __init__(self, symbol: int) -> None:
        self.symbol, self.found = symbol, dict[int, LeafState]()

    def fault(self, position: int, leaf: LeafState) -> Refusal | None:
        self.found[position] = leaf


def leaves_of(proof: Proof, arithmetic: Any = None) -> dict[int, LeafState]:
    """The refuted leaves of a tree, by position; whether they can be refuted is not asked."""
    collector = _Collector(proof.chain.input_size + 2)
    own = arithmetic or PythonArithmetic(proof.chain, proof.grid, proof.goals, proof.steps)
    walk_tree(proof.goals, proof.symbols, own, proof.bounds, proof.name, lambda *_: None, proof.trusted, collector)
    return dict(sorted(collector.found.items()))


def combined(row: Mapping[int, int], denominator: int, known: Mapping[int, Affine], inputs: int) -> Affine:
    """An affine function of the input, from one of symbols."""
    total = [Fraction(0)] * (inputs + 1)
    for symbol, c in row.items():
        own = known[symbol]
        total = [a + Fraction(c, denominator) * b for a, b in zip(total, own, strict=True)]
    return total


def pieces(subject: Subject, layers: int, active: Mapping[int, bool]) -> tuple[dict[int, Affine], dict[int, Affine]]:
    """Outputs and pre-activations of neurons as functions of the input, where these phases hold."""
    network, inputs = subject.network, subject.network.input_size
    unit = [[Fraction(int(i == j)) for j in range(inputs + 1)] for i in range(inputs + 1)]
    values, pre = dict(enumerate(unit)), dict[int, Affine]()
    for layer in range(1, layers + 1):
        affine = network.layers[layer - 1]
        for symbol, row in enumerate(affine.rows, network.starts[layer]):
            pre[symbol] = combined(row, affine.denominator, values, inputs)
            values[symbol] = pre[symbol] if active[symbol] else [Fraction(0)] * (inputs + 1)
    return values, pre


def farkas(functions: Sequence[Affine], rows: int, region: Region) -> list[float] | None:
    """Weights >= 0 of functions (of the first `rows` at most 1 in all) that make the sum positive on the box; None if none do."""
    low, high = (np.array([x / region.denominator for x in side]) for side in (region.low, region.high))
    solver = highspy.Highs()
    solver.silent()
    weights = [solver.addVariable(0, 1 if i < rows else 1e4) for i in range(len(functions))]
    least = [solver.addVariable(-1e6, 1e6) for _ in low]
    table = np.array([[float(c) for c in own] for own in functions])
    solver.addConstr(sum(weights[:rows]) <= 1)
    for j, own in enumerate(least):
        slope = sum(float(table[i, j + 1]) * weight for i, weight in enumerate(weights))
        solver.addConstr(own - float(low[j]) * slope <= 0)
        solver.addConstr(own - float(high[j]) * slope <= 0)
    total = sum(float(table[i, 0]) * weight for i, weight in enumerate(weights)) + sum(least)
    solver.maximize(total)
    found = solver.getSolution().col_value[: len(functions)]
    return [max(0.0, own) for own in found] if solver.getInfo().objective_function_value > 1e-6 else None


def multipliers_of(
    subject: Subject, rows: Sequence[Row], weights: Sequence[int], forces: Mapping[int, int], active: Mapping[int, bool]
) -> dict[int, int]:
    """mu of the neurons whose phases are supposed: A - force where active, the force where inactive, in whole numbers."""
    network, chosen = subject.network, dict[int, int]()
    total: dict[int, Fraction] = {}
    for weight, row in zip(weights, rows, strict=True):
        for symbol, c in row.expression.items():
            total[symbol] = total.get(symbol, Fraction(0)) + Fraction(weight * c, row.denominator)
    for symbol in sorted(active, reverse=True):
        a = total.pop(symbol, Fraction(0))
        mu: Fraction | int = a if active[symbol] else 0
        if symbol in forces:
            mu = chosen[symbol] = floor(a - forces[symbol]) if active[symbol] else forces[symbol]
        layer = network.source(symbol)
        affine = network.layers[layer - 1]
        for own, c in affine.rows[symbol - network.starts[layer]].items():
            total[own] = total.get(own, Fraction(0)) + Fraction(mu) * Fraction(c, affine.denominator)
    return chosen


def name_of(subject: Subject, symbol: int) -> list[int]:
    """The name of a neuron in evidence."""
    for side, layers in enumerate(subject.sides):
        for layer, own in enumerate(layers, 1):
            if symbol in own:
                name = [layer, own.index(symbol)]
                return [side, *name] if len(subject.sides) > 1 else name
    raise AssertionError(symbol)


def lemma(subject: Subject, goal: Goal, region: Region, phases: Mapping[int, bool]) -> dict[str, Any] | None:
    """The lemma that excludes some phases; None where they are possible, as far as doubles tell."""
    rows, layers = subject.rows(goal), goal.layer - 1
    end = subject.network.starts[goal.layer]
    active = {s: phases.get(s, low >= 0) for s, (low, high) in region.bounds.items() if s < end}
    values, pre = pieces(subject, layers, active)
    functions = [combined(row.expression, row.denominator, values, subject.network.input_size) for row in rows]
    functions += [[-c if active[s] else c for c in pre[s]] for s in phases]
    found = farkas(functions, len(rows), region)
    if found is None:
        return None
    weights = [round(own * SCALE) for own in found[: len(rows)]]
    forces = {s: round(own * SCALE) for s, own in zip(phases, found[len(rows) :], strict=True)}
    chosen = multipliers_of(subject, rows, weights, forces, active)
    clause = [-i if active[s] else i for i, s in enumerate(phases, 1)]
    return {"clause": clause, "rows": list(map(str, weights)), "multipliers": [str(chosen[s]) for s in phases]}


def refute(subject: Subject, goal: Goal, region: Region) -> dict[str, Any] | None:
    """A lemma for every combination of phases, and the consequences down to the empty clause."""
    end = subject.network.starts[goal.layer]
    unstable = [s for s, (low, high) in region.bounds.items() if low < 0 < high and s < end]
    if len(unstable) > MOST_NEURONS:
        return None
    steps: list[Any] = []
    for pattern in product((True, False), repeat=len(unstable)):
        own = lemma(subject, goal, region, dict(zip(unstable, pattern, strict=True)))
        if own is None:
            return None
        steps.append(own)
    for length in range(len(unstable) - 1, -1, -1):
        signs = product((-1, 1), repeat=length)
        steps += [{"clause": [sign * i for i, sign in enumerate(own, 1)]} for own in signs]
    return {"neurons": [name_of(subject, s) for s in unstable], "steps": steps}


def evidence_of(subject: Subject, goals: Sequence[Goal], leaves: Mapping[int, LeafState]) -> list[list[Any]] | None:
    """Evidence for all refuted leaves; None where some goal cannot be refuted."""
    found = []
    for leaf in leaves.values():
        region = subject.region(leaf)
        entry = [refute(subject, goals[number], region) for number in leaf.open]
        if None in entry:
            return None
        found.append(entry)
    return found


def query_evidence(case: QueryCase) -> bool:
    """Fills in the evidence of a query's parts, all of which lie on the same box; False where that fails."""
    network, left = lower(case.network), read_query(case.query).disjuncts()
    for part in case.parts:
        disjuncts = [next(left) for _ in range(part.disjuncts)]
        chain, own = query_problem(case.network, disjuncts)
        root = RootBounds(chain)
        bounds = [root.bounds(k) for k in range(1, len(chain.layers))]
        proof = Proof(chain, part.grid, own, part.steps, part.symbols, case.inputs + 1, bounds, "part")
        rows = [row for disjunct in disjuncts for row in disjunct.rows]
        box = Domain(disjuncts[0].lower, disjuncts[0].upper)
        part.evidence = evidence_of(about_one(with_exact_rows(network, rows), box), own, leaves_of(proof))
    return all(part.evidence for part in case.parts)


def pair_evidence(case: PairCase) -> bool:
    """Fills in the evidence of a difference tree; False where that fails."""
    case.evidence = [None] * case.symbols.count(case.inputs + 2)
    proof = pair_problem(case)
    assert isinstance(proof.evidence, LeafEvidence)
    case.evidence = evidence_of(proof.evidence.subject, proof.goals, leaves_of(proof))
    return case.evidence is not None


def step(clause: list[int], rows: str = "", multipliers: str = "") -> dict[str, Any]:
    return {"clause": clause, "rows": rows.split(), "multipliers": multipliers.split()} if rows else {"clause": clause}


# y = max(0, x) - max(0, -x) - max(0, x + 1) + 1 is 0 for -1 <= x <= 1: the query y < 0 has no solution, but every x is a tie.
TIE = {
    "neurons": [[1, 0], [1, 1]],
    "steps": [
        step([1, -2], "1", "0 -1"), step([1, 2], "1", "1 0"), step([-1, -2], "1", "0 -1"), step([-1, 2], "1", "1 0"),
        step([1]), step([]),
    ],
}  # fmt: skip


def tie_case(evidence: Any = None, symbols: Sequence[int] = (), strict: bool = True, inputs: int = 1) -> QueryCase:
    """The query y < 0 (or y <= 0), as one refuted leaf where nothing else is said; y depends on the first input only."""
    weights = np.zeros((3, inputs), np.float32), np.float32([0, 0, 1])
    weights[0][:, 0] = 1, -1, 1
    network = dense_model([weights, (np.float32([[1, -1, -1]]), np.float32([1]))])
    query = head(inputs, 1, [("-1", "1")] * inputs) + f"(assert ({'<' if strict else '<='} Y_0 0))\n"
    part = PartCase(1, [36, 36], list(symbols) or [inputs + 2], evidence=evidence)
    return QueryCase(network, query.encode(), inputs, [part])
