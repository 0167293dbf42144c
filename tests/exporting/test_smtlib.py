"""Exported SMT-LIB texts, parsed and answered by z3 and cvc5 themselves; claims made false must be answered `sat`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cvc5
import pytest
import z3

import secateur
from secateur.search import Holds, Violated
from tests.exporting.certificates import false_claim, false_facts, pair, query, refuted
from tests.secateur_encodings.test_smtlib import cvc5_verdict, z3_verdict

assert cvc5.__version__
assert z3.get_version()


def verdicts(certificate: Path, out: Path, wanted: str = "*") -> set[str]:
    """What both solvers say to all texts whose names match."""
    done = secateur.export(certificate, out, form="smtlib")
    texts = [path.read_text() for path in sorted(out.glob(f"{wanted}.smt2"))]
    assert texts
    assert set(done.files) == {path.name for path in out.iterdir()}
    return {str(solve(text)) for text in texts for solve in (z3_verdict, cvc5_verdict)}


@pytest.mark.parametrize(
    "claim", [{"epsilon": "0.1"}, {"decision": "argmax", "margin": "1/3"}, {"decision": "argmin", "margin": "1/3"}]
)
def test_a_claim_about_two_networks_is_confirmed_and_its_falsification_found(tmp_path: Path, claim: dict[str, str]) -> None:
    certificate = pair(tmp_path / "in", **claim)
    assert verdicts(certificate, tmp_path / "true") == {"unsat"}
    assert verdicts(false_claim(certificate), tmp_path / "false", "claim") == {"sat"}


def test_facts_of_a_pruned_network_are_confirmed_and_their_falsification_found(
    pruned: Path, centre: tuple[Fraction, ...], tmp_path: Path
) -> None:
    assert verdicts(pruned, tmp_path / "true", "original_*") == {"unsat"}
    assert verdicts(false_facts(pruned, centre), tmp_path / "false", "original_*") == {"sat"}


def test_a_refuted_claim_is_sat(tmp_path: Path) -> None:
    assert verdicts(refuted(tmp_path / "in", epsilon="0.01"), tmp_path / "out") == {"sat"}


@pytest.mark.parametrize(("condition", "kind", "answer"), [("(>= Y_0 90)", Holds, "unsat"), ("(<= Y_0 90)", Violated, "sat")])
def test_a_query_is_answered_as_certified(tmp_path: Path, condition: str, kind: type, answer: str) -> None:
    assert verdicts(query(tmp_path / "in", condition, kind), tmp_path / "out") == {answer}
