"""Simulation: what it says of linearised neurons against evaluating the changed network itself."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.network import Network
from secateur.reduction import Phase
from secateur.reduction.simulation import Simulation
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Decision
from tests.reduction.support import chain
from tests.strategies import networks, skip_networks

F = Fraction
quiet = settings(deadline=None, max_examples=30)


def unit_box(network: Network) -> Domain:
    return Domain((F(-1),) * network.input_size, (F(1),) * network.input_size)


def outputs(network: Network, point: list[Fraction], linearised: dict[tuple[int, int], Phase]) -> list[Fraction]:
    """The network's outputs where some neurons are 0 or pass their pre-activation on, exactly."""
    values: list[list[Fraction]] = [point]
    for k, layer in enumerate(network.layers, start=1):
        z = layer.apply_exact(values)
        r = [max(F(0), v) for v in z]
        for (level, i), phase in linearised.items():
            if level == k:
                r[i] = F(0) if phase is Phase.INACTIVE else z[i]
        values.append(r)
    return network.output.apply_exact(values)


@quiet
@given(st.one_of(networks(), skip_networks()), st.data())
def test_strain_is_the_largest_change_on_the_samples(network: Network, data: st.DataObject) -> None:
    chosen = {
        (k, i): data.draw(st.sampled_from([Phase.INACTIVE, Phase.ACTIVE]))
        for k, size in enumerate(network.sizes, start=1)
        for i in range(size)
        if data.draw(st.booleans())
    }
    simulation = Simulation(network, unit_box(network), Agreement(F(1, 4)), {}, seed=0)
    strain = simulation.strain(chosen)
    point = [F(data.draw(st.integers(-8, 8)), 8) for _ in range(network.input_size)]
    simulation.add_point(point)
    change = max(abs(a - b) for a, b in zip(outputs(network, point, {}), outputs(network, point, chosen), strict=True))
    # The new point counts like all others, and nothing but it can have raised the strain.
    assert simulation.strain(chosen) == pytest.approx(max(strain, float(4 * change)), rel=1e-9, abs=1e-9)


def test_single_needs_are_exact_where_nothing_flips_behind() -> None:
    """One layer: the output changes by the outgoing weight times what the neuron loses."""
    network = chain(([[1.0], [-1.0], [0.5]], [0.0, 0.5, -2.0]), ([[0.1, 0.02, 5.0]], [0.0]))
    simulation = Simulation(network, unit_box(network), Agreement(F(1)), {}, seed=0)
    order = {neuron: (need, phase) for need, neuron, phase in simulation.order()}
    assert order[1, 2] == (0.0, Phase.INACTIVE)  # it is never positive on the box
    for neuron, phase in (((1, 0), Phase.INACTIVE), ((1, 1), Phase.ACTIVE)):
        need, best = order[neuron]
        assert best is phase or need == pytest.approx(simulation.strain({neuron: best}))
        assert need == pytest.approx(simulation.strain({neuron: best}), rel=1e-9)


def test_neurons_with_a_proven_phase_are_no_candidates() -> None:
    network = chain(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]))
    simulation = Simulation(network, unit_box(network), Agreement(F(10)), {(1, 0): Phase.ACTIVE}, seed=0)
    assert [neuron for _, neuron, _ in simulation.order()] == [(1, 1)]


def test_a_decision_needs_all_of_its_lead() -> None:
    """y = (x + 2, relu(x)): the first output always wins, by 2; relu(x) may go, and so may the winner's own neuron."""
    network = chain(([[1.0], [1.0]], [2.0, 0.0]), ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]))
    simulation = Simulation(network, unit_box(network), Decision("argmax"), {}, seed=0)
    assert simulation.strain({(1, 1): Phase.INACTIVE}) <= 0.0
    assert simulation.strain({(1, 0): Phase.INACTIVE}) >= 1.0  # then 0 stands against relu(x)
    wide = Simulation(network, unit_box(network), Decision("argmax", F(3)), {}, seed=0)
    assert wide.strain({(1, 0): Phase.INACTIVE}) == 0.0  # no lead is that large: nothing is to be preserved
    lowest = Simulation(network, unit_box(network), Decision("argmin"), {}, seed=0)
    assert lowest.strain({(1, 0): Phase.INACTIVE}) >= 1.0


def test_ties_are_undecided() -> None:
    """Equal outputs: no winner, nothing to keep, and no division by a lead of 0."""
    network = chain(([[1.0]], [0.0]), ([[1.0], [1.0]], [0.0, 0.0]))
    simulation = Simulation(network, unit_box(network), Decision("argmax"), {}, seed=0)
    with np.errstate(all="raise"):
        assert simulation.strain({(1, 0): Phase.INACTIVE}) == 0.0
        assert [neuron for _, neuron, _ in simulation.order()] == [(1, 0)]


def test_choice_is_the_longest_prefix_and_single_neurons_beyond() -> None:
    weights = [0.1, 0.2, 5.0, 0.05]
    network = chain(([[1.0]] * 4, [1.0] * 4), ([weights], [0.0]))
    simulation = Simulation(network, unit_box(network), Agreement(F(1)), {}, seed=0)
    candidates = [((1, i), Phase.INACTIVE) for i in range(4)]
    assert simulation.choose(candidates, {}, 0.9) == [(1, 0), (1, 1), (1, 3)]  # 2 (0.1 + 0.2 + 0.05) of 1
    assert simulation.choose(candidates[2:], {(1, 0): Phase.INACTIVE}, 0.25) == []
    assert np.isclose(simulation.strain(dict(candidates)), 10.7, rtol=1e-3)


@quiet
@given(networks(), st.data())
def test_fitting_is_a_matter_of_the_strain_and_of_nothing_that_was_asked_before(network: Network, data: st.DataObject) -> None:
    names = [(k, i) for k, size in enumerate(network.sizes, start=1) for i in range(size)]
    simulation = Simulation(network, unit_box(network), Agreement(F(1)), {}, seed=0, most=512)
    for _ in range(4):
        chosen = {name: Phase.INACTIVE for name in names if data.draw(st.booleans())}
        strain = simulation.strain(chosen)
        assert simulation.fits(chosen, strain * 1.001 + 1e-9)
        assert strain == 0 or not simulation.fits(chosen, strain * 0.999)
