"""Which neurons a rewriting removed, and what makes each redundant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from secateur.network import Network
from secateur.reduction.rewrite import Rewrite

__all__ = ["Name", "kind_of", "removed", "removed_by_kind"]

Name = tuple[int, int]
"""(layer from 1, neuron)"""


def removed(network: Network, result: Rewrite) -> list[Name]:
    """The neurons of the network that the rewritten one lacks."""
    stays = {
        (layer + 1, neuron.original)
        for layer, neurons in zip(result.layers, result.neurons, strict=True)
        for neuron in neurons
        if neuron.original is not None
    }
    return [(k, i) for k, size in enumerate(network.sizes, start=1) for i in range(size) if (k, i) not in stays]


def kind_of(neuron: Name, proven: Collection[Name], linearised: Collection[Name], *, decides: bool) -> str:
    """Why a neuron could go; decides : whether it is decisions that have to stay the same.

    `phase` (linear on the domain, proven), `relaxed` or `result` (linearised, within the tolerance or without a change of
    decision), `forward` (what it computed is not needed once the others are gone, or is computed elsewhere).
    """
    if neuron in linearised:
        return "result" if decides else "relaxed"
    return "phase" if neuron in proven else "forward"


def removed_by_kind(
    network: Network, result: Rewrite, proven: Collection[Name], linearised: Collection[Name], *, decides: bool
) -> dict[str, int]:
    """How many there are of each kind."""
    return dict(Counter(kind_of(neuron, proven, linearised, decides=decides) for neuron in removed(network, result)))
