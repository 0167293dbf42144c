"""Certificates about queries: accepted with the statement in words, by the function and by the command."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Counts, Refused, check, main
from secateur.checker.container import symbols
from secateur.checker.files import unpacked
from secateur.checker.records import Part
from secateur.checker.refusal import Refusal
from tests.checker.query_cases import (
    PartCase,
    QueryCase,
    head,
    packed,
    prove,
    random_query_case,
    row_text,
    trust,
    write_query_certificate,
)
from tests.checker.support import both, dense_model, random_case, write_certificate


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("seed", range(20))
def test_proofs_of_random_queries_are_accepted_in_both_arithmetics(seed: int, tmp_path: Path) -> None:
    case = random_query_case(seed, steps=seed % 4)
    nodes = len(case.parts[0].symbols)
    path = write_query_certificate(tmp_path, case)
    for verdict, arithmetic in zip(both(path, strict=True), ("fast", "exact"), strict=True):
        assert isinstance(verdict, Accepted)
        assert (verdict.counts, verdict.trusted) == (Counts(0, 0, nodes), ())
        plural = "" if nodes == 1 else "s"
        assert verdict.statement == (
            f"Verified: no x satisfies the query prop.vnnlib (sha256 {hash_of(case.query)}) on N = net.onnx "
            f"(sha256 {hash_of(case.network)}); {nodes} tree node{plural} replayed in {arithmetic} integer arithmetic."
        )


def absolute_value() -> bytes:
    """N(x) = |x|."""
    return dense_model([(np.float32([[1], [-1]]), np.float32([0, 0])), (np.float32([[1, 1]]), np.float32([0]))])


def query(body: str, box: tuple[str, str] = ("-1", "1")) -> bytes:
    return (head(1, 1, [box]) + body).encode()


def test_disjuncts_on_different_boxes_are_parts_of_their_own(tmp_path: Path) -> None:
    text = query("(assert (or (and (>= X_0 0.5) (<= Y_0 0.4)) (and (<= X_0 -0.5) (or (<= Y_0 0.45) (> Y_0 1.5)))))")
    parts = prove(absolute_value(), text)
    assert parts is not None
    assert [part.disjuncts for part in parts] == [1, 2]
    for verdict in both(write_query_certificate(tmp_path, QueryCase(absolute_value(), text, 1, parts))):
        assert isinstance(verdict, Accepted)


def test_a_query_without_disjuncts_needs_no_parts(tmp_path: Path) -> None:
    text = query("(assert (>= X_0 0.5))(assert (<= X_0 0.25))(assert (<= Y_0 9))")
    (verdict, _) = both(write_query_certificate(tmp_path, QueryCase(absolute_value(), text, 1)), strict=True)
    assert isinstance(verdict, Accepted)
    assert verdict.counts.nodes == 0


def test_a_network_without_layers(tmp_path: Path) -> None:
    network = dense_model([(np.float32([[2]]), np.float32([0.25]))])
    text = query("(assert (<= Y_0 (- (* 2 X_0) 0.001)))")
    parts = prove(network, text.replace(b"(- (* 2 X_0) 0.001)", b"-1.76"))
    assert parts is not None
    case = QueryCase(network, text.replace(b"(- (* 2 X_0) 0.001)", b"-1.76"), 1, parts)
    assert all(isinstance(verdict, Accepted) for verdict in both(write_query_certificate(tmp_path, case)))
    case = QueryCase(network, text, 1, [PartCase(1, [30], [0])])  # a row that also reads the input
    assert all(isinstance(verdict, Accepted) for verdict in both(write_query_certificate(tmp_path, case)))


def trusting_case() -> QueryCase:
    case = random_query_case(8)
    (part,) = case.parts
    part.symbols = trust(part.symbols, 3)
    return case


def test_trusted_leaves_are_named_and_refused_when_strict(tmp_path: Path) -> None:
    case = trusting_case()
    path, nodes = write_query_certificate(tmp_path, case), len(case.parts[0].symbols)
    words = f"1 of the {nodes} nodes of part 0, by an LP or SMT solver"
    for verdict in both(path):
        assert isinstance(verdict, Accepted)
        assert verdict.trusted == (words,)
        assert verdict.counts.nodes == nodes - 1
        assert verdict.statement.startswith("Verified, given the trusted facts named below: no x satisfies the query prop.vnnlib")
        assert verdict.statement.endswith(f" integer arithmetic. Trusted, not verified: {words}.")
    refused = Refused("solver", "parts[0]", "1 of its leaves rest on the word of an LP or SMT solver alone")
    assert both(path, strict=True) == [refused] * 2


def test_a_witness_is_evaluated_exactly(tmp_path: Path) -> None:
    text = query("(assert (>= Y_0 0.75))(assert (<= X_0 -0.75))")
    for point, accepted in (("-3/4", True), ("-0.75", True), ("-1", True), ("-749999999999999999/1000000000000000000", False)):
        verdict = check(write_query_certificate(tmp_path, QueryCase(absolute_value(), text, 1, point=[point])))
        assert isinstance(verdict, Accepted) is accepted
    verdict = check(write_query_certificate(tmp_path, QueryCase(absolute_value(), text, 1, point=["-7/8"])), strict=True)
    assert verdict == Accepted(
        f"Verified: x = (-7/8) satisfies the query prop.vnnlib (sha256 {hash_of(text)}) on N = net.onnx "
        f"(sha256 {hash_of(absolute_value())}); the network was evaluated exactly.",
        Counts(0, 0, 0),
        (),
    )


def test_a_long_witness_is_not_printed_in_full(tmp_path: Path) -> None:
    network = dense_model([(np.ones((1, 20), np.float32), np.float32([0]))])
    text = (head(20, 1, [("0", "1")] * 20) + "(assert (>= Y_0 20))").encode()
    verdict = check(write_query_certificate(tmp_path, QueryCase(network, text, 20, point=["1"] * 20)))
    assert isinstance(verdict, Accepted)
    assert "x = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ...) satisfies" in verdict.statement


@pytest.mark.parametrize(("inputs", "width"), [(253, 1), (254, 2)])
def test_many_inputs_take_two_bytes_a_symbol(inputs: int, width: int, tmp_path: Path) -> None:
    network = dense_model([(np.ones((1, inputs), np.float32), np.float32([0]))])
    row = row_text(["0"] * inputs, ["1"], "-0.125", strict=False).replace("(* 0 X_", "(* 0.0 X_")
    text = (head(inputs, 1, [("0", "1")] * inputs) + f"(assert {row})").encode()
    case = QueryCase(network, text, inputs, [PartCase(1, [20], [0])])
    assert all(isinstance(verdict, Accepted) for verdict in both(write_query_certificate(tmp_path, case)))
    stream = packed([inputs, 0, inputs + 1], inputs)
    assert list(symbols(Part(1, (), 0, 3, 1, stream), inputs + 1, "part")) == [inputs, 0, inputs + 1]
    assert len(packed([inputs + 1] * 1000, inputs)) < 1000
    with pytest.raises(Refusal):
        symbols(Part(1, (), 0, 3 * width + 1, 1, stream), inputs + 1, "part")


def test_compressed_files_are_hashed_as_they_are(tmp_path: Path) -> None:
    case = random_query_case(4)
    case.network, case.network_file = gzip.compress(case.network), "net.onnx.gz"
    case.query, case.query_file = gzip.compress(case.query), "prop.vnnlib.gz"
    verdict = check(write_query_certificate(tmp_path, case))
    assert isinstance(verdict, Accepted)
    assert (
        f"prop.vnnlib.gz (sha256 {hash_of(case.query)}) on N = net.onnx.gz (sha256 {hash_of(case.network)})" in verdict.statement
    )


def test_gzip_files_are_unpacked_to_the_end_and_no_further() -> None:
    data = gzip.compress(b"abc") + gzip.compress(b"def")
    assert unpacked(data, "network") == b"abcdef"
    assert unpacked(b"plain", "network") == b"plain"
    for bad, reason in (
        (data[:-3], "the file ends too early"),
        (data + b"more", "bytes follow the compressed data"),
        (data[:4] + b"\xff" * 30, "the file is damaged: Error -3"),
        (gzip.compress(bytes(10_000_000)), "it unpacks to more than 1000 bytes"),
    ):
        with pytest.raises(Refusal) as caught:
            unpacked(bad, "network", most=1000)
        assert caught.value.reason.startswith(reason)


def test_files_given_by_hand_must_be_the_certified_ones(tmp_path: Path) -> None:
    case = random_query_case(4)
    path = write_query_certificate(tmp_path, case)
    moved = [tmp_path / "moved.onnx", tmp_path / "moved.vnnlib"]
    (tmp_path / "net.onnx").rename(moved[0])
    (tmp_path / "prop.vnnlib").rename(moved[1])
    verdict = check(path, original=moved[0], query=moved[1])
    assert isinstance(verdict, Accepted)
    assert "the query moved.vnnlib (sha256" in verdict.statement
    assert "on N = moved.onnx (sha256" in verdict.statement
    moved[1].write_bytes(case.query + b"\n")
    expected = Refused("hash", "query", "moved.vnnlib is not the file that was certified")
    assert check(path, original=moved[0], query=moved[1]) == expected
    with pytest.raises(CheckInputError, match="the query cannot be read: No such file"):
        check(path, original=moved[0])


def test_files_that_a_claim_is_not_about_are_bad_input(tmp_path: Path) -> None:
    path = write_query_certificate(tmp_path, random_query_case(4))
    with pytest.raises(CheckInputError, match="no reduced network can be given"):
        check(path, reduced=tmp_path / "net.onnx")
    with pytest.raises(CheckInputError, match="no query can be given"):
        check(write_certificate(tmp_path, random_case(5)), query=tmp_path / "prop.vnnlib")


def test_the_command_tells_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_query_certificate(tmp_path, trusting_case()))
    assert main([path, "--query", str(tmp_path / "prop.vnnlib"), "--original", str(tmp_path / "net.onnx")]) == 0
    assert capsys.readouterr().out.startswith("Verified, given the trusted facts named below: no x satisfies")
    assert main([path, "--strict"]) == 1
    assert capsys.readouterr().out.startswith("Refused: solver, parts[0]: 1 of its leaves")
    assert main([path, "--query", str(tmp_path / "nowhere.vnnlib")]) == 2
    assert capsys.readouterr().err.startswith("secateur: error: ")


def test_a_tree_beyond_the_fast_arithmetic_is_checked_exactly(tmp_path: Path) -> None:
    """Thirty-three layers and one of rows: N(x) = max(0, x) + 1/4."""
    keep = (np.float32([[1]]), np.float32([0]))
    network = dense_model([*[keep] * 33, (np.float32([[1]]), np.float32([0.25]))])
    case = QueryCase(network, query("(assert (<= Y_0 0.2))"), 1, [PartCase(1, [30] * 34, [0])])
    said: list[str] = []
    verdict = check(write_query_certificate(tmp_path, case), progress=lambda text, _: said.append(text))
    assert isinstance(verdict, Accepted)
    assert "parts[0]: out of the range of the fast arithmetic; checking it exactly" in said
