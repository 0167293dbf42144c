"""One answer on standard output, in time, and what is told beside it: what the commands that keep a time limit print.

The watchdog ends the process when the limit has passed and something hangs.
"""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from secateur.amounts import plural

if TYPE_CHECKING:
    from secateur.search import Verdict

__all__ = ["OneAnswer", "tell_beside"]

_GRACE = 0.7
"""Seconds after the time limit at which the process answers by itself, whatever hangs."""


class OneAnswer:
    """Standard output gets one answer: that which is given, or another word when the time limit has passed and something hangs.

    otherwise : that word. seconds : the limit from now on; None for none. A context manager: past its end, whatever that was, the
    process is not ended any more.
    """

    def __init__(self, otherwise: str, seconds: float | None) -> None:
        self._otherwise = otherwise
        limit = threading.TIMEOUT_MAX if seconds is None else min(seconds + _GRACE, threading.TIMEOUT_MAX)
        self._lock = threading.Lock()
        self._given = False
        self._timer = threading.Timer(limit, self._give_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._given = True
        self._timer.cancel()

    def give(self, text: str) -> None:
        """Print the answer, once and whole."""
        with self._lock:
            self._given = True
            sys.stdout.write(text)
            sys.stdout.flush()

    def _give_up(self) -> None:
        with self._lock:
            if not self._given:
                try:
                    sys.stdout.write(f"{self._otherwise}\n")
                    sys.stdout.flush()
                    print("secateur: the time limit is used up", file=sys.stderr, flush=True)
                except OSError as error:  # nobody takes the answer
                    print(f"secateur: error: standard output: {error.strerror or error}", file=sys.stderr, flush=True)
                    os._exit(2)
                os._exit(0)  # nothing may wait for whatever hangs; solver processes end with their pipes


def tell_beside(verdict: Verdict) -> None:
    """On standard error: what the verdict took, on whose word it rests, or why there is none."""
    from secateur.search import Holds, Unknown

    s = verdict.statistics
    effort = f"{plural(s.nodes, 'sub-domain')}, {plural(s.residuals, 'residual query', 'residual queries')}"
    print(f"{effort}, {s.seconds:.2f} s of search", file=sys.stderr)
    if isinstance(verdict, Holds) and verdict.trusted:
        print(f"the verdict rests on {verdict.trusted} for some sub-domains", file=sys.stderr)
    if isinstance(verdict, Unknown):
        print(f"secateur: {verdict.reason}", file=sys.stderr)
