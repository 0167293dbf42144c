"""Roundings, magnitudes, slack and overflow of float32 networks (section 11 of the format), by hand; and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from secateur.checker.chain import chain_form
from secateur.checker.domain import Domain
from secateur.checker.exact import up24
from secateur.checker.float32 import float_network, least_power_twice
from secateur.checker.lowering import Affine, lower
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds
from secateur.checker.slack import Magnitudes, gamma, neuron_slack
from tests.checker.float32_cases import box, small
from tests.onnx_models import node

TINY = Fraction(1, 1 << 125)
ETA = Fraction(1, 1 << 72)  # where scales may be moved


def row(affine: Affine, i: int = 0) -> dict[int, Fraction]:
    return {s: Fraction(c, affine.denominator) for s, c in affine.rows[i].items()}


ROUNDINGS = [
    ("Add", [1, 2], {}, 1),
    ("Sub", [1, 2], {}, 1),
    ("Mul", [1, 2], {}, 1),
    ("Div", [1, 2], {}, 2),
    ("MatMul", [2, 3], {}, 2),
    ("Gemm", [2, 3], {}, 3),
    ("Gemm", [3, 2], {"transB": 1}, 3),
    ("Gemm", [2, 3], {"beta": 1.0}, 3),
    ("Gemm", [2, 3], {"beta": 0.5}, 4),
    ("Neg", None, {}, 0),
    ("Identity", None, {}, 0),
]


@pytest.mark.parametrize(("op", "shape", "attributes", "expected"), ROUNDINGS)
def test_roundings_of_one_node(op: str, shape: list[int] | None, attributes: dict[str, Any], expected: int) -> None:
    stored = {"w": np.ones(shape, np.float32)} if shape else {}
    data = small([node(op, ["x", *stored], **attributes)], stored)
    assert float_network(data).output_roundings == expected


def test_roundings_of_a_convolution_are_channels_of_the_group_times_kernel() -> None:
    stored = {"w": np.ones((4, 1, 2, 3), np.float32)}
    data = small([node("Conv", ["x", "w"], group=2)], stored, shape=[1, 2, 4, 4])
    assert float_network(data).output_roundings == 1 * 2 * 3 + 1


def test_roundings_of_a_gemm_with_the_first_factor_transposed() -> None:
    data = small([node("Gemm", ["x", "w"], transA=1)], {"w": np.ones((5, 3), np.float32)}, shape=[5, 1])
    assert float_network(data).output_roundings == 6


def test_roundings_add_up_between_relus_and_the_longest_path_counts() -> None:
    nodes = [
        node("MatMul", ["x", "w"], "a"),
        node("Add", ["a", "b"], "z"),
        node("Relu", ["z"], "r"),
        node("Mul", ["r", "b"], "s"),
        node("Concat", ["r", "s", "x"], "c", axis=1),
        node("Add", ["c", "e"], "y"),
    ]
    stored = {"w": np.ones((2, 2), np.float32), "b": np.ones(2, np.float32), "e": np.ones(6, np.float32)}
    found = float_network(small(nodes, stored))
    assert (found.hidden.roundings, found.output_roundings) == ((3,), 2)


def test_a_residual_may_be_the_first_summand_of_what_it_is_added_to() -> None:
    """A runtime may start the sums of the second product with the first one's result: then they round it too."""
    nodes = [node("MatMul", ["x", "w"], "a"), node("MatMul", ["x", "v"], "b"), node("Sub", ["a", "b"], "y")]
    stored = {"w": np.ones((2, 2), np.float32), "v": np.full((2, 2), 2, np.float32)}
    assert float_network(small(nodes, stored)).output_roundings == 2 + 2 + 1


def test_gamma() -> None:
    assert [gamma(0), gamma(3), gamma(1 << 20)] == [0, Fraction(3, (1 << 24) - 3), Fraction(1, 15)]


