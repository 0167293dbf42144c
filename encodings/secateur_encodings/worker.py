"""The child process: `python -m secateur_encodings.worker SOLVER MEMORY_MIB`.

Reads queries from standard input and answers them on standard output (`messages.py`) until the input ends. It
lives for many queries, because starting one costs half a second, and it may be killed at any moment. The end of
the input is also how it learns that its parent has died, killed perhaps: a thread waits for that, since the solver
may have hours to go for an answer that nobody will read. cvc5 lets no other thread run while it is at work, so Linux
is asked to end the process as well; elsewhere an orphaned cvc5 works on up to its soft limit.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from fractions import Fraction
from typing import IO

from secateur_encodings.backend import decide
from secateur_encodings.messages import (
    Query,
    answer_to_json,
    failure,
    greeting,
    read_message,
    read_query,
    write_message,
)
from secateur_encodings.problem import Interval, LinearForm, Problem, Relu

__all__ = ["main"]

#: From linux/prctl.h.
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Exit codes: 0 when the input ends, 1 after a failure, which is the last thing that is written."""
    solver, memory_mib = arguments[0], int(arguments[1])
    answers = _private_stdout()
    # pySMT hands numbers to the solvers in decimal; ours may be longer than Python's default limit for that.
    sys.set_int_max_str_digits(0)
    queries = _Queries()
    try:
        _end_with_parent()
        queries.follow(os.fdopen(os.dup(0), "rb"))
        _limit_memory(memory_mib << 20)
        # The first query loads pySMT and the solver; it is done before the greeting, so that no limit pays
        # for it.
        decide(_smallest_problem(), solver)
        write_message(answers, greeting())
        _serve(queries, answers, solver)
    except Exception as error:  # whatever went wrong, it is no verdict, and this process has lost its credit
        queries.rest()
        write_message(answers, failure(error))
        return 1
    return 0


class _Queries:
    """The queries of a stream, read by a thread of its own; it ends the process when the stream ends while that is at work."""

    def __init__(self) -> None:
        self._read: queue.SimpleQueue[Query | Exception | None] = queue.SimpleQueue()
        self._idle = threading.Lock()  # held while nobody is at work

    def follow(self, stream: IO[bytes]) -> None:
        """Begin to read."""
        threading.Thread(target=self._follow, args=(stream,), daemon=True).start()

    def next(self) -> Query | None:
        """The next query, None at the end of the stream. Raises `MessageError` on nonsense, `OSError` where it breaks."""
        with self._idle:
            read = self._read.get()
        if isinstance(read, Exception):
            raise read
        return read

    def rest(self) -> None:
        """Nothing will be worked on any more: the process is about to end by itself."""
        self._idle.acquire()

    def _follow(self, stream: IO[bytes]) -> None:
        try:
            while (message := read_message(stream)) is not None:
                self._read.put(read_query(message))
            self._read.put(None)
        except Exception as error:  # for the main thread, which says what went wrong
            self._read.put(error)
        else:
            if self._idle.acquire(blocking=False):  # at work, for somebody who has gone
                os._exit(0)


def _serve(queries: _Queries, answers: IO[bytes], solver: str) -> None:
    """Answer every query of a stream."""
    while (query := queries.next()) is not None:
        write_message(answers, answer_to_json(query.number, decide(query.problem, solver, query.limit)))


def _private_stdout() -> IO[bytes]:
    """The pipe to the parent, taken away from file descriptor 1, where a solver's chatter would spoil it."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def _end_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends (Linux; see `child.py`)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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
