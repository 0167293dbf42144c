"""The refuted leaves of a tree (section 13 of the format): evidence that refutes all goals that are open there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.checker.container import inflated
from secateur.checker.json_list import JsonList
from secateur.checker.nodes import Goal, LeafState
from secateur.checker.records import RefutedLeaves
from secateur.checker.refusal import Refusal, located
from secateur.checker.refutation import Clauses, lemma_holds
from secateur.checker.refutation_schema import Lemma, Refutation, read_refutation
from secateur.checker.subject import Region, Subject

__all__ = ["LeafEvidence", "refuse_in_float32"]


def refuse_in_float32(refuted: RefutedLeaves | None, where: str) -> None:
    """A claim about float32 arithmetic has no refuted leaves."""
    if refuted is not None:
        reason = "refutations by exact multipliers are about the reals, not about float32 arithmetic"
        raise Refusal("float32", f"{where}.refuted", reason)


class LeafEvidence:
    """The evidence of one tree. See `walk.Evidence`."""

    def __init__(
        self, refuted: RefutedLeaves, symbols: Sequence[int], subject: Subject, goals: Sequence[Goal], step: str
    ) -> None:
        self.symbol = subject.network.input_size + 2
        self.subject, self._goals, self._step = subject, goals, step
        places = [position for position, symbol in enumerate(symbols) if symbol == self.symbol]
        if len(places) != refuted.leaves:
            reason = f"the stream holds {len(places)} refuted leaves, not the announced {refuted.leaves}"
            raise Refusal("container", step, reason)
        where = f"{step} refuted"
        data = inflated(refuted.stream, refuted.length, where, f"{refuted.length} bytes")
        self._list = JsonList(data, "container", where)
        starts = [entry.start for entry in self._list.entries()]
        if len(starts) != len(places):
            raise Refusal("refutation", where, f"{len(starts)} entries for {len(places)} refuted leaves")
        self._starts = dict(zip(places, starts, strict=True))

    def fault(self, position: int, leaf: LeafState) -> Refusal | None:
        """Why the leaf at a position of the stream is not refuted, if it is not."""
        try:
            with located(f"{self._step} node {position}", ("header",), "refutation"):
                self._check(self._list.value(self._starts[position]), leaf)
        except Refusal as refusal:
            return refusal
        return None

    def _check(self, entry: Any, leaf: LeafState) -> None:
        if not isinstance(entry, list) or len(entry) != len(leaf.open):
            given = f"{len(entry)}" if isinstance(entry, list) else "no list of"
            raise Refusal("refutation", "", f"{given} refutations for {len(leaf.open)} open goals")
        region = self.subject.region(leaf)
        for own, number in zip(entry, leaf.open, strict=True):
            goal = self._goals[number]
            with located(f"{goal.kind} '{goal}'", (), ""):
                refutation = read_refutation(own, len(goal.targets), len(self.subject.sides))
                self._refute(refutation, goal, region)

    def _refute(self, refutation: Refutation, goal: Goal, region: Region) -> None:
        """All steps of a refutation, the last of which has to be the empty clause."""
        if not refutation.steps or refutation.steps[-1].clause:
            raise Refusal("refutation", "steps", "the last clause is not empty")
        neurons, rows, clauses = self._symbols(refutation, goal), self.subject.rows(goal), Clauses()
        for number, step in enumerate(refutation.steps):
            if isinstance(step, Lemma):
                phases = {neurons[abs(literal) - 1]: literal < 0 for literal in step.clause}  # all literals are false
                multipliers = dict(zip(neurons, step.multipliers, strict=True))
                if not lemma_holds(self.subject.network, region, rows, phases, step.rows, multipliers):
                    raise Refusal("lemma", f"steps[{number}]", "the multipliers do not show the clause")
            elif not clauses.imply(step.clause):
                reason = "the clause does not follow from those before it by unit propagation"
                raise Refusal("consequence", f"steps[{number}]", reason)
            clauses.add(step.clause)

    def _symbols(self, refutation: Refutation, goal: Goal) -> list[int]:
        """The neurons of a refutation, which stand in layers before the goal's."""
        found, end = [], self.subject.network.starts[goal.layer]
        for number, name in enumerate(refutation.neurons):
            symbol = self.subject.symbol(name)
            if symbol is None:
                raise Refusal("refutation", f"neurons[{number}]", "there is no such neuron")
            if symbol >= end:
                raise Refusal("refutation", f"neurons[{number}]", "it does not stand in a layer before that of the claim")
            found.append(symbol)
        return found
