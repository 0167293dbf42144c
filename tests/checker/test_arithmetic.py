"""The two arithmetics against each other, bit for bit, and both against exact values of the network."""

from __future__ import annotations

import hashlib
import random
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secateur.checker import fast_arithmetic, fast_differences, fast_kernels, fast_rows, fast_slack
from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.fast_arithmetic import FastArithmetic
from secateur.checker.lowering import lower
from secateur.checker.nodes import FULL, OutOfRange
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic, Row, contract_by_row, split_interval
from secateur.checker.records import Claim
from secateur.checker.root import RootBounds
from tests.checker.dead import chain_with_dead_neurons, with_other_columns
from tests.checker.support import dense_model, exact_layers, random_chain, random_layers
from tests.checker.twins import Twins

seeds = st.integers(0, 1 << 30)


def claims_of(chain: Chain, rng: random.Random, count: int) -> list[Claim]:
    chosen = set()
    for _ in range(count):
        k = rng.randint(1, len(chain.layers))
        chosen.add(Claim(k, rng.randrange(chain.layers[k - 1].own), rng.choice(["active", "inactive"])))
    return sorted(chosen)


def random_node(chain: Chain, root: RootBounds, rng: random.Random) -> PyNode:
    """The root bounds on some box inside the domain."""
    ends = [sorted(rng.choice([0, FULL, rng.randint(0, FULL)]) for _ in range(2)) for _ in range(chain.input_size)]
    bounds = [root.bounds(k) for k in range(1, len(chain.layers) + 1)]
    lower, upper = [list(pair[0]) for pair in bounds], [list(pair[1]) for pair in bounds]
    return PyNode([e[0] for e in ends], [e[1] for e in ends], lower, upper, ())


def points(node: PyNode, rng: random.Random, count: int) -> list[list[Fraction]]:
    """Rational points and corners of a node's box, normalised."""
    shares = [Fraction(0), Fraction(1), Fraction(rng.randint(0, 97), 97)]
    pairs = list(zip(node.low, node.high, strict=True))
    return [[(lo + (hi - lo) * rng.choice(shares)) / Fraction(FULL) for lo, hi in pairs] for _ in range(count)]


@given(seeds)
@settings(deadline=None, max_examples=150)
def test_rows_bound_the_network_for_any_slopes(seed: int) -> None:
    rng = random.Random(seed)
    _, _, chain = random_chain(seed % 3000)
    grid = [rng.randint(0, 28) for _ in chain.layers]  # no term comes near 2^46
    arithmetic, node = PythonArithmetic(chain, grid, [], 0), random_node(chain, RootBounds(chain), rng)
    sources = [arithmetic.source(node, h) for h in range(len(chain.layers))]
    slopes = [[rng.choice([0.0, 1.0, rng.random()]) for _ in source.slopes] for source in sources]
    for _ in range(4):
        k, sign = rng.randint(1, len(chain.layers)), rng.choice([1, -1])
        i = rng.randrange(len(chain.layers[k - 1].rows))
        row = arithmetic.row(node, sources, (k, i, sign), slopes)
        assert row is not None
        a = row.coefficients[0]
        corner = sum(abs(x) * Fraction(lo if x > 0 else -hi, FULL) for x, lo, hi in zip(a, node.low, node.high, strict=True))
        for t in points(node, rng, 3):
            exact = sign * exact_layers(chain, t)[k - 1][i]
            linear = sum((x * own for x, own in zip(a, t, strict=True)), Fraction(0))
            assert row.value / Fraction(2) ** grid[k - 1] <= exact
            # the stronger form, which contraction uses
            assert row.value / Fraction(2) ** grid[k - 1] + (linear - corner) / Fraction(2) ** row.exponent <= exact


