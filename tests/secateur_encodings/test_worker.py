"""The worker as a program: many queries, solvers that chatter, failures said aloud."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from secateur_encodings import SOLVERS, Problem, Sat, Unsat, Verdict, worker_command
from secateur_encodings.messages import (
    ChildError,
    MessageError,
    Query,
    read_answer,
    read_greeting,
    read_message,
    write_message,
)
from tests.secateur_encodings.support import hard_problem

# The real worker, with a real solver that also writes to standard output, as Python and as C would.
CHATTERING_WORKER = """
import os, sys
from secateur_encodings import worker
quiet = worker.decide
def decide(*arguments):
    print("warning: chatter", flush=True)
    os.write(1, b"c chatter\\n")
    return quiet(*arguments)
worker.decide = decide
raise SystemExit(worker.main(sys.argv[1:]))
"""


def start(command: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )


def conversation(command: list[str], problems: list[Problem]) -> tuple[list[Verdict], int]:
    """The answers to some problems, and the exit code after the input has ended."""
    verdicts = []
    with start(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        read_greeting(read_message(process.stdout) or {})
        for number, problem in enumerate(problems):
            write_message(process.stdin, Query(number, problem, 20.0).to_json())
            verdicts.append(read_answer(read_message(process.stdout) or {}, number))
        process.stdin.close()
        assert read_message(process.stdout) is None
    return verdicts, process.returncode


SATISFIABLE = Problem(hard_problem(1).inputs, hard_problem(1).relus)


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_worker_answers_many_queries_and_ends_with_its_input(solver: str) -> None:
    problems = [hard_problem(2), SATISFIABLE, hard_problem(3), SATISFIABLE]
    verdicts, code = conversation(worker_command(solver, 4096), problems)
    assert [type(verdict) for verdict in verdicts] == [Unsat, Sat, Unsat, Sat]
    assert code == 0


def test_chatter_on_standard_output_does_not_reach_the_protocol() -> None:
    verdicts, code = conversation([sys.executable, "-c", CHATTERING_WORKER, "z3", "4096"], [hard_problem(2)])
    assert verdicts == [Unsat()]
    assert code == 0


def test_a_worker_without_its_solver_says_so_and_ends() -> None:
    with start(worker_command("yices", 4096)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with pytest.raises(ChildError, match="SolverMissingError"):
            read_greeting(read_message(process.stdout) or {})
        process.stdin.close()
    assert process.returncode == 1


def test_a_malformed_query_ends_the_worker_with_its_reason() -> None:
    with start(worker_command("z3", 4096)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        read_greeting(read_message(process.stdout) or {})
        write_message(process.stdin, {"number": 1, "problem": {}, "limit": None})
        with pytest.raises(ChildError, match=MessageError.__name__):
            read_answer(read_message(process.stdout) or {}, 1)
        process.stdin.close()
    assert process.returncode == 1
