"""Nodes of a family's partition, shared by processes: each takes the next node that nobody has, and all must accept.

A node is taken by one process, in order, before any node after it. So when one is refused, all nodes before it are done or in
work, and the refusal at the node of the smallest number is the one that a single process would meet first.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from secateur.checker.refusal import CheckInputError

__all__ = ["Share", "shared"]

Result = TypeVar("Result")


class Counter(Protocol):
    """An integer that processes share, with its lock."""

    value: int

    def get_lock(self) -> Any:
        """The lock."""


@dataclass
class Share:
    """What one process takes of the nodes: all where it is alone. tell : of each slice that is done, with their number.

    number : of the node that it has come to.
    """

    tell: Callable[[int], None]
    following: Counter | None = None
    number: int = -1
    _done: int = field(default=0, repr=False)

    def takes(self, number: int) -> bool:
        """Whether this process verifies the node: nodes come in order, and nobody has taken it."""
        self.number = number
        if self.following is not None:
            with self.following.get_lock():
                if self.following.value > number:
                    return False
                self.following.value = number + 1
        return True

    def done(self) -> None:
        """A slice is verified."""
        self._done += 1
        self.tell(self._done)


@dataclass(frozen=True)
class _Ended:
    """How a process ended: its result; or the node that it came to and why that was the last."""

    number: int
    result: Any = None
    error: Exception | None = None


def _run(task: Callable[[Share], object], following: Counter, own: Connection, most: int) -> None:
    """In a process: work until nothing is left, and say how it ended. Ctrl-C is the first process's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share = Share(own.send, following)
    try:
        ended = _Ended(most, task(share))
    except Exception as error:  # whatever it is, the first process raises it
        with following.get_lock():
            following.value = most  # nobody need begin another node
        ended = _Ended(share.number, error=error)
    own.send(ended)
    own.close()


def shared(task: Callable[[Share], Result], jobs: int, tell: Callable[[int], None]) -> list[Result]:
    """The results of `jobs` processes that share the nodes. tell : the number of slices that are done, whenever it grows.

    Raises what a process raised at the node of the smallest number, and CheckInputError where one died.
    """
    context = multiprocessing.get_context("spawn")
    following, most = context.Value("q", 0), 1 << 62
    processes: list[BaseProcess] = []
    connections: list[Connection] = []
    try:
        for _ in range(jobs):
            own, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(task, following, theirs, most), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(own)
        ended = _collected(connections, tell)
    finally:
        for begun in processes:
            begun.terminate()
            begun.join()
    errors = {end.number: end.error for end in ended if end.error is not None}
    if errors:
        raise errors[min(errors)]
    return [end.result for end in ended]


def _collected(connections: Sequence[Connection], tell: Callable[[int], None]) -> list[_Ended]:
    """What every process says at its end."""
    done = dict.fromkeys(connections, 0)
    ended: dict[Connection, _Ended] = {}
    while len(ended) < len(connections):
        ready = wait([c for c in connections if c not in ended])
        for connection in (c for c in connections if c in ready):
            try:
                message = connection.recv()
            except (EOFError, OSError):
                raise CheckInputError("a process of the check ended unexpectedly (is there enough memory?)") from None
            if isinstance(message, _Ended):
                ended[connection] = message
            else:
                done[connection] = message
                tell(sum(done.values()))
    return [ended[connection] for connection in connections]
