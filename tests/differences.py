"""Pairs of networks that differ, and an exact evaluation of the network that carries their differences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from secateur.network import Affine, Dense, Network, Term
from secateur.network.difference import DifferenceNetwork, Pairing, paired_by_position
from tests.strategies import float32_weights, networks, skip_networks, small_dyadics

__all__ = ["joined_values", "network_pairs", "outputs_of", "perturbed"]

ZERO = Fraction(0)


def outputs_of(z: Sequence[Fraction], kinds: Sequence[int], shift: int) -> list[Fraction]:
    """Values of a layer's neurons from their pre-activations: ReLUs (-1), linear neurons (-2) and differences."""
    values = []
    for v, kind in zip(z, kinds, strict=True):
        if kind == -1:
            values.append(max(ZERO, v))
        elif kind == -2:
            values.append(v)
        else:
            base, scale = z[kind], 1 << shift
            values.append(scale * (max(ZERO, base + v / scale) - max(ZERO, base)))
    return values


def joined_values(joined: DifferenceNetwork, point: Sequence[Fraction]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Pre-activations of all levels, and the outputs, exactly."""
    values: list[Sequence[Fraction]] = [point]
    z = []
    for layer, partners, shift in zip(joined.network.layers, joined.partners, joined.shifts, strict=True):
        z.append(layer.apply_exact(values))
        values.append(outputs_of(z[-1], partners.tolist(), shift))
    return z, joined.network.output.apply_exact(values)


def perturbed(network: Network, seed: int, size: float) -> Network:
    """The network with some weights moved a little, as float32 numbers."""
    rng = np.random.default_rng(seed)

    def moved(affine: Affine) -> Affine:
        def changed(a: np.ndarray) -> np.ndarray:
            kept = rng.random(a.shape) < 0.5
            return np.where(kept, a, (a + size * rng.normal(size=a.shape)).astype(np.float32).astype(np.float64)) + 0.0

        return Affine(tuple(Term(t.source, Dense(changed(t.map.dense().weight))) for t in affine.terms), changed(affine.bias))

    return Network(network.input_size, tuple(map(moved, network.layers)), moved(network.output), network.interface)


@st.composite
def network_pairs(draw: st.DrawFn) -> tuple[Network, Network, Pairing]:
    """Two networks over the same inputs: one and a perturbed copy, or unrelated ones; paired by position, in part, or shifted."""
    weights = draw(st.sampled_from([small_dyadics, float32_weights]))()
    kind = st.one_of(networks(weights=weights), skip_networks(weights=weights))
    first = draw(kind)
    if draw(st.booleans()):
        second = perturbed(first, draw(st.integers(0, 10**6)), draw(st.sampled_from([0.0, 1e-3, 0.5])))
    else:
        second = draw(kind.filter(lambda n: n.input_size == first.input_size))
    pairing = paired_by_position(first, second)
    if draw(st.booleans()):
        moved = draw(st.integers(0, 1))
        levels = tuple(level + moved for level in pairing.levels)
        sizes = [*first.sizes, *([0] * (len(second.sizes) + 1))]
        partners = []
        for level, size in zip(levels, second.sizes, strict=True):
            mates = draw(st.permutations(range(max(size, sizes[level - 1]))))[:size]
            partners.append(tuple(m if m < sizes[level - 1] and draw(st.integers(0, 3)) else None for m in mates))
        pairing = Pairing(levels, tuple(partners))
    return first, second, pairing
