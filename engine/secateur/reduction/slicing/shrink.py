"""The network of a slice: rewritten with the facts of its box, with the evidence that it equals the original there.

The certificate shows equality by simulation (FORMAT.md, section 7), and neurons that a rewrite made to be active have to be
proven so on the new network. The checker itself is asked whether the evidence suffices, taking the facts about the original for
granted (their proofs are those of the certificate). Where it does not, less is rewritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from secateur.bounds import Claim
from secateur.certificate import FileReference, LeafProof, by_simulation, certificate_bytes, written_facts
from secateur.certificate.family import NO_FACTS
from secateur.checker import Accepted, check
from secateur.errors import InputError
from secateur.files import scratch_folder
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.network.model import Interface
from secateur.reduction.facts import Facts, Phase
from secateur.reduction.rewrite import Rewrite, rewrite
from secateur.reduction.size import Size, network_size
from secateur.search import PhaseEvidence, SolverClaim, prove_at_once
from secateur.specification import Domain
from secateur.version import version

__all__ = ["Original", "Shrunk", "accepts", "granted", "shrink", "stored"]

_WORDS = {-1: Phase.INACTIVE, 1: Phase.ACTIVE, 0: Phase.UNSTABLE}
_SIGNS = {Phase.INACTIVE: -1, Phase.ACTIVE: 1}


@dataclass(frozen=True, eq=False)
class Original:
    """The network that is sliced: where it lies, the SHA-256 of its bytes, and what it means."""

    path: Path
    sha256: str
    network: Network


@dataclass(frozen=True, eq=False)
class Shrunk:
    """The network of a slice: as a file, as what is read back from it, and how it was made (None: it is the original).

    proof : of its claim. linearised : the neurons that were given a phase which nobody proved. differences : sub-domains of a
    proof by differences.
    """

    data: bytes
    network: Network
    rewrite: Rewrite | None
    proof: LeafProof
    linearised: tuple[tuple[int, int], ...] = ()
    differences: int = 0

    @property
    def size(self) -> Size:
        return network_size(self.network)


def shrink(original: Original, box: Domain, claims: Sequence[Claim]) -> Shrunk:
    """Rewrite with as many of the claims (facts on the box) as the checker follows.

    InputError where the element type cannot hold the exact weights.
    """
    for chosen in (claims, [c for c in claims if c[2] < 0]):  # without active neurons nothing new is made
        shrunk, evidence = _rewritten(original, box, chosen)
        if _is_accepted(original, box, claims, shrunk.data, evidence):
            return shrunk
    layers = len(original.network.layers)
    return Shrunk(original.path.read_bytes(), original.network, None, by_simulation(NO_FACTS, layers))


def _rewritten(original: Original, box: Domain, claims: Sequence[Claim]) -> tuple[Shrunk, PhaseEvidence]:
    signs = {(k, i): sign for k, i, sign in claims}
    sizes = enumerate(original.network.sizes, start=1)
    phases = [[_WORDS[signs.get((k, i), 0)] for i in range(size)] for k, size in sizes]
    result = rewrite(original.network, Facts(box.lower, box.upper, phases))
    try:
        data = stored(original, result.network)
    except ValueError as error:
        kind = result.network.interface.element_type
        raise InputError(f"the network cannot be written exactly in {kind} ({error})", remedy="it cannot be sliced") from None
    network = parse_onnx(data, "slice")
    layers = enumerate(result.neurons, start=1)
    phased = [(k, i, _SIGNS[n.phase]) for k, layer in layers for i, n in enumerate(layer) if n.phase in _SIGNS]
    evidence = prove_at_once(network, box, (), phased)
    proof = by_simulation(written_facts(evidence, network.input_size), len(network.layers))
    return Shrunk(data, network, result, proof), evidence


def stored(original: Original, network: Network) -> bytes:
    """A slice's network as a file. ValueError where the element type cannot hold the weights."""
    # Nothing that depends on the box: slices that are the same network are the same file.
    provenance: Mapping[str, str] = {"secateur.version": version(), "secateur.source_sha256": original.sha256}
    return to_model_bytes(replace(network, interface=_in_batches(network.interface)), provenance=provenance)


def _in_batches(ports: Interface) -> Interface:
    """The ports with a free first axis where the file says that it is 1: rows are evaluated together."""
    if ports.input_shape[:1] != (1,) or ports.output_shape[:1] != (1,):
        return ports
    return replace(ports, input_shape=(None, *ports.input_shape[1:]), output_shape=(None, *ports.output_shape[1:]))


def _is_accepted(original: Original, box: Domain, claims: Sequence[Claim], data: bytes, evidence: PhaseEvidence) -> bool:
    """Whether the checker accepts that both networks agree on the box, if the claims about the original are facts."""
    text = box.to_json().encode()
    certificate = certificate_bytes(
        producer="secateur",
        tolerance=Fraction(0),
        original=FileReference("original.onnx", original.sha256),
        reduced=FileReference("reduced.onnx", hashlib.sha256(data).hexdigest()),
        domain=FileReference("domain.json", hashlib.sha256(text).hexdigest()),
        input_size=box.dimension,
        evidence=granted(original, claims),
        reduced_evidence=evidence,
    )
    return accepts(original, {"reduced.onnx": data, "domain.json": text, "certificate.secateur": certificate})


def granted(original: Original, claims: Sequence[Claim]) -> PhaseEvidence:
    """Facts that the checker takes for granted here: their proofs are those of the family's certificate."""
    nothing = (0,) * len(original.network.layers)
    return PhaseEvidence(nothing, solver=tuple(SolverClaim(c, "the certificate of the family") for c in claims))


def accepts(original: Original, files: Mapping[str, bytes]) -> bool:
    """Whether the checker accepts the certificate among these files."""
    with scratch_folder() as folder:
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return isinstance(check(folder, original=original.path), Accepted)
