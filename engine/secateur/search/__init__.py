"""The solver core: what holds on the whole domain, decided by splitting it."""

from secateur.search.deciding import DecidingRow, deciding_rows
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
    Tightest,
)

__all__ = [
    "Basis",
    "DecidingRow",
    "NeuronStatus",
    "PhaseEvidence",
    "PhaseResult",
    "PhaseStatistics",
    "ProvenTree",
    "SolverClaim",
    "Status",
    "Tightest",
    "decide_phases",
    "deciding_rows",
]
