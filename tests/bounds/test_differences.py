"""Difference neurons in the kernels: bounds and closed goals against exact evaluation, and the relaxation against d itself."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import Goal, QuantisedNetwork, evaluate, quantise, root, root_bounds
from secateur.bounds.differences import FREE, LINE, VALUE, lower_form, phases_of, upper_form, value_range
from secateur.bounds.root import _difference_ranges
from secateur.network import Network
from secateur.network.difference import DifferenceNetwork, Pairing, difference_network
from tests.bounds.support import UNIT, boxes, chain_values, on_box
from tests.bounds.test_goals import goals, points_of, violated
from tests.differences import network_pairs, outputs_of

F = Fraction
quiet = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])

Box = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]


def joined(pair: tuple[Network, Network, Pairing], box: Box, shift: int | None) -> DifferenceNetwork:
    first, second, pairing = pair
    floats = tuple(np.array([float(v) for v in side]) for side in box)
    depth = max(len(first.layers), *pairing.levels)
    return difference_network(first, second, pairing, floats, None if shift is None else [shift] * depth)


def quantised_of(network: DifferenceNetwork, box: Box) -> QuantisedNetwork:
    return quantise(network.network, *box, network.partners, network.shifts)


SHIFTS = st.one_of(st.none(), st.sampled_from([0, 1, 7, 30]))


@quiet
@given(network_pairs(), SHIFTS, st.integers(0, 3), st.data())
def test_closed_goals_hold_and_no_violation_is_cut_off(
    pair: tuple[Network, Network, Pairing], shift: int | None, steps: int, data: st.DataObject
) -> None:
    box = data.draw(boxes(pair[0].input_size))
    network = joined(pair, box, shift)
    quantised = quantised_of(network, box)
    layers = [k for k, size in enumerate(network.network.sizes, start=1) if size]
    shown = Network(network.network.input_size, network.network.layers[: layers[-1]], network.network.output)
    asked = data.draw(st.lists(goals(shown), min_size=1, max_size=4)) if len(layers) == layers[-1] else []
    sides = [sorted(data.draw(st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))) for _ in box[0]]
    low, high = [s[0] for s in sides], [s[1] for s in sides]
    batch = on_box(quantised, len(asked), low, high)
    evaluate(quantised, batch, asked, steps, 1)
    refreshed = max((g.layer for g, o in zip(asked, batch.open[0], strict=True) if o), default=1)
    for q in points_of(data, low, high):
        z = chain_values(quantised.layers, [F(v, UNIT) for v in q])
        inside = all(a <= v <= b for a, v, b in zip(batch.low[0], q, batch.high[0], strict=True))
        for g, goal in enumerate(asked):
            if violated(goal, z):
                assert batch.open[0, g], "a goal was closed that a point violates"
                assert inside, "contraction cut off a violation"
        flat = [v for layer in z[: refreshed - 1] for v in layer]
        for v, a, b in zip(flat, batch.lower[0], batch.upper[0], strict=False):
            assert F(float(a)) <= v <= F(float(b)), "a bound does not hold"


@quiet
@given(network_pairs(), SHIFTS, st.data())
def test_root_bounds_contain_all_values(pair: tuple[Network, Network, Pairing], shift: int | None, data: st.DataObject) -> None:
    box = data.draw(boxes(pair[0].input_size))
    quantised = quantised_of(joined(pair, box, shift), box)
    bounds = root_bounds(quantised.layers, {})
    assert root(quantised, bounds, 0).low.shape == (1, len(box[0]))
    for q in points_of(data, [0] * len(box[0]), [UNIT] * len(box[0])):
        z = chain_values(quantised.layers, [F(v, UNIT) for v in q])
        for values, low, high in zip(z, bounds.exact_lower, bounds.exact_upper, strict=True):
            assert all(a <= v <= b for a, v, b in zip(low, values, high, strict=True))


def test_the_forms_bound_the_difference_in_every_phase() -> None:
    """All bounds and points on a small grid: whatever is known, lines and constants lie on the right side of d."""
    ends = [(a, b) for a, b in product(range(-3, 4), repeat=2) if a <= b]
    seen, forms = set(), set()
    for (low, high), (base_low, base_high), shift in product(ends, ends, (0, 1)):
        growth = float(1 << shift)
        known = phases_of(float(low), float(high), float(base_low), float(base_high), growth)
        least, most = value_range(float(low), float(high), float(base_low), float(base_high), growth, known)
        lower, up = lower_form(float(low), float(high), least, known)
        upper, down = upper_form(float(low), float(high), most, known)
        seen.add(known)
        forms |= {lower, upper + 3}
        for base, delta in product(range(base_low, base_high + 1), range(low, high + 1)):
            value = outputs_of([F(base), F(delta)], [-1, 0], shift)[1]
            assert F(least) <= value <= F(most)
            floor = {FREE: F(up) * delta, LINE: F(up) * (delta - max(0, high)), VALUE: F(least)}[lower]
            ceiling = {FREE: F(down) * delta, LINE: F(down) * (delta - min(0, low)), VALUE: F(most)}[upper]
            assert floor <= value + F(1, 2**40)
            assert value <= ceiling + F(1, 2**40)
    assert len(seen) > 8
    assert len(forms) == 6


def test_bounds_converge_where_the_phases_differ() -> None:
    """relu(x) against relu(x - 1/2) around x = 1/4: neither line says more than |delta| = 1/2, the constants do."""
    known = phases_of(-0.5, -0.5, 0.24, 0.26, 1.0)
    assert known == (False, True, True, False)
    least, most = value_range(-0.5, -0.5, 0.24, 0.26, 1.0, known)
    assert -0.2601 < least < most < -0.2399
    assert lower_form(-0.5, -0.5, least, known)[0] == upper_form(-0.5, -0.5, most, known)[0] == VALUE


@pytest.mark.parametrize("seed", range(200))
def test_root_ranges_are_those_of_the_kernels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=4).astype(np.float32).astype(float) * rng.choice([0.0, 1.0, 1e-4], 4)
    (low, high), (base_low, base_high) = sorted(numbers[:2]), sorted(numbers[2:])
    growth = float(2 ** rng.integers(0, 12))
    known = phases_of(low, high, base_low, base_high, growth)
    expected = value_range(low, high, base_low, base_high, growth, known)
    arrays = (np.array([v]) for v in (low, high, base_low, base_high))
    found = _difference_ranges(*arrays, growth)
    assert (found[0][0], found[1][0]) == expected


def test_a_difference_is_bounded_far_more_tightly_than_its_ends() -> None:
    rng = np.random.default_rng(5)
    from secateur.network import Affine, Dense, Term
    from secateur.network.difference import paired_by_position

    def network(noise: float) -> Network:
        affines = []
        draw = np.random.default_rng(1)
        for k, (m, n) in enumerate([(3, 12), (12, 12), (12, 2)]):
            weight = draw.normal(size=(n, m)).astype(np.float32) + noise * rng.normal(size=(n, m)).astype(np.float32)
            affines.append(Affine((Term(k, Dense(weight.astype(np.float32).astype(float))),), np.zeros(n)))
        return Network(3, tuple(affines[:-1]), affines[-1])

    first, second = network(0.0), network(1e-4)
    box = (F(-1),) * 3, (F(1),) * 3
    pair = joined((first, second, paired_by_position(first, second)), box, None)
    rows = Network(3, (*pair.network.layers, pair.network.output), Affine((), np.zeros(0)))
    plus, minus = np.array([[1.0, 0.0, -1.0, 0.0]]), np.array([[-1.0, 0.0, 1.0, 0.0]])
    from secateur.network.exact import ExactArray
    from secateur.search.question import composed

    output = composed(
        ExactArray(np.concatenate([plus, minus])), ExactArray(np.zeros((2, 3))), [F(-1, 20)] * 2, pair.network.output
    )
    quantised = quantise(Network(3, (*rows.layers[:-1], output), Affine((), np.zeros(0))), *box, pair.partners, pair.shifts)
    batch = root(quantised, quantised.bounds, 2)
    evaluate(quantised, batch, [Goal(((3, 0, 1),)), Goal(((3, 1, 1),))], 0, 1)
    assert not batch.open.any()  # one sub-domain, no split: |y - y'| <= 0.05 where the outputs themselves span more than 10
