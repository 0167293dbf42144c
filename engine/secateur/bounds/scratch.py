"""Buffers of one worker of the kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.microkernel import LANES, TILE_ROWS
from secateur.bounds.powers import kernel

__all__ = ["Scratch", "new_scratch"]

Floats = NDArray[np.float64]


class Scratch(NamedTuple):
    """Buffers of one worker; contents carry nothing from one sub-domain to the next.

    rows, products : (2 n, n + 1) for the widest layer n, both rounded up to whole tiles; terms : (n + 1,);
    slopes : (6, n + 1), relaxation of the current layer as `exchange_row` reads it; sums : (2,);
    alive, targets, chosen, steady : (2 n,) indices; constant_low, constant_high : (2 n,) of the neurons in `steady`;
    signs, thresholds : (2 n,); wanted : (2 n,) flags;
    exponents, constants, weights, slack_weights : (2 n,) per row; row_inputs : (2 n, n_0) coefficients at the input;
    reach, charges, slack_exponents : (K + 2,) S_h, D_h and f_h; slack : s_i, one per neuron, 0 over the reals;
    alphas, coefficients, values, losses : one per neuron;
    influence : (neurons, n_0), |input coefficient| x width of each refreshed neuron;
    point, best_row, new_low, new_high, keep_low, keep_high, scores : (n_0,); outputs : (n + 1,);
    mix : (2 n,) weights of the rows of a goal; share, trial : (2 n,) the same as floats; slant : (2 n, n_0 + 1) those rows over
    the box as floats, constant last; middle : (n_0,) a point of the box.
    """

    rows: Floats
    products: Floats
    terms: Floats
    slopes: Floats
    sums: Floats
    alive: NDArray[np.int64]
    targets: NDArray[np.int64]
    chosen: NDArray[np.int64]
    steady: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    constant_low: Floats
    constant_high: Floats
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
    alphas: Floats
    coefficients: Floats
    best_coefficients: Floats
    values: Floats
    losses: Floats
    influence: Floats
    point: Floats
    best_row: Floats
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


@kernel
def new_scratch(net):
    """Fresh buffers for one worker."""
    widest = 1
    for size in net.sizes:
        widest = max(widest, size)
    n, neurons, layers = net.sizes[0], net.neurons[-1], len(net.sizes) + 1
    rows = 2 * widest + (-2 * widest) % TILE_ROWS
    width = widest + 1 + (-widest - 1) % LANES
    return Scratch(
        np.zeros((rows, width)),
        np.zeros((rows, width)),
        np.zeros(widest + 1),
        np.zeros((6, width)),
        np.zeros(2),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.bool_),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(rows, np.int64),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros((rows, n)),
        np.zeros(layers),
        np.zeros(layers),
        np.zeros(layers, np.int64),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros((neurons, n)),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(widest + 1),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(rows),
        np.zeros((rows, n + 1)),
        np.zeros(n),
    )
