from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network.model import Affine, Network, Term
from secateur.reduction import ContradictoryFactsError, Facts, Phase, Range
from secateur.reduction.facts import affine_ranges, layer_ranges, relu_range
from tests import strategies
from tests.reduction.support import Bounds, Convolution, boxes, chain, naive_bounds

ZERO, ONE = Fraction(0), Fraction(1)


def nothing_claimed(network: Network, box: Bounds) -> Facts:
    phases = [[Phase.UNSTABLE] * size for size in network.sizes]
    return Facts([lo for lo, _ in box], [hi for _, hi in box], phases)


@given(st.data(), st.one_of(strategies.networks(), strategies.skip_networks()))
@settings(deadline=None, max_examples=60)
def test_ranges_are_the_exact_intervals_rounded_outward(data: st.DataObject, network: Network) -> None:
    box = data.draw(boxes(network.input_size))
    found = layer_ranges(network, nothing_claimed(network, box))
    slack = Fraction(1, 2**60)
    for ranges, bounds in zip(found, naive_bounds(network, box), strict=True):
        for r, (low, high) in zip(ranges, bounds, strict=True):
            assert r.lower is not None
            assert r.upper is not None
            assert low - slack <= r.lower <= low <= high <= r.upper <= high + slack


def test_phases_and_bounds_tighten_the_ranges_of_later_layers() -> None:
    network = chain(([[1.0], [1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0]))
    phases = [[Phase.INACTIVE, Phase.UNSTABLE], [Phase.UNSTABLE]]
    bounds = [([-math.inf, -1.0], [math.inf, 0.5]), ([-math.inf], [math.inf])]
    ranges = layer_ranges(network, Facts([-ONE], [ONE], phases, bounds))
    assert ranges[0] == (Range(-ONE, ZERO), Range(-ONE, Fraction(1, 2)))
    assert ranges[1] == (Range(ZERO, Fraction(1, 2)),)


def test_an_unknown_bound_spreads_through_nonzero_weights_only() -> None:
    network = chain(([[0.0, 1.0], [2.0, 0.0], [-2.0, 0.0]], [1.0, 0.0, 0.0]), ([[0.0] * 3], [0.0]))
    ranges = affine_ranges(network.layers[0], [[Range(ZERO, None), Range(ZERO, ONE)]])
    assert ranges == (Range(ONE, Fraction(2)), Range(ZERO, None), Range(None, ZERO))


def test_a_convolution_has_no_ranges_and_relu_still_has_a_lower_bound() -> None:
    kernel = chain(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])).layers[0].terms[0].map.dense().weight[0]
    affine = Affine((Term(0, Convolution(kernel, 3)),), kernel)
    assert affine_ranges(affine, [[Range(ZERO, ONE)] * 3]) == (Range(), Range())
    assert relu_range(Range()) == Range(ZERO, None)


def contradictory_cases() -> list[tuple[str, Facts]]:
    unstable = [[Phase.UNSTABLE]]
    return [
        ("layer 0, neuron 0", Facts([ZERO], [ONE], [[Phase.INACTIVE]])),
        ("layer 0, neuron 0", Facts([-Fraction(9)], [-Fraction(8)], [[Phase.ACTIVE]])),
        ("layer 0, neuron 0", Facts([ZERO], [ONE], unstable, [([3.0], [2.0])])),
        ("layer 0, neuron 0", Facts([ZERO], [ONE], unstable, [([-1.0], [0.5])])),
        ("input 0", Facts([ONE], [ZERO], unstable)),
    ]


@pytest.mark.parametrize(("where", "facts"), contradictory_cases())
def test_facts_that_exclude_each_other_raise(where: str, facts: Facts) -> None:
    network = chain(([[1.0]], [1.0]), ([[1.0]], [0.0]))
    with pytest.raises(ContradictoryFactsError, match=where):
        layer_ranges(network, facts)


@pytest.mark.parametrize(
    "facts",
    [
        Facts([ZERO], [ONE], []),
        Facts([ZERO], [ONE], [[Phase.ACTIVE] * 2]),
        Facts([ZERO] * 2, [ONE], [[Phase.ACTIVE]]),
        Facts([ZERO], [ONE], [[Phase.ACTIVE]], [([0.0], [1.0, 2.0])]),
    ],
)
def test_facts_of_another_shape_raise(facts: Facts) -> None:
    with pytest.raises(ValueError, match="shape"):
        facts.check_shape(chain(([[1.0]], [1.0]), ([[1.0]], [0.0])))


def test_a_bound_that_is_no_number_raises() -> None:
    network = chain(([[1.0]], [1.0]), ([[1.0]], [0.0]))
    facts = Facts([ZERO], [ONE], [[Phase.UNSTABLE]], [([math.nan], [2.0])])
    with pytest.raises(ValueError, match="NaN"):
        layer_ranges(network, facts)
