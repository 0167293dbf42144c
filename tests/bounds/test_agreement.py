"""The engine's kernels against the checker's plain arithmetic on the same node: the same bounds, box and goals, to the bit.

A certificate says only where boxes are split; everything else the checker computes again. Where the kernels differed from it in
one bit, some certificate of a true statement would be refused.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import LEAF, Evaluation, Goal, QuantisedNetwork, SubDomains, evaluate, quantise, root
from secateur.bounds.chain import LINEAR, ChainLayer
from secateur.bounds.differences import FREE, LINE, VALUE, lower_form, phases_of, upper_form, value_range
from secateur.bounds.root import _difference_ranges
from secateur.checker.chain import Chain, Differences, _chain_layer
from secateur.checker.chain import ChainLayer as PlainLayer
from secateur.checker.differences import differences_of
from secateur.checker.nodes import LEAF_OPEN
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic, Row
from secateur.checker.relaxation import Source
from secateur.checker.root import RootBounds
from secateur.network import Affine, Dense, Network, Term
from secateur.network.difference import Pairing, paired_by_position
from tests.bounds.support import UNIT, boxes, on_box, random_network
from tests.bounds.test_differences import SHIFTS, joined, quantised_of
from tests.bounds.test_goals import NETWORKS, goals
from tests.differences import network_pairs

quiet = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
WHOLE = st.tuples(st.just(0), st.just(UNIT))
COARSER = st.lists(st.integers(-6, 45), min_size=1, max_size=8)
SIDES = st.one_of(WHOLE, st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))


@dataclass(frozen=True)
class PlainGoal:
    """A goal of the kernels as the checker has it."""

    own: Goal
    kind: str = "goal"

    @property
    def layer(self) -> int:
        return self.own.layer

    @property
    def targets(self) -> tuple[tuple[int, int], ...]:
        return tuple((neuron, sign) for _, neuron, sign in self.own.targets)

    @property
    def thresholds(self) -> tuple[int, ...]:
        return tuple(map(int, self.own.zero_counts))


def without_repeats(goal: Goal) -> Goal:
    """Each neuron once, as in the row layers that certificates speak of: the checker takes targets by neuron."""
    first = {neuron: t for t, (_, neuron, _) in reversed(list(enumerate(goal.targets)))}
    kept = sorted(first.values())
    return Goal(tuple(goal.targets[t] for t in kept), tuple(goal.zero_counts[t] for t in kept))


def plain_layer(layer: ChainLayer) -> PlainLayer:
    """The checker's integers for a layer's exact matrix."""
    parts, kinds = layer.parts, layer.kinds.tolist()
    rows = [[*row, bias] for row, bias in zip(parts.rows, parts.biases, strict=True)]
    partners = Differences({i: kind for i, kind in enumerate(kinds) if kind >= 0}, layer.shift)
    linear = frozenset(i for i, kind in enumerate(kinds) if kind == LINEAR)
    return _chain_layer(layer.own, parts.denominator, rows, layer.in_size, partners, linear)


def by_layers(values: list[float], chain: Chain) -> list[list[float]]:
    starts = np.cumsum([0, *(len(layer.rows) for layer in chain.layers)])
    return [values[a:b] for a, b in pairwise(starts)]


def best_row(plain: PythonArithmetic, node: PyNode, sources: list[Source], goal: PlainGoal) -> Row | None:
    """The row that a goal is decided by, or comes nearest with: of several single ones of the same value the first."""
    rows = [] if len(goal.targets) == 1 else plain._single_rows(node, sources, goal)
    closed = any(row is not None and row.value >= least for row, least in zip(rows, goal.thresholds, strict=False))
    start = None if closed else plain._start(node, goal, rows)
    if start is not None:
        return plain._best_row(node, sources, start)
    return max((row for row in rows if row is not None), key=lambda row: row.value, default=None)


def compare_rows(found: Evaluation, expected: list[tuple[int, Row | None]]) -> None:
    """Values and coefficients of the goals' best rows; each with the grid of its goal."""
    for g, (grid, row) in enumerate(expected):
        assert found.margins[0, g] == (-math.inf if row is None else math.ldexp(row.value, -grid))
        if row is not None:
            assert found.rows[0, g].tolist() == [math.ldexp(a, -row.exponent) for a in row.coefficients[0]]


