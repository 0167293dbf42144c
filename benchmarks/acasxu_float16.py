"""The 45 ACAS Xu networks against their weights rounded to float16, on the boxes of properties 1, 3 and 4: 135 tasks.

    python benchmarks/acasxu_float16.py --epsilon 0.05 [--timeout 60] [--work acasxu-float16-out] [--certificates] [--limit n]

A task asks whether all outputs of a network and of its rounded twin differ by at most epsilon wherever the inputs lie in the
property's box. Every outcome is saved as one JSON file in the work folder, and what is there is not run again, so an interrupted
campaign goes on where it stopped. Prints the table of all saved outcomes and writes it to TABLE.md in that folder, with
what NeuroDiff (Paulsen, Wang, Wang and Wang, ASE 2020) reports for the same task on 143 pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import secateur
from secateur.files import write_atomically

if TYPE_CHECKING:
    import numpy as np

    from secateur.network import Affine, Network

HERE = Path(__file__).resolve().parent
NETWORKS = [f"{a}_{b}" for a in range(1, 6) for b in range(1, 10)]
PROPERTIES = (1, 3, 4)
PEER = {"0.05": "143 of 143 in 967 s on 12 threads", "0.01": "138 of 143 in 16,657 s on 12 threads"}
"""By epsilon, what NeuroDiff decides in all."""


@dataclass(frozen=True)
class Outcome:
    """One task's verdict; seconds of wall time from reading to the verdict, of search, and of everything with the certificate."""

    network: str
    property: int
    verdict: str
    reason: str
    nodes: int
    residuals: int
    search_seconds: float
    seconds: float
    certificate_bytes: int


def rounded(network: Network) -> Network:
    """The network with every weight and bias rounded to float16."""
    from secateur.network import Affine, Dense, Network, Term

    def half(affine: Affine) -> Affine:
        terms = [Term(t.source, Dense(_half(t.map.dense().weight))) for t in affine.terms]
        return Affine(tuple(terms), _half(affine.bias))

    return Network(network.input_size, tuple(map(half, network.layers)), half(network.output), network.interface)


def _half(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return values.astype(np.float16).astype(np.float64)


def twin(original: Path, folder: Path) -> Path:
    """The rounded network as a file of the work folder, made where it is missing."""
    from secateur.network import read_onnx, write_onnx

    path = folder / f"{original.stem}_float16.onnx"
    if not path.is_file():
        write_onnx(rounded(read_onnx(original)), path)
    return path


def tasks(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Networks and properties whose outcome is not saved yet, `--limit` of them at most."""
    left = options.limit
    for number in PROPERTIES:
        for name in NETWORKS:
            if not saved_as(options, name, number).is_file():
                if not left:
                    return
                left -= 1
                yield name, number


def saved_as(options: argparse.Namespace, name: str, number: int) -> Path:
    """The file of a task's outcome."""
    folder: Path = options.work / f"epsilon-{options.epsilon}"
    return folder / f"{name}-prop_{number}.json"


def run(engine: secateur.Engine, name: str, number: int, options: argparse.Namespace) -> Outcome:
    """One task, and its certificate where one is wanted."""
    acas = options.data / "vnncomp" / "acasxu"
    original = acas / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx"
    other = twin(original, options.work)
    domain = next((acas / "vnnlib").glob(f"prop_{number}.vnnlib*"))
    certificate = saved_as(options, name, number).with_suffix(".secateur") if options.certificates else None
    begun = time.monotonic()
    verdict = engine.equivalent(
        original, other, domain, epsilon=options.epsilon, timeout=options.timeout, certificate=certificate
    )
    seconds = time.monotonic() - begun
    s = verdict.statistics
    size = certificate.stat().st_size if certificate is not None and certificate.is_file() else 0
    reason = verdict.reason if isinstance(verdict, secateur.Unknown) else ""
    return Outcome(name, number, type(verdict).__name__.lower(), reason, s.nodes, s.residuals, s.seconds, seconds, size)


def table(outcomes: Sequence[Outcome], epsilon: str, timeout: float) -> str:
    """Markdown: totals by property and in all, then the tasks that were not decided."""
    lines = [
        f"## ACAS Xu against its float16 weights, epsilon {epsilon}",
        "",
        f"{len(outcomes)} of {len(NETWORKS) * len(PROPERTIES)} tasks, at most {timeout:g} s each.",
        f"NeuroDiff (ASE 2020), 143 pairs of the same kind: {PEER.get(epsilon, 'not reported for this epsilon')}.",
        "",
        "| box | tasks | holds | violated | unknown | s | slowest s | sub-domains | certificates kB |",
        "|---" * 9 + "|",
    ]
    for number in (*PROPERTIES, None):
        mine = [o for o in outcomes if number in {None, o.property}]
        counts = [sum(o.verdict == word for o in mine) for word in ("holds", "violated", "unknown")]
        seconds = [o.seconds for o in mine]
        cells = [
            "**all**" if number is None else f"property {number}",
            len(mine),
            *counts,
            f"{sum(seconds):,.1f}",
            f"{max(seconds, default=0.0):,.1f}",
            f"{sum(o.nodes for o in mine):,}",
            f"{sum(o.certificate_bytes for o in mine) / 1000:,.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    undecided = [o for o in outcomes if o.verdict == "unknown"]
    lines += [""] + [f"- {o.network}, property {o.property}: {o.reason}" for o in undecided]
    return "\n".join(lines).rstrip() + "\n"


def saved(options: argparse.Namespace) -> list[Outcome]:
    """All outcomes in the work folder, for this epsilon."""
    paths = [saved_as(options, name, number) for number in PROPERTIES for name in NETWORKS]
    return [Outcome(**json.loads(path.read_text())) for path in paths if path.is_file()]


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epsilon", choices=sorted(PEER), required=True, help="largest admitted difference of an output")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each task")
    parser.add_argument("--work", type=Path, default=Path("acasxu-float16-out"), help="folder of results")
    parser.add_argument("--certificates", action="store_true", help="write and check a certificate of every decided task")
    parser.add_argument("--limit", type=int, default=-1, help="at most so many tasks in this run (default: all)")
    parser.add_argument("--jobs", type=int, help="threads (default: all cores)")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    )
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does, before numpy is loaded
    saved_as(options, NETWORKS[0], 1).parent.mkdir(parents=True, exist_ok=True)
    secateur.warmup()
    with secateur.Engine(jobs=options.jobs) as engine:
        for name, number in tasks(options):
            outcome = run(engine, name, number, options)
            write_atomically(saved_as(options, name, number), (json.dumps(asdict(outcome)) + "\n").encode())
            print(f"{name}, property {number}: {outcome.verdict} in {outcome.seconds:.2f} s", file=sys.stderr, flush=True)
    text = table(saved(options), options.epsilon, options.timeout)
    write_atomically(saved_as(options, NETWORKS[0], 1).parent / "TABLE.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
