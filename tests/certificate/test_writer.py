"""Certificates of real searches: the checker, written from the format's text alone, accepts them in both arithmetics."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.certificate import FileReference, certificate_bytes, interval_evidence
from secateur.checker import Accepted, check
from secateur.network import Network, read_onnx, write_onnx
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction import Facts, Phase, rewrite
from secateur.search import PhaseResult, Status, decide_phases
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
    return result


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
