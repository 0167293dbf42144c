from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term
from secateur.reduction import Range
from secateur.reduction.rounding import _Coefficients, _Slopes, round_weights, rounding_error
from secateur.reduction.state import affines_of, replace_affines
from tests import strategies
from tests.reduction.support import (
    Bounds,
    Convolution,
    boxes,
    chain,
    dense,
    largest_difference,
    naive_bounds,
    points_in,
)


def ranges_of(bounds: Bounds) -> list[Range]:
    return [Range(lo, hi) for lo, hi in bounds]


def with_rational_weights(network: Network, divisor: int) -> Network:
    """The network with every number divided: its weights are no floats any more."""

    def divided(affine: Affine) -> Affine:
        terms = []
        for term in affine.terms:
            exact = np.array([[v / divisor for v in row] for row in term.map.dense().rationals()], dtype=object)
            terms.append(Term(term.source, Dense(exact.astype(np.float64), exact)))
        bias = tuple(v / divisor for v in affine.rational_bias())
        return Affine(tuple(terms), np.array([float(v) for v in bias]), bias)

    return replace_affines(network, {k: divided(a) for k, a in enumerate(affines_of(network))})


@given(
    st.data(),
    st.one_of(strategies.networks(), strategies.skip_networks()),
    st.sampled_from(["float16", "float32", "float64"]),
    st.sampled_from([1, 3, 7]),
)
@settings(deadline=None, max_examples=100)
def test_the_bound_holds_at_exact_points(data: st.DataObject, network: Network, element_type: str, divisor: int) -> None:
    interface = replace(network.interface, element_type=element_type)
    exact = with_rational_weights(replace(network, interface=interface), divisor)
    rounded = round_weights(exact)
    box = data.draw(boxes(network.input_size))
    bound = rounding_error(exact, rounded, ranges_of(box), [ranges_of(b) for b in naive_bounds(exact, box)])
    assert bound is not None
    for _ in range(3):
        point = data.draw(points_in(box))
        assert largest_difference(exact.exact(point).output, rounded.exact(point).output) <= bound


def test_the_bound_is_close_where_all_phases_are_known() -> None:
    third = with_rational_weights(chain(([[1.0], [1.0]], [3.0, 3.0]), ([[3.0, -3.0]], [0.0])), 3)
    box = [(Fraction(0), Fraction(1))]
    rounded = round_weights(third)
    bound = rounding_error(third, rounded, ranges_of(box), [ranges_of(b) for b in naive_bounds(third, box)])
    step = Fraction(float(np.float32(1 / 3))) - Fraction(1, 3)
    # The errors of the two neurons are bounded apart, so they add up although their signs differ. What
    # rounding costs in the bound itself must not show.
    assert bound is not None
    assert 2 * step <= bound <= 2 * step * (1 + Fraction(1, 10**9))


def test_signed_coefficients_cancel_behind_active_neurons() -> None:
    """The error of one neuron reaches the output along two paths of opposite sign."""
    network = chain(
        ([[1.0]], [3.0]),
        ([[3.0], [3.0]], [3.0, 3.0]),
        ([[3.0, -3.0]], [0.0]),
    )
    first = with_rational_weights(network, 3).layers[0]
    exact = replace_affines(network, {0: first})
    box = [(Fraction(0), Fraction(1))]
    bound = rounding_error(exact, round_weights(exact), ranges_of(box), [ranges_of(b) for b in naive_bounds(exact, box)])
    assert bound is not None
    assert bound < Fraction(1, 10**15)


def off_by_a_step() -> tuple[Affine, Fraction]:
    """z = x + 7/10, and by how much its rounding to float32 is lower."""
    affine = Affine((Term(0, dense([[1.0]])),), np.array([0.7]), (Fraction(7, 10),))
    return affine, Fraction(7, 10) - Fraction(float(np.float32(0.7)))


def bound_and_differences(network: Network, box: Bounds) -> tuple[Fraction, list[Fraction]]:
    """The proven bound for rounding a network of one input, and the true differences at the box ends."""
    rounded = round_weights(network)
    layers = [ranges_of(b) for b in naive_bounds(network, box)]
    bound = rounding_error(network, rounded, ranges_of(box), layers)
    assert bound is not None
    return bound, [largest_difference(network.exact([x]).output, rounded.exact([x]).output) for x in box[0]]


def test_a_neuron_that_rounding_pushes_below_zero_is_charged() -> None:
    """y = r - 1 >= 0 and r, both active, carry the same error; at x = 3/10 the rounded y is cut at zero."""
    first, step = off_by_a_step()
    second = Affine((Term(1, dense([[1.0], [1.0]])),), np.array([-1.0, 0.0]))
    output = Affine((Term(2, dense([[1.0, -1.0]])),), np.zeros(1))
    box = [(Fraction(3, 10), Fraction(1))]
    bound, differences = bound_and_differences(Network(1, (first, second), output), box)
    assert differences == [step, 0]
    assert step <= bound <= step * Fraction(1001, 1000)


def test_a_neuron_that_rounding_pushes_above_zero_is_charged() -> None:
    """1 - r <= 0 is inactive, but at x = 3/10 the rounded one is positive."""
    first, step = off_by_a_step()
    second = Affine((Term(1, dense([[-1.0]])),), np.array([1.0]))
    output = Affine((Term(2, dense([[1.0]])),), np.zeros(1))
    box = [(Fraction(3, 10), Fraction(1))]
    bound, differences = bound_and_differences(Network(1, (first, second), output), box)
    assert differences == [step, 0]
    assert step <= bound <= step * Fraction(1001, 1000)


