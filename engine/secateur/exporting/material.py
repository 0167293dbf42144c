"""What a certificate claims, and the files that it claims it about: found as `secateur check` finds them, hashes compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

from secateur.checker import CheckInputError
from secateur.checker.container import read_certificate
from secateur.checker.domain import Domain as CheckedBox
from secateur.checker.domain import read_domain
from secateur.checker.files import certificate_path, read_file, referenced, unpacked
from secateur.checker.manifest import partition, read_manifest
from secateur.checker.pair_rows import FLOATS, REALS, statement
from secateur.checker.records import (
    Certificate,
    Claim,
    Evidence,
    Facts,
    FamilyCertificate,
    FileReference,
    PairCertificate,
    PairClaim,
    QueryCertificate,
)
from secateur.checker.refusal import Refusal
from secateur.errors import InputError
from secateur.network import Network, parse_onnx
from secateur.specification import Domain, Query, parse_query
from secateur.specification.comparison import Agreement, Comparison, Decision

__all__ = [
    "AnyCertificate",
    "Asked",
    "Compared",
    "Given",
    "Material",
    "NetworkFile",
    "Phases",
    "Source",
    "described",
    "material",
    "read_source",
    "refusals_as_input_errors",
    "require_real",
]

AnyCertificate = Certificate | QueryCertificate | PairCertificate | FamilyCertificate


@dataclass(frozen=True)
class Given:
    """Files in place of those that the certificate names."""

    original: str | Path | None = None
    reduced: str | Path | None = None
    query: str | Path | None = None


@dataclass(frozen=True)
class Source:
    """A certificate file: its name, hash and content."""

    path: Path
    sha256: str
    certificate: AnyCertificate


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A network that is spoken about: the file's name, the hash of its bytes, the bytes unpacked, and what they mean."""

    name: str
    sha256: str
    data: bytes
    network: Network


@dataclass(frozen=True, eq=False)
class Compared:
    """A claim about two networks on a box, or, with a `point`, that it is false there.

    label : a word for file names.
    """

    label: str
    claim: PairClaim
    original: NetworkFile
    reduced: NetworkFile
    domain: Domain
    point: tuple[Fraction, ...] | None = None

    @property
    def holds(self) -> bool:
        return self.point is None

    @property
    def comparison(self) -> Comparison:
        """The claim as the engine asks about it."""
        return Agreement(self.claim.bound) if self.claim.rule == "agree" else Decision(self.claim.rule, self.claim.bound)

    @property
    def words(self) -> str:
        """What the certificate says."""
        text = statement(self.claim)
        return text if self.holds else f"it is false that {text}"


@dataclass(frozen=True, eq=False)
class Phases:
    """Neurons of one network (`side`: original or reduced) that are said to have one phase on a box, each with what shows it."""

    side: str
    network: NetworkFile
    domain: Domain
    facts: tuple[tuple[Claim, str], ...]


@dataclass(frozen=True, eq=False)
class Asked:
    """A claim about a query: no point satisfies it, or `point` does."""

    network: NetworkFile
    query: Query
    query_name: str
    text: bytes
    sha256: str
    point: tuple[Fraction, ...] | None

    @property
    def holds(self) -> bool:
        return self.point is None

    @property
    def words(self) -> str:
        return f"no x satisfies the query {self.query_name}" if self.holds else f"some x satisfies the query {self.query_name}"


@dataclass(frozen=True, eq=False)
class Material:
    """All claims of a certificate; `notes` names what is not among them."""

    source: Source
    compared: tuple[Compared, ...] = ()
    phases: tuple[Phases, ...] = ()
    asked: Asked | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def refusals_as_input_errors(path: Path) -> Iterator[None]:
    """What the checker's readers say, as the one line of bad input."""
    try:
        yield
    except Refusal as refusal:
        raise InputError(f"{refusal.step}: {refusal.reason}", where=str(path)) from None
    except CheckInputError as error:
        raise InputError(str(error)) from None


def read_source(path: str | Path) -> Source:
    """The certificate at a path, or in a folder. InputError where there is none that can be read."""
    path = Path(path)
    with refusals_as_input_errors(path):
        path = certificate_path(path)
        data = read_file(path, "certificate")
        return Source(path, hashlib.sha256(data).hexdigest(), read_certificate(data))


def require_real(source: Source) -> None:
    """InputError for claims about computed values: texts over the real numbers say something else."""
    certificate = source.certificate
    if isinstance(certificate, QueryCertificate | PairCertificate) and certificate.float32:
        problem = "its claim is about values computed in float32, which texts over the real numbers do not state"
        raise InputError(problem, where=str(source.path), remedy="choose --json, or a certificate about exact values")


def described(certificate: AnyCertificate) -> str:
    """The claim in words."""
    if isinstance(certificate, Certificate):
        return statement(PairClaim("agree", certificate.tolerance))
    if isinstance(certificate, QueryCertificate):
        if certificate.float32:
            return "no float32 x satisfies the query in any float32 evaluation of N"
        return "no x satisfies the query" if certificate.point is None else "x satisfies the query"
    if isinstance(certificate, FamilyCertificate):
        claim = statement(certificate.claim).replace("N'", "N'_S").removeprefix("for all x in D, ")
        return f"for all x in D and every slice S that contains x, {claim}"
    refuted = not isinstance(certificate.evidence, Evidence)
    return ("it is false that " if refuted else "") + statement(certificate.claim, FLOATS if certificate.float32 else REALS)


