"""Changes of the evidence for refuted leaves: of literals, rows, multipliers, neurons, steps, goals and leaves.

What the header and the symbols say of the evidence follows the change mostly, so that it is the content that is judged.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.forged.bases import Bundle, entries_in
from tests.forged.random_changes import change_list, change_value, other_bytes, places

__all__ = ["UNPROVEN", "change_evidence"]


@dataclass
class Leaves:
    """The symbols of a tree, and the entries of its refuted leaves, which have as many refutations as goals are open."""

    symbols: list[int]
    entries: list[Any]
    inputs: int

    @property
    def refuted(self) -> int:
        return self.inputs + 2

    def places(self) -> list[int]:
        """Where the refuted leaves stand among the symbols."""
        return [at for at, symbol in enumerate(self.symbols) if symbol == self.refuted]


Change = Callable[[Leaves, random.Random], object]


def is_whole(entries: Any) -> bool:
    """Whether evidence has its shape still, after other changes."""
    if not isinstance(entries, list) or not all(isinstance(entry, list) and entry for entry in entries) or not entries:
        return False
    return all(is_whole_goal(own) for entry in entries for own in entry)


def is_whole_goal(own: Any) -> bool:
    if not isinstance(own, dict) or not own.keys() >= {"neurons", "steps"} or not all(isinstance(v, list) for v in own.values()):
        return False
    steps = own["steps"]
    return bool(steps) and all(
        isinstance(s, dict) and "clause" in s and all(isinstance(v, list) for v in s.values()) for s in steps
    )


def a_goal(own: Leaves, rng: random.Random) -> dict[str, Any]:
    goal: dict[str, Any] = rng.choice(rng.choice(own.entries))
    return goal


def a_lemma(own: Leaves, rng: random.Random) -> dict[str, Any]:
    """A lemma, if there is one, else a consequence."""
    steps = a_goal(own, rng)["steps"]
    step: dict[str, Any] = rng.choice([s for s in steps if "multipliers" in s] or steps)
    return step


# Changes of one goal's refutation.


def literals(own: Leaves, rng: random.Random) -> None:
    """One literal of a clause has the other sign, goes, comes, or is about another neuron."""
    goal = a_goal(own, rng)
    clause, neurons = rng.choice(goal["steps"])["clause"], len(goal["neurons"])
    at, kind = rng.randrange(max(1, len(clause))), rng.randrange(4)
    if not clause or kind == 0:
        clause.insert(at, rng.choice([-1, 1]) * rng.randint(1, max(1, neurons)))
    elif kind == 1:
        del clause[at]
    elif kind == 2 and isinstance(clause[at], int):
        clause[at] = -clause[at]
    else:
        clause[at] = rng.choice([-1, 1]) * rng.randint(0, neurons + 1)


def numbers(own: Leaves, rng: random.Random) -> None:
    """A row's weight or a multiplier is another, or two change places."""
    step = a_lemma(own, rng)
    values = step.get(rng.choice(["rows", "multipliers", "multipliers"]))
    if not values:
        return
    i, j, kind = rng.randrange(len(values)), rng.randrange(len(values)), rng.randrange(4)
    if kind == 0:
        values[i], values[j] = values[j], values[i]
    elif kind == 1 and isinstance(values[i], str) and values[i].removeprefix("-").isdecimal():
        size = int(values[i])
        values[i] = str(rng.choice([-size, size + 1, size - 1, 2 * size, size + (size >> 10), size - (size >> 20), 0]))
    elif kind == 2:
        values[i] = rng.choice(["0", "1", "-1", "-0", "007", "9" * 40])
    else:
        change_value(values, i, rng)


def scaled(own: Leaves, rng: random.Random) -> None:
    """All numbers of a lemma are multiplied by one factor; or those of one kind are, or are those of another lemma."""
    step, other, factor = a_lemma(own, rng), a_lemma(own, rng), rng.choice([2, 3, 10**20, 0, -1])
    keys = rng.choice([["rows", "multipliers"], ["rows"], ["multipliers"]])
    for key in [key for key in keys if key in step]:
        if rng.random() < 0.3 and key in other:
            step[key] = list(other[key])
        elif all(isinstance(v, str) and v.removeprefix("-").isdecimal() for v in step[key]):
            step[key] = [str(int(v) * factor) for v in step[key]]


def steps(own: Leaves, rng: random.Random) -> None:
    """Steps go, come twice, or change places; the last ones go; or a clause comes from nowhere."""
    found, kind = a_goal(own, rng)["steps"], rng.randrange(4)
    if kind == 0:
        del found[rng.randrange(len(found)) :]
    elif kind == 1:
        found.insert(rng.randint(0, len(found)), {"clause": list(rng.choice(found)["clause"])[1:]})
    else:
        change_list(found, rng)


def kinds_of_steps(own: Leaves, rng: random.Random) -> None:
    """A lemma becomes a consequence, or the other way round."""
    goal = a_goal(own, rng)
    step, lemma = rng.choice(goal["steps"]), a_lemma(own, rng)
    if "multipliers" in step:
        step.pop("rows", None)
        step.pop("multipliers", None)
    else:
        step |= {key: list(lemma[key]) for key in ("rows", "multipliers") if key in lemma}


