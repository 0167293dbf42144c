"""The compiled arithmetic's arrays, and why doubles are exact in it: what the modules of kernels share.

They compute the same rows, refresh, goals, contraction and splits as `python_arithmetic`, with integers in doubles.

Why doubles are exact here. Every integer below 2^53 is a double, and sums and products of integers are exact while
they stay below it:

* |mu_j| <= |a_j| <= 2^24 and sum_i |Q_ij| <= 2^28 per column, so every partial sum of mu Q, in any order, is at most
  2^52; w = sum |mu_j| <= 8192 * 2^24 = 2^37, and D has 16 significant bits, so w D has at most 53; s_j <= 2^16, so
  v = sum |mu_j| s_j <= 2^53. The weights of a mixed row are at most 2^20.
* a p, mu l, (a - mu) u, delta rbar and sigma rbar are products of 24-bit numbers; factors 2^x only move the exponent. Of
  difference neurons the bounds and the ends of the values have 24 bits too, and -l' / (u' - l') and u' / (u' - l') lie in
  [0, 1] after rounding, so |mu_j| <= |a_j| as before.
* the terms of a row are tested against 2^46 before they are used (the void rule), and at most 31 layers add four of
  them each, or 25 layers five, where values are computed in float32: |const| < 2^53. Sums of terms of one sign that pass
  2^53 stay above it after rounding, so the test is exact; in step 4 it is one of the sum of magnitudes. The sum of step 3
  has both signs, and is given up (`OUT`) if the magnitudes add up to 2^53.
* exponents are confined (`fast_arithmetic._fits`, and `MAX_EXPONENT` here), so nothing overflows or becomes subnormal:
  an end of the values of a difference neuron is at least 2^-100 times a bound, or 0, for only two sums
  may cancel in it.

Where a tree leaves this range, the plain arithmetic takes over. No fastmath, ever.
Matrices are flat arrays of rows; source h occupies `width[h]` places from `start[h]` in every per-source array. What does not
depend on the node is ordered by neurons: the first n_h places are these, the next is the bias column, and the rest is zero.
Rows see the neurons alone that are alive at a node, in most networks less than half. `Work.alive` lists them; number c of
them has place c in a row, in what rows need of the source, and in the matrix that is gathered for the node. (One that is too
large is not gathered: a row is picked out of all its columns after the multiplication.) Behind them stands the bias column; what
is behind it, up to `span[h]` places, repeats it and is multiplied by 0.

Numba keeps compiled kernels until the file that defines them changes, and does not look at the files they call into. So these
contain a digest of what they call into, which a test compares: yesterday's code never checks today's certificate.

It compiles a kernel again for every type of argument, and an integer literal has a type of its own: `ZERO` and `ONE`,
which have not, stand where one would be passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from secateur.checker.nodes import LIMIT, VOID

__all__ = [
    "DIFFERENCE",
    "LANES",
    "LIMIT_DOUBLE",
    "LINEAR",
    "MAX_EXPONENT",
    "ONE",
    "OUT",
    "RELU",
    "ROWS",
    "VOID_DOUBLE",
    "ZERO",
    "Box",
    "Floats",
    "Integers",
    "Pool",
    "System",
    "Work",
    "copy",
    "entry",
    "inlined",
    "kernel",
    "padded",
    "pick",
    "power",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Box = tuple[Floats, Floats]  # low and high
Function = TypeVar("Function", bound=Callable[..., Any])

OUT = 9  # the status of a node whose numbers leave the exact range
MAX_EXPONENT = 400  # of a row; far below the exponents that keep a row from cutting or being mixed (section 8)
ROWS = 64  # rows propagated together; even
LANES = 8  # goals whose rows are improved together; at most ROWS
VOID_DOUBLE, LIMIT_DOUBLE = float(VOID), float(LIMIT)
RELU, LINEAR, DIFFERENCE = 0, 1, 2  # kinds of neurons
_REACH = 1000
ZERO, ONE = cast(int, np.int64(0)), cast(int, np.int64(1))
_POWERS = np.ldexp(1.0, np.arange(-_REACH, _REACH + 1))


def entry(function: Function) -> Function:
    """Compiles what Python calls."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Compiles a part of the kernels that call it: a `System` and a `Work` are hundreds of arguments, which take longer to pass
    than many a step takes.
    """
    return cast(Function, njit(inline="always")(function))


def kernel(function: Function) -> Function:
    """Compiles what only other kernels call: without the wrapper for Python, which takes longest to compile.

    References to arrays are not counted either: whoever calls the first kernel holds all arrays, and counting every view of one,
    atomically, takes longer than the arithmetic.
    """
    options: dict[str, Any] = {
        "cache": True,
        "nogil": True,
        "error_model": "numpy",
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": False,
    }
    return cast(Function, njit(**options)(function))


@kernel
def copy(source: Any, target: Any) -> None:
    """target[:len(source)] = source, of arrays that do not overlap: assigned slices might, so numba would ask for memory."""
    for j in range(len(source)):
        target[j] = source[j]


@kernel
def pick(source: Floats, columns: Integers, target: Floats) -> None:
    """target = these columns of source; the two may be the same array where the columns ascend, as those of `Work.alive` do."""
    for c in range(len(columns)):
        target[c] = source[columns[c]]


@register_jitable
def padded(n: int) -> int:
    """n neurons and the bias column, rounded up to whole vectors."""
    return (n + 8) // 8 * 8


class System(NamedTuple):
    """One network and the goals of one tree, as arrays."""

    size: Integers  # [h] n_h
    width: Integers  # [h] padded size of source h
    start: Integers  # [h] first place of source h
    grid: Integers  # [h] G_h, G_0 = 0
    rows: Floats  # Q, row i of layer k at row_start[k] + i * width[k-1]; row n_k is zero
    row_start: Integers
    columns: Floats  # Q, column j of layer k at column_start[k] + j * width[k]; column n_{k-1} is the bias
    column_start: Integers
    gathered_start: Integers  # [k] where layer k's matrix begins in `Work.gathered`; -1 where it is not gathered
    scale: Floats  # per source: 2^-c of the columns of the layer above; 0 at the bias
    bias_exponent: Integers  # [k] c of the bias column of layer k
    delta: Floats  # per source: delta_j 2^(G+24) of the layer above
    bias_delta: Floats  # [k] ceil(delta_bias 2^(G_k+24))
    rounds: bool  # whether values are computed in float32: if not, `sigma` is empty
    sigma: Floats  # sigma_ij 2^(G+24), the bias last, laid out as `rows`
    kind: NDArray[np.uint8]  # per source: RELU, LINEAR or DIFFERENCE
    partner: Integers  # per source: where the source has a difference neuron, the position of its partner in it
    shift: Floats  # [h] 2^s of the difference neurons of source h
    first_difference: Integers  # [h] the difference neurons of source h are those from here
    end_difference: Integers  # [h] to here
    goal_layer: Integers
    goal_first: Integers  # the targets of goal g are numbers goal_first[g] to goal_first[g + 1] - 1
    threshold: Floats  # [target]
    target_neuron: Integers
    target_sign: Floats
    steps: int


class Pool(NamedTuple):
    """The states of waiting nodes; a node is a row."""

    low: Floats
    high: Floats
    lower: Floats  # [node, place - width[0]]
    upper: Floats
    open: NDArray[np.uint8]


class Work(NamedTuple):
    """Scratch of one thread, overwritten by every node. `alive` and what says so is ordered by alive neurons."""

    p: Floats  # [row, place] P of step 1
    a: Floats  # [row, place] v, then a of step 2
    term: Floats  # [row, place] of step 4
    mu: Floats  # [row, place]
    value: Floats  # [row] const
    exponent: Integers  # [row] e
    weight: Floats  # [row] w
    rounding: Floats  # [row] v of section 11
    void: NDArray[np.uint8]
    largest: Floats  # [row] m of step 2
    factor: Floats  # [row] 2^sh
    scaling: Floats  # [row] 2^(G - e) of step 4, 2^(G - e - 24) of step 3
    total_term: Floats  # [row] the sum of step 3 or 4
    magnitude: Floats  # [row] the sum of the magnitudes of its terms
    reach: Floats  # [neuron] rbar of a source, then scratch
    z: Floats  # [neuron] of a layer at a point
    neuron: Integers  # neurons of rows, or of a point
    needed: NDArray[np.uint8]  # whether a neuron of a layer is refreshed
    chosen: Integers  # the neurons of a layer that are refreshed
    alive: Integers  # per source: the neurons that are not dead, then n_h
    alives: Integers  # [h] how many these are
    span: Integers  # [h] places of a row at source h
    gathered: Floats  # per layer: the rows and columns of its matrix that are alive
    row_place: Integers  # per source, alive: where the neuron's row begins, in `gathered` or in `System.rows`
    scale: Floats  # per source, alive: as in `System`
    rise: Floats  # per source, alive: the factor of mu where a >= 0, with default slopes
    fall: Floats  # the factor where a < 0
    lower: Floats  # per source, alive: l of unstable ReLU neurons, else 0
    upper: Floats
    first_difference: Integers  # [h] the difference neurons that are alive are those from here
    end_difference: Integers  # [h] to here
    rise_near: Floats  # per source, alive: u' of difference neurons where d is bounded by a chord for a >= 0, else 0
    rise_far: Floats  # l' of the same
    fall_near: Floats  # per source, alive: l' of difference neurons where d is bounded by a chord for a < 0, else 0
    fall_far: Floats  # u' of the same
    rise_constant: Floats  # per source, alive: d_lo of difference neurons where d is bounded by a constant for a >= 0, else 0
    fall_constant: Floats  # d_hi of those where it is for a < 0, else 0
    default: Floats  # [0, place]: `rise` itself
    slopes: Floats  # [lane, place]: as `rise`, while the lane's goal improves them
    lane: Integers  # [row] whose slopes the row uses
    goal: Integers  # [lane]
    kept: Floats  # [row, place], alive: the a of all sources of the first rows
    total: Floats  # [h] S_h
    error: Floats  # [k] D_k; at least 2^53 where some S_i of the layer is
    charge: Floats  # per source: s_i of its neurons; 0 over the reals
    alive_charge: Floats  # per source, alive: the same
    charge_shift: Integers  # [k] f_k
    point: Floats  # per source, alive: values of the relaxed row's least point
    best: Floats  # [lane, coordinate] a of the best row
    best_value: Floats  # [lane] its const
    best_exponent: Integers  # [lane] its e
    left_low: Floats  # [goal, coordinate] what the goal leaves of the box
    left_high: Floats
    tilt: Floats  # [target, coordinate] g of section 8
    constant: Floats  # [target] c
    unit: Floats  # [target] t
    share: Floats  # [target]
    mix: Floats  # [target] the best shares, then the weights lambda
    upper_end: Floats  # [coordinate] p


@kernel
def power(x: int) -> float:
    return _POWERS[x + _REACH]  # type: ignore[no-any-return]
