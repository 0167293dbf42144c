"""Both arithmetics charge alike for rounding in float32 (section 11 of the format), bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.fast_arithmetic import MAX_ROUNDED_LAYERS, FastArithmetic
from secateur.checker.lowering import lower
from secateur.checker.nodes import LIMIT, OutOfRange
from secateur.checker.records import Claim
from secateur.checker.row_layer import goals, with_row_layer
from tests.checker.pair_cases import problem, random_pair, with_claim
from tests.checker.rounded import magnified, rounded_chain, with_slack
from tests.checker.support import dense_model, random_chain
from tests.checker.test_goals import random_disjuncts
from tests.checker.test_slack import TABLE
from tests.checker.twins import Twins

seeds = st.integers(0, 1 << 30)


def one_layer(slack: list[list[float]]) -> Chain:
    """A layer with these sigma."""
    rows, columns = len(slack), max(1, len(slack[0]) - 1)
    network = lower(
        dense_model([(np.ones((n, m), np.float32), np.zeros(n, np.float32)) for n, m in ((rows, columns), (1, rows))])
    )
    chain = chain_form(network, Domain((Fraction(0),) * columns, (Fraction(1),) * columns))
    padded = [[*row[:-1], *([0.0] * (columns + 1 - len(row))), row[-1]] for row in slack]
    return Chain(columns, (replace(chain.layers[0], slack=padded),))


@pytest.mark.parametrize(("slack", "expected"), [(row[0], row[2]) for row in TABLE if all(own == 1 for own in row[1])])
def test_charges_of_the_first_layer(slack: list[list[float]], expected: tuple[list[int], int] | None) -> None:
    fast = FastArithmetic(one_layer(slack), [-24], [Claim(1, 0, "active")], 0, [])
    work, start = fast._works[0], int(fast._system.start[1])
    assert (work.error[1] >= LIMIT) is np.bool_(expected is None)
    if expected is not None:
        found = [int(own) for own in work.charge[start : start + len(slack)]]
        assert (found, int(work.charge_shift[1])) == expected


def visit_all(twins: Twins, rng: random.Random) -> None:
    for _ in range(6):
        symbol = rng.choice([rng.randint(1, twins.plain.input_size)] * 8 + [0, twins.plain.input_size + 1])
        if twins.waiting:
            twins.visit(symbol)


def sizes(rng: random.Random) -> Fraction:
    """sigma of all sizes; some reach 2^53 on the grids below, some terms 2^46."""
    return (
        rng.choice([0, 1, 1])
        * Fraction(rng.randint(1, 1 << 24))
        * Fraction(2) ** rng.choice([-rng.randint(24, 60), -rng.randint(0, 70)])
    )


@given(seeds)
@settings(deadline=None, max_examples=150)
def test_both_arithmetics_agree_on_goals_about_rounded_values(seed: int) -> None:
    """Single and mixed rows, and values that are carried through layers."""
    rng = random.Random(seed)
    network, domain, _ = random_chain(seed % 3000)
    disjuncts = random_disjuncts(rng, network, domain)
    chain = rounded_chain(with_row_layer(network, [row for d in disjuncts for row in d.rows]), domain, rng)
    if rng.random() < 0.5:
        chain = with_slack(chain, lambda: sizes(rng))
    grid = [rng.choice([rng.randint(15, 42), rng.randint(-5, 50)]) for _ in chain.layers]
    try:
        visit_all(Twins(chain, grid, goals(disjuncts, len(chain.layers), 0), rng.randint(0, 4)), rng)
    except OutOfRange:  # the fast arithmetic says so itself
        assert max(grid) > 35


@given(seeds)
@settings(deadline=None, max_examples=150)
def test_both_arithmetics_agree_on_differences_of_rounded_values(seed: int) -> None:
    rng = random.Random(seed)
    case = with_claim(random_pair(seed), seed)
    case.shifts, case.float32 = [0] * len(case.shifts), True
    case.grid = [rng.randint(20, 36) for _ in range(len(case.shifts) + 1)]
    proof = problem(case)
    chain = magnified(proof.chain, rng.choice([0, 0, 8, 16, 24]))
    visit_all(Twins(chain, proof.grid, proof.goals, proof.steps), rng)


def test_both_arithmetics_agree_on_a_wide_network() -> None:
    """More neurons than places in a vector, and more rows than are propagated at once."""
    rng = np.random.default_rng(5)
    shapes = [(40, 3), (37, 40), (33, 37), (1, 33)]
    layers = [(rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[0]).astype(np.float32)) for shape in shapes]
    chain = rounded_chain(lower(dense_model(layers)), Domain((Fraction(-1),) * 3, (Fraction(1),) * 3), random.Random(8))
    assert any(any(map(any, layer.slack)) for layer in chain.layers)
    twins = Twins(chain, [34, 33, 32], [Claim(3, 0, "inactive"), Claim(3, 1, "active"), Claim(2, 7, "inactive")], 2)
    for symbol in (1, 2, 3, 1):
        twins.visit(symbol)


def test_five_terms_of_a_layer_leave_room_for_fewer_layers() -> None:
    """31 layers of four terms below 2^46 stay below 2^53, and 25 of five."""
    (layer,) = one_layer([[0.0, 1.0]]).layers
    claim = [Claim(1, 0, "active")]
    for slack, most in ((layer.slack, MAX_ROUNDED_LAYERS), ((), 31)):
        own = replace(layer, slack=slack)
        FastArithmetic(Chain(1, (own,) * most), [30] * most, claim, 1, [])
        with pytest.raises(OutOfRange):
            FastArithmetic(Chain(1, (own,) * (most + 1)), [30] * (most + 1), claim, 1, [])
    assert MAX_ROUNDED_LAYERS * 5 <= 1 << 7