def compare(quantised: QuantisedNetwork, asked: list[Goal], batch: SubDomains, steps: int) -> None:
    """Evaluates the only sub-domain of a batch with both."""
    chain = Chain(quantised.input_size, tuple(map(plain_layer, quantised.layers)))
    bounds = RootBounds(chain)
    exact = [bounds.bounds(k) for k in range(1, 1 + len(chain.layers))]
    assert by_layers(quantised.bounds.lower.tolist(), chain) == [low for low, _ in exact]
    assert by_layers(quantised.bounds.upper.tolist(), chain) == [high for _, high in exact]
    sides = [[int(q) for q in side] for side in (batch.low[0], batch.high[0])]
    ends = [by_layers(side.tolist(), chain) for side in (batch.lower[0], batch.upper[0])]
    node = PyNode(sides[0], sides[1], ends[0], ends[1], tuple(range(len(asked))))
    found = evaluate(quantised, batch, asked, steps, 1)
    split, own = int(found.split[0]), [PlainGoal(goal) for goal in asked]
    plain = PythonArithmetic(chain, quantised.grids, own, steps)
    refreshed = deepcopy(node)
    sources = plain.refresh(refreshed, max(goal.layer for goal in own))
    assert sources is not None
    expected = [best_row(plain, refreshed, sources, goal) for goal in own]
    compare_rows(found, list(zip((quantised.grids[goal.layer - 1] for goal in own), expected, strict=True)))
    outcome = plain.visit([(node, 0 if split < 0 else 1 + split)])[0]
    still_open = np.flatnonzero(batch.open[0]).tolist()
    assert by_layers(batch.lower[0].tolist(), chain) == node.lower
    assert by_layers(batch.upper[0].tolist(), chain) == node.upper
    if split == LEAF:
        assert (outcome.fault, still_open) == (0, [])
    elif split < 0:
        assert (outcome.fault, outcome.goal) == (LEAF_OPEN, still_open[0])
    else:
        assert outcome.children is not None
        first, second = outcome.children
        assert (first.low, second.high) == (batch.low[0].tolist(), batch.high[0].tolist())
        assert list(first.open) == still_open


def some_box(quantised: QuantisedNetwork, count: int, data: st.DataObject) -> SubDomains:
    sides = [sorted(data.draw(SIDES)) for _ in range(quantised.input_size)]
    return on_box(quantised, count, [s[0] for s in sides], [s[1] for s in sides])


@quiet
@given(NETWORKS, st.integers(0, 3), st.data())
def test_kernels_and_checker_find_the_same(network: Network, steps: int, data: st.DataObject) -> None:
    quantised = quantise(network, *data.draw(boxes(network.input_size)))
    asked = [without_repeats(goal) for goal in data.draw(st.lists(goals(network), min_size=1, max_size=3))]
    compare(quantised, asked, some_box(quantised, len(asked), data), steps)


def on_grids(quantised: QuantisedNetwork, coarser: list[int]) -> QuantisedNetwork:
    """The network on grids that are coarser by so many bits: where terms round, or, if finer by some, are too large."""
    grids = [0, *(grid - coarser[k % len(coarser)] for k, grid in enumerate(quantised.grids))]
    return replace(quantised, kernel=quantised.kernel._replace(grids=np.array(grids, dtype=np.int64)))


@quiet
@given(NETWORKS, COARSER, st.integers(0, 3), st.data())
def test_kernels_and_checker_find_the_same_on_any_grids(
    network: Network, coarser: list[int], steps: int, data: st.DataObject
) -> None:
    quantised = on_grids(quantise(network, *data.draw(boxes(network.input_size))), coarser)
    asked = [without_repeats(goal) for goal in data.draw(st.lists(goals(network), min_size=1, max_size=3))]
    compare(quantised, asked, some_box(quantised, len(asked), data), steps)


@quiet
@given(network_pairs(), SHIFTS, COARSER, st.data())
def test_kernels_and_checker_find_the_same_differences_on_any_grids(
    pair: tuple[Network, Network, Pairing], shift: int | None, coarser: list[int], data: st.DataObject
) -> None:
    box = data.draw(boxes(pair[0].input_size))
    network = joined(pair, box, shift)
    if 0 in network.network.sizes:
        return
    quantised = on_grids(quantised_of(network, box), coarser)
    asked = [without_repeats(goal) for goal in data.draw(st.lists(goals(network.network), min_size=1, max_size=3))]
    compare(quantised, asked, some_box(quantised, len(asked), data), 1)


@quiet
@given(network_pairs(), SHIFTS, st.integers(0, 3), st.data())
def test_kernels_and_checker_find_the_same_differences(
    pair: tuple[Network, Network, Pairing], shift: int | None, steps: int, data: st.DataObject
) -> None:
    box = data.draw(boxes(pair[0].input_size))
    network = joined(pair, box, shift)
    sizes = network.network.sizes
    if 0 in sizes:
        return
    quantised = quantised_of(network, box)
    asked = [without_repeats(goal) for goal in data.draw(st.lists(goals(network.network), min_size=1, max_size=3))]
    compare(quantised, asked, some_box(quantised, len(asked), data), steps)


