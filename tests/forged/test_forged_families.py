"""Forged certificates about families of slices: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import copy as copying
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check
from secateur.checker.chain import chain_form
from secateur.checker.lowering import lower
from secateur.checker.records import Claim
from secateur.checker.root import RootBounds
from tests.checker.family_cases import (
    Changes,
    FamilyCase,
    agree,
    box_of,
    decision,
    difference,
    parts_of,
    simulation,
    write_family,
)
from tests.checker.support import Layer, dense_model, facts, grow_tree, without_neurons
from tests.forged.test_forged import edit_weights
from tests.forged.test_forged_queries import check_words, verdicts

Change = Callable[[FamilyCase], object]
GRID = [36, 36]
LEAF, OTHER, LAST = "node 1 (slices/0.onnx)", "node 3 (slices/1.onnx)", "node 4 (slices/2.onnx)"
HASH = "0" * 64


def layers() -> list[Layer]:
    """relu of x, -x, y, y - 1/2; then p = relu(c - 2 e - 3/4), which is 0 everywhere, q = relu(b - c), r = relu(a + c - 1/2)."""
    first = np.float32([[1, 0], [-1, 0], [0, 1], [0, 1]]), np.float32([0, 0, 0, -0.5])
    second = np.float32([[0, 0, 1, -2], [0, 1, -1, 0], [1, 0, 1, 0]]), np.float32([-0.75, 0, -0.5])
    return [first, second, (np.float32([[1, 1, 1], [-1, 1, 2]]), np.float32([0, 1]))]


def moved(own: list[Layer], layer: int, by: float) -> bytes:
    """The network with the last bias of a layer moved."""
    changed = copying.deepcopy(own)
    changed[layer - 1][1][-1] += np.float32(by)
    return dense_model(changed)


def some(interval: list[list[Any]], trees: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return facts(GRID) | {"interval": interval, "trees": trees or []}


@cache
def built() -> FamilyCase:
    """x <= 0 (within 1/100, by matching), x >= 0 and y <= 1/2 (exactly), x >= 0 and y >= 1/2 (by differences)."""
    own = layers()
    case = FamilyCase(dense_model(own), (["-1", "-1"], ["1", "1"]), agree("1/50"))
    case.nodes = [[0, "0"], 0, [1, "1/2"], 1, 2]
    chain = chain_form(lower(case.original), box_of(case))
    symbols = grow_tree(chain, GRID, RootBounds(chain), [Claim(2, 0, "inactive")], 3)
    assert symbols is not None
    assert len(symbols) >= 3
    tree = {"claims": [[2, 0, "inactive"]], "steps": 3, "uses": 0, "symbols": symbols}
    case.files.append(moved(without_neurons(own, [(1, 0), (2, 0)]), 2, 2**-8))
    matched = {"facts": some([[1, 0, "inactive"], [1, 1, "active"]]), "claim": agree("1/100")}
    matched["evidence"] = simulation(facts(GRID), [[2, 2, 2, 1]])
    case.files.append(dense_model(without_neurons(own, [(1, 1), (1, 3), (2, 0), (2, 1)])))
    exact = {"facts": some([[1, 3, "inactive"]]), "claim": agree(), "evidence": simulation(facts(GRID))}
    inner = some([[1, 1, "inactive"], [1, 0, "active"], [2, 1, "inactive"]])
    changed = copying.deepcopy(own)
    changed[1][0][2, 0] += np.float32(2**-9)
    case.files.append(dense_model(changed))
    known = [Claim(2, 0, "inactive"), Claim(1, 1, "inactive"), Claim(1, 0, "active"), Claim(2, 1, "inactive")]
    claim = agree()
    evidence = difference(case.original, case.files[2], parts_of(case)[4].box, known, claim)
    assert evidence is not None
    case.regions = [some([], [tree]), matched, inner, exact, {"facts": None, "claim": claim, "evidence": evidence}]
    return case


def honest() -> FamilyCase:
    return copying.deepcopy(built())


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


# What is forged as the files are written.


def set_in(*path: Any, to: Any) -> Callable[[Any], object]:
    def change(own: Any) -> None:
        for key in path[:-1]:
            own = own[key]
        own[path[-1]] = to

    return change


def file_name(name: Any) -> Changes:
    return Changes(manifest=set_in("files", 1, "file", to=name))


def text(old: str, new: str) -> Callable[[str], str]:
    def change(own: str) -> str:
        assert old in own
        return own.replace(old, new, 1)

    return change


BELOW = "does not lead to a file below the manifest's folder"
WRITTEN: dict[str, tuple[Changes, str, str, str]] = {
    "parent": (file_name("../net.onnx"), "manifest", "files[1].file", f"../net.onnx {BELOW}"),
    "parent_inside": (file_name("slices/../0.onnx"), "manifest", "files[1].file", f"slices/../0.onnx {BELOW}"),
    "here": (file_name("./slices/0.onnx"), "manifest", "files[1].file", f"./slices/0.onnx {BELOW}"),
    "empty_component": (file_name("slices//0.onnx"), "manifest", "files[1].file", f"slices//0.onnx {BELOW}"),
    "folder": (file_name("slices/"), "manifest", "files[1].file", f"slices/ {BELOW}"),
    "absolute": (file_name("/slices/0.onnx"), "manifest", "files[1].file", f"/slices/0.onnx {BELOW}"),
    "backslash": (file_name("slices\\..\\0.onnx"), "manifest", "files[1].file", "slices\\..\\0.onnx is not a path with slashes"),
    "drive": (file_name("C:/0.onnx"), "manifest", "files[1].file", "C:/0.onnx is not a path with slashes"),
    "file_twice": (file_name("slices/0.onnx"), "manifest", "files[1]", "slices/0.onnx is listed twice"),
    "number_as_file": (file_name(5), "manifest", "files[1].file", "a text is needed"),
    "number_as_hash": (
        Changes(manifest=set_in("files", 1, "sha256", to=int("1" * 64))), "manifest", "files[1].sha256", "a text is needed",
    ),
    "control_characters": (file_name("slices/\0.onnx"), "manifest", "files[1].file", "a printable text is needed"),
    "hash_of_a_slice": (
        Changes(manifest=set_in("files", 1, "sha256", to=HASH)),
        "hash", "manifest files[1]", "1.onnx is not the file that was certified",
    ),
    "hash_too_short": (
        Changes(manifest=set_in("files", 1, "sha256", to="0")),
        "manifest", "files[1].sha256", "64 lower-case hexadecimal digits are needed",
    ),
    "hash_of_the_manifest": (
        Changes(header=set_in("manifest", "sha256", to=HASH)), "hash", "manifest",
        "manifest.json is not the file that was certified",
    ),
    "hash_of_the_network": (
        Changes(header=set_in("original", "sha256", to=HASH)), "hash", "original", "net.onnx is not the file that was certified",
    ),
    "manifest_key": (Changes(manifest=set_in("note", to="")), "manifest", "file", "unknown key 'note'"),
    "manifest_without_nodes": (Changes(manifest=lambda own: own.pop("nodes")), "manifest", "file", "the key 'nodes' is missing"),
    "manifest_version": (
        Changes(manifest=set_in("version", to=2)), "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_version_as_text": (
        Changes(manifest=set_in("version", to="1")), "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_version_as_a_decimal": (
        Changes(manifest_text=text('"version": 1', '"version": 1.0')),
        "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_format": (
        Changes(manifest=set_in("format", to="secateur-certificate")),
        "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_producer": (Changes(manifest=set_in("producer", to=1)), "manifest", "producer", "a text is needed"),
    "key_twice": (
        Changes(manifest_text=text('"version": 1', '"version": 1, "version": 1')),
        "manifest", "file", "not valid JSON: a key occurs twice",
    ),
    "leaf_as_a_decimal": (
        Changes(manifest_text=text('"1/2"], 1, 2]', '"1/2"], 1.0, 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "leaf_as_text": (
        Changes(manifest_text=text('"1/2"], 1, 2]', '"1/2"], "1", 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "huge_leaf": (
        Changes(manifest_text=text('"1/2"], 1, 2]', f'"1/2"], {"9" * 5000}, 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "infinite_bound": (
        Changes(manifest_text=text('"upper": ["1"', '"upper": [Infinity')),
        "manifest", "file", "not valid JSON: Infinity is no number",
    ),
    "bound_that_is_none": (
        Changes(manifest=set_in("upper", 1, to="1e9999")), "manifest", "upper[1]", "not an exact number",
    ),
    "uneven_box": (
        Changes(manifest=set_in("upper", to=["1"])), "manifest", "file", "lower and upper have different lengths",
    ),
    "deep_manifest": (
        Changes(manifest=set_in("nodes", to=[]), manifest_text=text('"nodes": []', '"nodes": ' + "[" * 10**5)),
        "manifest", "file",
        "not valid JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string",
    ),
    "header_key": (Changes(header=set_in("domain", to={})), "header", "header", "unknown key 'domain'"),
    "header_facts": (Changes(header=set_in("facts", to={})), "header", "header", "unknown key 'facts'"),
    "no_manifest": (Changes(header=lambda own: own.pop("manifest")), "header", "header", "the key 'manifest' is missing"),
    "claim_key": (Changes(header=set_in("claim", "tolerance", to="0")), "header", "claim", "unknown key 'tolerance'"),
    "longer": (
        Changes(header=lambda own: own["regions"].update(length=own["regions"]["length"] + 1)),
        "container", "regions", "the stream holds fewer than the announced * bytes",
    ),
    "shorter": (
        Changes(header=lambda own: own["regions"].update(length=own["regions"]["length"] - 1)),
        "container", "regions", "the stream holds more than the announced * bytes",
    ),
    "far_too_long": (
        Changes(header=set_in("regions", "length", to=(1 << 30) + 1)),
        "header", "regions.length", f"an integer from 2 to {1 << 30} is needed",
    ),
    "fewer_bytes": (
        Changes(header=lambda own: own["regions"].update(bytes=own["regions"]["bytes"] - 1)),
        "container", "regions", "the stream holds fewer than the announced * bytes",
    ),
    "more_bytes": (
        Changes(header=lambda own: own["regions"].update(bytes=own["regions"]["bytes"] + 1)),
        "container", "regions", "bytes follow the compressed stream",
    ),
    "bytes_beyond_the_end": (
        Changes(header=set_in("regions", "bytes", to=10**6)), "container", "regions", "the file ends inside this stream",
    ),
    "region_key_twice": (
        Changes(regions_text=text('"facts": null', '"facts": null, "facts": null')),
        "regions", f"{LAST} list", "not valid JSON: a key occurs twice",
    ),
    "regions_no_list": (
        Changes(regions_text=lambda own: f'{{"nodes": {own}}}'),
        "regions", "node 0 list", "not valid JSON: '[' is needed at place 0",
    ),
    "text_behind_the_regions": (
        Changes(regions_text=lambda own: own + "]"),
        "regions", "list", "not valid JSON: characters follow the list at place *",
    ),
    "unfinished_regions": (
        Changes(regions_text=lambda own: own[:-1]),
        "regions", "list", "not valid JSON: ',' or ']' is needed at place *",
    ),
    "comma_before_the_end": (
        Changes(regions_text=lambda own: own[:-1] + ",]"), "regions", "list",
        "not valid JSON: Expecting value: line 1 column * (char *)",
    ),
    "no_regions": (
        Changes(regions_text=lambda _: "[ ]"), "regions", "node 0", "the list ends before the nodes of the partition do",
    ),
    "tree_bytes": (
        Changes(regions=set_in(0, "trees", 0, "bytes", to=10**6)),
        "container", "node 0 facts.trees[0]", "the file ends inside the stream of this tree",
    ),
    "tree_nodes": (
        Changes(regions=set_in(0, "trees", 0, "nodes", to=2)),
        "container", "node 0 original tree 0", "the stream holds more than the announced 2 symbols",
    ),
    "missing_stream": (
        Changes(streams=lambda own: own.pop()), "container", f"{LAST} difference", "the file ends inside the stream of this tree",
    ),
    "extra_stream": (
        Changes(streams=lambda own: own.append(b"\0")), "container", "end", "1 bytes follow the last stream",
    ),
    "truncated_stream": (
        Changes(streams=lambda own: own.__setitem__(1, own[1][:-1])),
        "container", f"{LAST} difference", "the file ends inside the stream of this tree",
    ),
    "trusted_leaves": (
        Changes(regions=set_in(4, "evidence", "difference", "trusted", to=1)),
        "container", f"{LAST} difference", "the stream holds 0 trusted leaves, not the announced 1",
    ),
    "claims_in_a_difference": (
        Changes(regions=set_in(4, "evidence", "difference", "claims", to=[])), "regions", f"{LAST} difference",
        "unknown key 'claims'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_forged_files(name: str, tmp_path: Path) -> None:
    changes, *words = WRITTEN[name]
    check_words(write_family(tmp_path, honest(), changes), *words)


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


# Files that are not what the manifest says.


@pytest.mark.parametrize("number", range(3))
def test_an_altered_network_is_refused_before_anything_else(number: int, tmp_path: Path) -> None:
    case = honest()
    case.regions[0]["trees"][0]["symbols"] = [0]  # is never looked at
    path = write_family(tmp_path, case) / f"slices/{number}.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    check_words(tmp_path, "hash", f"manifest files[{number}]", f"{number}.onnx is not the file that was certified")


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    path = write_family(tmp_path, honest()) / "manifest.json"
    path.write_text(path.read_text().replace('"0"', '"1/8"'))
    check_words(tmp_path, "hash", "manifest", "manifest.json is not the file that was certified")


def test_a_bomb_in_a_tree(tmp_path: Path) -> None:
    """A stream of many symbols for a tree of three nodes: only four of them are ever decompressed."""
    case = honest()
    bomb = zlib.compress(bytes(1 << 24))
    own = Changes(regions=set_in(0, "trees", 0, "bytes", to=len(bomb)), streams=lambda streams: streams.__setitem__(0, bomb))
    nodes = len(case.regions[0]["trees"][0]["symbols"])
    words = f"the stream holds more than the announced {nodes} symbols"
    check_words(write_family(tmp_path, case, own), "container", "node 0 original tree 0", words)


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
