"""The interval rule: its table of true and false cases, and what facts do to later layers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from secateur.checker.chain import chain_form
from secateur.checker.domain import Domain
from secateur.checker.lowering import lower
from secateur.checker.records import Claim
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds, check_interval_rule
from tests.checker.support import dense_model

# x in [-1, 1]; layer 1: x - 1, x + 1, x, 2x - 3; layer 2 reads them.
FIRST = (np.float32([[1], [1], [1], [2]]), np.float32([-1, 1, 0, -3]))
SECOND = (np.float32([[1, 0, -1, 0], [0, 1, 0, -1], [0, -1, 0, 0]]), np.float32([0, 0, 2]))
LAST = (np.float32([[1, 1, 1]]), np.float32([0]))


def root() -> RootBounds:
    network = lower(dense_model([FIRST, SECOND, LAST]))
    return RootBounds(chain_form(network, Domain((Fraction(-1),), (Fraction(1),))))


@pytest.mark.parametrize(
    ("layer", "neuron", "phase", "holds"),
    [
        (1, 0, "inactive", True),  # at most exactly 0
        (1, 0, "active", False),
        (1, 1, "active", True),  # at least exactly 0
        (1, 1, "inactive", False),
        (1, 2, "inactive", False),
        (1, 2, "active", False),
        (1, 3, "inactive", True),
        (2, 0, "inactive", True),  # relu(x - 1) is 0 on the domain
        (2, 1, "active", True),
        (2, 2, "active", True),
        (2, 2, "inactive", False),
    ],
)
def test_interval_rule(layer: int, neuron: int, phase: str, holds: bool) -> None:
    claim = Claim(layer, neuron, phase)
    if holds:
        assert check_interval_rule(claim, root(), "interval 0") is None
    else:
        with pytest.raises(Refusal) as caught:
            check_interval_rule(claim, root(), "interval 0")
        assert caught.value.reason == f"interval arithmetic does not show '{claim}'"


def test_facts_sharpen_their_own_and_later_layers_only() -> None:
    bounds = root()
    before = bounds.bounds(1), bounds.bounds(2)
    bounds.add(Claim(1, 2, "inactive"))
    assert bounds.bounds(1)[1] == [0.0, 2.0, 0.0, -1.0]
    assert before[0][1] == [0.0, 2.0, 1.0, -1.0]
    assert (before[1][0][0], bounds.bounds(2)[0][0]) == (-1.0, 0.0)


def test_a_fact_that_contradicts_the_bounds_is_refused() -> None:
    bounds = root()
    bounds.add(Claim(1, 3, "active"))
    with pytest.raises(Refusal, match="contradicts its bounds"):
        bounds.bounds(1)
