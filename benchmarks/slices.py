"""Slices of ACAS Xu networks: how many parameters they need, how near that comes to what sampling allows, and what it takes.

    python benchmarks/slices.py --networks 5_9 1_1 --rounds 1                 all 32 equal slices, a whole run
    python benchmarks/slices.py --networks 5_9 --rounds 2 --sample 40         40 random ones of the 1,024, without inherited facts
    python benchmarks/slices.py --networks 5_9 --slices 1024 --timeout 3600   adaptive cuts
    python benchmarks/slices.py --rounds 2 --sample 40 --tolerance 1e-3       what a tolerance of the outputs gains

The ceiling of a slice is the network that would result if every neuron that random points show in one phase had that phase: no
proof of phases can do better. The more points, the more of these neurons turn out to change after all, and the higher it lies:
it is given for 8,192 points, for twelve times as many, and for these and points that are moved to where signs nearly change.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from secateur.api import read_model
from secateur.bounds import Claim
from secateur.network import Network
from secateur.progress import ConsoleProgress
from secateur.reduction import Facts, Phase, network_size, rewrite
from secateur.reduction.model_file import ModelFile
from secateur.reduction.slicing.ledger import Ledger, SliceStatistics, digest
from secateur.reduction.slicing.work import SliceTask, make_slice, prepare_worker
from secateur.search import sample, standing
from secateur.slicing import slice_network
from secateur.specification import Domain, read_domain
from secateur.specification.comparison import RULES, Agreement, Comparison, Decision

HERE = Path(__file__).resolve().parent
PARTS, MOVED = 12, 3  # samples of 8,192 points; those whose points are moved
MEASURED = 64  # slices of a whole run whose ceiling is sampled


def ceilings(network: Network, box: Domain, seed: int) -> list[int]:
    """Parameters of the networks that sampling allows on a box: one sample, all, all with moved points."""
    samples = [sample(network, box, (seed, part)) for part in range(PARTS)]
    few = list(samples[0].claims)
    many = [c for c in few if all(c in s.claims for s in samples)]
    left: Sequence[Claim] = many
    for part, points in enumerate(samples[:MOVED]):
        left = standing(network, box, points, left, (seed, part))
    return [_parameters(network, box, claims) for claims in (few, many, left)]


def _parameters(network: Network, box: Domain, claims: Sequence[Claim]) -> int:
    """Parameters of the network that would result if the claims were facts."""
    words = {-1: Phase.INACTIVE, 1: Phase.ACTIVE, 0: Phase.UNSTABLE}
    known = {c[:2]: c[2] for c in claims}
    phases = [[words[known.get((k, i), 0)] for i in range(size)] for k, size in enumerate(network.sizes, start=1)]
    return network_size(rewrite(network, Facts(box.lower, box.upper, phases)).network).parameters


def random_boxes(domain: Domain, rounds: int, count: int, seed: int) -> list[Domain]:
    """Some boxes of the equal partition, all different."""
    parts = 1 << rounds
    numbers = np.random.default_rng(seed).choice(parts**domain.dimension, size=count, replace=False)
    boxes = []
    for number in numbers.tolist():
        steps = [number // parts**i % parts for i in range(domain.dimension)]
        low = [lo + w * s / parts for lo, w, s in zip(domain.lower, domain.widths(), steps, strict=True)]
        high = [lo + w * (s + 1) / parts for lo, w, s in zip(domain.lower, domain.widths(), steps, strict=True)]
        boxes.append(Domain(tuple(low), tuple(high)))
    return boxes


def allowed(options: argparse.Namespace) -> Comparison:
    """What slices have to keep."""
    return Agreement(options.tolerance) if options.preserve is None else Decision(options.preserve)


def measure_sample(model: ModelFile, domain: Domain, options: argparse.Namespace) -> dict[str, Any]:
    """Make random slices of the equal partition with the share of the time that a whole run would give them."""
    boxes = random_boxes(domain, options.rounds, options.sample, options.seed)
    share = options.timeout * options.jobs / (1 << options.rounds * domain.dimension)
    claim = allowed(options)
    relaxed = None if claim == Agreement(Fraction(0)) else claim
    with tempfile.TemporaryDirectory() as name:
        ledger = Ledger.opened(Path(name))
        ledger.keep_model(model.data)
        seconds = options.seconds or share
        names = [digest(model.sha256, box, (), claim, 0) for box in boxes]
        tasks = [
            SliceTask(ledger.folder, name, model.sha256, box, (), relaxed, 0, seconds, 1)
            for name, box in zip(names, boxes, strict=True)
        ]
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
            list(pool.map(make_slice, tasks[: options.jobs]))  # the kernels are loaded
            begun = time.monotonic()
            made = list(pool.map(make_slice, tasks))
            seconds = time.monotonic() - begun
    limits = [ceilings(model.network, box, k) for k, box in enumerate(boxes)]
    return described([m.parameters for m in made], limits, seconds / len(boxes), made)


def described(
    parameters: list[int], limits: list[list[int]], seconds: float, made: list[SliceStatistics] | None = None
) -> dict[str, Any]:
    """One line of the result."""
    chosen, ceiling = parameters[: len(limits)], np.mean(limits, axis=0)
    line = {
        "slices": len(parameters),
        "mean": round(float(np.mean(parameters)), 1),
        "median": float(np.median(parameters)),
        "min": min(parameters),
        "ceilings": ceiling.round(1).tolist(),
        "above ceilings, %": (100 * (np.mean(chosen) / ceiling - 1)).round(1).tolist(),
        "wall s per slice": round(seconds, 2),
    }
    if made is not None:
        proven = sum(m.proven for m in made)
        line |= {
            "proven of candidates": f"{100 * proven / (proven + sum(m.undecided for m in made)):.1f} %",
            "decided": sum(not m.undecided for m in made),
            "nodes per slice": round(float(np.mean([m.nodes for m in made]))),
            "s for relaxing": round(float(np.mean([m.relaxing for m in made])), 2),
            "s for the rest": round(float(np.mean([m.seconds - m.searched - m.relaxing for m in made])), 2),
            "neurons": round(float(np.mean([m.neurons for m in made])), 1),
            "removed": {k: round(n / len(made), 1) for k, n in sum((Counter(m.removed) for m in made), Counter()).items()},
            "proven by differences": sum(m.differences > 0 for m in made),
            "sub-domains of these": round(float(np.mean([m.differences for m in made])), 1),
        }
    return line


def measure_run(model: ModelFile, domain: Domain, options: argparse.Namespace, folder: Path | None) -> dict[str, Any]:
    """A whole run; the ceiling is that of its first slices, in an order drawn at random."""
    how = {"rounds": options.rounds} if options.slices is None else {"slices": options.slices}
    with ConsoleProgress() as progress:
        result = slice_network(
            model,
            domain,
            out=folder,
            tolerance=options.tolerance,
            preserve=None if options.preserve is None else Decision(options.preserve),
            timeout=options.timeout,
            jobs=options.jobs,
            seed=options.seed,
            progress=progress,
            **how,
        )
    boxes, manifest = [], json.loads(result.files["manifest.json"])
    waiting = [domain]
    for node in manifest["nodes"]:
        box = waiting.pop()
        if isinstance(node, int):
            boxes.append(box)
        else:
            i = node[0]
            middle = (box.lower[i] + box.upper[i]) / 2
            second = Domain((*box.lower[:i], middle, *box.lower[i + 1 :]), box.upper)
            waiting += [second, Domain(box.lower, (*box.upper[:i], middle, *box.upper[i + 1 :]))]
    order = np.random.default_rng(options.seed).permutation(len(boxes)).tolist()
    parameters = [result.summary["leaves"][k][0] for k in order]
    limits = [ceilings(model.network, boxes[k], k) for k in order[:MEASURED]]
    summary = result.summary
    line = described(parameters, limits, summary["stages"]["slice"] / len(boxes))
    return line | {"undecided": summary["undecided"], "constant": summary["constant"], "bytes": summary["bytes"]}


def main() -> None:
    """Measure the networks that are asked for; one JSON line each on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / ".." / ".." / "shared" / "data")
    parser.add_argument("--networks", nargs="+", default=["5_9", "1_1"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--slices", type=int, help="adaptive cuts instead")
    parser.add_argument("--sample", type=int, help="measure only so many slices of the equal partition")
    claim = parser.add_mutually_exclusive_group()
    claim.add_argument("--tolerance", type=Fraction, default=Fraction(0), help="what every slice may change of an output")
    claim.add_argument("--preserve", choices=RULES, help="the decision that every slice has to keep")
    parser.add_argument("--seconds", type=float, help="for the phases of a sampled slice (default: its share of --timeout)")
    parser.add_argument("--timeout", type=float, default=3600.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the families here")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    domain = read_domain(options.data / "domains" / "acasxu.json")
    for name in options.networks:
        model = read_model(options.data / "vnncomp" / "acasxu" / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx")
        if options.sample is not None:
            line = measure_sample(model, domain, options)
        else:
            line = measure_run(model, domain, options, None if options.out is None else options.out / name)
        print(json.dumps({"network": name, **line}), flush=True)


if __name__ == "__main__":
    main()
