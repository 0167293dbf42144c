"""A second opinion on every proven phase: an SMT solver confirms the deciding inequality in exact arithmetic.

The bound propagator proves a phase by an affine lower bound of s z over the inputs of a box (s = +1 for active,
-1 for inactive). The tightest such row of each claim, exact rationals, goes to the solver, which has to find a
point of the box where the row is negative; it must not find one. That takes milliseconds, and checks the
arithmetic of the core by a program that somebody else wrote. It is no part of the proof: the certificate is.
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

#: Seconds for one inequality (it needs milliseconds), and for all of them together.
ROW_LIMIT, TOTAL_LIMIT = 10.0, 60.0

_UNIT = 1 << GRID_BITS  # boxes are given in units of 1 / _UNIT of the normalised input


@dataclass(frozen=True)
class Confirmation:
    """How many claims the solver was asked about and confirmed; `solver` names it with its version, or is None."""

    asked: int = 0
    confirmed: int = 0
    solver: str | None = None
    interrupted: bool = False


def confirm_claims(
    network: Network, domain: Domain, evidence: PhaseEvidence, solver: ResidualSolver, progress: Progress
) -> Confirmation:
    """Put the deciding row of every proven claim to the solver.

    Parameters
    ----------
    solver : whoever is asked; with the choice `none` nobody is, and nothing is confirmed.

    Raises RuntimeError if the solver refutes a row with a point that replays: then a proof of ours is wrong.
    """
    name = solver_versions(solver.choice) or None
    if name is None or not evidence.claims:
        return Confirmation(solver=name)
    return confirm_rows(deciding_rows(network, domain, evidence), solver, progress)


def confirm_rows(rows: Sequence[DecidingRow], solver: ResidualSolver, progress: Progress) -> Confirmation:
    """Put rows to the solver; what it cannot answer in time counts as not confirmed. Errors: `confirm_claims`."""
    name = solver_versions(solver.choice) or None
    end = time.monotonic() + TOTAL_LIMIT
    confirmed = 0
    try:
        for done, row in enumerate(rows):
            progress.update(f"{confirmed:,} of {plural(len(rows), 'claim')}", done / len(rows))
            confirmed += _is_confirmed(row, solver, min(ROW_LIMIT, end - time.monotonic()))
    except KeyboardInterrupt:
        return Confirmation(len(rows), confirmed, name, interrupted=True)
    return Confirmation(len(rows), confirmed, name)


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
