"""Write a problem as SMT-LIB 2 text, for certificates and for other solvers.

The text is the same for the same problem, on every machine: declarations in the order of the variables,
assertions in the order of the encoding, rationals exact.
"""

from __future__ import annotations

from secateur_encodings.problem import Problem
from secateur_encodings.relu import Encoding, encode

__all__ = ["to_smtlib"]


def to_smtlib(problem: Problem, encoding: Encoding = Encoding.CASE_SPLIT) -> str:
    """An SMT-LIB 2 script over QF_LRA that ends with `(check-sat)`.

    Inputs are named x0, x1, ..., ReLU outputs r0, r1, ... Under `Encoding.ROUNDED` only the answer `unsat`
    says something about the problem. Call from one thread only (see `backend.py`).
    """
    from pysmt.environment import Environment
    from pysmt.smtlib.printers import to_smtlib as printed

    names = [f"x{i}" for i in range(len(problem.inputs))] + [f"r{k}" for k in range(len(problem.relus))]
    with Environment() as env:
        _, assertions = encode(problem, encoding, env)
        lines = [
            "(set-logic QF_LRA)",
            *(f"(declare-fun {name} () Real)" for name in names),
            *(f"(assert {printed(formula, daggify=False)})" for formula in assertions),
            "(check-sat)",
        ]
    return "\n".join(lines) + "\n"
