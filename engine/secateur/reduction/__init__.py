"""Reduction: from proven facts about neurons to a smaller network."""

from secateur.reduction.facts import ContradictoryFactsError, Facts, Phase, Range
from secateur.reduction.rewrite import Rewrite, rewrite
from secateur.reduction.size import Size, network_size
from secateur.reduction.state import Neuron, Step

__all__ = [
    "ContradictoryFactsError",
    "Facts",
    "Neuron",
    "Phase",
    "Range",
    "Rewrite",
    "Size",
    "Step",
    "network_size",
    "rewrite",
]
