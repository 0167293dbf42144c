"""Children that fail in every way: each failure is `Unknown`, and the next question gets a new child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from secateur_encodings import SOLVERS, Problem, Sat, SolverChild, Unknown, Unsat, Verdict, worker_command
from tests.secateur_encodings.support import HARD_LIMIT, hard_problem

EASY = hard_problem(2)
SATISFIABLE = Problem(EASY.inputs, EASY.relus)
AMPLE = 60.0

# A child that greets, and then does what its last line says. `answer(x)` sends x to the question just read.
FAKE = """
import sys, time
from secateur_encodings.messages import *
out, questions = sys.stdout.buffer, sys.stdin.buffer
write_message(out, greeting())
question = read_message(questions)
number = question["number"]
def answer(message):
    write_message(out, message)
    time.sleep(60)
"""

NONSENSE = {
    "garbage": "out.write(b'unsat unsat unsat\\n'); out.flush(); time.sleep(60)",
    "endless garbage": "[out.write(b'\\x00' * 4096) for _ in range(10**9)]",
    "another number": "answer({'number': number + 1, 'verdict': 'unsat'})",
    "no number": "answer({'verdict': 'unsat'})",
    "unknown verdict": "answer({'number': number, 'verdict': 'proved'})",
    "half a message": "out.write(b'\\x00\\x00\\x00\\x10unsat'); out.flush()",
    "a huge length": "out.write(b'\\x7f\\xff\\xff\\xff'); out.flush(); time.sleep(60)",
    "the question": "answer(question)",
    "a greeting": "answer(greeting())",
    "a model outside": "answer({'number': number, 'verdict': 'sat', 'model': ['9/1', '0/1']})",
    "a short model": "answer({'number': number, 'verdict': 'sat', 'model': []})",
    "a model of words": "answer({'number': number, 'verdict': 'sat', 'model': ['x', 'y']})",
    "a failure": "answer({'failure': 'out of luck'})",
    "death": "raise SystemExit(0)",
    "a crash": "import os; os.abort()",
}


@contextmanager
def child(command: list[str]) -> Iterator[SolverChild]:
    one = SolverChild(command)
    try:
        yield one
    finally:
        one.close()


def fake(behaviour: str) -> list[str]:
    return [sys.executable, "-c", FAKE + behaviour]


def unknown(verdict: Verdict) -> str:
    assert isinstance(verdict, Unknown)
    return verdict.reason


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def definite(one: SolverChild, problem: Problem) -> Verdict:
    """The first definite answer; a child that dies at this moment may cost one question."""
    verdicts = (one.ask(problem, AMPLE) for _ in range(3))
    return next(verdict for verdict in verdicts if not isinstance(verdict, Unknown))


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_one_child_answers_many_questions(solver: str) -> None:
    with child(worker_command(solver, 4096)) as one:
        assert one.process_id is None
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
        first = one.process_id
        verdict = one.ask(SATISFIABLE, AMPLE)
        assert isinstance(verdict, Sat)
        assert SATISFIABLE.satisfied(verdict.model)
        assert isinstance(one.ask(EASY), Unsat)
        assert one.process_id == first
    assert first is not None
    assert not is_running(first)


def test_the_fake_child_is_believed_when_it_keeps_the_protocol() -> None:
    """The control: what the next test refuses, it refuses for its nonsense."""
    with child(fake("answer({'number': number, 'verdict': 'unsat'})")) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
    with child(fake("answer({'number': number, 'verdict': 'sat', 'model': ['0/1', '0/1']})")) as one:
        assert one.ask(SATISFIABLE, AMPLE) == Sat((Fraction(0), Fraction(0)))


@pytest.mark.parametrize("behaviour", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_unknown_and_the_child_is_replaced(behaviour: str) -> None:
    with child(fake(behaviour)) as one:
        for _ in range(2):
            assert isinstance(one.ask(EASY, AMPLE), Unknown)
            assert one.process_id is None


def test_a_hung_child_is_killed_at_the_limit(tmp_path: Path) -> None:
    marker = tmp_path / "second"
    # The first child hangs; those after it are real workers. The marker is made before the question is read.
    first_hangs = f"""
import os, pathlib, runpy, sys, time
marker = pathlib.Path({str(marker)!r})
if not marker.exists():
    marker.touch()
    from secateur_encodings.messages import *
    write_message(sys.stdout.buffer, greeting())
    time.sleep(600)
