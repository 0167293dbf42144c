"""What float32 rounding may add: sigma, and the rows that it is charged to, against plain rationals and against evaluations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import ChainLayer, Goal, QuantisedNetwork, chain_form, evaluate, quantise
from secateur.bounds import slack as kernels
from secateur.bounds.float32 import slack_of
from secateur.bounds.near import NearBox
from secateur.bounds.rounding import ceil_to_bits
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from secateur.network.float32 import gamma
from secateur.network.model import Rounding
from tests.bounds.plain_rows import PlainBox
from tests.bounds.support import UNIT, boxes, in_float32, random_network
from tests.bounds.test_goals import NETWORKS, goals, on_box, points_of, violated

F = Fraction
quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
COUNTS = st.one_of(st.integers(0, 99), st.integers(0, 1 << 20))
MAGNITUDES = st.one_of(
    st.just(F(0)),
    st.fractions(0, 9, max_denominator=10**6),
    st.floats(2.0**-500, 2.0**100).map(F),
    st.integers(1, UNIT).map(lambda n: n / gamma(51)),  # products that need no rounding
    st.integers(1, UNIT).map(lambda n: n * UNIT / gamma(51) + F(1, 10**9)),  # and some just above them
)


@quiet
@given(st.lists(MAGNITUDES, min_size=6, max_size=6), st.sampled_from([0, 1, 51, 1 << 20]))
def test_sigma_is_rounded_up_from_the_exact_product(entries: list[Fraction], count: int) -> None:
    """One neuron of two sources: an input in [-3, 2], whose share counts as a constant, and four values of another layer."""
    dense = [Dense(np.array([list(map(float, row))]), np.array([row], dtype=object)) for row in (entries[:1], entries[1:5])]
    magnitudes = Affine((Term(0, dense[0]), Term(1, dense[1])), np.array([float(entries[5])]), (entries[5],))
    slack = slack_of(Rounding(magnitudes, count), {0: 4, 1: 0}, 5, NearBox((F(-3),), (F(5),)))
    expected = [*entries[1:5], F(0), entries[5] + 3 * entries[0]]
    rounded = [ceil_to_bits(gamma(count) * m) for m in expected]
    rounded[5] = max(rounded[5], F(1, 1 << 100)) if count else F(0)
    assert list(map(F, slack[0].tolist())) == rounded


def test_numbers_that_the_kernels_cannot_hold_are_refused() -> None:
    magnitudes = Affine((Term(1, Dense(np.array([[2.0**-700]]))),), np.array([1.0]))
    with pytest.raises(InputError, match="too small for float32 claims"):
        slack_of(Rounding(magnitudes, 3), {1: 0}, 1, NearBox((), ()))


def by_layers(values: Sequence[float], layers: Sequence[ChainLayer]) -> list[list[Fraction]]:
    starts = np.cumsum([0, *(layer.size for layer in layers)])
    return [list(map(F, values[a:b])) for a, b in pairwise(starts)]


def compare(quantised: QuantisedNetwork, low: list[int], high: list[int]) -> int:
    """A node's bounds and the rows of the last layer, by the kernels and plainly; how many of these rows are not void."""
    layers, last = quantised.layers, len(quantised.layers)
    claims = [(last, i, sign) for i in range(layers[-1].own) for sign in (1, -1)]
    batch = on_box(quantised, len(claims), low, high)
    root = [by_layers(side[0].tolist(), layers) for side in (batch.lower, batch.upper)]
    found = evaluate(quantised, batch, [Goal.of(claim) for claim in claims], 0, 1)
    plain = PlainBox(layers, quantised.grids, (low, high), list(zip(*root, strict=True)))
    plain.refresh(last)
    assert by_layers(batch.lower[0].tolist(), layers) == [lower for lower, _ in plain.ends]
    assert by_layers(batch.upper[0].tolist(), layers) == [upper for _, upper in plain.ends]
    rows = [plain.row(*claim) for claim in claims]
    expected = [-np.inf if value is None else float(value * F(2) ** -quantised.grids[-1]) for value in rows]
    assert found.margins[0].tolist() == expected
    return sum(value is not None for value in rows)


@quiet
@given(NETWORKS, st.one_of(st.none(), COUNTS), st.sampled_from([0, 0, 8, 26, 40]), st.data())
def test_rows_are_those_of_plain_arithmetic_to_the_bit(
    network: Network, count: int | None, finer: int, data: st.DataObject
) -> None:
    network = network if count is None else in_float32(network, count)
    quantised = quantise(network, *data.draw(boxes(network.input_size)))
    grids = quantised.kernel.grids.copy()
    grids[1:] += finer  # where sums leave their range, rows are void
    quantised = replace(quantised, kernel=quantised.kernel._replace(grids=grids))
    sides = [sorted(data.draw(st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))) for _ in range(network.input_size)]
    compare(quantised, [s[0] for s in sides], [s[1] for s in sides])


