"""The typed layer over the kernels: batches of sub-domains of one network's domain.

Requires a `QuantisedNetwork`; evaluates sub-domains for a list of goals (FORMAT.md, section 6). Soundness: rounding.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.quantised import QuantisedNetwork
from secateur.bounds.root import Claim, RootBounds
from secateur.bounds.rounding import GRID_BITS
from secateur.errors import InputError

__all__ = [
    "CONTRADICTION",
    "LEAF",
    "UNSPLITTABLE",
    "ContradictoryBoundsError",
    "Evaluation",
    "Goal",
    "SubDomains",
    "evaluate",
    "root",
]

Floats = NDArray[np.float64]

LEAF, UNSPLITTABLE, CONTRADICTION = -1, -2, -3
"""What `Evaluation.split` says where it names no coordinate."""


class ContradictoryBoundsError(RuntimeError):
    """A lower bound exceeded an upper bound of the same value: a fault of ours or of the machine, never a verdict."""


@dataclass(frozen=True)
class Goal:
    """Target rows s z of one layer, of which is to be shown that they are not all negative at once.

    targets : (layer from 1, neuron, sign s) of each row. closed : for each of them whether 0 counts as negative; empty where it
    does for none. ValueError without targets, and where they are of several layers: the kernels read what they are told to.
    """

    targets: tuple[Claim, ...]
    closed: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if self.closed and len(self.closed) != len(self.targets):
            raise ValueError("a goal says for each of its rows whether 0 counts, or for none")
        if len({layer for layer, _, _ in self.targets}) != 1:
            raise ValueError("a goal needs targets, all of one layer")

    @staticmethod
    def of(claim: Claim) -> Goal:
        """The claim s z >= 0 about one neuron."""
        return Goal((claim,))

    @property
    def zero_counts(self) -> tuple[bool, ...]:
        """`closed`, of every target."""
        return self.closed or (False,) * len(self.targets)

    @property
    def layer(self) -> int:
        return self.targets[0][0]


@dataclass(frozen=True, eq=False)
class SubDomains:
    """B sub-domains with what is known on each.

    low, high : (B, n_0) integers 0 .. 2**24 in units of the normalised input. lower, upper : (B, neurons) float32 bounds of
    pre-activations. open : (B, C) goals that are not settled yet.
    """

    low: Floats
    high: Floats
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.low)

    def take(self, index: NDArray[np.intp] | slice) -> SubDomains:
        """A copy of some of the sub-domains."""
        return SubDomains(*(np.array(a[index]) for a in self.arrays()))

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        return self.low, self.high, self.lower, self.upper, self.open

    @staticmethod
    def joined(parts: Sequence[SubDomains]) -> SubDomains:
        """All sub-domains of the parts, in order."""
        return SubDomains(*(np.concatenate(arrays) for arrays in zip(*(p.arrays() for p in parts), strict=True)))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the kernels found, one row per sub-domain.

    split : coordinate to split, or LEAF or UNSPLITTABLE. hits : (B, C) goals that a float evaluation at `points` (B, n_0)
    violates. margins : (B, C) value of the best row, as a real number; -inf where there is none. rows : (B, C, n_0) its
    coefficients over the normalised input.
    """

    split: NDArray[np.int64]
    hits: NDArray[np.bool_]
    points: Floats
    margins: Floats
    rows: Floats


def root(network: QuantisedNetwork, bounds: RootBounds, goals: int) -> SubDomains:
    """The whole domain as a batch of one, with all of `goals` goals open.

    InputError where a bound is too large or too close to 0 for float32: rounding it would not be sound.
    """
    n = network.input_size
    with np.errstate(over="ignore", under="ignore"):
        lower, upper = bounds.lower.astype(np.float32), bounds.upper.astype(np.float32)
    if (lower != bounds.lower).any() or (upper != bounds.upper).any():
        raise InputError(
            "a pre-activation has bounds outside the range of float32 on the domain", remedy="rescale the network's layers"
        )
    return SubDomains(
        np.zeros((1, n)),
        np.full((1, n), 2.0**GRID_BITS),
        lower[None],
        upper[None],
        np.ones((1, goals), dtype=bool),
    )


def evaluate(network: QuantisedNetwork, batch: SubDomains, goals: Sequence[Goal], steps: int, workers: int) -> Evaluation:
    """Evaluate a batch in place: bounds tighten, boxes contract, goals that are settled close.

    `steps` slope optimisation steps per goal; `workers` slices run side by side. Raises ContradictoryBoundsError.
    """
    from secateur.bounds.kernels import Work, evaluate_batch  # compiles: not before it is needed

    size, n = batch.low.shape
    count = len(goals)
    firsts = np.cumsum([0, *(len(goal.targets) for goal in goals)])
    table = [(first, len(goal.targets)) for first, goal in zip(firsts, goals, strict=False)]
    targets = [(*t, int(c)) for goal in goals for t, c in zip(goal.targets, goal.zero_counts, strict=True)]
    work = Work(
        batch.low,
        batch.high,
        batch.lower,
        batch.upper,
        batch.open,
        np.array(table, dtype=np.int64).reshape(count, 2),
        np.array(targets, dtype=np.int64).reshape(-1, 4),
        steps,
        np.zeros(size, dtype=np.int64),
        np.zeros((size, count), dtype=bool),
        np.zeros((size, n)),
        np.full((size, count), -np.inf),
        np.zeros((size, count, n)),
    )
    evaluate_batch(network.kernel, work, min(workers, size))  # each worker makes its own buffers
    if (work.split == CONTRADICTION).any():
        raise ContradictoryBoundsError("contradictory bounds on a sub-domain that is not empty")
    units = np.ldexp(1.0, -network.kernel.grids[[goal.layer for goal in goals]].astype(np.int32))
    return Evaluation(work.split, work.hits, work.hit_points, work.margins * units, work.rows)
