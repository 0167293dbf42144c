"""Goals of several rows: what the kernel closes and cuts off, against exact evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import LEAF, Claim, Goal, evaluate, quantise
from secateur.network import Affine, Dense, Network, Term
from tests.bounds.support import UNIT, boxes, chain_values, on_box, random_network
from tests.strategies import networks, skip_networks, small_dyadics

F = Fraction
quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
NETWORKS = st.one_of(networks(), networks(weights=small_dyadics()), skip_networks(weights=small_dyadics()))


@st.composite
def goals(draw: st.DrawFn, network: Network) -> Goal:
    """Up to four rows of one layer; the same neuron may occur with both signs, or twice."""
    layer = draw(st.integers(1, len(network.layers)))
    row = st.tuples(st.just(layer), st.integers(0, network.sizes[layer - 1] - 1), st.sampled_from([-1, 1]))
    targets = tuple(draw(st.lists(row, min_size=1, max_size=4)))
    return Goal(targets, tuple(draw(st.booleans()) for _ in targets))


def violated(goal: Goal, z: Sequence[Sequence[Fraction]]) -> bool:
    """Whether all rows of a goal are negative (or 0, where that counts) at exact pre-activations."""
    values = [sign * z[layer - 1][neuron] for layer, neuron, sign in goal.targets]
    return all(v <= 0 if closed else v < 0 for v, closed in zip(values, goal.closed or (False,) * len(values), strict=True))


def points_of(data: st.DataObject, low: Sequence[int], high: Sequence[int]) -> list[tuple[int, ...]]:
    """Grid points of a box: corners, where bounds are tight, and random ones."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    some = [rng.integers(low, np.asarray(high) + 1) for _ in range(10)]
    corners = [np.where(rng.random(len(low)) < 0.5, low, high) for _ in range(6)]
    middle = [(np.asarray(low) + high) // 2]
    return [tuple(int(q) for q in p) for p in (*some, *corners, *middle)]


@quiet
@given(NETWORKS, st.integers(0, 3), st.data())
def test_closed_goals_hold_and_no_violation_is_cut_off(network: Network, steps: int, data: st.DataObject) -> None:
    quantised = quantise(network, *data.draw(boxes(network.input_size)))
    asked = data.draw(st.lists(goals(network), min_size=1, max_size=4))
    sides = [sorted(data.draw(st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))) for _ in range(network.input_size)]
    low, high = [s[0] for s in sides], [s[1] for s in sides]
    batch = on_box(quantised, len(asked), low, high)
    found = evaluate(quantised, batch, asked, steps, 1)
    assert (batch.low >= low).all()
    assert (batch.high <= high).all()
    for q in points_of(data, low, high):
        z = chain_values(quantised.layers, [F(v, UNIT) for v in q])
        inside = all(a <= v <= b for a, v, b in zip(batch.low[0], q, batch.high[0], strict=True))
        for g, goal in enumerate(asked):
            if violated(goal, z):
                assert batch.open[0, g], "a goal was closed that a point violates"
                assert inside, "contraction cut off a violation"
                assert found.split[0] != LEAF


@quiet
@given(NETWORKS, st.integers(0, 3), st.data())
def test_tied_goals_are_closed_only_where_zero_does_not_count(network: Network, steps: int, data: st.DataObject) -> None:
    """z and -z are never negative together, but 0 together wherever z is 0."""
    quantised = quantise(network, *data.draw(boxes(network.input_size)))
    layer = len(network.layers)
    opposites: tuple[Claim, ...] = ((layer, 0, 1), (layer, 0, -1))
    asked = [Goal(opposites), Goal(opposites, closed=(True, True)), Goal(opposites, closed=(True, False))]
    batch = on_box(quantised, 3, [0] * network.input_size, [UNIT] * network.input_size)
    evaluate(quantised, batch, asked, steps, 1)
    values = [
        chain_values(quantised.layers, [F(v, UNIT) for v in q])[layer - 1][0]
        for q in points_of(data, [0] * network.input_size, [UNIT] * network.input_size)
    ]
    if 0 in values:
        assert batch.open[0, 1]


