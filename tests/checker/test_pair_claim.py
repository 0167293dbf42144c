"""Certificates about two networks by differences: accepted with the statement in words, by the function and by the command."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, Counts, Refused, main
from tests.checker.pair_cases import PairCase, close_pair, prove, random_pair, with_claim, write_pair_certificate
from tests.checker.support import both, dense_model


def files(case: PairCase) -> str:
    hashes = [hashlib.sha256(data).hexdigest() for data in (case.original, case.reduced, case.domain.encode())]
    plural = "" if case.inputs == 1 else "s"
    return (
        f"N = net.onnx (sha256 {hashes[0]}), N' = other.onnx (sha256 {hashes[1]}), "
        f"D = the box of {case.inputs} input{plural} in domain.json (sha256 {hashes[2]})"
    )


@pytest.mark.parametrize("seed", range(30))
def test_proofs_of_random_pairs_are_accepted_in_both_arithmetics(seed: int, tmp_path: Path) -> None:
    case = with_claim(random_pair(seed), seed)
    if prove(case, limit=12):
        for verdict in both(write_pair_certificate(tmp_path, case), strict=True):
            assert isinstance(verdict, Accepted)
            assert (verdict.counts, verdict.trusted) == (Counts(0, 0, len(case.symbols)), ())
    else:
        case.symbols = [0]
        assert not any(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))


WORDS = [
    (0, {"kind": "agree", "tolerance": "0.50"}, "for all x in D, max |N(x) - N'(x)| <= 1/2"),
    (3, {"kind": "decision", "rule": "argmax", "margin": "1/2"},
     "for all x in D, if an output of N is greater than all others by more than 1/2, the same output of N' is greater than all "
     "others"),
    (3, {"kind": "decision", "rule": "argmin", "margin": "1/2"},
     "for all x in D, if an output of N is less than all others by more than 1/2, the same output of N' is less than all others"),
    (0, {"kind": "agree", "tolerance": "1/2", "layer": [1, 1]},
     "for all x in D, max |r(x) - r'(x)| <= 1/2 for the outputs r of ReLU layer 1 of N and r' of ReLU layer 1 of N'"),
]  # fmt: skip


def small(claim: dict[str, Any]) -> PairCase:
    """N(x) = (|x|, x), and the same with a weight that is 1/4 greater."""
    last = (np.float32([[1, 1], [1, -1]]), np.float32([0, 0]))
    networks = [dense_model([(np.float32([[w], [-1]]), np.float32([0, 0])), last]) for w in (1, 1.25)]
    return PairCase(networks[0], networks[1], '{"lower": ["-1"], "upper": ["1"]}', claim, [1], "position", [2])


@pytest.mark.parametrize(("nodes", "claim", "words"), WORDS)
def test_the_statement_says_what_was_claimed(nodes: int, claim: dict[str, Any], words: str, tmp_path: Path) -> None:
    case = small(claim)
    assert prove(case)
    path, nodes = write_pair_certificate(tmp_path, case), len(case.symbols)
    for verdict, arithmetic in zip(both(path, strict=True), ("fast", "exact"), strict=True):
        assert verdict == Accepted(
            f"Verified: {words}, where {files(case)}; 0 neurons proven inactive, 0 active; "
            f"{nodes} tree nodes replayed in {arithmetic} integer arithmetic.",
            Counts(0, 0, nodes),
            (),
        )


def test_equal_networks_share_everything(tmp_path: Path) -> None:
    case = small({"kind": "agree", "tolerance": "0"})
    case.reduced = case.original
    assert prove(case)
    assert case.symbols == [0]
    (verdict, _) = both(write_pair_certificate(tmp_path, case))
    assert isinstance(verdict, Accepted)
    assert verdict.statement.startswith("Verified: for all x in D, max |N(x) - N'(x)| = 0, where N = net.onnx")


def test_margin_zero_is_not_mentioned(tmp_path: Path) -> None:
    networks = [dense_model([(np.float32([[w], [0]]), np.float32([3, 0]))]) for w in (1, 1.5)]
    claim = {"kind": "decision", "rule": "argmax", "margin": "0"}
    case = PairCase(networks[0], networks[1], '{"lower": ["-1"], "upper": ["1"]}', claim, [], "position", [])
    assert prove(case)
    (verdict, _) = both(write_pair_certificate(tmp_path, case))
    assert isinstance(verdict, Accepted)
    assert "if an output of N is greater than all others, the same output of N' is greater than" in verdict.statement


def test_facts_about_n_are_part_of_the_statement(tmp_path: Path) -> None:
    """x + 2 >= 0 and x - 2 <= 0 on the domain: claimed, they count in the statement."""
    last = (np.float32([[1, 1]]), np.float32([0]))
    networks = [dense_model([(np.float32([[1], [w]]), np.float32([2, -2])), last]) for w in (1, 0.75)]
    claim = {"kind": "agree", "tolerance": "1e-6"}
    case = PairCase(networks[0], networks[1], '{"lower": ["-1"], "upper": ["1"]}', claim, [1], "position", [0])
    case.interval = [[1, 0, "active"], [1, 1, "inactive"]]
    assert prove(case)
    for verdict in both(write_pair_certificate(tmp_path, case), strict=True):
        assert isinstance(verdict, Accepted)
        assert verdict.counts == Counts(1, 1, 1)
        assert "; 1 neurons proven inactive, 1 active; 1 tree nodes" in verdict.statement


def test_a_counterexample_is_evaluated_exactly(tmp_path: Path) -> None:
    inner = {"kind": "agree", "tolerance": "1/8"}
    case = small({"kind": "refuted", "claim": inner, "point": ["3/4"]})
    for verdict in both(write_pair_certificate(tmp_path, case), strict=True):
        assert verdict == Accepted(
            "Verified: it is false that for all x in D, max |N(x) - N'(x)| <= 1/8: it fails for output 0 at x = (3/4), "
            f"where {files(case)}; both networks were evaluated exactly.",
            Counts(0, 0, 0),
            (),
        )
    case.claim["point"] = ["1/2"]  # a difference of 1/8
    assert not any(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))


@pytest.mark.parametrize(
    ("claim", "point", "words"),
    [
        ({"kind": "agree", "tolerance": "0", "layer": [1, 1]}, "1e-3", "it fails for neuron 0 at x = (1/1000)"),
        ({"kind": "decision", "rule": "argmax", "margin": "0"}, "-1", "it fails for output 0 at x = (-1)"),
        ({"kind": "decision", "rule": "argmax", "margin": "1/2"}, "-1", "it fails for output 0 at x = (-1)"),
        ({"kind": "decision", "rule": "argmin", "margin": "1/2"}, "-1", "it fails for output 1 at x = (-1)"),
    ],
)
def test_counterexamples_of_every_kind(claim: dict[str, Any], point: str, words: str, tmp_path: Path) -> None:
    """Against N'(x) = (x, |x|): the decision changes for all x < 0, from the first output to a tie or to the second."""
    case = small({"kind": "refuted", "claim": claim, "point": [point]})
    last = (np.float32([[1, -1], [1, 1]]), np.float32([0, 0]))
    case.reduced = dense_model([(np.float32([[1.25], [-1]]), np.float32([0, 0])), last])
    for verdict in both(write_pair_certificate(tmp_path, case)):
        assert isinstance(verdict, Accepted)
        assert words in verdict.statement


