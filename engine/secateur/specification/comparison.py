"""What is claimed of two networks on a box, and its negation as a query about both.

    Agreement(Fraction(1, 100))            the outputs differ by at most 1/100
    Decision("argmax", Fraction(0))        wherever the first network has a winner, it wins in the second one too

The order of the query's disjuncts and rows is that of the certificate format (FORMAT.md, section 9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.errors import InputError
from secateur.specification.domain import Domain
from secateur.specification.numerals import Number, exact_rational, format_rational
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Row, Variable
from secateur.specification.vnnlib.query import NetworkDeclaration, Query, TensorDeclaration

__all__ = ["RULES", "Agreement", "Comparison", "Decision", "comparison_query"]

RULES = ("argmax", "argmin")
_ONE = Fraction(1)


@dataclass(frozen=True)
class Agreement:
    """|y_i - y'_i| <= tolerance for every output i. InputError for a negative tolerance."""

    tolerance: Fraction

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise InputError(f"epsilon {format_rational(self.tolerance)} is negative", where="--epsilon")

    @property
    def words(self) -> str:
        return f"max |N - N'| <= {format_rational(self.tolerance)} on D"

    def negation(self, count: int) -> list[list[Row]]:
        """Disjuncts of rows over outputs 0 .. count - 1 of the first and the following ones of the second network."""
        disjuncts = []
        for i in range(count):
            for sign in (1, -1):
                disjuncts.append([_below({i: -sign, count + i: sign}, -self.tolerance, strict=True)])
        return disjuncts


@dataclass(frozen=True, init=False)
class Decision:
    """Wherever one output of the first network leads all others by more than the margin, it leads in the second one too.

    rule : what leading means, `argmax` (larger) or `argmin` (smaller). margin : a number, which counts as the rational it is, or
    a text, which is read exactly. InputError for another rule, and for a margin that is negative or no number.
    """

    rule: str
    margin: Fraction

    def __init__(self, rule: str = "argmax", margin: Number = 0) -> None:
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "margin", exact_rational(margin, "the decision's margin"))
        if self.rule not in RULES:
            raise InputError(f"unknown decision {self.rule!r}", where="the decision", remedy=f"choose {' or '.join(RULES)}")
        if self.margin < 0:
            raise InputError(f"margin {format_rational(self.margin)} is negative", where="the decision")

    @property
    def words(self) -> str:
        lead = f" by more than {format_rational(self.margin)}" if self.margin else ""
        return f"wherever N has a winner ({self.rule}) that leads{lead}, N' has the same winner on D"

    def negation(self, count: int) -> list[list[Row]]:
        """As that of `Agreement`; InputError where there is nothing to decide between."""
        if count < 2:
            raise InputError(f"with {count} output there is none", where="the decision", remedy="ask for a tolerance of outputs")
        sign = 1 if self.rule == "argmax" else -1
        disjuncts = []
        for i in range(count):
            wins = [_below({i: -sign, k: sign}, -self.margin, strict=True) for k in range(count) if k != i]
            for j in range(count):
                if j != i:
                    loses = _below({count + i: sign, count + j: -sign}, Fraction(0), strict=False)
                    disjuncts.append([*wins, loses, _together(i, j, count, sign, self.margin)])
        return disjuncts


Comparison = Agreement | Decision


def _below(coefficients: dict[int, int], bound: Fraction, *, strict: bool) -> Row:
    terms = ((Variable(Kind.OUTPUT, v), Fraction(c)) for v, c in sorted(coefficients.items()))
    return Row(tuple(terms), bound, strict)


def _together(i: int, j: int, count: int, sign: int, margin: Fraction) -> Row:
    """What follows from i leading j in the first network but not in the second: the lead changes by more than the margin.

    A row of differences, whose bounds are far tighter than those of its parts.
    """
    return _below({i: -sign, j: sign, count + i: sign, count + j: -sign}, -margin, strict=True)


def comparison_query(claim: Comparison, domain: Domain, outputs: int, types: Sequence[str]) -> Query:
    """Is there a point of the domain where the claim about networks f and g is false?

    Both get the same input and have as many outputs; `types` are their element types. InputError as `Decision.negation`.
    """
    n = domain.dimension
    networks = tuple(
        NetworkDeclaration(
            name,
            (TensorDeclaration(f"X_{name}", Kind.INPUT, kind, (n,), k * n),),
            (),
            (TensorDeclaration(f"Y_{name}", Kind.OUTPUT, kind, (outputs,), k * outputs),),
        )
        for k, (name, kind) in enumerate(zip("fg", types, strict=True))
    )
    conditions: list[Formula] = []
    for i, (low, high) in enumerate(zip(domain.lower, domain.upper, strict=True)):
        x, same = Variable(Kind.INPUT, i), Variable(Kind.INPUT, n + i)
        conditions += [Row(((x, -_ONE),), -low, strict=False), Row(((x, _ONE),), high, strict=False)]
        conditions += [Row(((x, s), (same, -s)), Fraction(0), strict=False) for s in (_ONE, -_ONE)]
    disjuncts = claim.negation(outputs)
    return Query("2.0", networks, (*conditions, Or(tuple(And(tuple(rows)) for rows in disjuncts))), domain.description)