def test_dead_neurons_do_not_round_a_row() -> None:
    """z = r_0 + 2^20 r_1, where r_1 = max(0, -t - 1) is 0: the row is rounded to the 24 bits of r_0 alone."""
    weights = [[[1.0], [-1.0]], [[1.0, 2.0**20]]]
    layers = [(np.array(w, np.float32), np.zeros(len(w), np.float32)) for w in (*weights, [[1.0]])]
    layers[0][1][1] = -1.0
    chain = chain_form(lower(dense_model(layers)), Domain((Fraction(0),), (Fraction(1),)))
    arithmetic = PythonArithmetic(chain, [30, 30], [], 0)
    node = PyNode([0], [FULL], [[0.0, -2.0], [0.0]], [[1.0, -1.0], [1.0]], ())
    sources = [arithmetic.source(node, h) for h in range(2)]
    row = arithmetic.row(node, sources, (2, 0, 1), [source.slopes for source in sources])
    # both roundings cost S 2^(30 - 23 - 1): half a unit of 2^-23
    assert row == Row(-64 - 64, 23, [[1 << 23], [1 << 23, 0]])


@given(seeds)
@settings(deadline=None, max_examples=100)
def test_what_reads_a_dead_neuron_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    chain = chain_with_dead_neurons(seed)
    root = RootBounds(chain)
    node = random_node(chain, root, rng)
    other, changed = with_other_columns(chain, list(zip(node.lower, node.upper, strict=True)), rng)
    assume(changed)
    rows = []
    for own in (chain, other):
        arithmetic = PythonArithmetic(own, [30] * len(own.layers), [], 0)
        sources = [arithmetic.source(node, h) for h in range(len(own.layers))]
        slopes = [source.slopes for source in sources]
        places = [(k, i, s) for k, layer in enumerate(own.layers, 1) for i in range(len(layer.rows)) for s in (1, -1)]
        rows.append([arithmetic.row(node, sources, place, slopes) for place in places])
    assert rows[0] == rows[1]


@given(seeds)
@settings(deadline=None, max_examples=100)
def test_refreshed_bounds_hold_on_the_box(seed: int) -> None:
    rng = random.Random(seed)
    _, _, chain = random_chain(seed % 3000)
    grid = [rng.randint(10, 45) for _ in chain.layers]
    node = random_node(chain, RootBounds(chain), rng)
    assert PythonArithmetic(chain, grid, [], 0).refresh(node, len(chain.layers) + 1) is not None
    for t in points(node, rng, 4):
        for pre, below, above in zip(exact_layers(chain, t), node.lower, node.upper, strict=True):
            assert all(Fraction(a) <= z <= Fraction(b) for a, z, b in zip(below, pre, above, strict=True))