def test_errors_along_all_paths_are_added() -> None:
    first, step = off_by_a_step()
    second = Affine((Term(1, dense([[1.0]])),), np.zeros(1))
    output = Affine((Term(1, dense([[1.0]])), Term(2, dense([[1.0]]))), np.zeros(1))
    bound, differences = bound_and_differences(Network(1, (first, second), output), [(Fraction(0), Fraction(1))])
    assert differences == [2 * step, 2 * step]
    assert 2 * step <= bound <= 2 * step * Fraction(1001, 1000)


def test_an_unchanged_network_has_no_error_at_all() -> None:
    network = chain(([[1.0], [0.5]], [0.0, 1.0]), ([[1.0, -1.0]], [0.25]))
    rounded = round_weights(network)
    assert rounded.layers[0].terms[0].map is network.layers[0].terms[0].map
    # No ranges are known, and none are needed.
    assert rounding_error(network, rounded, [Range()], [[Range(), Range()]]) == 0


def test_without_ranges_nothing_is_claimed() -> None:
    network = with_rational_weights(chain(([[1.0]], [0.0]), ([[1.0]], [0.0])), 3)
    assert rounding_error(network, round_weights(network), [Range()], [[Range()]]) is None


def test_no_difference_passes_a_convolution_unseen() -> None:
    kernel = np.array([1.0, 1.0])
    third = with_rational_weights(chain(([[1.0], [1.0]], [1.0, 1.0]), ([[1.0]], [0.0])), 3).layers[0]
    second = Affine((Term(1, Convolution(kernel, 2)),), np.zeros(1))
    network = Network(1, (third, second), Affine((Term(2, dense([[1.0]])),), np.zeros(1)))
    known = [[Range(Fraction(0), Fraction(1))] * 2, [Range(Fraction(0), Fraction(2))]]
    assert rounding_error(network, round_weights(network), [Range(Fraction(0), Fraction(1))], known) is None


def test_numbers_beyond_the_type_are_cut_and_charged() -> None:
    network = chain(([[1.0]], [0.0]), ([[1e6]], [0.0]))
    half = replace(network, interface=replace(network.interface, element_type="float16"))
    rounded = round_weights(half)
    assert rounded.output.terms[0].map.dense().weight.tolist() == [[65504.0]]
    unit = [Range(Fraction(0), Fraction(1))]
    bound = rounding_error(half, rounded, unit, [unit])
    assert bound is not None
    assert bound >= 10**6 - 65504


def test_an_overflow_claims_nothing() -> None:
    """The weights stay finite, but their product exceeds every float64."""
    network = with_rational_weights(chain(([[3.0]], [1.0]), ([[1e200]], [0.0]), ([[1e200]], [0.0])), 1)
    third = with_rational_weights(network, 3).layers[0]
    exact = replace(replace_affines(network, {0: third}), interface=replace(network.interface, element_type="float64"))
    box = [(Fraction(0), Fraction(1))]
    layers = [ranges_of(b) for b in naive_bounds(exact, box)]
    assert rounding_error(exact, round_weights(exact), ranges_of(box), layers) is None


def floats(shape: tuple[int, int], values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64).reshape(shape)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6),
    st.lists(st.floats(0, 1e-3), min_size=6, max_size=6),
    st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6),
    st.lists(st.fractions(min_value=-1, max_value=1, max_denominator=9), min_size=6, max_size=6),
    st.lists(st.fractions(min_value=0, max_value=1, max_denominator=9), min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=100)
def test_coefficients_enclose_every_exact_choice(
    centre: list[float],
    radius: list[float],
    weights: list[float],
    choice: list[Fraction],
    slopes: list[Fraction],
) -> None:
    """An exact twin: coefficients and slopes anywhere in their intervals, multiplied exactly."""
    coefficients = _Coefficients(floats((2, 3), centre), floats((2, 3), radius))
    known = _Slopes(np.array([True, False, False]), np.array([False, True, False]), np.zeros(3))
    slope = [Fraction(1), Fraction(0), slopes[2]]
    weight = floats((3, 2), weights)
    result = coefficients.through(known).times(weight)
    for i in range(2):
        row = [slope[j] * (Fraction(centre[3 * i + j]) + choice[3 * i + j] * Fraction(radius[3 * i + j])) for j in range(3)]
        for k in range(2):
            exact = sum((row[j] * Fraction(weight[j, k].item()) for j in range(3)), Fraction(0))
            c, d = Fraction(result.centre[i, k].item()), Fraction(result.radius[i, k].item())
            assert abs(exact - c) <= d
            assert abs(exact) <= Fraction(result.magnitude[i, k].item())


@pytest.mark.parametrize("scale", [1e-310, 1e-160, 1.0])
def test_coefficients_survive_underflow(scale: float) -> None:
    coefficients = _Coefficients(np.array([[scale, -scale / 3]]), np.zeros((1, 2)))
    weight = np.array([[scale / 7], [scale]])
    result = coefficients.times(weight)
    exact = sum(
        (Fraction(c) * Fraction(w) for c, w in zip([scale, -scale / 3], [scale / 7, scale], strict=True)),
        Fraction(0),
    )
    assert abs(exact - Fraction(result.centre[0, 0].item())) <= Fraction(result.radius[0, 0].item())
