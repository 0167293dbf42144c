"""Mutants of small certificates of every kind: refused, or still true, with no exception but CheckInputError.

`benchmarks/mutate_certificates.py` does the same for as long as one likes.
"""

from __future__ import annotations

import copy
import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest

from secateur.checker import Refused, check
from tests.checker.pair_cases import PairCase, prove, random_pair, write_pair_certificate
from tests.forged.bases import KINDS, base
from tests.forged.evidence_changes import change_evidence
from tests.forged.judging import Truth, judged
from tests.forged.mutation import Mutant, mutant_of, packed
from tests.forged.truth import Unclear, is_true

MUTANTS = 30
MUTANTS_OF_EVIDENCE = 60  # most of which are refused, as several things change at once


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_mutant_is_accepted_unless_it_is_true(kind: str, tmp_path: Path) -> None:
    rng, truth, own, found = random.Random(kind), Truth(), base(kind, 2), Counter[str]()
    count = MUTANTS_OF_EVIDENCE if "refuted leaves" in kind else MUTANTS
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        mutant = mutant_of(own, rng)
        outcome, words = judged(mutant, folder, truth)
        assert outcome in ("refused", "true", "trusted", "unclear"), (outcome, mutant.change, words)
        found[outcome] += 1
    assert found["refused"] > count // 2
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


def test_what_rounding_breaks_is_known_to_be_false() -> None:
    """A network and itself agree exactly over the reals, but not if every sum has an order of its own."""
    own = base("differences, float32", 1)
    assert is_true(own.header, own.files)
    own.header["claim"] = {"kind": "agree", "tolerance": "0"}
    own.files["other.onnx"] = own.files["net.onnx"]
    assert not is_true(own.header, own.files)
    own.header["claim"]["tolerance"] = "1/1000000"
    with pytest.raises(Unclear, match="less room than rounding may need"):
        is_true(own.header, own.files)
    own.header["claim"]["tolerance"] = "1/100"
    assert is_true(own.header, own.files)
    del own.header["semantics"]
    own.header["claim"]["tolerance"] = "0"
    assert is_true(own.header, own.files)


def test_a_real_solution_makes_a_query_about_float32_false() -> None:
    own = base("unsat, float32", 1)
    assert is_true(own.header, own.files)
    name = own.header["query"]["file"]
    own.files[name] = own.files[name][: own.files[name].index(b"(assert (or")]
    assert not is_true(own.header, own.files)


@pytest.mark.parametrize("kind", ["simulation, refuted leaves", "unsat, refuted leaves", "differences, refuted leaves"])
def test_changes_of_evidence_are_judged_by_their_content(kind: str, tmp_path: Path) -> None:
    own, rng, rules = base(kind, 2), random.Random(kind), Counter[str]()
    for number in range(80):
        bundle = copy.deepcopy(own)
        assert change_evidence(bundle, rng)
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in bundle.files.items():
            (folder / name).write_bytes(data)
        (folder / "mutant.secateur").write_bytes(packed(bundle, True))
        verdict = check(folder / "mutant.secateur")
        rules[verdict.rule if isinstance(verdict, Refused) else "accepted"] += 1
    assert {"accepted", "lemma", "consequence", "refutation"} <= rules.keys(), rules
    assert rules["lemma"] + rules["consequence"] > rules["container"] + rules["header"], rules


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
