"""Compiling the kernels: once in a process, in a thread of its own, so that whoever waits for them can stop waiting.

Compiling takes a minute on a new machine and a second or two where numba's cache has the result. Numba cannot be interrupted
in it; so a caller with a time limit waits until that, and the compilation goes on for the next one.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from fractions import Fraction

import numpy as np

from secateur.bounds.batch import Goal, evaluate, root
from secateur.bounds.quantised import quantise
from secateur.network import Affine, Dense, Network, Term

__all__ = ["kernels_ready", "set_threads", "warmup"]


class _Compilation:
    """The one compilation of a process, begun by whoever asks for it first; after a failure the next one tries again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._future: Future[None] | None = None

    def begun(self) -> Future[None]:
        """Its end. The thread is a daemon: it keeps no process from ending."""
        with self._lock:
            if self._future is None or (self._future.done() and self._future.exception() is not None):
                self._future = Future()
                threading.Thread(target=_compile, args=(self._future,), name="secateur-kernels", daemon=True).start()
            return self._future


_compilation = _Compilation()


def warmup() -> None:
    """Compile (or load from numba's cache) every kernel, once in a process; returns when that is done."""
    _compilation.begun().result()


def kernels_ready(deadline: float) -> bool:
    """Whether the kernels are compiled, or will be by the deadline (`time.monotonic`), until which this waits.

    Begins the compilation where nobody has; raises what it ended with if that was an error.
    """
    future = _compilation.begun()
    if not future.done():
        wait((future,), min(max(deadline - time.monotonic(), 0.0), threading.TIMEOUT_MAX))
    return future.done() and future.result() is None


def _compile(future: Future[None]) -> None:
    try:
        _prove_something()
    except BaseException as error:  # belongs to those who wait
        future.set_exception(error)
    else:
        future.set_result(None)


def _prove_something() -> None:
    """Prove a claim about a network of one neuron, which takes every kernel."""
    layer = Affine((Term(0, Dense(np.array([[1.0]]))),), np.array([-2.0]))
    output = Affine((Term(1, Dense(np.array([[1.0]]))),), np.array([0.0]))
    network = quantise(Network(1, (layer,), output), (Fraction(0),), (Fraction(1),))
    evaluate(network, root(network, network.bounds, 1), [Goal.of((1, 0, -1))], 0, 1)


def set_threads(count: int) -> int:
    """Let kernels that this thread calls use at most `count` threads; returns how many they will use."""
    import numba

    threads = min(count, int(vars(numba.config)["NUMBA_NUM_THREADS"]))
    numba.set_num_threads(threads)
    return threads
