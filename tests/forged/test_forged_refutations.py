"""Forged evidence for refuted leaves: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import copy
import json
import re
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from secateur.checker import Accepted, Refused, check
from tests.checker.pair_cases import write_pair_certificate
from tests.checker.query_cases import QueryCase, header_of, write_query_certificate
from tests.checker.refutation_cases import TIE, tie_case
from tests.checker.refuted_cases import refuted_pair
from tests.checker.support import pack

LEAF = "parts[0] node 0"
GOAL = f"{LEAF} disjunct '0'"
BELOW = "the multipliers do not show the clause"
NO_CONSEQUENCE = "the clause does not follow from those before it by unit propagation"


def verdicts(path: Path) -> set[Any]:
    return {check(path, arithmetic=own, strict=True) for own in ("fast", "exact")}  # type: ignore[arg-type]


def check_words(path: Path, rule: str, step: str, reason: str) -> None:
    found = verdicts(path)
    assert len(found) == 1, found  # both arithmetics say the same
    (refused,) = found
    assert isinstance(refused, Refused), refused
    assert (refused.rule, refused.step) == (rule, step), refused
    assert re.fullmatch(re.escape(reason).replace(r"\*", ".*"), refused.reason), refused.reason


def at(*place: Any, value: Any) -> Callable[[Any], None]:
    """Puts a value at a place of the goal's refutation."""

    def change(evidence: Any) -> None:
        own = evidence[0][0]
        for key in place[:-1]:
            own = own[key]
        own[place[-1]] = value

    return change


def added(place: str, value: Any) -> Callable[[Any], None]:
    return lambda evidence: evidence[0][0][place].append(value)


def put(value: Any) -> Callable[[Any], None]:
    def change(evidence: Any) -> None:
        evidence[:] = value

    return change


def without(place: str, number: int) -> Callable[[Any], None]:
    def change(evidence: Any) -> None:
        del evidence[0][0][place][number]

    return change


def steps(*own: Any) -> Callable[[Any], None]:
    return lambda evidence: evidence[0][0].update(steps=list(own))


