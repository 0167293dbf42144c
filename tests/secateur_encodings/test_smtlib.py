"""The SMT-LIB text: what other programs read in it, and that it never varies."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import cvc5
import pytest
import z3
from hypothesis import given, settings

from secateur_encodings import Encoding, Interval, LinearForm, Problem, Relu, Row, to_smtlib
from tests.secateur_encodings.support import feasible, problems

EXAMPLE = Problem(
    (Interval(Fraction(-1, 3), Fraction(1)),),
    (Relu(LinearForm(((0, Fraction(-2)),), Fraction(1, 2)), Fraction(-3, 2), Fraction(7, 6)),),
    (Row(LinearForm(((0, Fraction(1)), (1, Fraction(-5, 7)))), Fraction(-4), strict=True),),
)

EXAMPLE_TEXT = """\
(set-logic QF_LRA)
(declare-fun x0 () Real)
(declare-fun r0 () Real)
(assert (<= (- (/ 1 3)) x0))
(assert (<= x0 1.0))
"""


def z3_verdict(text: str) -> str:
    solver = z3.Solver(ctx=z3.Context())
    solver.from_string(text)
    return str(solver.check())


def cvc5_verdict(text: str) -> str:
    solver = cvc5.Solver()
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "problem")
    answers = []
    while not (command := parser.nextCommand()).isNull():
        answers.append(command.invoke(solver, parser.getSymbolManager()))
    return str(answers[-1]).strip()


@pytest.mark.parametrize("read", [z3_verdict, cvc5_verdict])
@pytest.mark.parametrize("encoding", [Encoding.CASE_SPLIT, Encoding.ITE])
@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_solvers_that_read_the_text_decide_the_problem(read: object, encoding: Encoding, problem: Problem) -> None:
    assert callable(read)
    assert read(to_smtlib(problem, encoding)) == ("sat" if feasible(problem) else "unsat")


@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_unsat_of_the_rounded_text_transfers(problem: Problem) -> None:
    assert not (feasible(problem) and z3_verdict(to_smtlib(problem, Encoding.ROUNDED)) == "unsat")


def test_the_text_is_plain_and_exact() -> None:
    text = to_smtlib(EXAMPLE)
    assert text.startswith(EXAMPLE_TEXT)
    assert text.endswith("(check-sat)\n")
    assert "(/ 5 7)" in text


def test_the_text_does_not_depend_on_the_process() -> None:
    script = (
        "from tests.secateur_encodings.test_smtlib import EXAMPLE; from secateur_encodings import to_smtlib;"
        "print(to_smtlib(EXAMPLE), end='')"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {to_smtlib(EXAMPLE)}
