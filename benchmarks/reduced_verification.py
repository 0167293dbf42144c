"""Does reduction help later verification? ACAS Xu properties on the original networks and on networks reduced on their domains.

    python benchmarks/reduced_verification.py [--networks 1_1 2_3 ...] [--properties 1 2 3 4] [--timeout 60] [--work DIR]

For every network and property: the network is pruned on the property's box (exactly; the certificate was accepted), then the
same query is asked about both, in turn, with one engine. Verdicts must not differ. What is in the work folder is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Small products: threads of BLAS would only spin beside those of the kernels.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import secateur
from secateur.files import write_atomically

HERE = Path(__file__).resolve().parent
SOME = ["1_1", "1_5", "2_3", "2_7", "3_3", "3_9", "4_2", "4_6", "5_3", "5_9"]


def asked(engine: secateur.Engine, model: Path, query: Path, timeout: float) -> dict[str, Any]:
    """Verdict, seconds and sub-domains of one query."""
    begun = time.monotonic()
    verdict = engine.verify(model, query, timeout=timeout)
    return {
        "verdict": type(verdict).__name__,
        "seconds": time.monotonic() - begun,
        "nodes": verdict.statistics.nodes,
    }


def outcome(engine: secateur.Engine, model: Path, query: Path, timeout: float) -> dict[str, Any]:
    """One network and property: the reduction, and the query on both networks, the original first."""
    begun = time.monotonic()
    result = secateur.prune(model, query, timeout=timeout, solver="none")
    pruned = time.monotonic() - begun
    with tempfile.TemporaryDirectory() as folder:
        smaller = Path(folder) / "reduced.onnx"
        smaller.write_bytes(result.data)
        sides = {"original": asked(engine, model, query, timeout), "reduced": asked(engine, smaller, query, timeout)}
    verdicts = {side["verdict"] for side in sides.values()}
    if verdicts == {"Holds", "Violated"}:
        sys.exit(f"{model.name}, {query.name}: the verdicts contradict each other")
    return {**sides, "prune": pruned, "neurons": result.network.neuron_count, "before": result.original.neuron_count}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=SOME)
    parser.add_argument("--properties", nargs="*", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds of the pruning's search, and of each query")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    )
    parser.add_argument("--work", type=Path, default=Path("reduced-verification-out"), help="folder of the outcomes")
    options = parser.parse_args()
    folder = options.data / "vnncomp" / "acasxu"
    options.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    print("| network, property | neurons | prune s | original | s | sub-domains | reduced | s | sub-domains |")
    print("|---" * 9 + "|")
    with secateur.Engine() as engine:
        for number in options.properties:
            for name in options.networks:
                path = options.work / f"{name}-{number}.json"
                if not path.is_file():
                    model = folder / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx"
                    row = outcome(engine, model, folder / "vnnlib" / f"prop_{number}.vnnlib", options.timeout)
                    write_atomically(path, (json.dumps(row) + "\n").encode())
                row = json.loads(path.read_text())
                rows.append(row)
                cells = [f"{name}, {number}", f"{row['before']} -> {row['neurons']}", f"{row['prune']:.1f}"]
                for side in ("original", "reduced"):
                    cells += [row[side]["verdict"], f"{row[side]['seconds']:.2f}", f"{row[side]['nodes']:,}"]
                print("| " + " | ".join(cells) + " |", flush=True)
    both = [r for r in rows if "Unknown" not in (r["original"]["verdict"], r["reduced"]["verdict"])]
    if both:
        seconds = {side: sum(r[side]["seconds"] for r in both) for side in ("original", "reduced")}
        ratio = statistics.median(r["original"]["seconds"] / r["reduced"]["seconds"] for r in both)
        print(f"\n{len(both)} decided on both: {seconds['original']:.1f} s on the originals, {seconds['reduced']:.1f} s on the")
        print(f"reduced networks (median ratio {ratio:.2f}); pruning took {sum(r['prune'] for r in both):.1f} s.")


if __name__ == "__main__":
    main()
