"""Certificates about a family of slices (section 10 of the format): facts on the boxes of a partition, evidence for each slice.

The partition is walked in preorder. Facts hold on all boxes inside the one on which they were established, so the facts of the
boxes around a node are known, and it only has to show its own.

Nodes do not depend on each other but for facts, so processes can share them (`shares.py`): each walks over all nodes, verifies
those that it takes, and believes the facts of the others, each of which another process verifies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from secateur.checker.chain import Chain, ChainLayer, chain_form
from secateur.checker.domain import Domain
from secateur.checker.facts import Establisher, proven_phases, trusted_facts
from secateur.checker.files import referenced
from secateur.checker.lowering import Network
from secateur.checker.manifest import Manifest, Part, partition, read_manifest
from secateur.checker.onnx_model import read_model
from secateur.checker.pair_claim import difference_proof, trusted_leaves
from secateur.checker.pair_rows import compared_sizes, statement
from secateur.checker.records import Claim, Evidence, Facts, FamilyCertificate, Join, PairClaim, Simulation
from secateur.checker.refusal import Refusal, located
from secateur.checker.regions import Regions
from secateur.checker.replay import replay
from secateur.checker.rowwise import lower_rowwise
from secateur.checker.shares import Share, shared
from secateur.checker.simulation import Statement, check_agreement
from secateur.checker.subject import Subject, about_one
from secateur.checker.two_networks import TwoNetworks, read_network, require_inputs
from secateur.checker.verdict import Accepted, Counts, Progress, replayed_nodes, shown_name, stated

__all__ = ["Setting", "check_family", "implies"]

LEAST_EACH = 16  # slices that are worth a process


@dataclass(frozen=True)
class _Boxed:
    """A network that is looked at on many boxes: what does not depend on them is kept."""

    network: Network
    _kept: dict[int, ChainLayer] = field(default_factory=dict)

    def on(self, box: Domain) -> tuple[Chain, Subject]:
        """The network on a box: in chain form, and exactly."""
        return chain_form(self.network, box, kept=self._kept), about_one(self.network, box)


class _Networks:
    """The networks of the slices, each lowered when it is needed first, and dropped when no slice is left that uses it."""

    def __init__(self, manifest: Manifest, folder: Path, element_type: int) -> None:
        self._manifest, self._folder, self._element_type = manifest, folder, element_type
        self._left = Counter(node for node in manifest.nodes if isinstance(node, int))
        self._known: dict[int, _Boxed] = {}
        for number in range(len(manifest.files)):  # nothing is worth while if one of them is missing
            self._bytes(number)

    def _bytes(self, number: int) -> bytes:
        reference = self._manifest.files[number]
        return referenced("network of a slice", f"manifest files[{number}]", reference, self._folder, None)

    def take(self, number: int, claim: PairClaim, original: Network) -> _Boxed:
        """The network of a slice, of the same sizes and element type as N; it keeps the rows of a batch apart."""
        if number not in self._known:
            with located("reduced", (), ""):
                network, element_type = lower_rowwise(self._bytes(number))
                if element_type != self._element_type:
                    raise Refusal("onnx", "graph", "its element type is not that of the original network")
            require_inputs(network, "reduced", self._manifest.domain)
            compared_sizes(claim, original, network, "claim")
            self._known[number] = _Boxed(network)
        taken = self._known[number]
        self.skip(number)
        return taken

    def skip(self, number: int) -> None:
        """One slice less that needs it."""
        self._left[number] -= 1
        if not self._left[number]:
            self._known.pop(number, None)


def implies(own: PairClaim, claim: PairClaim) -> bool:
    """Whether what a slice shows implies the family's claim; both are about outputs."""
    if own.rule == claim.rule:
        return own.bound <= claim.bound
    return own.rule == "agree" and 2 * own.bound <= claim.bound


@dataclass(frozen=True)
class Setting:
    """How the caller wants certificates to be checked."""

    strict: bool
    arithmetic: str
    progress: Progress
    jobs: int = 1


