"""Certificates about a query (sections 8 and 13 of the format): trees that refute it, or a point that satisfies it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from secateur.checker.chain import chain_form
from secateur.checker.container import symbols_with_trusted
from secateur.checker.domain import Domain
from secateur.checker.evaluation import evaluate
from secateur.checker.files import referenced, unpacked
from secateur.checker.float32 import FloatNetwork, float_network
from secateur.checker.lowering import Network, lower
from secateur.checker.query import Disjunct, Query, QueryRow, read_query
from secateur.checker.records import Part, QueryCertificate
from secateur.checker.refusal import Refusal, located
from secateur.checker.refuted_leaves import LeafEvidence, refuse_in_float32
from secateur.checker.replay import Proof, replay
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import goals, row_magnitudes, with_exact_rows, with_row_layer
from secateur.checker.slack import OF_REALS, Magnitudes
from secateur.checker.subject import about_one
from secateur.checker.verdict import Accepted, Counts, Progress, replayed_nodes, shown_name, shown_point, stated

__all__ = ["GivenFiles", "check_query"]


@dataclass(frozen=True)
class GivenFiles:
    """Files that the caller names in place of those of the certificate."""

    network: str | Path | None
    query: str | Path | None


@dataclass(frozen=True)
class _Inputs:
    """Everything that was read, with the hashes compared."""

    certificate: QueryCertificate
    network: Network
    query: Query
    names: tuple[str, str]
    floats: FloatNetwork | None  # where the claim is about float32 arithmetic

    def claim(self, subject: str) -> str:
        """The claim in words, with the files that it is about."""
        network, query = self.certificate.network.sha256, self.certificate.query.sha256
        return f"{subject} the query {self.names[1]} (sha256 {query}) on N = {self.names[0]} (sha256 {network})"


def _read_inputs(certificate: QueryCertificate, folder: Path, given: GivenFiles) -> _Inputs:
    data = referenced("network", "network", certificate.network, folder, given.network)
    text = referenced("query", "query", certificate.query, folder, given.query)
    model = unpacked(data, "network")
    network, query = lower(model), read_query(text)
    for what, own, wanted in (
        ("inputs", network.input_size, query.input_size),
        ("outputs", len(network.output.rows), query.output_size),
    ):
        if own != wanted:
            raise Refusal("query", what, f"the query has {wanted}, the network {own}")
    chosen = (given.network or certificate.network.file, given.query or certificate.query.file)
    names = (shown_name(chosen[0]), shown_name(chosen[1]))
    return _Inputs(certificate, network, query, names, float_network(model) if certificate.float32 else None)


def _next_disjuncts(left: Iterator[Disjunct], part: Part, step: str) -> list[Disjunct]:
    """The disjuncts of a part: as many as it announces, all on one box, with something to refute in each."""
    found = list(islice(left, part.disjuncts))
    if len(found) < part.disjuncts:
        raise Refusal("parts", step, f"it has {part.disjuncts} disjuncts, but only {len(found)} are left in the query")
    for disjunct in found:
        if not disjunct.rows:
            raise Refusal("parts", step, "a disjunct without rows cannot be refuted")
        if (disjunct.lower, disjunct.upper) != (found[0].lower, found[0].upper):
            raise Refusal("parts", step, "its disjuncts have different boxes")
    return found


def _magnitudes(floats: FloatNetwork | None, rows: list[QueryRow], box: Domain) -> Magnitudes | None:
    """What rounding in float32 can do, in the row layer too (section 11); refuses where something could overflow on the box."""
    if floats is None:
        return None
    floats.check_overflow(box)
    hidden = floats.hidden
    last = row_magnitudes(rows, floats.output)
    return Magnitudes((*hidden.layers, last), (*hidden.roundings, floats.output_roundings))


def _proof(inputs: _Inputs, part: Part, disjuncts: list[Disjunct], number: int, step: str) -> Proof:
    """The tree of a part; `number` is that of its first disjunct."""
    network = inputs.network
    stream, leaf = symbols_with_trusted(part, network.input_size, step)
    depth = len(network.layers)
    if len(part.grid) != depth + 1:
        raise Refusal("header", f"{step}.grid", f"{len(part.grid)} grid exponents for {depth + 1} layers")
    rows = [row for disjunct in disjuncts for row in disjunct.rows]
    box = Domain(disjuncts[0].lower, disjuncts[0].upper)
    with located(step, (), ""):
        magnitudes = _magnitudes(inputs.floats, rows, box)
    chain = chain_form(with_row_layer(network, rows), box, magnitudes=magnitudes)
    root = RootBounds(chain)
    bounds = [root.bounds(k) for k in range(1, depth + 1)]
    own = goals(disjuncts, depth + 1, number)
    evidence = None
    if part.refuted:
        evidence = LeafEvidence(part.refuted, stream, about_one(with_exact_rows(network, rows), box), own, step)
    return Proof(chain, part.grid, own, part.steps, stream, leaf, bounds, step, evidence)


def _trusted(parts: tuple[Part, ...], strict: bool, float32: bool) -> tuple[str, ...]:
    """The leaves that rest on a solver's word, by part; refused if `strict`."""
    words = []
    for number, part in enumerate(parts):
        if part.trusted and float32:
            raise Refusal("float32", f"parts[{number}].trusted", OF_REALS)
        if float32:
            refuse_in_float32(part.refuted, f"parts[{number}]")
        if part.trusted and strict:
            reason = f"{part.trusted} of its leaves rest on the word of an LP or SMT solver alone"
            raise Refusal("solver", f"parts[{number}]", reason)
        if part.trusted:
            words.append(f"{part.trusted:,} of the {part.nodes:,} nodes of part {number}, by an LP or SMT solver")
    return tuple(words)


