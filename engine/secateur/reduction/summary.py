"""What a run leaves behind besides the network: the certificate, the domain, the witnesses, and the summary.

The keys of the summary are documented in `secateur.report`, which turns it into a page.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from secateur.certificate import ComparedFiles, FileReference, certificate_bytes, comparison_bytes, pair_table
from secateur.files import path_from
from secateur.network import Network
from secateur.reduction.facts import Phase
from secateur.reduction.measure import Agreement, Latencies
from secateur.reduction.pipeline import Analysis, Measurement, Reduction
from secateur.reduction.removed import Name, kind_of, removed
from secateur.reduction.size import network_size
from secateur.reduction.state import Step
from secateur.search import Status
from secateur.specification.numerals import format_rational
from secateur.version import version

__all__ = ["CERTIFICATE", "DOMAIN", "REDUCED", "certificate_for", "domain_file", "summarise", "witness_file"]

REDUCED, DOMAIN, CERTIFICATE = "reduced.onnx", "domain.json", "certificate.secateur"

_SIGNS = {Status.INACTIVE: "never positive", Status.ACTIVE: "never negative"}
_STAND_INS = {Phase.INACTIVE: "linearised: replaced by 0", Phase.ACTIVE: "linearised: replaced by its input z"}


def domain_file(analysis: Analysis) -> bytes:
    """`domain.json`: exact bounds, as the certificate names them."""
    return analysis.domain.to_json().encode()


def witness_file(analysis: Analysis) -> bytes:
    """`witnesses.json`: exact points of the domain, and for each neuron with both phases its two points.

    `points` are lists of rationals as text; `both` is [layer from 1, neuron from 0, point with z > 0, point with z < 0].
    """
    phases = analysis.phases
    both = [
        [k, i, neuron.positive, neuron.negative]
        for k, layer in enumerate(phases.neurons, start=1)
        for i, neuron in enumerate(layer)
        if neuron.status is Status.BOTH
    ]
    points = [[str(v) for v in point] for point in phases.witnesses]
    return (json.dumps({"points": points, "both": both}) + "\n").encode()


def removed_neurons(reduction: Reduction) -> list[dict[str, Any]]:
    """Every neuron of N that N' lacks, with the kind of its redundancy (`kind_of`) and why it could go.

    Why is said of the neuron by itself: what is true of all that went with it may be false of this one.
    """
    network, rewrite = reduction.analysis.model.network, reduction.rewrite
    proven, linearised = _proven(reduction.analysis), set(reduction.linearised)
    whys = {
        (step.layer + 1, i): (step.detail or step.rule, _STAND_INS.get(phase, "linearised"))
        for step in rewrite.steps
        for i, phase in zip(step.removed, step.phases, strict=True)
    }
    rows = []
    for name in removed(network, rewrite):
        kind = kind_of(name, proven, linearised, decides=reduction.tolerance is None)
        forward, stand_in = whys.get(name, ("", "linearised"))
        why = f"{proven[name].value} on D" if kind == "phase" else forward if kind == "forward" else stand_in
        rows.append({"layer": name[0], "neuron": name[1], "kind": kind, "why": why})
    return rows


def _proven(analysis: Analysis) -> dict[Name, Status]:
    """The neurons whose phase on the domain is proven."""
    return {
        (k, i): neuron.status
        for k, layer in enumerate(analysis.phases.neurons, start=1)
        for i, neuron in enumerate(layer)
        if neuron.status in _SIGNS
    }


def certificate_for(reduction: Reduction, folder: Path | None) -> bytes:
    """The certificate as it lies in `folder`: it names the original file by its path from there.

    Without a folder it names the file alone; the checker is then told where both networks are.
    """
    analysis, difference = reduction.analysis, reduction.difference
    path = analysis.model.path.name if folder is None else path_from(folder, analysis.model.path)
    original = FileReference(path, analysis.model.sha256)
    reduced = FileReference(REDUCED, reduction.sha256)
    domain = FileReference(DOMAIN, _sha256(domain_file(analysis)))
    if difference is not None:
        return comparison_bytes(
            producer=f"secateur {version()}",
            claim=difference.claim,
            files=ComparedFiles(original, reduced, domain),
            input_size=analysis.domain.dimension,
            evidence=difference.facts,
            levels=difference.pairing.levels,
            pairs=pair_table(difference.pairing, analysis.model.network, reduction.network),
            proof=difference.proof,
        )
    return certificate_bytes(
        producer=f"secateur {version()}",
        tolerance=reduction.tolerance or Fraction(0),
        original=original,
        reduced=reduced,
        domain=domain,
        input_size=analysis.domain.dimension,
        evidence=analysis.phases.evidence,
        reduced_evidence=reduction.evidence,
        match=reduction.match(),
    )


def summarise(
    reduction: Reduction,
    measured: Measurement | None,
    certificate: bytes,
    stages: Mapping[str, float],
    seconds: float,
) -> dict[str, Any]:
    """The content of `summary.json`."""
    analysis = reduction.analysis
    options, model, interface = analysis.options, analysis.model, analysis.model.network.interface
    return {
        "secateur": version(),
        "model": {"file": model.path.name, "sha256": model.sha256, "name": interface.graph_name},
        "reduced_model": {"file": REDUCED, "sha256": reduction.sha256},
        "domain": _domain(analysis),
        **_sizes(reduction),
        "status": {status.value: analysis.phases.count(status) for status in Status},
        "neuron_status": _neurons(analysis),
        "tolerance": {
            "requested": format_rational(options.tolerance),
            "claimed": None if reduction.tolerance is None else format_rational(reduction.tolerance),
        },
        "preserve": None if options.preserve is None else {
            "rule": options.preserve.rule, "margin": format_rational(options.preserve.margin)
        },
        "claim": reduction.claim,
        "steps": _steps(reduction),
        "removed": removed_neurons(reduction),
        **_evidence(reduction),
        "certificate": {"file": CERTIFICATE, "sha256": _sha256(certificate), "bytes": len(certificate)},
        "agreement": None if measured is None else _agreement(measured.agreement),
        "latency": None if measured is None else _latency(measured.latency),
        "stages": {name: round(taken, 3) for name, taken in stages.items()},
        "seconds": round(seconds, 3),
        "interrupted": analysis.interrupted,
        "options": {
            "timeout": options.timeout, "jobs": options.jobs, "solver": options.solver, "seed": options.seed
        },
    }  # fmt: skip


def _steps(reduction: Reduction) -> list[dict[str, Any]]:
    """The rewrites. A rule takes the phases that it is given; here those that are proven are told from the others."""
    known = {name: _SIGNS[status] for name, status in _proven(reduction.analysis).items()}
    known |= dict.fromkeys(reduction.linearised, "linearised")

    def detail(step: Step) -> str:
        counts = Counter(known[name] for i in step.removed if (name := (step.layer + 1, i)) in known)
        said = ", ".join(f"{counts[what]:,} {what}" for what in (*_SIGNS.values(), "linearised") if counts[what])
        return "; ".join(part for part in (said, step.detail) if part)

    return [
        {"rule": step.rule, "layer": step.layer + 1, "removed": list(step.removed), "detail": detail(step)}
        for step in reduction.rewrite.steps
    ]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _domain(analysis: Analysis) -> dict[str, Any]:
    domain = analysis.domain
    return {
        "description": domain.description or "given as bounds",
        "sha256": _sha256(domain_file(analysis)),
        "lower": list(map(format_rational, domain.lower)),
        "upper": list(map(format_rational, domain.upper)),
    }


def _sizes(reduction: Reduction) -> dict[str, dict[str, Any]]:
    sides: dict[str, tuple[Network, bytes]] = {
        "original": (reduction.analysis.model.network, reduction.analysis.model.data),
        "reduced": (reduction.network, reduction.data),
    }
    return {
        "neurons": {side: network.neuron_count for side, (network, _) in sides.items()},
        "parameters": {side: network_size(network).parameters for side, (network, _) in sides.items()},
        "bytes": {side: len(data) for side, (_, data) in sides.items()},
        "layers": {side: list(network.sizes) for side, (network, _) in sides.items()},
    }


def _neurons(analysis: Analysis) -> list[list[dict[str, str | None]]]:
    return [
        [{"status": n.status.value, "basis": n.basis.value, "reason": n.reason or None} for n in layer]
        for layer in analysis.phases.neurons
    ]


def _evidence(reduction: Reduction) -> dict[str, dict[str, Any]]:
    analysis, difference = reduction.analysis, reduction.difference
    evidence = analysis.phases.evidence
    nodes = sum(tree.nodes for tree in evidence.trees)
    return {
        "evidence": {
            "exact": len(evidence.interval),
            "tree": sum(len(tree.claims) for tree in evidence.trees),
            "solver": len(evidence.solver),
            "confirmed_by_smt": analysis.confirmation.confirmed,
            "late_for_smt": analysis.confirmation.late,
            "solver_name": analysis.confirmation.solver,
        },
        # Every inner node has two children.
        "tree": {"nodes": nodes, "leaves": (nodes + len(evidence.trees)) // 2},
        "difference": {} if difference is None else {"nodes": len(difference.proof.symbols), "trusted": difference.proof.trusted},
    }


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {
        "points": agreement.points,
        "overflows": agreement.overflows,
        "changed": agreement.changed,
        "max_difference": agreement.max_difference,
        "float32_noise": agreement.noise,
    }


def _latency(latency: tuple[Latencies, Latencies]) -> dict[str, Any]:
    return {
        side: {batch: list(times) for batch, times in measured.items()}
        for side, measured in zip(("original", "reduced"), latency, strict=True)
    }
