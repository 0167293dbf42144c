"""What a sliced network leaves behind: its files, the certificate over all of them, and the summary.

The keys of the summary are documented in `secateur.report.family`, which turns it into a page.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from secateur.certificate import FileReference, Leaf, WrittenFacts, by_simulation, family_bytes, manifest_bytes
from secateur.certificate.family import NO_FACTS
from secateur.family import CERTIFICATE, MANIFEST, Family
from secateur.files import path_from
from secateur.network import Network, Replay
from secateur.options import SliceOptions
from secateur.reduction.measure import Agreement as FileAgreement
from secateur.reduction.measure import Latencies, agreement_of, random_points, take_turns
from secateur.reduction.model_file import ModelFile
from secateur.reduction.size import network_size
from secateur.reduction.slicing.partition import Region
from secateur.reduction.slicing.run import Sliced
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison
from secateur.specification.numerals import format_rational
from secateur.version import version

__all__ = ["CERTIFICATE", "FamilyFiles", "FamilyMeasurement", "collect", "measure_family", "summarise_family"]


POINTS, SECONDS, CHUNK = 50_000, 20.0, 2_000
BATCHES = (1, 64, 4096)


@dataclass(frozen=True)
class SliceLine:
    """A slice in the summary. removed, differences : as in `SliceStatistics`. made : whether it was begun at all."""

    file: int
    parameters: int
    neurons: int
    undecided: int
    proven: int
    removed: Mapping[str, int]
    differences: int
    depth: int
    made: bool


@dataclass(frozen=True, eq=False)
class FamilyFiles:
    """The manifest, the networks by name, the regions as the certificate holds them, and a line for each slice (preorder).

    claim : of every slice.
    """

    claim: Comparison

    manifest: bytes
    networks: dict[str, bytes]
    regions: tuple[WrittenFacts | Leaf, ...]
    lines: tuple[SliceLine, ...]
    coordinates: tuple[int | None, ...]
    nodes: int

    def family(self) -> Family:
        """The family at work, before it lies anywhere."""
        return Family(self.manifest, self.networks.__getitem__, "the family")

    def certificate(self, original: FileReference) -> bytes:
        """`family.secateur`."""
        return family_bytes(
            producer=f"secateur {version()}",
            claim=self.claim,
            original=original,
            manifest=FileReference(MANIFEST, hashlib.sha256(self.manifest).hexdigest()),
            regions=self.regions,
        )


def collect(sliced: Sliced, model: ModelFile, domain: Domain, claim: Comparison) -> FamilyFiles:
    """Put together what the ledger holds; slices that are the same file are stored once."""
    files: dict[str, int] = {}
    networks: dict[str, bytes] = {}
    nodes: list[tuple[int, Fraction] | int] = []
    regions: list[WrittenFacts | Leaf] = []
    lines: list[SliceLine] = []
    for region in sliced.partition.preorder():
        if region.coordinate is not None and region.children:
            nodes.append((region.coordinate, region.cut))
            regions.append(region.facts)
            continue
        leaf, data = _slice(sliced, region, model)
        sha256 = hashlib.sha256(data).hexdigest()
        number = files.setdefault(sha256, len(files))
        networks.setdefault(_file(number), data)
        nodes.append(number)
        regions.append(leaf)
        lines.append(_line(number, sliced, region, model.network))
    names = [FileReference(_file(number), sha256) for sha256, number in files.items()]
    manifest = manifest_bytes(producer=f"secateur {version()}", domain=domain, files=names, nodes=nodes)
    coordinates = tuple(None if isinstance(node, int) else node[0] for node in nodes)
    return FamilyFiles(claim, manifest, networks, tuple(regions), tuple(lines), coordinates, _tree_nodes(sliced))


def _file(number: int) -> str:
    return f"slices/{number:05d}.onnx"


def _slice(sliced: Sliced, region: Region, model: ModelFile) -> tuple[Leaf, bytes]:
    record = sliced.record(region)
    if record is None:  # nobody began it: the original network, which agrees with itself
        return Leaf(region.facts, by_simulation(NO_FACTS, len(model.network.layers))), model.data
    return Leaf(record.facts, record.proof), record.data


def _line(number: int, sliced: Sliced, region: Region, original: Network) -> SliceLine:
    record = sliced.record(region)
    if record is None:
        size, known = network_size(original), len({c[:2] for c in (*region.known, *region.facts.claims)})
        return SliceLine(number, size.parameters, size.neurons, size.neurons - known, known, {}, 0, region.depth, made=False)
    made = record.statistics
    return SliceLine(
        number,
        made.parameters,
        made.neurons,
        made.undecided,
        made.proven,
        made.removed,
        made.differences,
        region.depth,
        made=True,
    )


def _tree_nodes(sliced: Sliced) -> int:
    total = 0
    for region in sliced.partition.preorder():
        record = None if region.children else sliced.record(region)
        total += (region.facts if record is None else record.facts).nodes
    return total


# --- measurement


@dataclass(frozen=True)
class FamilyMeasurement:
    """What onnxruntime showed. agreement : with the original; its noise is that of the original file alone.

    find : microseconds to find the slice of one row, in batches of 4,096.
    """

    agreement: FileAgreement
    original: Latencies
    family: Latencies
    find: float


def measure_family(files: FamilyFiles, model: ModelFile, seed: int) -> FamilyMeasurement:
    """Compare family and original on random points of the domain, and the time of a call of each."""
    family, replay = files.family(), Replay(model.data, name=str(model.path))
    random = np.random.default_rng(seed)
    box = family.lower.astype(np.float64), family.upper.astype(np.float64)
    found, done, end = FileAgreement(0, 0, 0.0, 0.0), 0, time.monotonic() + SECONDS
    while done < POINTS and (not done or time.monotonic() < end):
        batch = random_points(random, *box, CHUNK).astype(family.lower.dtype)
        wide = batch.astype(np.float64)
        found += agreement_of([replay.evaluate(wide), family.predict(batch)], [model.network.forward(wide)])
        done += len(batch)
    before: Latencies = {}
    after: Latencies = {}
    for size in BATCHES:
        batch = random_points(random, *box, size).astype(family.lower.dtype)
        wide = batch.astype(np.float64)
        pair = take_turns(lambda wide=wide: replay.evaluate(wide), lambda batch=batch: family.predict(batch))  # type: ignore[misc]
        before[str(size)], after[str(size)] = pair
    begun = time.perf_counter()
    family.find(batch)
    return FamilyMeasurement(found, before, after, (time.perf_counter() - begun) * 1e6 / len(batch))


# --- summary


def summarise_family(
    files: FamilyFiles,
    sliced: Sliced,
    model: ModelFile,
    domain: Domain,
    options: SliceOptions,
    measured: FamilyMeasurement | None,
    certificate: bytes,
    stages: Mapping[str, float],
) -> dict[str, Any]:
    """The content of `summary.json`."""
    lines, size = files.lines, network_size(model.network)
    return {
        "secateur": version(),
        "model": {"file": model.path.name, "sha256": model.sha256, "name": model.network.interface.graph_name},
        "domain": {
            "description": domain.description or "given as bounds",
            "lower": list(map(format_rational, domain.lower)),
            "upper": list(map(format_rational, domain.upper)),
        },
        "claim": claim_in_words(files.claim),
        "slices": len(lines),
        "files": len(files.networks),
        "constant": sum(line.neurons == 0 for line in lines),
        "parameters": {"original": size.parameters, **_spread([line.parameters for line in lines], lines)},
        "neurons": {"original": size.neurons, **_spread([line.neurons for line in lines], lines)},
        "bytes": {
            "original": len(model.data),
            "family": sum(map(len, files.networks.values())),
            "manifest": len(files.manifest),
            "certificate": len(certificate),
        },
        "proven": sum(line.proven for line in lines) / len(lines),
        "undecided": {
            "slices": sum(line.undecided > 0 for line in lines),
            "neurons": sum(line.undecided for line in lines),
            "not_begun": sum(not line.made for line in lines),
        },
        "removed": {kind: count / len(lines) for kind, count in sorted(_together(line.removed for line in lines).items())},
        "tree_nodes": files.nodes,
        "differences": {"slices": sum(x.differences > 0 for x in lines), "nodes": sum(x.differences for x in lines)},
        "manifest": {"file": MANIFEST, "sha256": hashlib.sha256(files.manifest).hexdigest()},
        "certificate": {"file": CERTIFICATE, "sha256": hashlib.sha256(certificate).hexdigest(), "bytes": len(certificate)},
        "nodes": list(files.coordinates),
        "leaves": [[x.parameters, x.neurons, x.undecided, x.depth, x.file] for x in lines],
        "agreement": None if measured is None else _agreement(measured),
        "latency": None if measured is None else _latency(measured),
        "late": sliced.late,
        "interrupted": sliced.interrupted,
        "stages": {name: round(taken, 3) for name, taken in stages.items()},
        "seconds": round(sum(stages.values()), 3),
        "options": {
            key: value
            for key in ("slices", "max_neurons", "rounds", "timeout", "jobs", "seed")
            if (value := getattr(options, key)) is not None
        },
    }


def claim_in_words(claim: Comparison) -> str:
    """The claim of a family, about the network N' of every slice."""
    if claim == Agreement(Fraction(0)):
        return "on every slice of D, its network and N agree exactly"
    return f"on every slice of D, with N' its network: {claim.words.removesuffix(' on D')}"


def _together(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for own in counts:
        total.update(own)
    return total


def _spread(values: Sequence[int], lines: Sequence[SliceLine]) -> dict[str, float]:
    """Of the slices alike, and weighted by their share of the domain (what a uniform input meets)."""
    weighted = sum(value * 0.5**line.depth for value, line in zip(values, lines, strict=True))
    return {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "min": int(min(values)),
        "max": int(max(values)),
        "by_volume": float(weighted),
    }


def _agreement(measured: FamilyMeasurement) -> dict[str, Any]:
    found = measured.agreement
    return {
        "points": found.points,
        "overflows": found.overflows,
        "max_difference": found.max_difference,
        "float32_noise": found.noise,
    }


def _latency(measured: FamilyMeasurement) -> dict[str, Any]:
    return {
        "original": {batch: list(times) for batch, times in measured.original.items()},
        "family": {batch: list(times) for batch, times in measured.family.items()},
        "find": round(measured.find, 4),
    }


def original_reference(model: ModelFile, folder: Path | None) -> FileReference:
    """The original as a certificate in `folder` names it."""
    return FileReference(model.path.name if folder is None else path_from(folder, model.path), model.sha256)
