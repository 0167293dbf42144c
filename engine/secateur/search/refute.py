"""Refuting a question: a split tree over its domain, with the residual deciders for what splitting does not settle.

Requires a `Question`. Method: the question's rows become the last layer of the network, every disjunct a goal of the tree; a
sub-domain that is still open deep down is a tie or nearly one: its normal form goes to the DPLL over phases, then to SMT.
Soundness: a goal is settled only by a row in exact integer arithmetic, by exact Farkas multipliers (the evidence that a
certificate holds), or by the SMT solver's word (then named). Points are only proposed here; witness.py decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import UNSPLITTABLE, Goal, QuantisedNetwork, SubDomains, quantise, root, root_bounds
from secateur.errors import InputError
from secateur.network import Affine, Network
from secateur.network.difference import DifferenceNetwork
from secateur.residual import Constraint, ResidualSolver, Unknown, Unsat, solver_versions
from secateur.search.leaf import LeafRefutation, Neuron, SubDomain, decide_goal, grid_point, levels_of
from secateur.search.question import Question
from secateur.search.tree import Answer, Aside, SplitTree, answer
from secateur.specification import Domain

__all__ = ["STEPS", "PartProof", "Refutation", "Start", "quantised_rows", "require_affordable", "row_network", "start"]

Point = tuple[Fraction, ...]
Floats = NDArray[np.float64]

STEPS = 3
"""Slope optimisation steps: as for phases, more save little."""
_LAST_PAUSE = 48
_PAUSES = {0: 10, 28: 20, 40: 60, _LAST_PAUSE: 60}
"""Halvings after which a sub-domain that is still open goes to the residual deciders, if it has at most so many unstable neurons:
they settle ties, but a millisecond of theirs is worth ten sub-domains."""
_CERTIFYING_PAUSES = {4: 10, 12: 10, 20: 10, 28: 20, 40: 60, _LAST_PAUSE: 60}
"""The same where a certificate is wanted: a leaf that is replayed takes a byte of it, one with evidence a kilobyte."""
_LAST_UNSTABLE, _SMT_UNSTABLE = 60, 15
"""The same for what can be split no further, and for the SMT solver, who is asked last."""
_RESIDUAL_SECONDS = 10.0
_PRODUCTS_PER_SECOND = 2e9
_MOST_ENTRIES = 40_000_000
"""Matrix entries of all layers, multiplied out: memory is 16 bytes for each, several times over while it is made."""


def row_network(network: Network) -> Network:
    """A network with its outputs, the rows of a question, as last ReLU layer: what the kernels bound."""
    return Network(network.input_size, (*network.layers, network.output), Affine((), np.zeros(0)))


def quantised_rows(network: Network, rows: Affine, domain: Domain, difference: DifferenceNetwork | None) -> QuantisedNetwork:
    """What the kernels bound: the network, or its form by differences, with an affine function of the sources as last layer."""
    if difference is None:
        whole = row_network(Network(network.input_size, network.layers, rows, network.interface))
        return quantise(whole, domain.lower, domain.upper)
    whole = row_network(difference.with_output(rows).network)
    return quantise(whole, domain.lower, domain.upper, difference.partners, difference.shifts)


def require_affordable(sizes: Sequence[int], deadline: float) -> None:
    """InputError where the first sub-domain alone would not be done in half the time that is left: kernels do not stop midway.

    sizes : of all layers, the inputs first.
    """
    products = [a * b for a, b in pairwise(sizes)]
    work = sum(2 * size * sum(products[:k]) for k, size in enumerate(sizes[1:]))
    seconds = work / _PRODUCTS_PER_SECOND
    if sum(products) > _MOST_ENTRIES or seconds > (deadline - time.monotonic()) / 2:
        raise InputError(f"the network is too large for split trees: bounds of one sub-domain would take about {seconds:.0f} s")


class Start(NamedTuple):
    """Where a refutation starts: what the kernels bound, the whole domain with all goals open, and the goals."""

    network: QuantisedNetwork
    domains: SubDomains
    goals: list[Goal]


def start(question: Question, deadline: float, facts: Mapping[tuple[int, int], int] = MappingProxyType({})) -> Start:
    """`facts` as for `Refutation`. InputError where the network does not fit the kernels."""
    form = question.network if question.difference is None else question.difference.network
    require_affordable((form.input_size, *form.sizes, form.output_size), deadline)
    quantised = quantised_rows(question.network, form.output, question.domain, question.difference)
    layer = len(form.layers) + 1
    goals = [Goal(tuple((layer, r, 1) for r in rows), tuple(not question.strict[r] for r in rows)) for rows in question.goals]
    bounds = root_bounds(quantised.layers, facts) if facts else quantised.bounds
    return Start(quantised, root(quantised, bounds, len(goals)), goals)


@dataclass(frozen=True, eq=False)
class PartProof:
    """What a certificate holds of one question: its number of disjuncts, and the tree's symbols in preorder.

    grids : G of every layer, the rows' last. trusted : leaves that rest on a solver's word. shifts : those of the difference
    network, if that is what the tree is about. refuted : evidence of the leaves that have some, in preorder.
    """

    disjuncts: int
    grids: tuple[int, ...]
    steps: int
    symbols: NDArray[np.uint16] = field(repr=False)
    trusted: int
    shifts: tuple[int, ...] = ()
    refuted: tuple[LeafRefutation, ...] = field(default=(), repr=False)


class Refutation:
    """A proof in progress that no point of the domain meets a goal of the question.

    residuals : sub-domains that the residual deciders settled. trusted : the SMT solvers whose word was needed. reason : why
    the proof cannot be finished, empty as long as it can. deadline : when everything ends (`time.monotonic`). facts : proven
    phases of the (first) network's neurons on the domain, (layer, neuron) to sign. steps : of slope optimisation.
    Raises InputError where the network does not fit the kernels.
    """

    def __init__(
        self,
        question: Question,
        solver: ResidualSolver,
        deadline: float,
        *,
        certify: bool = False,
        facts: Mapping[tuple[int, int], int] = MappingProxyType({}),
        steps: int = STEPS,
    ) -> None:
        self.question = question
        self.residuals = 0
        self.trusted = ""
        self.reason = ""
        self._solver, self._deadline = solver, deadline
        network, domains, goals = start(question, deadline, facts)
        self._certify = certify
        self._pauses = {} if question.is_float32 else _CERTIFYING_PAUSES if certify else _PAUSES
        self.tree = SplitTree(network, domains, goals, steps, pauses=list(self._pauses))

    @property
    def finished(self) -> bool:
        """Whether every goal is refuted everywhere."""
        return self.tree.finished and not self.reason

    @property
    def nodes(self) -> int:
        return self.tree.nodes

    def proof(self) -> PartProof:
        """The finished proof. ValueError while it is not."""
        if self.reason:
            raise ValueError(self.reason)
        symbols, settled = self.tree.leaves()
        difference = self.question.difference
        shifts = () if difference is None else difference.shifts
        refuted = tuple(evidence for evidence in settled if evidence is not None)
        trusted, tree = len(settled) - len(refuted), self.tree
        return PartProof(len(self.question.goals), tree.network.grids, tree.steps, symbols, trusted, shifts, refuted)

    def advance(self, deadline: float, most_nodes: int) -> list[Point]:
        """Work until finished, the deadline (`time.monotonic`), a number of nodes, or candidates, which are returned."""
        points = [grid_point(self.question.domain, hit.point) for hit in self.tree.advance(deadline, most_nodes)]
        while self.tree.aside and not self.reason and time.monotonic() < deadline:
            points += self._settle()
        return points

    def _settle(self) -> tuple[Point, ...]:
        """Ask the residual deciders about the sub-domain put aside last; points against its goals."""
        if self.question.is_float32:
            self.reason = "a sub-domain that cannot be split further is as good as a tie, within what float32 rounding may do"
            return ()
        left = len(self.tree.aside)
        points, reason = self.tree.decide_aside(self._ask)
        if not reason:
            self.residuals += len(self.tree.aside) < left
        elif time.monotonic() < self._deadline:  # it had all the time that such a question gets
            self.reason = f"a sub-domain that cannot be split further is as good as a tie ({reason})"
        return points

    def _ask(self, aside: Aside, g: int) -> Answer:
        network, domains, goal = self.question.network, aside.part.domains, self.question.goals[g]
        low, high = (grid_point(self.question.domain, side[0].tolist()) for side in (domains.low, domains.high))
        where = SubDomain(network, low, high, self._plain_ranges(domains))
        if where.unstable > self._pauses.get(int(aside.part.depths[0]), _LAST_UNSTABLE):
            return Answer(False, reason=f"{where.unstable} unstable neurons")
        deadline = min(self._deadline, time.monotonic() + _RESIDUAL_SECONDS)
        rows = [Constraint(((len(network.layers), r, Fraction(1)),), strict=self.question.strict[r]) for r in goal]
        verdict, form, evidence = decide_goal(where, rows, deadline)
        if isinstance(verdict, Unknown) and where.unstable <= _SMT_UNSTABLE and self._may_trust(aside):
            verdict = self._solver.solve(form.problem, deadline - time.monotonic())
            if isinstance(verdict, Unsat):
                self.trusted = solver_versions(self._solver.choice)
        return answer(verdict, None if evidence is None else evidence.renamed(self._name))

    def _may_trust(self, aside: Aside) -> bool:
        """Whether a solver's word is welcome: where a certificate is wanted, only for what nothing else may settle."""
        return not self._certify or aside.coordinate == UNSPLITTABLE or int(aside.part.depths[0]) >= _LAST_PAUSE

    def _name(self, neuron: Neuron) -> Neuron:
        """A neuron of the question's network as certificates name it: of two networks side by side, which one's it is."""
        difference = self.question.difference
        if difference is None:
            return neuron
        layer, i = neuron
        sizes = difference.first.sizes
        own = sizes[layer - 1] if layer <= len(sizes) else 0
        return (0, layer, i) if i < own else (1, layer, i - own)

    def _plain_ranges(self, domains: SubDomains) -> list[tuple[Floats, Floats]]:
        """Bounds of the pre-activations of the question's own network on one sub-domain, by layer."""
        levels = levels_of(domains, [layer.size for layer in self.tree.network.layers])
        difference, sizes = self.question.difference, self.question.network.sizes
        if difference is None:
            return [(low[:own], high[:own]) for own, (low, high) in zip(sizes, levels, strict=False)]
        first, second = len(difference.first.layers), len(difference.levels)
        ranges = []
        for k in range(1, len(sizes) + 1):
            parts = [difference.first_ranges(k, *levels[k - 1])] if k <= first else []
            if k <= second:
                parts.append(difference.second_ranges(k, *levels[difference.levels[k - 1] - 1]))
            ranges.append((np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])))
        return ranges