def test_a_zero_row_violates_only_closed_goals() -> None:
    layer = Affine((Term(0, Dense(np.array([[0.0], [1.0], [0.0]]))),), np.zeros(3))
    quantised = quantise(Network(1, (layer,), Affine((), np.zeros(0))), (F(0),), (F(1),))
    zero, x, same = (1, 0, 1), (1, 1, 1), (1, 2, -1)
    asked = [
        Goal((zero,)),
        Goal((zero,), closed=(True,)),
        Goal((zero, same)),
        Goal((zero, same), closed=(True, True)),
        Goal((x, zero), closed=(True, True)),
    ]
    batch = on_box(quantised, len(asked), [0], [UNIT])
    evaluate(quantised, batch, asked, 3, 1)
    assert batch.open[0].tolist() == [False, True, False, True, True]
    away = on_box(quantised, len(asked), [UNIT // 2], [UNIT])  # x > 0 here
    evaluate(quantised, away, asked, 3, 1)
    assert away.open[0].tolist() == [False, True, False, True, False]


def test_a_row_without_weight_lends_no_strictness() -> None:
    """0 and x - 2**20, of which only the second must be negative: the first alone has a weight, and 0 does not refute it."""
    layer = Affine((Term(0, Dense(np.array([[0.0], [1.0]]))),), np.array([0.0, -(2.0**20)]))
    quantised = quantise(Network(1, (layer,), Affine((), np.zeros(0))), (F(0),), (F(1),))
    targets = (1, 0, 1), (1, 1, 1)
    batch = on_box(quantised, 2, [0], [UNIT])
    evaluate(quantised, batch, [Goal(targets, closed=(True, False)), Goal(targets, closed=(False, True))], 3, 1)
    assert batch.open[0].tolist() == [True, False]


@pytest.mark.parametrize("targets", [(), ((1, 0, 1), (2, 0, 1))])
def test_goals_that_the_kernels_cannot_read_are_refused(targets: tuple[Claim, ...]) -> None:
    with pytest.raises(ValueError, match=r"^a goal needs targets, all of one layer$"):
        Goal(targets)


def test_rows_together_close_what_no_row_closes_alone() -> None:
    # x - 1/4 and 1/2 - x are each negative somewhere, never both.
    layer = Affine((Term(0, Dense(np.array([[1.0], [-1.0]]))),), np.array([-0.25, 0.5]))
    quantised = quantise(Network(1, (layer,), Affine((), np.zeros(0))), (F(0),), (F(1),))
    both = Goal(((1, 0, 1), (1, 1, 1)), closed=(True, True))
    batch = on_box(quantised, 3, [0], [UNIT])
    evaluate(quantised, batch, [Goal(both.targets[:1]), Goal(both.targets[1:]), both], 3, 1)
    assert batch.open[0].tolist() == [True, True, False]


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**-15, 1.0, 2.0**15, 2.0**40])
def test_rows_of_very_different_size_are_weighed(scale: float) -> None:
    """|x - 1/2| <= 1/8 scaled up or down, and its opposite: together refuted whatever the units."""
    layer = Affine((Term(0, Dense(np.array([[scale], [-1.0]]))),), np.array([-0.625 * scale, 0.375]))
    quantised = quantise(Network(1, (layer,), Affine((), np.zeros(0))), (F(0),), (F(1),))
    refuted, possible = Goal(((1, 0, -1), (1, 1, -1))), Goal(((1, 0, 1), (1, 1, 1)))
    batch = on_box(quantised, 2, [0], [UNIT])
    evaluate(quantised, batch, [refuted, possible], 3, 1)
    assert batch.open[0, 1]
    assert batch.low[0, 0] <= 0.375 * UNIT
    assert batch.high[0, 0] >= 0.625 * UNIT


def test_goals_do_not_disturb_each_other() -> None:
    """Margins, rows and verdict of a goal are bit for bit the same alone and beside others: nothing leaks through buffers."""
    network = random_network([4, 16, 16, 12, 2], seed=8)
    quantised = quantise(network, (F(-1),) * 4, (F(1),) * 4)
    rng = np.random.default_rng(3)
    claims: list[Claim] = [(3, int(i), int(s)) for i, s in zip(rng.integers(0, 12, 6), rng.choice([-1, 1], 6), strict=True)]
    single = [Goal.of(c) for c in claims]
    wide = [
        Goal(tuple((3, int(i), int(rng.choice([-1, 1]))) for i in rng.permutation(12)[:n]), closed=(bool(n % 2),) * n)
        for n in (2, 3, 5, 12)
    ]
    corners = np.sort(rng.integers(0, UNIT + 1, (2, 20, 4)), axis=0).astype(float)
    mixed = [goal for pair in zip(wide, single[:4], strict=True) for goal in pair] + single[4:]
    for b in range(20):
        together = on_box(quantised, len(mixed), corners[0, b], corners[1, b])
        found = evaluate(quantised, together, mixed, 3, 1)
        for g, goal in enumerate(mixed):
            lone = on_box(quantised, 1, corners[0, b], corners[1, b])
            alone = evaluate(quantised, lone, [goal], 3, 1)
            assert alone.margins[0, 0] == found.margins[0, g]
            assert (alone.rows[0, 0] == found.rows[0, g]).all()
            assert lone.open[0, 0] == together.open[0, g]
            assert (lone.lower == together.lower).all()
            assert (lone.upper == together.upper).all()


