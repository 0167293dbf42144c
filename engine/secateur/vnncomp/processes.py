"""One child process, measured: its wall time, its peak memory, and a limit that holds even if it hangs.

The wait blocks in the kernel (no polling), because start-up times are part of what is measured. At the limit the child's whole
session is killed, so that helpers of a shell script end with it. If this process is killed, nobody is left to do that: a child
on a leash can tell by the end of its standard input, to which nothing is written (`leash.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from secateur.errors import InputError

__all__ = ["Children", "Finished"]

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere


@dataclass(frozen=True)
class Finished:
    """How a process ended: exit code (negative: a signal), seconds of wall time, output, whether the limit killed it.

    `peak_bytes` is the largest resident memory of it or one of its children; None where the system does not tell. Linux counts
    what it shared with this process before it ran: where this process is larger, the number says nothing.
    """

    code: int
    seconds: float
    output: bytes
    errors: bytes
    killed: bool
    peak_bytes: int | None


class _Child:
    """A running process that may be killed by another thread at any time until it is reaped."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._running = True
        self.killed = False

    def kill(self) -> None:
        with self._lock:
            if self._running:
                self.killed = True
                _kill_session(self._process)

    def wait(self) -> int | None:
        """Block until the end; returns the peak memory in bytes where the system tells."""
        if not (hasattr(os, "waitid") and hasattr(os, "wait4")):
            self._process.wait()
            with self._lock:
                self._running = False
            return None
        # Wait without reaping first: while the lock is free, the process number still belongs to the child.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._running = False
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * _MAXRSS_UNIT


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
    else:
        process.kill()


class Children:
    """Starts processes, from any thread, and can kill all that are running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: set[_Child] = set()
        self._closed = False

    def run(self, words: Sequence[str | Path], limit: float, *, leash: bool = False) -> Finished:
        """Run a program to its end or for `limit` seconds; `InputError` where it cannot be started.

        leash : its standard input is a pipe that ends when this process does; otherwise it is empty, so that nobody waits for it.
        """
        try:
            return self._run(words, limit, subprocess.PIPE if leash else subprocess.DEVNULL)
        except OSError as error:
            raise InputError(f"cannot be started: {error.strerror or error}", where=str(words[0])) from None

    def _run(self, words: Sequence[str | Path], limit: float, stdin: int) -> Finished:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            begun = time.perf_counter()
            process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                child, peak = self._attend(process, limit)
                seconds = time.perf_counter() - begun
            finally:
                if process.stdin is not None:
                    process.stdin.close()
            output.seek(0)
            errors.seek(0)
            return Finished(process.returncode, seconds, output.read(), errors.read(), child.killed, peak)

    def _attend(self, process: subprocess.Popen[bytes], limit: float) -> tuple[_Child, int | None]:
        child = _Child(process)
        with self._lock:
            self._active.add(child)
            closed = self._closed
        timer = threading.Timer(limit, child.kill)
        timer.start()
        try:
            if closed:
                child.kill()
            return child, child.wait()
        except BaseException:  # Ctrl-C: the child must not outlive us
            child.kill()
            child.wait()
            raise
        finally:
            timer.cancel()
            with self._lock:
                self._active.discard(child)

    def kill_all(self) -> None:
        """Kill what runs now and what is started later."""
        with self._lock:
            self._closed = True
            active = list(self._active)
        for child in active:
            child.kill()