def test_kernels_and_checker_find_the_same_in_wide_layers() -> None:
    """Enough summands for the order of additions to matter, and slopes that are improved often."""
    rng = np.random.default_rng(3)
    for seed in range(6):
        network = random_network([4, 12, 11, 9, 4], seed)
        quantised = quantise(network, (Fraction(-1),) * 4, (Fraction(2, 3),) * 4)
        asked = [Goal.of((3, i, sign)) for i, sign in ((0, 1), (1, -1))]
        asked += [Goal(((3, 0, 1), (3, 1, -1), (3, 2, 1))), Goal(((3, 2, -1), (3, 3, 1)), (True, False))]
        batch = root(quantised, quantised.bounds, len(asked))
        sides = np.sort(rng.integers(0, UNIT, size=(2, 4)), axis=0)
        batch.low[0], batch.high[0] = sides
        compare(quantised, asked, batch, 5)


def test_kernels_and_checker_break_ties_alike() -> None:
    """Without biases, on a box around 0: l = -u, where the default slope is 0."""
    rng = np.random.default_rng(1)
    affines = [
        Affine((Term(k, Dense(rng.integers(-4, 5, size=(after, before)) / 4)),), np.zeros(after))
        for k, (before, after) in enumerate([(2, 6), (6, 3), (3, 1)])
    ]
    quantised = quantise(Network(2, tuple(affines[:-1]), affines[-1]), (Fraction(-1),) * 2, (Fraction(1),) * 2)
    assert (quantised.bounds.lower[:6] == -quantised.bounds.upper[:6]).all()
    asked = [Goal.of((2, i, sign)) for i in range(3) for sign in (1, -1)]
    compare(quantised, asked, root(quantised, quantised.bounds, len(asked)), 2)


def test_kernels_and_checker_relax_alike_what_cancels_out_of_a_row() -> None:
    """A row reads r_v by way of two neurons, 1 and -1 times: where it is least, r_v still moves what chooses slopes."""
    v = Affine((Term(0, Dense(np.array([[1.0, 1.0]]))),), np.zeros(1))
    pq = Affine((Term(0, Dense(np.array([[1.0, -1.0], [-1.0, -1.0]]))), Term(1, Dense(np.ones((2, 1))))), np.zeros(2))
    target = Affine((Term(0, Dense(np.array([[0.0, -0.125]]))), Term(2, Dense(np.array([[1.0, -2.0]])))), np.zeros(1))
    output = Affine((Term(3, Dense(np.ones((1, 1)))),), np.zeros(1))
    quantised = quantise(Network(2, (v, pq, target), output), (Fraction(-1),) * 2, (Fraction(1),) * 2)
    for steps in (0, 1, 2):
        batch = root(quantised, quantised.bounds, 1)
        compare(quantised, [Goal.of((3, 0, 1))], batch, steps)


def kink(start: float, tilt: float, bias: float) -> QuantisedNetwork:
    """max(0, x - start) + tilt x + bias on [0, 1], as the only neuron of the second layer."""
    one = Affine((Term(0, Dense(np.array([[1.0]]))),), np.array([-start]))
    two = Affine((Term(0, Dense(np.array([[tilt]]))), Term(1, Dense(np.array([[1.0]])))), np.array([bias]))
    output = Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1))
    return quantise(Network(1, (one, two), output), (Fraction(0),), (Fraction(1),))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_kernels_and_checker_keep_the_first_of_rows_of_the_same_value(steps: int) -> None:
    """max(0, x - 1/2) - x/2 + 1/4 >= 0: the slopes 0 and 1 both show -1/4, but leave different halves of the box."""
    quantised = kink(0.5, -0.5, 0.25)
    batch = root(quantised, quantised.bounds, 1)
    compare(quantised, [Goal.of((2, 0, 1))], batch, steps)
    assert (batch.low[0, 0] / UNIT, batch.high[0, 0] / UNIT) == pytest.approx((0.5, 1), abs=1e-6)


def test_kernels_and_checker_shorten_their_steps_alike() -> None:
    """The slopes 0, 4 / 8, 0 and 9/4 / 8 are tried, since x - 7/8 is least at -7/8 and at most 1/8; the last one is best."""
    quantised = kink(0.875, -0.3125, 0.25)
    batch = root(quantised, quantised.bounds, 1)
    compare(quantised, [Goal.of((2, 0, 1))], batch, 3)
    assert batch.low[0, 0] / UNIT == pytest.approx((0.25 - 0.28125 * 0.875) / (0.3125 - 0.28125), abs=1e-5)


