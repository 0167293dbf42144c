"""The solver core: what holds on the whole domain, decided by splitting it."""

from secateur.search.phases import decide_phases
from secateur.search.result import (
    Basis,
    NeuronStatus,
    PhaseEvidence,
    PhaseResult,
    PhaseStatistics,
    ProvenTree,
    SolverClaim,
    Status,
)

__all__ = [
    "Basis",
    "NeuronStatus",
    "PhaseEvidence",
    "PhaseResult",
    "PhaseStatistics",
    "ProvenTree",
    "SolverClaim",
    "Status",
    "decide_phases",
]
