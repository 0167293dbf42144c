"""Trees over joined networks in both arithmetics, bit for bit."""

from __future__ import annotations

import copy
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker import fast_arithmetic
from secateur.checker.chain import Chain, ChainLayer
from secateur.checker.differences import Relation, differences_of
from secateur.checker.exact import down24_double
from secateur.checker.nodes import OutOfRange
from secateur.checker.python_arithmetic import PythonArithmetic, Row
from secateur.checker.replay import Proof
from tests.checker.dead import dead_neurons, with_other_columns
from tests.checker.pair_cases import PairCase, close_pair, problem, prove, random_pair, with_claim
from tests.checker.support import dense_model
from tests.checker.twins import Twins

seeds = st.integers(0, 1 << 30)


def twins_of(case: PairCase) -> Twins:
    proof = problem(case)
    return Twins(proof.chain, proof.grid, proof.goals, proof.steps)


@given(seeds)
@settings(deadline=None, max_examples=300)
def test_both_arithmetics_agree_on_every_integer(seed: int) -> None:
    rng = random.Random(seed)
    case = with_claim(random_pair(seed), seed)
    wild = rng.random() < 0.2
    case.grid = [rng.randint(-20, 60) if wild else rng.randint(20, 36) for _ in range(len(case.shifts) + 1)]
    try:
        twins = twins_of(case)
        for _ in range(6):
            symbol = rng.choice([rng.randint(1, case.inputs)] * 8 + [0, case.inputs + 1])
            if twins.waiting:
                twins.visit(symbol)
    except OutOfRange:  # the fast arithmetic says so itself
        assert wild or max(case.shifts) > 12


def rows_of(chain: Chain, proof: Proof) -> list[Row | None]:
    """The rows of all neurons on the whole domain."""
    arithmetic = PythonArithmetic(chain, proof.grid, proof.goals, proof.steps)
    node, count = arithmetic.root(proof.bounds), len(chain.layers)
    sources = [arithmetic.source(node, h) for h in range(count)]
    slopes = [source.slopes for source in sources]
    places = [(k, i, s) for k, layer in enumerate(chain.layers, 1) for i in range(len(layer.rows)) for s in (1, -1)]
    return [arithmetic.row(node, sources, place, slopes) for place in places]


def test_what_reads_a_dead_difference_neuron_does_not_matter() -> None:
    met = 0
    for seed in range(60):
        proof = problem(random_pair(seed))
        ends = list(zip(proof.chain.layers, proof.bounds, strict=False))
        met += sum(not layer.partners.keys().isdisjoint(dead_neurons(layer, *own)) for layer, own in ends)
        other, _ = with_other_columns(proof.chain, proof.bounds, random.Random(seed))
        assert rows_of(other, proof) == rows_of(proof.chain, proof)
    assert met >= 10


