"""Forged evidence about families of slices: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check
from tests.checker.family_cases import (
    FamilyCase,
    agree,
    decision,
    simulation,
    write_family,
)
from tests.checker.support import dense_model, facts, without_neurons
from tests.forged.family_case import GRID, LAST, LEAF, OTHER, Change, honest, layers, some
from tests.forged.test_forged import edit_weights
from tests.forged.test_forged_queries import check_words, verdicts


def test_the_honest_certificate_is_accepted(tmp_path: Path) -> None:
    assert all(isinstance(v, Accepted) for v in verdicts(write_family(tmp_path, honest()), strict=True))


# What is forged in the evidence: a change of the case, and the refusal. All hashes are right.


def box_moved(case: FamilyCase) -> None:
    case.box = (["-1", "-1"], ["1", "1/4"])


def cut(number: int, coordinate: Any, value: Any) -> Change:
    return lambda case: case.nodes.__setitem__(number, [coordinate, value])


def family_claim(claim: dict[str, Any]) -> Change:
    return lambda case: setattr(case, "claim", claim)


def leaf_claim(number: int, claim: dict[str, Any]) -> Change:
    return lambda case: case.regions[number].update(claim=claim)


def interval(number: int, *claims: list[Any]) -> Change:
    def change(case: FamilyCase) -> None:
        own = case.regions[number]
        own = own.get("facts", own)
        own["interval"] += claims

    return change


def siblings_facts(case: FamilyCase) -> None:
    case.regions[3]["facts"]["interval"] = case.regions[1]["facts"]["interval"]
    case.regions[2]["interval"] = []


def swapped_entries(case: FamilyCase) -> None:
    case.regions[1], case.regions[3] = case.regions[3], case.regions[1]


def swapped_networks(case: FamilyCase) -> None:
    case.nodes[1], case.nodes[3] = case.nodes[3], case.nodes[1]


def facts_of_a_sibling_are_missing(case: FamilyCase) -> None:
    """The simulation of leaf 3 needs that neuron 1 of layer 1 is inactive; that is known on its sibling's box only."""
    case.regions[2]["interval"] = [[1, 0, "active"]]
    case.regions[4]["facts"] = some([[1, 1, "inactive"], [2, 1, "inactive"]])


def tree_with(**changes: Any) -> Change:
    return lambda case: case.regions[0]["trees"][0].update(changes)


def tree_at_a_leaf(uses: int) -> Change:
    tree = {"claims": [[1, 2, "active"]], "steps": 0, "uses": uses, "symbols": [0]}
    return lambda case: case.regions[3]["facts"]["trees"].append(tree)


def at_evidence(number: int, **changes: Any) -> Change:
    return lambda case: case.regions[number]["evidence"].update(changes)


def difference_tree(**changes: Any) -> Change:
    return lambda case: case.regions[4]["evidence"]["difference"].update(changes)


def network(number: int, data: Callable[[], bytes]) -> Change:
    return lambda case: case.files.__setitem__(number, data())


def sized(inputs: int, outputs: int) -> Callable[[], bytes]:
    first = np.ones((2, inputs), np.float32), np.zeros(2, np.float32)
    return lambda: dense_model([first, (np.ones((outputs, 2), np.float32), np.zeros(outputs, np.float32))])


def leaf_without_evidence(case: FamilyCase) -> None:
    case.regions[3] = some([])


def evidence_at_an_inner_node(case: FamilyCase) -> None:
    case.regions[2] = case.regions[3]


def drop_node(number: int) -> Change:
    return lambda case: case.nodes.pop(number)


def drop_region(case: FamilyCase) -> None:
    case.regions.pop()


def simulated_decision(case: FamilyCase) -> None:
    case.claim = case.regions[3]["claim"] = decision("1")


def one_output_decision(case: FamilyCase) -> None:
    case.original, case.claim = sized(2, 1)(), decision("1")
    case.regions[0], case.regions[1]["facts"] = None, None
    case.files[0] = case.original


