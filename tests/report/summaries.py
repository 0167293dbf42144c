"""Summaries of made-up runs, as the report gets them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

STATUSES = ("inactive", "active", "both", "unknown")
BASIS = {"inactive": "tree", "active": "tree", "both": "witness", "unknown": "none"}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_neurons(widths: Sequence[int], shares: Sequence[float], seed: int) -> list[list[dict[str, Any]]]:
    """Random statuses in the given proportions; the first layer's claims are exact."""
    source = random.Random(seed)
    layers = []
    for k, width in enumerate(widths):
        drawn = source.choices(STATUSES, shares, k=width)
        layers.append([
            {
                "status": status,
                "basis": "exact" if k == 0 and status in ("inactive", "active") else BASIS[status],
                "reason": "deadline" if status == "unknown" else None,
            }
            for status in drawn
        ])  # fmt: skip
    return layers


def make_summary(
    widths: Sequence[int] = (6, 6, 6),
    shares: Sequence[float] = (0.3, 0.05, 0.6, 0.05),
    *,
    inputs: int = 5,
    seed: int = 0,
    **changes: Any,
) -> dict[str, Any]:
    """A summary that agrees with itself; `changes` replaces entries of the top level."""
    neurons = make_neurons(widths, shares, seed)
    every = [neuron for layer in neurons for neuron in layer]
    status = {name: sum(n["status"] == name for n in every) for name in STATUSES}
    gone = [[i for i, n in enumerate(layer) if n["status"] == "inactive"] for layer in neurons]
    reduced = [width - len(removed) for width, removed in zip(widths, gone, strict=True)]
    basis = {name: sum(n["basis"] == name for n in every) for name in ("exact", "tree", "solver")}
    summary: dict[str, Any] = {
        "secateur": "0.1.0",
        "model": {"file": "wine.onnx", "sha256": sha("model"), "name": "wine"},
        "reduced_model": {"file": "reduced.onnx", "sha256": sha("reduced")},
        "domain": {
            "description": "box of wine.domain.json",
            "sha256": sha("domain"),
            "lower": [f"-{k}.328422877" for k in range(inputs)],
            "upper": [f"{k}.679857769" for k in range(inputs)],
        },
        "neurons": {"original": sum(widths), "reduced": sum(reduced)},
        "parameters": {"original": 13305, "reduced": 11872},
        "bytes": {"original": 54321, "reduced": 48654},
        "layers": {"original": list(widths), "reduced": reduced},
        "status": status,
        "neuron_status": neurons,
        "tolerance": {"requested": "0", "claimed": "0"},
        "preserve": None,
        "removed": [
            {"layer": k, "neuron": i, "kind": "phase", "why": "inactive on D"}
            for k, removed in enumerate(gone, 1)
            for i in removed
        ],
        "claim": "N and N' agree exactly on D",
        "steps": [
            {"rule": "drop inactive neurons", "layer": k, "removed": removed, "detail": ""}
            for k, removed in enumerate(gone, 1)
            if removed
        ],
        "evidence": {
            **basis,
            "confirmed_by_smt": basis["exact"] + basis["tree"],
            "late_for_smt": 0,
            "solver_name": "z3 4.13.4",
        },
        "tree": {"nodes": 11089, "leaves": 5545},
        "difference": {},
        "certificate": {"file": "certificate.secateur", "sha256": sha("certificate"), "bytes": 4231},
        "agreement": {"points": 100000, "overflows": 0, "max_difference": 1.19e-7, "float32_noise": 3.4e-7, "changed": None},
        "latency": {
            "original": {"1": [6.42, 7.91], "64": [21.3, 26.8]},
            "reduced": {"1": [5.87, 7.02], "64": [14.9, 18.2]},
        },
        "stages": {
            "read": 0.04,
            "attack": 0.61,
            "search": 2.38,
            "confirm": 0.42,
            "rewrite": 0.02,
            "write": 0.05,
        },
        "seconds": 3.52,
        "interrupted": False,
        "options": {"timeout": 120, "jobs": 2, "solver": "z3", "seed": 0},
    }
    return summary | changes
