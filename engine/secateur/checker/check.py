"""Checks a certificate: reads the files, establishes the facts in order, and shows the final claim."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Literal

from secateur.checker.chain import Chain, chain_form
from secateur.checker.container import Certificate, Claim, Facts, Tree, read_certificate, symbols
from secateur.checker.domain import Domain, read_domain
from secateur.checker.files import read_file, referenced
from secateur.checker.lowering import Network, lower
from secateur.checker.query_claim import GivenFiles, check_query
from secateur.checker.refusal import CheckInputError, Refusal
from secateur.checker.replay import Proof, available, replay
from secateur.checker.root import RootBounds, check_interval_rule
from secateur.checker.simulation import Statement, check_agreement
from secateur.checker.verdict import Accepted, Counts, Progress, Refused, stated

__all__ = ["Accepted", "Counts", "Refused", "check"]

CERTIFICATE_NAME = "certificate.secateur"


@dataclass(frozen=True)
class _Inputs:
    """Everything that was read, with the hashes compared."""

    certificate: Certificate
    domain: Domain
    networks: dict[str, Network]
    names: dict[str, str]


def _read_inputs(certificate: Certificate, folder: Path, original: str | Path | None, reduced: str | Path | None) -> _Inputs:
    references = {"original": certificate.original, "reduced": certificate.reduced}
    given = {"original": original, "reduced": reduced}
    domain = read_domain(referenced("domain", "domain", certificate.domain, folder, None))
    networks = {}
    for side, reference in references.items():
        data = referenced(f"{side} network", side, reference, folder, given[side])
        try:
            networks[side] = lower(data)
        except Refusal as refusal:
            raise Refusal(refusal.rule, f"{side} {refusal.step}", refusal.reason) from None
        if networks[side].input_size != len(domain.lower):
            raise Refusal("domain", side, f"{len(domain.lower)} bounds for {networks[side].input_size} inputs")
    names = {side: PurePosixPath(given[side] or reference.file).name for side, reference in references.items()}
    return _Inputs(certificate, domain, networks, names)


class _Establisher:
    """Establishes the facts of one network, in the order of the format."""

    def __init__(self, side: str, chain: Chain, facts: Facts, arithmetic: str, progress: Progress) -> None:
        self.side, self.chain, self.facts, self.progress = side, chain, facts, progress
        self.root = RootBounds(chain)
        self.established: list[Claim] = []
        self.arithmetic = arithmetic

    def run(self) -> RootBounds:
        if len(self.facts.grid) != len(self.chain.layers):
            reason = f"{len(self.facts.grid)} grid exponents for {len(self.chain.layers)} layers"
            raise Refusal("header", f"facts.{self.side}.grid", reason)
        for claim in self.facts.claims():
            if not self.chain.has_neuron(claim.layer, claim.neuron):
                raise Refusal("header", f"facts.{self.side}", f"the claim '{claim}' is about no neuron")
        for number, claim in enumerate(self.facts.interval):
            check_interval_rule(claim, self.root, f"{self.side} interval {number}")
            self._establish(claim)
        for number, tree in enumerate(self.facts.trees):
            self._tree(tree, f"{self.side} tree {number}")
            for claim in tree.claims:
                self._establish(claim)
        for fact in self.facts.solver:
            self._establish(fact.claim)
        return self.root

    def _establish(self, claim: Claim) -> None:
        self.root.add(claim)
        self.established.append(claim)

    def _root_of(self, tree: Tree, step: str) -> RootBounds:
        """Root bounds with the facts that the tree builds on."""
        if tree.uses > len(self.established):
            raise Refusal("tree", step, f"it uses {tree.uses} facts, of which {len(self.established)} are established")
        if tree.uses == len(self.established):
            return self.root
        root = RootBounds(self.chain)
        for claim in self.established[: tree.uses]:
            root.add(claim)
        return root

    def _tree(self, tree: Tree, step: str) -> None:
        stream = symbols(tree, self.chain.input_size, step)
        depth = max((claim.layer for claim in tree.claims), default=0)
        root = self._root_of(tree, step)
        bounds = [root.bounds(k) for k in range(1, depth + 1)]
        proof = Proof(self.chain, self.facts.grid, tree.claims, tree.steps, stream, None, bounds, step)
        replay(proof, self.arithmetic, self.progress)


def _phases(inputs: _Inputs) -> tuple[int, int]:
    """Neurons of the original network verified inactive and active; a solver's word does not count."""
    facts = inputs.certificate.facts["original"]
    claims = [*facts.interval, *(c for tree in facts.trees for c in tree.claims)]
    return tuple(sum(claim.phase == phase for claim in claims) for phase in ("inactive", "active"))  # type: ignore[return-value]


