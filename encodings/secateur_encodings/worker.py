"""The child process: `python -m secateur_encodings.worker SOLVER MEMORY_MIB`.

Reads queries from standard input and answers them on standard output (`messages.py`) until the input ends. It
lives for many queries, because starting one costs half a second, and it may be killed at any moment.
"""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import IO

from secateur_encodings.backend import decide
from secateur_encodings.messages import (
    answer_to_json,
    failure,
    greeting,
    read_message,
    read_query,
    write_message,
)
from secateur_encodings.problem import Interval, LinearForm, Problem, Relu

__all__ = ["main", "serve"]


def main(arguments: list[str]) -> int:
    """Exit codes: 0 when the input ends, 1 after a failure, which is the last thing that is written."""
    solver, memory_mib = arguments[0], int(arguments[1])
    answers = _private_stdout()
    # pySMT hands numbers to the solvers in decimal; ours may be longer than Python's default limit for that.
    sys.set_int_max_str_digits(0)
    try:
        _limit_memory(memory_mib << 20)
        # The first query loads pySMT and the solver; it is done before the greeting, so that no limit pays
        # for it.
        decide(_smallest_problem(), solver)
        write_message(answers, greeting())
        serve(sys.stdin.buffer, answers, solver)
    except Exception as error:  # whatever went wrong, it is no verdict, and this process has lost its credit
        write_message(answers, failure(error))
        return 1
    return 0


def serve(queries: IO[bytes], answers: IO[bytes], solver: str) -> None:
    """Answer every query of a stream."""
    while (message := read_message(queries)) is not None:
        query = read_query(message)
        write_message(answers, answer_to_json(query.number, decide(query.problem, solver, query.limit)))


def _private_stdout() -> IO[bytes]:
    """The pipe to the parent, taken away from file descriptor 1, where a solver's chatter would spoil it."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def _limit_memory(size: int) -> None:
    """Cap the address space, in bytes (not on Windows): let the child die, not the machine."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _smallest_problem() -> Problem:
    zero, one = Fraction(0), Fraction(1)
    return Problem((Interval(zero, one),), (Relu(LinearForm(((0, one),)), zero, one),))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
