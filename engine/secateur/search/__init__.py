"""The solver core: what holds on the whole domain, decided by splitting it."""

from secateur.search.comparing import Attempt, Until, attempt
from secateur.search.decide import decide
from secateur.search.deciding import DecidingRow, deciding_rows
from secateur.search.distance import Distance, largest_difference
from secateur.search.leaf import GoalRefutation, LeafRefutation, ProofStep
from secateur.search.pairing import better_pairing
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
from secateur.search.sides import Ranged
from secateur.search.slice_phases import Candidates, EarlierTurn, SlicePhases, decide_slice, prove_at_once, sample, standing
from secateur.search.verdict import Holds, SearchStatistics, Unknown, Verdict, Violated
from secateur.search.witness import Witness

__all__ = [
    "Attempt",
    "Basis",
    "Candidates",
    "DecidingRow",
    "Distance",
    "EarlierTurn",
    "GoalRefutation",
    "Holds",
    "LeafRefutation",
    "NeuronStatus",
    "OutputBounds",
    "PartProof",
    "PhaseEvidence",
    "PhaseResult",
    "PhaseStatistics",
    "ProofStep",
    "ProvenTree",
    "Ranged",
    "SearchStatistics",
    "SlicePhases",
    "SolverClaim",
    "Status",
    "Tightest",
    "Unknown",
    "Until",
    "Verdict",
    "Violated",
    "Witness",
    "attempt",
    "better_pairing",
    "decide",
    "decide_phases",
    "decide_slice",
    "deciding_rows",
    "largest_difference",
    "output_bounds",
    "prove_at_once",
    "sample",
    "standing",
]
