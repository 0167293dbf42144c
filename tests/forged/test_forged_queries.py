"""Forged certificates about queries: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check
from tests.checker.query_cases import PartCase, QueryCase, head, prove, random_query_case, trust, write_query_certificate
from tests.checker.support import dense_model
from tests.forged.headers import drop, set_in

HASH = "0" * 64
Change = Callable[[QueryCase], object]


@cache
def honest() -> QueryCase:
    """Two disjuncts and a tree of seven nodes."""
    case = random_query_case(7)
    assert [(part.disjuncts, len(part.symbols)) for part in case.parts] == [(2, 7)]
    return case


def copy() -> QueryCase:
    case = honest()
    parts = [PartCase(part.disjuncts, list(part.grid), list(part.symbols), part.steps) for part in case.parts]
    return QueryCase(case.network, case.query, case.inputs, parts)


def verdicts(path: Path, *, strict: bool = False) -> set[Any]:
    return {check(path, arithmetic=own, strict=strict) for own in ("fast", "exact")}  # type: ignore[arg-type]


def check_words(path: Path, rule: str, step: str, reason: str, *, strict: bool = False) -> None:
    found = verdicts(path, strict=strict)
    assert len(found) == 1, found  # both arithmetics say the same
    (refused,) = found
    assert isinstance(refused, Refused)
    assert refused.rule == rule
    for text, pattern in ((refused.step, step), (refused.reason, reason)):
        assert re.fullmatch(re.escape(pattern).replace(r"\*", "[0-9]+"), text), text


def test_the_honest_certificate_is_accepted(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, copy())
    assert all(isinstance(v, Accepted) for v in verdicts(path, strict=True))


# What is forged in the evidence.


def truncate(case: QueryCase) -> None:
    del case.parts[0].symbols[-1]


def surplus(case: QueryCase) -> None:
    case.parts[0].symbols += [0, 0]


def early_leaf(case: QueryCase) -> None:
    case.parts[0].symbols = [0]


def other_coordinate(case: QueryCase) -> None:
    own = case.parts[0].symbols
    own[:] = [3 - symbol if symbol else 0 for symbol in own]


def split_a_leaf(case: QueryCase) -> None:
    own = case.parts[0].symbols
    own[own.index(0) :] = [1, 0, 0, *own[own.index(0) + 1 :]]


def trust_a_leaf(case: QueryCase) -> None:
    own = case.parts[0].symbols
    own[own.index(0)] = 3


def unknown_coordinate(case: QueryCase) -> None:
    case.parts[0].symbols[0] = 5


def tree_of_fewer_disjuncts(case: QueryCase) -> None:
    case.parts[0].disjuncts = 1


def surplus_disjunct(case: QueryCase) -> None:
    case.parts[0].disjuncts = 3


def no_parts(case: QueryCase) -> None:
    case.parts.clear()


def same_part_twice(case: QueryCase) -> None:
    case.parts *= 2


def short_grid(case: QueryCase) -> None:
    case.parts[0].grid.pop()


def coarse_grid(case: QueryCase) -> None:
    case.parts[0].grid = [-200] * 3


def absurd_grid(case: QueryCase) -> None:
    case.parts[0].grid[1] = 201


def wider_box(case: QueryCase) -> None:
    case.query = case.query.replace(b"(assert (<= X_0 0.9))", b"(assert (<= X_0 9))")


def unbounded(case: QueryCase) -> None:
    case.query = case.query.replace(b"(assert (<= X_0 0.9))", b"")


def other_network(case: QueryCase) -> None:
    case.network = random_query_case(2).network


def fewer_outputs(case: QueryCase) -> None:
    case.network = dense_model([(np.ones((2, 2), np.float32), np.zeros(2, np.float32))])


def more_inputs(case: QueryCase) -> None:
    case.network = dense_model([(np.ones((3, 3), np.float32), np.zeros(3, np.float32))])


def vacuous_disjunct(case: QueryCase) -> None:
    """A third way to satisfy the query: anything in the box."""
    case.query = case.query.replace(b"(assert (or ", b"(assert (or (<= 0 1) ")
    case.parts[0].disjuncts = 3


def smaller_box_for_one(case: QueryCase) -> None:
    case.query = case.query.replace(b"(assert (or (and ", b"(assert (or (and (<= X_0 0.5) ")


OPEN = "is a leaf, but the disjunct '*' is open"
EVIDENCE: list[tuple[Change, str, str, str]] = [
    (truncate, "tree", "parts[0]", "the stream ends before the tree does"),
    (surplus, "tree", "parts[0] node 6", "the tree ends here, but symbols follow"),
    (early_leaf, "tree", "parts[0] node 0", OPEN),
    (other_coordinate, "tree", "parts[0] node *", OPEN),
    (split_a_leaf, "tree", "parts[0] node *", "is split, but no disjunct is open"),
    (trust_a_leaf, "tree", "parts[0] node *", "is a trusted leaf, but no disjunct is open"),
    (unknown_coordinate, "tree", "parts[0] node 0", "coordinate 4 does not exist"),
    (tree_of_fewer_disjuncts, "tree", "parts[0] node *", "is split, but no disjunct is open"),
    (surplus_disjunct, "parts", "parts[0]", "it has 3 disjuncts, but only 2 are left in the query"),
    (no_parts, "parts", "end", "the query has more than the 0 disjuncts of the parts"),
    (same_part_twice, "parts", "parts[1]", "it has 2 disjuncts, but only 0 are left in the query"),
    (short_grid, "header", "parts[0].grid", "2 grid exponents for 3 layers"),
    (coarse_grid, "tree", "parts[0] node *", OPEN),
    (absurd_grid, "header", "parts[0].grid[1]", "an integer from -200 to 200 is needed"),
    (wider_box, "tree", "parts[0] node *", OPEN),
    (unbounded, "query", "disjunct 0", "input 0 has no upper bound"),
    (other_network, "tree", "parts[0] node *", OPEN),
    (fewer_outputs, "query", "outputs", "the query has 3, the network 2"),
    (more_inputs, "query", "inputs", "the query has 2, the network 3"),
    (vacuous_disjunct, "parts", "parts[0]", "a disjunct without rows cannot be refuted"),
    (smaller_box_for_one, "parts", "parts[0]", "its disjuncts have different boxes"),
]


@pytest.mark.parametrize(("change", "rule", "step", "reason"), EVIDENCE, ids=[entry[0].__name__ for entry in EVIDENCE])
def test_forged_evidence(change: Change, rule: str, step: str, reason: str, tmp_path: Path) -> None:
    case = copy()
    change(case)
    check_words(write_query_certificate(tmp_path, case), rule, step, reason)


def absolute_value() -> bytes:
    """N(x) = |x|."""
    return dense_model([(np.float32([[1], [-1]]), np.float32([0, 0])), (np.float32([[1, 1]]), np.float32([0]))])


def test_a_missing_disjunct(tmp_path: Path) -> None:
    """Each of the first two is refuted; the third can be satisfied, and is left out."""
    query = (head(1, 1, [("0.5", "1")]) + "(assert (or (<= Y_0 0.25) (>= Y_0 2) (>= Y_0 0.75)))").encode()
    case = QueryCase(absolute_value(), query, 1, [PartCase(2, [30, 30], [0])])
    words = "parts", "end", "the query has more than the 2 disjuncts of the parts"
    check_words(write_query_certificate(tmp_path, case), *words)
    case.parts = [PartCase(1, [30, 30], [0])] * 2
    check_words(write_query_certificate(tmp_path, case), *words)
    case.parts = [PartCase(1, [30, 30], [0])] * 3
    check_words(write_query_certificate(tmp_path, case), "tree", "parts[2] node 0", "is a leaf, but the disjunct '2' is open")


def test_a_trusted_leaf_under_strict(tmp_path: Path) -> None:
    case = copy()
    case.parts[0].symbols = trust(case.parts[0].symbols, 3)
    path = write_query_certificate(tmp_path, case)
    assert all(isinstance(v, Accepted) for v in verdicts(path))
    reason = "1 of its leaves rest on the word of an LP or SMT solver alone"
    check_words(path, "solver", "parts[0]", reason, strict=True)


@pytest.mark.parametrize("strict", [False, True])
def test_trusted_leaves_that_the_header_denies(strict: bool, tmp_path: Path) -> None:
    case = copy()
    case.parts[0].symbols = trust(case.parts[0].symbols, 3)
    path = write_query_certificate(tmp_path, case, set_in("parts", 0, "trusted", to=0))
    check_words(path, "container", "parts[0]", "the stream holds 1 trusted leaves, not the announced 0", strict=strict)


def test_a_query_that_can_be_satisfied_after_all(tmp_path: Path) -> None:
    """|x| <= 1/4 was refuted on [1/2, 1]; the same tree on [-1, 1] must fail in every node that holds a solution."""
    network = absolute_value()
    narrow, wide = ((head(1, 1, [(low, "1")]) + "(assert (<= Y_0 0.25))").encode() for low in ("0.5", "-1"))
    parts = prove(network, narrow)
    assert parts is not None
    for symbols in (parts[0].symbols, [1, 0, 0], [1, 1, 0, 0, 1, 0, 0]):
        case = QueryCase(network, wide, 1, [PartCase(1, parts[0].grid, symbols)])
        check_words(write_query_certificate(tmp_path, case), "tree", "parts[0] node *", OPEN)


# What is forged in the header.


ONE_TO = "an integer from 1 to * is needed"
HEADERS = {
    "hash_network": (set_in("network", "sha256", to=HASH), "hash", "network", "net.onnx is not the file that was certified"),
    "hash_query": (set_in("query", "sha256", to=HASH), "hash", "query", "prop.vnnlib is not the file that was certified"),
    "absolute": (set_in("query", "file", to="/q"), "header", "query.file", "a path relative to the certificate is needed"),
    "unknown_key": (set_in("note", to="trust me"), "header", "header", "unknown key 'note'"),
    "domain": (set_in("domain", to={"file": "d", "sha256": HASH}), "header", "header", "unknown key 'domain'"),
    "missing_query": (drop("query"), "header", "header", "the key 'query' is missing"),
    "missing_parts": (drop("parts"), "header", "header", "the key 'parts' is missing"),
    "missing_trusted": (drop("parts", 0, "trusted"), "header", "parts[0]", "the key 'trusted' is missing"),
    "part_key": (set_in("parts", 0, "uses", to=0), "header", "parts[0]", "unknown key 'uses'"),
    "claim_key": (set_in("claim", "tolerance", to="0"), "header", "claim", "unknown key 'tolerance'"),
    "kind_agree": (set_in("claim", "kind", to="agree"), "header", "header", "unknown key 'network'"),
    "kind_sat": (set_in("claim", "kind", to="sat"), "header", "header", "unknown key 'parts'"),
    "kind": (
        set_in("claim", "kind", to="valid"),
        "header",
        "claim.kind",
        "only claims of the kinds 'agree', 'decision', 'refuted', 'unsat', 'sat' and 'family' are known",
    ),
    "disjuncts_zero": (set_in("parts", 0, "disjuncts", to=0), "header", "parts[0].disjuncts", ONE_TO),
    "disjuncts_absurd": (set_in("parts", 0, "disjuncts", to=1 << 60), "header", "parts[0].disjuncts", ONE_TO),
    "disjuncts_many": (
        set_in("parts", 0, "disjuncts", to=1 << 50),
        "parts",
        "parts[0]",
        "it has * disjuncts, but only 2 are left in the query",
    ),
    "nodes_less": (
        set_in("parts", 0, "nodes", to=5),
        "container",
        "parts[0]",
        "the stream holds more than the announced 5 symbols",
    ),
    "nodes_more": (
        set_in("parts", 0, "nodes", to=9),
        "container",
        "parts[0]",
        "the stream holds fewer than the announced 9 symbols",
    ),
    "trusted": (
        set_in("parts", 0, "trusted", to=2),
        "container",
        "parts[0]",
        "the stream holds 0 trusted leaves, not the announced 2",
    ),
    "trusted_negative": (set_in("parts", 0, "trusted", to=-1), "header", "parts[0].trusted", "an integer from 0 to * is needed"),
    "steps": (set_in("parts", 0, "steps", to=1.0), "header", "parts[0].steps", "an integer from 0 to 1000 is needed"),
    "bytes": (set_in("parts", 0, "bytes", to=1 << 20), "container", "parts[0]", "the file ends inside the stream of this tree"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_forged_headers(name: str, tmp_path: Path) -> None:
    change, *words = HEADERS[name]
    check_words(write_query_certificate(tmp_path, copy(), change), *words)


def test_bytes_behind_the_last_stream(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, copy())
    path.write_bytes(path.read_bytes() + b"\0")
    check_words(path, "container", "end", "1 bytes follow the last stream")


def test_files_that_were_changed_afterwards(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, copy())
    for name, key in (("net.onnx", "network"), ("prop.vnnlib", "query")):
        file = tmp_path / name
        data = file.read_bytes()
        file.write_bytes(data + b"\n")
        check_words(path, "hash", key, f"{name} is not the file that was certified")
        file.write_bytes(data)


# Witnesses that are none.


def witness(point: list[str]) -> QueryCase:
    """|x| >= 3/4 for x in [-7/8, 7/8]."""
    return QueryCase(absolute_value(), (head(1, 1, [("-0.875", "0.875")]) + "(assert (>= Y_0 0.75))").encode(), 1, point=point)


NO_WITNESS = ("sat", "point", "it does not make every assertion of the query true")
WITNESSES = {
    "misses": (["0.5"], NO_WITNESS),
    "misses_by_little": (["0.749999999999999999999"], NO_WITNESS),
    "outside": (["1"], NO_WITNESS),
    "outside_by_little": (["-0.875000000000000000001"], NO_WITNESS),
    "short": ([], ("header", "claim.point", "0 coordinates for 1 inputs")),
    "long": (["0.8", "0.8"], ("header", "claim.point", "2 coordinates for 1 inputs")),
    "nan": (["nan"], ("header", "claim.point[0]", "a rational number is needed")),
    "infinite": (["inf"], ("header", "claim.point[0]", "a rational number is needed")),
    "zero": (["1/0"], ("header", "claim.point[0]", "a rational number is needed")),
}


@pytest.mark.parametrize("name", WITNESSES)
def test_forged_witnesses(name: str, tmp_path: Path) -> None:
    point, words = WITNESSES[name]
    check_words(write_query_certificate(tmp_path, witness(point)), *words)


def test_a_number_is_no_text(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, witness(["0.8"]), set_in("claim", "point", to=[0.8]))
    check_words(path, "header", "claim.point[0]", "a rational number is needed")
    path = write_query_certificate(tmp_path, witness(["0.8"]), drop("claim", "point"))
    check_words(path, "header", "claim", "the key 'point' is missing")


def test_streams_behind_a_witness(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, witness(["0.8"]))
    assert all(isinstance(v, Accepted) for v in verdicts(path))
    path.write_bytes(path.read_bytes() + b"x")
    check_words(path, "container", "end", "1 bytes follow the last stream")


def test_no_flipped_byte_is_accepted_unless_it_says_the_same(tmp_path: Path) -> None:
    """Every byte in turn: what is still accepted is the same statement, from other choices of the producer."""
    path = write_query_certificate(tmp_path, copy())
    data = path.read_bytes()
    expected, refused = check(path, arithmetic="exact"), 0
    assert isinstance(expected, Accepted)
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            verdict = check(path, arithmetic="exact")
        except CheckInputError:  # the name of a file that does not exist
            assert data[:position].rfind(b'"file"') > data[:position].rfind(b'"sha256"')
            continue
        assert isinstance(verdict, Refused) or verdict == expected
        refused += isinstance(verdict, Refused)
    assert refused > 0.8 * len(data)