def _refuted(inputs: _Inputs, strict: bool, arithmetic: str, progress: Progress) -> Accepted:
    parts = inputs.certificate.parts
    trusted, disjuncts, done = _trusted(parts, strict, inputs.floats is not None), inputs.query.disjuncts(), 0
    for number, part in enumerate(parts):
        step = f"parts[{number}]"
        own = _next_disjuncts(disjuncts, part, step)
        replay(_proof(inputs, part, own, done, step), arithmetic, progress)
        done += len(own)
    if next(disjuncts, None) is not None:
        raise Refusal("parts", "end", f"the query has more than the {done} disjuncts of the parts")
    nodes = sum(part.nodes - part.trusted for part in parts)
    counts = Counts(0, 0, nodes, sum(part.refuted.leaves for part in parts if part.refuted))
    subject = "no float32 x satisfies, in any float32 evaluation of N," if inputs.floats else "no x satisfies"
    replayed = replayed_nodes(counts, arithmetic, f"tree node{'s' * (nodes != 1)}")
    words = f"{inputs.claim(subject)}; {replayed}"
    return Accepted(stated(words, trusted), counts, trusted)


def _satisfied(inputs: _Inputs) -> Accepted:
    point = inputs.certificate.point or ()
    if len(point) != inputs.network.input_size:
        raise Refusal("header", "claim.point", f"{len(point)} coordinates for {inputs.network.input_size} inputs")
    if not inputs.query.holds_at(point, evaluate(inputs.network, point)):
        raise Refusal("sat", "point", "it does not make every assertion of the query true")
    claim = f"{inputs.claim(f'x = {shown_point(point)} satisfies')}; the network was evaluated exactly"
    return Accepted(stated(claim, ()), Counts(0, 0, 0), ())


def check_query(
    certificate: QueryCertificate, folder: Path, given: GivenFiles, strict: bool, arithmetic: str, progress: Progress
) -> Accepted:
    """Checks a certificate about a query; `folder` is where it lies. Raises Refusal, and CheckInputError for missing files."""
    inputs = _read_inputs(certificate, folder, given)
    return _satisfied(inputs) if certificate.point is not None else _refuted(inputs, strict, arithmetic, progress)
