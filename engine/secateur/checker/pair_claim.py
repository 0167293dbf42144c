"""Certificates about two networks by differences (sections 9 and 13 of the format): a tree over both, or a counterexample."""

from __future__ import annotations

from fractions import Fraction

from secateur.checker.chain import chain_form
from secateur.checker.container import symbols_with_trusted
from secateur.checker.evaluation import evaluate
from secateur.checker.facts import Establisher, proven_phases, trusted_facts
from secateur.checker.float32_pairs import joined_magnitudes
from secateur.checker.joined import Form, Joined, joined, substituted
from secateur.checker.pair_rows import FLOATS, REALS, broken_at, compared_sizes, compared_values, pair_goals, statement
from secateur.checker.records import DifferenceTree, Evidence, PairCertificate, PairClaim, Plan
from secateur.checker.refusal import Refusal
from secateur.checker.refuted_leaves import LeafEvidence, refuse_in_float32
from secateur.checker.replay import Proof, replay
from secateur.checker.root import RootBounds
from secateur.checker.row_layer import with_layer
from secateur.checker.slack import OF_REALS
from secateur.checker.subject import Subject, about_one, side_by_side
from secateur.checker.two_networks import TwoNetworks, replayed
from secateur.checker.verdict import Accepted, Counts, Progress, shown_point, stated

__all__ = ["check_pair", "difference_proof", "trusted_leaves"]

STEP = "difference"


def difference_proof(claim: PairClaim, evidence: Evidence, inputs: TwoNetworks) -> Proof:
    """The tree over the joined network; the facts count as established."""
    tree, size = evidence.tree, compared_sizes(claim, inputs.original, inputs.reduced, "claim")
    stream, leaf = symbols_with_trusted(tree, inputs.original.input_size, STEP)
    both = joined(inputs.original, inputs.reduced, evidence.plan, sharing=inputs.floats is None)
    depth = len(both.network.layers)
    if len(tree.grid) != depth + 1:
        raise Refusal("header", f"{STEP}.grid", f"{len(tree.grid)} grid exponents for {depth + 1} layers")
    values, goals = pair_goals(claim, size, depth + 1)
    known = compared_values(claim, inputs.original, inputs.reduced, both)
    network = with_layer(both.network, [substituted(value, known) for value in values])
    magnitudes = joined_magnitudes(claim, values, inputs, evidence.plan, both)
    chain = chain_form(network, inputs.domain, both.differences, magnitudes=magnitudes)
    root = RootBounds(chain)
    for fact in evidence.facts.claims():
        root.add(fact)
    bounds = [root.bounds(k) for k in range(1, depth + 1)]
    leaves = None
    if tree.refuted:
        subject = _subject(claim, values, evidence.plan, inputs, both)
        leaves = LeafEvidence(tree.refuted, stream, subject, goals, STEP)
    return Proof(chain, tree.grid, goals, tree.steps, stream, leaf, bounds, STEP, leaves)


def _subject(claim: PairClaim, values: list[Form], plan: Plan, inputs: TwoNetworks, both: Joined) -> Subject:
    """Both networks with the row values of the claim, as evidence of refuted leaves speaks about them."""
    pair, sides = side_by_side(inputs.original, inputs.reduced, plan)
    known = compared_values(claim, inputs.original, inputs.reduced, pair)
    network = with_layer(pair.network, [substituted(value, known) for value in values])
    reads: dict[int, Form] = {}
    for own, forms in ((pair.original, both.original), (pair.reduced, both.reduced)):
        neurons = [(s, symbol) for s, (_, term) in own.items() for symbol in term if s > inputs.original.input_size]
        reads |= {symbol: forms[s] for s, symbol in neurons}
    return Subject(network, inputs.domain, sides, both.network.starts, reads)


def _check_float32(evidence: Evidence) -> None:
    """What a claim about float32 arithmetic may not use (section 11)."""
    for given, where in ((evidence.facts.solver, "facts.original.solver"), (evidence.tree.trusted, f"{STEP}.trusted")):
        if given:
            raise Refusal("float32", where, OF_REALS)
    for number, tree in enumerate(evidence.facts.trees):
        refuse_in_float32(tree.refuted, f"facts.original.trees[{number}]")
    refuse_in_float32(evidence.tree.refuted, STEP)
    for level, shift in enumerate(evidence.plan.shifts):
        if shift:
            raise Refusal(
                "float32", f"shifts[{level}]", f"differences of computed values are not scaled: 0 is needed, not {shift}"
            )


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
    if inputs.floats:
        _check_float32(evidence)
    trusted = _trusted(evidence, strict)
    magnitudes = inputs.floats[0].hidden if inputs.floats else None
    chain = chain_form(inputs.original, inputs.domain, magnitudes=magnitudes)
    subject = about_one(inputs.original, inputs.domain)
    Establisher("original", chain, subject, evidence.facts, arithmetic, progress).run()
    proof = difference_proof(claim, evidence, inputs)  # not before the facts: some may be about no neuron at all
    replay(proof, arithmetic, progress)
    nodes = sum(tree.nodes for tree in evidence.facts.trees) + evidence.tree.nodes - evidence.tree.trusted
    leaves = evidence.tree.refuted.leaves if evidence.tree.refuted else 0
    counts = Counts(*proven_phases(evidence.facts), nodes, evidence.facts.refuted() + leaves)
    words = statement(claim, FLOATS if inputs.floats else REALS)
    return Accepted(stated(f"{words}, where {inputs.words}; {replayed(counts, arithmetic)}", trusted), counts, trusted)


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
