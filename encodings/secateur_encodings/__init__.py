"""Small piecewise-linear problems, their SMT encodings, and the solvers that decide them.

Knows nothing of networks. Importing it loads no solver: those are loaded by the first call that needs one,
normally in a child process (`SolverChild`).
"""

from secateur_encodings.backend import SOLVERS, SolverMissingError, available_solvers, decide, solve
from secateur_encodings.child import SolverChild, worker_command
from secateur_encodings.problem import Interval, LinearForm, Problem, Relu, Row
from secateur_encodings.relu import Encoding
from secateur_encodings.script import Script
from secateur_encodings.smtlib import to_smtlib
from secateur_encodings.verdict import Sat, Unknown, Unsat, Verdict

__all__ = [
    "SOLVERS",
    "Encoding",
    "Interval",
    "LinearForm",
    "Problem",
    "Relu",
    "Row",
    "Sat",
    "Script",
    "SolverChild",
    "SolverMissingError",
    "Unknown",
    "Unsat",
    "Verdict",
    "available_solvers",
    "decide",
    "solve",
    "to_smtlib",
    "worker_command",
]
