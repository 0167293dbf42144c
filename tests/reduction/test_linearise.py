"""The linearised network against evaluation of the original with the neurons' outputs replaced, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Affine, Conv, Dense, Network, Term
from secateur.network.maps import UnsupportedError
from secateur.reduction.linearise import Line, layer_outputs, linearised, pre_activations_of
from tests.reduction.redundancy_cases import replaced_values
from tests.strategies import exact_points, networks, skip_networks

F = Fraction
ZERO = F(0)
LINES = st.builds(Line, *[st.sampled_from([F(0), F(1), F(-1), F(1, 3), F(-2, 7), F(5, 4)])] * 2)


@st.composite
def replacements(draw: st.DrawFn) -> tuple[Network, int, dict[int, Line], tuple[Fraction, ...]]:
    """A network, a layer, lines for some of its neurons or all, and a point."""
    network = draw(st.one_of(networks(), skip_networks()))
    layer = draw(st.integers(1, len(network.layers)))
    chosen = draw(st.sets(st.integers(0, network.sizes[layer - 1] - 1), min_size=1))
    return network, layer, {i: draw(LINES) for i in sorted(chosen)}, draw(exact_points(network.input_size))


@given(replacements())
@settings(deadline=None, max_examples=200)
def test_outputs_are_those_of_the_replaced_neurons(case: tuple[Network, int, dict[int, Line], tuple[Fraction, ...]]) -> None:
    network, layer, lines, point = case
    values, output = replaced_values(network, layer, lines, point)
    result = linearised(network, layer, lines)
    assert list(result.network.exact(point).output) == output
    assert sum(network.sizes) - sum(result.network.sizes) == len(lines)
    trace = result.network.exact(point)
    for level, partners, z in zip(result.pairing.levels, result.pairing.partners, trace.pre_activations, strict=True):
        assert [max(ZERO, v) for v in z] == [values[level - 1][p] for p in partners if p is not None]


@given(replacements())
@settings(deadline=None, max_examples=100)
def test_cut_after_a_layer(case: tuple[Network, int, dict[int, Line], tuple[Fraction, ...]]) -> None:
    network, layer, lines, point = case
    values, _ = replaced_values(network, layer, lines, point)
    for k in range(layer + 1, len(network.layers) + 1):
        cut = linearised(network, layer, lines).up_to(k)
        assert list(cut.network.exact(point).output) == values[k - 1]
        assert tuple(map(len, cut.pairing.partners)) == cut.network.sizes
    plain = network.exact(point).pre_activations[layer - 1]
    assert list(layer_outputs(network, layer).exact(point).output) == [max(ZERO, v) for v in plain]
    assert pre_activations_of(network, layer, sorted(lines)).exact(point).output == tuple(plain[i] for i in sorted(lines))


def convolutional() -> Network:
    """A layer that two convolutions and a matrix read: two of them in one affine function."""
    rng = np.random.default_rng(3)
    first = Affine((Term(0, Conv(rng.integers(-3, 4, (2, 1, 2, 2)) / 4, (1, 3, 3))),), rng.integers(-3, 4, 8) / 4)
    kernel = Conv(rng.integers(-3, 4, (1, 2, 2, 2)) / 4, (2, 2, 2))
    second = Affine((Term(1, kernel), Term(1, Dense(rng.integers(-3, 4, (1, 8)) / 4))), np.array([0.25]))
    output = Affine((Term(1, Conv(np.ones((1, 2, 1, 1)), (2, 2, 2))), Term(2, Dense(np.ones((4, 1))))), np.zeros(4))
    return Network(9, (first, second), output)


@pytest.mark.parametrize("gone", [(0,), (1, 6), tuple(range(8))])
def test_convolutions_are_taken_apart(gone: tuple[int, ...]) -> None:
    network = convolutional()
    lines = {i: Line(F(i, 3), F(1, 7)) for i in gone}
    point = tuple(F(n - 4, 5) for n in range(9))
    _, output = replaced_values(network, 1, lines, point)
    assert list(linearised(network, 1, lines).network.exact(point).output) == output


def test_what_no_reader_touches_keeps_its_maps() -> None:
    network = convolutional()
    result = linearised(network, 2, {0: Line.zero()}).network
    assert result.layers[0].terms[0].map is network.layers[0].terms[0].map
    assert result.output.terms[0].map is network.output.terms[0].map


def test_a_convolution_beyond_the_memory_is_refused() -> None:
    wide = Conv(np.ones((1, 1, 1, 1)), (1, 9_000, 9_000))
    network = Network(81_000_000, (Affine((Term(0, wide),), np.zeros(81_000_000)),), Affine((), np.zeros(1)))
    with pytest.raises(UnsupportedError, match="would be needed"):
        pre_activations_of(network, 1, [0])


@given(*[st.fractions(-3, 3, max_denominator=50)] * 2, st.fractions(0, 1, max_denominator=20))
def test_lines_are_nearest_on_their_range(one: Fraction, other: Fraction, share: Fraction) -> None:
    low, high = sorted((one, other))
    z = low + share * (high - low)
    line, constant = Line.minimax(low, high), Line.middle(low, high)
    worst = -low * high / (2 * (high - low)) if low < 0 < high else ZERO
    assert abs(line.slope * z + line.constant - max(ZERO, z)) <= worst
    assert constant.slope == 0
    assert abs(constant.constant - max(ZERO, z)) <= (max(ZERO, high) - max(ZERO, low)) / 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (Line.zero(), "0"),
        (Line.identity(), "z"),
        (Line(F(0), F(3, 2)), "1.5"),
        (Line(F(1, 3), F(1, 4)), "1/3 z + 0.25"),
        (Line(F(1), F(-1, 4)), "z - 0.25"),
        (Line(F(-2), F(0)), "-2 z"),
    ],
)
def test_words(line: Line, words: str) -> None:
    assert line.words == words
