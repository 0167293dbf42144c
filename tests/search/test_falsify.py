"""The falsifier keeps only signs that exact evaluation shows."""

from __future__ import annotations

import time
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.network import Network
from secateur.search.falsify import Falsifier
from secateur.specification import Domain
from tests.bounds.support import boxes, random_network
from tests.strategies import networks, skip_networks


def later() -> float:
    return time.monotonic() + 60


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(networks(), skip_networks()), st.data())
def test_every_witness_is_exact_and_inside(network: Network, data: st.DataObject) -> None:
    domain = Domain(*data.draw(boxes(network.input_size)))
    falsifier = Falsifier(network, domain, seed=0)
    falsifier.sample(later())
    falsifier.attack(falsifier.open_claims(), later())
    traces = [network.exact(p).pre_activations for p in falsifier.points]
    assert all(domain.contains(p) for p in falsifier.points)
    assert all(traces[w][k - 1][i] > 0 for (k, i), w in falsifier.positive.items())
    assert all(traces[w][k - 1][i] < 0 for (k, i), w in falsifier.negative.items())


def test_ascent_finds_what_sampling_missed() -> None:
    """A neuron that is positive only in a far corner of ten dimensions: no sample hits it, the gradient does."""
    network = random_network([10, 8, 2], seed=0)
    row = network.layers[0].terms[0].map.dense().weight[0]
    peak = abs(row).sum()
    network.layers[0].bias[0] = -0.97 * peak
    falsifier = Falsifier(network, Domain((Fraction(-1),) * 10, (Fraction(1),) * 10), seed=0)
    claim = (1, 0, -1)
    falsifier.ascend([claim], later())
    assert falsifier.is_refuted(claim)
    assert claim not in falsifier.open_claims()


def test_nothing_begins_after_the_deadline() -> None:
    network = random_network([3, 4, 2], seed=1)
    falsifier = Falsifier(network, Domain((Fraction(-1),) * 3, (Fraction(1),) * 3), seed=0)
    falsifier.sample(time.monotonic() - 1)
    falsifier.attack(falsifier.open_claims(), time.monotonic() - 1)
    assert falsifier.points == []
