"""Deciding goals on one sub-domain exactly, and the evidence that they are refuted there (FORMAT.md, section 13).

Requires bounds of all pre-activations that hold on the sub-domain. The DPLL over phases decides on the normal form; its clauses
and multipliers, brought back to the neurons of the network, are the evidence. Nothing here is trusted: a checker repeats it.
`SplitTree` puts aside the sub-domains in question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import GRID_BITS, SubDomains
from secateur.network import Network
from secateur.residual import Constraint, NormalForm, Unsat, Verdict, normal_form
from secateur.search.clause_proof import trimmed
from secateur.search.phase_dpll import PhaseSearch
from secateur.search.phase_system import PhaseSystem
from secateur.specification import Domain

__all__ = ["GoalRefutation", "LeafRefutation", "Neuron", "ProofStep", "SubDomain", "decide_goal", "grid_point", "levels_of"]

Floats = NDArray[np.float64]

Neuron = tuple[int, ...]
"""Layer, from 1, and index; before them, of two networks, which one (0 or 1)."""


@dataclass(frozen=True)
class ProofStep:
    """A clause over the phases of a refutation's neurons; a lemma has weights of the goal's rows and multipliers of the neurons.

    Literals are i (the i-th neuron, from 1, is active) and -i. Both tuples are empty where the clause follows from those before.
    """

    clause: tuple[int, ...]
    rows: tuple[int, ...] = ()
    multipliers: tuple[int, ...] = ()


@dataclass(frozen=True)
class GoalRefutation:
    """Why no point of a sub-domain meets a goal; the last step's clause is empty."""

    neurons: tuple[Neuron, ...]
    steps: tuple[ProofStep, ...]

    def renamed(self, name: Callable[[Neuron], Neuron]) -> GoalRefutation:
        """The same with other names of the neurons."""
        return replace(self, neurons=tuple(map(name, self.neurons)))


LeafRefutation = tuple[GoalRefutation, ...]
"""One for each goal that was open, in order."""


@dataclass(frozen=True, eq=False)
class SubDomain:
    """A closed box of a network's inputs, and bounds of the pre-activations of each layer on it."""

    network: Network
    lower: Sequence[Fraction]
    upper: Sequence[Fraction]
    bounds: Sequence[tuple[Floats, Floats]]

    @property
    def unstable(self) -> int:
        """Neurons whose phase the bounds leave open."""
        return sum(int(((low < 0) & (high > 0)).sum()) for low, high in self.bounds)


def decide_goal(
    where: SubDomain, rows: Sequence[Constraint], deadline: float
) -> tuple[Verdict, NormalForm, GoalRefutation | None]:
    """Is there a point of the sub-domain at which all rows hold? By `deadline` (`time.monotonic`).

    A `Sat` model is exact; with `Unsat` comes the evidence; the normal form serves whoever else wants to be asked.
    """
    bounds = [(low.tolist(), high.tolist()) for low, high in where.bounds]
    form = normal_form(where.network, where.lower, where.upper, bounds, rows)
    search = PhaseSearch(form.problem, deadline)
    verdict = search.run()
    return verdict, form, _refutation(form, search) if isinstance(verdict, Unsat) else None


def grid_point(domain: Domain, grid: Sequence[int]) -> tuple[Fraction, ...]:
    """The point of a domain with these coordinates, in units of the normalised input."""
    unit = 1 << GRID_BITS
    return tuple(low + width * Fraction(int(q), unit) for low, width, q in zip(domain.lower, domain.widths(), grid, strict=True))


def levels_of(domains: SubDomains, sizes: Sequence[int]) -> list[tuple[Floats, Floats]]:
    """Bounds of the pre-activations of each layer in chain form, of so many neurons, on the first of the sub-domains."""
    ends = np.cumsum([0, *sizes])
    sides = domains.lower[0].astype(np.float64), domains.upper[0].astype(np.float64)
    return [(sides[0][a:b], sides[1][a:b]) for a, b in pairwise(ends)]


def _refutation(form: NormalForm, search: PhaseSearch) -> GoalRefutation:
    neurons = tuple((layer + 1, i) for layer, i in form.neurons)
    return GoalRefutation(neurons, tuple(_step(step.clause, step.multipliers, search.system) for step in trimmed(search.steps)))


def _step(clause: tuple[int, ...], multipliers: Sequence[int] | None, system: PhaseSystem) -> ProofStep:
    if multipliers is None:
        return ProofStep(clause)
    rows, neurons = system.weights(multipliers)
    numbers = _as_integers([*rows, *neurons])
    return ProofStep(clause, numbers[: len(rows)], numbers[len(rows) :])


def _as_integers(values: Sequence[Fraction]) -> tuple[int, ...]:
    """Coprime integers in proportion to the values."""
    unit = math.lcm(*(value.denominator for value in values))
    numerators = [value.numerator * (unit // value.denominator) for value in values]
    common = math.gcd(*numerators) or 1
    return tuple(n // common for n in numerators)
