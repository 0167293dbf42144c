"""What a search by clauses has shown, step by step, and which of its steps the end needs.

A step is a lemma, which multipliers prove by themselves, or a consequence: a clause that follows from the clauses before it by
unit propagation. Searches prove much that leads nowhere; `trimmed` walks back from the end, as checkers of clausal proofs do
(Heule, Hunt and Wetzler, Trimming while checking clausal proofs, FMCAD 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Step", "trimmed"]

Clause = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A clause, and the multipliers that prove it; None where it follows from the clauses before it."""

    clause: Clause
    multipliers: Sequence[int] | None = None


def trimmed(steps: Sequence[Step]) -> list[Step]:
    """The steps that the last one needs, in order. ValueError where a consequence does not follow."""
    needed = {len(steps) - 1} if steps else set()
    for number in reversed(range(len(steps))):
        if number in needed and steps[number].multipliers is None:
            needed |= _conflict([step.clause for step in steps[:number]], steps[number].clause)
    return [steps[number] for number in sorted(needed)]


def _conflict(clauses: Sequence[Clause], refuted: Clause) -> set[int]:
    """The clauses by which unit propagation meets a conflict where `refuted` is false."""
    reasons: dict[int, int] = {}
    true = {-literal for literal in refuted}
    changed = True
    while changed:
        changed = False
        for number, clause in enumerate(clauses):
            open_literals = [literal for literal in clause if -literal not in true]
            if not open_literals:
                return _blamed(clauses, number, reasons)
            if len(open_literals) == 1 and open_literals[0] not in true:
                true.add(open_literals[0])
                reasons[open_literals[0]] = number
                changed = True
    raise ValueError(f"the clause {refuted} does not follow")


def _blamed(clauses: Sequence[Clause], conflict: int, reasons: dict[int, int]) -> set[int]:
    """The clause that is false, and those that made its literals false."""
    found, waiting = set[int](), [conflict]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [reasons[-literal] for literal in clauses[number] if -literal in reasons]
    return found
