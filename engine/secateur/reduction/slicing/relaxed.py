"""The network of a slice that keeps a tolerance or a decision only: smaller, with a proof by differences on the slice's box.

The facts that the proof may build on are all those on the slice's path. As for exact slices the checker is asked at once whether
it follows, taking these facts for granted; where it does not, or nothing is gained, the exact network stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from secateur.bounds import Claim
from secateur.certificate import ComparedFiles, FileReference, by_difference, comparison_bytes, pair_table
from secateur.progress import SilentProgress
from secateur.reduction.facts import Phase
from secateur.reduction.relax import Effort, Relaxable, Relaxed, relax
from secateur.reduction.slicing.shrink import Original, Shrunk, accepts, granted, stored
from secateur.residual import ResidualSolver
from secateur.specification import Domain
from secateur.specification.comparison import Comparison

__all__ = ["shrink_further"]

_PHASES = {-1: Phase.INACTIVE, 1: Phase.ACTIVE}


def shrink_further(
    original: Original, box: Domain, claims: Sequence[Claim], claim: Comparison, exact: Shrunk, effort: Effort
) -> Shrunk:
    """The smallest network found that keeps the claim on the box, where `claims` are facts; `exact` if none is smaller."""
    given = Relaxable(
        original.network,
        box,
        claim,
        {(k, i): _PHASES[sign] for k, i, sign in claims},
        tuple(claims),
        lambda network: stored(original, network),
    )
    with ResidualSolver("none") as solver:
        found, _ = relax(given, exact.size, effort, solver, SilentProgress())  # Ctrl-C is the run's to hear
    if found is None or not _is_accepted(original, box, claims, claim, found):
        return exact
    proof = by_difference(claim, (original.network, found.network), found.pairing, found.proof)
    return Shrunk(found.data, found.network, found.rewrite, proof, found.linearised, len(found.proof.symbols))


def _is_accepted(original: Original, box: Domain, claims: Sequence[Claim], claim: Comparison, found: Relaxed) -> bool:
    """Whether the checker accepts the proof, if the claims about the original are facts."""
    text = box.to_json().encode()
    files = ComparedFiles(
        FileReference("original.onnx", original.sha256),
        FileReference("reduced.onnx", hashlib.sha256(found.data).hexdigest()),
        FileReference("domain.json", hashlib.sha256(text).hexdigest()),
    )
    certificate = comparison_bytes(
        producer="secateur",
        claim=claim,
        files=files,
        input_size=box.dimension,
        evidence=granted(original, claims),
        levels=found.pairing.levels,
        pairs=pair_table(found.pairing, original.network, found.network),
        proof=found.proof,
    )
    return accepts(original, {"reduced.onnx": found.data, "domain.json": text, "certificate.secateur": certificate})
