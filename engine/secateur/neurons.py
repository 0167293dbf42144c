"""The redundancy of neurons as one call, for scripts and for the command `secateur neuron`.

found = secateur.redundancy("net.onnx", 2, [3], "domain.json", "relaxed", tolerance="0.01")
match found.verdict:
    case secateur.Violated(): print(found.counterexample.point)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from secateur.oracle import Engine
from secateur.progress import Progress
from secateur.reduction.redundancy import Redundancy
from secateur.reduction.redundancy_claim import RedundancyClaim
from secateur.specification import DomainLike
from secateur.specification.numerals import Number, exact_rational

__all__ = ["redundancy"]


def redundancy(
    model: str | Path,
    layer: int,
    indices: Sequence[int],
    domain: DomainLike,
    kind: str,
    *,
    lookahead: int | None = None,
    replace: str | None = None,
    tolerance: Number | None = None,
    decision: str | None = None,
    margin: Number | None = None,
    timeout: float = 300.0,
    certificate: str | Path | None = None,
    jobs: int | None = None,
    solver: str = "z3",
    seed: int = 0,
    progress: Progress | None = None,
) -> Redundancy:
    """Are these neurons of a layer redundant on a domain, all of them at once?

    Parameters
    ----------
    model : an ONNX file (or `.gz`). layer : from 1. indices : of the neurons, from 0. domain : a box, such as `Box` makes, a
    file that `read_domain` reads, or (lower, upper). kind, lookahead, replace, tolerance, decision, margin : as in
    `RedundancyClaim`; floats count as the rationals they are, strings are read exactly. timeout, certificate : as in
    `Engine.redundancy`. jobs, solver, seed : as of `Engine`.

    Returns
    -------
    A record: the verdict, what took the neurons' place, and a counterexample where there is one. It has no truth value.
    Raises InputError for bad input.
    """
    claim = RedundancyClaim(
        layer,
        tuple(indices),
        kind,
        lookahead,
        replace,
        None if tolerance is None else exact_rational(tolerance, "--tolerance"),
        decision,
        None if margin is None else exact_rational(margin, "--margin"),
    )
    with Engine(jobs=jobs, solver=solver, seed=seed) as engine:
        return engine.redundancy(model, claim, domain, timeout=timeout, certificate=certificate, progress=progress)