@pytest.mark.parametrize("limit", [0, fast_arithmetic.MAX_GATHERED])
def test_both_arithmetics_look_at_no_dead_neuron(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees over chains in whose dead columns stands what would spoil every row."""
    monkeypatch.setattr(fast_arithmetic, "MAX_GATHERED", limit)
    changed = 0
    for seed in range(60):
        rng = random.Random(seed)
        proof = problem(with_claim(random_pair(seed), seed))
        other, count = with_other_columns(proof.chain, proof.bounds, rng)
        changed += count > 0
        for chain in (proof.chain, other):
            try:
                twins = Twins(chain, proof.grid, proof.goals, proof.steps)
                for _ in range(4):
                    if twins.waiting:
                        twins.visit(rng.randint(1, chain.input_size))
            except OutOfRange:  # the shifts of some are large
                pass
    assert changed >= 20


@pytest.mark.parametrize("seed", [0, 2, 4, 6, 10, 15, 21, 28])
def test_both_arithmetics_agree_along_whole_trees(seed: int) -> None:
    case = close_pair(seed)
    assert prove(case, limit=100)
    assert len(case.symbols) >= 9
    twins = twins_of(case)
    assert [twins.visit(symbol).fault for symbol in case.symbols] == [0] * len(case.symbols)
    assert not twins.waiting


def bounds_that_meet(shift: int, rng: random.Random) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds of a difference neuron and of its partner: of all sizes, and often such that 2^s z_p + delta cancels, or nearly."""

    def number() -> float:
        return rng.choice([0.0, math.ldexp(rng.randint(-(1 << 24), 1 << 24), rng.randint(-60, -20))])

    partner = sorted([number(), number()])
    least, most = (-math.ldexp(bound, shift) * (1 + rng.choice([0, 0, 1, -1]) * 2.0 ** -rng.randint(2, 23)) for bound in partner)
    ends = rng.choice([(least, least + abs(number())), (most - abs(number()), most), (most, least), (number(), number())])
    own = sorted(map(down24_double, ends))
    return (own[0], own[1]), (partner[0], partner[1])


def with_bounds(twins: Twins, layer: ChainLayer, rng: random.Random) -> None:
    """Other bounds for the waiting node's first layer, where what is known of it is wider by far."""
    node = twins.waiting[0][0]
    lower, upper = node.lower[0].copy(), node.upper[0].copy()
    for i, p in layer.partners.items():
        (lower[i], upper[i]), (lower[p], upper[p]) = bounds_that_meet(layer.shift, rng)
    twins.set_bounds(lower, upper)


def wide_pair(rng: random.Random) -> PairCase:
    """Networks of one hidden layer with pre-activations of some thousands; the outputs are of the size of the bounds above."""
    own = np.random.default_rng(rng.getrandbits(30))
    networks = []
    for _ in range(2):
        first = own.normal(size=(4, 2)) * 2.0**10, np.zeros(4)
        last = own.normal(size=(2, 4)), np.zeros(2)
        networks.append(dense_model([(w.astype(np.float32), b.astype(np.float32)) for w, b in (first, last)]))
    domain = '{"lower": ["-1", "-1"], "upper": ["1", "1"]}'
    claim, grid = {"kind": "agree", "tolerance": "0"}, [0, rng.randint(20, 36)]
    return PairCase(*networks, domain, claim, [1], "position", [rng.choice([0, 0, 3, 9])], grid, rng.randint(0, 2))


def nearly_closed(twins: Twins, grid: int, rng: random.Random) -> str:
    """A tolerance with which some goal is closed, or so nearly that its row cuts the box."""
    node = copy.deepcopy(twins.waiting[0][0])
    sources = twins.plain.refresh(node, 2)
    assert sources is not None
    row = twins.plain.row(node, sources, (2, rng.randrange(4), 1), [source.slopes for source in sources])
    value = 0 if row is None else -row.value
    return str(max(Fraction(0), value / Fraction(2) ** grid * Fraction(rng.randint(90, 101), 100)))


@given(seeds)
@settings(deadline=None, max_examples=300)
def test_both_arithmetics_agree_for_any_bounds_of_partners_and_differences(seed: int) -> None:
    rng = random.Random(seed)
    case = wide_pair(rng)
    layer, twins = problem(case).chain.layers[0], twins_of(case)
    with_bounds(twins, layer, rng)
    case.claim["tolerance"] = nearly_closed(twins, case.grid[1], rng)
    known, twins = twins.waiting[0][0], twins_of(case)
    twins.set_bounds(known.lower[0], known.upper[0])
    node = twins.waiting[0][0]
    twins.visit(rng.randint(1, 2))
    differences = differences_of(layer, node.lower[0], node.upper[0])
    expected = [
        (
            own.low if own.relation(True) is Relation.CONSTANT else 0.0,
            own.high if own.relation(False) is Relation.CONSTANT else 0.0,
        )
        for own in differences.values()
    ]
    assert twins.fast_constants(1, differences) == expected


@pytest.mark.parametrize("seed", [1, 3])
def test_both_arithmetics_agree_on_wide_networks(seed: int) -> None:
    """More neurons are refreshed in a layer than are propagated at once."""
    twins = twins_of(close_pair(seed, sizes=(3, 40, 36, 2)))
    for symbol in (1, 2, 3, 1):
        twins.visit(symbol)


@pytest.mark.parametrize(
    ("own", "partner"),
    [
        ((-2.0, 2.0), (-3.0, 1 - 2.0**-24)),  # d_lo = -1 = l' / 2
        ((-2.0, 2.0), (-1 + 2.0**-24, 3.0)),  # d_hi = 1 = u' / 2 where z' >= l_p + l gives it
        ((-4.0, 2.0), (1 - 2.0**-24, 1 - 2.0**-24)),  # from above, and d_lo = -1 = m
        ((-2.0, 2.0), (-2.0, -2.0)),
        ((-2.0, 2.0), (-2.0, 2.0)),
        ((2.0**-30 - 1, 1.0), (1.0, 1.0)),  # l_p + l cancels: what is left is the slack
        ((-1.0, 1 - 2.0**-24), (-1.0, 1 - 2.0**-24)),
        ((-1.0, 1.0), (-2.0, -0.5 - 2.0**-24)),  # d_hi = 1 / 2 = u' / 2
        ((2.0, 4.0), (-1.5, -1 - 2.0**-21)),  # to above, and d_hi = 3 = m
        ((-2.0, -1.0), (2.0**-49, 1.0)),  # u_p + u cancels, and what is left is l_p
    ],
)
def test_both_arithmetics_break_ties_alike(own: tuple[float, float], partner: tuple[float, float]) -> None:
    case = wide_pair(random.Random(7))
    layer, twins = problem(case).chain.layers[0], twins_of(case)
    node = twins.waiting[0][0]
    lower, upper = node.lower[0].copy(), node.upper[0].copy()
    scale = math.ldexp(1.0, layer.shift)
    for i, p in layer.partners.items():
        (lower[i], upper[i]), (lower[p], upper[p]) = (own[0] * scale, own[1] * scale), partner
    twins.set_bounds(lower, upper)
    twins.visit(1)
    differences = differences_of(layer, node.lower[0], node.upper[0])
    assert [(d.lower, d.upper) for d in differences.values()] == [(own[0] * scale, own[1] * scale)] * len(differences)
    rise = [d.low if d.relation(True) is Relation.CONSTANT else 0.0 for d in differences.values()]
    fall = [d.high if d.relation(False) is Relation.CONSTANT else 0.0 for d in differences.values()]
    assert twins.fast_constants(1, differences) == list(zip(rise, fall, strict=True))
