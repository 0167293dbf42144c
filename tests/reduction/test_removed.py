"""Which neurons are gone, and of what kind."""

from __future__ import annotations

from fractions import Fraction

from secateur.reduction import Facts, Phase, rewrite
from secateur.reduction.removed import kind_of, removed, removed_by_kind
from tests.reduction.support import chain


def test_every_neuron_that_is_gone_has_a_kind() -> None:
    # Neuron (1, 0) is inactive, (2, 0) reads it alone and is the constant 1 then, (1, 1) and (2, 1) stay.
    network = chain(([[1], [1]], [-2, 0]), ([[1, 0], [0, 1]], [1, 0]), ([[1, 1]], [0]))
    phases = [[Phase.INACTIVE, Phase.UNSTABLE], [Phase.UNSTABLE, Phase.UNSTABLE]]
    result = rewrite(network, Facts((Fraction(-1),), (Fraction(1),), phases))
    assert removed(network, result) == [(1, 0), (2, 0)]
    assert removed_by_kind(network, result, {(1, 0)}, (), decides=False) == {"phase": 1, "forward": 1}
    assert removed_by_kind(network, result, (), {(1, 0)}, decides=False) == {"relaxed": 1, "forward": 1}
    assert kind_of((1, 0), {(1, 0)}, {(1, 0)}, decides=True) == "result"
