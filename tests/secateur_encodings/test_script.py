"""Texts written line by line: their exact wording, and what z3 and cvc5 make of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_encodings.script import Script, conjunction, disjunction, inequality, linear, numeral
from tests.secateur_encodings.test_smtlib import cvc5_verdict, z3_verdict

F = Fraction
rationals = st.fractions(-3, 3, max_denominator=50)
quiet = settings(max_examples=25, deadline=None)


def both(script: Script) -> str:
    """What both solvers say, who must agree."""
    first, second = z3_verdict(script.text()), cvc5_verdict(script.text())
    assert first == second
    return first


def test_a_script_is_this_text() -> None:
    script = Script(["made by\nhand"])
    script.variable("x")
    script.comment("a\r(assert false)")
    script.require(inequality([("x", F(-1, 3))], F(2), strict=False))
    script.relu("r", "x")
    assert script.text() == (
        "; made by?hand\n(set-logic QF_LRA)\n(declare-fun x () Real)\n; a?(assert false)\n"
        "(assert (<= (* (- (/ 1.0 3.0)) x) 2.0))\n"
        "(declare-fun r () Real)\n(assert (= r (ite (<= x 0.0) 0.0 x)))\n(check-sat)\n"
    )


def test_short_terms_are_written_short() -> None:
    assert [numeral(F(0)), numeral(F(-7)), numeral(F(5, 2))] == ["0.0", "(- 7.0)", "(/ 5.0 2.0)"]
    assert [linear([]), linear([("x", F(0))]), linear([("x", F(1))])] == ["0.0", "0.0", "x"]
    assert [conjunction([]), disjunction([]), conjunction(["p"]), disjunction(["p"])] == ["true", "false", "p", "p"]


@quiet
@given(st.lists(st.tuples(rationals, rationals), max_size=4), rationals, st.booleans(), rationals)
def test_a_row_says_what_its_rationals_say(
    terms: Sequence[tuple[Fraction, Fraction]], constant: Fraction, strict: bool, shift: Fraction
) -> None:
    value = sum((c * x for c, x in terms), constant)
    script = Script([])
    for i, (_, x) in enumerate(terms):
        script.define(f"x{i}", numeral(x))
    names = [(f"x{i}", c) for i, (c, _) in enumerate(terms)]
    script.define("y", linear(names, constant))
    script.require(inequality([("y", F(1))], value, strict=False))
    script.require(inequality([("y", F(-1))], -value, strict=False))
    assert both(script) == "sat"
    script.require(inequality(names, value - constant + shift, strict=strict))
    assert both(script) == ("sat" if shift > 0 or (shift == 0 and not strict) else "unsat")


@quiet
@given(rationals, rationals)
def test_a_relu_is_the_larger_of_zero_and_its_argument(z: Fraction, r: Fraction) -> None:
    for value in (r, max(F(0), z)):
        script = Script([])
        script.define("z", numeral(z))
        script.relu("r", "z")
        script.require(f"(= r {numeral(value)})")
        assert both(script) == ("sat" if value == max(0, z) else "unsat")


@pytest.mark.parametrize("truth", [(), (True,), (False,), (True, True), (True, False), (False, False)])
def test_junctions_join(truth: tuple[bool, ...]) -> None:
    for join, joined in ((conjunction, all), (disjunction, any)):
        script = Script([])
        script.require(join([str(part).lower() for part in truth]))
        assert both(script) == ("sat" if joined(truth) else "unsat")
