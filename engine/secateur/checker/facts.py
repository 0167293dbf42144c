"""The facts about one network, established in the order of the format (sections 1, 3, 5, 6, 10 and 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secateur.checker.chain import Chain
from secateur.checker.container import symbols
from secateur.checker.records import Claim, Facts, Tree
from secateur.checker.refusal import Refusal
from secateur.checker.refuted_leaves import LeafEvidence
from secateur.checker.replay import Proof, replay
from secateur.checker.root import RootBounds, check_interval_rule
from secateur.checker.subject import Subject
from secateur.checker.verdict import Progress

__all__ = ["Establisher", "proven_phases", "trusted_facts"]


class Establisher:
    """Establishes the facts of one network, in their order, after those that it inherits.

    The network stands in chain form, and exactly in `subject`.
    """

    def __init__(
        self,
        side: str,
        chain: Chain,
        subject: Subject,
        facts: Facts,
        arithmetic: str,
        progress: Progress,
        inherited: Sequence[Claim] = (),
    ) -> None:
        self.side, self.chain, self.subject, self.facts, self.progress = side, chain, subject, facts, progress
        self.root = RootBounds(chain)
        self.established: list[Claim] = []
        self.arithmetic = arithmetic
        for claim in inherited:
            self._establish(claim)

    def run(self) -> RootBounds:
        if len(self.facts.grid) != len(self.chain.layers):
            reason = f"{len(self.facts.grid)} grid exponents for {len(self.chain.layers)} layers"
            raise Refusal("header", f"facts.{self.side}.grid", reason)
        known = set(self.established)
        for claim in self.facts.claims():
            if not self.chain.has_neuron(claim.layer, claim.neuron):
                raise Refusal("header", f"facts.{self.side}", f"the claim '{claim}' is about no neuron")
            if claim in known:
                raise Refusal("header", f"facts.{self.side}", f"the claim '{claim}' was established on a larger box")
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
        evidence = LeafEvidence(tree.refuted, stream, self.subject, tree.claims, step) if tree.refuted else None
        proof = Proof(self.chain, self.facts.grid, tree.claims, tree.steps, stream, None, bounds, step, evidence)
        replay(proof, self.arithmetic, self.progress)


def proven_phases(facts: Facts) -> tuple[int, int]:
    """Neurons verified inactive and active; a solver's word does not count."""
    claims = [*facts.interval, *(c for tree in facts.trees for c in tree.claims)]
    return sum(claim.phase == "inactive" for claim in claims), sum(claim.phase == "active" for claim in claims)


def trusted_facts(facts: Mapping[str, Facts], strict: bool) -> tuple[str, ...]:
    """The facts that rest on a solver's word, in words; refused if `strict`."""
    words = []
    for side, own in facts.items():
        for number, fact in enumerate(own.solver):
            if strict:
                reason = f"'{fact.claim}' rests on the word of {fact.by} alone"
                raise Refusal("solver", f"{side} solver {number}", reason)
            words.append(f"{fact.claim} in the {side} network, by {fact.by}")
    return tuple(words)
