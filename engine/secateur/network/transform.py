"""Views of a network that several rooms need."""

from __future__ import annotations

from secateur.network.linear import Dense
from secateur.network.model import Affine, Network

__all__ = ["as_chain"]


def as_chain(network: Network) -> tuple[tuple[Dense, Affine], ...]:
    """For each layer, then the output, of a plain feed-forward network: its matrix and its affine function.

    The matrix is that of the one term; the exact bias is `rational_bias()` of the second. ValueError where a
    layer reads anything but the layer before it (`Network.is_chain` is false).
    """
    if not network.is_chain:
        raise ValueError("the network has skip connections")
    return tuple((affine.terms[0].map.dense(), affine) for affine in (*network.layers, network.output))
