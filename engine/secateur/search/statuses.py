"""The status of every neuron, from what was proven and what was witnessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secateur.search.result import Basis, NeuronStatus, PhaseEvidence, Status

__all__ = ["Witnesses", "statuses"]

Neuron = tuple[int, int]


class Witnesses(NamedTuple):
    """For neurons (layer, index) the number of a point at which z > 0, and of one at which z < 0, evaluated exactly."""

    positive: Mapping[Neuron, int]
    negative: Mapping[Neuron, int]


def statuses(
    sizes: Sequence[int], evidence: PhaseEvidence, witnesses: Witnesses, reasons: Mapping[Neuron, str]
) -> tuple[tuple[NeuronStatus, ...], ...]:
    """By layer (of so many neurons) and index; `reasons` of what is undecided.

    RuntimeError where a witness is against a proof.
    """
    signs = {(layer, i): sign for layer, i, sign in evidence.claims}
    basis = dict.fromkeys(signs, Basis.TREE)
    basis |= {claim[:2]: Basis.INTERVAL for claim in evidence.interval}
    basis |= {solved.claim[:2]: Basis.SOLVER for solved in evidence.solver}

    def status(neuron: Neuron) -> NeuronStatus:
        positive, negative = witnesses.positive.get(neuron), witnesses.negative.get(neuron)
        sign = signs.get(neuron)
        if sign is not None:
            if (negative if sign > 0 else positive) is not None:
                raise RuntimeError(
                    f"contradiction: layer {neuron[0]}, neuron {neuron[1]} has a proof and an exact witness against it"
                )
            proven = Status.INACTIVE if sign < 0 else Status.ACTIVE
            return NeuronStatus(proven, basis[neuron], positive=positive, negative=negative)
        if positive is not None and negative is not None:
            return NeuronStatus(Status.BOTH, Basis.WITNESS, positive=positive, negative=negative)
        return NeuronStatus(Status.UNKNOWN, Basis.NONE, reasons[neuron], positive, negative)

    return tuple(tuple(status((k, i)) for i in range(size)) for k, size in enumerate(sizes, start=1))
