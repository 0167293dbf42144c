"""The joined network against exact values of both networks, and rows, refresh and goals on it against the same."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import Chain
from secateur.checker.differences import value_ranges
from secateur.checker.joined import joined
from secateur.checker.lowering import lower
from secateur.checker.nodes import FULL
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic
from secateur.checker.records import Plan
from secateur.checker.replay import Proof
from tests.checker.pair_cases import PairCase, claim_of, close_pair, networks_of, problem, random_pair, with_claim
from tests.checker.support import dense_model, evaluate

seeds = st.integers(0, 1 << 30)
Point = list[Fraction]


def chain_values(chain: Chain, t: Point) -> list[Point]:
    """Pre-activations of all layers of a joined network at a normalised point, by the matrices and the kinds of its neurons."""
    values, layers = list(t), []
    for layer in chain.layers:
        rows = [[*map(Fraction, row)] for row in layer.rows]
        z = [(sum((w * v for w, v in zip(row, values, strict=False)), row[-1])) / layer.denominator for row in rows]
        layers.append(z)
        values = [own if i in layer.linear else max(Fraction(0), own) for i, own in enumerate(z)]
        for i, p in layer.partners.items():
            scale = Fraction(1 << layer.shift)
            values[i] = scale * (max(Fraction(0), z[p] + z[i] / scale) - max(Fraction(0), z[p]))
    return layers


def row_values(case: PairCase, x: Point) -> Point:
    """The values of the row layer, by the words of the format, from both networks."""
    both, claim = networks_of(case), claim_of(case)
    (pre, y), (other_pre, other) = evaluate(both.original, x), evaluate(both.reduced, x)
    if claim.layers:
        y, other = ([max(Fraction(0), z) for z in own] for own in (pre[claim.layers[0] - 1], other_pre[claim.layers[1] - 1]))
    if claim.rule == "agree":
        return [claim.bound - sign * (a - b) for a, b in zip(y, other, strict=True) for sign in (1, -1)]
    if claim.rule == "argmin":
        y, other = [-v for v in y], [-v for v in other]
    n, rows = len(y), []
    for i in range(n):
        for j in range(n):
            if j != i:
                rows += [claim.bound - (y[i] - y[k]) for k in range(n) if k != i]
                rows += [other[i] - other[j], claim.bound - (y[i] - y[j]) + (other[i] - other[j])]
    return rows


def inside(case: PairCase, t: Point) -> Point:
    domain = networks_of(case).domain
    return [low + (high - low) * own for low, high, own in zip(domain.lower, domain.upper, t, strict=True)]


@given(seeds, st.data())
@settings(deadline=None, max_examples=150)
def test_the_joined_network_computes_both(seed: int, data: st.DataObject) -> None:
    case = with_claim(random_pair(seed), seed)
    both, chain = networks_of(case), problem(case).chain
    t = [data.draw(st.fractions(0, 1, max_denominator=50)) for _ in range(case.inputs)]
    x = inside(case, t)
    (pre, _), (other, _) = evaluate(both.original, x), evaluate(both.reduced, x)
    found = chain_values(chain, t)
    assert found[-1] == row_values(case, x)
    plan = pairing(case)
    for level, layer in enumerate(chain.layers[:-1], 1):
        mine = pre[level - 1] if level <= len(pre) else []
        theirs = other[case.levels.index(level)] if level in case.levels else []
        separate = [z for j, z in enumerate(theirs) if (level, j) not in plan]
        own = found[level - 1][: layer.own]
        assert own[: len(mine) + len(separate)] == mine + separate
        paired = sorted(j for at, j in plan if at == level)
        left = list(range(len(mine) + len(separate), layer.own))
        assert list(layer.partners) == left
        shared = len(paired) - len(left)
        differences = [Fraction(1 << layer.shift) * (theirs[j] - mine[plan[level, j]]) for j in paired]
        rest = iter(differences)
        assert all(any(z == d for d in rest) for z in own[len(mine) + len(separate) :])  # in this order
        assert differences.count(0) >= shared


def pairing(case: PairCase) -> dict[tuple[int, int], int]:
    """(level, neuron of N') -> partner."""
    both = networks_of(case)
    if not isinstance(case.pairs, str):
        return {(level, j): p for level, p, _, j in case.pairs}
    levels = [(level, layer) for layer, level in enumerate(case.levels, 1) if level <= len(both.original.layers)]
    return {(k, i): i for k, layer in levels for i in range(min(both.original.size(k), both.reduced.size(layer)))}


def node_on(proof: Proof, rng: random.Random) -> PyNode:
    """The root bounds on a random box in the domain."""
    ends = [sorted(rng.choice([0, FULL, rng.randint(0, FULL)]) for _ in range(2)) for _ in range(proof.chain.input_size)]
    bounds = [list(map(list, pair)) for pair in proof.bounds]
    return PyNode([e[0] for e in ends], [e[1] for e in ends], [b[0] for b in bounds], [b[1] for b in bounds], ())


def points(node: PyNode, rng: random.Random, count: int) -> list[Point]:
    """Normalised points of a node's box, many in its corners."""
    pairs = list(zip(node.low, node.high, strict=True))
    return [
        [(lo + (hi - lo) * rng.choice([Fraction(0), Fraction(1), Fraction(rng.randint(0, 97), 97)])) / FULL for lo, hi in pairs]
        for _ in range(count)
    ]


@given(seeds)
@settings(deadline=None, max_examples=200)
def test_refreshed_bounds_and_rows_hold_on_the_box(seed: int) -> None:
    rng = random.Random(seed)
    case = with_claim(random_pair(seed), seed)
    case.grid = [rng.randint(0, 28) for _ in range(len(case.shifts) + 1)]
    proof = problem(case)
    arithmetic, node = PythonArithmetic(proof.chain, proof.grid, [], 0), node_on(proof, rng)
    sources = arithmetic.refresh(node, len(proof.chain.layers))
    assert sources is not None
    exact = [(t, chain_values(proof.chain, t)) for t in points(node, rng, 6)]
    for _, layers in exact:
        for z, below, above in zip(layers, node.lower, node.upper, strict=False):
            assert all(Fraction(a) <= own <= Fraction(b) for a, own, b in zip(below, z, above, strict=True))
    slopes = [[rng.choice([0.0, 1.0, rng.random()]) for _ in source.slopes] for source in sources]
    for _ in range(4):
        k, sign = rng.choice([len(proof.chain.layers), rng.randint(1, len(proof.chain.layers))]), rng.choice([1, -1])
        if not proof.chain.layers[k - 1].rows:
            continue
        i = rng.randrange(len(proof.chain.layers[k - 1].rows))
        row = arithmetic.row(node, sources, (k, i, sign), slopes)
        if row is None:
            assert max(case.shifts) > 8
            continue
        a = row.coefficients[0]
        corner = sum(abs(x) * Fraction(lo if x > 0 else -hi, FULL) for x, lo, hi in zip(a, node.low, node.high, strict=True))
        for t, layers in exact:
            linear = sum((x * own for x, own in zip(a, t, strict=True)), Fraction(0))
            least = row.value / Fraction(2) ** proof.grid[k - 1]
            assert least + max(Fraction(0), linear - corner) / Fraction(2) ** row.exponent <= sign * layers[k - 1][i]


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_rows_are_charged_for_the_largest_magnitude_of_each_value(seed: int) -> None:
    """S_h of the format; values of differences and of the linear neurons that carry them may be negative."""
    rng = random.Random(seed)
    case = with_claim(random_pair(seed), seed)
    case.grid = [rng.randint(-5, 5) for _ in range(len(case.shifts) + 1)]
    proof = problem(case)
    arithmetic, node = PythonArithmetic(proof.chain, proof.grid, [], 0), node_on(proof, rng)
    for h, layer in enumerate(proof.chain.layers[:-1], 1):
        ends = zip(*value_ranges(layer, *proof.bounds[h - 1]), strict=True)
        total = sum(math.ceil(max(-low, high, 0) * 2.0 ** proof.grid[h - 1]) for low, high in ends)
        assert arithmetic.source(node, h).total == (total if total < 1 << 53 else None)


def test_what_is_closed_or_cut_off_satisfies_no_goal() -> None:
    found: Counter[str] = Counter()
    for seed in range(300):
        rng = random.Random(seed)
        proof = problem(case := with_claim(random_pair(seed), seed))
        arithmetic, node = PythonArithmetic(proof.chain, proof.grid, proof.goals, rng.randint(0, 3)), node_on(proof, rng)
        sources = arithmetic.refresh(node, len(proof.chain.layers))
        assert sources is not None
        boxes = [arithmetic.goal(node, sources, goal) for goal in proof.goals]
        found["closed"] += boxes.count(None)
        found["shrunk"] += sum(box is not None and box != (node.low, node.high) for box in boxes)
        for t in points(node, rng, 10):
            values = row_values(case, inside(case, t))
            for box, goal in zip(boxes, proof.goals, strict=True):
                own = [(values[i], threshold) for (i, _), threshold in zip(goal.targets, goal.thresholds, strict=True)]
                if all(value < 0 or (value == 0 and threshold) for value, threshold in own):
                    found["kept"] += 1
                    assert box is not None
                    assert all(low <= share * FULL <= high for low, share, high in zip(box[0], t, box[1], strict=True))
    assert min(found[own] for own in ("closed", "shrunk", "kept")) > 15, found


def test_carried_differences_and_shared_neurons_by_hand() -> None:
    """N has a layer between that N' has not; the first neuron is the same in both, the second differs."""
    first, second, last = (np.float32([[1], [2]]), np.float32([0, 0])), (np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))
    original = lower(dense_model([first, second, second, last]))
    reduced = lower(dense_model([(np.float32([[1], [2.5]]), np.float32([0, 0])), second, last]))
    both = joined(original, reduced, Plan((1, 3), "position", (2, 0, 1)))
    assert [[len(layer.rows), dict(own.partners)] for layer, own in zip(both.network.layers, both.differences, strict=True)] == [
        [3, {2: 1}],  # two neurons of N, and 4 (2.5 x - 2 x)
        [2, {}],
        [4, {2: 0, 3: 1}],  # N' reads r of level 1, N that of level 2: not the same expressions
    ]
    assert both.network.layers[0].rows[2] == {1: 2 * both.network.layers[0].denominator}


def test_levels_without_neurons() -> None:
    """N' alone has layers, at levels 2 and 4."""
    layer, last = (np.float32([[1], [-1]]), np.float32([0.5, 0])), (np.float32([[1, 1]]), np.float32([0]))
    original = lower(dense_model([(np.float32([[1]]), np.float32([0]))]))
    reduced = lower(dense_model([layer, (np.eye(2), np.zeros(2)), last]))
    both = joined(original, reduced, Plan((2, 4), "position", (0, 0, 0, 0)))
    assert [len(own.rows) for own in both.network.layers] == [0, 2, 0, 2]


def test_facts_about_n_sharpen_the_joined_network() -> None:
    case = close_pair(4)
    before = problem(case).bounds[0]
    case.interval = [[1, 0, "inactive"], [1, 1, "active"]]
    lower_ends, upper_ends = problem(case).bounds[0]
    assert before[1][0] > 0 > before[0][1]
    assert (upper_ends[0], lower_ends[1]) == (0.0, 0.0)
    assert (upper_ends[1:], lower_ends[0]) == (before[1][1:], before[0][0])
