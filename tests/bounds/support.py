"""Exact twins that the tests of bounds and search share: slow, transparent, rational."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from secateur.bounds import QuantisedNetwork, SubDomains, root
from secateur.bounds.chain import ChainLayer
from secateur.errors import InputError
from secateur.network import Affine, Dense, Network, Term
from secateur.network.model import Rounding
from tests.differences import outputs_of

UNIT = 1 << 24


def chain_values(layers: Sequence[ChainLayer], t: Sequence[Fraction]) -> list[list[Fraction]]:
    """Pre-activations of a chain form at a normalised point, exactly."""
    values, result = list(t), []
    for layer in layers:
        z = [row[-1] + sum((w * v for w, v in zip(row, values, strict=False)), Fraction(0)) for row in layer.rows]
        result.append(z)
        values = outputs_of(z, layer.kinds.tolist(), layer.shift)
    return result


def on_box(quantised: QuantisedNetwork, count: int, low: Sequence[float], high: Sequence[float]) -> SubDomains:
    """One sub-domain with `count` open goals. Leaves out examples whose bounds no float32 holds, which is an InputError."""
    try:
        batch = root(quantised, quantised.bounds, count)
    except InputError:
        reject()
    batch.low[0], batch.high[0] = low, high
    return batch


def boxes(size: int) -> st.SearchStrategy[tuple[tuple[Fraction, ...], tuple[Fraction, ...]]]:
    """Rational boxes in [-2, 2]^size: some thin, some degenerate, most corners no floats."""
    coordinate = st.fractions(min_value=-2, max_value=2, max_denominator=700)
    side = st.tuples(coordinate, coordinate).map(sorted)
    return st.lists(side, min_size=size, max_size=size).map(
        lambda sides: (tuple(s[0] for s in sides), tuple(s[1] for s in sides))
    )


def float_boxes(size: int) -> st.SearchStrategy[tuple[tuple[Fraction, ...], tuple[Fraction, ...]]]:
    """Boxes as robustness asks for them: a float more and less than a float32, exactly; ties are frequent."""
    centre = st.one_of(st.floats(-2, 2, width=32, allow_subnormal=False), st.integers(-512, 512).map(lambda n: n / 256))
    radius = st.sampled_from([0.0, 0.001, 0.03, 0.1, 1 / 256, 0.5])
    sides = st.lists(st.tuples(centre.map(Fraction), radius.map(Fraction)), min_size=size, max_size=size)
    return sides.map(lambda pairs: (tuple(c - r for c, r in pairs), tuple(c + r for c, r in pairs)))


def random_network(sizes: Sequence[int], seed: int, shift: float = 0.0) -> Network:
    """A dense network with float32 weights; `shift` moves the biases, which makes neurons stable."""
    rng = np.random.default_rng(seed)
    affines = []
    for k in range(1, len(sizes)):
        weight = rng.normal(size=(sizes[k], sizes[k - 1])).astype(np.float32) / np.float32(np.sqrt(sizes[k - 1]))
        bias = (rng.normal(size=sizes[k]) * 0.5 + shift).astype(np.float32)
        affines.append(Affine((Term(k - 1, Dense(weight.astype(np.float64))),), bias.astype(np.float64)))
    return Network(sizes[0], tuple(affines[:-1]), affines[-1])


def in_float32(network: Network, count: int) -> Network:
    """The network standing for evaluations that make `count` roundings in every layer, and may lose a little to underflow."""

    def rounded(affine: Affine) -> Affine:
        terms = tuple(Term(t.source, Dense(np.abs(t.map.dense().weight))) for t in affine.terms)
        constants = tuple(abs(b) + Fraction(1, 1 << 125) for b in affine.rational_bias())
        magnitudes = Affine(terms, np.array([float(c) for c in constants]), constants)
        return replace(affine, rounding=Rounding(magnitudes, count))

    return replace(network, layers=tuple(map(rounded, network.layers)), output=rounded(network.output))
