"""Compiling the kernels ahead of time, so that nobody waits for it in the middle of a run."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np

from secateur.bounds.batch import Goal, evaluate, root
from secateur.bounds.quantised import quantise
from secateur.network import Affine, Dense, Network, Term

__all__ = ["set_threads", "warmup"]


@cache
def warmup() -> None:
    """Compile (or load from numba's cache) every kernel, once in a process: proves a claim about a network of one neuron."""
    layer = Affine((Term(0, Dense(np.array([[1.0]]))),), np.array([-2.0]))
    output = Affine((Term(1, Dense(np.array([[1.0]]))),), np.array([0.0]))
    network = quantise(Network(1, (layer,), output), (Fraction(0),), (Fraction(1),))
    evaluate(network, root(network, network.bounds, 1), [Goal.of((1, 0, -1))], 0, 1)


def set_threads(count: int) -> int:
    """Let kernels use at most `count` threads; returns how many they will use."""
    import numba

    threads = min(count, int(vars(numba.config)["NUMBA_NUM_THREADS"]))
    numba.set_num_threads(threads)
    return threads
