"""What a sub-domain costs: CPU time of the kernels on trees that take long, one thread.

    python benchmarks/kernels.py                                            seconds per million sub-domains, median of some runs
    PYTHONPATH=OTHER/engine:OTHER/encodings python benchmarks/kernels.py    the same for another checkout, to be run in turn

The trees are those of neurons of the last hidden layer of ACAS Xu 5_9 on boxes of 1/1,024 of its domain: one claim that takes
long, and up to twelve claims in one tree. The phases of all layers before are what sampling shows, taken for granted: nothing is
proven here.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from secateur.api import read_model
from secateur.bounds import Claim, Goal, QuantisedNetwork, quantise, root, root_bounds, set_threads
from secateur.search import sample
from secateur.search.tree import SplitTree
from secateur.specification import Domain, read_domain

HERE = Path(__file__).resolve().parent
SAMPLES = 12
STEPS, SHARED = 3, 12


def boxes(domain: Domain, count: int) -> list[Domain]:
    """Boxes of a quarter of every width, at random places of the grid of these."""
    random, found = np.random.default_rng(0), []
    for _ in range(count):
        steps = random.integers(0, 4, domain.dimension).tolist()
        low = [lo + w * s / 4 for lo, w, s in zip(domain.lower, domain.widths(), steps, strict=True)]
        found.append(Domain(tuple(low), tuple(lo + w / 4 for lo, w in zip(low, domain.widths(), strict=True))))
    return found


def run(network: QuantisedNetwork, facts: dict[tuple[int, int], int], claims: list[Claim], most: int) -> tuple[int, float]:
    """Work at a tree until it has `most` nodes: how many it has, and CPU seconds."""
    tree = SplitTree(network, root(network, root_bounds(network.layers, facts), len(claims)), [Goal.of(c) for c in claims], STEPS)
    begun = time.process_time()
    while tree.nodes < most and not tree.finished:
        tree.advance(float("inf"), most - tree.nodes)
    return tree.nodes, time.process_time() - begun


def main() -> None:
    """Measure every tree; one JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / ".." / ".." / "shared" / "data")
    parser.add_argument("--boxes", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    set_threads(1)
    network = read_model(options.data / "vnncomp" / "acasxu" / "onnx" / "ACASXU_run2a_5_9_batch_2000.onnx").network
    last = len(network.sizes)
    for number, box in enumerate(boxes(read_domain(options.data / "domains" / "acasxu.json"), options.boxes)):
        samples = [set(sample(network, box, (number, part)).claims) for part in range(SAMPLES)]
        standing = sorted(set.intersection(*samples))
        facts = {(k, i): sign for k, i, sign in standing if k < last}
        claims, quantised = [c for c in standing if c[0] == last], quantise(network, box.lower, box.upper)
        long = next((c for c in claims if run(quantised, facts, [c], options.nodes)[0] >= options.nodes), None)
        if long is None:
            continue
        for name, chosen in (("one claim", [long]), ("shared", claims[:SHARED])):
            runs = [run(quantised, facts, chosen, options.nodes) for _ in range(options.repeat)]
            pace = float(np.median([1e6 * seconds / nodes for nodes, seconds in runs]))
            print(json.dumps({"box": number, "tree": name, "claims": len(chosen), "s per million": round(pace, 1)}), flush=True)


if __name__ == "__main__":
    main()