def test_kernels_and_checker_refresh_differences_alike() -> None:
    """On a part of the box: a difference of two active neurons, of two inactive ones, and of two that may be either."""
    weight, bias = np.array([[1.0], [1.0], [1.0]]), np.array([2.0, -2.0, 0.0])
    networks = [
        Network(
            1,
            (Affine((Term(0, Dense(weight * factor)),), bias), Affine((Term(1, Dense(np.ones((1, 3)))),), np.zeros(1))),
            Affine((Term(2, Dense(np.ones((1, 1)))),), np.zeros(1)),
        )
        for factor in (1.0, 1.25)
    ]
    box = (Fraction(-1),), (Fraction(1),)
    network = joined((*networks, paired_by_position(*networks)), box, 0)
    quantised = quantised_of(network, box)
    batch = root(quantised, quantised.bounds, 1)
    batch.low[0], batch.high[0] = [UNIT // 2], [3 * UNIT // 4]
    before = batch.upper.copy()
    compare(quantised, [Goal.of((2, 0, 1))], batch, 0)
    tighter = {i for i in range(6) if batch.upper[0, i] < before[0, i]}
    assert tighter == {2, 3, 5}  # the unstable neuron, the difference of the active ones, and that of the unstable ones
    for sign in (1, -1):  # on the whole box, where both ends of a line count
        compare(quantised, [Goal.of((2, 1, sign))], root(quantised, quantised.bounds, 1), 0)


def test_kernels_and_checker_carry_negative_differences_alike() -> None:
    """Layer 3 reads the difference -x/2 of layer 1: its carrier is as large as its lower bound says."""
    one, bias = Dense(np.ones((1, 1))), np.zeros(1)
    networks = [
        Network(
            1,
            (
                Affine((Term(0, Dense(np.full((1, 1), factor))),), bias),
                Affine((Term(1, one),), bias),
                Affine((Term(1, Dense(np.full((1, 1), 0.7))), Term(2, one)), bias),
            ),
            Affine((Term(3, one),), bias),
        )
        for factor in (1.0, 0.5)
    ]
    box = (Fraction(1),), (Fraction(2),)
    quantised = quantised_of(joined((*networks, paired_by_position(*networks)), box, 0), box)
    assert LINEAR in quantised.layers[1].kinds
    for sign in (1, -1):
        compare(quantised, [Goal.of((3, 1, sign))], root(quantised, quantised.bounds, 1), 0)


@pytest.mark.parametrize("finer", range(4, 8))
def test_kernels_and_checker_find_constants_too_large_alike(finer: int) -> None:
    """From x to -x a difference is bounded by constants: nothing else of their rows comes near the limit."""
    one, bias = Dense(np.ones((1, 1))), np.zeros(1)
    networks = [
        Network(
            1,
            (Affine((Term(0, Dense(np.full((1, 1), factor))),), bias), Affine((Term(1, one),), bias)),
            Affine((Term(2, one),), bias),
        )
        for factor in (1.0, -1.0)
    ]
    box = (Fraction(1),), (Fraction(2),)
    quantised = quantised_of(joined((*networks, paired_by_position(*networks)), box, 0), box)
    for sign in (1, -1):
        compare(on_grids(quantised, [-finer]), [Goal.of((2, 1, sign))], root(quantised, quantised.bounds, 1), 0)


@pytest.mark.parametrize(
    ("own", "partner"),
    [
        ((-2.0, 2.0), (-3.0, 1 - 2.0**-24)),  # d_lo = -1 = l' / 2
        ((-1.0, 1.0), (-2.0, -0.5 - 2.0**-24)),  # d_hi = 1 / 2 = u' / 2
        ((-4.0, 2.0), (1 - 2.0**-24, 1 - 2.0**-24)),  # from above, and d_lo = -1 = m
        ((2.0, 4.0), (-1.5, -1 - 2.0**-21)),  # to above, and d_hi = 3 = m
        ((-3.0, -2.0), (-2.0, 2.0)),  # u = -u_p
        ((-2.0, -1.0), (2.0**-49, 1.0)),  # u_p + u cancels, and what is left is l_p
    ],
)
def test_kernels_and_checker_know_the_same_of_a_difference(own: tuple[float, float], partner: tuple[float, float]) -> None:
    layer = PlainLayer(2, 1, [], [], [], [], {1: 0}, 0)
    plain = differences_of(layer, [partner[0], own[0]], [partner[1], own[1]])[1]
    known = phases_of(*own, *partner, 1.0)
    assert known == (plain.from_below, plain.from_above, plain.to_below, plain.to_above)
    ends = value_range(*own, *partner, 1.0, known)
    assert ends == (plain.low, plain.high)
    assert [float(end[0]) for end in _difference_ranges(*(np.array([v]) for v in (*own, *partner)), 1.0)] == list(ends)
    forms = [(FREE, 1.0), (FREE, 0.0), (LINE, None), (VALUE, 0.0)]  # in the order of the relations
    for rising, (form, slope) in ((True, lower_form(*own, ends[0], known)), (False, upper_form(*own, ends[1], known))):
        assert (form, None if form == LINE else slope) == forms[plain.relation(rising).value]
