"""Goals at nodes: both arithmetics agree bit for bit, and what they close holds no point that satisfies all rows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.lowering import Affine, Network, lower
from secateur.checker.mixing import Line, mixing_weights
from secateur.checker.nodes import FULL, LEAF_OPEN, SPLIT_CLOSED, TRUSTED_CLOSED, OutOfRange, mixed_threshold
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic
from secateur.checker.query import Disjunct, QueryRow, read_query
from secateur.checker.records import Claim
from secateur.checker.relaxation import least_point
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import goals, with_row_layer
from tests.checker.query_cases import problem, random_query_case
from tests.checker.support import dense_model, evaluate, random_chain, random_layers
from tests.checker.test_row_layer import random_rows, value_of
from tests.checker.twins import Twins

seeds = st.integers(0, 1 << 30)


def random_disjuncts(rng: random.Random, network: Network, domain: Domain) -> list[Disjunct]:
    """One to four disjuncts of one to six rows, shifted so that some are nearly tight at the box's centre."""
    centre = [(low + high) / 2 for low, high in zip(domain.lower, domain.upper, strict=True)]
    outputs = evaluate(network, centre)[1]
    found = []
    for _ in range(rng.randint(1, 4)):
        rows = []
        for row in random_rows(rng, network.input_size, len(outputs), rng.randint(1, 6)):
            shift = value_of(row, centre, outputs) - Fraction(rng.randint(-6, 6), 20) * max(
                abs(a) for _, a in row.inputs + row.outputs
            )
            rows.append(QueryRow(row.inputs, row.outputs, row.bound + shift, row.strict))
        found.append(Disjunct(domain.lower, domain.upper, tuple(rows)))
    return found


@given(seeds)
@settings(deadline=None, max_examples=150)
def test_both_arithmetics_agree_on_every_integer(seed: int) -> None:
    rng = random.Random(seed)
    network, domain, _ = random_chain(seed % 3000)
    disjuncts = random_disjuncts(rng, network, domain)
    layer = len(network.layers) + 1
    chain = chain_form(with_row_layer(network, [row for d in disjuncts for row in d.rows]), domain)
    grid = [rng.choice([rng.randint(15, 42), rng.randint(-5, 50)]) for _ in chain.layers]
    twins = Twins(chain, grid, goals(disjuncts, layer, 0), rng.randint(0, 4))
    for _ in range(6):
        symbol = rng.choice([rng.randint(1, chain.input_size)] * 8 + [0, chain.input_size + 1])
        try:
            if twins.waiting:
                twins.visit(symbol)
        except OutOfRange:  # the fast arithmetic says so itself
            assert max(grid) > 35
            return


@pytest.mark.parametrize("seed", range(8))
def test_both_arithmetics_agree_along_whole_trees(seed: int) -> None:
    """Proofs of queries that are just unsatisfiable: goals close one after the other, by mixed rows and by cuts."""
    case = random_query_case(seed, seed % 4)
    (part,) = case.parts
    chain, own = problem(case.network, list(read_query(case.query).disjuncts()))
    twins = Twins(chain, part.grid, own, part.steps)
    assert [twins.visit(symbol).fault for symbol in part.symbols] == [0] * len(part.symbols)
    assert not twins.waiting


def small_node(rng: random.Random, chain: Chain, layers: int) -> PyNode:
    """The root bounds on a part of the domain."""
    root, ends = RootBounds(chain), []
    for _ in range(chain.input_size):
        low = rng.choice([0, rng.randint(0, FULL)])
        ends.append((low, min(FULL, low + (FULL >> rng.choice([0, 0, 1, 2, 3, 20])))))
    bounds = [root.bounds(k) for k in range(1, layers + 1)]
    return PyNode([e[0] for e in ends], [e[1] for e in ends], [list(b[0]) for b in bounds], [list(b[1]) for b in bounds], ())


def satisfied(row: QueryRow, point: list[Fraction], outputs: list[Fraction]) -> bool:
    value = value_of(row, point, outputs)
    return value < 0 or (value == 0 and not row.strict)


