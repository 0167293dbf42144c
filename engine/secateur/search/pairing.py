"""Which form to search two networks in: with the differences of paired neurons, or with all neurons separate.

Method: the whole domain as one sub-domain is bounded in both forms; the one whose worst goal is nearer to being refuted is taken.
Differences win where the networks are nearly the same, and lose where they are not: then each phase is bounded twice.
Soundness: both forms mean the same, so nothing depends on the choice but the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from secateur.bounds import evaluate
from secateur.errors import InputError
from secateur.network import Network
from secateur.network.difference import Pairing, paired_by_position
from secateur.search.question import Question, questions
from secateur.search.refute import require_affordable, start
from secateur.specification import Query

__all__ = ["better_pairing", "separate"]

_STEPS = 3
"""Slope optimisation steps, as in the search."""


def separate(second: Network) -> Pairing:
    """No pairs: every neuron of the second network stands beside those of the first."""
    return Pairing(tuple(range(1, len(second.sizes) + 1)), tuple((None,) * size for size in second.sizes))


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
    pairings = [paired_by_position(first, second)] if first.sizes == second.sizes and first.sizes else []
    pairings.append(separate(second))
    margins = []
    for pairing in pairings:
        question = next(questions(query, networks, pairing), None)
        if question is None or question.difference is None:
            return None
        margins.append(_margin(question, deadline) if len(pairings) > 1 else 0.0)
    return pairings[int(np.argmax(margins))]


def _margin(question: Question, deadline: float) -> float:
    """The bound of the question's worst goal on the whole domain, in units of the query; minus infinity where there is none."""
    if not all(question.goals):
        return -np.inf
    try:
        network, domains, goals = start(question, deadline)
    except InputError:  # beyond what the kernels hold
        return -np.inf
    return float(evaluate(network, domains, goals, _STEPS, 1).margins.min())
