"""The largest difference between two networks' outputs on a box: certified from above, attained by an evaluated point from below.

Method: the ranges of all output differences (ranges.py), as one problem: only the largest magnitude of all is wanted. What the
kernels bound is the form that better_pairing chooses; points are evaluated in both networks themselves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from secateur.network import Affine, Network
from secateur.network.difference import difference_network
from secateur.network.exact import ExactArray
from secateur.network.join import side_by_side
from secateur.progress import Progress
from secateur.search.attack import nearest_floats
from secateur.search.pairing import better_pairing
from secateur.search.question import composed
from secateur.search.ranges import output_bounds, outward
from secateur.search.sides import Ranged
from secateur.search.verdict import SearchStatistics
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, comparison_query
from secateur.specification.numerals import shown

__all__ = ["Distance", "largest_difference"]

_Rationals = tuple[Fraction, ...]


@dataclass(frozen=True)
class Distance:
    """The largest |y_i - y'_i| over all outputs i of two networks and all points of a box, in exact rationals.

    lower : the largest value found; output `output` attains it at `point`, where the networks have the outputs `outputs`, all of
    it evaluated exactly. upper : certified for every output and point. finished : whether upper - lower is at most the tolerance
    times lower, or 2**-32 of the width that interval arithmetic gives to the differences.
    """

    lower: Fraction
    upper: Fraction
    output: int
    point: _Rationals
    outputs: tuple[_Rationals, _Rationals]
    finished: bool
    statistics: SearchStatistics

    def __repr__(self) -> str:
        low, high = self.floats()
        ended = "" if self.finished else "; not finished"
        return f"<Distance: {low:.9g} to {high:.9g}, output {self.output} at {shown(self.point)}{ended}>"

    def floats(self) -> tuple[float, float]:
        """`lower` and `upper` as float64, rounded outward: the true distance still lies between them."""
        return max(0.0, outward(self.lower, -1)), outward(self.upper, 1)


def largest_difference(
    networks: Sequence[Network], domain: Domain, tolerance: float, seed: int, deadline: float, progress: Progress
) -> Distance:
    """The distance of two networks with as many inputs and outputs, until finished or the deadline (`time.monotonic`).

    Raises InputError where the networks do not fit the kernels.
    """
    begun = time.monotonic()
    found = output_bounds(_differences(networks, domain, deadline), tolerance, seed, deadline, progress)
    attained = [
        *zip((-v for v in found.attained_lower), found.lowest_at, strict=True),
        *zip(found.attained_upper, found.highest_at, strict=True),
    ]
    side = max(range(len(attained)), key=lambda g: attained[g][0])
    lower, point = attained[side]
    first, second = (network.exact(point).output for network in networks)
    return Distance(
        lower,
        max(*(-v for v in found.lower), *found.upper),
        side % networks[0].output_size,
        point,
        (first, second),
        found.finished,
        SearchStatistics(found.statistics.nodes, 0, time.monotonic() - begun),
    )


def _differences(networks: Sequence[Network], domain: Domain, deadline: float) -> Ranged:
    """The output differences y - y' as one range problem."""
    first, second = networks
    n, types = first.input_size, [network.interface.element_type for network in networks]
    query = comparison_query(Agreement(Fraction(0)), domain, first.output_size, types)
    pairing = better_pairing(query, networks, deadline)
    plain = side_by_side(networks, [range(n), range(n)], n)
    joined = Network(n, plain.layers, _first_less_second(plain.output, n), first.interface)
    if pairing is None:
        return Ranged(joined, domain, joint=True)
    form = difference_network(first, second, pairing, (nearest_floats(domain.lower), nearest_floats(domain.upper)))
    return Ranged(joined, domain, form.with_output(_first_less_second(form.network.output, n)), joint=True)


def _first_less_second(outputs: Affine, inputs: int) -> Affine:
    """y - y' from the outputs (y, y')."""
    count = outputs.size // 2
    outer = np.concatenate([np.eye(count), -np.eye(count)], axis=1)
    return composed(ExactArray(outer), ExactArray.full((count, inputs)), [Fraction(0)] * count, outputs)