def material(source: Source, given: Given) -> Material:
    """The claims with their files. InputError where a file is missing, is another one, or does not fit."""
    certificate, folder = source.certificate, source.path.parent
    _require_meant(source, given)
    with refusals_as_input_errors(source.path):
        if isinstance(certificate, QueryCertificate):
            return Material(source, asked=_asked(certificate, folder, given))
        if isinstance(certificate, FamilyCertificate):
            return _of_family(source, certificate, given)
        return _of_pair(source, certificate, given)


def _require_meant(source: Source, given: Given) -> None:
    """InputError for a file of a kind that the certificate is not about."""
    certificate, where = source.certificate, str(source.path)
    if given.reduced is not None and isinstance(certificate, QueryCertificate | FamilyCertificate):
        raise InputError("names no reduced network, so none can be given", where=where)
    if given.query is not None and not isinstance(certificate, QueryCertificate):
        raise InputError("names no query, so none can be given", where=where)


def _network(what: str, key: str, reference: FileReference, folder: Path, given: str | Path | None) -> NetworkFile:
    data = unpacked(referenced(what, key, reference, folder, given), what)
    path = folder / reference.file if given is None else Path(given)
    return NetworkFile(PurePosixPath(path).name, reference.sha256, data, parse_onnx(data, str(path), path.parent))


def _box(box: CheckedBox, where: str) -> Domain:
    return Domain(box.lower, box.upper, where)


def _of_pair(source: Source, certificate: Certificate | PairCertificate, given: Given) -> Material:
    folder = source.path.parent
    domain = _box(read_domain(referenced("domain", "domain", certificate.domain, folder, None)), certificate.domain.file)
    original = _network("original network", "original", certificate.original, folder, given.original)
    reduced = _network("reduced network", "reduced", certificate.reduced, folder, given.reduced)
    if isinstance(certificate, Certificate):
        claim, point, facts = PairClaim("agree", certificate.tolerance), None, certificate.facts
    else:
        claim, evidence = certificate.claim, certificate.evidence
        point, facts = (None, {"original": evidence.facts}) if isinstance(evidence, Evidence) else (evidence, {})
    compared = Compared("claim", claim, original, reduced, domain, point)
    _require_fit(compared, source.path)
    sides = {"original": original, "reduced": reduced}
    phases = tuple(_phases(side, sides[side], domain, own, source.path) for side, own in facts.items())
    return Material(source, (compared,), phases)


def _phases(side: str, network: NetworkFile, domain: Domain, facts: Facts, path: Path) -> Phases:
    known = [
        *((claim, "intervals") for claim in facts.interval),
        *((claim, "a split tree") for tree in facts.trees for claim in tree.claims),
        *((fact.claim, f"the word of {fact.by}") for fact in facts.solver),
    ]
    sizes = network.network.sizes
    for claim, _ in known:
        if claim.layer > len(sizes) or claim.neuron >= sizes[claim.layer - 1]:
            raise InputError(f"the claim '{claim}' is about no neuron of {network.name}", where=str(path))
    return Phases(side, network, domain, tuple(known))


def _require_fit(compared: Compared, path: Path) -> None:
    """InputError unless networks, box and claim fit each other."""
    networks = (compared.original.network, compared.reduced.network)
    for file in (compared.original, compared.reduced):
        compared.domain.require_dimension(file.network.input_size, file.name)
    sizes = [network.output_size for network in networks]
    layers = compared.claim.layers
    if layers is not None:
        for layer, network in zip(layers, networks, strict=True):
            if layer > len(network.layers):
                raise InputError(f"it compares layer {layer} of a network of {len(network.layers)} layers", where=str(path))
        sizes = [network.sizes[layer - 1] for layer, network in zip(layers, networks, strict=True)]
    if sizes[0] != sizes[1]:
        raise InputError(f"it compares {sizes[0]} with {sizes[1]} values", where=str(path))
    compared.comparison.negation(sizes[0])  # a decision needs two outputs


def _of_family(source: Source, certificate: FamilyCertificate, given: Given) -> Material:
    folder = source.path.parent
    manifest = read_manifest(referenced("manifest", "manifest", certificate.manifest, folder, None))
    below = (folder / certificate.manifest.file).parent
    original = _network("original network", "original", certificate.original, folder, given.original)
    networks = [_network("network of a slice", f"files[{i}]", f, below, None) for i, f in enumerate(manifest.files)]
    compared: list[Compared] = []
    for part in partition(manifest):
        if part.file is not None:
            box = _box(part.box, f"slice {len(compared)}")
            own = Compared(f"slice{len(compared)}", certificate.claim, original, networks[part.file], box)
            _require_fit(own, source.path)
            compared.append(own)
    note = "phases of neurons that the certificate establishes on boxes of the partition are not exported; the claim needs none"
    return Material(source, tuple(compared), notes=(note,))


def _asked(certificate: QueryCertificate, folder: Path, given: Given) -> Asked:
    network = _network("network", "network", certificate.network, folder, given.original)
    name = Path(given.query or certificate.query.file).name
    text = unpacked(referenced("query", "query", certificate.query, folder, given.query), "query")
    try:
        query = parse_query(text.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        raise InputError("is no UTF-8 text", where=name) from None
    if (query.input_count, query.output_count) != (network.network.input_size, network.network.output_size):
        raise InputError(f"the query does not fit the network {network.name}", where=name)
    return Asked(network, query, name, text, certificate.query.sha256, certificate.point)