def bare(own: Leaves, rng: random.Random) -> None:
    """All refutations are without lemmas, or all clauses come without numbers, or are but the empty one."""
    kind = rng.randrange(3)
    for goal in (goal for entry in own.entries for goal in entry):
        if kind == 0:
            goal["steps"] = [{"clause": []}]
        elif kind == 1:
            goal["steps"] = [{"clause": step["clause"]} for step in goal["steps"]]
        else:
            goal["steps"] = [step for step in goal["steps"] if "multipliers" not in step] + [{"clause": []}]


def bare_at_once(own: Leaves, rng: random.Random) -> None:
    """One refuted leaf for all, without lemmas."""
    merged(own, rng)
    bare(own, rng)


def neurons(own: Leaves, rng: random.Random) -> None:
    """Other neurons, or the same in another order; one that goes takes its multipliers with it."""
    goal = a_goal(own, rng)
    found, kind = goal["neurons"], rng.randrange(3)
    if not found or kind == 0:
        change_list(found, rng)
    elif kind == 1:
        change_value(*rng.choice(places(found, [])), rng)
    else:
        at = rng.randrange(len(found))
        del found[at]
        for step in goal["steps"]:
            step["clause"] = [v - (v > at + 1) + (v < -at - 1) for v in step["clause"] if isinstance(v, int) and abs(v) != at + 1]
            if len(step.get("multipliers", [])) > at:
                del step["multipliers"][at]


# Changes of goals and leaves.


def goals(own: Leaves, rng: random.Random) -> None:
    """Refutations of goals go, come twice, or change places; or one takes another's place."""
    if rng.random() < 0.5:
        change_list(rng.choice(own.entries), rng)
    else:
        entry = rng.choice(own.entries)
        entry[rng.randrange(len(entry))] = copy.deepcopy(a_goal(own, rng))


def entries(own: Leaves, rng: random.Random) -> None:
    """The leaves' evidence goes, comes twice, or changes places, though the leaves stay."""
    change_list(own.entries, rng)


def closed(own: Leaves, rng: random.Random) -> None:
    """A refuted leaf becomes one without evidence, or the other way round."""
    number = rng.randrange(len(own.entries))
    leaves = [at for at, symbol in enumerate(own.symbols) if not symbol]
    if rng.random() < 0.5 and number < len(own.places()):
        own.symbols[own.places()[number]] = rng.choice([0, 0, own.inputs + 1])
        del own.entries[number]
    elif leaves:
        at = rng.choice(leaves)
        own.symbols[at] = own.refuted
        own.entries.insert(own.places().index(at), copy.deepcopy(own.entries[number]))


def merged(own: Leaves, rng: random.Random) -> None:
    """The whole tree, or a split of two leaves, becomes one refuted leaf, with the evidence of some leaf."""
    ends = (0, own.refuted)
    splits = [
        at for at in range(len(own.symbols) - 2)
        if own.symbols[at] not in ends and all(symbol in ends for symbol in own.symbols[at + 1 : at + 3])
    ]  # fmt: skip
    entry = copy.deepcopy(rng.choice(own.entries))
    if not splits or rng.random() < 0.3:
        own.symbols[:], own.entries[:] = [own.refuted], [entry]
        return
    at = rng.choice(splits)
    before, within = own.symbols[:at].count(own.refuted), own.symbols[at : at + 3].count(own.refuted)
    own.symbols[at : at + 3] = [own.refuted]
    own.entries[before : before + within] = [entry]


def split(own: Leaves, rng: random.Random) -> None:
    """A refuted leaf is split, both halves with its evidence: what holds on a box holds on its parts."""
    if len(own.places()) != len(own.entries):
        return
    number = rng.randrange(len(own.entries))
    at = own.places()[number]
    own.symbols[at : at + 1] = [rng.randint(1, own.inputs), own.refuted, own.refuted]
    own.entries.insert(number, copy.deepcopy(own.entries[number]))


def anything(own: Leaves, rng: random.Random) -> None:
    """Any value of the JSON text."""
    change_value(*rng.choice(places(own.entries, [])), rng)


CHANGES: list[Change] = [
    literals, literals, numbers, numbers, scaled, steps, steps, kinds_of_steps, bare, bare, neurons, goals, entries, closed,
    merged, merged, split, anything,
]  # fmt: skip


UNPROVEN: list[Change] = [bare, bare_at_once, merged]  # what leaves the most to be believed


def change_evidence(bundle: Bundle, rng: random.Random, changes: Sequence[Change] = CHANGES) -> str:
    """Changes the evidence of one tree; says what was changed, or nothing where there is no evidence."""
    streams, trees = bundle.streams, list(entries_in(bundle.root))
    found = [number for number, entry in enumerate(trees) if "length" in entry and 0 < number < len(streams)]
    if not found or len(trees) != len(streams):
        return ""
    number = rng.choice(found)
    entry, tree = trees[number], trees[number - 1]
    try:
        own = Leaves(list(streams[number - 1]), json.loads(streams[number]), bundle.inputs)
    except ValueError:  # of another change
        own = None
    if own is None or not is_whole(own.entries) or rng.random() < 0.03:
        streams[number] = other_bytes(streams[number], rng)
        return "bytes of the evidence"
    change = rng.choice(changes)
    change(own, rng)
    streams[number - 1], streams[number] = bytes(own.symbols), json.dumps(own.entries).encode()
    if rng.random() < 0.96:
        tree["nodes"], entry["leaves"], entry["length"] = len(own.symbols), len(own.places()), len(streams[number])
        if "trusted" in tree:
            tree["trusted"] = own.symbols.count(own.inputs + 1)
    return f"evidence: {change.__name__}"
