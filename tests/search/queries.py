"""Small queries and questions for the tests of attack and witnesses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secateur.network import Affine, Dense, Interface, Network, Term
from secateur.search.question import Question, questions
from secateur.specification import Query, parse_query

__all__ = ["flat_query", "layered", "only_question"]

Matrix = Sequence[Sequence[float]] | NDArray[np.float64]


def flat_query(box: Sequence[tuple[str, str]], outputs: int, *conditions: str) -> Query:
    """A query of version 1.0 over a box given as text."""
    names = [f"X_{i}" for i in range(len(box))] + [f"Y_{j}" for j in range(outputs)]
    lines = [f"(declare-const {name} Real)" for name in names]
    lines += [f"(assert (and (>= X_{i} {low}) (<= X_{i} {high})))" for i, (low, high) in enumerate(box)]
    return parse_query("\n".join([*lines, *(f"(assert {c})" for c in conditions)]), "query")


def layered(*stages: tuple[Matrix, Sequence[float]], element_type: str = "float32") -> Network:
    """A chain: weights and bias of each ReLU layer, and of the output."""
    affines = [Affine((Term(k, Dense(np.array(w, float))),), np.array(b, float)) for k, (w, b) in enumerate(stages)]
    inputs, outputs = affines[0].terms[0].map.in_size, affines[-1].size
    interface = Interface(input_shape=(1, inputs), output_shape=(1, outputs), element_type=element_type)
    return Network(inputs, tuple(affines[:-1]), affines[-1], interface)


def only_question(query: Query, *networks: Network) -> Question:
    (question,) = questions(query, networks)
    return question
