"""Checks a certificate: reads the files, establishes the facts in order, and shows the final claim."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from secateur.checker.chain import chain_form
from secateur.checker.container import read_certificate
from secateur.checker.facts import Establisher, proven_phases, trusted_facts
from secateur.checker.family import Setting, check_family
from secateur.checker.files import certificate_path, read_file, unpacked
from secateur.checker.lowering import lower
from secateur.checker.pair_claim import check_pair
from secateur.checker.pair_rows import compared_sizes, statement
from secateur.checker.query_claim import GivenFiles, check_query
from secateur.checker.records import Certificate, FamilyCertificate, PairClaim, QueryCertificate
from secateur.checker.refusal import CheckInputError, Refusal
from secateur.checker.replay import available
from secateur.checker.simulation import Statement, check_agreement
from secateur.checker.subject import about_one
from secateur.checker.two_networks import TwoNetworks, read_two_networks, replayed
from secateur.checker.verdict import Accepted, Counts, Progress, Refused, stated

__all__ = ["Accepted", "Counts", "Refused", "check", "unreadable"]


def _accept(certificate: Certificate, inputs: TwoNetworks, strict: bool, arithmetic: str, progress: Progress) -> Accepted:
    """A certificate of agreement by simulation (section 7)."""
    facts, trusted = certificate.facts, trusted_facts(certificate.facts, strict)
    roots = {}
    for side, network in (("original", inputs.original), ("reduced", inputs.reduced)):
        chain = chain_form(network, inputs.domain)
        subject = about_one(network, inputs.domain)
        roots[side] = Establisher(side, chain, subject, facts[side], arithmetic, progress).run()
    claim = PairClaim("agree", certificate.tolerance)
    compared_sizes(claim, inputs.original, inputs.reduced, "claim")
    known = (frozenset(facts["original"].claims()), frozenset(facts["reduced"].claims()))
    match = {(pair[0], pair[1]): (pair[2], pair[3]) for pair in certificate.match}
    own = Statement(inputs.original, inputs.reduced, inputs.domain, *known, certificate.tolerance, match)
    check_agreement(own, roots["reduced"])
    nodes = sum(tree.nodes for side in facts.values() for tree in side.trees)
    counts = Counts(*proven_phases(facts["original"]), nodes, sum(side.refuted() for side in facts.values()))
    words = f"{statement(claim)}, where {inputs.words}; {replayed(counts, arithmetic)}"
    return Accepted(stated(words, trusted), counts, trusted)


def _silent(_: str, __: float | None) -> None:
    """Progress that nobody asked for."""


def _check(path: Path, given: GivenFiles, reduced: str | Path | None, setting: Setting) -> Accepted:
    path = certificate_path(path)
    certificate = read_certificate(read_file(path, "certificate"))
    if isinstance(certificate, FamilyCertificate):
        if reduced is not None or given.query is not None:
            raise CheckInputError(f"{path} is about a family of slices: no query or reduced network can be given")
        return check_family(certificate, path.parent, given.network, setting)
    if isinstance(certificate, QueryCertificate):
        if reduced is not None:
            raise CheckInputError(f"{path} is about one network and a query: no reduced network can be given")
        return check_query(certificate, path.parent, given, setting.strict, setting.arithmetic, setting.progress)
    if given.query is not None:
        raise CheckInputError(f"{path} is about two networks and a box: no query can be given")
    inputs = read_two_networks(certificate, path.parent, given.network, reduced)
    if isinstance(certificate, Certificate):
        return _accept(certificate, inputs, setting.strict, setting.arithmetic, setting.progress)
    return check_pair(certificate, inputs, setting.strict, setting.arithmetic, setting.progress)


def unreadable(network: bytes) -> str:
    """Why no certificate can be about a network, given the bytes of its file; empty where the checker reads it."""
    try:
        lower(unpacked(network, "network"))
    except Refusal as refusal:
        return f"{refusal.step}: {refusal.reason}"
    return ""


def check(
    path: str | Path,
    *,
    original: str | Path | None = None,
    reduced: str | Path | None = None,
    query: str | Path | None = None,
    strict: bool = False,
    arithmetic: Literal["fast", "exact"] = "fast",
    progress: Progress | None = None,
    jobs: int = 1,
) -> Accepted | Refused:
    """Checks a certificate.

    Parameters
    ----------
    path : the certificate, or the folder that contains `certificate.secateur` or `family.secateur`.
    original, reduced, query : files to use in place of those that the certificate names (`original`: the network that it is
        about); the hashes must agree. A certificate about a query has no reduced network, one about a family
        neither that nor a query, any other no query.
    strict : refuse what rests on a solver's word.
    arithmetic : "fast" (compiled; exact integers in doubles) or "exact" (plain Python integers). Without numpy or
        numba the exact one is used.
    progress : called with a line of text and the share of the present tree that is done, often.
    jobs : processes that share the slices of a large family (scripts then need the usual `if __name__ == "__main__"`).

    Raises
    ------
    CheckInputError : a file cannot be read, or is given for a claim that is not about it. Everything else that is wrong is a
        `Refused`.
    """
    if jobs < 1:
        raise CheckInputError(f"jobs is {jobs}, but somebody has to check")
    if arithmetic not in ("fast", "exact"):
        raise CheckInputError(f"the arithmetic is 'fast' or 'exact', not {arithmetic!r}")
    try:
        setting = Setting(strict, available(arithmetic), progress or _silent, jobs)
        return _check(Path(path), GivenFiles(original, query), reduced, setting)
    except Refusal as refusal:
        return Refused(refusal.rule, refusal.step, refusal.reason)
