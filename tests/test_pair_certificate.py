"""Certificates of verdicts on two networks: what the engine writes, the checker accepts, in both arithmetics and strictly."""

from __future__ import annotations

import gzip
import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

import secateur
from secateur.checker import Accepted, Refused, check
from secateur.errors import InputError
from secateur.network import Network, to_model_bytes
from secateur.search import Holds, Violated
from tests.bounds.support import random_network
from tests.search.queries import layered
from tests.search.test_pairing import shifted

F = Fraction
ARITHMETICS: tuple[Literal["fast", "exact"], ...] = ("fast", "exact")
SIDE = 3


class Files:
    """Two networks and a domain in a folder, and the certificate that a run writes there."""

    def __init__(self, folder: Path, first: Network, second: Network) -> None:
        self.folder, self.certificate = folder, folder / "proof.secateur"
        self.paths = (folder / "a.onnx", folder / "b.onnx")
        for path, network in zip(self.paths, (first, second), strict=True):
            path.write_bytes(to_model_bytes(network))
        self.domain = folder / "box.json"
        self.domain.write_text(json.dumps({"lower": ["-1"] * SIDE, "upper": ["1/3"] * SIDE}))

    def ask(self, domain: Any = None, **claim: Any) -> Any:
        with secateur.Engine(jobs=1, solver="none") as engine:
            box = self.domain if domain is None else domain
            return engine.equivalent(*self.paths, box, certificate=self.certificate, timeout=60, **claim)

    def header(self) -> dict[str, Any]:
        data = self.certificate.read_bytes()
        (length,) = struct.unpack("<Q", data[10:18])
        header: dict[str, Any] = json.loads(data[18 : 18 + length])
        return header

    def require_accepted(self, words: str) -> None:
        for arithmetic in ARITHMETICS:
            outcome = check(self.certificate, strict=True, arithmetic=arithmetic)
            assert isinstance(outcome, Accepted), outcome
            assert words in outcome.statement


def near(folder: Path, seed: int) -> Files:
    first = random_network([SIDE, 8, 8, 3], seed)
    return Files(folder, first, shifted(first, 2.0**-11))


@pytest.mark.parametrize("seed", range(4))
def test_agreement_of_networks_that_differ_little(tmp_path: Path, seed: int) -> None:
    files = near(tmp_path, seed)
    assert isinstance(files.ask(epsilon="0.02"), Holds)
    header = files.header()
    assert (header["pairs"], header["levels"]) == ("position", [1, 2])
    assert header["domain"]["file"] == "box.json"
    files.require_accepted("max |N(x) - N'(x)| <= 1/50")


@pytest.mark.parametrize("rule", ["argmax", "argmin"])
def test_decisions(tmp_path: Path, rule: str) -> None:
    files = near(tmp_path, 2)
    assert isinstance(files.ask(decision=rule, margin="1/4"), Holds)
    assert files.header()["claim"] == {"kind": "decision", "rule": rule, "margin": "1/4"}
    files.require_accepted("1/4")


def test_networks_of_different_shape_have_no_pairs(tmp_path: Path) -> None:
    files = Files(tmp_path, random_network([SIDE, 6, 5, 2], 1), random_network([SIDE, 5, 4, 3, 2], 2))
    assert isinstance(files.ask(epsilon=40), Holds)
    header = files.header()
    assert (header["pairs"], header["levels"], header["shifts"]) == ([], [1, 2, 3], [0, 0, 0])
    files.require_accepted("max |N(x) - N'(x)| <= 40")


def test_a_network_and_itself(tmp_path: Path) -> None:
    network = random_network([SIDE, 6, 5, 2], 1)
    files = Files(tmp_path, network, network)
    assert isinstance(files.ask(epsilon=0), Holds)
    files.require_accepted("max |N(x) - N'(x)| = 0")


def test_a_network_without_relus(tmp_path: Path) -> None:
    first = layered(([[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]], [0.0, 0.0]))
    files = Files(tmp_path, first, random_network([SIDE, 4, 2], 1))
    assert isinstance(files.ask(epsilon=40), Holds)
    files.require_accepted("<= 40")


