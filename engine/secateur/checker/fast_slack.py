"""What rounding in float32 can do to neurons, in the compiled arithmetic (section 11 of the format); nothing over the reals."""

from __future__ import annotations

import math

import numpy as np

from secateur.checker.fast_layout import Floats, System, Work, kernel, power
from secateur.checker.nodes import SLACK_BITS

__all__ = ["CALLS_INTO", "charge_rows", "prepare_charges"]

CALLS_INTO = "b5f7b4d050310031"  # a digest of fast_layout.py and nodes.py (see the head of the first)


@kernel
def _charge(sigma: Floats, reach: Floats) -> float:
    """S_i: the row of sigma and rbar have a multiple of four places."""
    t0 = t1 = t2 = t3 = 0.0
    for j in range(0, len(sigma), 4):
        t0 += np.ceil(sigma[j] * reach[j])
        t1 += np.ceil(sigma[j + 1] * reach[j + 1])
        t2 += np.ceil(sigma[j + 2] * reach[j + 2])
        t3 += np.ceil(sigma[j + 3] * reach[j + 3])
    return (t0 + t1) + (t2 + t3)


@kernel
def prepare_charges(system: System, work: Work, h: int, reach: Floats) -> float:
    """s_i and f of layer h + 1, from rbar of source h (as long as the source is wide); returns the largest S_i.

    Writes 1 behind rbar, for the bias, and 0 behind that.
    """
    k, s, n, width, largest = h + 1, system.start[h + 1], system.size[h], system.width[h], 0.0
    reach[n], reach[n + 1 : width] = 1.0, 0.0
    sigma = system.sigma[system.row_start[k] :]
    for i in range(system.size[k]):
        work.charge[s + i] = _charge(sigma[i * width : (i + 1) * width], reach[:width])
        largest = max(largest, work.charge[s + i])
    fraction, exponent = math.frexp(largest)
    shift = max(exponent - SLACK_BITS - (1 if fraction == 0.5 else 0), 0)
    work.charge_shift[k] = shift
    for i in range(system.size[k]):
        work.charge[s + i] = np.ceil(work.charge[s + i] * power(-min(shift, 53)))
    return largest


@kernel
def charge_rows(mu: Floats, charge: Floats, v: Floats) -> None:
    """v = sum |mu_i| s_i of many rows, over the neurons that are alive; the charges have a multiple of four places."""
    for r in range(len(v)):
        own = mu[r]
        v0 = v1 = v2 = v3 = 0.0
        for j in range(0, len(charge), 4):
            v0 += abs(own[j]) * charge[j]
            v1 += abs(own[j + 1]) * charge[j + 1]
            v2 += abs(own[j + 2]) * charge[j + 2]
            v3 += abs(own[j + 3]) * charge[j + 3]
        v[r] = (v0 + v1) + (v2 + v3)