class _Family:
    """The walk over the partition, and what it has found so far."""

    def __init__(self, certificate: FamilyCertificate, original: Network, networks: _Networks, setting: Setting) -> None:
        self._claim, self._original, self._networks, self._setting = certificate.claim, _Boxed(original), networks, setting
        self._regions = Regions(certificate)
        self._path: list[tuple[Claim, ...]] = []  # at depth d the facts that hold on the present node's ancestor of that depth
        self._name = ""
        self.counts = Counts(0, 0, 0)
        self.trusted: list[str] = []

    def run(self, manifest: Manifest, share: Share) -> None:
        """Visits all nodes; refusals name the node, and the file of a leaf."""
        for part in partition(manifest):
            self._name = f"node {part.number}" if part.file is None else f"node {part.number} ({manifest.files[part.file].file})"
            own = share.takes(part.number)
            with located(self._name, ("header",), "regions"):
                self._visit(part, own)
            if own and part.file is not None:
                share.done()
        self._regions.finish()

    def _visit(self, part: Part, own: bool) -> None:
        """A node: its facts, and its evidence if it is a leaf; both are believed where another process verifies them."""
        region = self._regions.next(part.file is not None)
        del self._path[part.depth :]
        known = self._path[-1] if self._path else ()
        if region.facts is not None and not own:
            known = (*known, *region.facts.claims())
        elif region.facts is not None:
            known = tuple(self._established("original", self._original.on(part.box), region.facts, known).established)
            inactive, active = proven_phases(region.facts)
            self.counts = replace(self.counts, inactive=self.counts.inactive + inactive, active=self.counts.active + active)
        self._path.append(known)
        if part.file is not None and not own:
            self._networks.skip(part.file)
        elif region.leaf is not None and part.file is not None:
            if not implies(region.leaf.claim, self._claim):
                raise Refusal("family", "claim", "what it claims does not imply the claim of the family")
            reduced = self._networks.take(part.file, self._claim, self._original.network)
            evidence = region.leaf.evidence
            if isinstance(evidence, Simulation):
                self._simulated(region.leaf.claim, evidence, reduced, part.box, known)
            else:
                self._joined(region.leaf.claim, evidence, reduced, part.box, known)

    def _established(self, side: str, own: tuple[Chain, Subject], facts: Facts, known: Sequence[Claim]) -> Establisher:
        """The facts of a network on a box, after those that are known there."""
        self._trust(trusted_facts({side: facts}, self._setting.strict))
        establisher = Establisher(side, *own, facts, self._setting.arithmetic, self._progress, known)
        establisher.run()
        self._replayed(sum(tree.nodes for tree in facts.trees), facts.refuted())
        return establisher

    def _simulated(self, claim: PairClaim, own: Simulation, reduced: _Boxed, box: Domain, known: Sequence[Claim]) -> None:
        """Section 7 on the slice."""
        root = self._established("reduced", reduced.on(box), own.facts, ()).root
        sides = frozenset(known), frozenset(own.facts.claims())
        match = {(pair[0], pair[1]): (pair[2], pair[3]) for pair in own.match}
        check_agreement(Statement(self._original.network, reduced.network, box, *sides, claim.bound, match), root)

    def _joined(self, claim: PairClaim, own: Join, reduced: _Boxed, box: Domain, known: Sequence[Claim]) -> None:
        """Section 9 on the slice."""
        self._trust(trusted_leaves(own.tree, self._setting.strict))
        evidence = Evidence(Facts((), tuple(known), (), ()), own.plan, own.tree)
        proof = difference_proof(claim, evidence, TwoNetworks(self._original.network, reduced.network, box, ""))
        replay(proof, self._setting.arithmetic, self._progress)
        self._replayed(own.tree.nodes - own.tree.trusted, own.tree.refuted.leaves if own.tree.refuted else 0)

    def _trust(self, words: Sequence[str]) -> None:
        self.trusted += [f"{self._name}: {own}" for own in words]

    def _replayed(self, nodes: int, refuted: int) -> None:
        self.counts = replace(self.counts, nodes=self.counts.nodes + nodes, refuted=self.counts.refuted + refuted)

    def _progress(self, text: str, _: float | None) -> None:
        self._setting.progress(f"{self._name} {text}", None)


def _words(certificate: FamilyCertificate, manifest: Manifest, name: str, counts: Counts, arithmetic: str) -> str:
    """The statement, what it is about, and what it was made from."""
    slices, files, inputs = manifest.slices, len(manifest.files), len(manifest.domain.lower)
    claim = statement(certificate.claim).replace("N'", "N'_S").removeprefix("for all x in D, ")
    return (
        f"for all x in D and every slice S that contains x, {claim}, "
        f"where N = {name} (sha256 {certificate.original.sha256}), D = the box of {inputs} input{'s' * (inputs != 1)} in "
        f"{shown_name(certificate.manifest.file)} (sha256 {certificate.manifest.sha256}), which says what the slices are "
        f"and their networks N'_S: {slices:,} slice{'s' * (slices != 1)} in {files:,} network{'s' * (files != 1)}; "
        f"on boxes of the partition {counts.inactive:,} times a neuron proven inactive, {counts.active:,} times one active; "
        f"{replayed_nodes(counts, arithmetic)}"
    )


def _told(text: str, share: float | None) -> None:
    """What a process that shares in a check says of its own trees: nothing, others speak at the same time."""


@dataclass(frozen=True)
class _Task:
    """All that a process needs to verify its share. network : the bytes of N."""

    certificate: FamilyCertificate
    manifest: Manifest
    network: bytes
    folder: Path
    setting: Setting

    def __call__(self, share: Share) -> tuple[Counts, tuple[str, ...]]:
        """Verifies what the share takes: how much that was, and what of it rests on a solver's word."""
        original = read_network(self.network, "original", self.manifest.domain)
        networks = _Networks(self.manifest, self.folder, read_model(self.network).input.element_type)
        family = _Family(self.certificate, original, networks, self.setting)
        family.run(self.manifest, share)
        return family.counts, tuple(family.trusted)

    def verified(self) -> tuple[Counts, tuple[str, ...]]:
        """The same for all nodes, with as many processes as the setting allows and the slices are worth."""
        slices, progress = self.manifest.slices, self.setting.progress
        jobs = min(self.setting.jobs, slices // LEAST_EACH)
        if jobs < 2:
            return self(Share(lambda done: progress(f"{done:,} of {slices:,} slices", done / slices)))
        silent = replace(self, setting=replace(self.setting, progress=_told))
        parts = shared(silent, jobs, lambda done: progress(f"{done:,} of {slices:,} slices", done / slices))
        sums = (sum(getattr(counts, f.name) for counts, _ in parts) for f in fields(Counts))
        return Counts(*sums), tuple(word for _, words in parts for word in words)


def check_family(certificate: FamilyCertificate, folder: Path, original: str | Path | None, setting: Setting) -> Accepted:
    """Checks a certificate about a family; `folder` is where it lies. Raises Refusal, and CheckInputError for missing files."""
    data = referenced("manifest", "manifest", certificate.manifest, folder, None)
    manifest = read_manifest(data)
    network = referenced("original network", "original", certificate.original, folder, original)
    task = _Task(certificate, manifest, network, (folder / certificate.manifest.file).parent, setting)
    counts, trusted = task.verified()
    name = shown_name(original or certificate.original.file)
    words = _words(certificate, manifest, name, counts, setting.arithmetic)
    return Accepted(stated(words, trusted), counts, trusted)
