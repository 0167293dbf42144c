"""Buffers of one worker of the kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.microkernel import LANES
from secateur.bounds.powers import allocating_kernel

__all__ = ["GROUP", "Scratch", "new_scratch"]

CALLS_INTO = "c7997840cd8c03bc"  # a digest of what this file calls into (see powers.py)
Floats = NDArray[np.float64]

GROUP = 2 * LANES
"""Goals that are bounded together."""


class Scratch(NamedTuple):
    """Buffers of one worker; contents carry nothing from one sub-domain to the next.

    rows, products, own : tiles for the widest source n, with room for whole vectors of its n + 1 columns. Of a tile's rows,
    peaks, factors, totals, magnitudes : (8,), the last two 0 but within `relax`. terms : (n + 1,); nonzero : (n,) indices.
    Numbers of rows, here 2 m for the widest layer m, are rounded up to whole tiles.
    targets, chosen, places : (2 m,) indices; wanted : (2 m,) flags; signs, thresholds : (2 m,);
    exponents, constants, weights, slack_weights : (2 m,) per row; row_inputs : (2 m, n_0) coefficients at the input;
    reach, charges, slack_exponents : (K + 2,) S_h, D_h and f_h; slack : s_i, one per neuron, 0 over the reals.

    The relaxation of each layer, as `relax` reads it, packed: neurons that are constantly 0 are left out. alive : (K + 2, n)
    neurons by place, all inputs first; slopes : (K + 2, 6, n + 1) in the form of `exchange_tile`; loose, steady : (K + 2, n)
    places of neurons that have a slope to choose, have a constant in place of a slope; alive_counts, steady_counts : (K + 2, 2)
    how many lie among the leading neurons, and in all; loose_counts : (K + 2,); constant_low, constant_high : (K + 2, n) of the
    neurons in `steady`; scales : as the network's; packed : as the network's weights, see `pack`.

    Of goals that are bounded together, by place. alphas, coefficients, best_coefficients : (GROUP, neurons); best, limits,
    best_exponents : (GROUP,); best_rows : (GROUP, n_0); members : (GROUP,) their numbers.

    values, losses : one per neuron; influence : (neurons, n_0), |input coefficient| x width of each refreshed neuron;
    point, new_low, new_high, keep_low, keep_high, scores : (n_0,); outputs : (n + 1,);
    mix : (2 m,) weights of the rows of a goal; share, trial : (2 m,) the same as floats; slant : (2 m, n_0 + 1) those rows over
    the box as floats, constant last; middle : (n_0,) a point of the box.
    """

    rows: Floats
    products: Floats
    own: Floats
    peaks: Floats
    factors: Floats
    totals: Floats
    magnitudes: Floats
    terms: Floats
    targets: NDArray[np.int64]
    chosen: NDArray[np.int64]
    nonzero: NDArray[np.int64]
    places: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    signs: Floats
    thresholds: Floats
    exponents: NDArray[np.int64]
    constants: Floats
    weights: Floats
    slack_weights: Floats
    row_inputs: Floats
    reach: Floats
    charges: Floats
    slack_exponents: NDArray[np.int64]
    slack: Floats
    slopes: Floats
    alive: NDArray[np.int64]
    loose: NDArray[np.int64]
    steady: NDArray[np.int64]
    alive_counts: NDArray[np.int64]
    steady_counts: NDArray[np.int64]
    loose_counts: NDArray[np.int64]
    constant_low: Floats
    constant_high: Floats
    scales: Floats
    packed: Floats
    alphas: Floats
    coefficients: Floats
    best_coefficients: Floats
    best: Floats
    limits: Floats
    best_exponents: NDArray[np.int64]
    best_rows: Floats
    members: NDArray[np.int64]
    values: Floats
    losses: Floats
    influence: Floats
    point: Floats
    new_low: Floats
    new_high: Floats
    keep_low: Floats
    keep_high: Floats
    scores: Floats
    outputs: Floats
    mix: Floats
    share: Floats
    trial: Floats
    slant: Floats
    middle: Floats


@allocating_kernel
def new_scratch(net):
    """Fresh buffers for one worker."""
    widest, tallest = max(1, net.sizes[0]), 1
    for size in net.sizes[1:]:
        widest, tallest = max(widest, size), max(tallest, size)
    n, neurons, layers = net.sizes[0], net.neurons[-1], len(net.sizes) + 1
    rows = max(GROUP, 2 * tallest + (-2 * tallest) % LANES)
    width = widest + 1 + (-widest - 1) % LANES
    alive, alive_counts = np.zeros((layers, widest), np.int64), np.zeros((layers, 2), np.int64)
    alive[0, :n], alive_counts[0] = np.arange(n), n
    return Scratch(
        rows=np.zeros(LANES * width),
        products=np.zeros(LANES * width),
        own=np.zeros(LANES * width),
        peaks=np.zeros(LANES),
        factors=np.zeros(LANES),
        totals=np.zeros(LANES),
        magnitudes=np.zeros(LANES),
        terms=np.zeros(widest + 1),
        targets=np.zeros(rows, np.int64),
        chosen=np.zeros(rows, np.int64),
        nonzero=np.zeros(widest, np.int64),
        places=np.zeros(rows, np.int64),
        wanted=np.zeros(rows, np.bool_),
        signs=np.zeros(rows),
        thresholds=np.zeros(rows),
        exponents=np.zeros(rows, np.int64),
        constants=np.zeros(rows),
        weights=np.zeros(rows),
        slack_weights=np.zeros(rows),
        row_inputs=np.zeros((rows, n)),
        reach=np.zeros(layers),
        charges=np.zeros(layers),
        slack_exponents=np.zeros(layers, np.int64),
        slack=np.zeros(neurons),
        slopes=np.zeros((layers, 6, width)),
        alive=alive,
        loose=np.zeros((layers, widest), np.int64),
        steady=np.zeros((layers, widest), np.int64),
        alive_counts=alive_counts,
        steady_counts=np.zeros((layers, 2), np.int64),
        loose_counts=np.zeros(layers, np.int64),
        constant_low=np.zeros((layers, widest)),
        constant_high=np.zeros((layers, widest)),
        scales=net.scales.copy(),
        packed=np.zeros(len(net.weights)),
        alphas=np.empty((GROUP, neurons)),
        coefficients=np.empty((GROUP, neurons)),
        best_coefficients=np.empty((GROUP, neurons)),
        best=np.zeros(GROUP),
        limits=np.zeros(GROUP),
        best_exponents=np.zeros(GROUP, np.int64),
        best_rows=np.zeros((GROUP, n)),
        members=np.zeros(GROUP, np.int64),
        values=np.zeros(neurons),
        losses=np.zeros(neurons),
        influence=np.empty((neurons, n)),
        point=np.zeros(n),
        new_low=np.zeros(n),
        new_high=np.zeros(n),
        keep_low=np.zeros(n),
        keep_high=np.zeros(n),
        scores=np.zeros(n),
        outputs=np.zeros(widest + 1),
        mix=np.zeros(rows),
        share=np.zeros(rows),
        trial=np.zeros(rows),
        slant=np.empty((rows, n + 1)),
        middle=np.zeros(n),
    )
