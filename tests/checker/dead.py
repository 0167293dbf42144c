"""Networks with dead neurons, whose columns would dominate every row that looked at them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from secateur.checker.chain import Chain, ChainLayer, chain_form
from secateur.checker.differences import differences_of
from secateur.checker.domain import Domain
from secateur.checker.lowering import lower
from tests.checker.support import dense_model, random_layers, skip_model

__all__ = ["chain_with_dead_neurons", "dead_neurons", "with_other_columns"]

Bounds = Sequence[tuple[Sequence[float], Sequence[float]]]


def chain_with_dead_neurons(seed: int, most: int = 8) -> Chain:
    """Three or four layers of up to `most` neurons, of which about four in ten are dead; now and then with a skip connection."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(2, most + 1, size=rng.integers(4, 6))]
    layers = random_layers(sizes, rng)
    for _, bias in layers[:-1]:
        bias[rng.random(len(bias)) < 0.4] = -1e6
    network = lower(dense_model(layers) if seed % 3 else skip_model(layers, rng))
    return chain_form(network, Domain((Fraction(-1),) * sizes[0], (Fraction(3, 4),) * sizes[0]))


def dead_neurons(layer: ChainLayer, lower: Sequence[float], upper: Sequence[float]) -> list[int]:
    """The neurons of a layer that are 0 for certain, but for linear ones."""
    differences = differences_of(layer, lower, upper)
    relu = set(range(len(layer.rows))) - layer.linear - differences.keys()
    return sorted([j for j in relu if upper[j] <= 0] + [j for j, own in differences.items() if own.zero])


def with_other_columns(chain: Chain, bounds: Bounds, rng: random.Random) -> tuple[Chain, int]:
    """The chain with other integers, far larger in what they stand for, in all columns of dead neurons; and how many these are.

    Exact matrices stay as they are, and with them the root bounds.
    """
    layers, count = [chain.layers[0]], 0
    for before, layer, ends in zip(chain.layers, chain.layers[1:], bounds, strict=False):
        quantised, exponents = [list(row) for row in layer.quantised], list(layer.exponents)
        for j in dead_neurons(before, *ends):
            exponents[j], count = rng.randint(-70, -30), count + 1
            for row in quantised:
                row[j] = rng.randint(-(1 << 20), 1 << 20)
        layers.append(replace(layer, quantised=quantised, exponents=exponents))
    return Chain(chain.input_size, tuple(layers)), count
