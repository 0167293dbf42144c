"""Certificates about two networks by differences: what the engine proves, the checker accepts, in both arithmetics."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from secateur.bounds import quantise
from secateur.certificate import ComparedFiles, FileReference, comparison_bytes, pair_table
from secateur.checker import Accepted, check
from secateur.network import Network, Replay, parse_onnx, to_model_bytes
from secateur.network.difference import Pairing, paired_by_position
from secateur.options import VerifyOptions
from secateur.progress import SilentProgress
from secateur.residual import ResidualSolver
from secateur.search import Holds, PhaseEvidence, Verdict, decide
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison, Decision, comparison_query
from tests.differences import network_pairs, perturbed
from tests.reduction.support import chain

KINDS = ("agree", "argmax", "argmin")


@dataclass(frozen=True)
class Pair:
    """Two networks with a pairing, and a box."""

    networks: tuple[Network, Network]
    pairing: Pairing
    domain: Domain

    def claim(self, kind: str, factor: float, seed: int = 0) -> Comparison:
        """A claim with a bound of `factor` times the least that thousands of points keep, and a little more."""
        low, high = (np.array([float(x) for x in side]) for side in (self.domain.lower, self.domain.upper))
        points = np.random.default_rng(seed).uniform(low, high, (4000, len(low)))
        y, other = (network.forward(points) for network in self.networks)
        if kind == "agree":
            return Agreement(_above(float(np.abs(y - other).max()) * factor))
        change = y - other  # of a lead: the difference of two of these
        return Decision(kind, _above(float(np.ptp(change, axis=1).max()) * factor))

    def decide(self, claim: Comparison, timeout: float) -> Verdict:
        types = [network.interface.element_type for network in self.networks]
        return decide(
            comparison_query(claim, self.domain, self.networks[0].output_size, types),
            self.networks,
            lambda: [Replay(to_model_bytes(network)) for network in self.networks],
            ResidualSolver("none"),
            VerifyOptions(timeout=timeout, jobs=1, solver="none", certify=True),
            SilentProgress(),
            pairing=self.pairing,
        )

    def write(self, folder: Path, claim: Comparison, verdict: Holds) -> Path:
        """The certificate of a proof, with the files that it names."""
        first, second = self.networks
        contents = {
            "net.onnx": to_model_bytes(first),
            "other.onnx": to_model_bytes(second),
            "domain.json": self.domain.to_json().encode(),
        }
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        (proof,) = verdict.proofs
        path = folder / "certificate.secateur"
        path.write_bytes(
            comparison_bytes(
                producer="secateur",
                claim=claim,
                files=ComparedFiles(*(FileReference(n, hashlib.sha256(d).hexdigest()) for n, d in contents.items())),
                input_size=first.input_size,
                evidence=PhaseEvidence(quantise(first, self.domain.lower, self.domain.upper).grids),
                levels=self.pairing.levels,
                pairs=pair_table(self.pairing, first, second),
                proof=proof,
            )
        )
        return path


def _above(value: float) -> Fraction:
    return Fraction(value + 1e-3).limit_denominator(10**6)


def require_accepted(pair: Pair, claim: Comparison, verdict: Holds) -> None:
    """Both arithmetics accept the certificate."""
    with tempfile.TemporaryDirectory() as name:
        path = pair.write(Path(name), claim, verdict)
        outcomes = [check(path, strict=True, arithmetic="fast"), check(path, strict=True, arithmetic="exact")]
    for outcome in outcomes:
        assert isinstance(outcome, Accepted), outcome
        assert outcome.counts.nodes == len(verdict.proofs[0].symbols)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    first, second, pairing = draw(network_pairs())
    assume(first.output_size == second.output_size)
    networks = tuple(parse_onnx(to_model_bytes(network), "net.onnx") for network in (first, second))
    assume([n.sizes for n in networks] == [first.sizes, second.sizes])  # a file keeps no layers that nothing reads
    ends = draw(st.lists(st.tuples(*[st.integers(-8, 8)] * 2), min_size=first.input_size, max_size=first.input_size))
    lower, upper = zip(*((Fraction(min(own), 3), Fraction(max(own), 3)) for own in ends), strict=True)
    return Pair((networks[0], networks[1]), pairing, Domain(lower, upper))


@given(pairs(), st.sampled_from(KINDS), st.sampled_from([1.02, 1.5, 4.0]))
@settings(deadline=None, max_examples=60)
def test_proofs_about_random_pairs_are_accepted_in_both_arithmetics(pair: Pair, kind: str, factor: float) -> None:
    assume(kind == "agree" or pair.networks[0].output_size > 1)
    claim = pair.claim(kind, factor)
    verdict = pair.decide(claim, timeout=3)
    event(type(verdict).__name__)
    if isinstance(verdict, Holds):
        event("one node" if len(verdict.proofs[0].symbols) == 1 else "a tree")
        require_accepted(pair, claim, verdict)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_trees_about_close_networks_are_accepted_in_both_arithmetics(seed: int, kind: str) -> None:
    rng, sizes = np.random.default_rng(seed), (3, 9, 8, 7, 3)
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    layers = [(np.round(rng.normal(size=s) * 8) / 8, np.round(rng.normal(size=s[0]) * 4) / 8) for s in shapes]
    first = chain(*((m.tolist(), b.tolist()) for m, b in layers))
    networks = (first, perturbed(first, seed, 0.02))
    box = Domain((Fraction(-1),) * 3, (Fraction(1),) * 3)
    pair = Pair(networks, paired_by_position(*networks), box)
    claim = pair.claim(kind, 1.3)
    verdict = pair.decide(claim, timeout=60)
    assert isinstance(verdict, Holds), verdict
    assert len(verdict.proofs[0].symbols) > 1
    require_accepted(pair, claim, verdict)
