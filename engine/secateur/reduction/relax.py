"""Removing more than phases allow: neurons whose linearisation changes no output by more than the tolerance, or no decision.

Method: simulation proposes a set; the network is rewritten as if its neurons had the phases that they are given, and stored; what
is proven is one claim about the original and the stored network, by difference bounds over a split tree that builds on the
phases proven before. A set that a point refutes shrinks by what that point forbids; one that is not decided in its time is
bisected. What was proven stays. Soundness: the rewriting is not trusted here, the two networks are compared as they are stored.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from secateur.network import Network, Replay, parse_onnx
from secateur.network.difference import Pairing
from secateur.options import VerifyOptions
from secateur.progress import Progress
from secateur.reduction.facts import ContradictoryFactsError, Facts, Phase
from secateur.reduction.pipeline import Analysis, DifferenceEvidence, Reduction, facts_of, stored
from secateur.reduction.rewrite import Rewrite, rewrite_unproven
from secateur.reduction.simulation import Linearised, Simulation
from secateur.reduction.size import network_size
from secateur.residual import ResidualSolver
from secateur.search import Holds, PhaseEvidence, Unknown, Violated, decide
from secateur.specification.comparison import Comparison, comparison_query

__all__ = ["pairing_of", "relax"]

_ROOM = 0.9
"""Share of the claim's room that samples may need: they do not meet the worst point."""
_LEAST_SECONDS = 5.0


@dataclass(eq=False)
class _Relaxation:
    """A run: what is linearised so far, the best reduction, and the means to go on."""

    analysis: Analysis
    claim: Comparison
    best: Reduction
    simulation: Simulation
    phases: Mapping[tuple[int, int], Phase]
    solver: ResidualSolver
    deadline: float
    progress: Progress
    kept: dict[tuple[int, int], Phase]

    def run(self) -> None:
        """Try the whole set that simulation admits, then what is left of it in smaller groups."""
        order = [(neuron, phase) for _, neuron, phase in self.simulation.order()]
        given = dict(order)
        pending = [[neuron for neuron, _ in order]]
        while pending and time.monotonic() < self.deadline:
            group = pending.pop(0)
            chosen = self.simulation.choose([(neuron, given[neuron]) for neuron in group], self.kept, _ROOM)
            if not chosen:
                continue
            linearised = {**self.kept, **{neuron: given[neuron] for neuron in chosen}}
            self.progress.update(f"{len(self.kept)} neurons linearised, {len(chosen)} more are tried")
            verdict = self._prove(linearised, (self.deadline - time.monotonic()) / (len(pending) + 2))
            if isinstance(verdict, Holds):
                self.kept = linearised
            elif isinstance(verdict, Violated):
                n = self.analysis.model.network.input_size
                self.simulation.add_point(verdict.witness.exact_inputs[:n])
                # Where floats do not see what is wrong with the point, the set shrinks all the same.
                still = self.simulation.strain(linearised) <= _ROOM
                pending.insert(0, chosen[:-1] if still else chosen)
            elif len(chosen) > 1:
                half = len(chosen) // 2
                pending[:0] = [chosen[:half], chosen[half:]]

    def _prove(self, linearised: Linearised, seconds: float) -> Holds | Violated | Unknown:
        """Whether the claim holds for the network rewritten with these phases; if so, and if it is smaller, it is the best."""
        candidate = self._candidate(linearised)
        if candidate is None:
            return Unknown("the rewritten network is no smaller, or cannot be stored")
        data, network, result = candidate
        original = self.analysis.model
        pairing = pairing_of(result, network)
        types = [original.network.interface.element_type] * 2
        query = comparison_query(self.claim, self.analysis.domain, network.output_size, types)
        options = VerifyOptions(
            timeout=max(seconds, _LEAST_SECONDS), jobs=self.analysis.options.jobs, seed=self.analysis.options.seed, certify=True
        )
        verdict = decide(
            query,
            [original.network, network],
            lambda: [Replay(original.data), Replay(data)],
            self.solver,
            options,
            self.progress,
            pairing=pairing,
            facts={(layer, neuron): sign for layer, neuron, sign in _replayable(self.analysis).claims},
        )
        if isinstance(verdict, Holds) and len(verdict.proofs) == 1:
            evidence = DifferenceEvidence(self.claim, pairing, verdict.proofs[0], _replayable(self.analysis))
            tolerance = getattr(self.claim, "tolerance", None)
            self.best = Reduction(
                self.analysis, result, tolerance, network, data, PhaseEvidence(()), evidence, tuple(sorted(linearised))
            )
        return verdict

    def _candidate(self, linearised: Linearised) -> tuple[bytes, Network, Rewrite] | None:
        network = self.analysis.model.network
        phases = [
            [self.phases.get((k, i), linearised.get((k, i), Phase.UNSTABLE)) for i in range(size)]
            for k, size in enumerate(network.sizes, start=1)
        ]
        domain = self.analysis.domain
        try:
            result = rewrite_unproven(network, Facts(domain.lower, domain.upper, phases))
            data = stored(self.analysis, result.network, self.claim.words)
        except (ContradictoryFactsError, ValueError):
            return None
        read = parse_onnx(data, "reduced.onnx")
        if network_size(read) >= network_size(self.best.network):
            return None
        return data, read, result


def relax(
    analysis: Analysis, exact: Reduction, claim: Comparison, solver: ResidualSolver, deadline: float, progress: Progress
) -> Reduction:
    """The smallest network found until the deadline (`time.monotonic`) for which the claim is proven; `exact` if none is smaller.

    Ctrl-C ends the search; what was proven is kept.
    """
    facts = facts_of(analysis)
    phases = {
        (k, i): phase
        for k, layer in enumerate(facts.phases, start=1)
        for i, phase in enumerate(layer)
        if phase is not Phase.UNSTABLE
    }
    network = analysis.model.network
    simulation = Simulation(network, analysis.domain, claim, phases, analysis.options.seed)
    run = _Relaxation(analysis, claim, exact, simulation, phases, solver, deadline, progress, {})
    try:
        run.run()
    except KeyboardInterrupt:
        progress.note("interrupted; what was proven so far is kept")
    return run.best


def _replayable(analysis: Analysis) -> PhaseEvidence:
    """The proven phases that a checker verifies itself."""
    return replace(analysis.phases.evidence, solver=())


def pairing_of(result: Rewrite, reduced: Network) -> Pairing:
    """Which neurons of the reduced network, read back from its file, the rewriting took over from the original."""
    if reduced.sizes != tuple(map(len, result.neurons)):
        return Pairing(tuple(range(1, len(reduced.sizes) + 1)), tuple((None,) * size for size in reduced.sizes))
    partners = []
    for layer in result.neurons:
        seen: set[int] = set()
        mates: list[int | None] = []
        for neuron in layer:
            fresh = neuron.original is not None and neuron.original not in seen
            mates.append(neuron.original if fresh else None)
            seen |= {neuron.original} if neuron.original is not None else set()
        partners.append(tuple(mates))
    return Pairing(tuple(layer + 1 for layer in result.layers), tuple(partners))