def test_a_tie_in_n_prime_is_a_changed_decision(tmp_path: Path) -> None:
    claim = {"kind": "decision", "rule": "argmax", "margin": "1"}
    case = small({"kind": "refuted", "claim": claim, "point": ["-1"]})
    case.reduced = dense_model(
        [(np.float32([[1], [-1]]), np.float32([0, 0])), (np.float32([[0, 1], [0, 1]]), np.float32([0, 0]))]
    )
    assert all(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))
    claim["margin"] = "2"  # N leads by 2, not by more
    assert not any(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))


def test_a_constant_tie_in_n_prime_is_refuted_by_no_tree(tmp_path: Path) -> None:
    networks = [dense_model([(np.float32([[w], [0]]), np.float32([b, 0]))]) for w, b in ((1, 3), (0, 0))]
    claim = {"kind": "decision", "rule": "argmax", "margin": "0"}
    case = PairCase(networks[0], networks[1], '{"lower": ["-1"], "upper": ["1"]}', claim, [], "position", [], symbols=[0])
    assert not prove(case)
    case.symbols = [0]
    for verdict in both(write_pair_certificate(tmp_path, case)):
        assert verdict == Refused(
            "tree",
            "difference node 0",
            "is a leaf, but the case 'output 0 leads in N, and output 1 is not below it in N'' is open",
        )


def test_networks_without_layers(tmp_path: Path) -> None:
    networks = [dense_model([(np.float32([[w], [1]]), np.float32([0, 0.5]))]) for w in (1, 1.5)]
    claim = {"kind": "agree", "tolerance": "0.50001"}
    case = PairCase(networks[0], networks[1], '{"lower": ["-1"], "upper": ["1"]}', claim, [], "position", [])
    assert prove(case)
    assert all(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))
    claim["tolerance"] = "0.49999"
    assert not any(isinstance(verdict, Accepted) for verdict in both(write_pair_certificate(tmp_path, case)))


def test_the_command_finds_files_that_have_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = close_pair(4)
    assert prove(case, limit=100)
    folder = write_pair_certificate(tmp_path, case)
    (folder / "moved").mkdir()
    for name in ("net.onnx", "other.onnx"):
        (folder / name).rename(folder / "moved" / name)
    assert main([str(folder)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    given = ["--original", str(folder / "moved" / "net.onnx"), "--reduced", str(folder / "moved" / "other.onnx")]
    assert main([str(folder), *given, "--strict"]) == 0
    assert capsys.readouterr().out.startswith("Verified: for all x in D, max |N(x) - N'(x)| <= 22375/689303, where N = net.onnx")
    assert main([str(folder), "--original", given[3], "--reduced", given[3]]) == 1
    assert capsys.readouterr().out == "Refused: hash, original: other.onnx is not the file that was certified\n"
