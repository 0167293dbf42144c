"""Chains whose values are computed in float32, with rounding that is large enough to matter."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from secateur.checker.chain import Chain, chain_form
from secateur.checker.domain import Domain
from secateur.checker.exact import up24
from secateur.checker.lowering import Affine, Network
from secateur.checker.nodes import FULL
from secateur.checker.python_arithmetic import PyNode
from secateur.checker.root import RootBounds
from secateur.checker.slack import Magnitudes

__all__ = ["magnified", "part_of_domain", "rounded_chain", "shares", "with_slack"]


def rounded_chain(network: Network, domain: Domain, rng: random.Random) -> Chain:
    """The chain form, with magnitudes that are those of the weights, and from few to very many roundings."""
    layers = tuple(Affine(own.denominator, [{s: abs(c) for s, c in row.items()} for row in own.rows]) for own in network.layers)
    counts = [rng.choice([0, 3, 1 << 10, 1 << 16, 1 << 20]) for _ in layers]
    return chain_form(network, domain, magnitudes=Magnitudes(layers, tuple(counts)))


def magnified(chain: Chain, power: int) -> Chain:
    """The chain with 2^power times as much rounding."""
    layers = [replace(own, slack=[[math.ldexp(x, power) for x in row] for row in own.slack]) for own in chain.layers]
    return Chain(chain.input_size, tuple(layers))


def with_slack(chain: Chain, draw: Callable[[], Fraction]) -> Chain:
    """The chain with other sigma, also where it reads the input."""
    layers = []
    for own in chain.layers:
        slack = [[up24(*draw().as_integer_ratio()) for _ in own.exponents] for _ in range(own.own)]
        layers.append(replace(own, slack=slack))
    return Chain(chain.input_size, tuple(layers))


def shares(rng: random.Random) -> Callable[[int, int], Fraction]:
    """How much of what rounding can do it does to each neuron: often all of it."""
    return lambda _, __: rng.choice([Fraction(1), Fraction(-1), Fraction(rng.randint(-9, 9), 9)])


def part_of_domain(chain: Chain, root: RootBounds, rng: random.Random) -> PyNode:
    """The root bounds on some box inside the domain, now and then a point."""
    ends: Sequence[list[int]] = [sorted(rng.choices([0, FULL, rng.randint(0, FULL)], k=2)) for _ in range(chain.input_size)]
    bounds = [root.bounds(k) for k in range(1, len(chain.layers) + 1)]
    lower, upper = [list(pair[0]) for pair in bounds], [list(pair[1]) for pair in bounds]
    return PyNode([e[0] for e in ends], [e[1] for e in ends], lower, upper, ())
