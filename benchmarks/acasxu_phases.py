"""The main job on the 45 ACAS Xu networks: phases proven, witnessed and unknown, with certificates checked.

    python benchmarks/acasxu_phases.py [--timeout 120] [--networks 5_9 1_1] [--data ../shared/data] [--work acasxu-out]

Prunes each network on the full ACAS Xu domain; `prune` publishes only what the checker accepted. Then prints a table of all
networks whose folders in the work folder are complete, and writes it to benchmarks/RESULTS.md. What is complete is not run
again, so an interrupted campaign goes on where it stopped. Peer: the published MILP log for 5_9 (Lahav and Katz, FMCAD 2021)
proves 13 neurons in 2 h 03 min.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import secateur
from secateur.files import write_atomically
from secateur.progress import ConsoleProgress

ALL = [f"{a}_{b}" for a in range(1, 6) for b in range(1, 10)]
HERE = Path(__file__).resolve().parent
SUMMARY = "summary.json"
MARK = "## Phases of all ACAS Xu neurons"


@dataclass(frozen=True)
class Row:
    """One network's outcome; seconds of the whole prune, of the proofs and of the check, certificate size in bytes."""

    name: str
    inactive: int
    active: int
    both: int
    unknown: int
    seconds: float
    prove_seconds: float
    check_seconds: float
    certificate_bytes: int
    nodes: int
    difference: float
    reduced: int
    unknown_layers: tuple[int, ...]

    @property
    def proven(self) -> int:
        return self.inactive + self.active


def complete(name: str, model: Path, folder: Path, options: argparse.Namespace) -> None:
    """Prune one network, unless its folder is there already; nothing is published that the checker did not accept."""
    if not (folder / SUMMARY).is_file():
        domain = options.data / "domains" / "acasxu.json"
        with ConsoleProgress() as progress:
            progress.note(name)
            secateur.prune(model, domain, out=folder, timeout=options.timeout, progress=progress)
    if options.recheck:
        recheck(name, model, folder)


def recheck(name: str, model: Path, folder: Path) -> None:
    """Let the checker accept the certificate once more, strictly and in a process of its own."""
    command = [sys.executable, "-m", "secateur.checker", str(folder), "--original", str(model), "--strict"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout}{done.stderr}")
    print(f"{name}: {done.stdout.strip()}", file=sys.stderr)


def row(name: str, folder: Path) -> Row:
    """A row of the table from a result folder's summary."""
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text())
    status, stages = summary["status"], summary["stages"]
    return Row(
        name,
        *(status[key] for key in ("inactive", "active", "both", "unknown")),
        seconds=summary["seconds"],
        prove_seconds=stages["falsify"] + stages["prove"],
        check_seconds=stages["check"],
        certificate_bytes=summary["certificate"]["bytes"],
        nodes=summary["tree"]["nodes"],
        difference=summary["agreement"]["max_difference"],
        reduced=summary["neurons"]["reduced"],
        unknown_layers=tuple(
            sorted({k for k, layer in enumerate(summary["neuron_status"], 1) if any(n["status"] == "unknown" for n in layer)})
        ),
    )


def table(rows: Sequence[Row]) -> str:
    """Markdown: one line a network, then mean and worst."""
    heads = [
        "network",
        "inactive",
        "active",
        "both",
        "unknown",
        "neurons left",
        "s",
        "prove s",
        "check s",
        "certificate kB",
        "replayed nodes",
    ]
    lines = ["| " + " | ".join([*heads, "max difference in onnxruntime"]) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [line(r.name, cells(r)) for r in rows]
    columns = list(zip(*map(cells, rows), strict=True))
    lines.append(line("**mean**", [statistics.fmean(c) for c in columns]))
    lines.append(line("**worst**", [max(c) for c in columns]))
    layers = sorted({k for r in rows for k in r.unknown_layers})
    lines.append(
        f"\nUnknown neurons lie in layers {', '.join(map(str, layers)) or 'none'}; check: the run's own, before it published."
    )
    return "\n".join(lines)


def cells(r: Row) -> list[float]:
    """The numbers of a row, in the order of the table."""
    counts = [r.inactive, r.active, r.both, r.unknown, r.reduced]
    return [
        *map(float, counts),
        r.seconds,
        r.prove_seconds,
        r.check_seconds,
        r.certificate_bytes / 1000,
        float(r.nodes),
        r.difference,
    ]


def line(name: str, values: Sequence[float]) -> str:
    """One line of the table."""
    *numbers, difference = values
    return "| " + " | ".join([name, *(f"{v:,.1f}".removesuffix(".0") for v in numbers), f"{difference:.1e}"]) + " |"


def write_results(text: str, count: int, timeout: float) -> None:
    """Replace this benchmark's section of RESULTS.md, leaving the others."""
    path = HERE / "RESULTS.md"
    before, _, rest = (path.read_text() if path.is_file() else "# Results\n\n").partition(MARK)
    after = rest[rest.index("\n## ") + 1 :] if "\n## " in rest else ""
    command = f"`python benchmarks/acasxu_phases.py --timeout {timeout:g}`"
    head = f"{command}, full domain, two cores; {count} of {len(ALL)} networks. Published for 5_9: 13 proven in 2 h 03 min."
    section = f"{MARK}\n\n{head}\n\n"
    write_atomically(path, f"{before}{section}{text}\n{after and chr(10) + after}".encode())


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds of search per network")
    parser.add_argument("--networks", nargs="*", default=ALL, help="such as 5_9; all 45 by default")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    )
    parser.add_argument(
        "--work", type=Path, default=Path("acasxu-out"), help="folder of results; a complete one is not run again"
    )
    parser.add_argument("--recheck", action="store_true", help="check every certificate again, --strict, in its own process")
    options = parser.parse_args()
    for name in options.networks:
        model = options.data / "vnncomp" / "acasxu" / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx"
        options.work.mkdir(parents=True, exist_ok=True)
        complete(name, model, options.work / name, options)
    rows = [row(name, options.work / name) for name in ALL if (options.work / name / SUMMARY).is_file()]
    text = table(rows)
    print(text)
    write_results(text, len(rows), options.timeout)


if __name__ == "__main__":
    main()
