"""The files of a certificate about two networks and a domain: read, compared with their hashes, and named in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secateur.checker.domain import Domain, read_domain
from secateur.checker.files import referenced
from secateur.checker.float32 import FloatNetwork, float_network
from secateur.checker.lowering import Network, lower
from secateur.checker.records import Certificate, PairCertificate
from secateur.checker.refusal import Refusal, located
from secateur.checker.verdict import Counts, replayed_nodes, shown_name

__all__ = ["TwoNetworks", "read_network", "read_two_networks", "replayed", "require_inputs"]


@dataclass(frozen=True)
class TwoNetworks:
    """N and N', the domain D, and words that say which files these are; `floats` where the claim is about float32 arithmetic."""

    original: Network
    reduced: Network
    domain: Domain
    words: str
    floats: tuple[FloatNetwork, FloatNetwork] | None = None


def read_network(data: bytes, side: str, domain: Domain) -> Network:
    """A network with as many inputs as the domain."""
    with located(side, (), ""):
        network = lower(data)
    require_inputs(network, side, domain)
    return network


def require_inputs(network: Network, side: str, domain: Domain) -> None:
    """Refuses a network of other than the domain's number of inputs."""
    if network.input_size != len(domain.lower):
        raise Refusal("domain", side, f"{len(domain.lower)} bounds for {network.input_size} inputs")


def _read_floats(data: bytes, side: str, domain: Domain) -> FloatNetwork:
    """What float32 arithmetic does in a network that has been lowered: nothing overflows on the domain."""
    with located(side, (), ""):
        network = float_network(data)
        network.check_overflow(domain)
    return network


def read_two_networks(
    certificate: Certificate | PairCertificate, folder: Path, original: str | Path | None, reduced: str | Path | None
) -> TwoNetworks:
    """The files that the certificate names, or those given in their place."""
    references = {"original": certificate.original, "reduced": certificate.reduced}
    given = {"original": original, "reduced": reduced}
    domain = read_domain(referenced("domain", "domain", certificate.domain, folder, None))
    data = {side: referenced(f"{side} network", side, own, folder, given[side]) for side, own in references.items()}
    networks = {side: read_network(own, side, domain) for side, own in data.items()}
    floats = None
    if isinstance(certificate, PairCertificate) and certificate.float32:
        floats = (_read_floats(data["original"], "original", domain), _read_floats(data["reduced"], "reduced", domain))
    names = {side: shown_name(given[side] or reference.file) for side, reference in references.items()}
    inputs = len(domain.lower)
    words = (
        f"N = {names['original']} (sha256 {certificate.original.sha256}), "
        f"N' = {names['reduced']} (sha256 {certificate.reduced.sha256}), "
        f"D = the box of {inputs} input{'s' * (inputs != 1)} in {shown_name(certificate.domain.file)} "
        f"(sha256 {certificate.domain.sha256})"
    )
    return TwoNetworks(networks["original"], networks["reduced"], domain, words, floats)


def replayed(counts: Counts, arithmetic: str) -> str:
    """What a verdict was made from, in words."""
    return f"{counts.inactive} neurons proven inactive, {counts.active} active; {replayed_nodes(counts, arithmetic)}"
