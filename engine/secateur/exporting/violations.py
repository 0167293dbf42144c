"""What would refute a claim: disjuncts of rows over outputs, and the same with closed atoms for VNN-LIB 1.0.

A claim about two networks is refuted by a point where some disjunct holds, over the outputs of N and then those of N'. The atoms
of VNN-LIB 1.0 are closed, so a strict row is asked a little more widely: `y - y' > e` becomes `y - y' >= e`, and `unsat`
still implies the claim. With e = 0 that would always be `sat`; there a small margin is asked instead, and `unsat` then
confirms the claim up to this margin only. `Relation` says which it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

from secateur.specification.comparison import Comparison, Decision
from secateur.specification.vnnlib.formula import Kind, Row, Variable

__all__ = ["MARGIN", "Bound", "Closed", "Relation", "closed", "neuron_violation", "violations"]

MARGIN = Fraction(1, 10_000)
"""What stands in for a strict comparison with 0 in a file that has closed atoms only."""

Form = tuple[tuple[int, Fraction], ...]


class Relation(enum.Enum):
    """How the answer to a query relates to the claim."""

    EXACT = "unsat if and only if the claim is true"
    STRONGER = "unsat implies the claim; the query also asks for its border, where the claim may be true"
    WEAKER = f"unsat confirms the claim up to a margin of {float(MARGIN):g} only: closed atoms cannot express it"


@dataclass(frozen=True)
class Bound:
    """Form number `form` is at least (`least`) or at most `value`."""

    form: int
    least: bool
    value: Fraction


@dataclass(frozen=True)
class Closed:
    """A violation as closed bounds on linear forms: any disjunct whose bounds all hold."""

    forms: tuple[Form, ...]
    disjuncts: tuple[tuple[Bound, ...], ...]
    relation: Relation


def violations(claim: Comparison, outputs: int) -> list[list[Row]]:
    """Disjuncts over the outputs 0 .. outputs - 1 of N, then those of N'; each says one way in which the claim fails."""
    disjuncts = claim.negation(outputs)
    # The last row of each follows from the others; it helps only a search by differences.
    return [rows[:-1] for rows in disjuncts] if isinstance(claim, Decision) else disjuncts


def neuron_violation(phase: str) -> Row:
    """What refutes that a pre-activation, output 0 of a network, is inactive (z > 0) or active (z < 0)."""
    sign = Fraction(-1) if phase == "inactive" else Fraction(1)
    return Row(((Variable(Kind.OUTPUT, 0), sign),), Fraction(0), strict=True)


def closed(disjuncts: list[list[Row]]) -> Closed:
    """The disjuncts with closed atoms, each about one linear form of the outputs."""
    forms: dict[Form, int] = {}
    weaker = any(row.strict and not row.bound for rows in disjuncts for row in rows)
    found = tuple(tuple(_bound(row, forms) for row in rows) for rows in disjuncts)
    return Closed(tuple(forms), found, Relation.WEAKER if weaker else Relation.STRONGER)


def _bound(row: Row, forms: dict[Form, int]) -> Bound:
    """A row as a bound of a form whose first coefficient is positive."""
    bound = -MARGIN if row.strict and not row.bound else row.bound
    least = row.coefficients[0][1] < 0
    form = tuple((v.position, -c if least else c) for v, c in row.coefficients)
    return Bound(forms.setdefault(form, len(forms)), least, -bound if least else bound)
