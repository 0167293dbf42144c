"""What a row pays for rounding in float32 (section 11 of the format): by hand, and against evaluations that round badly."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.exact import up24
from secateur.checker.lowering import Affine, lower
from secateur.checker.nodes import FULL, MIXED_EXPONENT
from secateur.checker.python_arithmetic import PyNode, PythonArithmetic, Row
from secateur.checker.relaxation import Source
from secateur.checker.root import RootBounds
from secateur.checker.slack import NONE, Magnitudes, charges, gamma, neuron_slack
from tests.checker.pair_cases import problem, random_pair
from tests.checker.rounded import magnified, part_of_domain, rounded_chain, shares
from tests.checker.support import dense_model, exact_layers, random_chain

seeds = st.integers(0, 1 << 30)
TOP = float(1 << 16)
MOST = [float((1 << 53) - (1 << 29)), float((1 << 29) - 32)]  # 24 bits each; 31 is missing to 2^53 - 1

# With the grid -24 the units of S are 1. Rows of sigma, the bias last; rbar; s_i and f, or None.
TABLE: list[tuple[list[list[float]], list[float], tuple[list[int], int] | None]] = [
    ([[0.0]], [], ([0], 0)),
    ([[1.0]], [], ([1], 0)),
    ([[TOP]], [], ([1 << 16], 0)),
    ([[TOP + 1]], [], ([(1 << 15) + 1], 1)),
    ([[2 * TOP]], [], ([1 << 16], 1)),
    ([[2 * TOP + 1]], [], ([(1 << 15) + 1], 2)),
    ([[0.25, 0.5]], [1.0], ([2], 0)),  # every term is rounded up
    ([[0.25, 0.0]], [4.5], ([2], 0)),
    ([[3.0, 0.0]], [0.0], ([0], 0)),
    ([[3.0, 5.0]], [2.0], ([11], 0)),
    ([[2 * TOP], [1.0], [3.0], [0.0]], [], ([1 << 16, 1, 2, 0], 1)),  # one f for the layer, every s rounded up
    ([[*MOST, 31.0]], [1.0, 1.0], ([1 << 16], 37)),
    ([[*MOST, 32.0]], [1.0, 1.0], None),
    ([[0.0, 0.0, 1.0], [*MOST, 32.0]], [1.0, 1.0], None),  # of the whole layer
    ([[0.0, 0.0, 1.0], [*MOST, 31.0]], [1.0, 1.0], ([1, 1 << 16], 37)),
]


@pytest.mark.parametrize(("slack", "reach", "expected"), TABLE)
def test_charges_of_a_layer(slack: list[list[float]], reach: list[float], expected: tuple[list[int], int] | None) -> None:
    found = charges(slack, reach, -24)
    assert (found and (found.sizes, found.shift)) == expected
    finer = charges([[x * 2.0**-30 for x in row] for row in slack], reach, 6)
    assert found == finer


def test_over_the_reals_nothing_is_charged() -> None:
    assert charges([], [1.0, 2.0], 30) is NONE
    assert NONE.of({0: 5, 1: -7}) == 0


def test_a_row_pays_for_the_magnitude_of_its_multipliers_and_not_for_what_is_carried() -> None:
    found = charges([[3.0], [2 * TOP]], [], -24)
    assert found is not None
    assert found.of({0: -5, 1: 7, 2: 100}) == 5 * 2 + 7 * (1 << 16)


# Rows by hand: z_1 = x + 1 on [0, 1], z_2 = 3 r; the first layer is active.


def line(slacks: tuple[float, float], grid: tuple[int, int]) -> tuple[PythonArithmetic, PyNode, list[Source]]:
    one, three = (np.float32([[1]]), np.float32([1])), (np.float32([[3]]), np.float32([0]))
    network = lower(dense_model([one, three, one]))
    chain = chain_form(network, Domain((Fraction(0),), (Fraction(1),)))
    for layer, slack in zip(chain.layers, slacks, strict=True):
        object.__setattr__(layer, "slack", [[0.0, slack]])
    arithmetic = PythonArithmetic(chain, grid, [], 0)
    node = PyNode([0], [FULL], [[1.0], [0.0]], [[2.0], [0.0]], ())
    return arithmetic, node, [arithmetic.source(node, h) for h in range(2)]


def row_of_line(slacks: tuple[float, float], grid: tuple[int, int], start: dict[int, int], exponent: int = 0) -> Row | None:
    arithmetic, node, sources = line(slacks, grid)
    own = arithmetic._start_of(2, start, exponent)
    return arithmetic._propagate(node, sources, own, [source.slopes for source in sources])


def paid(slacks: tuple[float, float], grid: tuple[int, int], weight: int = 1, exponent: int = 0) -> int | None:
    """What the third term takes from a row of the second layer."""
    without = row_of_line((0.0, 0.0), grid, {0: weight}, exponent)
    found = row_of_line(slacks, grid, {0: weight}, exponent)
    assert without is not None
    return None if found is None else without.value - found.value


@pytest.mark.parametrize(
    ("slacks", "grid", "weight", "exponent", "expected"),
    [
        ((0.0, 2.0**-20), (30, 30), 1, 0, 1 << 10),
        ((0.0, 2.0**-20), (30, 30), -1, 0, 1 << 10),
        ((0.0, 2.0**-60), (30, 30), 1, 0, 1),  # rounded up
        ((0.0, (TOP + 1) * 2.0**-54), (30, 30), 1, 0, 1),
        ((0.0, (TOP + 1) * 2.0**-30), (30, 30), 1, 0, (1 << 16) + 2),  # S has 41 bits: s = 2^15 + 1
        ((0.0, 2.0**-20), (30, 30), 1 << 20, 20, 1 << 10),  # a mixed row
        ((0.0, 2.0**-20), (30, 30), 3 << 19, 20, 3 << 9),
        ((2.0**-20, 0.0), (30, 30), 1, 0, 3 << 10),  # three times what the first layer rounds
        ((2.0**-20, 0.0), (10, 30), 1, 0, 3 << 10),
        ((2.0**-20, 2.0**-10), (10, 30), -1, 0, (3 << 10) + (1 << 20)),
        ((1.0, 0.0), (0, 44), 1, 0, 3 << 44),
    ],
)  # fmt: skip
def test_the_third_term(slacks: tuple[float, float], grid: tuple[int, int], weight: int, exponent: int, expected: int) -> None:
    assert paid(slacks, grid, weight, exponent) == expected


@pytest.mark.parametrize(
    ("slack", "expected"),
    [
        (float(1 << 26), 3 << 44),
        (float(43690 << 11), 3 * 43690 << 29),  # s = 43690, f = 35
        (float((43690 << 11) + 16), None),  # s = 43691, and three times that exceeds 2^17
        (float(1 << 27), None),
    ],
)
def test_a_third_term_of_two_to_the_46_makes_the_row_void(slack: float, expected: int | None) -> None:
    assert paid((slack, 0.0), (0, 18)) == expected


def test_a_layer_with_too_large_a_charge_makes_all_rows_through_it_void() -> None:
    assert paid((float(1 << 28), 0.0), (0, 0)) == 3 << 28
    assert paid((float(1 << 29), 0.0), (0, 0)) is None
    arithmetic, node, sources = line((1.0, float(1 << 29)), (0, 0))
    slopes = [source.slopes for source in sources]
    assert arithmetic.row(node, sources, (1, 0, 1), slopes) is not None
    assert arithmetic.row(node, sources, (2, 0, 1), slopes) is None


# Against evaluations that round as badly as they may.


def check_rows(chain: Chain, grid: list[int], root: RootBounds, rng: random.Random) -> int:
    """Rows of single neurons and mixed ones, for any slopes, at points of a box; how many of them evaluations would break, were
    they free of charge."""
    arithmetic, node = PythonArithmetic(chain, grid, [], 0), part_of_domain(chain, root, rng)
    free = PythonArithmetic(Chain(chain.input_size, magnified(chain, -400).layers), grid, [], 0)
    sources, idle = ([own.source(node, h) for h in range(len(chain.layers))] for own in (arithmetic, free))
    slopes = [[rng.choice([0.0, 1.0, rng.random()]) for _ in source.slopes] for source in sources]
    values = []
    for _ in range(4):
        t = [Fraction(rng.choice([lo, hi, rng.randint(lo, hi)]), FULL) for lo, hi in zip(node.low, node.high, strict=True)]
        values.append((t, exact_layers(chain, t, shares(rng))))
    broken = 0
    for _ in range(4):
        k, mixed = rng.randint(1, len(chain.layers)), rng.random() < 0.4
        neurons = rng.sample(range(len(chain.layers[k - 1].rows)), min(3 if mixed else 1, len(chain.layers[k - 1].rows)))
        start = {i: rng.randint(0, 1 << MIXED_EXPONENT) if mixed else rng.choice([1, -1]) for i in neurons}
        own = arithmetic._start_of(k, start, MIXED_EXPONENT if mixed else 0)
        row = arithmetic._propagate(node, sources, own, slopes)
        other = free._propagate(node, idle, own, slopes)
        assert row is not None
        assert other is not None
        a, lows = row.coefficients[0], zip(row.coefficients[0], node.low, node.high, strict=True)
        corner = sum(abs(x) * Fraction(lo if x > 0 else -hi, FULL) for x, lo, hi in lows)
        for t, layers in values:
            exact = sum(weight * layers[k - 1][i] for i, weight in start.items()) / Fraction(2) ** own.exponent
            rise = sum(x * own for x, own in zip(a, t, strict=True)) - corner
            for given_row, must in ((row, True), (other, False)):
                least = given_row.value / Fraction(2) ** grid[k - 1]
                holds = least <= exact and least + rise / Fraction(2) ** given_row.exponent <= exact
                assert holds or not must
                broken += not holds
    return broken


def check_bounds(chain: Chain, grid: list[int], root: RootBounds, rng: random.Random) -> None:
    """Root bounds and refreshed ones."""
    node = part_of_domain(chain, root, rng)
    assert PythonArithmetic(chain, grid, [], 0).refresh(node, len(chain.layers) + 1) is not None
    for _ in range(3):
        t = [Fraction(rng.choice([lo, hi, rng.randint(lo, hi)]), FULL) for lo, hi in zip(node.low, node.high, strict=True)]
        for k, pre in enumerate(exact_layers(chain, t, shares(rng)), 1):
            own = root.interval(k)
            for i, z in enumerate(pre):
                assert Fraction(own.lower[i], own.denominator) <= z <= Fraction(own.upper[i], own.denominator)
                assert Fraction(node.lower[k - 1][i]) <= z <= Fraction(node.upper[k - 1][i])


def rounded_network(seed: int, rng: random.Random) -> Chain:
    network, domain, _ = random_chain(seed % 3000)
    return rounded_chain(network, domain, rng)


def rounded_pair(seed: int, rng: random.Random) -> Chain:
    """Two networks and their differences; what rounding does is magnified up to 2^16 times."""
    case = random_pair(seed)
    case.shifts, case.float32 = [0] * len(case.shifts), True
    return magnified(problem(case).chain, rng.choice([0, 8, 12, 16]))


@given(seeds, st.sampled_from([rounded_network, rounded_pair]))
@settings(deadline=None, max_examples=120)
def test_rows_and_bounds_hold_for_values_that_are_rounded(seed: int, made: object) -> None:
    rng = random.Random(seed)
    chain = made(seed, rng)  # type: ignore[operator]
    grid, root = [rng.randint(4, 26) for _ in chain.layers], RootBounds(chain)  # no term comes near 2^46
    check_rows(chain, grid, root, rng)
    check_bounds(chain, grid, root, rng)


@pytest.mark.parametrize("made", [rounded_network, rounded_pair])
def test_evaluations_break_rows_that_do_not_pay(made: object) -> None:
    """The test above would see it."""
    broken = 0
    for seed in range(60):
        rng = random.Random(seed)
        chain = made(seed, rng)  # type: ignore[operator]
        broken += check_rows(chain, [24] * len(chain.layers), RootBounds(chain), rng) > 0
    assert broken > 10


def test_hardly_more_is_charged_than_can_happen() -> None:
    """At a point, with all neurons active, the worst evaluation comes within 2 % of the charges of a row."""
    rng, shapes = np.random.default_rng(1), [(4, 2), (4, 4), (3, 4), (1, 3)]
    layers = [(abs(rng.normal(size=shape)).astype(np.float32), np.full(shape[0], 40, np.float32)) for shape in shapes]
    network = lower(dense_model(layers))
    domain = Domain((Fraction(1), Fraction(2)), (Fraction(1), Fraction(2)))
    chain = magnified(rounded_chain(network, domain, random.Random(8)), -4)
    assert all(any(map(any, layer.slack)) for layer in chain.layers)
    arithmetic, root = PythonArithmetic(chain, [30] * 3, [], 0), RootBounds(chain)
    node = part_of_domain(chain, root, random.Random(0))
    sources = [arithmetic.source(node, h) for h in range(3)]
    for i in range(3):
        row = arithmetic.row(node, sources, (3, i, 1), [source.slopes for source in sources])
        assert row is not None
        exact = exact_layers(chain, [Fraction(0)] * 2)[2][i]
        worst = exact_layers(chain, [Fraction(0)] * 2, lambda _, __: Fraction(-1))[2][i]
        assert worst - row.value / Fraction(2) ** 30 <= (exact - worst) / 50


def test_sigma_of_a_neuron_counts_all_inputs_with_the_constant() -> None:
    """Row (3 + 2 |x_1| + 5 |x_2| + 7 r_1) / 2 on [-1, 3] x [-7, 2], the value of r_1 in column 1; and a row of zeros."""
    domain = Domain((Fraction(-1), Fraction(-7)), (Fraction(3), Fraction(2)))
    layers = (Affine(1, []), Affine(2, [{0: 3, 1: 2, 2: 5, 3: 7}, {}]))
    slack = neuron_slack(Magnitudes(layers, (0, 51)), 2, {5: 0, 3: 1}, domain)
    constant, factor = (gamma(51) * Fraction(n, 2) for n in (3 + 2 * 3 + 5 * 7, 7))
    assert slack == [[0.0, up24(*factor.as_integer_ratio()), up24(*constant.as_integer_ratio())], [0.0, 0.0, 2.0**-100]]
    assert neuron_slack(Magnitudes(layers, (0, 0)), 2, {5: 0, 3: 1}, domain) == [[0.0] * 3] * 2
