"""Evidence of refuted goals: its clauses and multipliers say of the neurons what the search found on the normal form."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest

from secateur.checker.refutation import Clauses
from secateur.network import Network
from secateur.residual import Constraint, Sat, Unsat
from secateur.search.leaf import GoalRefutation, SubDomain, decide_goal
from tests.bounds.support import random_network

F = Fraction


def interval_bounds(
    network: Network, lower: list[Fraction], upper: list[Fraction]
) -> list[tuple[list[Fraction], list[Fraction]]]:
    found, low, high = [], lower, upper
    for layer in network.layers:
        (term,) = layer.terms
        matrix, bias = term.map.dense().rationals(), layer.rational_bias()
        lows = [
            b + sum((min(w * a, w * c) for w, a, c in zip(row, low, high, strict=True)), F(0))
            for row, b in zip(matrix, bias, strict=True)
        ]
        highs = [
            b + sum((max(w * a, w * c) for w, a, c in zip(row, low, high, strict=True)), F(0))
            for row, b in zip(matrix, bias, strict=True)
        ]
        found.append((lows, highs))
        low, high = [max(F(0), v) for v in lows], [max(F(0), v) for v in highs]
    return found


def least(network: Network, where: SubDomain, proof: GoalRefutation, number: int, weights: list[Fraction]) -> Fraction:
    """The least value of W over the box, where all literals of the step's clause are false: section 13 of the format, plainly."""
    step = proof.steps[number]
    bounds = [(list(low), list(high)) for low, high in where.bounds]
    for literal in step.clause:
        layer, i = proof.neurons[abs(literal) - 1]
        side = bounds[layer - 1][literal > 0]
        side[i] = max(side[i], F(0)) if literal < 0 else min(side[i], F(0))
    given = dict(zip(proof.neurons, step.multipliers, strict=True))
    (term,) = network.output.terms
    value = sum((w * b for w, b in zip(weights, network.output.rational_bias(), strict=True)), F(0))
    row = [
        sum((w * r[j] for w, r in zip(weights, term.map.dense().rationals(), strict=True)), F(0)) for j in range(term.map.in_size)
    ]
    for k in range(len(network.layers), 0, -1):
        layer, (lows, highs) = network.layers[k - 1], bounds[k - 1]
        matrix, bias = layer.terms[0].map.dense().rationals(), layer.rational_bias()
        below = [F(0)] * layer.terms[0].map.in_size
        for i, a in enumerate(row):
            mu = F(given.get((k, i), a if lows[i] >= 0 else 0))
            ends = [lows[i], highs[i], *([F(0)] if lows[i] < 0 < highs[i] else [])]
            value += min(a * max(F(0), z) - mu * z for z in ends) + mu * bias[i]
            below = [b + mu * w for b, w in zip(below, matrix[i], strict=True)]
        row = below
    return value + sum((min(a * low, a * high) for a, low, high in zip(row, where.lower, where.upper, strict=True)), F(0))


def asked(seed: int) -> tuple[Network, SubDomain, list[Constraint]]:
    rng = np.random.default_rng(seed)
    network = random_network([2, 5, 4, 2], seed)
    lower, upper = [F(-1), F(-1, 2)], [F(1, 3), F(1)]
    bounds = interval_bounds(network, lower, upper)
    values = network.forward(rng.uniform([-1, -0.5], [1 / 3, 1], (2000, 2)))
    limits = values.max(axis=0) * 0.75 + values.min(axis=0) * 0.25 if seed % 2 else values.max(axis=0) + 0.05
    rows = [Constraint(((2, o, F(-1)),), F(-float(limits[o])).limit_denominator(1000)) for o in range(2)]
    where = SubDomain(network, lower, upper, [(np.array(low, object), np.array(high, object)) for low, high in bounds])
    return network, where, rows


@pytest.mark.parametrize("seed", range(12))
def test_every_step_of_the_evidence_holds(seed: int) -> None:
    network, where, rows = asked(seed)
    verdict, _, proof = decide_goal(where, rows, time.monotonic() + 60)
    assert isinstance(verdict, Unsat | Sat)
    assert (proof is not None) == isinstance(verdict, Unsat)
    if proof is None:
        return
    clauses = Clauses()
    for number, step in enumerate(proof.steps):
        if step.rows:
            offset = sum((w * row.bound for w, row in zip(step.rows, rows, strict=True)), F(0))
            assert least(network, where, proof, number, [F(-w) for w in step.rows]) - offset > 0
            clauses.add(step.clause)
        else:
            assert clauses.imply(step.clause)
            clauses.add(step.clause)
    assert proof.steps[-1].clause == ()


def test_both_kinds_of_answers_occur() -> None:
    verdicts = [decide_goal(*asked(seed)[1:], time.monotonic() + 60)[0] for seed in range(12)]
    assert any(isinstance(verdict, Sat) for verdict in verdicts)
    assert sum(isinstance(verdict, Unsat) for verdict in verdicts) >= 4
