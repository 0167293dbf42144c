"""Ask one SMT solver about one problem.

`solve` puts a single encoding to a solver; `decide` is what the engine wants: the rounded form first, because
it refutes fastest, then the exact one. Both run in the calling process: a soft limit is all they can keep (z3
and cvc5 overrun it now and then), and pySMT's entered environment is global to the process, so call them from
one thread only. `child.py` wraps them in a process that can be killed.

Trusted rather than verified: the word `unsat` of the solver, and pySMT's translation of it. Verified: every
`Sat`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from secateur_encodings.problem import Problem
from secateur_encodings.relu import Encoding, encode
from secateur_encodings.verdict import Sat, Unknown, Unsat, Verdict

__all__ = ["SOLVERS", "SolverMissingError", "available_solvers", "decide", "solve"]

#: Solver -> the distribution on PyPI that brings it. Both are imported under the solver's own name.
SOLVERS = {"z3": "z3-solver", "cvc5": "cvc5"}

#: What the rounded form may use of a limit before the exact one gets the rest.
ROUNDED_SHARE = 0.5

#: "No limit" for the solvers' options, in milliseconds.
NO_LIMIT = 2**31 - 1


class SolverMissingError(LookupError):
    """The solver asked for is unknown or not installed; the text says how to get it."""

    def __init__(self, solver: str) -> None:
        known = SOLVERS.get(solver)
        super().__init__(
            f"the SMT solver {solver} is not installed (pip install {known})"
            if known
            else f"there is no SMT solver named {solver!r}; choose from {', '.join(SOLVERS)}"
        )


def available_solvers() -> dict[str, str]:
    """The installed solvers and their versions, by name; imports none of them."""
    return {name: _version(package) for name, package in SOLVERS.items() if _is_installed(name)}


def _is_installed(solver: str) -> bool:
    return solver in SOLVERS and importlib.util.find_spec(solver) is not None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def decide(problem: Problem, solver: str, limit: float | None = None) -> Verdict:
    """The verdict on a problem: rounded form first, exact form if that does not refute it.

    `limit` is in seconds, for both together. Raises `SolverMissingError`.
    """
    started = time.monotonic()
    share = None if limit is None else limit * ROUNDED_SHARE
    verdict = solve(problem, solver, encoding=Encoding.ROUNDED, limit=share)
    if not isinstance(verdict, Unknown):
        return verdict
    left = None if limit is None else limit - (time.monotonic() - started)
    return solve(problem, solver, encoding=Encoding.CASE_SPLIT, limit=left)


def solve(problem: Problem, solver: str, *, encoding: Encoding, limit: float | None = None) -> Verdict:
    """The verdict of one solver on one encoding, `limit` in seconds.

    A model is replayed on the problem itself, so `Sat` is certain under any encoding; a model that fails the
    replay (the rounded form has such) is `Unknown`. Raises `SolverMissingError`.
    """
    if not _is_installed(solver):
        raise SolverMissingError(solver)
    if limit is not None and limit <= 0:
        return Unknown("the time limit is used up")
    try:
        point = _ask(problem, solver, encoding, limit)
    except _undecided():
        return Unknown(f"{solver} gave up (time limit, or beyond its means)")
    if point is None:
        return Unsat()
    if problem.satisfied(point):
        return Sat(point)
    return Unknown(f"a model of {solver} does not replay ({encoding.value} encoding)")


def _undecided() -> type[Exception]:
    """What pySMT raises where the solver says `unknown`."""
    from pysmt.exceptions import SolverReturnedUnknownResultError

    error: type[Exception] = SolverReturnedUnknownResultError
    return error


def _ask(problem: Problem, solver: str, encoding: Encoding, limit: float | None) -> tuple[Fraction, ...] | None:
    """The input values of a model, or None where there is none."""
    from pysmt.environment import Environment

    with Environment() as env:
        symbols, assertions = encode(problem, encoding, env)
        with _engine(env, solver, limit, with_relus=bool(problem.relus)) as engine:
            engine.add_assertion(env.formula_manager.And(assertions))
            return _values(engine, symbols) if engine.solve() else None


def _values(engine: Any, symbols: Sequence[Any]) -> tuple[Fraction, ...]:
    constants = [engine.get_value(symbol).constant_value() for symbol in symbols]
    # pySMT computes with gmpy2 where that is installed.
    return tuple(Fraction(int(c.numerator), int(c.denominator)) for c in constants)


@contextmanager
def _engine(env: Any, solver: str, limit: float | None, *, with_relus: bool) -> Iterator[Any]:
    """A pySMT solver, made without pySMT's factory: that one tries to import nine solvers, 15 ms a query."""
    from pysmt.logics import QF_LRA

    milliseconds = NO_LIMIT if limit is None else max(1, min(NO_LIMIT, round(limit * 1000)))
    make, options = _z3(milliseconds) if solver == "z3" else _cvc5(milliseconds, with_relus=with_relus)
    engine = make(env, QF_LRA, generate_models=True, incremental=False, solver_options=options)
    try:
        yield engine
    finally:
        engine.exit()


def _z3(milliseconds: int) -> tuple[Any, dict[str, object]]:
    from pysmt.solvers.z3 import Z3Solver

    return Z3Solver, {"timeout": milliseconds}


def _cvc5(milliseconds: int, *, with_relus: bool) -> tuple[Any, dict[str, object]]:
    from pysmt.solvers.cvcfive import CVC5Solver

    options: dict[str, object] = {"tlimit-per": str(milliseconds)}
    if with_relus:
        # The sum-of-infeasibilities simplex: 1.5 times faster on residuals, 1.5 to 2.5 times slower on plain
        # rows.
        options["use-soi"] = "true"
    return CVC5Solver, options
