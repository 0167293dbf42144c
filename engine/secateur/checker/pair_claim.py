"""Certificates about two networks by differences (section 9 of the format): a tree over both, or a counterexample."""

from __future__ import annotations

from fractions import Fraction

from secateur.checker.chain import chain_form
from secateur.checker.container import symbols_with_trusted
from secateur.checker.evaluation import evaluate
from secateur.checker.facts import Establisher, proven_phases, trusted_facts
from secateur.checker.joined import joined
from secateur.checker.pair_rows import broken_at, compared_sizes, pair_goals, statement
from secateur.checker.records import DifferenceTree, Evidence, PairCertificate, PairClaim
from secateur.checker.refusal import Refusal
from secateur.checker.replay import Proof, replay
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import with_layer
from secateur.checker.two_networks import TwoNetworks, replayed
from secateur.checker.verdict import Accepted, Counts, Progress, shown_point, stated

__all__ = ["check_pair", "difference_proof", "trusted_leaves"]

STEP = "difference"


def difference_proof(claim: PairClaim, evidence: Evidence, inputs: TwoNetworks) -> Proof:
    """The tree over the joined network; the facts count as established."""
    tree = evidence.tree
    stream, leaf = symbols_with_trusted(tree, inputs.original.input_size, STEP)
    both = joined(inputs.original, inputs.reduced, evidence.plan)
    depth = len(both.network.layers)
    if len(tree.grid) != depth + 1:
        raise Refusal("header", f"{STEP}.grid", f"{len(tree.grid)} grid exponents for {depth + 1} layers")
    rows, goals = pair_goals(claim, inputs.original, inputs.reduced, both)
    chain = chain_form(with_layer(both.network, rows), inputs.domain, both.differences)
    root = RootBounds(chain)
    for fact in evidence.facts.claims():
        root.add(fact)
    bounds = [root.bounds(k) for k in range(1, depth + 1)]
    return Proof(chain, tree.grid, goals, tree.steps, stream, leaf, bounds, STEP)


def _trusted(evidence: Evidence, strict: bool) -> tuple[str, ...]:
    """The facts and leaves that rest on a solver's word; refused if `strict`."""
    return *trusted_facts({"original": evidence.facts}, strict), *trusted_leaves(evidence.tree, strict)


def trusted_leaves(tree: DifferenceTree, strict: bool) -> tuple[str, ...]:
    """The leaves of a difference tree that rest on a solver's word, in words; refused if `strict`."""
    if tree.trusted and strict:
        raise Refusal("solver", STEP, f"{tree.trusted} of its leaves rest on the word of an LP or SMT solver alone")
    own = f"{tree.trusted:,} of the {tree.nodes:,} nodes of the difference tree, by an LP or SMT solver"
    return (own,) if tree.trusted else ()


def _proven(
    claim: PairClaim, evidence: Evidence, inputs: TwoNetworks, strict: bool, arithmetic: str, progress: Progress
) -> Accepted:
    trusted = _trusted(evidence, strict)
    compared_sizes(claim, inputs.original, inputs.reduced, "claim")
    Establisher("original", chain_form(inputs.original, inputs.domain), evidence.facts, arithmetic, progress).run()
    proof = difference_proof(claim, evidence, inputs)  # not before the facts: some may be about no neuron at all
    replay(proof, arithmetic, progress)
    nodes = sum(tree.nodes for tree in evidence.facts.trees) + evidence.tree.nodes - evidence.tree.trusted
    counts = Counts(*proven_phases(evidence.facts), nodes)
    return Accepted(stated(f"{statement(claim)}, where {inputs.words}; {replayed(counts, arithmetic)}", trusted), counts, trusted)


def _refuted(claim: PairClaim, point: tuple[Fraction, ...], inputs: TwoNetworks) -> Accepted:
    compared_sizes(claim, inputs.original, inputs.reduced, "claim.claim")
    domain = inputs.domain
    if len(point) != len(domain.lower):
        raise Refusal("header", "claim.point", f"{len(point)} coordinates for {len(domain.lower)} inputs")
    for j, (low, own, high) in enumerate(zip(domain.lower, point, domain.upper, strict=True)):
        if not low <= own <= high:
            raise Refusal("refuted", "point", f"coordinate {j} lies outside D")
    layers = claim.layers or (None, None)
    y, other = evaluate(inputs.original, point, layers[0]), evaluate(inputs.reduced, point, layers[1])
    index = broken_at(claim, y, other)
    if index is None:
        raise Refusal("refuted", "point", "the statement holds there")
    noun = "output" if claim.layers is None else "neuron"
    words = (
        f"it is false that {statement(claim)}: it fails for {noun} {index} at x = {shown_point(point)}, where {inputs.words}; "
        "both networks were evaluated exactly"
    )
    return Accepted(stated(words, ()), Counts(0, 0, 0), ())


def check_pair(certificate: PairCertificate, inputs: TwoNetworks, strict: bool, arithmetic: str, progress: Progress) -> Accepted:
    """Checks a certificate about two networks by differences. Raises Refusal."""
    if isinstance(certificate.evidence, Evidence):
        return _proven(certificate.claim, certificate.evidence, inputs, strict, arithmetic, progress)
    return _refuted(certificate.claim, certificate.evidence, inputs)
