"""Certificates of refuted VNN-COMP queries: their size, what producing them costs, and what checking them takes.

    python benchmarks/certificates.py [--data ../shared/data] [--benchmark acasxu] [--semantics real|float32] --out DIR

For every instance that the ground truth calls `unsat`, in one warm engine: the query is decided without a certificate and with
one, and the certificate is checked, strictly, with the fast arithmetic; twenty, spread over all sizes, with the exact one too.
Cost of producing: search seconds with a certificate over those without. They are searches of their own: a certificate may hold
only leaves that can be replayed. Instances that DIR/certificates.csv holds already are not done again.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import secateur
from secateur.bounds import warmup

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Measured:
    """An instance: seconds of search without and with a certificate, and of its check; bytes; nodes; the checker's word."""

    name: str
    plain: float
    certified: float
    check: float
    size: int
    nodes: int
    outcome: str

    @classmethod
    def of(cls, row: dict[str, str]) -> Measured:
        kinds = {"name": str, "outcome": str, "size": int, "nodes": int}
        return cls(**{f.name: kinds.get(f.name, float)(row[f.name]) for f in fields(cls)})  # type: ignore[arg-type]


def refuted(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Network and query of every instance whose consensus is `unsat`."""
    with (folder / "ground_truth.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["consensus"] == "unsat":
                yield folder / row["onnx"], folder / row["vnnlib"]


def measure(engine: secateur.Engine, network: Path, query: Path, target: Path, semantics: str) -> Measured:
    """Both searches and the check of one instance; the certificate stays at `target`."""
    plain = engine.verify(network, query, semantics=semantics, timeout=300)
    try:
        found = engine.verify(network, query, semantics=semantics, timeout=300, certificate=target)
    except secateur.InputError as error:
        return Measured(target.stem, plain.statistics.seconds, 0.0, 0.0, 0, 0, str(error))
    searches = plain.statistics.seconds, found.statistics.seconds
    if not isinstance(found, secateur.Holds):
        return Measured(target.stem, *searches, 0.0, 0, found.statistics.nodes, type(found).__name__)
    begun = time.perf_counter()
    outcome = secateur.check(target, strict=True)
    seconds = time.perf_counter() - begun
    word = "accepted" if isinstance(outcome, secateur.Accepted) else f"refused: {outcome.reason}"
    return Measured(target.stem, *searches, seconds, target.stat().st_size, found.statistics.nodes, word)


def told(done: list[Measured]) -> str:
    accepted = [m for m in done if m.outcome == "accepted"]
    plain, certified, check = (sum(getattr(m, name) for m in accepted) for name in ("plain", "certified", "check"))
    if not accepted:
        return f"0 of {len(done)} accepted"
    ratios = [m.certified / m.plain for m in accepted if m.plain > 0]
    return (
        f"{len(accepted)} of {len(done)} accepted under --strict, {sum(m.size for m in accepted) / 1e6:.3f} MB, "
        f"{sum(m.nodes for m in accepted):,} nodes; search {plain:.1f} s without and {certified:.1f} s with certificates "
        f"({100 * (certified / plain - 1):+.0f} %, median {100 * (statistics.median(ratios) - 1):+.0f} %); "
        f"check {check:.1f} s ({check / plain:.2f} times the search)"
    )


def agreed(done: list[Measured], folder: Path, count: int) -> str:
    """What the exact arithmetic says of accepted certificates spread over all sizes, the largest tenth left out."""
    accepted = sorted((m for m in done if m.outcome == "accepted"), key=lambda m: m.nodes)
    usual = accepted[: max(count, len(accepted) * 9 // 10)]
    chosen = usual[:: max(1, len(usual) // count)][:count]
    begun, yes = time.perf_counter(), 0
    for number, m in enumerate(chosen, start=1):
        print(f"exact arithmetic: {number} of {len(chosen)}, {m.nodes} nodes", file=sys.stderr, flush=True)
        outcome = secateur.check(folder / f"{m.name}.secateur", strict=True, arithmetic="exact")
        yes += isinstance(outcome, secateur.Accepted)
    return f"exact arithmetic: {yes} of {len(chosen)} accepted, {time.perf_counter() - begun:.0f} s"


def main() -> None:
    """Measure all instances, then compare the arithmetics."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data = Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--benchmark", default="acasxu")
    parser.add_argument("--semantics", choices=("real", "float32"), default="real")
    parser.add_argument("--exact", type=int, default=20, help="certificates for the exact arithmetic (default 20)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "certificates.csv"
    done = [Measured.of(row) for row in csv.DictReader(table.open(newline=""))] if table.exists() else []
    warmup()
    with secateur.Engine() as engine, table.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Measured)])
        if not done:
            writer.writeheader()
        known = {m.name for m in done}
        for network, query in refuted(options.data / "vnncomp" / options.benchmark):
            name = f"{network.name.split('.')[0]}-{query.name.split('.')[0]}"
            if name not in known:
                done.append(measure(engine, network, query, options.out / f"{name}.secateur", options.semantics))
                writer.writerow(asdict(done[-1]))
                stream.flush()
                print(f"{len(done)}: {name} {done[-1].outcome}", file=sys.stderr, flush=True)
    print(told(done))
    for m in done:
        if m.outcome != "accepted":
            print(f"{m.name}: {m.outcome}")
    if options.exact:
        print(agreed(done, options.out, options.exact))


if __name__ == "__main__":
    main()
