"""The parent's side of a solver child: start it, ask it, kill it at the limit, start it again.

A solver's own time limit does not hold, so the parent keeps the clock. The child is believed only as far as
it must be: a message that is not exactly an answer to the question counts as nonsense, and a model is
replayed in exact arithmetic. Whatever goes wrong is `Unknown` with its reason; the next question gets a new
child.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from secateur_encodings.messages import (
    ChildError,
    MessageError,
    Query,
    read_answer,
    read_greeting,
    read_message,
    write_message,
)
from secateur_encodings.problem import Problem
from secateur_encodings.verdict import Sat, Unknown, Verdict

__all__ = ["SolverChild", "worker_command"]

#: A child that has not greeted after so many seconds is taken for hung, and killed.
START_UP_ALLOWANCE = 60.0

#: Share of a limit that the solver itself is told: mostly it stops in time, and need not be killed and
#: started again.
SOFT_SHARE = 0.9

#: Seconds to wait for a killed process to vanish, and for its thread.
REAP_ALLOWANCE = 10.0

log = logging.getLogger(__name__)


def worker_command(solver: str, memory_mib: int) -> list[str]:
    """The command of a child for one solver, capped at this much memory (not on Windows)."""
    # -P: without it a file named like a module of ours in the user's folder would be imported instead.
    return [sys.executable, "-P", "-m", "secateur_encodings.worker", solver, str(memory_mib)]


class SolverChild:
    """One solver process at a time, started when first asked and replaced when it fails.

    `command` starts a program that speaks as `worker.py` does. To be used by one thread at a time, and
    closed.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._link: _Link | None = None
        self._asked = 0

    def ask(self, problem: Problem, limit: float | None = None) -> Verdict:
        """The child's verdict within `limit` seconds, start-up included; no fault of a child raises."""
        deadline = None if limit is None else time.monotonic() + limit
        try:
            link = self._live_link()
        except OSError as error:
            return Unknown(f"the solver child cannot be started: {error}")
        if not link.greeted.wait(_seconds_to(deadline)):
            return self._still_starting(link)
        self._asked += 1
        left = _seconds_to(deadline)
        link.queries.put(Query(self._asked, problem, None if left is None else max(left * SOFT_SHARE, 1e-3)))
        try:
            verdict = link.verdicts.get(timeout=left)
        except queue.Empty:
            self.close()
            return Unknown("the time limit is reached; the solver child was killed")
        if verdict is None:
            return self._failed(link)
        return self._replayed(problem, verdict)

    def close(self) -> None:
        """Kill the child, if there is one. Idempotent; asking again starts a new one."""
        if self._link is not None:
            self._link.close()
            self._link = None

    @property
    def process_id(self) -> int | None:
        """Of the running child, for tests and monitors."""
        return None if self._link is None else self._link.process.pid

    def _live_link(self) -> _Link:
        if self._link is not None and self._link.process.poll() is not None:
            self.close()  # it died while nobody asked it anything
        if self._link is None:
            self._link = _Link(self._command)
        return self._link

    def _still_starting(self, link: _Link) -> Unknown:
        if time.monotonic() - link.started > START_UP_ALLOWANCE:
            self.close()
            return Unknown("the solver child hung while starting")
        return Unknown("the time limit is reached; the solver child is still starting")

    def _failed(self, link: _Link) -> Unknown:
        log.warning("%s: %s", self._command, link.failure)
        self.close()
        return Unknown(link.failure)

    def _replayed(self, problem: Problem, verdict: Verdict) -> Verdict:
        if isinstance(verdict, Sat) and not (len(verdict.model) == len(problem.inputs) and problem.satisfied(verdict.model)):
            log.warning("%s: a model that does not replay", self._command)
            self.close()
            return Unknown("the solver child answered with a model that does not replay")
        return verdict


class _Link:
    """A running child and the thread that talks with it, so that no pipe can block whoever keeps the clock.

    A query put into `queries` is answered in `verdicts`, by None when the child has failed; `failure` then
    says how. `greeted` is set once the child is ready, or has failed. The thread also starts the child, because
    Linux ends a worker with the thread that started it (`worker.py`), and whoever asks may be a thread that ends
    earlier. OSError where the program cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.started = time.monotonic()
        self._command = command
        self._running: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        self.greeted = threading.Event()
        self.failure = "the solver child failed"
        self.queries: queue.SimpleQueue[Query | None] = queue.SimpleQueue()
        self.verdicts: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._talk, name="secateur-solver-child", daemon=True)
        self._thread.start()
        started = self._running.get()
        if isinstance(started, OSError):
            raise started
        self.process = started

    def close(self) -> None:
        _kill(self.process)
        self.queries.put(None)
        self._thread.join(REAP_ALLOWANCE)
        for pipe in _pipes(self.process):
            with suppress(OSError):  # bytes that a dead child will not read
                pipe.close()

    def _talk(self) -> None:
        try:
            process = _start(self._command)
        except OSError as error:
            self._running.put(error)
            return
        self._running.put(process)
        to_child, from_child = _pipes(process)
        try:
            read_greeting(self._hear(from_child))
            self.greeted.set()
            while (query := self.queries.get()) is not None:
                write_message(to_child, query.to_json())
                self.verdicts.put(read_answer(self._hear(from_child), query.number))
        except (OSError, EOFError, ChildError, MessageError) as error:
            self.failure = f"the solver child failed: {error}"
        finally:
            self.verdicts.put(None)
            self.greeted.set()

    def _hear(self, from_child: IO[bytes]) -> dict[str, object]:
        message = read_message(from_child)
        if message is None:
            raise EOFError("it ended without an answer")
        return message


def _seconds_to(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a child in its own process group, with this process's import path and a fixed hash seed."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100  (no resolving)
    own_group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **own_group,
    )


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    to_child, from_child = process.stdin, process.stdout
    if to_child is None or from_child is None:
        raise AssertionError("a child is always started with pipes")
    return to_child, from_child


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a child and everything it has started."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            # It may vanish between the two calls; macOS then says that we may not.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_ALLOWANCE)