sys.argv = ["worker", "z3", "4096"]
runpy.run_module("secateur_encodings.worker", run_name="__main__")
"""
    with child([sys.executable, "-c", first_hangs]) as one:
        while "still starting" in (reason := unknown(one.ask(EASY, HARD_LIMIT))):
            assert one.process_id is not None
        assert "killed" in reason
        assert one.process_id is None
        assert isinstance(one.ask(EASY, AMPLE), Unsat)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process")
def test_a_stopped_solver_is_killed_at_the_limit() -> None:
    with child(worker_command("z3", 4096)) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
        stopped = one.process_id
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        assert isinstance(one.ask(EASY, HARD_LIMIT), Unknown)
        assert not is_running(stopped)
        assert isinstance(one.ask(EASY, AMPLE), Unsat)


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_hard_problem_ends_at_the_limit_and_the_next_is_answered(solver: str) -> None:
    with child(worker_command(solver, 4096)) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
        assert isinstance(one.ask(hard_problem(), HARD_LIMIT), Unknown)
        assert isinstance(one.ask(EASY, AMPLE), Unsat)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_child_killed_from_outside_is_replaced() -> None:
    with child(worker_command("z3", 4096)) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
        killed = one.process_id
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert isinstance(definite(one, EASY), Unsat)
        assert one.process_id != killed


# A parent that asks what takes minutes, says who works on it, and waits. `both` asks from threads that end early: so does this.
PARENT = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from secateur_encodings import SolverChild, Unsat, worker_command
from tests.secateur_encodings.support import hard_problem
one = SolverChild(worker_command(sys.argv[1], 4096))
with ThreadPoolExecutor(1) as threads:
    assert isinstance(threads.submit(one.ask, hard_problem(2), 60.0).result(), Unsat)
first = one.process_id
time.sleep(0.2)
threading.Thread(target=one.ask, args=(hard_problem(), 600.0), daemon=True).start()
time.sleep(1.0)
assert one.process_id == first
print(first, flush=True)
time.sleep(600)
"""


def is_at_work(process_id: int) -> bool:
    """Neither gone nor a zombie that the system's first process has not collected yet."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child whose solver lets no thread run")
@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_child_at_work_ends_when_its_parent_is_killed(solver: str) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, solver], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        assert is_at_work(orphan)
        parent.kill()
    end = time.monotonic() + 5.0
    while is_at_work(orphan) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_at_work(orphan)


def test_a_child_that_never_greets_costs_no_more_than_the_limit_and_no_verdict() -> None:
    with child([sys.executable, "-c", "import time; time.sleep(600)"]) as one:
        assert "still starting" in unknown(one.ask(EASY, 0.2))
        started = one.process_id
        assert started is not None
        assert isinstance(one.ask(EASY, 0.2), Unknown)
        assert one.process_id == started  # not killed: the next question may find it ready
    assert not is_running(started)


def test_a_command_that_does_not_exist_is_unknown() -> None:
    with child(["secateur-no-such-command"]) as one:
        assert "cannot be started" in unknown(one.ask(EASY, AMPLE))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the address space limit reliably")
def test_a_child_without_memory_is_unknown() -> None:
    with child(worker_command("z3", 48)) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unknown)


# A real worker whose solver allocates without end.
GREEDY = """
import sys
import secateur_encodings.worker as worker
real, asked = worker.decide, []
def greedy(problem, solver, limit=None):
    if not asked:  # the first problem is the worker's own, before it greets
        asked.append(problem)
        return real(problem, solver, limit)
    hoard = []
    while True:
        hoard.append(bytearray(1 << 24))
worker.decide = greedy
sys.exit(worker.main(["z3", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the address space limit reliably")
def test_a_solver_that_allocates_without_bound_is_unknown_in_time() -> None:
    with child([sys.executable, "-c", GREEDY, "1024"]) as one:
        assert "still starting" in unknown(one.ask(SATISFIABLE, 0.01))
        greedy = one.process_id
        assert greedy is not None
        begun = time.monotonic()
        assert "MemoryError" in unknown(one.ask(SATISFIABLE, AMPLE))
        assert time.monotonic() - begun < AMPLE + 1.0
        assert one.process_id is None
    assert not is_running(greedy)
    assert no_zombies()


@pytest.mark.skipif(sys.platform == "win32", reason="zombies are POSIX")
@pytest.mark.parametrize("solver", list(SOLVERS))
def test_the_limit_holds_to_the_second(solver: str) -> None:
    with child(worker_command(solver, 4096)) as one:
        assert isinstance(one.ask(EASY, AMPLE), Unsat)
        at_work = one.process_id
        assert at_work is not None
        begun = time.monotonic()
        assert isinstance(one.ask(hard_problem(), 2.0), Unknown)
        assert time.monotonic() - begun < 2.0 + 1.0
    assert not is_running(at_work)
    assert no_zombies()


@pytest.mark.skipif(sys.platform == "win32", reason="zombies are POSIX")
def test_a_child_that_exits_with_code_3_is_unknown() -> None:
    with child(fake("import os; os._exit(3)")) as one:
        assert "ended without an answer" in unknown(one.ask(EASY, AMPLE))
        assert one.process_id is None
    assert no_zombies()


def no_zombies() -> bool:
    """Whether every child of this process that has ended was collected."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # there are none
        return True