def test_what_is_closed_or_cut_off_satisfies_no_goal() -> None:
    """Against exact samples of the box, evaluated without the row layer; enough of both kinds, so that it says something."""
    closed = kept = shrunk = 0
    for seed in range(150):
        rng = random.Random(seed)
        network, domain, _ = random_chain(seed)
        disjuncts, layers = random_disjuncts(rng, network, domain), len(network.layers)
        own = goals(disjuncts, layers + 1, 0)
        chain = chain_form(with_row_layer(network, [row for d in disjuncts for row in d.rows]), domain)
        arithmetic = PythonArithmetic(chain, [rng.randint(20, 34)] * (layers + 1), own, rng.randint(0, 3))
        node = small_node(rng, chain, layers)
        sources = arithmetic.refresh(node, layers + 1)
        assert sources is not None
        boxes = [arithmetic.goal(node, sources, goal) for goal in own]
        closed += boxes.count(None)
        shrunk += sum(box is not None and box != (node.low, node.high) for box in boxes)
        for _ in range(12):
            t = [rng.choice([lo, hi, rng.randint(lo, hi)]) for lo, hi in zip(node.low, node.high, strict=True)]
            ends = zip(domain.lower, domain.upper, t, strict=True)
            point = [low + (high - low) * Fraction(share, FULL) for low, high, share in ends]
            outputs = evaluate(network, point)[1]
            for box, disjunct in zip(boxes, disjuncts, strict=True):
                if all(satisfied(row, point, outputs) for row in disjunct.rows):
                    assert box is not None
                    assert all(low <= share <= high for low, share, high in zip(box[0], t, box[1], strict=True))
                    kept += 1
    assert min(closed, kept, shrunk) > 50, (closed, kept, shrunk)


# Small cases by hand: N(x) = x on [0, 1], so that the row layer is the first.


IDENTITY = Network(1, (1,), (), Affine(1, [{1: 1}]))
ZERO = Network(1, (1,), (), Affine(1, [{}]))
UNIT = Domain((Fraction(0),), (Fraction(1),))


def at_most(bound: str, *, sign: int = 1, strict: bool = False) -> QueryRow:
    """sign * Y_0 <= bound."""
    return QueryRow((), ((0, Fraction(sign)),), Fraction(bound), strict)


def visit(network: Network, rows: list[list[QueryRow]], symbol: int, grid: int = 30) -> tuple[int, int, object]:
    """(fault, goal, boxes of the children) of the root in both arithmetics."""
    disjuncts = [Disjunct(UNIT.lower, UNIT.upper, tuple(own)) for own in rows]
    chain = chain_form(with_row_layer(network, [row for own in rows for row in own]), UNIT)
    twins = Twins(chain, [grid], goals(disjuncts, 1, 0), 2)
    outcome = twins.visit(symbol)
    return outcome.fault, outcome.goal, [(child.low, child.high) for child in outcome.children or ()]


def test_strict_rows_are_refuted_by_zero_and_closed_ones_are_not() -> None:
    closed, strict = at_most("0"), at_most("0", strict=True)
    assert visit(ZERO, [[strict]], 0) == (0, 0, [])
    assert visit(ZERO, [[closed]], 0) == (LEAF_OPEN, 0, [])
    assert visit(ZERO, [[strict, strict]], 0) == (0, 0, [])
    assert visit(ZERO, [[strict, closed]], 0) == visit(ZERO, [[closed, strict]], 0) == (0, 0, [])
    assert visit(ZERO, [[closed, closed]], 0) == (LEAF_OPEN, 0, [])
    assert visit(ZERO, [[strict], [closed], [strict]], 0) == (LEAF_OPEN, 1, [])


def test_a_mixture_that_is_zero_refutes_where_a_strict_row_is_part_of_it() -> None:
    """x < 1/2 and x >= 1/2 exclude each other, x <= 1/2 and x >= 1/2 do not."""
    below, above = at_most("0.5"), at_most("-0.5", sign=-1)
    strictly = at_most("0.5", strict=True)
    assert visit(IDENTITY, [[strictly, above]], 0) == visit(IDENTITY, [[above, strictly]], 0) == (0, 0, [])
    assert visit(IDENTITY, [[below, above]], 0) == (LEAF_OPEN, 0, [])


def test_a_strict_row_of_weight_zero_lends_no_strictness() -> None:
    """x = 1/2 satisfies the first two rows; the third, which holds far and wide, is strict but has no weight."""
    below, above, wide = at_most("0.5"), at_most("-0.5", sign=-1), at_most("1e9", strict=True)
    assert mixed_threshold((1, 1, 0), (1 << 20, 1 << 20, 0)) == 1
    assert mixed_threshold((1, 1, 0), (1 << 20, 1 << 20, 1)) == mixed_threshold((0, 1), (1, 5)) == 0
    assert visit(IDENTITY, [[below, above, wide]], 0, grid=10) == (LEAF_OPEN, 0, [])
    far = at_most("1e6", strict=True)  # and 0 <= 0 holds: the mixture is 0, and nothing in it has to be negative
    assert visit(ZERO, [[at_most("0"), far]], 0, grid=10) == visit(ZERO, [[far, at_most("0")]], 0, grid=10) == (LEAF_OPEN, 0, [])


