"""Local reduction: how little of an MNIST network is needed around one image, proven.

    python benchmarks/mnist_local.py [--images 10] [--radii 0.03 0.05] [--modes exact decision] [--timeout 60] [--everywhere]

For the balls (clipped to [0, 1]) of the VNN-COMP benchmark mnist_fc around its images, prunes the network with two hidden layers
of 256 neurons: exactly, and so that the winning class is preserved. Every certificate was accepted by the checker before it
counted. With --everywhere also on [0, 1]^784, where little can be proven. What is in the work folder is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

# Small products: threads of BLAS would only spin beside those of the kernels.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import secateur
from secateur.files import write_atomically
from secateur.progress import ConsoleProgress
from secateur.specification import box_domain

HERE = Path(__file__).resolve().parent
MODES = {"exact": None, "decision": secateur.Decision("argmax")}


def tasks(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, secateur.Domain]]:
    """Names and boxes."""
    for radius in options.radii:
        for image in range(options.images):
            yield f"{image}-{radius}", secateur.read_domain(folder / "vnnlib" / f"prop_{image}_{radius}.vnnlib")
    if options.everywhere:
        yield "everywhere", box_domain("0,1", 784)


def outcome(model: Path, domain: secateur.Domain, mode: str, timeout: float) -> dict[str, object]:
    """One run, as a row."""
    with ConsoleProgress() as progress:
        result = secateur.prune(model, domain, preserve=MODES[mode], timeout=timeout, solver="none", progress=progress)
    summary = result.summary
    return {
        "status": summary["status"],
        "layers": summary["layers"]["reduced"],
        "neurons": summary["neurons"]["reduced"],
        "parameters": summary["parameters"]["reduced"],
        "claim": result.claim,
        "certificate": summary["certificate"]["bytes"],
        "seconds": summary["seconds"],
    }


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10, help="the first so many images")
    parser.add_argument("--radii", nargs="*", default=["0.03", "0.05"], help="of the balls: 0.03, 0.05")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds of search per run")
    parser.add_argument("--modes", nargs="*", choices=list(MODES), default=list(MODES), help="exact, decision")
    parser.add_argument("--everywhere", action="store_true", help="the whole input space too")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    )
    parser.add_argument("--work", type=Path, default=Path("mnist-local-out"), help="folder of the outcomes")
    options = parser.parse_args()
    folder = options.data / "vnncomp" / "mnist_fc"
    options.work.mkdir(parents=True, exist_ok=True)
    print("| image, radius | claim | undecided | neurons of 512 | by layer | parameters of 269,322 | certificate kB | s |")
    print("|---" * 8 + "|")
    kept: dict[tuple[str, str], list[int]] = {}
    for name, domain in tasks(folder, options):
        for mode in options.modes:
            path = options.work / f"{name}-{mode}.json"
            if not path.is_file():
                row = outcome(folder / "onnx" / "mnist-net_256x2.onnx", domain, mode, options.timeout)
                write_atomically(path, (json.dumps(row) + "\n").encode())
            row = json.loads(path.read_text())
            kept.setdefault((name.rpartition("-")[2], mode), []).append(row["neurons"])
            cells = [
                name.replace("-", ", "),
                row["claim"],
                row["status"]["unknown"],
                row["neurons"],
                "-".join(map(str, row["layers"])),
                f"{row['parameters']:,}",
                f"{row['certificate'] / 1000:.1f}",
                f"{row['seconds']:.1f}",
            ]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    for (radius, mode), neurons in kept.items():
        print(f"\n{radius}, {mode}: {statistics.fmean(neurons):.1f} neurons in the mean, {min(neurons)} to {max(neurons)}")


if __name__ == "__main__":
    main()