@given(seeds)
@settings(deadline=None, max_examples=100)
def test_contraction_keeps_every_point_that_may_fail(seed: int) -> None:
    rng = random.Random(seed)
    n, grid = rng.randint(1, 4), rng.randint(-5, 40)
    low = [rng.randint(0, FULL - 2) for _ in range(n)]
    high = [rng.randint(lo, FULL) for lo in low]
    row = Row(
        -rng.randint(1, 1 << rng.randint(1, 45)),
        rng.randint(0, 40),
        [[rng.randint(-FULL, FULL) // 4 ** rng.randint(0, 12) for _ in range(n)]],
    )
    new_low, new_high = contract_by_row(row, grid, low, high)
    pairs = list(zip(low, high, strict=True))
    for t in ([rng.randint(lo, hi) for lo, hi in pairs] for _ in range(20)):
        rise = sum(a * (x - (lo if a > 0 else hi)) for a, x, (lo, hi) in zip(row.coefficients[0], t, pairs, strict=True))
        fails = row.value / Fraction(2) ** grid + Fraction(rise, FULL) / Fraction(2) ** row.exponent < 0
        if fails:
            assert all(lo <= x <= hi for lo, x, hi in zip(new_low, t, new_high, strict=True))
    assert all(a <= b < c or (a == b == c) for a, b, c in zip(low, new_low, new_high, strict=True))


def test_a_cut_is_rounded_outward() -> None:
    """-3 / 2 steps to make up for: x may fail up to 2, and one step further lies the new end."""
    assert contract_by_row(Row(-3, 0, [[1]]), 25, [0], [FULL]) == ([0], [3])
    assert contract_by_row(Row(-3, 0, [[-1]]), 25, [0], [FULL]) == ([FULL - 3], [FULL])


@pytest.mark.parametrize(("low", "high", "middle"), [(0, 2, 1), (0, 3, 1), (3, 8, 5), (4, 5, None), (7, 7, None)])
def test_splits_need_room(low: int, high: int, middle: int | None) -> None:
    assert split_interval(low, high) == middle


@given(seeds)
@settings(deadline=None, max_examples=150)
def test_both_arithmetics_agree_on_every_integer(seed: int) -> None:
    rng = random.Random(seed)
    _, _, chain = random_chain(seed % 3000)
    grid = [rng.choice([rng.randint(-5, 45), rng.randint(-200, 200)]) for _ in chain.layers]
    twins = Twins(chain, grid, claims_of(chain, rng, 3), rng.randint(0, 4))
    for _ in range(6):
        symbol = rng.randint(0 if rng.random() < 0.3 else 1, chain.input_size)
        try:
            if twins.waiting:
                twins.visit(symbol)
        except OutOfRange:  # the fast arithmetic says so itself, and only for grids that nobody would choose
            assert max(grid) > 35
            return


def states(twins: Twins, rng: random.Random, count: int) -> list[Any]:
    """Visits nodes in both arithmetics, and says what has become of each."""
    found: list[Any] = []
    for _ in range(count):
        if twins.waiting:
            outcome = twins.visit(rng.randint(1, twins.plain.input_size))
            found += [outcome.fault, *(twins.plain_state(node) for node in outcome.children or ())]
    return found


@pytest.mark.parametrize("limit", [0, fast_arithmetic.MAX_GATHERED])
def test_both_arithmetics_look_at_no_dead_neuron(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the matrices' living parts are gathered, nor where these are too large for that."""
    monkeypatch.setattr(fast_arithmetic, "MAX_GATHERED", limit)
    met = 0
    for seed in range(60):
        rng = random.Random(seed)
        chain = chain_with_dead_neurons(seed, rng.choice([6, 24]))
        root = RootBounds(chain)
        bounds = [root.bounds(k) for k in range(1, len(chain.layers))]
        other, changed = with_other_columns(chain, bounds, rng)
        claims, grid, steps = claims_of(chain, rng, 3), [rng.randint(25, 34) for _ in chain.layers], rng.randint(0, 3)
        both = [Twins(own, grid, claims, steps) for own in (chain, other)]
        if both[0].depth > 2:
            assert bool(limit) == (both[0].fast._works[0].gathered.size > 0)
        assert states(both[0], random.Random(seed), 5) == states(both[1], random.Random(seed), 5)
        met += changed
    assert met > 100


def test_both_arithmetics_agree_on_a_wide_network() -> None:
    rng = np.random.default_rng(3)
    layers = random_layers([3, 40, 36, 33, 2], rng)
    domain = Domain((Fraction(-1),) * 3, (Fraction(1),) * 3)
    chain = chain_form(lower(dense_model(layers)), domain)
    claims = [Claim(3, 0, "inactive"), Claim(3, 1, "active"), Claim(2, 7, "inactive")]
    twins = Twins(chain, [34, 33, 32], claims, 3)
    for symbol in (1, 2, 3, 1, 2):
        twins.visit(symbol)


def test_the_fast_arithmetic_declines_what_it_cannot_hold_exactly() -> None:
    rng = random.Random(1)
    _, _, chain = random_chain(4)
    claims = claims_of(chain, rng, 1)
    deep = Chain(chain.input_size, chain.layers[:1] * 40)
    with pytest.raises(OutOfRange):
        FastArithmetic(deep, [30] * 40, claims, 1, [])


@pytest.mark.parametrize(
    ("module", "callees"),
    [
        (fast_differences, ["fast_layout", "nodes"]),
        (fast_slack, ["fast_layout", "nodes"]),
        (fast_rows, ["fast_differences", "fast_layout", "fast_slack", "nodes"]),
        (fast_kernels, ["fast_differences", "fast_layout", "fast_rows", "fast_slack", "nodes"]),
    ],
)
def test_compiled_code_is_dropped_when_what_it_calls_into_changes(module: ModuleType, callees: list[str]) -> None:
    """Numba looks at the defining file alone: if this fails, the digest in that file has to become the one found here."""
    folder = Path(str(module.__file__)).parent
    digest = hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in callees)).hexdigest()[:16]
    assert digest == module.CALLS_INTO