@pytest.mark.parametrize("count", [None, 1, 60, 5000])
def test_rows_of_wide_layers_are_those_of_plain_arithmetic(count: int | None) -> None:
    """More neurons than lanes, and rows that are not void."""
    rng = np.random.default_rng(3)
    for seed in range(3):
        network = random_network([4, 12, 19, 9, 4], seed)
        network = network if count is None else in_float32(network, count)
        quantised = quantise(network, (F(-1),) * 4, (F(2, 3),) * 4)
        assert (len(quantised.kernel.slack) == 0) == (count is None)
        low, high = np.sort(rng.integers(0, UNIT, size=(2, 4)), axis=0).tolist()
        assert compare(quantised, low, high) == 2 * quantised.layers[-1].own


def test_sums_beyond_exact_doubles_make_rows_void() -> None:
    network = in_float32(random_network([2, 3, 1, 1], 0), 1 << 20)
    quantised = quantise(network, (F(-1),) * 2, (F(1),) * 2)
    assert compare(quantised, [0, 0], [UNIT, UNIT]) == 2 * quantised.layers[-1].own
    for finer in range(1, 16):
        grids = quantised.kernel.grids + np.array([0, 0, finer])
        void = compare(replace(quantised, kernel=quantised.kernel._replace(grids=grids)), [0, 0], [UNIT, UNIT]) == 0
    assert void


def evaluated(layers: Sequence[ChainLayer], t: Sequence[Fraction], rng: random.Random) -> list[list[Fraction]]:
    """Pre-activations where every own neuron is off by as much as its slack allows, up or down."""
    values, result = list(t), []
    for layer in layers:
        z = [row[-1] + sum((w * v for w, v in zip(row, values, strict=False)), F(0)) for row in layer.rows]
        for i, sigma in enumerate([] if layer.slack is None else layer.slack.tolist()):
            z[i] += rng.choice((-1, 1)) * (F(sigma[-1]) + sum(F(c) * abs(v) for c, v in zip(sigma, values, strict=False)))
        result.append(z)
        values = [max(F(0), v) for v in z]
    return result


@quiet
@given(NETWORKS, COUNTS, st.integers(0, 3), st.data())
def test_no_evaluation_violates_a_closed_goal(network: Network, count: int, steps: int, data: st.DataObject) -> None:
    quantised = quantise(in_float32(network, count), *data.draw(boxes(network.input_size)))
    asked = data.draw(st.lists(goals(network), min_size=1, max_size=4))
    sides = [sorted(data.draw(st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))) for _ in range(network.input_size)]
    low, high = [s[0] for s in sides], [s[1] for s in sides]
    batch = on_box(quantised, len(asked), low, high)
    evaluate(quantised, batch, asked, steps, 1)
    rng = random.Random(data.draw(st.integers(0, 10**6)))
    for q in points_of(data, low, high):
        z = evaluated(quantised.layers, [F(v, UNIT) for v in q], rng)
        inside = all(a <= v <= b for a, v, b in zip(batch.low[0], q, batch.high[0], strict=True))
        for g, goal in enumerate(asked):
            if violated(goal, z):
                assert batch.open[0, g], "a goal was closed that an evaluation violates"
                assert inside, "contraction cut off a violation"


def test_the_charge_of_a_point_is_that_of_its_neurons() -> None:
    """On a point all that a row loses is rounding: about gamma times the magnitudes along the way, not a layer's largest."""
    network = in_float32(random_network([4, 30, 30, 30, 1, 1], 1), 31)
    box = (F(1, 4),) * 4, (F(1, 4) + F(1, 1 << 20),) * 4
    quantised, exact = quantise(network, *box), chain_form(network, *box)
    batch = on_box(quantised, 2, [0] * 4, [0] * 4)
    margins = evaluate(quantised, batch, [Goal.of((4, 0, sign)) for sign in (1, -1)], 3, 1).margins[0]
    values, losses = [F(0)] * 4, [F(0)] * 4
    for layer in exact:  # the loss of every neuron, forward
        z = [row[-1] + sum((w * v for w, v in zip(row, values, strict=False)), F(0)) for row in layer.rows]
        loss = [sum((abs(w) * v for w, v in zip(row, losses, strict=False)), F(0)) for row in layer.rows]
        assert layer.slack is not None
        for i, sigma in enumerate(layer.slack.tolist()):
            loss[i] += F(sigma[-1]) + sum(F(c) * v for c, v in zip(sigma, values, strict=False))
        values, losses = [max(F(0), v) for v in z], loss
    assert -margins.sum() / 2 <= 1.1 * float(losses[0])


def uncompiled(kernel: Any) -> Any:
    """The kernel as plain Python: compiled, only other kernels can call it."""
    return getattr(kernel, "py_func", kernel)


def test_every_product_of_a_sum_is_rounded_up() -> None:
    sums = np.array([1.0, 2.0, 3.0])
    uncompiled(kernels._add)(sums, np.array([0.25, 0.5, 2.0]), 1.5)
    assert sums.tolist() == [2.0, 3.0, 6.0]


@pytest.mark.parametrize(
    ("largest", "excess"), [(0.0, 0), (2.0**16, 0), (2.0**16 + 1, 1), (2.0**17, 1), (2.0**17 + 1, 2), (2.0**52, 36), (2.0**53, 0)]
)
def test_units_are_as_fine_as_16_bits_allow(largest: float, excess: int) -> None:
    assert uncompiled(kernels._excess)(np.float64(largest)) == excess