FIRST = TIE["steps"][0]
MALFORMED = "the text of an integer of at most 10,000 digits is needed"
FORGERIES = {
    # a lemma that does not hold
    "multiplier": (at("steps", 0, "multipliers", 1, value="0"), "lemma", f"{GOAL} steps[0]", BELOW),
    "multiplier_off_by_one": (at("steps", 1, "multipliers", 0, value="2"), "lemma", f"{GOAL} steps[1]", BELOW),
    "multiplier_of_default": (at("steps", 1, "multipliers", 0, value="0"), "lemma", f"{GOAL} steps[1]", BELOW),
    "swapped_multipliers": (at("steps", 0, "multipliers", value=["-1", "0"]), "lemma", f"{GOAL} steps[0]", BELOW),
    "huge_multiplier": (at("steps", 0, "multipliers", 0, value="9" * 10_000), "lemma", f"{GOAL} steps[0]", BELOW),
    "strengthened_clause": (at("steps", 0, "clause", value=[1]), "lemma", f"{GOAL} steps[0]", BELOW),
    "empty_clause_by_lemma": (at("steps", 0, "clause", value=[]), "lemma", f"{GOAL} steps[0]", BELOW),
    "other_phase": (at("steps", 1, "clause", value=[-1, -2]), "lemma", f"{GOAL} steps[1]", BELOW),
    "no_weight": (at("steps", 0, "rows", value=["0"]), "lemma", f"{GOAL} steps[0]", BELOW),
    "neurons_swapped": (at("neurons", value=[[1, 1], [1, 0]]), "lemma", f"{GOAL} steps[0]", BELOW),
    "other_neuron": (at("neurons", value=[[1, 0], [1, 2]]), "lemma", f"{GOAL} steps[0]", BELOW),
    # a clause that does not follow
    "weakened_clause": (
        lambda e: e[0][0]["steps"].__setitem__(2, {"clause": [1, 2]}) or e[0][0]["steps"].insert(0, {"clause": [2]}),
        "consequence",
        f"{GOAL} steps[0]",
        NO_CONSEQUENCE,
    ),
    "dropped_lemma": (without("steps", 3), "consequence", f"{GOAL} steps[4]", NO_CONSEQUENCE),
    "skipped_consequence": (without("steps", 4), "consequence", f"{GOAL} steps[4]", NO_CONSEQUENCE),
    "consequence_too_early": (
        lambda e: e[0][0]["steps"].insert(1, {"clause": [1]}),
        "consequence",
        f"{GOAL} steps[1]",
        NO_CONSEQUENCE,
    ),
    "other_consequence": (at("steps", 4, value={"clause": [1, -2]}), "consequence", f"{GOAL} steps[5]", NO_CONSEQUENCE),
    "nothing_but_the_empty_clause": (steps({"clause": []}), "consequence", f"{GOAL} steps[0]", NO_CONSEQUENCE),
    # what is missing or does not fit
    "no_empty_clause": (without("steps", 5), "refutation", f"{GOAL} steps", "the last clause is not empty"),
    "no_steps": (steps(), "refutation", f"{GOAL} steps", "the last clause is not empty"),
    "no_goals": (put([[]]), "refutation", LEAF, "0 refutations for 1 open goals"),
    "too_many_goals": (put([[TIE, TIE]]), "refutation", LEAF, "2 refutations for 1 open goals"),
    "entry_is_no_list": (put([TIE]), "refutation", LEAF, "no list of refutations for 1 open goals"),
    "no_leaves": (put([]), "refutation", "parts[0] refuted", "0 entries for 1 refuted leaves"),
    "too_many_leaves": (put([[TIE], [TIE]]), "refutation", "parts[0] refuted", "2 entries for 1 refuted leaves"),
    # what is malformed
    "refutation_is_no_object": (put([[7]]), "refutation", GOAL, "an object is needed"),
    "unknown_key": (at("why", value=1), "refutation", GOAL, "unknown key 'why'"),
    "no_neurons": (lambda e: e[0][0].pop("neurons"), "refutation", GOAL, "the key 'neurons' is missing"),
    "neuron_twice": (at("neurons", 1, value=[1, 0]), "refutation", f"{GOAL} neurons", "a neuron is listed twice"),
    "neuron_of_a_pair": (at("neurons", 1, value=[0, 1, 1]), "refutation", f"{GOAL} neurons[1]", "2 integers are needed"),
    "neuron_of_layer_0": (at("neurons", 1, value=[0, 0]), "refutation", f"{GOAL} neurons[1]", "an integer from 1 to * is needed"),
    "neuron_true": (at("neurons", 1, value=[True, 0]), "refutation", f"{GOAL} neurons[1]", "an integer from 1 to * is needed"),
    "no_such_neuron": (at("neurons", 1, value=[1, 3]), "refutation", f"{GOAL} neurons[1]", "there is no such neuron"),
    "no_such_layer": (at("neurons", 1, value=[9, 0]), "refutation", f"{GOAL} neurons[1]", "there is no such neuron"),
    "row_as_a_neuron": (
        at("neurons", 1, value=[2, 0]),
        "refutation",
        f"{GOAL} neurons[1]",
        "it does not stand in a layer before that of the claim",
    ),
    "step_is_no_object": (at("steps", 0, value=[]), "refutation", f"{GOAL} steps[0]", "an object is needed"),
    "step_without_clause": (at("steps", 0, value={}), "refutation", f"{GOAL} steps[0]", "the key 'clause' is missing"),
    "half_a_lemma": (
        at("steps", 0, value={"clause": [1], "rows": ["1"]}),
        "refutation",
        f"{GOAL} steps[0]",
        "the key 'multipliers' is missing",
    ),
    "literal_0": (at("steps", 0, "clause", value=[0]), "refutation", f"{GOAL} steps[0].clause", "0 is no literal"),
    "literal_too_large": (
        at("steps", 0, "clause", value=[3]),
        "refutation",
        f"{GOAL} steps[0].clause[0]",
        "an integer from -2 to 2 is needed",
    ),
    "literal_1.0": (
        at("steps", 0, "clause", value=[1.0]),
        "refutation",
        f"{GOAL} steps[0].clause[0]",
        "an integer from -2 to 2 is needed",
    ),
    "tautology": (at("steps", 0, "clause", value=[1, -1]), "refutation", f"{GOAL} steps[0].clause", "a neuron occurs twice"),
    "literal_twice": (at("steps", 0, "clause", value=[1, 1]), "refutation", f"{GOAL} steps[0].clause", "a neuron occurs twice"),
    "negative_weight": (
        at("steps", 0, "rows", value=["-1"]),
        "refutation",
        f"{GOAL} steps[0].rows[0]",
        "the multiplier of a row is negative",
    ),
    "too_many_weights": (
        at("steps", 0, "rows", value=["1", "1"]),
        "refutation",
        f"{GOAL} steps[0].rows",
        "2 multipliers for 1 rows",
    ),
    "too_few_multipliers": (
        at("steps", 0, "multipliers", value=["0"]),
        "refutation",
        f"{GOAL} steps[0].multipliers",
        "1 multipliers for 2 neurons",
    ),
    "number_as_a_number": (at("steps", 0, "rows", value=[1]), "refutation", f"{GOAL} steps[0].rows[0]", MALFORMED),
    "fraction": (at("steps", 0, "rows", value=["1/2"]), "refutation", f"{GOAL} steps[0].rows[0]", MALFORMED),
    "other_digits": (at("steps", 0, "rows", value=["\u0661"]), "refutation", f"{GOAL} steps[0].rows[0]", MALFORMED),
    "space": (at("steps", 0, "rows", value=["1\n"]), "refutation", f"{GOAL} steps[0].rows[0]", MALFORMED),
    "too_many_digits": (at("steps", 0, "rows", value=["1" * 10_001]), "refutation", f"{GOAL} steps[0].rows[0]", MALFORMED),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence(name: str, tmp_path: Path) -> None:
    change, *words = FORGERIES[name]
    evidence = copy.deepcopy([[TIE]])
    change(evidence)
    check_words(write_query_certificate(tmp_path, tie_case(evidence)), *words)


@pytest.mark.parametrize(
    "change",
    [
        at("steps", 0, "multipliers", 0, value="-0"),
        at("steps", 0, "multipliers", 1, value="-001"),
        at("steps", 0, "clause", value=[-2, 1]),
        added("neurons", [1, 2]),
        lambda e: e[0][0]["steps"].insert(5, {"clause": []}),
    ],
)
def test_what_does_not_matter_is_accepted(change: Callable[[Any], None], tmp_path: Path) -> None:
    evidence = copy.deepcopy([[TIE]])
    change(evidence)
    if len(evidence[0][0]["neurons"]) == 3:
        for own in evidence[0][0]["steps"][:4]:
            own["multipliers"].append("-1")  # z = x + 1 with the coefficient -1, always active
    found = verdicts(write_query_certificate(tmp_path, tie_case(evidence)))
    assert all(isinstance(verdict, Accepted) for verdict in found), found


# The container.


def write_text(folder: Path, text: bytes, key: dict[str, Any] | None = None, trailing: bytes = b"", symbols: Any = (3,)) -> Path:
    """The tie with evidence of any text; `key` changes what the header says about it."""
    case = tie_case([[TIE]], symbols)
    header, streams = header_of(case)
    streams[1] = zlib.compress(text) + trailing
    own = {"leaves": len([s for s in symbols if s == 3]) or 1, "length": len(text), "bytes": len(streams[1])}
    header["parts"][0]["refuted"] = own | (key or {})
    path = write_query_certificate(folder, case)
    path.write_bytes(pack(header, *streams))
    return path


TEXT = json.dumps([[TIE]]).encode()
PLACE = "parts[0] refuted"
TEXTS: dict[str, tuple[bytes, tuple[str, str, str]]] = {
    "no_json": (b"[[", ("container", PLACE, "not valid JSON: *")),
    "no_list": (b"{}", ("container", PLACE, "not valid JSON: '[' is needed at place 0")),
    "no_utf_8": (b'["\xff"]', ("container", PLACE, "not valid JSON: *")),
    "key_twice": (
        TEXT.replace(b'{"clause": []}', b'{"clause": [], "clause": []}'),
        ("container", PLACE, "not valid JSON: *twice"),
    ),
    "nan": (TEXT.replace(b'"clause": []', b'"clause": [NaN]'), ("container", PLACE, "not valid JSON: NaN is no number")),
    "long_number": (
        TEXT.replace(b'"clause": []', b'"clause": [' + b"1" * 5000 + b"]"),
        ("container", PLACE, "not valid JSON: *"),
    ),
    "nesting_bomb": (b"[" * 100_000 + b"]" * 100_000, ("container", PLACE, "not valid JSON: *recursion*")),
    "text_behind": (TEXT + b"]", ("container", PLACE, f"not valid JSON: characters follow the list at place {len(TEXT)}")),
    "comma_at_the_end": (TEXT[:-1] + b",]", ("container", PLACE, "not valid JSON: *")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_malformed_text(name: str, tmp_path: Path) -> None:
    text, words = TEXTS[name]
    check_words(write_text(tmp_path, text), *words)


KEYS: dict[str, tuple[dict[str, Any], bytes, tuple[str, str, str]]] = {
    "too_long": ({"length": len(TEXT) - 1}, b"", ("container", PLACE, "the stream holds more than the announced * bytes")),
    "too_short": ({"length": len(TEXT) + 1}, b"", ("container", PLACE, "the stream holds fewer than the announced * bytes")),
    "beyond_the_limit": (
        {"length": (1 << 28) + 1},
        b"",
        ("header", "parts[0].refuted.length", "an integer from 2 to 268435456 is needed"),
    ),
    "no_leaf": ({"leaves": 0}, b"", ("header", "parts[0].refuted.leaves", "an integer from 1 to * is needed")),
    "another_number_of_leaves": (
        {"leaves": 2},
        b"",
        ("container", "parts[0]", "the stream holds 1 refuted leaves, not the announced 2"),
    ),
    "bytes_behind_the_stream": ({}, b"x", ("container", PLACE, "bytes follow the compressed stream")),
    "ends_too_early": (
        {"bytes": 1 << 20},
        b"",
        ("container", "parts[0].refuted", "the file ends inside the evidence of this tree"),
    ),
    "unknown_key": ({"by": "z3"}, b"", ("header", "parts[0].refuted", "unknown key 'by'")),
}


@pytest.mark.parametrize("name", KEYS)
def test_malformed_header(name: str, tmp_path: Path) -> None:
    key, trailing, words = KEYS[name]
    check_words(write_text(tmp_path, TEXT, key, trailing), *words)


def test_a_refuted_leaf_needs_evidence(tmp_path: Path) -> None:
    reason = "it is a refuted leaf, but the tree has no evidence of any"
    check_words(write_query_certificate(tmp_path, tie_case(None, [3])), "tree", LEAF, reason)
    case = tie_case(None, [1, 3, 0])
    check_words(write_query_certificate(tmp_path, case), "tree", "parts[0] node 1", reason)


def test_evidence_needs_a_refuted_leaf(tmp_path: Path) -> None:
    reason = "the stream holds 0 refuted leaves, not the announced 1"
    for symbol in (0, 2):  # a leaf, and a trusted one
        check_words(write_text(tmp_path, TEXT, symbols=[symbol]), "container" if symbol == 0 else "solver", "parts[0]",
                    reason if symbol == 0 else "1 of its leaves rest on the word of an LP or SMT solver alone")  # fmt: skip


def halves() -> QueryCase:
    """The tie on two halves: a lemma of each leaf uses x <= 0 or x >= 0, which hold there and not on the other."""
    left, right = copy.deepcopy(TIE), copy.deepcopy(TIE)
    left["steps"][2]["multipliers"], right["steps"][2]["multipliers"] = ["-1", "-1"], ["1", "-1"]
    return tie_case([[left], [right]], [1, 3, 3])


def test_evidence_belongs_to_its_leaf(tmp_path: Path) -> None:
    case = halves()
    found = verdicts(write_query_certificate(tmp_path, case))
    assert all(isinstance(verdict, Accepted) and verdict.counts.refuted == 2 for verdict in found), found
    (part,) = case.parts
    assert part.evidence is not None
    part.evidence.reverse()
    check_words(write_query_certificate(tmp_path, case), "lemma", "parts[0] node 1 disjunct '0' steps[2]", BELOW)


@pytest.mark.parametrize("number", [0, 1])
def test_what_holds_on_half_of_the_box_is_no_lemma_on_all_of_it(number: int, tmp_path: Path) -> None:
    case = halves()
    (part,) = case.parts
    assert part.evidence is not None
    part.symbols, part.evidence = [3], [part.evidence[number]]
    check_words(write_query_certificate(tmp_path, case), "lemma", f"{GOAL} steps[2]", BELOW)


def test_refutations_stand_in_the_order_of_the_goals(tmp_path: Path) -> None:
    """y < 0 and y > 0 are refuted by multipliers of opposite signs."""
    case = tie_case()
    case.query = case.query.replace(b"(assert (< Y_0 0))", b"(assert (or (< Y_0 0) (> Y_0 0)))")
    (part,) = case.parts
    negative = copy.deepcopy(TIE)
    for own in negative["steps"][:4]:
        own["multipliers"] = [str(-int(mu)) for mu in own["multipliers"]]
    # where y = max(0, x) - max(0, -x) - x is negated, an inactive neuron needs mu >= 0 and an active one mu <= A
    negative["steps"][1]["multipliers"], negative["steps"][3]["multipliers"] = ["0", "1"], ["-1", "0"]
    negative["steps"][0]["multipliers"], negative["steps"][2]["multipliers"] = ["0", "1"], ["-1", "0"]
    part.disjuncts, part.evidence = 2, [[TIE, negative]]
    found = verdicts(write_query_certificate(tmp_path, case))
    assert all(isinstance(verdict, Accepted) for verdict in found), found
    part.evidence = [[negative, TIE]]
    check_words(write_query_certificate(tmp_path, case), "lemma", f"{GOAL} steps[0]", BELOW)


def test_float32_claims_have_no_refuted_leaves(tmp_path: Path) -> None:
    case = tie_case([[TIE]])
    case.float32 = True
    reason = "refutations by exact multipliers are about the reals, not about float32 arithmetic"
    check_words(write_query_certificate(tmp_path, case), "float32", "parts[0].refuted", reason)


# Two networks.


@cache
def pair() -> Any:
    return next(case for case in map(refuted_pair, range(200)) if case)


@pytest.mark.parametrize(
    ("change", "rule", "place", "reason"),
    [
        (lambda own: own["neurons"].__setitem__(0, own["neurons"][0][1:]), "refutation", "neurons[0]", "3 integers are needed"),
        (lambda own: own["neurons"][0].__setitem__(0, 2), "refutation", "neurons[0]", "an integer from 0 to 1 is needed"),
        (lambda own: own["neurons"][0].__setitem__(1, 7), "refutation", "neurons[0]", "there is no such neuron"),
        (lambda own: own["steps"][0].update(rows=["0"] * len(own["steps"][0]["rows"])), "lemma", "steps[0]", BELOW),
        (lambda own: own["steps"].pop(0), "consequence", "steps[*]", NO_CONSEQUENCE),
    ],
)
def test_forged_evidence_about_two_networks(
    change: Callable[[Any], object], rule: str, place: str, reason: str, tmp_path: Path
) -> None:
    case = copy.deepcopy(pair())
    change(case.evidence[0][0])
    found = verdicts(write_pair_certificate(tmp_path, case))
    assert len(found) == 1, found
    (refused,) = found
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.reason) == (rule, reason), refused
    pattern = re.escape(place).replace(r"\*", "[0-9]+")
    assert re.fullmatch(rf"difference node [0-9]+ case '.*' {pattern}", refused.step), refused.step
