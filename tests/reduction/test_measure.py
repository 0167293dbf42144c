"""Agreement and latency: differences are found, noise is told from them, points stay in the domain."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.family import representable_box
from secateur.network import Interface, Network, to_model_bytes
from secateur.network.model import Affine
from secateur.reduction.measure import agreement_of, measure_agreement, measure_latency
from secateur.specification import Domain
from secateur.specification.comparison import Decision
from tests.reduction.support import chain

BOX = Domain((Fraction(-1), Fraction("0.1")), (Fraction(2), Fraction("0.7")))


def example(shift: float = 0.0, shape: tuple[int | None, int] = (None, 2)) -> Network:
    """Two inputs, three neurons, weights that float32 rounds when it sums."""
    network = chain(
        ([[1 / 3, -1 / 7], [0.3, 0.9], [-0.77, 0.11]], [0.1, -0.2, 0.3]),
        ([[1.1, -0.7, 0.9], [0.2, 0.4, 0.6]], [0.5, 0.25]),
    )
    rounded = [
        Affine(
            tuple(replace(t, map=replace(t.map, weight=np.float32(t.map.dense().weight).astype(float))) for t in a.terms),
            np.float32(a.bias).astype(float),
        )
        for a in (*network.layers, network.output)
    ]  # fmt: skip
    output = replace(rounded[-1], bias=rounded[-1].bias + np.array([shift, 0.0]))
    ports = Interface(input_shape=shape, output_shape=(shape[0], 2))
    return Network(2, tuple(rounded[:-1]), output, ports)


def file(network: Network) -> tuple[Network, bytes]:
    return network, to_model_bytes(network)


def test_a_network_agrees_with_itself_up_to_noise() -> None:
    found = measure_agreement(file(example()), file(example()), BOX, 3_000, 1)
    assert found.points == 3_000
    assert found.max_difference == 0.0
    assert 1e-9 < found.noise < 1e-5


def test_a_difference_stands_out_of_the_noise() -> None:
    found = measure_agreement(file(example()), file(example(0.25)), BOX, 500, 1)
    assert found.max_difference == pytest.approx(0.25, rel=1e-5)
    assert found.noise < 1e-5


def test_a_difference_at_a_corner_only_is_found() -> None:
    step = chain(([[1.0, 0.0]], [-1.999]), ([[1000.0]], [0.0]))
    flat = chain(([[1.0, 0.0]], [-2.0]), ([[1000.0]], [0.0]))
    ports = Interface(input_shape=(None, 2), output_shape=(None, 1))
    sides = []
    for network in (step, flat):
        bias = np.float32(network.layers[0].bias).astype(float)
        layer = replace(network.layers[0], bias=bias)
        sides.append(file(replace(network, layers=(layer,), interface=ports)))
    assert measure_agreement(sides[0], sides[1], BOX, 1_000, 0).max_difference == pytest.approx(1.0, rel=1e-2)


def constant(*outputs: float) -> Network:
    """Outputs that no input changes, of a float32 file."""
    network = chain(([[0.0, 0.0]], [0.0]), ([[0.0]] * len(outputs), list(outputs)))
    return replace(network, interface=Interface(input_shape=(None, 2), output_shape=(None, len(outputs))))


@pytest.mark.parametrize(
    ("after", "decision", "changed"),
    [
        ((2.0, 3.0, 0.0), Decision("argmax", Fraction(1, 2)), 200),  # 2 leads 1 and loses to 3
        ((2.0, 3.0, 0.0), Decision("argmax", Fraction(1)), 0),  # that lead is not larger than the margin
        ((9.0, 8.0, 7.0), Decision("argmax"), 0),
        ((2.0, 2.0, 0.0), Decision("argmax"), 0),  # rounding may have made it a tie
        ((9.0, 8.0, 7.0), Decision("argmin"), 0),
        ((0.0, 1.0, 0.5), Decision("argmin", Fraction(1, 2)), 200),
        ((0.0, 1.0, 0.5), Decision("argmin", Fraction(2)), 0),
        ((0.0, 1.0, 0.5), None, None),
    ],
)
def test_changed_winners_are_counted(after: tuple[float, ...], decision: Decision | None, changed: int | None) -> None:
    before = constant(2.0, 1.0, 0.0)
    assert measure_agreement(file(before), file(constant(*after)), BOX, 200, 0, decision).changed == changed


def test_what_rounding_does_to_a_winner_is_not_counted() -> None:
    """Both networks have a tie, and each file rounds it another way."""
    got = [np.array([[2048.0, 2047.0]]), np.array([[2047.0, 2048.0]])]
    off = [np.array([[2047.5, 2047.5]]), np.array([[2047.5, 2047.5]])]
    assert agreement_of(got, off, Decision()).changed == 0
    assert agreement_of(got, got, Decision()).changed == 1


def test_points_beyond_the_element_type_are_left_out_and_counted() -> None:
    """1,000 x overflows in float16 for x > 65.5; there is no difference between infinities."""
    network = chain(([[1000.0, 0.0]], [0.0]), ([[1.0]], [0.0]))
    half = replace(network, interface=Interface(element_type="float16", input_shape=(None, 2), output_shape=(None, 1)))
    domain = Domain((Fraction(0), Fraction(0)), (Fraction(100), Fraction(10**6)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure_agreement(file(half), file(half), domain, 1_000, 0)
        nothing = measure_agreement(file(half), file(half), Domain((Fraction(70),) * 2, (Fraction(71),) * 2), 50, 0)
        beyond = Domain((Fraction(70_000),) * 2, (Fraction(80_000),) * 2)
        assert measure_agreement(file(half), file(half), beyond, 50, 0).overflows == 50
        assert measure_latency(file(half)[1], file(half)[1], beyond)[0]["1"][0] > 0
    assert found.points + found.overflows == 1_000
    assert 300 < found.points < 700
    assert 0 < found.noise < 100
    assert (nothing.points, nothing.overflows, nothing.noise) == (0, 50, 0.0)


@settings(deadline=None, max_examples=200)
@given(
    st.fractions(min_value=-100, max_value=100, max_denominator=10**6),
    st.fractions(min_value=0, max_value=1, max_denominator=10**9),
)
def test_points_are_numbers_of_the_type_inside_the_domain(low: Fraction, width: Fraction) -> None:
    domain = Domain((low,), (low + width,))
    first, last = representable_box(domain.lower, domain.upper, np.float32)
    assert float(np.float32(first[0])) == first[0]
    assert float(np.float32(last[0])) == last[0]
    if first[0] != last[0] and width > Fraction(1, 1000):
        assert low <= first[0] <= last[0] <= low + width
    gap = 2 * float(np.spacing(np.float32(max(abs(low), abs(low + width), Fraction(1)))))
    assert abs(float(low) - first[0]) <= gap
    assert abs(float(low + width) - last[0]) <= gap


def test_latency_of_the_batches_that_both_files_take() -> None:
    dynamic, fixed = (to_model_bytes(example(shape=(n, 2))) for n in (None, 1))
    before, after = measure_latency(dynamic, dynamic, BOX)
    assert list(before) == list(after) == ["1", "64"]
    assert all(0 < median <= p95 for times in (before, after) for median, p95 in times.values())
    before, after = measure_latency(dynamic, fixed, BOX)
    assert list(before) == list(after) == ["1"]
