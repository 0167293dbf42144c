"""Claims about a neuron's phase that splitting does not settle, because they are ties or the network is too wide to split.

Requires a sub-domain that a tree of claims has put aside. The DPLL over phases decides with evidence; where it does not and few
neurons are unstable, an SMT solver may be asked, whose word is trusted, and named as such in the certificate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from secateur.bounds import Claim
from secateur.network import Network
from secateur.residual import ResidualSolver, Unknown, negative, positive
from secateur.search.leaf import SubDomain, decide_goal, grid_point, levels_of
from secateur.search.tree import Answer, Aside, answer
from secateur.specification import Domain

__all__ = ["PAUSES", "decide_claim"]

PAUSES = {28: 20, 40: 60}
"""Halvings after which a sub-domain that is still open is put aside, and the unstable neurons up to which it is decided then."""
_MOST_UNSTABLE = 60
"""The same for what cannot be split."""
_WHOLE_UNSTABLE = 15
"""The same for the whole domain; and up to which an SMT solver is worth asking."""
_SECONDS = 10.0


def decide_claim(
    network: Network,
    domain: Domain,
    sizes: Sequence[int],
    claim: Claim,
    aside: Aside,
    deadline: float,
    solver: ResidualSolver | None = None,
) -> Answer:
    """Whether the claim fails anywhere on the sub-domain. Without evidence, the answer rests on the word of `solver`.

    sizes : of the layers in chain form, whose own neurons come first. `deadline` by `time.monotonic`.
    """
    layer, neuron, sign = claim
    domains, depth = aside.part.domains, int(aside.part.depths[0])
    bounds = [
        (low[:own], high[:own])
        for own, (low, high) in zip(network.sizes[: layer - 1], levels_of(domains, sizes[: layer - 1]), strict=True)
    ]
    low, high = (grid_point(domain, side[0].tolist()) for side in (domains.low, domains.high))
    where = SubDomain(network, low, high, bounds)
    most = PAUSES.get(depth, _MOST_UNSTABLE) if depth else _WHOLE_UNSTABLE
    if where.unstable > most:
        return Answer(False, reason=f"{where.unstable} unstable neurons before it")
    question = (positive if sign < 0 else negative)(layer - 1, neuron)
    until = min(deadline, time.monotonic() + _SECONDS)
    verdict, form, evidence = decide_goal(where, [question], until)
    if isinstance(verdict, Unknown) and solver is not None and where.unstable <= _WHOLE_UNSTABLE:
        verdict = solver.solve(form.problem, until - time.monotonic())
    return answer(verdict, evidence)