def _statement(inputs: _Inputs, counts: Counts, arithmetic: str, trusted: tuple[str, ...]) -> str:
    certificate, names = inputs.certificate, inputs.names
    relation = "= 0" if certificate.tolerance == 0 else f"<= {certificate.tolerance}"
    plural = "" if len(inputs.domain.lower) == 1 else "s"
    claim = (
        f"for all x in D, max |N(x) - N'(x)| {relation}, where "
        f"N = {names['original']} (sha256 {certificate.original.sha256}), "
        f"N' = {names['reduced']} (sha256 {certificate.reduced.sha256}), "
        f"D = the box of {len(inputs.domain.lower)} input{plural} in {PurePosixPath(certificate.domain.file).name} "
        f"(sha256 {certificate.domain.sha256}); "
        f"{counts.inactive} neurons proven inactive, {counts.active} active; "
        f"{counts.nodes:,} tree nodes replayed in {arithmetic} integer arithmetic"
    )
    return stated(claim, trusted)


def _trusted(facts: dict[str, Facts], strict: bool) -> tuple[str, ...]:
    words = []
    for side, own in facts.items():
        for number, fact in enumerate(own.solver):
            if strict:
                reason = f"'{fact.claim}' rests on the word of {fact.by} alone"
                raise Refusal("solver", f"{side} solver {number}", reason)
            words.append(f"{fact.claim} in the {side} network, by {fact.by}")
    return tuple(words)


def _accept(inputs: _Inputs, strict: bool, arithmetic: str, progress: Progress) -> Accepted:
    certificate = inputs.certificate
    trusted = _trusted(certificate.facts, strict)
    roots = {}
    for side, network in inputs.networks.items():
        chain = chain_form(network, inputs.domain)
        roots[side] = _Establisher(side, chain, certificate.facts[side], arithmetic, progress).run()
    outputs = [len(network.output.rows) for network in inputs.networks.values()]
    if outputs[0] != outputs[1]:
        raise Refusal("agree", "outputs", f"{outputs[0]} outputs against {outputs[1]} in the reduced network")
    claims = {side: frozenset(facts.claims()) for side, facts in certificate.facts.items()}
    match = {(pair[0], pair[1]): (pair[2], pair[3]) for pair in certificate.match}
    networks = inputs.networks
    statement = Statement(
        networks["original"], networks["reduced"], inputs.domain, claims["original"], claims["reduced"],
        Fraction(certificate.tolerance), match,
    )  # fmt: skip
    check_agreement(statement, roots["reduced"])
    nodes = sum(tree.nodes for facts in certificate.facts.values() for tree in facts.trees)
    counts = Counts(*_phases(inputs), nodes)
    return Accepted(_statement(inputs, counts, arithmetic, trusted), counts, trusted)


def _silent(_: str, __: float | None) -> None:
    """Progress that nobody asked for."""


def _check(
    path: Path, given: GivenFiles, reduced: str | Path | None, strict: bool, arithmetic: str, progress: Progress
) -> Accepted:
    path = path / CERTIFICATE_NAME if path.is_dir() else path
    certificate = read_certificate(read_file(path, "certificate"))
    if isinstance(certificate, Certificate):
        if given.query is not None:
            raise CheckInputError(f"{path} is about two networks and a box: no query can be given")
        return _accept(_read_inputs(certificate, path.parent, given.network, reduced), strict, arithmetic, progress)
    if reduced is not None:
        raise CheckInputError(f"{path} is about one network and a query: no reduced network can be given")
    return check_query(certificate, path.parent, given, strict, arithmetic, progress)


def check(
    path: str | Path,
    *,
    original: str | Path | None = None,
    reduced: str | Path | None = None,
    query: str | Path | None = None,
    strict: bool = False,
    arithmetic: Literal["fast", "exact"] = "fast",
    progress: Progress | None = None,
) -> Accepted | Refused:
    """Checks a certificate.

    Parameters
    ----------
    path : the certificate, or the folder that contains `certificate.secateur`.
    original, reduced, query : files to use in place of those that the certificate names (`original`: the network that it is
        about); the hashes must agree. A certificate about a query has no reduced network, any other no query.
    strict : refuse what rests on a solver's word.
    arithmetic : "fast" (compiled; exact integers in doubles) or "exact" (plain Python integers). Without numpy or
        numba the exact one is used.
    progress : called with a line of text and the share of the present tree that is done, often.

    Raises
    ------
    CheckInputError : a file cannot be read, or is given for a claim that is not about it. Everything else that is wrong is a
        `Refused`.
    """
    if arithmetic not in ("fast", "exact"):
        raise CheckInputError(f"the arithmetic is 'fast' or 'exact', not {arithmetic!r}")
    try:
        return _check(Path(path), GivenFiles(original, query), reduced, strict, available(arithmetic), progress or _silent)
    except Refusal as refusal:
        return Refused(refusal.rule, refusal.step, refusal.reason)
