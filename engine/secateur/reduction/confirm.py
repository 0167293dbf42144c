"""A second opinion on every proven phase: an SMT solver confirms the deciding inequality in exact arithmetic.

The bound propagator proves a phase by an affine lower bound of s z over the inputs of a box (s = +1 for active,
-1 for inactive). The tightest such row of each claim, exact rationals, goes to the solver, which has to find a
point of the box where the row is negative; it must not find one. That checks the arithmetic of the core by a program
that somebody else wrote. It is no part of the proof (the certificate is), so it gets a share of the time that the search
took: a row takes milliseconds with a few inputs, a second with 784.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.amounts import plural
from secateur.bounds import GRID_BITS
from secateur.network import Network
from secateur.progress import Progress
from secateur.residual import ResidualSolver, Sat, Unsat, solver_versions
from secateur.search import DecidingRow, PhaseEvidence, deciding_rows
from secateur.specification import Domain
from secateur_encodings import Interval, LinearForm, Problem, Row

__all__ = ["Confirmation", "confirm_claims", "confirm_rows", "refutation"]

ROW_LIMIT = 10.0
"""Seconds for one inequality."""

_UNIT = 1 << GRID_BITS  # boxes are given in units of 1 / _UNIT of the normalised input


@dataclass(frozen=True)
class Confirmation:
    """How many claims the solver was asked about and confirmed, and how many there was no time for (`late`).

    solver : its name and version, or None.
    """

    asked: int = 0
    confirmed: int = 0
    solver: str | None = None
    late: int = 0
    interrupted: bool = False


def confirm_claims(
    network: Network, domain: Domain, evidence: PhaseEvidence, solver: ResidualSolver, progress: Progress, seconds: float
) -> Confirmation:
    """Put the deciding rows of the proven claims to the solver for so many seconds: those with the longest proofs first.

    Parameters
    ----------
    solver : whoever is asked; with the choice `none` nobody is, and nothing is confirmed.

    Raises RuntimeError if the solver refutes a row with a point that replays: then a proof of ours is wrong.
    """
    name = solver_versions(solver.choice) or None
    if name is None or not evidence.claims:
        return Confirmation(solver=name)
    return confirm_rows(deciding_rows(network, domain, evidence)[::-1], solver, progress, seconds)


def confirm_rows(rows: Sequence[DecidingRow], solver: ResidualSolver, progress: Progress, seconds: float) -> Confirmation:
    """Put rows to the solver, as many as there is time for; what it cannot answer is not confirmed. Errors: `confirm_claims`."""
    name = solver_versions(solver.choice) or None
    end = time.monotonic() + seconds
    asked = confirmed = 0
    try:
        for row in rows:
            if time.monotonic() >= end:
                break
            progress.update(f"{confirmed:,} of {plural(len(rows), 'claim')}", asked / len(rows))
            asked += 1
            confirmed += _is_confirmed(row, solver, ROW_LIMIT)
    except KeyboardInterrupt:
        return Confirmation(asked, confirmed, name, len(rows) - asked, interrupted=True)
    return Confirmation(asked, confirmed, name, len(rows) - asked)


def _is_confirmed(row: DecidingRow, solver: ResidualSolver, limit: float) -> bool:
    verdict = solver.solve(refutation(row), limit)
    if isinstance(verdict, Sat):
        layer, neuron, sign = row[0]
        raise RuntimeError(
            f"contradiction: layer {layer}, neuron {neuron} was proven {'active' if sign > 0 else 'inactive'}, but "
            f"its deciding inequality fails at {[str(v) for v in verdict.model]} (exact); please report this"
        )
    return isinstance(verdict, Unsat)


def refutation(row: DecidingRow) -> Problem:
    """Is there a point of the row's box where the row is negative? Its inputs are the normalised t."""
    _, coefficients, constant, low, high = row
    ends = zip(low, high, strict=True)
    box = tuple(Interval(Fraction(first, _UNIT), Fraction(last, _UNIT)) for first, last in ends)
    form = LinearForm.of(dict(enumerate(coefficients)), constant)
    return Problem(box, (), (Row(form, Fraction(0), strict=True),))
