"""Forged certificates about two networks by differences: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check, main
from tests.checker.pair_cases import PairCase, close_pair, prove, write_pair_certificate
from tests.checker.support import dense_model
from tests.forged.headers import set_in
from tests.forged.test_forged import edit_weights
from tests.forged.test_forged_queries import check_words, verdicts

Change = Callable[[PairCase], object]
HASH = "0" * 64
OPEN_AGREEMENT = "is a leaf, but the case 'output * of N exceeds that of N' by more than */*' is open"
OPEN_THE_OTHER_WAY = "is a leaf, but the case 'output * of N' exceeds that of N by more than */*' is open"
OPEN_DECISION = "is a leaf, but the case 'output * leads in N, and output * is not below it in N'' is open"


@cache
def proven(seed: int) -> PairCase:
    case = close_pair(seed)
    assert prove(case, limit=100)
    return case


def agreement() -> PairCase:
    """Layers of six and five neurons, paired by position; a tree of nine nodes."""
    case = copying.deepcopy(proven(4))
    assert (case.pairs, len(case.symbols), case.shifts) == ("position", 9, [6, 7])
    return case


def decision() -> PairCase:
    """The same sizes, ten pairs in a list; a tree of 23 nodes."""
    case = copying.deepcopy(proven(6))
    assert isinstance(case.pairs, list)
    assert (len(case.pairs), len(case.symbols), case.claim["rule"]) == (10, 23, "argmax")
    return case


def test_the_honest_certificates_are_accepted(tmp_path: Path) -> None:
    for case in (agreement(), decision()):
        assert all(isinstance(v, Accepted) for v in verdicts(write_pair_certificate(tmp_path, case), strict=True))


# What is forged in the evidence: a change of the case, and the refusal.


def tolerance(value: str) -> Change:
    return lambda case: case.claim.update(tolerance=value)


def margin(value: str) -> Change:
    return lambda case: case.claim.update(margin=value)


def attribute(name: str, value: Any) -> Change:
    return lambda case: setattr(case, name, value)


def early_leaf(case: PairCase) -> None:
    case.symbols = [0]


def truncate(case: PairCase) -> None:
    del case.symbols[-1]


def surplus(case: PairCase) -> None:
    case.symbols += [0, 0]


def unknown_coordinate(case: PairCase) -> None:
    case.symbols[0] = 5


def other_coordinates(case: PairCase) -> None:
    case.symbols = [3 - symbol if symbol else 0 for symbol in case.symbols]


def split_a_leaf(case: PairCase) -> None:
    at = case.symbols.index(0)
    case.symbols[at : at + 1] = [1, 0, 0]


def trust_a_leaf(case: PairCase) -> None:
    case.symbols[case.symbols.index(0)] = 3


def swapped_files(case: PairCase) -> None:
    case.original, case.reduced = case.reduced, case.original


def altered_weight(case: PairCase) -> None:
    case.reduced = edit_weights(case.reduced, lambda weights: weights["w2"].__iadd__(np.float32(0.25)))


def altered_bias_of_n(case: PairCase) -> None:
    case.original = edit_weights(case.original, lambda weights: weights["b2"].__iadd__(np.float32([0.5, 0, 0])))


def wider_domain(case: PairCase) -> None:
    case.domain = case.domain.replace('"3/4"', '"7"')


def argmin(case: PairCase) -> None:
    case.claim["rule"] = "argmin"


def crossed_pairs(case: PairCase) -> None:
    case.pairs = [[1, i, 1, (i + 1) % 6] for i in range(6)]


def hidden_layers(*layers: int) -> Change:
    return lambda case: case.claim.update(layer=list(layers))


def pair(*own: int) -> Change:
    return lambda case: setattr(case, "pairs", [[1, 0, 1, 0], list(own)])


def with_network(side: str, *layers: tuple[int, int]) -> Change:
    """Another network, of the sizes (outputs, inputs) of these layers."""
    data = dense_model([(np.ones(size, dtype=np.float32), np.zeros(size[0], dtype=np.float32)) for size in layers])
    return lambda case: setattr(case, side, data)


def short_domain(case: PairCase) -> None:
    case.domain = '{"lower": ["-1"], "upper": ["1"]}'


def false_fact(case: PairCase) -> None:
    case.interval = [[1, 0, "inactive"]]


def fact_about_a_neuron_of_the_other_network(case: PairCase) -> None:
    case.interval = [[3, 0, "inactive"]]


FORGERIES: dict[str, tuple[Callable[[], PairCase], Change, str, str, str]] = {
    "tolerance": (agreement, tolerance("22/1000"), "tree", "difference node *", OPEN_AGREEMENT),
    "tolerance_zero": (
        agreement, tolerance("0"), "tree", "difference node *",
        OPEN_THE_OTHER_WAY.replace("*/*", "0"),
    ),
    "tolerance_negative": (agreement, tolerance("-1"), "header", "claim.tolerance", "a rational number >= 0 is needed"),
    "tolerance_text": (agreement, tolerance("inf"), "header", "claim.tolerance", "a rational number >= 0 is needed"),
    "margin": (decision, margin("0"), "tree", "difference node *", OPEN_DECISION),
    "margin_negative": (decision, margin("-1/2"), "header", "claim.margin", "a rational number >= 0 is needed"),
    "argmin": (decision, argmin, "tree", "difference node *", OPEN_DECISION.replace("below", "above")),
    "rule": (decision, lambda case: case.claim.update(rule="max"), "header", "claim.rule", "the rule is 'argmax' or 'argmin'"),
    "early_leaf": (agreement, early_leaf, "tree", "difference node 0", OPEN_AGREEMENT),
    "truncate": (agreement, truncate, "tree", "difference", "the stream ends before the tree does"),
    "surplus": (agreement, surplus, "tree", "difference node 8", "the tree ends here, but symbols follow"),
    "unknown_coordinate": (agreement, unknown_coordinate, "tree", "difference node 0", "coordinate 4 does not exist"),
    "other_coordinates": (agreement, other_coordinates, "tree", "difference node *", OPEN_AGREEMENT),
    "split_a_leaf": (agreement, split_a_leaf, "tree", "difference node *", "is split, but no case is open"),
    "trust_a_leaf": (agreement, trust_a_leaf, "tree", "difference node *", "is a trusted leaf, but no case is open"),
    "swapped_files": (decision, swapped_files, "tree", "difference node *", OPEN_DECISION),
    "altered_weight": (agreement, altered_weight, "tree", "difference node *", OPEN_THE_OTHER_WAY),
    "altered_bias_of_n": (decision, altered_bias_of_n, "tree", "difference node *", OPEN_DECISION),
    "wider_domain": (agreement, wider_domain, "tree", "difference node *", OPEN_AGREEMENT),
    "crossed_pairs": (agreement, crossed_pairs, "tree", "difference node *", OPEN_AGREEMENT),
    "no_pairs": (agreement, attribute("pairs", []), "tree", "difference node *", OPEN_THE_OTHER_WAY),
    "another_layer": (
        agreement, hidden_layers(1, 1), "tree", "difference node *", OPEN_THE_OTHER_WAY.replace("output", "neuron"),
    ),
    "unequal_layers": (agreement, hidden_layers(1, 2), "agree", "layer", "6 neurons against 5 in the reduced network"),
    "layer_of_n": (agreement, hidden_layers(3, 2), "header", "claim.layer", "the original network has no layer 3"),
    "layer_of_n'": (agreement, hidden_layers(2, 3), "header", "claim.layer", "the reduced network has no layer 3"),
    "layer_zero": (agreement, hidden_layers(0, 1), "header", "claim.layer", "an integer from 1 to 9007199254740992 is needed"),
    "three_layers": (agreement, hidden_layers(1, 1, 1), "header", "claim.layer", "two layers are needed"),
    "layer_of_a_decision": (decision, hidden_layers(1, 1), "header", "claim", "unknown key 'layer'"),
    "pair_of_a_stranger": (agreement, pair(1, 6, 1, 1), "header", "pairs[1]", "the original network has no neuron 6 of layer 1"),
    "pair_with_a_stranger": (agreement, pair(1, 1, 1, 6), "header", "pairs[1]", "the reduced network has no neuron 6 of layer 1"),
    "pair_elsewhere": (agreement, pair(3, 0, 1, 1), "header", "pairs[1]", "the original network has no neuron 0 of layer 3"),
    "pair_across_levels": (
        agreement, pair(2, 1, 1, 1), "header", "pairs[1]", "layer 1 of the reduced network is at level 1, not 2",
    ),
    "pair_twice": (agreement, pair(1, 0, 1, 1), "header", "pairs", "a neuron of the original network is paired twice"),
    "paired_twice": (agreement, pair(1, 1, 1, 0), "header", "pairs", "a neuron of the reduced network is paired twice"),
    "pair_of_three": (agreement, pair(1, 1, 1), "header", "pairs[1]", "four integers are needed"),
    "pairs_word": (agreement, attribute("pairs", "names"), "header", "pairs", 'a list or the word "position" is needed'),
    "levels_fall": (agreement, attribute("levels", [2, 1]), "header", "levels", "the levels do not increase"),
    "levels_repeat": (agreement, attribute("levels", [1, 1]), "header", "levels", "the levels do not increase"),
    "level_zero": (agreement, attribute("levels", [0, 1]), "header", "levels[0]", "an integer from 1 to 255 is needed"),
    "level_256": (agreement, attribute("levels", [1, 256]), "header", "levels[1]", "an integer from 1 to 255 is needed"),
    "one_level": (agreement, attribute("levels", [1]), "header", "levels", "1 levels for 2 layers of the reduced network"),
    "higher_level": (agreement, attribute("levels", [1, 3]), "header", "shifts", "2 shifts for 3 levels"),
    "one_shift": (agreement, attribute("shifts", [6]), "header", "shifts", "1 shifts for 2 levels"),
    "shift_65": (agreement, attribute("shifts", [6, 65]), "header", "shifts[1]", "an integer from 0 to 64 is needed"),
    "shift_negative": (agreement, attribute("shifts", [-1, 6]), "header", "shifts[0]", "an integer from 0 to 64 is needed"),
    "shift_void": (agreement, attribute("shifts", [64, 64]), "tree", "difference node *", OPEN_AGREEMENT),
    "short_grid": (agreement, attribute("grid", [36, 36]), "header", "difference.grid", "2 grid exponents for 3 layers"),
    "coarse_grid": (agreement, attribute("grid", [-9, -9, -9]), "tree", "difference node *", OPEN_AGREEMENT),
    "fewer_outputs": (
        agreement, with_network("reduced", (6, 2), (5, 6), (2, 5)),
        "agree", "outputs", "3 outputs against 2 in the reduced network",
    ),
    "one_output": (
        decision, lambda case: [with_network(side, (6, 2), (5, 6), (1, 5))(case) for side in ("original", "reduced")],
        "decision", "outputs", "a decision needs two outputs or more",
    ),
    "more_inputs": (
        agreement, with_network("reduced", (6, 3), (5, 6), (3, 5)), "domain", "reduced", "2 bounds for 3 inputs",
    ),
    "short_domain": (agreement, short_domain, "domain", "original", "1 bounds for 2 inputs"),
    "false_fact": (
        agreement, false_fact,
        "interval", "original interval 0", "interval arithmetic does not show 'neuron 0 of layer 1 inactive'",
    ),
    "foreign_fact": (
        agreement, fact_about_a_neuron_of_the_other_network,
        "header", "facts.original", "the claim 'neuron 0 of layer 3 inactive' is about no neuron",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence(name: str, tmp_path: Path) -> None:
    case, change, *words = FORGERIES[name]
    own = case()
    change(own)
    check_words(write_pair_certificate(tmp_path, own), *words)


# What is forged in the header alone.


HEADERS: dict[str, tuple[Callable[[dict[str, Any]], object], str, str, str]] = {
    "hash": (set_in("reduced", "sha256", to=HASH), "hash", "reduced", "other.onnx is not the file that was certified"),
    "absolute": (
        set_in("domain", "file", to="/domain.json"), "header", "domain.file", "a path relative to the certificate is needed",
    ),
    "no_levels": (lambda header: header.pop("levels"), "header", "header", "the key 'levels' is missing"),
    "no_difference": (lambda header: header.pop("difference"), "header", "header", "unknown key 'levels'"),
    "match": (set_in("match", to=[]), "header", "header", "unknown key 'match'"),
    "facts_reduced": (set_in("facts", "reduced", to={}), "header", "facts", "unknown key 'reduced'"),
    "no_facts": (set_in("facts", to={}), "header", "facts", "the key 'original' is missing"),
    "fact_grid": (set_in("facts", "original", "grid", to=[36]), "header", "facts.original.grid", "1 grid exponents for 2 layers"),
    "claim_key": (set_in("claim", "note", to=""), "header", "claim", "unknown key 'note'"),
    "claim_number": (set_in("claim", "tolerance", to=1), "header", "claim.tolerance", "a rational number >= 0 is needed"),
    "trusted": (
        set_in("difference", "trusted", to=1), "container", "difference",
        "the stream holds 0 trusted leaves, not the announced 1",
    ),
    "nodes": (
        set_in("difference", "nodes", to=7), "container", "difference", "the stream holds more than the announced 7 symbols",
    ),
    "bytes": (
        set_in("difference", "bytes", to=10**6), "container", "difference", "the file ends inside the stream of this tree",
    ),
    "bytes_fewer": (set_in("difference", "bytes", to=3), "container", "end", "* bytes follow the last stream"),
    "steps": (set_in("difference", "steps", to=True), "header", "difference.steps", "an integer from 0 to 1000 is needed"),
    "difference_key": (set_in("difference", "claims", to=[]), "header", "difference", "unknown key 'claims'"),
    "pairs_object": (set_in("pairs", to={}), "header", "pairs", 'a list or the word "position" is needed'),
    "levels_text": (set_in("levels", to="12"), "header", "levels", "a list is needed"),
    "shift_float": (set_in("shifts", to=[6.0, 7]), "header", "shifts[0]", "an integer from 0 to 64 is needed"),
    "kind_of_a_query": (set_in("claim", to={"kind": "unsat"}), "header", "header", "unknown key 'difference'"),
    "refuted_with_evidence": (
        set_in("claim", to={"kind": "refuted", "claim": {"kind": "agree", "tolerance": "0"}, "point": ["0", "0"]}),
        "header", "header", "unknown key 'difference'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_forged_headers(name: str, tmp_path: Path) -> None:
    change, *words = HEADERS[name]
    check_words(write_pair_certificate(tmp_path, agreement(), change), *words)


def test_trusted_leaves_are_refused_when_strict(tmp_path: Path) -> None:
    case = agreement()
    case.symbols = [3]
    path = write_pair_certificate(tmp_path, case)
    words = "1 of its leaves rest on the word of an LP or SMT solver alone"
    check_words(path, "solver", "difference", words, strict=True)
    for verdict in verdicts(path):
        assert isinstance(verdict, Accepted)
        assert verdict.trusted == ("1 of the 1 nodes of the difference tree, by an LP or SMT solver",)
        assert verdict.counts.nodes == 0
        assert verdict.statement.startswith("Verified, given the trusted facts named below: ")
    case = agreement()
    case.solver = [{"claim": [1, 0, "active"], "by": "z3 5.4.0"}]
    check_words(
        write_pair_certificate(tmp_path, case),
        "solver",
        "original solver 0",
        "'neuron 0 of layer 1 active' rests on the word of z3 5.4.0 alone",
        strict=True,
    )


# Counterexamples that are none.


def absolute(scale: float) -> bytes:
    """scale |x| in the first output, x in the second."""
    return dense_model(
        [(np.float32([[1], [-1]]), np.float32([0, 0])), (np.float32([[scale, scale], [1, -1]]), np.float32([0, 0]))]
    )


def refuted(point: list[str], claim: dict[str, Any] | None = None) -> PairCase:
    own = {"kind": "refuted", "claim": claim or {"kind": "agree", "tolerance": "1/2"}, "point": point}
    return PairCase(absolute(1), absolute(2), '{"lower": ["-1"], "upper": ["1"]}', own, [], [], [])


ARGMAX = {"kind": "decision", "rule": "argmax", "margin": "0"}


@pytest.mark.parametrize(
    ("point", "claim", "words"),
    [
        (["3/2"], None, ("refuted", "point", "coordinate 0 lies outside D")),
        (["-1.0000001"], None, ("refuted", "point", "coordinate 0 lies outside D")),
        (["1/2"], None, ("refuted", "point", "the statement holds there")),  # differs by 1/2, not by more
        (["1", "1"], None, ("header", "claim.point", "2 coordinates for 1 inputs")),
        (["x"], None, ("header", "claim.point[0]", "a rational number is needed")),
        (["1"], ARGMAX, ("refuted", "point", "the statement holds there")),  # a tie in N
        (["0"], ARGMAX, ("refuted", "point", "the statement holds there")),
        (["-1"], ARGMAX, ("refuted", "point", "the statement holds there")),
        (["1"], {"kind": "agree", "tolerance": "0", "layer": [1, 1]}, ("refuted", "point", "the statement holds there")),
        (["1"], {"kind": "agree", "tolerance": "0", "layer": [1, 2]},
         ("header", "claim.claim.layer", "the reduced network has no layer 2")),
        (["1"], {"kind": "agree", "tolerance": "-1"}, ("header", "claim.claim.tolerance", "a rational number >= 0 is needed")),
        (["1"], {"kind": "refuted", "claim": ARGMAX, "point": ["1"]},
         ("header", "claim.claim.kind", "a claim of the kind 'agree' or 'decision' is needed")),
        (["1"], {"kind": "unsat"}, ("header", "claim.claim.kind", "a claim of the kind 'agree' or 'decision' is needed")),
    ],
)  # fmt: skip
def test_points_that_refute_nothing(
    point: list[str], claim: dict[str, Any] | None, words: tuple[str, str, str], tmp_path: Path
) -> None:
    check_words(write_pair_certificate(tmp_path, refuted(point, claim)), *words)


def test_a_stream_behind_a_counterexample(tmp_path: Path) -> None:
    path = write_pair_certificate(tmp_path, refuted(["1"])) / "certificate.secateur"
    path.write_bytes(path.read_bytes() + b"\0")
    check_words(path, "container", "end", "1 bytes follow the last stream")


def test_no_flipped_byte_is_accepted_unless_it_says_the_same(tmp_path: Path) -> None:
    """Every byte of the certificate in turn: what is still accepted speaks of the same files and claims no more."""
    folder = write_pair_certificate(tmp_path, agreement())
    path = folder / "certificate.secateur"
    data, refused = path.read_bytes(), 0
    honest = check(folder, arithmetic="exact")
    assert isinstance(honest, Accepted)
    first = data.index(b'"tolerance": "') + len('"tolerance": "')
    tolerance_text = range(first, data.index(b'"', first))
    numerator, denominator = (int(n) for n in data[first : tolerance_text.stop].split(b"/"))
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            verdict = check(folder, arithmetic="exact")
        except CheckInputError:  # the name of a file that does not exist
            continue
        if isinstance(verdict, Accepted) and position in tolerance_text:
            changed = path.read_bytes()[first : tolerance_text.stop].split(b"/")
            found = int(changed[0]) / int(changed[1]) if len(changed) == 2 else 1.0
            assert found > 0.9 * numerator / denominator
        elif isinstance(verdict, Accepted):
            assert verdict == honest
        refused += isinstance(verdict, Refused)
    assert refused > 0.7 * len(data)


def test_a_query_cannot_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_pair_certificate(tmp_path, agreement())
    assert main([str(folder), "--query", str(folder / "domain.json")]) == 2
    assert "is about two networks and a box: no query can be given" in capsys.readouterr().err