def test_two_rows_refute_a_goal_that_neither_refutes_alone() -> None:
    low, high = at_most("0.3"), at_most("-0.7", sign=-1)
    assert visit(IDENTITY, [[low]], 0) == visit(IDENTITY, [[high]], 0) == (LEAF_OPEN, 0, [])
    assert visit(IDENTITY, [[low, high]], 0) == (0, 0, [])
    assert visit(IDENTITY, [[low, at_most("-0.2", sign=-1)]], 0) == (LEAF_OPEN, 0, [])


def test_cuts_from_two_sides_close_a_goal_where_a_void_row_forbids_mixing() -> None:
    """With the grid 2^-45 the bias 2 is a term of 2^46: the third row is void."""
    low, high, void = at_most("0.3"), at_most("-0.7", sign=-1), at_most("2")
    assert visit(IDENTITY, [[low, high, void]], 0, grid=45) == (0, 0, [])
    assert visit(IDENTITY, [[low, void]], 0, grid=45) == (LEAF_OPEN, 0, [])
    assert visit(IDENTITY, [[void]], 0, grid=45) == (LEAF_OPEN, 0, [])
    assert visit(IDENTITY, [[void]], 1, grid=45)[2] == [([0], [FULL // 2]), ([FULL // 2], [FULL])]


def test_a_term_of_the_limit_makes_a_row_void() -> None:
    """x + 2 > 0 everywhere, but with the grid 2^-45 the bias is a term of 2^46; a little less is none."""
    assert visit(IDENTITY, [[at_most("-2")]], 0, grid=45) == (LEAF_OPEN, 0, [])
    assert visit(IDENTITY, [[at_most("-1.999")]], 0, grid=45) == (0, 0, [])


def test_the_box_contracts_to_what_the_open_goals_leave_together() -> None:
    def ends(rows: list[list[QueryRow]]) -> tuple[float, float]:
        (first, second) = visit(IDENTITY, rows, 1)[2]
        return first[0][0] / FULL, second[1][0] / FULL

    assert ends([[at_most("0.25")]]) == pytest.approx((0, 0.25), abs=1e-6)
    assert ends([[at_most("0.25"), at_most("-0.125", sign=-1)]]) == pytest.approx((0.125, 0.25), abs=1e-6)
    assert ends([[at_most("0.25")], [at_most("-0.75", sign=-1)]]) == (0, 1)
    assert ends([[at_most("0.25")], [at_most("-2", sign=-1)]]) == pytest.approx((0, 0.25), abs=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_ties_are_broken_as_the_format_says(steps: int) -> None:
    """z = max(0, x - 1/2) - x/2 + 1/4 >= 0: the slopes 0 and 1 both show -1/4, and leave the right or the left half of the box.

    The slope that is tried first is 0, as l = -u; the next step moves it to 1; of rows of the same value the first one stays.
    """
    layers = Affine(2, [{1: 2, 0: -1}]), Affine(4, [{2: 4, 1: -2, 0: 1}])
    chain = chain_form(Network(1, (1, 2, 3), layers, Affine(1, [{3: 1}])), UNIT)
    outcome = Twins(chain, [30, 30], [Claim(2, 0, "active")], steps).visit(1)
    assert outcome.children is not None
    ends = outcome.children[0].low[0] / FULL, outcome.children[1].high[0] / FULL
    assert ends == pytest.approx((0.5, 1), abs=1e-6)


def test_a_neuron_that_the_row_does_not_read_takes_its_lower_line() -> None:
    """Section 5: a = 0 counts as a >= 0, and moves no slope."""
    layers = Affine(2, [{1: 2, 0: -1}]), Affine(1, [{2: 1}])
    chain = chain_form(Network(1, (1, 2, 3), layers, Affine(1, [{3: 1}])), UNIT)
    arithmetic, slopes = PythonArithmetic(chain, [30, 30], [], 0), [0.5]
    source = arithmetic.source(arithmetic.root([RootBounds(chain).bounds(1)]), 1)
    assert least_point([0], [-0.25], source, slopes, 4.0) == [-0.125]
    assert least_point([-1], [-0.25], source, slopes, 4.0) == [0.125]
    assert slopes == [0.5]


def test_a_level_mixture_is_lowest_at_the_lower_end() -> None:
    """2 x - 1 and 1 - 2 x cancel at first; at 0 the second is the greater one, and gains. The third is out of the question."""
    lines = [Line(-1, -24, [2]), Line(-1, -24, [-2]), Line(-4, -24, [0])]
    assert mixing_weights(lines, 0, [1]) == [(1 << 20) - 5, 1 << 20, 0]


def test_both_arithmetics_mix_rows_alike() -> None:
    """Of x - 3/4, 1/4 - x and x / 8 - 1."""
    rows = [at_most("0.75"), at_most("-0.25", sign=-1), QueryRow((), ((0, Fraction(1, 8)),), Fraction(1), False)]
    chain = chain_form(with_row_layer(IDENTITY, rows), UNIT)
    twins = Twins(chain, [30], goals([Disjunct(UNIT.lower, UNIT.upper, tuple(rows))], 1, 0), 0)
    node = twins.waiting[0][0]
    sources = twins.plain.refresh(node, 1)
    assert sources is not None
    single = [twins.plain.row(node, sources, (1, i, 1), [[]]) for i in range(3)]
    lines = [Line(row.value, row.exponent, row.coefficients[0]) for row in single if row is not None]
    twins.visit(1)
    assert twins.fast._works[0].mix[:3].tolist() == mixing_weights(lines, 30, [FULL])


def test_steps_become_shorter_by_a_quarter() -> None:
    """z = max(0, x - 7/8) - 5/16 x + 1/4: of the slopes 0, 4 / 8, 0 and 9/4 / 8 the last one is best, and cuts at 1/8."""
    layers = Affine(8, [{1: 8, 0: -7}]), Affine(16, [{2: 16, 1: -5, 0: 4}])
    chain = chain_form(Network(1, (1, 2, 3), layers, Affine(1, [{3: 1}])), UNIT)
    outcome = Twins(chain, [30, 30], [Claim(2, 0, "active")], 3).visit(1)
    assert outcome.children is not None
    assert outcome.children[0].low[0] / FULL == pytest.approx((0.25 - 0.28125 * 0.875) / (0.3125 - 0.28125), abs=1e-5)


def test_trusted_leaves_need_an_open_goal() -> None:
    assert visit(IDENTITY, [[at_most("0.5")]], 2) == (0, 0, [])
    assert visit(IDENTITY, [[at_most("-0.5")]], 2) == (TRUSTED_CLOSED, 0, [])
    assert visit(IDENTITY, [[at_most("-0.5")]], 1) == (SPLIT_CLOSED, 0, [])


def test_more_rows_than_are_propagated_at_once() -> None:
    rows = [at_most(f"{0.5 + i / 1000}") for i in range(100)]
    assert visit(IDENTITY, [[*rows, at_most("-0.75", sign=-1)]], 0) == (0, 0, [])
    assert visit(IDENTITY, [[*rows, at_most("-0.25", sign=-1)]], 1)[0] == 0


@dataclass(frozen=True)
class Targets:
    """A goal about neurons of any layer."""

    layer: int
    targets: tuple[tuple[int, int], ...]
    thresholds: tuple[int, ...]
    kind: str = "goal"


@pytest.mark.parametrize("seed", range(8))
def test_goals_of_all_kinds_go_together(seed: int) -> None:
    """Those of one layer and one target are bounded side by side, up to eight; others stand between them, and some end early."""
    rng, cube = random.Random(seed), Domain((Fraction(-1, 4),) * 3, (Fraction(1, 4),) * 3)
    layers = random_layers([3, 20, 30, 12, 2], np.random.default_rng(seed))
    chain = chain_form(lower(dense_model(layers)), cube)
    single = [Targets(2 + (i >= 30), ((i % 30, rng.choice([-1, 1])),), (rng.randint(0, 1),)) for i in range(42)]
    several = [Targets(2, ((i, 1), (i + 1, -1), (i + 2, 1)), (0, 1, 0)) for i in range(3)]
    own = [*single, *several]
    rng.shuffle(own)
    twins = Twins(chain, [34, 33, 32], own, seed % 5)
    ended = 0
    for number in range(8):
        node = twins.waiting[-1][0]
        sources = twins.plain.refresh(node, 3)
        assert sources is not None
        left = twins.plain._settle(node, sources)
        twins.visit(1 + number % 3)
        work = twins.fast._works[0]
        assert {g: (work.left_low[g].tolist(), work.left_high[g].tolist()) for g in left} == left
        ended = max(ended, len(own) - len(left))
    assert 10 < ended < len(own)
