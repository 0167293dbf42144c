"""Whole rewrites of random networks with honest facts, replayed exactly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network.model import Network
from secateur.reduction import Facts, Phase, Rewrite, Size, network_size, rewrite
from secateur.reduction.rewrite import rewrite_exact
from secateur.reduction.state import initial_state
from tests import strategies
from tests.reduction.support import (
    Bounds,
    Convolution,
    boxes,
    chain,
    largest_difference,
    naive_bounds,
    points_in,
    proven_facts,
)

# Dyadic weights fold exactly, wild ones need a tolerance: both must turn up.
ANY_NETWORK = st.one_of(
    strategies.networks(max_width=6),
    strategies.networks(max_width=6, weights=strategies.small_dyadics()),
    strategies.skip_networks(),
    strategies.skip_networks(weights=strategies.small_dyadics()),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Network, Bounds, Facts]:
    """A network, a box, and facts that hold there: all that intervals prove, some of it forgotten."""
    network = draw(ANY_NETWORK)
    box = draw(boxes(network.input_size))
    facts = proven_facts(network, box)
    forget = draw(st.sampled_from([0, 0, 1, 3]))
    phases = [
        [Phase.UNSTABLE if forget and draw(st.integers(0, forget)) == 0 else phase for phase in layer] for layer in facts.phases
    ]
    if draw(st.booleans()):
        bounds = [
            (
                [np.nextafter(float(lo), -np.inf) for lo, _ in b],
                [np.nextafter(float(hi), np.inf) for _, hi in b],
            )
            for b in naive_bounds(network, box)
        ]
        return network, box, replace(facts, phases=phases, layer_bounds=bounds)
    return network, box, replace(facts, phases=phases)


def check_record(network: Network, result: Rewrite) -> None:
    """Every original neuron is kept or accounted for by exactly one step, and the sizes agree."""
    assert [len(layer) for layer in result.kept] == list(result.network.sizes)
    gone = {(step.layer, i) for step in result.steps for i in step.removed}
    stay = {(n, i) for n, layer in zip(result.layers, result.kept, strict=True) for i in layer if i is not None}
    assert gone | stay == {(k, i) for k, size in enumerate(network.sizes) for i in range(size)}
    assert not gone & stay
    assert len(gone) == sum(len(step.removed) for step in result.steps)


@given(st.data(), problems())
@settings(deadline=None, max_examples=120)
def test_without_tolerance_the_networks_are_equal(data: st.DataObject, problem: tuple[Network, Bounds, Facts]) -> None:
    network, box, facts = problem
    result = rewrite(network, facts)
    assert result.error == 0
    assert network_size(result.network) <= network_size(network)
    assert result.network.interface == network.interface
    check_record(network, result)
    for _ in range(3):
        point = data.draw(points_in(box))
        before, after = network.exact(point), result.network.exact(point)
        assert after.output == before.output
        for number, kept, values in zip(result.layers, result.kept, after.pre_activations, strict=True):
            for i, value in zip(kept, values, strict=True):
                assert i is None or value == before.pre_activations[number][i]


@given(problems())
@settings(deadline=None, max_examples=60)
def test_without_tolerance_all_weights_are_numbers_of_the_element_type(
    problem: tuple[Network, Bounds, Facts],
) -> None:
    network, _, facts = problem
    result = rewrite(network, facts).network
    for affine in (*result.layers, result.output):
        stored = [affine.bias, *(term.map.dense().weight for term in affine.terms)]
        assert affine.exact_bias is None
        assert all(term.map.dense().exact is None for term in affine.terms)
        assert all(np.array_equal(values, values.astype(np.float32)) for values in stored)


@given(st.data(), problems(), st.sampled_from([Fraction(1, 10**6), Fraction(1, 100), Fraction(10**6)]))
@settings(deadline=None, max_examples=120)
def test_with_a_tolerance_the_claimed_error_holds(
    data: st.DataObject, problem: tuple[Network, Bounds, Facts], tolerance: Fraction
) -> None:
    network, box, facts = problem
    result = rewrite(network, facts, tolerance)
    assert 0 <= result.error <= tolerance
    assert network_size(result.network) <= network_size(rewrite(network, facts).network)
    check_record(network, result)
    for _ in range(3):
        point = data.draw(points_in(box))
        difference = largest_difference(network.exact(point).output, result.network.exact(point).output)
        assert difference <= result.error


@given(st.data(), problems())
@settings(deadline=None, max_examples=100)
def test_before_rounding_every_rewrite_is_exact_and_its_facts_are_true(
    data: st.DataObject, problem: tuple[Network, Bounds, Facts]
) -> None:
    """New neurons must keep the phase and the range that later rules and the error bound rely on."""
    network, box, facts = problem
    state = rewrite_exact(initial_state(network, facts), exact_only=False)
    for _ in range(3):
        point = data.draw(points_in(box))
        before, after = network.exact(point), state.network.exact(point)
        assert after.output == before.output
        for neurons, values in zip(state.neurons, after.pre_activations, strict=True):
            for neuron, z in zip(neurons, values, strict=True):
                assert neuron.phase is not Phase.ACTIVE or z >= 0
                assert neuron.phase is not Phase.INACTIVE or z <= 0
                assert neuron.range.lower is None or neuron.range.lower <= z
                assert neuron.range.upper is None or z <= neuron.range.upper


@given(strategies.networks(max_width=6))
@settings(deadline=None, max_examples=40)
def test_a_single_point_folds_to_a_constant(network: Network) -> None:
    """On a point every phase is known, so with a tolerance nothing of the network is left but numbers."""
    box = [(Fraction(1, 3), Fraction(1, 3))] * network.input_size
    result = rewrite(network, proven_facts(network, box), Fraction(10**9))
    affine = (network.input_size + 1) * network.output_size
    assert network_size(result.network).parameters <= max(affine, 1)


@given(problems())
@settings(deadline=None, max_examples=40)
def test_a_reduced_network_reduces_no_further(problem: tuple[Network, Bounds, Facts]) -> None:
    network, _, facts = problem
    once = rewrite(network, facts)
    phases = [[neuron.phase for neuron in layer] for layer in once.neurons]
    again = rewrite(once.network, Facts(facts.lower, facts.upper, phases))
    assert network_size(again.network) == network_size(once.network)


def test_a_tolerance_below_the_error_bound_falls_back_to_the_exact_reduction() -> None:
    odd = float(np.float32(0.1))
    network = chain(([[odd], [odd / 2 + 1.0], [-1.0]], [1.0, 1.0, -1.0]), ([[odd, 1.0, 1.0], [1.0, odd, 1.0]], [0.0, 0.0]))
    facts = proven_facts(network, [(Fraction(0), Fraction(1))])
    generous = rewrite(network, facts, Fraction(1, 1000))
    assert generous.network.sizes == ()
    assert generous.error > 0
    strict = rewrite(network, facts, generous.error / 2)
    assert strict.error == 0
    assert strict.kept == ((0, 1),)
    assert strict.steps == rewrite(network, facts).steps
    assert rewrite(network, facts, generous.error).network.sizes == ()


def test_an_unreduced_network_is_returned_untouched() -> None:
    network = chain(([[1.0], [-1.0]], [0.0, 0.5]), ([[1.0, 2.0]], [0.0]))
    result = rewrite(network, proven_facts(network, [(Fraction(-1), Fraction(1))]), Fraction(1))
    assert result.network is network
    assert result.steps == ()
    assert result.error == 0
    assert result.layers == (0,)


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (chain(([[0.0, 0.0], [1.0, 0.0]], [0.0, 1.0]), ([[1.0, 2.0]], [0.0])), Size(9, 2)),
        (chain(([[1.0, 1.0, 1.0]], [0.0])), Size(4, 0)),
    ],
)
def test_the_size_counts_zeros_and_biases(network: Network, size: Size) -> None:
    assert network_size(network) == size


def test_a_convolution_counts_its_kernel_once() -> None:
    network = chain(([[1.0] * 4], [0.0]))
    term = replace(network.output.terms[0], map=Convolution(np.ones(4), 4))
    shared = replace(network, output=replace(network.output, terms=(term,)))
    assert network_size(shared) == Size(5, 0)
    wide = replace(term, map=Convolution(np.ones(2), 4))
    output = replace(network.output, terms=(wide,), bias=np.zeros(3))
    assert network_size(replace(network, output=output)) == Size(5, 0)


def test_parameters_come_first_when_sizes_compare() -> None:
    assert Size(3, 9) < Size(4, 1)
    assert Size(3, 1) < Size(3, 2)