NOT_IMPLIED = "what it claims does not imply the claim of the family"
OPEN = "is a leaf, but the case 'output * of N' exceeds that of N by more than */*' is open"
FORGERIES: dict[str, tuple[Change, str, str, str]] = {
    "cut_outside": (cut(2, 1, "5/4"), "manifest", "nodes[2]", "the cut of coordinate 1 at 5/4 lies outside the node's box"),
    "cut_of_another_box": (
        cut(2, 0, "-1/2"), "manifest", "nodes[2]", "the cut of coordinate 0 at -1/2 lies outside the node's box",
    ),
    "cut_on_a_face": (cut(0, 0, "-1"), "manifest", "nodes[0]", "the cut of coordinate 0 at -1 lies on a face of the node's box"),
    "cut_on_the_cut_before": (
        cut(2, 0, "0.0"), "manifest", "nodes[2]", "the cut of coordinate 0 at 0 lies on a face of the node's box",
    ),
    "cut_beyond_a_smaller_domain": (
        box_moved, "manifest", "nodes[2]", "the cut of coordinate 1 at 1/2 lies outside the node's box",
    ),
    "no_such_coordinate": (cut(2, 2, "0"), "manifest", "nodes[2]", "coordinate 2 does not exist"),
    "negative_coordinate": (cut(2, -1, "0"), "manifest", "nodes[2]", "-1 is no coordinate"),
    "cut_at_a_json_number": (cut(2, 1, 0.5), "manifest", "nodes[2]", 'a cut [coordinate, "value"] is needed'),
    "coordinate_as_text": (cut(2, "1", "1/2"), "manifest", "nodes[2]", 'a cut [coordinate, "value"] is needed'),
    "cut_at_nothing": (cut(2, 1, "NaN"), "manifest", "nodes[2]", "the cut is not at an exact number"),
    "cut_at_a_pole": (cut(2, 1, "1/0"), "manifest", "nodes[2]", "the cut is not at an exact number"),
    "too_few_nodes": (drop_node(4), "manifest", "nodes", "the list ends before the tree does"),
    "too_many_nodes": (lambda case: case.nodes.append(0), "manifest", "nodes[5]", "the tree ends before this node"),
    "no_nodes": (lambda case: case.nodes.clear(), "manifest", "nodes", "the list ends before the tree does"),
    "no_such_file": (lambda case: case.nodes.__setitem__(4, 3), "manifest", "nodes[4]", "there is no file 3"),
    "negative_file": (
        lambda case: case.nodes.__setitem__(4, -1), "manifest", "nodes[4]", "a cut or the number of a file is needed",
    ),
    "true_as_a_file": (
        lambda case: case.nodes.__setitem__(3, True), "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "unused_file": (lambda case: case.nodes.__setitem__(4, 1), "manifest", "files[2]", "no slice uses slices/2.onnx"),
    "siblings_facts": (
        siblings_facts, "interval", f"{OTHER} original interval 0",
        "interval arithmetic does not show 'neuron 0 of layer 1 inactive'",
    ),
    "swapped_entries": (
        swapped_entries, "interval", f"{LEAF} original interval 0",
        "interval arithmetic does not show 'neuron 3 of layer 1 inactive'",
    ),
    "swapped_networks": (
        swapped_networks, "agree", "node 1 (slices/1.onnx) output 0",
        "it depends on a neuron that the reduced network does not have",
    ),
    "a_siblings_fact_needed": (
        facts_of_a_sibling_are_missing, "agree", f"{OTHER} output 0",
        "it depends on a neuron that the reduced network does not have",
    ),
    "fact_repeated_below": (
        interval(3, [2, 0, "inactive"]), "regions", f"{OTHER} facts.original",
        "the claim 'neuron 0 of layer 2 inactive' was established on a larger box",
    ),
    "fact_repeated_here": (
        interval(2, [1, 1, "inactive"]), "regions", "node 2 facts", "the claim 'neuron 1 of layer 1 inactive' appears twice",
    ),
    "fact_about_nobody": (
        interval(2, [3, 0, "inactive"]), "regions", "node 2 facts.original",
        "the claim 'neuron 0 of layer 3 inactive' is about no neuron",
    ),
    "opposite_fact": (
        interval(3, [1, 1, "active"]), "interval", f"{OTHER} original interval 1",
        "interval arithmetic does not show 'neuron 1 of layer 1 active'",
    ),
    "uses_more_than_all": (
        tree_at_a_leaf(6), "tree", f"{OTHER} original tree 0", "it uses 6 facts, of which 5 are established",
    ),
    "uses_of_the_root": (tree_with(uses=1), "tree", "node 0 original tree 0", "it uses 1 facts, of which 0 are established"),
    "tree_of_a_false_claim": (
        tree_at_a_leaf(5), "tree", f"{OTHER} original tree 0 node 0",
        "is a leaf, but the claim 'neuron 2 of layer 1 active' is open",
    ),
    "early_leaf": (
        tree_with(symbols=[0]), "tree", "node 0 original tree 0 node 0",
        "is a leaf, but the claim 'neuron 0 of layer 2 inactive' is open",
    ),
    "altered_symbols": (
        tree_with(symbols=[1, 1, 0, 0, 0]), "tree", "node 0 original tree 0 node 1", "is split, but no claim is open",
    ),
    "unknown_coordinate_in_a_tree": (
        tree_with(symbols=[3, 0, 0]), "tree", "node 0 original tree 0 node 0", "coordinate 2 does not exist",
    ),
    "short_tree": (tree_with(symbols=[1, 0]), "tree", "node 0 original tree 0", "the stream ends before the tree does"),
    "looser_than_the_family": (family_claim(agree("1/200")), "family", f"{LEAF} claim", NOT_IMPLIED),
    "one_leaf_looser": (leaf_claim(3, agree("1/49")), "family", f"{OTHER} claim", NOT_IMPLIED),
    "decision_from_agreement": (family_claim(decision("0.0199")), "family", f"{LEAF} claim", NOT_IMPLIED),
    "agreement_from_decision": (leaf_claim(4, decision()), "family", f"{LAST} claim", NOT_IMPLIED),
    "simulated_decision": (
        simulated_decision, "regions", f"{OTHER} claim.kind", "a simulation shows only that networks agree",
    ),
    "decision_with_one_output": (
        one_output_decision, "decision", f"{LEAF} outputs", "a decision needs two outputs or more",
    ),
    "claim_about_a_layer": (
        leaf_claim(4, agree() | {"layer": [1, 1]}), "regions", f"{LAST} claim", "unknown key 'layer'",
    ),
    "family_about_a_layer": (
        family_claim(agree() | {"layer": [1, 1]}), "header", "claim.claim", "unknown key 'layer'",
    ),
    "family_of_families": (
        family_claim({"kind": "family", "claim": agree()}),
        "header", "claim.claim.kind", "a claim of the kind 'agree' or 'decision' is needed",
    ),
    "refuted_family": (
        family_claim({"kind": "refuted", "claim": agree(), "point": ["0", "0"]}),
        "header", "claim.claim.kind", "a claim of the kind 'agree' or 'decision' is needed",
    ),
    "too_exact": (
        leaf_claim(1, agree("1/1000")), "agree", f"{LEAF} output 0",
        "the networks may differ by 0.00390625, more than the tolerance 1/1000",
    ),
    "no_match": (
        at_evidence(1, match=[]), "agree", f"{LEAF} output 0", "it depends on a neuron that the reduced network does not have",
    ),
    "match_without_tolerance": (
        at_evidence(3, match=[[2, 2, 2, 0]]), "regions", f"{OTHER} match",
        "only a claim with a positive tolerance may match neurons",
    ),
    "null_match": (at_evidence(1, match=None), "regions", f"{LEAF} match", "a list is needed"),
    "unknown_evidence": (
        at_evidence(3, kind="sampling"), "regions", f"{OTHER} evidence.kind",
        "evidence of the kind 'simulation' or 'difference' is needed",
    ),
    "no_evidence": (
        lambda case: case.regions[3].update(evidence=None), "regions", f"{OTHER} evidence.kind",
        "evidence of the kind 'simulation' or 'difference' is needed",
    ),
    "evidence_of_both_kinds": (
        at_evidence(3, levels=[1, 2]), "regions", f"{OTHER} evidence", "unknown key 'levels'",
    ),
    "leaf_like_an_inner_node": (leaf_without_evidence, "regions", f"{OTHER} leaf", "unknown key 'grid'"),
    "inner_node_like_a_leaf": (evidence_at_an_inner_node, "regions", "node 2 facts", "unknown key 'claim'"),
    "too_few_entries": (drop_region, "regions", LAST, "the list ends before the nodes of the partition do"),
    "too_many_entries": (
        lambda case: case.regions.append(None), "regions", "list", "it has more entries than the partition has nodes",
    ),
    "grid": (
        lambda case: case.regions[2].update(grid=[36]), "regions", "node 2 facts.original.grid", "1 grid exponents for 2 layers",
    ),
    "reduced_grid": (
        at_evidence(3, reduced=facts([36])), "regions", f"{OTHER} facts.reduced.grid", "1 grid exponents for 2 layers",
    ),
    "difference_grid": (
        difference_tree(grid=GRID), "regions", f"{LAST} difference.grid", "2 grid exponents for 3 layers",
    ),
    "difference_symbols": (
        difference_tree(symbols=[1, 0]), "tree", f"{LAST} difference", "the stream ends before the tree does",
    ),
    "difference_too_exact": (leaf_claim(4, agree("1/1000")), "tree", f"{LAST} difference node 0", OPEN),
    "levels": (
        at_evidence(4, levels=[1]), "regions", f"{LAST} levels", "1 levels for 2 layers of the reduced network",
    ),
    "pairs": (
        at_evidence(4, pairs=[[1, 4, 1, 0]]), "regions", f"{LAST} pairs[0]", "the original network has no neuron 4 of layer 1",
    ),
    "false_facts_about_the_reduced": (
        at_evidence(3, reduced=some([[1, 1, "inactive"]])), "interval", f"{OTHER} reduced interval 0",
        "interval arithmetic does not show 'neuron 1 of layer 1 inactive'",
    ),
    "more_inputs": (network(1, sized(3, 2)), "domain", f"{OTHER} reduced", "2 bounds for 3 inputs"),
    "fewer_outputs": (network(1, sized(2, 1)), "agree", f"{OTHER} outputs", "2 outputs against 1 in the reduced network"),
    "no_network": (network(1, lambda: b"nothing"), "onnx", f"{OTHER} reduced protobuf", "wire type 6 is not known"),
    "altered_weight": (
        lambda case: case.files.__setitem__(1, edit_weights(case.files[1], lambda w: w["w2"].__iadd__(np.float32(0.25)))),
        "agree", f"{OTHER} output 0", "the networks may differ by *.*, more than the tolerance 0",
    ),
    "small_domain": (
        lambda case: setattr(case, "box", (["-1"], ["1"])), "manifest", "nodes[2]", "coordinate 1 does not exist",
    ),
    "empty_domain": (
        lambda case: setattr(case, "box", (["1", "-1"], ["-1", "1"])),
        "manifest", "coordinate 0", "the lower bound exceeds the upper bound",
    ),
    "more_bounds": (
        lambda case: setattr(case, "box", (["-1", "-1", "0"], ["1", "1", "0"])), "domain", "original", "3 bounds for 2 inputs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence(name: str, tmp_path: Path) -> None:
    change, *words = FORGERIES[name]
    case = honest()
    change(case)
    check_words(write_family(tmp_path, case), *words)


# What trees build on.


@pytest.mark.parametrize("uses", range(5))
def test_uses_counts_from_the_roots_first_fact(uses: int, tmp_path: Path) -> None:
    """Of four facts, the second (a solver's word, on the root's box) makes r inactive where x <= 0."""
    case = honest()
    case.regions[0]["solver"] = [{"claim": [1, 2, "inactive"], "by": "z3 5.4.0"}]
    tree = {"claims": [[2, 2, "inactive"]], "steps": 0, "uses": uses, "symbols": [0]}
    case.regions[1]["facts"]["trees"] = [tree]
    case.files[0] = dense_model(without_neurons(layers(), [(1, 0), (2, 0), (2, 2)]))
    del case.regions[1]["evidence"]["match"]
    case.files[1:], case.nodes = [case.original], [[0, "0"], 0, 1]
    case.regions[2:] = [{"facts": None, "claim": agree(), "evidence": simulation(facts(GRID))}]
    folder = write_family(tmp_path, case)
    if uses >= 2:
        assert all(isinstance(v, Accepted) for v in verdicts(folder))
    else:
        words = "is a leaf, but the claim 'neuron 2 of layer 2 inactive' is open"
        check_words(folder, "tree", f"{LEAF} original tree 0 node 0", words)


def test_no_flipped_byte_is_accepted_unless_it_says_the_same(tmp_path: Path) -> None:
    """Every byte of the certificate in turn: what is still accepted speaks of the same files, and claims the same but for e."""
    folder = write_family(tmp_path, honest())
    path = folder / "family.secateur"
    data, refused = path.read_bytes(), 0
    accepted = check(folder, arithmetic="exact")
    assert isinstance(accepted, Accepted)
    start = data.index(b'"1/50"')
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            verdict = check(folder, arithmetic="exact")
        except CheckInputError:  # the name of a file that does not exist
            continue
        if isinstance(verdict, Accepted):
            assert verdict == accepted or position in range(start, start + 6)
        refused += isinstance(verdict, Refused)
    assert refused > 0.7 * len(data)
