"""The floating-point side of the phase search: one HiGHS LP that follows the phases by changes of bounds, from its last basis.

It minimises the largest violation m of the problem's rows over the relaxation under the current phases, so its duals are the
multipliers of a refutation where m > 0, and its solution is a likely model where m <= 0. Where the phases alone contradict each
other it has no solution; then a ray, or the duals of its *elastic* form (z may miss its definition, at a price), say why.

Trusted: nothing. Whatever comes back is a proposal that `PhaseSystem.weigh` and `Problem.satisfied` check.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secateur.search.phase_system import Literal, PhaseSystem, SystemRow

if TYPE_CHECKING:
    import highspy

__all__ = ["LpBasis", "LpSolution", "WarmLp"]

Floats = NDArray[np.float64]

_OPTIONS: dict[str, bool | int | float | str] = {
    "output_flag": False,
    "threads": 1,
    "solver": "simplex",
    "simplex_strategy": 1,  # dual: a change of bounds leaves the last basis dual feasible
    "presolve": "off",  # it would throw the basis away, and rays with it
}

_PREFERENCE = 1e-6
"""By how much strict rows are tightened: of two rows that tie, the strict one gets the multiplier, and needs no surplus.
Above the tolerance of the LP solver, 1e-7, which it would drown in."""


@dataclass(frozen=True)
class LpBasis:
    """Which columns are basic, and for the others whether they are at their upper bound; the same for the rows."""

    basic_columns: tuple[int, ...]
    nonbasic_rows: tuple[int, ...]
    upper_columns: frozenset[int]
    upper_rows: frozenset[int]


@dataclass(frozen=True)
class LpSolution:
    """What the LP proposes. `feasible`: the relaxation seems to have points, `margin` is the least violation of the rows on it.

    multipliers : float64, one per row of the system, or empty. columns : float64, one per column, or empty.
    """

    feasible: bool
    margin: float
    multipliers: Floats
    columns: Floats


class WarmLp:
    """The LP of one `PhaseSystem`. `ArithmeticError` where its numbers are beyond floats.

    After the system's columns come m, the largest violation of the goals, and for every ReLU two columns by which the elastic
    form may miss the definition of z, up and down; they are zero otherwise. Elastic definitions leave nothing to contradict:
    each ReLU by itself has points in each phase, and m is free.
    """

    def __init__(self, system: PhaseSystem) -> None:
        import highspy

        self._system, self._api = system, highspy
        self._width = len(system.lower)
        self._phases = [0] * len(system.relus)
        self._elastic = np.arange(self._width + 1, self._width + 1 + 2 * len(system.relus), dtype=np.int32)
        self._is_elastic = False
        self._column_scale = system.column_unit
        self._row_scale = system.column_unit * system.coefficient_unit
        # The class beneath `Highs`, which enables callbacks and in doing so prints a banner, where users expect verdicts.
        beneath: Any = highspy.Highs.__base__
        self._highs: Any = beneath()
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        if self._highs.passModel(self._model()) == highspy.HighsStatus.kError:  # a warning: tiny coefficients were dropped
            raise ArithmeticError("the LP solver refuses the numbers of the problem")

    def _model(self) -> highspy.HighsLp:
        system, infinity = self._system, self._api.kHighsInf
        lp = self._api.HighsLp()
        nothing = [0.0] * len(self._elastic)
        lp.num_col_, lp.num_row_ = self._width + 1 + len(nothing), len(system.rows)
        m = infinity if system.first_goal < len(system.rows) else 0.0
        lp.col_cost_ = np.array([0.0] * self._width + [1.0, *nothing])
        lp.col_lower_ = np.array([v / self._column_scale for v in system.lower] + [-m, *nothing])
        lp.col_upper_ = np.array([v / self._column_scale for v in system.upper] + [m, *nothing])
        lp.row_lower_ = np.array([-infinity if row.lower is None else row.lower / self._row_scale for row in system.rows])
        lp.row_upper_ = np.array([self._upper_bound(row) for row in system.rows])
        starts, indices, values = [0], [], []
        for i, row in enumerate(system.rows):
            terms = [(c, a / system.coefficient_unit) for c, a in row.terms]
            terms += [(c, float(a)) for c, a in system.slack_terms(i).items()]
            indices += [c for c, _ in terms]
            values += [a for _, a in terms]
            starts.append(len(indices))
        lp.a_matrix_.format_ = self._api.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(starts)
        lp.a_matrix_.index_ = np.array(indices)
        lp.a_matrix_.value_ = np.array(values)
        return lp

    def _upper_bound(self, row: SystemRow) -> float:
        if row.upper is None:
            return float(self._api.kHighsInf)
        return row.upper / self._row_scale - (_PREFERENCE if row.strict else 0.0)

    def solve(self, phases: Sequence[int], deadline: float) -> LpSolution | None:
        """The LP under `phases` (1, -1 or 0 for each ReLU); None where the solver did not finish, for whatever reason."""
        if self._is_elastic:
            self._restore()
        self._follow(phases)
        status = self._run(deadline)
        if status == self._api.HighsModelStatus.kOptimal:
            return self._solution(feasible=True)
        if status == self._api.HighsModelStatus.kInfeasible:
            okay, has_ray, ray = self._highs.getDualRay()
            found = okay == self._api.HighsStatus.kOk and has_ray
            return LpSolution(False, np.inf, -np.array(ray if found else [], dtype=float), np.zeros(0))
        if status == self._api.HighsModelStatus.kUnknown:  # its multipliers may refute all the same
            return replace(self._solution(feasible=False), columns=np.zeros(0))
        return None

    def solve_elastic(self, deadline: float) -> LpSolution | None:
        """The elastic form under the phases of the last `solve`: its duals exist however infeasible they are."""
        count = len(self._elastic)
        zero, one = np.zeros(count), np.ones(count)
        self._highs.changeColsBounds(count, self._elastic, zero, np.full(count, self._api.kHighsInf))
        self._highs.changeColsCost(count, self._elastic, one)
        self._highs.changeColCost(self._width, 0.0)
        self._is_elastic = True
        status = self._run(deadline)
        return self._solution(feasible=False) if status == self._api.HighsModelStatus.kOptimal else None

    def _restore(self) -> None:
        """The plain form again."""
        count = len(self._elastic)
        zero = np.zeros(count)
        self._highs.changeColsBounds(count, self._elastic, zero, zero)
        self._highs.changeColsCost(count, self._elastic, zero)
        self._highs.changeColCost(self._width, 1.0)
        self._is_elastic = False

    def basis(self) -> LpBasis:
        """The basis that the last run ended with."""
        basis, status = self._highs.getBasis(), self._api.HighsBasisStatus
        columns, rows = list(basis.col_status), list(basis.row_status)
        return LpBasis(
            tuple(j for j, s in enumerate(columns) if s == status.kBasic),
            tuple(i for i, s in enumerate(rows) if s != status.kBasic),
            frozenset(j for j, s in enumerate(columns) if s == status.kUpper),
            frozenset(i for i, s in enumerate(rows) if s == status.kUpper),
        )

    def _run(self, deadline: float) -> Any:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + left)  # the solver's clock runs over all calls
        status = self._status()
        if status == self._api.HighsModelStatus.kUnknown:  # numerical trouble, which the same basis would bring again
            self._highs.clearSolver()
            status = self._status()
        return status

    def _status(self) -> Any:
        error = self._api.HighsStatus.kError
        if self._highs.run() == error:
            # Whoever used HiGHS in this process first set the number of its threads: with another it does nothing.
            self._highs.setOptionValue("threads", 0)  # whatever is there; a simplex that is not parallel uses one
            if self._highs.run() == error:
                return None
        return self._highs.getModelStatus()

    def _solution(self, *, feasible: bool) -> LpSolution:
        solution = self._highs.getSolution()
        value = float(self._highs.getObjectiveValue())
        columns = np.array(solution.col_value[: self._width], dtype=float)
        return LpSolution(feasible, value, -np.array(solution.row_dual, dtype=float), columns)

    def _follow(self, phases: Sequence[int]) -> None:
        """Move the bounds of all neurons whose phase has changed."""
        for k, (now, wanted) in enumerate(zip(self._phases, phases, strict=True)):
            if now != wanted:
                self._set(k, wanted)
        self._phases = list(phases)

    def _set(self, neuron: int, phase: int) -> None:
        system = self._system
        relu = system.unstable(neuron)
        if phase:
            literal: Literal = phase * (neuron + 1)
            z, r, gap = system.bounds_under(literal)
        else:
            z, r = ((system.lower[c], system.upper[c]) for c in (relu.pre, relu.output))
            gap = (0, system.rows[relu.gap].upper or 0)
        for column, (low, high) in ((relu.pre, z), (relu.output, r)):
            self._highs.changeColBounds(column, low / self._column_scale, high / self._column_scale)
        self._highs.changeRowBounds(relu.gap, gap[0] / self._row_scale, gap[1] / self._row_scale)
