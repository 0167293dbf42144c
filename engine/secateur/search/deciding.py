"""The inequality that decides each claim, as exact rationals: for a second opinion by somebody else's arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf

from secateur.bounds import GRID_BITS, Claim, chain_form, root_bounds
from secateur.network import Network
from secateur.search.result import PhaseEvidence, Tightest
from secateur.specification import Domain

__all__ = ["DecidingRow", "deciding_rows"]

DecidingRow = tuple[Claim, tuple[Fraction, ...], Fraction, tuple[int, ...], tuple[int, ...]]
"""(claim, coefficients a, constant c, low, high): sign * z >= c + sum a_j t_j on the box low .. high (units of 2**-24 of the
normalised input t), and that is at least 0 there."""

_UNIT = 1 << GRID_BITS


def deciding_rows(network: Network, domain: Domain, evidence: PhaseEvidence) -> list[DecidingRow]:
    """For every claim that intervals or trees prove, its row on the sub-domain where it is tightest.

    A claim that no row decides anywhere, because all leaves of its tree are refuted by multipliers, has none.
    """
    rows = list(_interval_rows(network, domain, evidence))
    for tree in evidence.trees:
        pairs = zip(tree.claims, tree.tightest, strict=True)
        rows += [_tree_row(claim, tightest) for claim, tightest in pairs if tightest.margin < inf]
    return rows


def _interval_rows(network: Network, domain: Domain, evidence: PhaseEvidence) -> Iterator[DecidingRow]:
    if not evidence.interval:
        return
    layers = chain_form(network, domain.lower, domain.upper)
    bounds = root_bounds(layers, {})
    n = network.input_size
    whole = (0,) * n, (_UNIT,) * n
    for claim in evidence.interval:
        layer, neuron, sign = claim
        if layer == 1:
            row = layers[0].rows[neuron]
            yield claim, tuple(sign * w for w in row[:-1]), sign * row[-1], *whole
        else:
            bound = bounds.exact_lower if sign > 0 else bounds.exact_upper
            yield claim, (Fraction(0),) * n, sign * bound[layer - 1][neuron], *whole


def _tree_row(claim: Claim, tightest: Tightest) -> DecidingRow:
    coefficients = tuple(map(Fraction, tightest.row))
    smallest = sum(
        (min(a * low, a * high) for a, low, high in zip(coefficients, tightest.low, tightest.high, strict=True)),
        Fraction(0),
    )
    return claim, coefficients, Fraction(tightest.margin) - smallest / _UNIT, tightest.low, tightest.high
