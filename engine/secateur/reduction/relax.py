"""Removing more than phases allow: neurons whose linearisation changes no output by more than the tolerance, or no decision.

Method: simulation proposes a set; the network is rewritten as if its neurons had the phases that they are given, and stored; what
is proven is one claim about the original and the stored network, by difference bounds over a split tree that builds on the
phases proven before. A set that a point refutes shrinks by what that point forbids; one that is not decided in its time is
bisected. What was proven stays. Soundness: the rewriting is not trusted here, the two networks are compared as they are stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from secateur.amounts import plural
from secateur.bounds import Claim
from secateur.errors import InputError
from secateur.network import Network, parse_onnx
from secateur.network.difference import Pairing
from secateur.progress import Progress
from secateur.reduction.facts import ContradictoryFactsError, Facts, Phase
from secateur.reduction.rewrite import Rewrite, rewrite_unproven
from secateur.reduction.simulation import Linearised, Simulation
from secateur.reduction.size import Size, network_size
from secateur.residual import ResidualSolver
from secateur.search import Attempt, PartProof, Until, attempt
from secateur.specification import Domain
from secateur.specification.comparison import Comparison, comparison_query

__all__ = ["Effort", "Relaxable", "Relaxed", "pairing_of", "relax"]

_ROOM = 0.9
"""Share of the claim's room that samples may need: they do not meet the worst point."""


@dataclass(frozen=True, eq=False)
class Relaxable:
    """What is to be made smaller: a network on a domain, under a claim.

    phases : proven, whoever proved them; a rewriting that uses them is compared like any other. facts : those that proofs may
    build on, which a checker verifies itself. stored : a rewritten network as a file, ValueError where its weights do not fit.
    """

    network: Network
    domain: Domain
    claim: Comparison
    phases: Linearised
    facts: tuple[Claim, ...]
    stored: Callable[[Network], bytes]


@dataclass(frozen=True)
class Effort:
    """What it may take. until : when to come to an end. least : seconds that an attempt gets at least. samples : at most.

    steps : of slope optimisation: fewer make sub-domains cheaper, which pays where many are split.
    """

    until: Until
    least: float
    samples: int
    seed: int
    steps: int


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A smaller network for which the claim is proven: as a file, as what is read back from it, and the proof.

    linearised : the neurons that were given a phase which nobody proved.
    """

    rewrite: Rewrite = field(repr=False)
    network: Network
    data: bytes = field(repr=False)
    pairing: Pairing = field(repr=False)
    proof: PartProof
    linearised: tuple[tuple[int, int], ...] = field(repr=False)


@dataclass(eq=False)
class _Run:
    """What is linearised so far, the best that came of it, and the means to go on. size : of the smallest network so far."""

    given: Relaxable
    effort: Effort
    simulation: Simulation
    solver: ResidualSolver
    progress: Progress
    size: Size
    best: Relaxed | None = None
    kept: dict[tuple[int, int], Phase] = field(default_factory=dict)

    def run(self) -> None:
        """Try the whole set that simulation admits, then what is left of it in smaller groups; rounding alone at last."""
        order = [(neuron, phase) for _, neuron, phase in self.simulation.order()]
        given = dict(order)
        pending = [[neuron for neuron, _ in order]]
        while pending and not self.effort.until.over:
            group = pending.pop(0)
            chosen = self.simulation.choose([(neuron, given[neuron]) for neuron in group], self.kept, _ROOM)
            if not chosen:
                continue
            linearised = {**self.kept, **{neuron: given[neuron] for neuron in chosen}}
            self.progress.update(f"{plural(len(self.kept), 'neuron')} linearised, {len(chosen):,} more tried")
            outcome = self._prove(linearised, len(pending) + 2)
            if outcome is None:  # nothing is gained by these: less would gain no more
                continue
            if outcome.proof is not None:
                self.kept = linearised
            elif outcome.points:
                for point in outcome.points:
                    self.simulation.add_point(point)
                # Where floats do not see what is wrong with a point, the set shrinks all the same.
                pending.insert(0, chosen[:-1] if self.simulation.fits(linearised, _ROOM) else chosen)
            elif len(chosen) > 1:
                # Late layers first: what changes there passes through few others, and is bounded tightly.
                half, late = len(chosen) // 2, sorted(chosen, key=lambda neuron: -neuron[0])
                pending[:0] = [late[:half], late[half:]]
        if not self.kept and not self.effort.until.over:
            self._prove({}, 1)

    def _prove(self, linearised: Linearised, share: int) -> Attempt | None:
        """Try the network rewritten with these phases, in a part of the time left; None where it is no smaller."""
        candidate = self._candidate(linearised)
        if candidate is None:
            return Attempt(None)
        data, network, result = candidate
        size = network_size(network)
        if size >= self.size:
            return None
        given, until, now = self.given, self.effort.until, time.monotonic()
        kind = given.network.interface.element_type
        pairing = pairing_of(result, network)
        outcome = attempt(
            comparison_query(given.claim, given.domain, network.output_size, [kind] * 2),
            [given.network, network],
            pairing,
            {(layer, neuron): sign for layer, neuron, sign in given.facts},
            self.solver,
            until._replace(deadline=now + max((until.deadline - now) / share, self.effort.least)),
            self.effort.steps,
        )
        if outcome.proof is not None:
            self.size = size
            self.best = Relaxed(result, network, data, pairing, outcome.proof, tuple(sorted(linearised)))
        return outcome

    def _candidate(self, linearised: Linearised) -> tuple[bytes, Network, Rewrite] | None:
        """The rewritten network as it is stored; None where the phases contradict each other, or it cannot be stored."""
        given, domain = self.given, self.given.domain
        phases = [
            [given.phases.get((k, i), linearised.get((k, i), Phase.UNSTABLE)) for i in range(size)]
            for k, size in enumerate(given.network.sizes, start=1)
        ]
        try:
            result = rewrite_unproven(given.network, Facts(domain.lower, domain.upper, phases))
            data = given.stored(result.network)
        except (ContradictoryFactsError, ValueError):
            return None
        return data, parse_onnx(data, "reduced.onnx"), result


def relax(
    given: Relaxable, size: Size, effort: Effort, solver: ResidualSolver, progress: Progress
) -> tuple[Relaxed | None, bool]:
    """The smallest network found for which the claim is proven, None if none is smaller than `size`; and whether Ctrl-C came.

    Ctrl-C ends the search; what was proven is kept.
    """
    run, interrupted = None, False
    try:
        simulation = Simulation(given.network, given.domain, given.claim, given.phases, effort.seed, effort.samples)
        run = _Run(given, effort, simulation, solver, progress, size)
        run.run()
    except KeyboardInterrupt:
        interrupted = True
        progress.note("interrupted; what was proven so far is kept")
    except InputError as error:  # beyond what the kernels hold, or for too short a time
        progress.note(f"no more neurons are linearised: {error}")
    return None if run is None else run.best, interrupted


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
