"""Step 4 of a row, neuron by neuron, and the least point of a relaxed row (sections 4, 5 and 9 of the format), in plain integers.

For a_j r_j >= mu_j z_j + term there is one function per kind of neuron; for the value r_j of the least point likewise. IEEE
doubles choose the multipliers mu; whatever they choose, the terms make the inequality true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secateur.checker.differences import Difference, Relation
from secateur.checker.exact import floor_shift, mantissa
from secateur.checker.slack import Charges

__all__ = ["Source", "least_point", "relax", "relax_difference", "relax_relu"]


@dataclass(frozen=True)
class Source:
    """Source h in one node, as rows read it. `total` is S_h, `error` D_{h+1}; None where it reaches 2^53.

    `charges` are those of layer h + 1 (section 11); None where they are too large.
    """

    lower: list[float]
    upper: list[float]
    total: int | None
    error: int | None
    charges: Charges | None
    slopes: list[float]  # alpha of unstable neurons, 0 elsewhere
    chords: list[float]  # u / (u - l) of unstable neurons, 0 elsewhere
    differences: Mapping[int, Difference]  # by position
    linear: frozenset[int]
    dead: Sequence[bool]  # neurons whose value is 0, which rows do not read


def _scaled_floor(factor: int, bound: float, shift: int) -> int:
    """floor(factor bound 2^shift)."""
    numerator, exponent = mantissa(bound)
    return floor_shift(factor * numerator, exponent + shift)


def _clip(value: float) -> float:
    """min(1, max(0, value)); 0 where the value is not a number."""
    return 1.0 if value > 1.0 else value if value > 0.0 else 0.0


def relax_relu(a: int, below: float, above: float, factors: tuple[float, float], shift: int) -> tuple[int, int]:
    """(mu, term) of a ReLU neuron with bounds below <= z <= above; the factors are those for a >= 0 and for a < 0."""
    if above <= 0.0:
        return 0, 0
    if below >= 0.0:
        return a, 0
    mu = round(float(a) * factors[a < 0])
    return mu, min(0, _scaled_floor(-mu, below, shift), _scaled_floor(a - mu, above, shift))


def relax_difference(a: int, difference: Difference, shift: int) -> tuple[int, int]:
    """(mu, term) of a difference neuron: d is bounded from below (a >= 0) or from above."""
    rising = a >= 0
    match difference.relation(rising):
        case Relation.DELTA:
            return a, 0
        case Relation.ZERO:
            return 0, 0
        case Relation.CONSTANT:
            return 0, _scaled_floor(a, difference.low if rising else difference.high, shift)
    least, greatest = difference.least, difference.greatest
    near, far = (greatest, least) if rising else (least, greatest)  # the line passes through far; d may be 0 at near
    mu = round(float(a) * (abs(far) / (greatest - least)))
    return mu, min(0, _scaled_floor(-mu, near, shift), _scaled_floor(a - mu, far, shift))


def relax(a: list[int], source: Source, slopes: list[float], shift: int) -> tuple[list[int], list[int]]:
    """The multipliers mu of all neurons of a source, and the terms that are added to the constant."""
    multipliers, terms = [], []
    for j, x in enumerate(a):
        if j in source.linear:
            mu, term = x, 0
        elif j in source.differences:
            mu, term = relax_difference(x, source.differences[j], shift)
        else:
            mu, term = relax_relu(x, source.lower[j], source.upper[j], (slopes[j], source.chords[j]), shift)
        multipliers.append(mu)
        terms.append(term)
    return multipliers, terms


def _least_relu(a: int, z: float, source: Source, j: int, slope: float) -> float:
    below, above = source.lower[j], source.upper[j]
    if above <= 0.0:
        return 0.0
    if below >= 0.0:
        return z
    return slope * z if a >= 0 else source.chords[j] * (z - below)


def _least_difference(a: int, z: float, difference: Difference) -> float:
    rising = a >= 0
    match difference.relation(rising):
        case Relation.DELTA:
            return z
        case Relation.ZERO:
            return 0.0
        case Relation.CONSTANT:
            return difference.low if rising else difference.high
    least, greatest = difference.least, difference.greatest
    return (-least / (greatest - least)) * (z - greatest) if rising else (greatest / (greatest - least)) * (z - least)


def least_point(a: list[int], pre: list[float], source: Source, slopes: list[float], gain: float) -> list[float]:
    """Values of a source's neurons where the relaxed row is least; moves the slopes of its ReLU neurons, in place."""
    values = []
    for j, (x, z) in enumerate(zip(a, pre, strict=True)):
        if j in source.linear:
            values.append(z)
        elif j in source.differences:
            values.append(_least_difference(x, z, source.differences[j]))
        else:
            values.append(_least_relu(x, z, source, j, slopes[j]))
            below, above = source.lower[j], source.upper[j]
            if below < 0.0 < above and x > 0:
                slopes[j] = _clip(slopes[j] + gain * (z / (above - below)))
    return values
