"""The kernels are compiled once, by one thread, and nobody who waits for them waits past a deadline."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from secateur.bounds import Goal, evaluate, kernels_ready, quantise, root, warm
from tests.bounds.support import random_network


@pytest.fixture
def compilation(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Begin anew, with something else to be compiled."""

    def begin(compiled: Callable[[], None]) -> None:
        monkeypatch.setattr(warm, "_compilation", warm._Compilation())
        monkeypatch.setattr(warm, "_prove_something", compiled)

    return begin


def test_many_threads_share_one_compilation(compilation: Callable[[Callable[[], None]], None]) -> None:
    go, count = threading.Event(), 0

    def compiled() -> None:
        nonlocal count
        count += 1
        assert go.wait(60)

    compilation(compiled)
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: kernels_ready(-math.inf), range(16)))
        assert not kernels_ready(time.monotonic() + 0.01)
        waiting = [pool.submit(kernels_ready, time.monotonic() + 60) for _ in range(4)]
        go.set()
        assert all(w.result() for w in waiting)
    warm.warmup()
    assert count == 1


def test_an_error_reaches_everybody_and_the_next_one_tries_again(compilation: Callable[[Callable[[], None]], None]) -> None:
    failures = [RuntimeError("no room for the cache")]

    def compiled() -> None:
        if failures:
            raise failures.pop()

    compilation(compiled)
    with pytest.raises(RuntimeError, match="no room for the cache"):
        kernels_ready(time.monotonic() + 60)
    assert kernels_ready(time.monotonic() + 60)


def test_questions_need_nothing_that_was_not_compiled() -> None:
    """Otherwise a question would wait for the compiler whatever its time limit is."""
    from secateur.bounds.kernels import evaluate_batch

    assert kernels_ready(time.monotonic() + 600)
    before = list(evaluate_batch.signatures)
    quantised = quantise(random_network([2, 6, 6, 3], 0), (Fraction(-1),) * 2, (Fraction(1, 3),) * 2)
    goals = [Goal(((2, 0, 1), (2, 1, -1)), closed=(True, True)), Goal.of((2, 3, 1))]
    evaluate(quantised, root(quantised, quantised.bounds, 2), goals, 3, 8)
    assert list(evaluate_batch.signatures) == before