def test_more_than_two_to_the_twenty_roundings_are_refused() -> None:
    """One convolution with a large kernel, nearly all of it over padding, and one node more."""
    size = (1 << 20) - 1
    nodes, stored = [node("Conv", ["x", "w"], "z", pads=[size // 2] * 2)], {"w": np.zeros((1, 1, size), np.float32)}
    largest = small([*nodes, node("Identity", ["z"])], stored, shape=[1, 1, 1])
    assert float_network(largest).output_roundings == 1 << 20
    with pytest.raises(Refusal, match="1048577 roundings"):
        float_network(small([*nodes, node("Add", ["z", "x"])], stored, shape=[1, 1, 1]))


def test_magnitudes_are_those_of_the_absolute_network() -> None:
    """z = -(x W) + b - c r with a negative everything; M = |x| |W| + |b| + |c| r, and eta for each arithmetic node."""
    nodes = [
        node("Relu", ["x"], "r"),
        node("MatMul", ["x", "w"], "a"),
        node("Neg", ["a"], "n"),
        node("Mul", ["r", "c"], "p"),
        node("Sub", ["n", "p"], "d"),
        node("Gemm", ["d", "i", "b"], "z"),
        node("Relu", ["z"], "q"),
        node("Div", ["q", "c"], "y"),
    ]
    stored = {"w": [[-3.0], [0.5]], "c": [-0.25], "i": [[-1.0]], "b": [-5.0]}
    nodes[3] = node("Mul", ["s", "c"], "p")
    nodes.insert(1, node("Slice", ["r", "from", "to", "axis"], "s"))
    integers = {"from": np.array([1]), "to": np.array([2]), "axis": np.array([-1])}
    found = float_network(small(nodes, stored | integers))
    first, second = found.hidden.layers
    assert [row(first, i) for i in range(2)] == [{1: 1}, {2: 1}]
    assert row(second) == {1: 3, 2: Fraction(1, 2), 4: Fraction(1, 4), 0: 5 + 4 * ETA}
    assert found.hidden.roundings == (0, (2 + 1 + 1) + (1 + 1))
    assert row(found.output) == {5: 4, 0: ETA}
    assert found.output_roundings == 2


def test_the_sign_of_beta_goes_too() -> None:
    """M = |x| |W| + |beta b|; as nothing is scaled, eta is 2^-125."""
    data = small([node("Gemm", ["x", "w", "b"], beta=-2.0)], {"w": [[-3.0], [0.5]], "b": [-5.0]})
    found = float_network(data)
    assert row(found.output) == {1: 3, 2: Fraction(1, 2), 0: 10 + TINY}
    assert found.output_roundings == 2 + 1 + 1


def test_a_constant_node_is_made_absolute_too() -> None:
    value = TensorProto(data_type=1, dims=[2], float_data=[-2.0, 4.0])
    data = small([node("Constant", [], "c", value=value), node("Add", ["x", "c"])], {})
    assert [row(float_network(data).output, i) for i in range(2)] == [{1: 1, 0: 2 + TINY}, {2: 1, 0: 4 + TINY}]


POWERS = [("0", "0"), ("1", "2"), ("3/2", "4"), ("2", "4"), ("5/2", "8"), ("1/3", "1"), ("1/4", "1/2"), ("3/16", "1/2")]


@pytest.mark.parametrize(("value", "power"), POWERS)
def test_the_least_power_of_two_that_is_at_least_twice_a_number(value: str, power: str) -> None:
    assert least_power_twice(Fraction(value)) == Fraction(power)


def overflowing(weight: float, after: float) -> bytes:
    nodes = [node("MatMul", ["x", "w"], "z"), node("Relu", ["z"], "r"), node("MatMul", ["r", "v"])]
    return small(nodes, {"w": [[weight]], "v": [[after]]}, 1)


@pytest.mark.parametrize(
    ("weight", "after", "high", "fits"),
    [
        (2.0**20, 2.0**104, "1", False),  # z <= 2^20 + 2^-125, so B = 2^22, and the product 2^126 + 2^-125
        (2.0**20, 2.0**103, "1", True),
        (2.0**20, 2.0**105, "1", False),
        (2.0**20, 2.0**101, "5", True),  # z <= 5 2^20 + 2^-125, so B = 2^24
        (2.0**20, 2.0**102, "5", False),
        (-(2.0**20), -(2.0**105), "1", False),
        (2.0**127, 2.0**-100, "1", False),
        (2.0**125, 2.0**-100, "1", True),
    ],
)
def test_overflow(weight: float, after: float, high: str, fits: bool) -> None:
    found = float_network(overflowing(weight, after))
    if fits:
        found.check_overflow(box(1, "0", high))
        return
    with pytest.raises(Refusal, match="2\\^126") as caught:
        found.check_overflow(box(1, "0", high))
    assert caught.value.step == ("node MatMul -> z" if abs(weight) > 2.0**126 else "node MatMul -> y")


def above(value: Fraction) -> float:
    return up24(*value.as_integer_ratio())


def test_slack_is_that_of_each_neuron_and_inputs_go_to_the_bias() -> None:
    """Two rows over x (symbols 1, 2) and r (3, 4); the chain has r at columns 2 and 3, and x carried at 0 and 1."""
    affine = Affine(2, [{0: 1, 1: 4, 3: 6, 4: 1}, {0: 30, 2: 2, 3: 2}])
    place, domain = {1: 0, 2: 1, 3: 2, 4: 3}, Domain((Fraction(-10), Fraction(0)), (Fraction(1), Fraction(1, 3)))
    found, unit = neuron_slack(Magnitudes((affine,), (5,)), 1, place, domain), gamma(5)
    assert found == [
        [0.0, 0.0, above(3 * unit), above(unit / 2), above(Fraction(1 + 4 * 10, 2) * unit)],
        [0.0, 0.0, above(unit), 0.0, above((15 + Fraction(1, 3)) * unit)],
    ]


def test_a_value_whose_coefficients_cancel_is_refused_where_the_chain_does_not_carry_it() -> None:
    magnitudes = Magnitudes((Affine(1, [{3: 1}]),), (1,))
    with pytest.raises(Refusal, match="cancel"):
        neuron_slack(magnitudes, 1, {1: 0, 2: 1}, box(2))


def test_root_bounds_of_own_neurons_are_wider_by_the_slack() -> None:
    """z = 2 x + 1 for x in [-1, 3]: M = 2 |x| + 1 and the node's 2^-125 times gamma; the input is carried as it is."""
    nodes = [
        node("Gemm", ["x", "w", "b"], "z"), node("Relu", ["z"], "r"), node("Add", ["r", "x"], "s"), node("Relu", ["s"], "y"),
    ]  # fmt: skip
    data, domain = small(nodes, {"w": [[2.0]], "b": [1.0]}, 1), box(1, "-1", "3")
    chain = chain_form(lower(data), domain, magnitudes=float_network(data).hidden)
    interval, slack = RootBounds(chain).interval(1), Fraction(above(gamma(2) * (7 + TINY)))
    lower_ends, upper_ends = ([Fraction(own, interval.denominator) for own in side] for side in (interval.lower, interval.upper))
    assert lower_ends == [-1 - slack, 0]
    assert upper_ends == [7 + slack, 1]


REFUSED: list[tuple[list[Any], dict[str, Any], str, str]] = [
    ([node("Cast", ["x"], to=1)], {}, "node Cast -> y", "casts"),
    ([node("Add", ["a", "a"], "b"), node("Add", ["x", "b"])], {"a": [1.0]}, "node Add -> b", "arithmetic on constants"),
    ([node("Sub", ["a", "a"], "b"), node("Add", ["x", "b"])], {"a": [1.0]}, "node Sub -> b", "arithmetic on constants"),
    ([node("Gemm", ["x", "w"], alpha=0.5)], {"w": [[1.0], [1.0]]}, "node Gemm -> y", "alpha is not 1"),
    ([node("Add", ["x", "c"], "s"), node("Concat", ["d", "d"], "e", axis=0), node("Identity", ["s"])],
     {"c": [1.0], "d": np.ones(2)}, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "stored", "step", "words"), REFUSED)
def test_what_float32_does_not_cover_is_refused(nodes: list[Any], stored: dict[str, Any], step: str, words: str) -> None:
    data = small(nodes, stored)
    lower(data)
    if not step:  # a double that the output does not depend on does not matter
        float_network(data)
        return
    with pytest.raises(Refusal, match=words) as caught:
        float_network(data)
    assert (caught.value.rule, caught.value.step) == ("float32", step)


def test_other_float_types_are_refused() -> None:
    data = small([node("Identity", ["x"])], {}, input_type=TensorProto.DOUBLE, output_type=TensorProto.DOUBLE)
    lower(data)
    with pytest.raises(Refusal, match="another float type"):
        float_network(data)
