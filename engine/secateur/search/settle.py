"""Residual claims: what no float bound decides, because it is a tie, goes to an SMT solver in normal form.

Requires a claim with few unstable neurons before it. Returns a witness that was replayed exactly, a solver's word (trusted, and
named as such in the certificate), or nothing. Whole-query SMT is practical to about 15 unstable neurons.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from secateur.bounds import Claim, Goal, QuantisedNetwork, RootBounds, evaluate, root
from secateur.network import Network
from secateur.residual import ResidualSolver, Sat, Unsat, negative, normal_form, positive
from secateur.specification import Domain

__all__ = ["Settled", "settle"]

_MOST_UNSTABLE = 15
"""Unstable neurons up to which a whole query is worth asking."""


class Settled(NamedTuple):
    """What the solver said: whether the claim holds (None: no answer), a point against it, or why there is no answer."""

    holds: bool | None
    point: tuple[Fraction, ...] = ()
    reason: str = ""


def settle(
    network: Network,
    domain: Domain,
    quantised: QuantisedNetwork,
    bounds: RootBounds,
    claim: Claim,
    solver: ResidualSolver,
    limit: float,
) -> Settled:
    """Ask whether the claim fails anywhere on the domain; `bounds` are root bounds with all facts proven so far."""
    layer, neuron, sign = claim
    batch = root(quantised, bounds, 1)
    evaluate(quantised, batch, [Goal.of(claim)], 0, 1)
    ranges, unstable, start = [], 0, 0
    for k, own in enumerate(network.sizes[: layer - 1]):
        part = slice(start, start + own)  # a chain layer's own neurons come first
        lower, upper = batch.lower[0][part].astype(float), batch.upper[0][part].astype(float)
        ranges.append((lower.tolist(), upper.tolist()))
        unstable += int(((lower < 0) & (upper > 0)).sum())
        start += quantised.layers[k].size
    if unstable > _MOST_UNSTABLE:
        return Settled(None, reason=f"{unstable} unstable neurons before it")
    question = (positive if sign < 0 else negative)(layer - 1, neuron)
    verdict = solver.solve(normal_form(network, domain.lower, domain.upper, ranges, [question]), limit)
    if isinstance(verdict, Sat):
        return Settled(False, tuple(verdict.model))
    if isinstance(verdict, Unsat):
        return Settled(True)
    return Settled(None, reason=verdict.reason)