@pytest.mark.parametrize("claim", [{"epsilon": "1/10000"}, {"decision": "argmax"}])
def test_a_violation_is_certified_by_its_point(tmp_path: Path, claim: dict[str, Any]) -> None:
    first = random_network([SIDE, 8, 8, 3], 1)
    files = Files(tmp_path, first, random_network([SIDE, 8, 8, 3], 2))
    verdict = files.ask(**claim)
    assert isinstance(verdict, Violated)
    assert files.header()["claim"]["point"] == [str(x) for x in verdict.witness.exact_inputs[:SIDE]]
    files.require_accepted("it is false that")


def test_a_domain_that_is_no_json_file_is_written_beside_the_certificate(tmp_path: Path) -> None:
    files = near(tmp_path, 1)
    box = secateur.Box(["-1"] * SIDE, ["1/3"] * SIDE)
    assert isinstance(files.ask(box, epsilon="0.02"), Holds)
    assert files.header()["domain"]["file"] == "proof.domain.json"
    assert secateur.read_domain(tmp_path / "proof.domain.json") == box
    files.require_accepted("<= 1/50")
    (tmp_path / "proof.domain.json").write_text(json.dumps({"lower": ["-1"] * SIDE, "upper": ["1/2"] * SIDE}))
    assert isinstance(check(files.certificate), Refused)


def test_a_certificate_does_not_hold_for_other_networks(tmp_path: Path) -> None:
    files = near(tmp_path, 1)
    files.ask(epsilon="0.02")
    files.paths[1].write_bytes(to_model_bytes(random_network([SIDE, 8, 8, 3], 9)))
    outcome = check(files.certificate)
    assert isinstance(outcome, Refused)
    assert outcome.rule == "hash"


def test_nothing_is_written_without_a_verdict(tmp_path: Path) -> None:
    first, second = (layered(([[slope] * SIDE], [0.0]), ([[1.0]], [0.0])) for slope in (1.0, 0.5))
    files = Files(tmp_path, first, second)
    with secateur.Engine(jobs=1, solver="none") as engine:  # the largest difference, 1/2, is epsilon
        verdict = engine.equivalent(*files.paths, files.domain, epsilon="1/2", certificate=files.certificate, timeout=2)
    assert files.certificate.exists() == isinstance(verdict, Holds)
    assert not isinstance(verdict, Violated)


def test_more_cases_than_one_tree_holds_are_refused_at_once(tmp_path: Path) -> None:
    first = layered(([[1.0] * SIDE], [0.0]), ([[1.0]] * 17, [0.0] * 17))
    files = Files(tmp_path, first, first)
    with pytest.raises(InputError, match="the claim has 272 cases, a certificate about two networks holds at most 256"):
        files.ask(decision="argmax")
    assert not files.certificate.exists()


def test_compressed_networks_are_refused_at_once(tmp_path: Path) -> None:
    files = near(tmp_path, 1)
    files.paths[1].write_bytes(gzip.compress(files.paths[1].read_bytes()))
    with pytest.raises(InputError, match="cannot speak about a compressed file; decompress it"):
        files.ask(epsilon=1)


def test_files_that_are_read_are_not_overwritten(tmp_path: Path) -> None:
    files = near(tmp_path, 1)
    text = "".join(f"(declare-const X_{i} Real)" for i in range(SIDE)) + "(declare-const Y_0 Real)"
    text += "".join(f"(assert (and (>= X_{i} -1) (<= X_{i} 1)))" for i in range(SIDE)) + "(assert (<= Y_0 0))"
    own = tmp_path / "proof.domain.json"  # a VNN-LIB file of that name
    own.write_text(text)
    with pytest.raises(InputError, match=r"would overwrite .*proof\.domain\.json"):
        files.ask(own, epsilon=1)
    assert own.read_text() == text


def test_a_tolerance_that_is_met_exactly(tmp_path: Path) -> None:
    """|x| + |y| and |x + y| differ by 2 min(|x|, |y|) at most, by 2/3 on an edge of the box: a tie, which multipliers settle."""
    first = layered(
        ([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]], [0.0] * 4), ([[1.0, 1.0, 1.0, 1.0]], [0.0])
    )
    second = layered(([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], [0.0] * 2), ([[1.0, 1.0]], [0.0]))
    files = Files(tmp_path, first, second)
    assert isinstance(files.ask(epsilon="2/3"), Holds)
    files.require_accepted("refuted by exact multipliers")
    assert isinstance(files.ask(epsilon="665/1000"), Violated)
