"""Which form to search two networks in: with the differences of paired neurons, or with all neurons separate.

Method: the whole domain as one sub-domain is bounded in both forms; the one whose worst goal is nearer to being refuted is taken.
Differences win where the networks are nearly the same, and lose where they are not: then each phase is bounded twice. Neurons are
paired by position in networks of the same shape, in others (one may be a reduction of the other) by what they compute on samples.
For float32 evaluations a part in the middle is bounded instead: rounding hides that separate neurons compute the same, which the
whole domain does not show.
Soundness: both forms mean the same, so nothing depends on the choice but the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import GRID_BITS, evaluate
from secateur.errors import InputError
from secateur.network import Network
from secateur.network.difference import Pairing, paired_by_position
from secateur.search.question import Question, questions
from secateur.search.refute import require_affordable, start
from secateur.specification import Query

__all__ = ["better_pairing", "paired_by_values", "separate"]

Floats = NDArray[np.float64]

_STEPS = 3
"""Slope optimisation steps, as in the search."""
_MIDDLE = 3 * 2.0 ** (GRID_BITS - 3), 5 * 2.0 ** (GRID_BITS - 3)
"""The middle quarter of every coordinate."""
_SAMPLES = 256
_NEAR = 0.05
"""Neurons are paired where they differ by no more than this share of the size of their values on any sample."""


def separate(second: Network) -> Pairing:
    """No pairs: every neuron of the second network stands beside those of the first."""
    return Pairing(tuple(range(1, len(second.sizes) + 1)), tuple((None,) * size for size in second.sizes))


def paired_by_values(first: Network, second: Network, box: tuple[Floats, Floats]) -> Pairing | None:
    """Neurons that compute nearly the same on samples of a box; None where no layers of the networks correspond.

    Each layer of the second network stands beside that layer of the first, behind those before it, with which it shares most.
    """
    low, high = box
    points = low + (high - low) * np.random.default_rng(0).random((_SAMPLES, first.input_size))
    ours, theirs = first.pre_activations(points), second.pre_activations(points)
    levels: list[int] = []
    partners: list[tuple[int | None, ...]] = []
    for k, z in enumerate(theirs):
        # Layers of the second network that are still to come need a level each.
        begin, end = (levels[-1] if levels else 0), len(ours) - (len(theirs) - 1 - k)
        if begin >= end:
            return None
        found = [_matches(ours[level], z) for level in range(begin, end)]
        best = max(range(len(found)), key=lambda n: (sum(p is not None for p in found[n]), -n))
        levels.append(begin + best + 1)
        partners.append(found[best])
    return Pairing(tuple(levels), tuple(partners)) if any(p is not None for own in partners for p in own) else None


def _matches(ours: Floats, theirs: Floats) -> tuple[int | None, ...]:
    """For each neuron of a layer the nearest of another layer that is not taken; shapes (samples, neurons)."""
    partners: list[int | None] = []
    free = np.ones(ours.shape[1], dtype=bool)
    sizes = np.abs(ours).max(axis=0)
    for i in range(theirs.shape[1]):
        gaps = np.abs(ours - theirs[:, i : i + 1]).max(axis=0)
        near = free & (gaps <= _NEAR * sizes)
        partner = int(np.where(near, gaps, np.inf).argmin()) if near.any() else None
        if partner is not None:
            free[partner] = False
        partners.append(partner)
    return tuple(partners)


def better_pairing(query: Query, networks: Sequence[Network], deadline: float) -> Pairing | None:
    """The pairing of two networks that promises the faster answer to a query, judged by its first question.

    None where there is nothing to pair: the networks do not get the same inputs, or are too large for split trees.
    InputError for queries that cannot be asked.
    """
    first, second = networks
    sizes = [a + b for a, b in zip_longest(first.sizes, second.sizes, fillvalue=0)]
    try:
        require_affordable((first.input_size, *sizes), deadline)
    except InputError:
        return None
    pairings = [p for p in (_paired(query, first, second), separate(second)) if p is not None]
    margins = []
    for pairing in pairings:
        question = next(questions(query, networks, pairing), None)
        if question is None or question.difference is None:
            return None
        margins.append(_margin(question, deadline) if len(pairings) > 1 else 0.0)
    return pairings[int(np.argmax(margins))]


def _paired(query: Query, first: Network, second: Network) -> Pairing | None:
    """By position, or by values on the box of the query's first disjunct; None where nothing corresponds."""
    if not first.sizes or not second.sizes or first.input_size != second.input_size:
        return None
    if first.sizes == second.sizes:
        return paired_by_position(first, second)
    question = next(questions(query, (first, second), separate(second)), None)
    if question is None or question.difference is None:
        return None
    low, high = (np.array([float(v) for v in side]) for side in (question.domain.lower, question.domain.upper))
    return paired_by_values(first, second, (low, high))


def _margin(question: Question, deadline: float) -> float:
    """The bound of the question's worst goal, in units of the query; minus infinity where there is none."""
    if not all(question.goals):
        return -np.inf
    try:
        network, domains, goals = start(question, deadline)
    except InputError:  # beyond what the kernels hold
        return -np.inf
    if question.is_float32:
        domains.low[:], domains.high[:] = _MIDDLE
    return float(evaluate(network, domains, goals, _STEPS, 1).margins.min())
