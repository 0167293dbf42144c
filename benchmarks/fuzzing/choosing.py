"""Chooses what is asked about a network on a box."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from benchmarks.fuzzing.cases import Case, Equivalent, Phases, Pruned, Query, Question, Ranges, Zeroed
from benchmarks.fuzzing.formulas import random_formula, random_point, sampled
from benchmarks.fuzzing.networks import Box, Described, evaluate, perturbed, sizes, without

__all__ = ["cases"]

_CERTIFIED = 50
"""One query in so many goes through files and gets a certificate."""
_QUERIES, _OTHERS = (10, 30), (0, 3)
"""How many questions of each sort on a box."""
_SHARES = {"equivalent": 6, "zeroed": 4, "phases": 4, "ranges": 2, "distance": 2, "pruned": 1}
"""How often other questions than queries are asked."""


def cases(rng: random.Random, network: Described, box: Box) -> Iterator[Case]:
    """Questions about a network on a box, most of them queries."""
    samples = sampled(rng, network, box)
    for _ in range(rng.randint(*_QUERIES)):
        query = Query(random_formula(rng, network, samples), rng.choice((1, 2)), rng.randrange(_CERTIFIED) == 0)
        yield Case(network, box, query)
    copy = perturbed(rng, network)
    for _ in range(rng.randint(*_OTHERS)):
        yield Case(network, box, _other_question(rng, network, copy, box))


def _other_question(rng: random.Random, network: Described, copy: Described, box: Box) -> Question:
    layer = rng.randrange(len(network.layers) - 1)
    width = sizes(network)[layer + 1]
    neurons = tuple(sorted(rng.sample(range(width), rng.randint(1, width))))
    match rng.choices(tuple(_SHARES), tuple(_SHARES.values()))[0]:
        case "equivalent":
            return Equivalent(copy, _epsilon(rng, network, copy, box))
        case "zeroed":
            few = neurons[:2]
            return Zeroed(layer, few, _epsilon(rng, network, without(network, layer, few), box))
        case "phases":
            return Phases(layer, neurons)
        case "pruned":
            return Pruned()
        case "distance":
            return Ranges(copy)
    return Ranges()


def _epsilon(rng: random.Random, network: Described, other: Described, box: Box) -> Fraction:
    """0, small, or the largest sampled difference of an output, exactly or nearly."""
    most = Fraction(0)
    for _ in range(12):
        point = random_point(rng, box)
        pairs = zip(evaluate(network, point)[-1], evaluate(other, point)[-1], strict=True)
        most = max(most, *(abs(a - b) for a, b in pairs))
    nearly = most * rng.choice((1 - Fraction(1, 2**30), 1 + Fraction(1, 2**30), Fraction(9, 10), Fraction(5, 4)))
    return rng.choice((Fraction(0), Fraction(1, 10**6), most, nearly, nearly))
