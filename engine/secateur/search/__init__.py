"""The solver core: what holds on the whole domain, decided by splitting it."""

from secateur.search.decide import decide
from secateur.search.deciding import DecidingRow, deciding_rows
from secateur.search.phases import decide_phases
from secateur.search.ranges import OutputBounds, output_bounds
from secateur.search.refute import PartProof
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
from secateur.search.slice_phases import Candidates, SlicePhases, decide_slice, prove_at_once, sample
from secateur.search.verdict import Holds, SearchStatistics, Unknown, Verdict, Violated
from secateur.search.witness import Witness

__all__ = [
    "Basis",
    "Candidates",
    "DecidingRow",
    "Holds",
    "NeuronStatus",
    "OutputBounds",
    "PartProof",
    "PhaseEvidence",
    "PhaseResult",
    "PhaseStatistics",
    "ProvenTree",
    "SearchStatistics",
    "SlicePhases",
    "SolverClaim",
    "Status",
    "Tightest",
    "Unknown",
    "Verdict",
    "Violated",
    "Witness",
    "decide",
    "decide_phases",
    "decide_slice",
    "deciding_rows",
    "output_bounds",
    "prove_at_once",
    "sample",
]
