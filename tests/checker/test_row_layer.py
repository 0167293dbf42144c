"""The row layer against exact values, the goals on it, and the weights that mix rows."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.chain import chain_form
from secateur.checker.evaluation import evaluate
from secateur.checker.mixing import Line, mixing_weights
from secateur.checker.query import Disjunct, QueryRow
from secateur.checker.row_layer import RowGoal, goals, with_row_layer
from tests.checker import support
from tests.checker.support import exact_layers, random_chain

seeds = st.integers(0, 1 << 30)


def random_rows(rng: random.Random, inputs: int, outputs: int, count: int) -> list[QueryRow]:
    """Rows of all magnitudes over some of the variables, at least one each."""

    def coefficient() -> Fraction:
        return Fraction(rng.choice([-1, 1]) * rng.randint(1, 999), rng.choice([1, 7, 1000])) * Fraction(2) ** rng.randint(-9, 9)

    rows = []
    for _ in range(count):
        chosen = rng.sample(range(inputs + outputs), rng.randint(1, inputs + outputs))
        own = [(v, coefficient()) for v in sorted(chosen)]
        reads = tuple((v, a) for v, a in own if v < inputs), tuple((v - inputs, a) for v, a in own if v >= inputs)
        rows.append(QueryRow(*reads, rng.choice([Fraction(0), coefficient()]), rng.random() < 0.5))
    return rows


def value_of(row: QueryRow, inputs: list[Fraction], outputs: list[Fraction]) -> Fraction:
    """a . v - b."""
    return sum((a * inputs[i] for i, a in row.inputs), -row.bound) + sum(a * outputs[j] for j, a in row.outputs)


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_row_values_are_exact_multiples_of_the_rows(seed: int) -> None:
    rng = random.Random(seed)
    network, domain, _ = random_chain(seed % 3000)
    rows = random_rows(rng, network.input_size, len(network.output.rows), rng.randint(1, 6))
    chain = chain_form(with_row_layer(network, rows), domain)
    t = [Fraction(rng.randint(0, 9), 9) for _ in domain.lower]
    point = [low + (high - low) * share for low, high, share in zip(domain.lower, domain.upper, t, strict=True)]
    outputs = support.evaluate(network, point)[1]
    assert evaluate(network, point) == outputs
    assert chain.layers[-1].own == len(chain.layers[-1].rows) == len(rows)
    for row, w in zip(rows, exact_layers(chain, t)[-1], strict=True):
        largest = max(abs(a) for _, a in (*row.inputs, *row.outputs))
        scale = Fraction(2) ** (largest.denominator.bit_length() - largest.numerator.bit_length())
        assert w == scale * value_of(row, point, outputs)
        assert Fraction(1, 2) < scale * largest < 2


def test_each_disjunct_has_its_own_rows() -> None:
    closed, strict = (QueryRow((), ((0, Fraction(1)),), Fraction(0), own) for own in (False, True))
    box = ((Fraction(0),), (Fraction(1),))
    found = goals([Disjunct(*box, (closed, strict)), Disjunct(*box, (strict,)), Disjunct(*box, (strict, strict, closed))], 4, 7)
    assert found == [
        RowGoal("7", 4, 0, (False, True)),
        RowGoal("8", 4, 2, (True,)),
        RowGoal("9", 4, 3, (True, True, False)),
    ]
    assert [goal.thresholds for goal in found] == [(1, 0), (0,), (0, 0, 1)]
    assert found[2].targets == ((3, 1), (4, 1), (5, 1))


def test_opposite_rows_are_mixed_in_nearly_equal_parts() -> None:
    """t - 3/10 and 7/10 - t: their sum is 2/5 everywhere, each alone is negative somewhere."""
    lines = [Line(-3 << 20, 23, [1 << 23]), Line(-3 << 20, 23, [-1 << 23])]
    assert mixing_weights(lines, 20, [1 << 24]) == pytest.approx([1 << 20, 1 << 20], rel=1e-3)


def test_a_row_that_helps_nothing_gets_next_to_nothing() -> None:
    lines = [Line(10, 23, [0]), Line(-1000, 23, [0])]
    weights = mixing_weights(lines, 0, [5])
    assert weights[0] == 1 << 20
    assert 0 <= weights[1] < 1 << 10


def test_rows_of_zeros_are_mixed_without_dividing_by_zero() -> None:
    assert mixing_weights([Line(0, 0, [0, 0]), Line(0, 936, [0, 0])], 30, [1, 1]) == [1 << 20] * 2


@given(seeds)
@settings(deadline=None, max_examples=100)
def test_weights_are_integers_of_which_the_largest_is_one(seed: int) -> None:
    rng = random.Random(seed)
    n, m = rng.randint(1, 4), rng.randint(2, 6)
    lines = [
        Line(
            rng.randint(-(1 << 47), 0) >> rng.randint(0, 47),
            rng.choice([rng.randint(0, 60), rng.randint(-936, 936)]),
            [rng.randint(-(1 << 24), 1 << 24) >> rng.randint(0, 24) for _ in range(n)],
        )
        for _ in range(m)
    ]
    weights = mixing_weights(lines, rng.randint(-200, 200), [rng.randint(0, 1 << 24) for _ in range(n)])
    assert max(weights) == 1 << 20
    assert all(weight >= 0 for weight in weights)


@pytest.mark.parametrize("point", [["1/3", "-2", "5"], ["0", "0", "0"], ["1e-3", "7", "-1/7"]])
def test_networks_are_evaluated_exactly(point: list[str]) -> None:
    for seed in range(60):
        network, _, _ = random_chain(seed)
        inputs = [Fraction(point[i % 3]) for i in range(network.input_size)]
        assert evaluate(network, inputs) == support.evaluate(network, inputs)[1]
