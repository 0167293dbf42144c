"""Mutants of small certificates of every kind: refused, or still true, with no exception but CheckInputError.

`benchmarks/mutate_certificates.py` does the same for as long as one likes.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest

from secateur.checker import Refused, check
from tests.checker.pair_cases import PairCase, prove, random_pair, write_pair_certificate
from tests.forged.bases import KINDS, base
from tests.forged.judging import Truth, judged
from tests.forged.mutation import Mutant, mutant_of, packed
from tests.forged.truth import is_true

MUTANTS = 30


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_mutant_is_accepted_unless_it_is_true(kind: str, tmp_path: Path) -> None:
    rng, truth, own, found = random.Random(kind), Truth(), base(kind, 2), Counter[str]()
    for number in range(MUTANTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        mutant = mutant_of(own, rng)
        outcome, words = judged(mutant, folder, truth)
        assert outcome in ("refused", "true", "trusted", "unclear"), (outcome, mutant.change, words)
        found[outcome] += 1
    assert found["refused"] > MUTANTS // 2
    assert found["true"] > 0


def test_a_false_statement_is_known_to_be_false() -> None:
    """The judge itself: a tolerance that is too small, and a box on which the query has a solution."""
    own = base("simulation, matched", 3)
    assert is_true(own.header, own.files)
    own.header["claim"]["tolerance"] = "1/1000000000"
    assert not is_true(own.header, own.files)
    query = base("unsat", 1)
    assert is_true(query.header, query.files)
    name = query.header["query"]["file"]
    query.files[name] = query.files[name][: query.files[name].index(b"(assert (or")]
    assert not is_true(query.header, query.files)


def test_the_judge_tells_a_wrong_acceptance(tmp_path: Path) -> None:
    """An honest certificate counts as wrong where its statement is said to be false."""
    own = base("differences", 2)
    truth = Truth()
    mutant = Mutant(packed(own, True), own.files, "none")
    assert judged(mutant, tmp_path, truth)[0] == "true"
    truth.known = dict.fromkeys(truth.known, False)
    assert judged(mutant, tmp_path, truth)[0] == "WRONG"


@pytest.mark.parametrize("claim", [[9, 0, "inactive"], [1, 99, "active"]])
def test_facts_about_no_neuron_are_refused_beside_a_difference_tree(claim: list[object], tmp_path: Path) -> None:
    case = next(own for own in map(random_pair, range(100)) if prove_closed(own))
    write_pair_certificate(tmp_path, dataclasses.replace(case, interval=[claim]))
    verdict = check(tmp_path, arithmetic="exact")
    assert isinstance(verdict, Refused)
    assert "is about no neuron" in verdict.reason


def prove_closed(case: PairCase) -> bool:
    """Whether two networks agree up to 1,000, provably at once."""
    case.claim = {"kind": "agree", "tolerance": "1000"}
    return prove(case, 2)
