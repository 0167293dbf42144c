"""The Boolean side of the phase search: decisions, consequences with their reasons, and clauses learned from conflicts.

A clause is a tuple of literals, one of which must hold. Start at `Trail.propagate` and `Trail.learn`; the method is
conflict-driven clause learning with two watched literals and the first unique implication point.
Reference: Marques-Silva, Lynce and Malik, ch. 4 of the Handbook of Satisfiability (2009).
"""

from __future__ import annotations

from collections import defaultdict

from secateur.search.phase_system import Literal, neuron_of

__all__ = ["Clause", "Trail"]

Clause = tuple[Literal, ...]


class Trail:
    """The phases chosen and implied so far, in order, over a fixed number of neurons.

    `phases[k]` is 1 (active), -1 (inactive) or 0 (open).
    """

    def __init__(self, neurons: int) -> None:
        self.phases = [0] * neurons
        self.literals: list[Literal] = []
        self._level = [0] * neurons
        self._reason: list[Clause | None] = [None] * neurons
        self._starts: list[int] = []  # length of the trail before each decision
        self._watching: defaultdict[Literal, list[list[Literal]]] = defaultdict(list)
        self._propagated = 0

    @property
    def decisions(self) -> list[Literal]:
        return [self.literals[start] for start in self._starts]

    def value(self, literal: Literal) -> int:
        """1 where the literal holds, -1 where its opposite does, 0 where it is open."""
        phase = self.phases[neuron_of(literal)]
        return phase if literal > 0 else -phase

    def decide(self, literal: Literal) -> None:
        """Choose a phase of an open neuron, on a new level."""
        self._starts.append(len(self.literals))
        self.imply(literal, None)

    def imply(self, literal: Literal, reason: Clause | None) -> None:
        """Fix a phase of an open neuron; all other literals of `reason` are false."""
        k = neuron_of(literal)
        self.phases[k] = 1 if literal > 0 else -1
        self._level[k], self._reason[k] = len(self._starts), reason
        self.literals.append(literal)

    def propagate(self) -> Clause | None:
        """Unit propagation over the learned clauses; a clause that is false now, or None."""
        while self._propagated < len(self.literals):
            falsified = -self.literals[self._propagated]
            self._propagated += 1
            watching, self._watching[falsified] = self._watching[falsified], []
            for position, clause in enumerate(watching):
                if not self._visit(clause, falsified):
                    self._watching[falsified] += watching[position + 1 :]
                    return tuple(clause)
        return None

    def _visit(self, clause: list[Literal], falsified: Literal) -> bool:
        """Look after a clause that watches a literal now false; False where no literal is left to hold. Moves its watches."""
        if clause[0] == falsified:
            clause[0], clause[1] = clause[1], clause[0]
        if self.value(clause[0]) <= 0:
            for position in range(2, len(clause)):
                if self.value(clause[position]) >= 0:
                    clause[1], clause[position] = clause[position], clause[1]
                    self._watching[clause[1]].append(clause)
                    return True
        self._watching[falsified].append(clause)
        if self.value(clause[0]) < 0:
            return False
        if self.value(clause[0]) == 0:
            self.imply(clause[0], tuple(clause))
        return True

    def learn(self, conflict: Clause) -> Clause | None:
        """Learn from a clause whose literals are all false, and jump back; None where no decision is to blame.

        Then the clauses contradict each other, whatever the phases. What is learned follows from the clauses before it by unit
        propagation (Goldberg and Novikov, DATE 2003).
        """
        level = max((self._level[neuron_of(literal)] for literal in conflict), default=0)
        if level == 0:
            return None
        self._back_to(level)
        learned = self._analysed(conflict, level)
        self._back_to(self._level[neuron_of(learned[1])] if len(learned) > 1 else 0)
        if len(learned) > 1:
            clause = list(learned)
            for literal in clause[:2]:
                self._watching[literal].append(clause)
        self.imply(learned[0], learned)
        return learned

    def _analysed(self, conflict: Clause, level: int) -> Clause:
        """The clause of the first unique implication point: its one literal of this level, then the others, highest first."""
        false = set(conflict)
        position = len(self.literals)
        while sum(self._level[neuron_of(literal)] == level for literal in false) > 1:
            position -= 1
            holds = self.literals[position]
            if -holds in false:
                false.discard(-holds)
                false.update(other for other in self._reason[neuron_of(holds)] or () if other != holds)
        relevant = [literal for literal in false if self._level[neuron_of(literal)] > 0]
        return tuple(sorted(relevant, key=lambda literal: -self._level[neuron_of(literal)]))

    def _back_to(self, level: int) -> None:
        """Undo everything above a level."""
        if level >= len(self._starts):
            return
        start = self._starts[level]
        for literal in self.literals[start:]:
            self.phases[neuron_of(literal)] = 0
        del self.literals[start:], self._starts[level:]
        self._propagated = min(self._propagated, start)
