"""What may be asked about neurons, every way to be wrong in one line, and the claims in words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from secateur.errors import InputError
from secateur.reduction.redundancy_claim import RedundancyClaim
from secateur.specification.comparison import Agreement, Decision
from tests.search.queries import layered

F = Fraction
NETWORK = layered(([[1.0], [2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]), ([[1.0], [0.5]], [0.0, 0.0]))
SCALAR = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "dead"}, "--kind: unknown kind of redundancy 'dead'; choose one of phase, forward, relaxed, result"),
        ({"neurons": ()}, "--index: no neuron is named"),
        ({"neurons": (1, 0, 1)}, "--index: neuron 1 is named twice"),
        ({"lookahead": 0}, "--lookahead: 0 layers on is not beyond the neurons; give at least 1"),
        ({"lookahead": -1}, "--lookahead: -1 layers on is not beyond the neurons; give at least 1"),
        ({"kind": "phase", "lookahead": 1}, "--lookahead: is only for --kind forward and relaxed"),
        ({"kind": "result", "lookahead": 1}, "--lookahead: is only for --kind forward and relaxed"),
        ({"kind": "phase", "replace": "zero"}, "--replace: is only for --kind forward and relaxed and result"),
        ({"replace": "best"}, "--replace: unknown replacement 'best'; choose one of zero, identity, constant, line"),
        ({"tolerance": F(1)}, "--tolerance: is only for --kind relaxed"),
        ({"kind": "relaxed"}, "--tolerance: is missing; say how much may change, or ask for --kind forward"),
        ({"kind": "relaxed", "tolerance": F(0)}, "--tolerance: tolerance 0 is not positive; for 0 ask for --kind forward"),
        ({"kind": "relaxed", "tolerance": F(-1)}, "--tolerance: tolerance -1 is not positive; for 0 ask for --kind forward"),
        ({"decision": "argmax"}, "--decision: is only for --kind result"),
        ({"margin": F(0)}, "--margin: is only for --kind result"),
        ({"kind": "result", "decision": "max"}, "--decision: unknown decision 'max'; choose one of argmax, argmin"),
        ({"kind": "result", "margin": F(-1)}, "--margin: margin -1 is negative"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"layer": 1, "neurons": (0,), "kind": "forward"} | options
    with pytest.raises(InputError) as caught:
        RedundancyClaim(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (RedundancyClaim(0, (0,), "phase"), "net: there is no ReLU layer 0; layers count from 1 to 2"),
        (RedundancyClaim(3, (0,), "phase"), "net: there is no ReLU layer 3; layers count from 1 to 2"),
        (RedundancyClaim(1, (1, 2), "phase"), "net: layer 1 has no neuron 2; its neurons count from 0 to 1"),
        (RedundancyClaim(1, (-1,), "phase"), "net: layer 1 has no neuron -1; its neurons count from 0 to 1"),
    ],
)
def test_neurons_that_do_not_exist(claim: RedundancyClaim, message: str) -> None:
    with pytest.raises(InputError) as caught:
        claim.require_fit(NETWORK, "net")
    assert str(caught.value) == message


def test_one_output_decides_nothing() -> None:
    with pytest.raises(InputError, match="net: with one output there is no decision; ask for --kind relaxed"):
        RedundancyClaim(1, (0,), "result").require_fit(SCALAR, "net")


@pytest.mark.parametrize(("lookahead", "watched"), [(None, None), (1, 2), (2, None), (99, None)])
def test_the_layer_that_may_not_change(lookahead: int | None, watched: int | None) -> None:
    assert RedundancyClaim(1, (0,), "forward", lookahead=lookahead).watched_layer(NETWORK) == watched


def test_comparisons() -> None:
    assert RedundancyClaim(1, (0,), "forward").comparison() == Agreement(F(0))
    assert RedundancyClaim(1, (0,), "relaxed", tolerance=F(1, 3)).comparison() == Agreement(F(1, 3))
    assert RedundancyClaim(1, (0,), "result").comparison() == Decision("argmax", F(0))
    assert RedundancyClaim(1, (0,), "result", decision="argmin", margin=F(2)).comparison() == Decision("argmin", F(2))
    with pytest.raises(ValueError, match="no claim about two networks"):
        RedundancyClaim(1, (0,), "phase").comparison()


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (RedundancyClaim(1, (0,), "phase"), "neuron 0 of layer 1 has one phase on D"),
        (RedundancyClaim(1, (0, 1), "phase"), "neurons 0, 1 of layer 1 each have one phase on D"),
        (RedundancyClaim(1, (0,), "forward", lookahead=1), "linearising neuron 0 of layer 1 changes no value of layer 2 on D"),
        (
            RedundancyClaim(1, (0, 1), "relaxed", tolerance=F(1, 3)),
            "linearising neurons 0, 1 of layer 1 changes no output on D by more than 1/3",
        ),
        (RedundancyClaim(2, (0,), "result", decision="argmin"), "linearising neuron 0 of layer 2 changes no argmin on D"),
        (
            RedundancyClaim(2, (0,), "result", margin=F(1, 4)),
            "linearising neuron 0 of layer 2 changes no argmax on D wherever the winner leads by more than 0.25",
        ),
    ],
)
def test_words(claim: RedundancyClaim, words: str) -> None:
    assert claim.words(NETWORK) == words
