"""Residual problems decided by DPLL(T) over ReLU phases: start at `decide_residual`.

Requires a problem in normal form with up to about a hundred ReLUs. Method: the Boolean side (`trail.py`) chooses phases; the
theory side is one warm LP over the triangle relaxation (`warm_lp.py`) whose multipliers refute a node, learn a clause over the
phases that the refutation needs, and imply phases whose opposite they refute as well (`phase_system.py`). The solution of the LP
gives the next candidate for a model, and the ReLU to branch on: where the triangle is exceeded most, weighted by its multiplier.

Soundness: verified are every clause (exact integer arithmetic) and every model (exact replay). Nothing of the LP solver is
trusted; where its answers prove nothing down to a leaf, the leaf is set aside and the answer is no longer `Unsat` but `Unknown`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.search.clause_proof import Step
from secateur.search.exact_vertex import exact_multipliers, exact_point
from secateur.search.float_twin import FloatTwin
from secateur.search.phase_system import Literal, Weighed, as_integers, phase_system
from secateur.search.trail import Clause, Trail
from secateur.search.warm_lp import LpSolution, WarmLp
from secateur_encodings import Problem, Sat, Unknown, Unsat, Verdict

__all__ = ["PhaseSearch", "decide_residual", "rounded"]

Point = tuple[Fraction, ...]

_MOST_NODES = 20_000

_COARSE_BITS, _FINE_BITS = 30, 62
"""Bits of the largest multiplier: short ones are faster and nearly always enough, long ones lose next to nothing."""

_TIE = 1e-5
"""Violations of rows (scaled to coefficients of size 1) that floats do not tell from zero."""


def decide_residual(problem: Problem, deadline: float, most_nodes: int = _MOST_NODES) -> Verdict:
    """Is there a point of the input box at which all bounds and rows of the problem hold?

    `deadline` is in `time.monotonic()` seconds; `most_nodes` limits the nodes of the search. A `Sat` model has been replayed
    exactly, an `Unsat` rests on exact refutations only; everything else is `Unknown` with its reason.
    """
    return PhaseSearch(problem, deadline, most_nodes).run()


def rounded(multipliers: NDArray[np.float64], bits: int) -> list[int]:
    """Integers in proportion to the multipliers, the largest with `bits` bits; all zero where they are zero or not finite."""
    largest = float(np.max(np.abs(multipliers), initial=0.0))
    if not 0 < largest < np.inf:
        return [0] * len(multipliers)
    return [int(v) for v in np.rint(np.ldexp(multipliers / largest, bits)).tolist()]


class PhaseSearch:
    """One search, and what it learned.

    `nodes` counts the LPs solved. `steps` are the clauses proved, in order: each holds at every point that satisfies the problem.
    After `Unsat` they end with the empty clause. `system` is what the multipliers of the lemmas among them weigh.
    `ArithmeticError` where the numbers of the problem are beyond floats.
    """

    def __init__(self, problem: Problem, deadline: float, most_nodes: int = _MOST_NODES) -> None:
        self.problem = problem
        self.nodes = 0
        self.steps: list[Step] = []
        self._deadline, self._most_nodes = deadline, most_nodes
        self._trail = Trail(len(problem.relus))
        self._has_open_leaf = False

    def run(self) -> Verdict:
        """The verdict by the deadline; to be called once."""
        if self._is_late():
            return Unknown("the time limit is used up")
        self.system = phase_system(self.problem)
        try:
            self._lp, self._twin = WarmLp(self.system), FloatTwin(self.system)
        except ArithmeticError:
            return Unknown("the numbers of the problem are beyond floats")
        while True:
            step: Sat | Unknown | Clause | None = self._trail.propagate()
            if step is None:
                step = self._node()
            if isinstance(step, Sat | Unknown):
                return step
            if step is not None:
                learned = self._trail.learn(step)
                if learned is None:
                    return self._contradiction()
                self.steps.append(Step(learned))

    def _contradiction(self) -> Verdict:
        """The clauses contradict each other."""
        if self._has_open_leaf:
            return Unknown("a leaf of the search resists exact refutation")
        self.steps.append(Step(()))
        return Unsat()

    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _node(self) -> Sat | Unknown | Clause | None:
        """One LP: a model, a clause that is false now, or one more phase (None)."""
        if self._is_late():
            return Unknown("the time limit is used up")
        if self.nodes >= self._most_nodes:
            return Unknown(f"the limit of {self._most_nodes} nodes is used up")
        self.nodes += 1
        solution = self._lp.solve(self._trail.phases, self._deadline)
        if solution is None:
            return self._branch(None)
        if not solution.feasible:
            clause = self._infeasible(solution)
            return self._branch(None) if clause is None else clause
        return self._feasible(solution)

    # --- theory

    def _feasible(self, solution: LpSolution) -> Sat | Clause | None:
        """The relaxation has points, which does not say that the rows hold at one of them."""
        point = self._model(solution)
        if point is not None:
            return Sat(point)
        weighed = self.system.weigh(rounded(solution.multipliers, _COARSE_BITS))
        clause = self._clause(weighed)
        if clause is None and solution.margin > -_TIE:
            clause = self._clause(self.system.weigh(rounded(solution.multipliers, _FINE_BITS)))
            if clause is None:
                clause = self._clause_of_vertex(elastic=False)
        if clause is not None:
            return clause
        return None if self._imply(weighed) else self._branch(solution)

    def _model(self, solution: LpSolution) -> Point | None:
        """The inputs of the solution, in floats or as the exact vertex that they stand for, if they are a model."""
        if solution.margin > _TIE or self._twin.violation(solution.columns) > _TIE:
            return None
        inputs = solution.columns[: len(self.problem.inputs)].tolist()
        point: Point | None = self.system.point([Fraction(value) for value in inputs])
        if point is not None and self.problem.satisfied(point):
            return point
        point = exact_point(self.system, self._lp.basis(), self._trail.literals, self._deadline)
        return point if point is not None and self.problem.satisfied(point) else None

    def _infeasible(self, solution: LpSolution) -> Clause | None:
        """The phases contradict each other, it says: a clause that proves it."""
        for ray in (solution.multipliers, -solution.multipliers):
            clause = self._clause_of(ray)
            if clause is not None:
                return clause
        elastic = self._lp.solve_elastic(self._deadline)
        if elastic is None:
            return None
        clause = self._clause_of(elastic.multipliers)
        return self._clause_of_vertex(elastic=True) if clause is None else clause

    def _clause_of(self, multipliers: NDArray[np.float64]) -> Clause | None:
        if not len(multipliers):
            return None
        found = (self._clause(self.system.weigh(rounded(multipliers, bits))) for bits in (_COARSE_BITS, _FINE_BITS))
        return next((clause for clause in found if clause is not None), None)

    def _clause_of_vertex(self, *, elastic: bool) -> Clause | None:
        multipliers = exact_multipliers(self.system, self._lp.basis(), elastic=elastic, deadline=self._deadline)
        return None if multipliers is None else self._clause(self.system.weigh(as_integers(multipliers)))

    def _clause(self, weighed: Weighed, kept: Sequence[Literal] = ()) -> Clause | None:
        """Not all phases of the trail together with `kept`, where these multipliers refute them."""
        core = weighed.core(self._trail.literals, kept)
        if core is None:
            return None
        self.steps.append(Step(tuple(-literal for literal in core), weighed.multipliers))
        return self.steps[-1].clause

    def _imply(self, weighed: Weighed) -> bool:
        """Fix the phases whose opposite these multipliers refute; whether there are any."""
        implied = False
        for literal in weighed.refuted_with(self._trail.literals):
            clause = self._clause(weighed, (literal,)) if self._trail.value(literal) == 0 else None
            if clause is not None:
                self._trail.imply(-literal, clause)
                implied = True
        return implied

    # --- branching

    def _branch(self, solution: LpSolution | None) -> Clause | None:
        """Choose a phase of an open ReLU: where the triangle is exceeded most, the phase at the solution.

        At a leaf, where none is open: a clause that sets the leaf aside. It is no lemma.
        """
        choices = [(k, relu) for k, relu in enumerate(self.system.relus) if relu and not self._trail.phases[k]]
        if not choices:
            self._has_open_leaf = True
            return tuple(-literal for literal in self._trail.decisions)
        if solution is None:
            self._trail.decide(choices[0][0] + 1)
            return None
        columns, weights = solution.columns, solution.multipliers

        def excess(k: int) -> tuple[float, float]:
            relu = self.system.unstable(k)
            gap = float(columns[relu.output] - max(columns[relu.pre], 0.0))
            return gap * float(weights[relu.triangle]), gap

        k = max((k for k, _ in choices), key=excess)
        active = columns[self.system.unstable(k).pre] >= 0
        self._trail.decide(k + 1 if active else -k - 1)
        return None
