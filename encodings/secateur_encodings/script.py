"""SMT-LIB 2 texts that people read: one variable for each value of a network, exact rationals, a comment wherever it helps.

`smtlib.py` writes the problems that this project's own solvers get, in which most variables have been composed away. A text
for somebody else's audit should instead look like what it is about, so it is built here line by line, without pySMT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

__all__ = ["Script", "conjunction", "disjunction", "inequality", "linear", "numeral"]

Terms = Iterable[tuple[str, Fraction]]
"""Names of variables with their coefficients; zeros do not matter."""


def numeral(value: Fraction) -> str:
    """An exact rational as a term of sort Real."""
    size = abs(value)
    text = f"{size.numerator}.0" if size.denominator == 1 else f"(/ {size.numerator}.0 {size.denominator}.0)"
    return f"(- {text})" if value < 0 else text


def linear(terms: Terms, constant: Fraction = Fraction(0)) -> str:
    """sum of coefficient * variable, plus a constant, as a term."""
    parts = [name if c == 1 else f"(* {numeral(c)} {name})" for name, c in terms if c]
    if constant or not parts:
        parts.append(numeral(constant))
    return parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"


def inequality(terms: Terms, bound: Fraction, *, strict: bool) -> str:
    """sum of coefficient * variable <= bound, or < bound."""
    return f"({'<' if strict else '<='} {linear(terms)} {numeral(bound)})"


def conjunction(parts: Sequence[str]) -> str:
    """All of them; `true` without any."""
    return _joined("and", parts, "true")


def disjunction(parts: Sequence[str]) -> str:
    """One of them; `false` without any."""
    return _joined("or", parts, "false")


def _joined(word: str, parts: Sequence[str], empty: str) -> str:
    if len(parts) < 2:
        return parts[0] if parts else empty
    return f"({word}\n  " + "\n  ".join(parts) + ")"


class Script:
    """A script over QF_LRA under construction; the same calls give the same text."""

    def __init__(self, header: Sequence[str]) -> None:
        """header : lines of comment at the top."""
        self._lines = [*(f"; {_one_line(line)}" for line in header), "(set-logic QF_LRA)"]

    def comment(self, text: str) -> None:
        self._lines.append(f"; {_one_line(text)}")

    def variable(self, name: str) -> None:
        self._lines.append(f"(declare-fun {name} () Real)")

    def require(self, condition: str) -> None:
        self._lines.append(f"(assert {condition})")

    def define(self, name: str, value: str) -> None:
        """A variable that equals a term."""
        self.variable(name)
        self.require(f"(= {name} {value})")

    def relu(self, name: str, pre_activation: str) -> None:
        """A variable that is max(0, z) of another one."""
        self.define(name, f"(ite (<= {pre_activation} 0.0) 0.0 {pre_activation})")

    def text(self) -> str:
        """The script, which ends by asking whether all that was required can hold."""
        return "\n".join([*self._lines, "(check-sat)"]) + "\n"


def _one_line(text: str) -> str:
    """A comment ends with its line, whatever a file is called."""
    return "".join(c if c.isprintable() else "?" for c in text)
