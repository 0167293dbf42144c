"""The two numbers that say how large a network is; every rewrite must lower one of them."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.network.model import Network

__all__ = ["Size", "network_size"]


@dataclass(frozen=True, order=True)
class Size:
    """Stored weights and biases (zero or not), and ReLU neurons; parameters count first in comparisons."""

    parameters: int
    neurons: int


def network_size(network: Network) -> Size:
    """The size of a network; a convolution counts its kernel once."""
    affines = (*network.layers, network.output)
    weights = sum(term.map.parameter_count for affine in affines for term in affine.terms)
    return Size(weights + sum(affine.size for affine in affines), network.neuron_count)
