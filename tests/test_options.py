"""Options of a run: what callers from Python give is made whole, and nonsense is refused in one line."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.options import PruneOptions, SliceOptions, VerifyOptions
from secateur.specification.comparison import Agreement, Decision


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (PruneOptions, {"jobs": 2.5}, "--jobs: 2.5 is not a whole number"),
        (VerifyOptions, {"jobs": "2"}, "--jobs: '2' is not a whole number"),
        (PruneOptions, {"jobs": 0}, "--jobs: 0 threads cannot work; give at least 1"),
        (VerifyOptions, {"seed": 0.0}, "--seed: 0.0 is not a whole number"),
        (VerifyOptions, {"seed": -1}, "--seed: seed -1 is negative; give a number from 0"),
        (PruneOptions, {"timeout": "5"}, "--timeout: time limit 5 is not a positive number of seconds"),
        (PruneOptions, {"timeout": None}, "--timeout: time limit None is not a positive number of seconds"),
        (PruneOptions, {"timeout": float("nan")}, "--timeout: time limit nan is not a positive number of seconds"),
        (PruneOptions, {"solver": "gurobi"}, "--solver: unknown solver 'gurobi'; choose one of z3, cvc5, both, none"),
        (PruneOptions, {"preserve": "argmax"}, "--preserve: 'argmax' is no decision; give for example Decision(\"argmax\")"),
        (SliceOptions, {"slices": 1.5}, "--slices: 1.5 is not a whole number"),
        (SliceOptions, {"max_neurons": "3"}, "--max-neurons: '3' is not a whole number"),
        (SliceOptions, {"rounds": 0}, "--rounds: 0 rounds cut nothing; give at least 1"),
        (SliceOptions, {}, "how to cut is not said; give one of --slices, --max-neurons and --rounds"),
    ],
)
def test_nonsense_is_refused(kind: type[Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**given)
    assert str(caught.value) == message


def test_numbers_of_numpy_become_those_of_python() -> None:
    options = SliceOptions(slices=np.int64(4), jobs=np.int32(2), seed=np.uint8(7), timeout=np.float64(2.0))  # type: ignore[arg-type]
    shown = {key: value for key, value in asdict(options).items() if key in ("slices", "jobs", "seed", "timeout")}
    assert json.loads(json.dumps(shown)) == {"slices": 4, "jobs": 2, "seed": 7, "timeout": 2.0}


@pytest.mark.parametrize(
    ("given", "margin"),
    [
        (0.5, Fraction(1, 2)),
        ("1/3", Fraction(1, 3)),
        ("0.1", Fraction(1, 10)),
        (np.float32(0.25), Fraction(1, 4)),
        (2, Fraction(2)),
    ],
)
def test_margins_of_decisions_are_exact(given: Any, margin: Fraction) -> None:
    decision = Decision("argmin", given)
    assert decision == Decision("argmin", margin)
    assert isinstance(decision.margin, Fraction)
    assert SliceOptions(slices=2, preserve=decision).claim == decision


@pytest.mark.parametrize("given", [float("nan"), "wide", None, float("inf")])
def test_margins_that_are_no_numbers_are_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"the decision's margin: .* is not a finite number"):
        Decision("argmax", given)


def test_what_is_claimed() -> None:
    assert SliceOptions(rounds=1).claim == Agreement(Fraction(0))
    assert SliceOptions(rounds=1, tolerance=Fraction(1, 8)).claim == Agreement(Fraction(1, 8))
    assert PruneOptions().relaxed_claim is None
