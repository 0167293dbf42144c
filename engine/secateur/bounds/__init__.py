"""The performance core: sound bounds of all neurons on batches of sub-domains, in exact integer arithmetic."""

from secateur.bounds.batch import (
    LEAF,
    UNSPLITTABLE,
    ContradictoryBoundsError,
    Evaluation,
    Goal,
    SubDomains,
    evaluate,
    root,
)
from secateur.bounds.chain import ChainLayer, chain_form
from secateur.bounds.quantised import QuantisedNetwork, quantise
from secateur.bounds.root import Claim, RootBounds, root_bounds
from secateur.bounds.rounding import GRID_BITS
from secateur.bounds.warm import kernels_ready, set_threads, warmup

__all__ = [
    "GRID_BITS",
    "LEAF",
    "UNSPLITTABLE",
    "ChainLayer",
    "Claim",
    "ContradictoryBoundsError",
    "Evaluation",
    "Goal",
    "QuantisedNetwork",
    "RootBounds",
    "SubDomains",
    "chain_form",
    "evaluate",
    "kernels_ready",
    "quantise",
    "root",
    "root_bounds",
    "set_threads",
    "warmup",
]
