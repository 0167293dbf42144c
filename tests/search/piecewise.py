"""The exact range of an output of a network of one input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from secateur.network import Network
from secateur.specification import Domain

__all__ = ["piecewise_range"]


def piecewise_range(network: Network, domain: Domain, output: int) -> tuple[Fraction, Fraction]:
    """The exact range of an output of a network of one input: it is attained at an end or where some neuron changes phase."""
    (low,), (high,) = domain.lower, domain.upper
    todo, ends = [(low, high)], {low, high}
    while todo:  # halve between two points of one linear piece only until the piece is one: find kinks by exact intersection
        a, b = todo.pop()
        before, after = (np.concatenate([list(z) for z in network.exact((x,)).pre_activations]) for x in (a, b))
        crossing = [i for i in range(len(before)) if before[i] * after[i] < 0]
        if crossing:
            i = crossing[0]  # of the first layer that changes: linear in between
            kink = a + (b - a) * before[i] / (before[i] - after[i])
            ends.add(kink)
            todo += [(a, kink), (kink, b)]
    values = [network.exact((x,)).output[output] for x in ends]
    return min(values), max(values)
