"""Forged certificates: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from secateur.checker import Accepted, CheckInputError, Refused, check
from tests.checker.support import Case, random_case, write_certificate
from tests.forged.headers import set_in

HASH = "0" * 64


@cache
def honest() -> Case:
    """Trees of three and eleven nodes: two neurons of layer 2, then two of layer 3 that need the first two."""
    case = random_case(5)
    assert [len(symbols) for _, _, symbols in case.trees] == [3, 11]
    return case


def copy() -> Case:
    case = honest()
    grids = {side: list(grid) for side, grid in case.grids.items()}
    trees = [([list(c) for c in claims], steps, list(symbols)) for claims, steps, symbols in case.trees]
    return Case(case.original, case.reduced, case.domain, grids, trees=trees)


def rehash(folder: Path, side: str) -> str:
    return hashlib.sha256((folder / side).read_bytes()).hexdigest()


def verdicts(folder: Path) -> set[Any]:
    return {check(folder, arithmetic=own) for own in ("fast", "exact")}  # type: ignore[arg-type]


def test_the_honest_certificate_is_accepted(tmp_path: Path) -> None:
    assert all(isinstance(v, Accepted) for v in verdicts(write_certificate(tmp_path, copy())))


# What is forged in the evidence: a change of the case, and the refusal.


def add_claim(case: Case) -> None:
    case.trees[1][0].append([3, 2, "inactive"])


def flip_phase(case: Case) -> None:
    case.trees[0][0][0][2] = "active"


def truncate_tree(case: Case) -> None:
    del case.trees[1][2][-1]


def swap_symbols(case: Case) -> None:
    symbols = case.trees[1][2]
    symbols[symbols.index(2)] = 1  # another coordinate: a leaf stays open


def leaf_to_split(case: Case) -> None:
    symbols = case.trees[1][2]
    leaf = symbols.index(0)
    symbols[leaf : leaf + 1] = [1, 0, 0]


def leaf_into_symbol(case: Case) -> None:
    symbols = case.trees[1][2]
    symbols[symbols.index(0)] = 1


def early_leaf(case: Case) -> None:
    case.trees[1][2][:] = [0]


def second_tree_first(case: Case) -> None:
    case.trees.reverse()


def unknown_coordinate(case: Case) -> None:
    case.trees[1][2][0] = 3


def surplus_nodes(case: Case) -> None:
    case.trees[1][2].extend([0, 0])


def believe_interval(case: Case) -> None:
    case.interval = case.trees.pop()[0]


def circular_interval(case: Case) -> None:
    case.interval = [*case.trees[1][0], *case.trees[0][0]]
    case.trees.clear()


def repeat_claim(case: Case) -> None:
    case.interval = [case.trees[0][0][0]]


def nonexistent_neuron(case: Case) -> None:
    case.trees[0][0].append([2, 5, "inactive"])


def nonexistent_layer(case: Case) -> None:
    case.trees[0][0].append([9, 0, "inactive"])


def no_trees(case: Case) -> None:
    case.trees.clear()


def coarse_grid(case: Case) -> None:
    case.grids["original"] = [-200, -200, -200]


def absurd_grid(case: Case) -> None:
    case.grids["original"][1] = 10**6


def short_grid(case: Case) -> None:
    del case.grids["original"][2]


def widen_domain(case: Case) -> None:
    case.domain = case.domain.replace('"1e0"', '"30"')


def nan_domain(case: Case) -> None:
    case.domain = case.domain.replace('"1e0"', '"nan"')


def empty_domain(case: Case) -> None:
    case.domain = case.domain.replace('"1e0"', '"-1"')


def short_domain(case: Case) -> None:
    case.domain = '{"lower": ["-1"], "upper": ["1"]}'


def repeated_domain_key(case: Case) -> None:
    case.domain = case.domain.replace("{", '{"lower": ["-1", "-1"], ', 1)


def negative_tolerance(case: Case) -> None:
    case.tolerance = "-1/2"


def nan_tolerance(case: Case) -> None:
    case.tolerance = "NaN"


def match_without_tolerance(case: Case) -> None:
    case.match = [[1, 0, 1, 0]]


def edit_weights(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    model = onnx.load_model_from_string(data)
    weights = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    change(weights)
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model.SerializeToString()


def last_bit(case: Case) -> None:
    def change(weights: dict[str, Any]) -> None:
        weights["w3"][0, 2] = np.nextafter(weights["w3"][0, 2], np.float32(9))
        assert weights["w3"][0, 2] < -1  # so the last bit is far above 1e-30

    case.reduced = edit_weights(case.reduced, change)


def last_bit_within_tolerance(case: Case) -> None:
    last_bit(case)
    case.tolerance = "1e-30"


def drop_one_more(case: Case) -> None:
    def change(weights: dict[str, Any]) -> None:
        weights["w1"], weights["b1"], weights["w2"] = (
            weights["w1"][:-1],
            weights["b1"][:-1],
            weights["w2"][:, :-1],
        )

    case.reduced = edit_weights(case.reduced, change)
    case.grids["reduced"] = [40] * 3


def sigmoid(case: Case) -> None:
    case.reduced = case.reduced.replace(b"Relu", b"Selu")


def infinite_weight(case: Case) -> None:
    case.reduced = edit_weights(case.reduced, lambda weights: weights["b0"].fill(np.inf))


@dataclass(frozen=True)
class Forgery:
    """A change, and the three parts of the refusal; a * in the reason stands for a number."""

    change: Callable[[Case], object]
    rule: str
    step: str
    reason: str


FORGERIES = [
    Forgery(add_claim, "tree", "original tree 1 node *", "is a leaf, but the claim 'neuron * of layer 3 inactive' is open"),
    Forgery(flip_phase, "tree", "original tree 0 node *", "is a leaf, but the claim 'neuron 0 of layer 2 active' is open"),
    Forgery(truncate_tree, "tree", "original tree 1", "the stream ends before the tree does"),
    Forgery(swap_symbols, "tree", "original tree 1 node *", "is a leaf, but the claim 'neuron * of layer 3 inactive' is open"),
    Forgery(leaf_to_split, "tree", "original tree 1 node *", "is split, but no claim is open"),
    Forgery(leaf_into_symbol, "tree", "original tree 1", "the stream ends before the tree does"),
    Forgery(early_leaf, "tree", "original tree 1 node 0", "is a leaf, but the claim 'neuron * of layer 3 inactive' is open"),
    Forgery(unknown_coordinate, "tree", "original tree 1 node 0", "coordinate 2 does not exist"),
    Forgery(surplus_nodes, "tree", "original tree 1 node 10", "the tree ends here, but symbols follow"),
    Forgery(coarse_grid, "tree", "original tree 0 node *", "is a leaf, but the claim 'neuron * of layer 2 inactive' is open"),
    Forgery(
        believe_interval, "interval", "original interval 0", "interval arithmetic does not show 'neuron 0 of layer 3 inactive'"
    ),
    Forgery(
        circular_interval, "interval", "original interval 0", "interval arithmetic does not show 'neuron 0 of layer 3 inactive'"
    ),
    Forgery(repeat_claim, "header", "facts.original", "the claim 'neuron 0 of layer 2 inactive' appears twice"),
    Forgery(nonexistent_neuron, "header", "facts.original", "the claim 'neuron 5 of layer 2 inactive' is about no neuron"),
    Forgery(nonexistent_layer, "header", "facts.original", "the claim 'neuron 0 of layer 9 inactive' is about no neuron"),
    Forgery(no_trees, "agree", "output 0", "it depends on a neuron that the reduced network does not have"),
    Forgery(absurd_grid, "header", "facts.original.grid[1]", "an integer from -200 to 200 is needed"),
    Forgery(short_grid, "header", "facts.original.grid", "2 grid exponents for 3 layers"),
    Forgery(widen_domain, "tree", "original tree * node *", "is a leaf, but the claim 'neuron * of layer * inactive' is open"),
    Forgery(nan_domain, "domain", "upper[1]", "not an exact number"),
    Forgery(empty_domain, "domain", "coordinate 1", "the lower bound exceeds the upper bound"),
    Forgery(short_domain, "domain", "original", "1 bounds for 2 inputs"),
    Forgery(repeated_domain_key, "domain", "file", "not valid JSON: a key occurs twice"),
    Forgery(negative_tolerance, "header", "claim.tolerance", "a rational number >= 0 is needed"),
    Forgery(nan_tolerance, "header", "claim.tolerance", "a rational number >= 0 is needed"),
    Forgery(match_without_tolerance, "header", "match", "only a claim with a positive tolerance may match neurons"),
    Forgery(last_bit, "agree", "output 0", "the networks may differ by *, more than the tolerance 0"),
    Forgery(
        last_bit_within_tolerance, "agree", "output 0", "the networks may differ by *, more than the tolerance 1/1" + "0" * 30
    ),
    Forgery(drop_one_more, "agree", "output 0", "it depends on a neuron that the reduced network does not have"),
    Forgery(sigmoid, "onnx", "reduced node Selu -> r0", "unsupported operator"),
    Forgery(infinite_weight, "onnx", "reduced tensor b0", "a value is NaN or infinite"),
]


def check_words(folder: Path, rule: str, step: str, reason: str) -> None:
    found = verdicts(folder)
    assert len(found) == 1, found  # both arithmetics say the same
    (refused,) = found
    assert isinstance(refused, Refused)
    assert refused.rule == rule
    for text, pattern in ((refused.step, step), (refused.reason, reason)):
        assert re.fullmatch(re.escape(pattern).replace(r"\*", r"[-+.e0-9]+"), text), text


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda f: f.change.__name__)
def test_forged_evidence(forgery: Forgery, tmp_path: Path) -> None:
    case = copy()
    forgery.change(case)
    check_words(write_certificate(tmp_path, case), forgery.rule, forgery.step, forgery.reason)


# What is forged in the container: a change of the header or of the streams.


HEADERS = {
    "hash_original": (set_in("original", "sha256", to=HASH), "hash", "original", "net.onnx is not the file that was certified"),
    "hash_reduced": (set_in("reduced", "sha256", to=HASH), "hash", "reduced", "reduced.onnx is not the file that was certified"),
    "hash_domain": (set_in("domain", "sha256", to=HASH), "hash", "domain", "domain.json is not the file that was certified"),
    "hash_text": (set_in("domain", "sha256", to="0x"), "header", "domain.sha256", "64 lower-case hexadecimal digits are needed"),
    "absolute": (
        set_in("original", "file", to="/net.onnx"),
        "header",
        "original.file",
        "a path relative to the certificate is needed",
    ),
    "unknown_key": (set_in("note", to="trust me"), "header", "header", "unknown key 'note'"),
    "unknown_fact": (set_in("facts", "original", "axioms", to=[]), "header", "facts.original", "unknown key 'axioms'"),
    "missing_key": (lambda header: header.pop("claim"), "header", "header", "the key 'claim' is missing"),
    "version": (set_in("version", to=2), "header", "format", "only version 1 of secateur-certificate is known"),
    "version_true": (set_in("version", to=True), "header", "format", "only version 1 of secateur-certificate is known"),
    "kind": (
        set_in("claim", "kind", to="identical"),
        "header",
        "claim.kind",
        "only claims of the kinds 'agree', 'decision', 'refuted', 'unsat', 'sat' and 'family' are known",
    ),
    "nodes_less": (
        set_in("facts", "original", "trees", 1, "nodes", to=9),
        "container",
        "original tree 1",
        "the stream holds more than the announced 9 symbols",
    ),
    "nodes_more": (
        set_in("facts", "original", "trees", 1, "nodes", to=13),
        "container",
        "original tree 1",
        "the stream holds fewer than the announced 13 symbols",
    ),
    "nodes_absurd": (
        set_in("facts", "original", "trees", 1, "nodes", to=1 << 60),
        "header",
        "facts.original.trees[1].nodes",
        "an integer from 1 to 134217728 is needed",
    ),
    "steps": (
        set_in("facts", "original", "trees", 1, "steps", to=10**9),
        "header",
        "facts.original.trees[1].steps",
        "an integer from 0 to 1000 is needed",
    ),
    "uses": (
        set_in("facts", "original", "trees", 1, "uses", to=99),
        "tree",
        "original tree 1",
        "it uses 99 facts, of which 2 are established",
    ),
    "bytes": (
        set_in("facts", "original", "trees", 1, "bytes", to=10**6),
        "container",
        "facts.original.trees[1]",
        "the file ends inside the stream of this tree",
    ),
    "phase": (
        set_in("facts", "original", "trees", 0, "claims", 0, to=[2, 0, "dead"]),
        "header",
        "facts.original.trees[0].claims[0]",
        'a claim [layer, neuron, "inactive" or "active"] is needed',
    ),
    "layer": (
        set_in("facts", "original", "trees", 0, "claims", 0, to=[2.0, 0, "active"]),
        "header",
        "facts.original.trees[0].claims[0]",
        "an integer from 1 to 9007199254740992 is needed",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_forged_headers(name: str, tmp_path: Path) -> None:
    change, *words = HEADERS[name]
    check_words(write_certificate(tmp_path, copy(), change_header=change), *words)


def test_a_tolerance_that_was_lowered_afterwards(tmp_path: Path) -> None:
    case = copy()
    last_bit(case)
    case.tolerance = "1e-5"
    assert all(isinstance(v, Accepted) for v in verdicts(write_certificate(tmp_path, case)))
    case.tolerance = "0"
    check_words(
        write_certificate(tmp_path, case),
        "agree",
        "output 0",
        "the networks may differ by *, more than the tolerance 0",
    )


def test_bytes_behind_the_last_stream(tmp_path: Path) -> None:
    folder = write_certificate(tmp_path, copy())
    path = folder / "certificate.secateur"
    path.write_bytes(path.read_bytes() + b"\0")
    check_words(folder, "container", "end", "1 bytes follow the last stream")


def announce(streams: list[bytes]) -> Callable[[dict[str, Any]], object]:
    def change(header: dict[str, Any]) -> None:
        for tree, stream in zip(header["facts"]["original"]["trees"], streams, strict=True):
            tree["bytes"] = len(stream)

    return change


def replace_stream(folder: Path, stream: Callable[[bytes], bytes]) -> Path:
    kept: list[bytes] = []

    def change(streams: list[bytes]) -> None:
        streams[1] = stream(streams[1])
        kept.extend(streams)

    return write_certificate(folder, copy(), announce(kept), change)


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    folder = replace_stream(tmp_path, lambda _: zlib.compress(bytes(200_000_000)))
    check_words(folder, "container", "original tree 1", "the stream holds more than the announced 11 symbols")


def test_bytes_behind_a_compressed_stream(tmp_path: Path) -> None:
    folder = replace_stream(tmp_path, lambda stream: stream + b"more")
    check_words(folder, "container", "original tree 1", "bytes follow the compressed stream")


def test_a_stream_without_its_end(tmp_path: Path) -> None:
    folder = replace_stream(tmp_path, lambda stream: stream[:-2])
    check_words(folder, "container", "original tree 1", "the stream holds fewer than the announced 11 symbols")


def test_a_stream_that_is_no_stream(tmp_path: Path) -> None:
    folder = replace_stream(tmp_path, lambda stream: bytes(len(stream)))
    check_words(
        folder,
        "container",
        "original tree 1",
        "the stream is damaged: Error -3 while decompressing data: unknown compression method",
    )


def test_a_key_that_occurs_twice(tmp_path: Path) -> None:
    folder = write_certificate(tmp_path, copy())
    path = folder / "certificate.secateur"
    data = path.read_bytes()
    length = int.from_bytes(data[10:18], "little")
    text = data[18 : 18 + length].replace(b"{", b'{"version": 1, ', 1)
    path.write_bytes(data[:10] + len(text).to_bytes(8, "little") + text + data[18 + length :])
    check_words(folder, "container", "header", "not valid JSON: a key occurs twice")


def test_deep_nesting(tmp_path: Path) -> None:
    folder = write_certificate(tmp_path, copy())
    text = b"[" * 200_000
    (folder / "certificate.secateur").write_bytes(b"SECATEUR1\n" + len(text).to_bytes(8, "little") + text)
    (found,) = verdicts(folder)
    assert isinstance(found, Refused)
    assert found.reason.startswith("not valid JSON: ")


def test_no_flipped_byte_is_accepted_unless_it_says_the_same(tmp_path: Path) -> None:
    """Every byte of the certificate in turn. A flip may only be accepted where the statement does not depend on it."""
    folder = write_certificate(tmp_path, copy())
    path = folder / "certificate.secateur"
    data = path.read_bytes()
    honest_verdict = check(folder, arithmetic="exact")
    assert isinstance(honest_verdict, Accepted)
    length = int.from_bytes(data[10:18], "little")
    producer = json.loads(data[18 : 18 + length])["producer"].encode()
    free = range(data.index(producer), data.index(producer) + len(producer))
    grid, steps = data.index(b'"grid"'), re.compile(rb'"(?:grid|steps)": [^"]*')
    choices = {i for found in steps.finditer(data, grid) for i in range(*found.span())}
    tolerance, refused = data.index(b'"tolerance": "0"') + len('"tolerance": "'), 0
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            verdict = check(folder, arithmetic="exact")
        except CheckInputError:  # the name of a file that does not exist
            assert data[:position].rfind(b'"file"') > data[:position].rfind(b'"sha256"')
            continue
        if isinstance(verdict, Accepted):
            if position == tolerance:  # a weaker claim, and true
                assert "max |N(x) - N'(x)| <= 1, where" in verdict.statement
                continue
            assert position in free or position in choices or data[position] in b" \r\n\t"
            assert verdict == honest_verdict
        refused += isinstance(verdict, Refused)
    assert refused > 0.8 * len(data)
