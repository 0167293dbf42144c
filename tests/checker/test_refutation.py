"""The two rules for refuted leaves: their truth tables, a slow twin, and that no point of the box breaks what they show."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest

from secateur.checker.domain import Domain
from secateur.checker.lowering import Affine, Network
from secateur.checker.nodes import FULL, LeafState
from secateur.checker.refutation import Clauses, least_gap, lemma_holds
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import RowGoal, with_layer
from secateur.checker.subject import Region, Row, Subject, about_one
from tests.checker.support import evaluate, random_chain

# One neuron with z = x, on -1 <= x <= 1; the rows are over x (symbol 1) and r = max(0, x) (symbol 2).
ONE = Network(1, (1, 2), (Affine(1, [{1: 1}]),), Affine(1, [{2: 1}]))


def region(low: int = -1, high: int = 1) -> Region:
    return Region([low], [high], 1, {2: (low, high)}, 1)


R, X = {2: 1}, {1: 1}  # r and x


@pytest.mark.parametrize(
    ("expression", "strict", "phases", "weight", "mu", "holds"),
    [
        (R, True, {}, 1, {}, True),  # r < 0 is never true: mu = 0
        (R, False, {}, 1, {}, False),  # r <= 0 is
        (R | {0: 1}, False, {}, 1, {}, True),
        (R | {0: -1}, True, {}, 1, {}, False),
        ({2: -1, 0: 1}, True, {}, 1, {}, True),  # 1 - r < 0
        ({2: -1, 0: 1}, False, {}, 1, {}, False),
        ({2: -1, 1: 1}, True, {}, 1, {2: -1}, False),  # x - r < 0 where x < 0
        ({2: -1, 1: 1}, True, {2: True}, 1, {2: -1}, True),  # but not where x >= 0
        ({2: -1, 1: 1}, True, {2: True}, 1, {}, True),  # mu = A is the default there
        ({2: -1, 1: 1}, True, {2: True}, 1, {2: 0}, False),
        ({2: -1, 1: 1}, False, {2: True}, 1, {2: -1}, False),
        (R | {1: -1}, True, {}, 1, {2: 1}, True),  # r - x < 0 is never true
        (R | {1: -1}, True, {}, 1, {2: 2}, False),
        (R | {1: -1}, True, {}, 1, {}, False),  # mu = 0 does not show it
        (X, True, {2: False}, 1, {2: 1}, False),
        (X | {0: 1}, True, {2: False}, 1, {}, True),  # x + 1 < 0
        (X, True, {2: True}, 1, {2: -1}, True),  # x < 0 where x >= 0: mu z - mu z, and max(0, z) is not needed
        (X, False, {2: True}, 1, {2: -1}, False),
        (X, True, {2: True}, 0, {2: 0}, False),  # no row has weight: 0 > 0 is false
        (X | {0: 5}, False, {}, 0, {}, False),
        (R, True, {}, 7, {}, True),
    ],
)
def test_truth_table_of_the_lemma(
    expression: dict[int, int], strict: bool, phases: dict[int, bool], weight: int, mu: dict[int, int], holds: bool
) -> None:
    assert lemma_holds(ONE, region(), [Row(1, expression, strict)], phases, [weight], mu) is holds


@pytest.mark.parametrize(
    ("low", "high", "active", "holds"),
    [(1, 2, False, True), (1, 2, True, False), (-2, -1, True, True), (-2, -1, False, False), (0, 2, False, False),
     (-2, 0, True, False), (-1, 1, False, False)],
)  # fmt: skip
def test_phases_that_the_bounds_exclude_are_a_lemma(low: int, high: int, active: bool, holds: bool) -> None:
    assert lemma_holds(ONE, region(low, high), [Row(1, {0: -1}, False)], {2: active}, [0], {2: 0}) is holds


def test_weights_without_a_strict_row_need_more_than_0() -> None:
    rows = [Row(1, X, True), Row(1, {1: -1}, False)]  # x < 0 and x >= 0
    assert lemma_holds(ONE, region(), rows, {}, [1, 1], {})
    assert not lemma_holds(ONE, region(), [Row(1, X, False), rows[1]], {}, [1, 1], {})
    assert not lemma_holds(ONE, region(), rows, {}, [0, 0], {})
    assert not lemma_holds(ONE, region(), rows, {}, [1, 2], {})


def test_least_gap_is_attained_at_an_end_or_at_0() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        a, mu, low = rng.randint(-5, 5), rng.randint(-5, 5), rng.randint(-4, 4)
        high = low + rng.randint(0, 5)
        assert least_gap(a, mu, low, high) == min(a * max(0, z) - mu * z for z in range(low, high + 1))


@pytest.mark.parametrize(
    ("known", "clause", "follows"),
    [
        ([], (), False),
        ([], (1,), False),
        ([()], (), True),
        ([()], (1,), True),
        ([(1,)], (1,), True),
        ([(1,)], (-1,), False),
        ([(1,)], (1, 2), True),
        ([(1, 2)], (1,), False),
        ([(1,), (-1,)], (), True),
        ([(1, 2), (-1, 2)], (2,), True),
        ([(1, 2), (-1, 2)], (), False),
        ([(1, 2), (-1, 2), (1, -2), (-1, -2)], (), False),  # it follows, but not by unit propagation
        ([(1, 2), (-1, 2), (1, -2), (-1, -2), (2,)], (), True),
        ([(1, 2, 3), (-3,), (-2,)], (1,), True),
        ([(1, 2, 3), (-3,)], (1,), False),
        ([(-1, 2), (-2, 3), (-3, 4)], (-1, 4), True),
        ([(-1, 2), (-2, 3), (-3, 4)], (1, 4), False),
        ([(-1, 2), (-2, 3), (-3, 4)], (4,), False),
        ([(1, 2)], (1, 3), False),
        ([(1, 2)], (3, 2, 1), True),
    ],
)
def test_truth_table_of_unit_propagation(known: list[tuple[int, ...]], clause: tuple[int, ...], follows: bool) -> None:
    clauses = Clauses()
    for own in known:
        clauses.add(own)
    assert clauses.imply(clause) is follows
    assert clauses.imply(clause) is follows  # nothing of the first time is left


def propagated(known: Sequence[tuple[int, ...]], clause: tuple[int, ...]) -> bool:
    """The rule as the text has it."""
    false, changed = set(clause), True
    while changed:
        changed = False
        for own in known:
            left = [literal for literal in own if literal not in false]
            if not left:
                return True
            if len(left) == 1 and -left[0] not in false:
                false.add(-left[0])
                changed = True
    return False


@pytest.mark.parametrize("seed", range(20))
def test_unit_propagation_does_what_the_text_says(seed: int) -> None:
    rng, outcomes = random.Random(seed), []
    for _ in range(100):

        def clause(longest: int, rng: random.Random = rng) -> tuple[int, ...]:
            return tuple(rng.choice((-1, 1)) * v for v in rng.sample(range(1, 6), rng.randint(1, longest)))

        known = [clause(3) for _ in range(rng.randint(1, 9))]
        clauses, wanted = Clauses(), clause(4)
        for own in known:
            clauses.add(own)
        outcomes.append(clauses.imply(wanted))
        assert outcomes[-1] == propagated(known, wanted)
    assert {True, False} == set(outcomes)


# Random networks: a subject with a row layer, bounds of the whole domain, and a part of its box.


class Problem:
    """Random rows on a random network; all bounds are those of the root."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        network, self.domain, chain = random_chain(seed)
        self.depth, self.plain, root = len(network.layers), network, RootBounds(chain)
        symbols = network.starts[-1] + network.size(self.depth)
        chosen = [self.rng.sample(range(1, symbols), min(symbols - 1, 4)) for _ in range(self.rng.randint(1, 3))]
        forms = [(self.rng.choice((1, 3)), {s: self.rng.randint(-9, 9) or 1 for s in own}) for own in chosen]
        self.subject = about_one(with_layer(network, forms), self.domain)
        self.strict = tuple(self.rng.random() < 0.5 for _ in forms)
        ends = [sorted(self.rng.sample(range(0, FULL + 1, FULL // 8), 2)) for _ in self.domain.lower]
        own = [network.size(k) for k in range(1, self.depth + 1)]
        sides = zip(*(root.bounds(k) for k in range(1, self.depth + 1)), strict=True)
        lower, upper = ([bounds[:n] for bounds, n in zip(side, own, strict=True)] for side in sides)
        self.leaf = LeafState([low for low, _ in ends], [high for _, high in ends], lower, upper, (0,))
        self.rows = self.subject.rows(RowGoal("0", self.depth + 1, 0, self.strict))
        self.region = self.subject.region(self.leaf)

    def point(self) -> list[Fraction]:
        """A point of the leaf's box, often a corner."""
        shares = [self.rng.choice((Fraction(0), Fraction(1), Fraction(self.rng.randint(0, 7), 7))) for _ in self.leaf.low]
        box = zip(self.region.low, self.region.high, shares, strict=True)
        return [
            Fraction(low, self.region.denominator) * (1 - t) + Fraction(high, self.region.denominator) * t for low, high, t in box
        ]

    def values(self, point: Sequence[Fraction]) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
        """Values of all symbols, and pre-activations of the neurons, at a point."""
        pre = {
            start + i: z
            for start, layer in zip(self.plain.starts[1:], evaluate(self.plain, point)[0], strict=True)
            for i, z in enumerate(layer)
        }
        return {0: Fraction(1), **dict(enumerate(point, 1)), **{s: max(Fraction(0), z) for s, z in pre.items()}}, pre

    def multipliers(self, phases: Mapping[int, bool]) -> dict[int, int]:
        """Near what the phases suggest, for some of the neurons."""
        return {s: self.rng.randint(-9, 9) if active else self.rng.randint(0, 3) for s, active in phases.items()}


def value_of(row: Row, values: Mapping[int, Fraction]) -> Fraction:
    return sum((c * values[s] for s, c in row.expression.items()), Fraction(0)) / row.denominator


def shifted(row: Row, by: Fraction) -> Row:
    """The row with a constant added."""
    terms = {s: c * by.denominator for s, c in row.expression.items()}
    terms[0] = terms.get(0, 0) + by.numerator * row.denominator
    return Row(row.denominator * by.denominator, terms, row.strict)


@pytest.mark.parametrize("seed", range(60))
def test_no_lemma_excludes_a_point_of_the_box(seed: int) -> None:
    """Rows that hold at a point, as tightly as they can, and phases that it has: whatever the multipliers, no lemma."""
    problem = Problem(seed)
    rng = problem.rng
    for _ in range(20):
        values, pre = problem.values(problem.point())
        rows = [shifted(row, -value_of(row, values) - (Fraction(1, 10**30) if row.strict else 0)) for row in problem.rows]
        phases = {s: z > 0 or (z == 0 and rng.random() < 0.5) for s, z in pre.items() if rng.random() < 0.8}
        weights = [rng.choice((0, 1, rng.randint(0, 9))) for _ in rows]
        for mu in ({}, dict.fromkeys(phases, 0), problem.multipliers(phases)):
            assert not lemma_holds(problem.subject.network, problem.region, rows, phases, weights, mu)


def naive_least(problem: Problem, form: dict[int, Fraction], mu: Mapping[int, int], phases: Mapping[int, bool]) -> Fraction:
    """The bound of a lemma in rationals, symbol by symbol."""
    network, region, total = problem.plain, problem.region, dict(form)
    for symbol in sorted(region.bounds, reverse=True):
        low, high = (Fraction(bound, region.unit) for bound in region.bounds[symbol])
        low, high = (max(low, 0) if phases.get(symbol) else low), (min(high, 0) if phases.get(symbol) is False else high)
        a = total.pop(symbol, Fraction(0))
        own = Fraction(mu[symbol]) if symbol in mu else a if low >= 0 else Fraction(0)
        candidates = [low, high] + [Fraction(0)] * (low < 0 < high)
        total[0] = total.get(0, Fraction(0)) + min(a * max(0, z) - own * z for z in candidates)
        layer = network.source(symbol)
        affine = network.layers[layer - 1]
        for s, c in affine.rows[symbol - network.starts[layer]].items():
            total[s] = total.get(s, Fraction(0)) + own * c / affine.denominator
    ends = zip(region.low, region.high, strict=True)
    least = total.pop(0, Fraction(0))
    for s, (low, high) in enumerate(ends, 1):
        c = total.pop(s, Fraction(0))
        least += min(c * low, c * high) / region.denominator
    assert not total
    return least


@pytest.mark.parametrize("seed", range(60))
def test_the_lemma_is_exact_to_the_last_digit(seed: int) -> None:
    """It holds for a bound of 0 or just above, and not for one just below."""
    problem = Problem(seed)
    rng, tiny, held = problem.rng, Fraction(1, 10**40), 0
    for _ in range(10):
        _, pre = problem.values(problem.point())
        phases = {s: z > 0 for s, z in pre.items() if rng.random() < 0.7}
        mu, weights = problem.multipliers(phases), [rng.randint(1, 9) for _ in problem.rows]
        mu |= {s: rng.randint(-4, 4) for s in pre if rng.random() < 0.2}
        form: dict[int, Fraction] = {}
        for weight, row in zip(weights, problem.rows, strict=True):
            for s, c in row.expression.items():
                form[s] = form.get(s, Fraction(0)) + Fraction(weight * c, row.denominator)
        least = naive_least(problem, form, mu, phases)
        for rest, holds in ((-tiny, False), (Fraction(0), any(problem.strict)), (tiny, True)):
            by = (rest - least) / weights[0]
            rows = [shifted(problem.rows[0], by), *problem.rows[1:]]
            assert lemma_holds(problem.subject.network, problem.region, rows, phases, weights, mu) is holds
            held += holds
    assert held


def test_a_region_speaks_about_the_input_and_not_about_t() -> None:
    domain = Domain((Fraction(-1, 3),), (Fraction(5, 2),))
    own = about_one(with_layer(ONE, [(1, {2: 1})]), domain).region(LeafState([FULL // 4], [FULL // 2], [[-0.25]], [[3.0]], (0,)))
    ends = Fraction(own.low[0], own.denominator), Fraction(own.high[0], own.denominator)
    assert ends == (Fraction(-1, 3) + Fraction(17, 24), Fraction(-1, 3) + Fraction(17, 12))
    assert tuple(Fraction(bound, own.unit) for bound in own.bounds[2]) == (Fraction(-1, 4), 3)


@pytest.mark.parametrize(("name", "symbol"), [((1, 0), 2), ((1, 1), None), ((2, 0), 3), ((3, 0), None), ((1, 1 << 52), None)])
def test_neurons_have_names(name: tuple[int, int], symbol: int | None) -> None:
    subject: Subject = about_one(with_layer(ONE, [(1, {2: 1})]), Domain((Fraction(0),), (Fraction(1),)))
    assert subject.symbol(name) == symbol
