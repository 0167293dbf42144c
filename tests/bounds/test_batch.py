"""The kernels: sound on every box, deterministic, and honest about what they close and cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import LEAF, Claim, Goal, evaluate, quantise, root, root_bounds
from secateur.network import Network
from tests.bounds.support import UNIT, boxes, chain_values, on_box, random_network
from tests.strategies import networks, skip_networks

quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def all_claims(network: Network) -> list[Claim]:
    return [(k, i, s) for k, size in enumerate(network.sizes, start=1) for i in range(size) for s in (-1, 1)]


def sub_box(data: st.DataObject, size: int) -> tuple[list[int], list[int]]:
    sides = [sorted(data.draw(st.tuples(st.integers(0, UNIT), st.integers(0, UNIT)))) for _ in range(size)]
    return [s[0] for s in sides], [s[1] for s in sides]


@quiet
@given(st.one_of(networks(), skip_networks()), st.integers(0, 3), st.data())
def test_bounds_claims_and_contraction_are_sound(network: Network, steps: int, data: st.DataObject) -> None:
    lower, upper = data.draw(boxes(network.input_size))
    quantised = quantise(network, lower, upper)
    claims = all_claims(network)
    low, high = sub_box(data, network.input_size)
    batch = on_box(quantised, len(claims), low, high)
    found = evaluate(quantised, batch, [Goal.of(c) for c in claims], steps, 1)
    for _ in range(4):
        q = [data.draw(st.integers(a, b)) for a, b in zip(low, high, strict=True)]
        z = chain_values(quantised.layers, [Fraction(v, UNIT) for v in q])
        flat = [value for layer in z for value in layer]
        for bottom, value, top in zip(batch.lower[0], flat, batch.upper[0], strict=True):
            assert Fraction(float(bottom)) <= value <= Fraction(float(top))
        inside = all(a <= v <= b for a, v, b in zip(batch.low[0], q, batch.high[0], strict=True))
        for c, (k, i, sign) in enumerate(claims):
            value = sign * z[k - 1][i]
            row = sum((Fraction(a) * Fraction(v, UNIT) for a, v in zip(found.rows[0, c], q, strict=True)), Fraction(0))
            least = sum(
                (
                    min(Fraction(a) * Fraction(p, UNIT), Fraction(a) * Fraction(r, UNIT))
                    for a, p, r in zip(found.rows[0, c], low, high, strict=True)
                ),
                Fraction(0),
            )
            if found.margins[0, c] > -np.inf:
                assert value >= Fraction(found.margins[0, c]) + row - least
            if not batch.open[0, c]:
                assert value >= 0
            elif found.split[0] != LEAF and value < 0:
                assert inside, "contraction cut off a violation"


def test_results_depend_on_neither_workers_nor_batches() -> None:
    network = random_network([4, 20, 20, 20, 3], seed=5)
    box = (Fraction(-1),) * 4, (Fraction(1),) * 4
    quantised = quantise(network, *box)
    claims = [(3, i, -1) for i in range(8)]
    rng = np.random.default_rng(1)
    corners = np.sort(rng.integers(0, UNIT + 1, (2, 37, 4)), axis=0).astype(np.float64)
    start = root(quantised, root_bounds(quantised.layers, {}), len(claims))
    whole = start.take(np.zeros(37, dtype=np.intp))
    whole.low[:], whole.high[:] = corners
    single = [whole.take(slice(b, b + 1)) for b in range(37)]
    together = evaluate(quantised, whole, [Goal.of(c) for c in claims], 3, 5)
    for b, part in enumerate(single):
        alone = evaluate(quantised, part, [Goal.of(c) for c in claims], 3, 1)
        assert (part.lower == whole.lower[b]).all()
        assert (part.upper == whole.upper[b]).all()
        assert (part.low == whole.low[b]).all()
        assert (part.open == whole.open[b]).all()
        assert (alone.margins == together.margins[b]).all()
        assert alone.split[0] == together.split[b]


def test_bounds_are_much_tighter_than_intervals() -> None:
    """Not soundness but purpose: on a small box nearly all slack of interval arithmetic goes."""
    network = random_network([5, 50, 50, 50, 5], seed=2)
    quantised = quantise(network, (Fraction(-1),) * 5, (Fraction(1),) * 5)
    before = root_bounds(quantised.layers, {})
    batch = on_box(quantised, 1, [UNIT // 2] * 5, [UNIT // 2 + UNIT // 64] * 5)
    evaluate(quantised, batch, [Goal.of((3, 0, -1))], 3, 1)
    second = slice(50, 100)
    width = (batch.upper[0] - batch.lower[0])[second].mean()
    assert width < 0.05 * (before.upper - before.lower)[second].mean()


def test_hits_are_points_of_the_box_where_floats_see_a_violation() -> None:
    network = random_network([3, 12, 12, 2], seed=9)
    quantised = quantise(network, (Fraction(-1),) * 3, (Fraction(1),) * 3)
    claims = all_claims(network)
    batch = on_box(quantised, len(claims), [0] * 3, [UNIT] * 3)
    found = evaluate(quantised, batch, [Goal.of(c) for c in claims], 0, 1)
    assert found.hits.any()
    assert (found.points >= 0).all()
    assert (found.points <= UNIT).all()
    assert not (found.hits & ~batch.open).any()