def test_a_goal_of_one_row_is_a_claim() -> None:
    """The row that a one-row goal is decided by is a valid bound of its neuron, from its own margin alone."""
    assert Goal.of((2, 5, -1)) == Goal(((2, 5, -1),), closed=())
    network = random_network([3, 12, 12, 2], seed=9)
    quantised = quantise(network, (F(-1),) * 3, (F(1),) * 3)
    claims: list[Claim] = [(2, i, s) for i in range(12) for s in (-1, 1)]
    asked = [Goal((c,), closed=(closed,)) for c in claims for closed in (False, True)]
    batch = on_box(quantised, len(asked), [0] * 3, [UNIT] * 3)
    found = evaluate(quantised, batch, asked, 3, 1)
    unit = 2.0 ** -int(quantised.kernel.grids[2])
    grid = np.random.default_rng(0).integers(0, UNIT + 1, (20, 3))
    seen = [chain_values(quantised.layers, [F(int(v), UNIT) for v in q])[1] for q in grid]
    for g, goal in enumerate(asked):
        assert bool(batch.open[0, g]) == (found.margins[0, g] < (unit if goal.closed else 0.0))
        ((_, i, sign),) = goal.targets
        assert F(found.margins[0, g]) <= min(sign * z[i] for z in seen)


def test_hits_violate_their_goal_or_nearly_so() -> None:
    network = random_network([3, 12, 12, 2], seed=9)
    quantised = quantise(network, (F(-1),) * 3, (F(1),) * 3)
    rng = np.random.default_rng(5)
    asked = [Goal(tuple((2, int(i), int(rng.choice([-1, 1]))) for i in rng.permutation(12)[:3])) for _ in range(12)]
    exact_hits = 0
    for goal in asked:
        batch = on_box(quantised, 1, [0] * 3, [UNIT] * 3)
        found = evaluate(quantised, batch, [goal], 3, 1)
        if found.hits[0, 0]:
            z = chain_values(quantised.layers, [F(int(q), UNIT) for q in found.points[0]])
            assert all(sign * z[1][i] < F(1, 10**9) for _, i, sign in goal.targets)
            exact_hits += violated(goal, z)
    assert exact_hits >= 3


def test_float_evaluations_add_from_left_to_right() -> None:
    """2^53 + 1 + 1 - 2^53 is 0 in doubles, in this order; the checker repeats the evaluations that choose slopes."""
    layer = Affine((Term(0, Dense(np.array([[2.0**53, 1.0, 1.0, -(2.0**53)]]))),), np.zeros(1))
    quantised = quantise(Network(4, (layer,), Affine((), np.zeros(0))), (F(0),) * 4, (F(1),) * 4)
    batch = on_box(quantised, 2, [UNIT] * 4, [UNIT] * 4)
    found = evaluate(quantised, batch, [Goal(((1, 0, -1),)), Goal(((1, 0, -1),), closed=(True,))], 0, 1)
    assert batch.open[0].tolist() == [True, True]  # in truth it is 2
    assert found.hits[0].tolist() == [False, True]


def test_a_wide_goal_stays_exact() -> None:
    """600 rows mixed with weights up to 2**20: every product must still be exact (column norms keep it below 2**53)."""
    rng = np.random.default_rng(2)
    size = 600
    weight = np.float32(rng.normal(size=(size, 3))).astype(float)
    layer = Affine((Term(0, Dense(weight)),), np.float32(rng.normal(size=size) - 0.5).astype(float))
    quantised = quantise(Network(3, (layer,), Affine((), np.zeros(0))), (F(-1),) * 3, (F(1),) * 3)
    goal = Goal(tuple((1, i, 1) for i in range(size)))
    batch = on_box(quantised, 1, [0] * 3, [UNIT] * 3)
    found = evaluate(quantised, batch, [goal], 3, 1)
    # The best row is a combination of all of them: no point may lie below it with all rows at least as large.
    for _ in range(20):
        q = rng.integers(0, UNIT + 1, 3)
        z = chain_values(quantised.layers, [F(int(v), UNIT) for v in q])[0]
        if violated(goal, [z]):
            assert batch.open[0, 0]
            assert ((batch.low[0] <= q) & (q <= batch.high[0])).all()
    assert np.isfinite(found.margins[0, 0])
