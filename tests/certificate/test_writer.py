"""Certificates of real searches: the checker, written from the format's text alone, accepts them in both arithmetics."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import Goal, quantise, root, root_bounds
from secateur.certificate import FileReference, certificate_bytes, interval_evidence
from secateur.checker import Accepted, check
from secateur.network import Network, read_onnx, write_onnx
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction import Facts, Phase, rewrite
from secateur.search import PhaseResult, ProvenTree, Status, decide_phases
from secateur.search.tree import SplitTree
from secateur.specification import Domain
from tests.bounds.support import boxes, random_network
from tests.strategies import networks, skip_networks

PHASES = {Status.INACTIVE: Phase.INACTIVE, Status.ACTIVE: Phase.ACTIVE}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def certify(network: Network, domain: Domain, folder: Path, timeout: float = 20.0) -> PhaseResult:
    """Prove, rewrite and write everything that a check needs; returns what was proven."""
    write_onnx(network, folder / "original.onnx")
    network = read_onnx(folder / "original.onnx")
    result = decide_phases(network, domain, PruneOptions(timeout=timeout, jobs=2), SilentProgress())
    write(network, domain, result, folder)
    return result


def write(network: Network, domain: Domain, result: PhaseResult, folder: Path) -> None:
    """Rewrite by what was proven, and write the reduced network, the domain and the certificate."""
    phases = [[PHASES.get(n.status, Phase.UNSTABLE) for n in layer] for layer in result.neurons]
    reduced = rewrite(network, Facts(domain.lower, domain.upper, phases)).network
    write_onnx(reduced, folder / "reduced.onnx")
    domain.write_json(folder / "domain.json")
    names = {name: FileReference(name, sha256(folder / name)) for name in ("original.onnx", "reduced.onnx", "domain.json")}
    data = certificate_bytes(
        producer="secateur test",
        tolerance=Fraction(0),
        original=names["original.onnx"],
        reduced=names["reduced.onnx"],
        domain=names["domain.json"],
        input_size=network.input_size,
        evidence=result.evidence,
        reduced_evidence=interval_evidence(reduced, domain),
    )
    (folder / "certificate.secateur").write_bytes(data)


@pytest.mark.parametrize("seed", [3, 5, 7])
@pytest.mark.parametrize("arithmetic", ["fast", "exact"])
def test_trees_are_replayed_bit_for_bit(tmp_path: Path, seed: int, arithmetic: str) -> None:
    network = random_network([4, 16, 16, 12, 2], seed=seed, shift=-0.25)
    result = certify(network, Domain((Fraction(-1),) * 4, (Fraction(1, 3),) * 4), tmp_path)
    assert sum(t.nodes for t in result.evidence.trees) > 50
    verdict = check(tmp_path, strict=True, arithmetic=arithmetic)
    assert isinstance(verdict, Accepted), verdict


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(networks(), skip_networks()), st.data())
def test_random_networks_are_accepted(tmp_path_factory: pytest.TempPathFactory, network: Network, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("certificate")
    domain = Domain(*data.draw(boxes(network.input_size)))
    certify(network, domain, folder, timeout=0.5)
    for arithmetic in ("fast", "exact"):
        verdict = check(folder, strict=True, arithmetic=arithmetic)
        assert isinstance(verdict, Accepted), verdict


def test_a_tree_may_end_after_facts_that_it_did_not_use(tmp_path: Path) -> None:
    """Trees that wait for their turn keep the root bounds of their start; the certificate says which facts these rest on."""
    domain = Domain((Fraction(-1),) * 4, (Fraction(1, 3),) * 4)
    network = random_network([4, 16, 16, 12, 2], seed=5, shift=-0.25)
    result = certify(network, domain, tmp_path)
    network = read_onnx(tmp_path / "original.onnx")
    quantised = quantise(network, domain.lower, domain.upper)
    facts = {c[:2]: c[2] for c in result.evidence.interval}

    def tree(layer: int, facts: dict[tuple[int, int], int]) -> ProvenTree:
        claims = [c for t in result.evidence.trees for c in t.claims if c[0] == layer]
        start = root(quantised, root_bounds(quantised.layers, facts), len(claims))
        found = SplitTree(quantised, start, [Goal.of(c) for c in claims], 3, len(facts))
        found.advance(float("inf"))
        return found.proof()

    second, late = tree(2, facts), tree(3, facts)
    early = tree(3, facts | {c[:2]: c[2] for c in second.claims})
    assert late.tightest != early.tightest, "the case is only of interest if the facts make a difference"
    evidence = replace(result.evidence, trees=(second, late))
    write(network, domain, replace(result, evidence=evidence), tmp_path)
    verdict = check(tmp_path, strict=True)
    assert isinstance(verdict, Accepted), verdict
