"""What each technique of the solver core buys, on ACAS Xu queries: the same search with one technique taken out.

    python benchmarks/ablation.py [--data ../shared/data] [--timeout 60] [--instances 3_3:2 4_2:2 ...]

Every variant runs in a process of its own with its own kernels (compiling takes a minute each), one query after the other. Nodes
(sub-domains) do not depend on the machine; seconds are those of one run. Writes its section of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HARDEST = ["3_3:2", "4_2:2", "1_1:6", "5_3:2", "3_3:9", "4_9:1", "1_1:5", "4_6:1", "4_7:1", "1_6:2"]
MARK = "## What each technique buys"


def replace(place: Any, name: str, value: object) -> None:
    """Give a module or class another part. AttributeError where it has none of that name: it would change nothing."""
    getattr(place, name)
    setattr(place, name, value)


def no_cuts() -> None:
    """Sub-domains are never contracted."""
    from numba import njit

    from secateur.bounds import goals

    @njit
    def nothing(value: float, exponent: int, grid: int, row: Any, net: Any, low: Any, high: Any, s: Any) -> None:
        pass

    replace(goals, "_cut", nothing)


def no_mixed_rows() -> None:
    """Every row of a conjunction is bounded alone, without optimised slopes."""
    from numba import njit

    from secateur.bounds import goals

    @njit
    def never(k: int, count: int, net: Any, low: Any, high: Any, s: Any) -> bool:
        return False

    replace(goals, "as_slants", never)


def no_slopes() -> None:
    """Slopes stay as they are chosen first."""
    from secateur.search.refute import Refutation

    replace(import_module("secateur.search.decide"), "Refutation", partial(Refutation, steps=0))  # that name is a function, too


def equal_weights() -> None:
    """The rows of a conjunction are added up, each divided by its size, instead of weighed."""
    from secateur.bounds import mixing

    replace(mixing, "_SHIFTS", 1)


def longest_edge() -> None:
    """Splits the widest coordinate instead of the one with the best score."""
    from numba import njit

    from secateur.bounds import kernels

    @njit
    def widest(kmax: int, net: Any, lower: Any, upper: Any, s: Any) -> int:
        best, choice = 1.0, -2
        for i in range(net.sizes[0]):
            if s.new_high[i] - s.new_low[i] > best:
                best, choice = s.new_high[i] - s.new_low[i], i
        return choice

    replace(kernels, "_best_split", widest)


def no_residuals() -> None:
    """No sub-domain goes to the DPLL over phases or to SMT before it can be split no further."""
    from secateur.search import refute

    replace(refute, "_PAUSES", {})


def no_attack() -> None:
    """Counterexamples come from the search alone."""
    from secateur.search import attack

    replace(attack.Attack, "advance", lambda *_: [])


VARIANTS: dict[str, Callable[[], None]] = {
    "all techniques": lambda: None,
    "without cuts": no_cuts,
    "without mixed rows": no_mixed_rows,
    "mixed rows with equal weights": equal_weights,
    "without optimised slopes": no_slopes,
    "longest edge instead of the split score": longest_edge,
    "without residual queries": no_residuals,
    "without the attack": no_attack,
}


def measure(variant: str, options: argparse.Namespace) -> None:
    """Run one variant on all instances; one JSON line each."""
    VARIANTS[variant]()
    import secateur

    folder = options.data / "vnncomp" / "acasxu"
    with secateur.Engine() as engine:
        engine.verify(*files(folder, "1_1:3"), timeout=300.0)  # compiles
        for name in options.instances:
            verdict = engine.verify(*files(folder, name), timeout=options.timeout)
            s = verdict.statistics
            print(json.dumps([name, type(verdict).__name__, s.nodes, s.seconds]), flush=True)


def files(folder: Path, name: str) -> tuple[Path, Path]:
    """Network and query of an instance such as 3_3:2."""
    network, _, number = name.partition(":")
    return folder / "onnx" / f"ACASXU_run2a_{network}_batch_2000.onnx", folder / "vnnlib" / f"prop_{number}.vnnlib"


def rows_of(variant: str, options: argparse.Namespace) -> list[tuple[str, str, int, float]]:
    """The outcomes of one variant, from a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--variant", variant, "--data", str(options.data)]
        command += ["--timeout", str(options.timeout), "--instances", *options.instances]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"NUMBA_CACHE_DIR": cache})
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def table(results: dict[str, list[tuple[str, str, int, float]]], instances: Sequence[str]) -> str:
    """Markdown: sub-domains by variant and instance; those not decided in time in brackets."""
    lines = ["| | " + " | ".join(instances) + " | decided | sub-domains | s |", "|---" * (len(instances) + 4) + "|"]
    for variant, rows in results.items():
        cells = [f"{nodes:,}" if verdict != "Unknown" else f"({nodes:,})" for _, verdict, nodes, _ in rows]
        decided = sum(verdict != "Unknown" for _, verdict, _, _ in rows)
        total, seconds = sum(r[2] for r in rows), sum(r[3] for r in rows)
        lines.append("| " + " | ".join([variant, *cells, f"{decided}", f"{total:,}", f"{seconds:.1f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run all variants."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data = Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per query")
    parser.add_argument("--instances", nargs="*", default=HARDEST, help="such as 3_3:2 for network 3_3 and prop_2")
    parser.add_argument("--variant", choices=VARIANTS, help="run one in this process and print JSON lines")
    options = parser.parse_args()
    if options.variant:
        return measure(options.variant, options)
    results = {}
    for variant in VARIANTS:
        print(variant, file=sys.stderr)
        results[variant] = rows_of(variant, options)
    text = table(results, options.instances)
    print(text)
    from secateur.files import write_atomically

    path = HERE / "RESULTS.md"
    before, _, rest = path.read_text().partition(MARK)
    after = rest[rest.index("\n## ") + 1 :] if "\n## " in rest else ""
    command = f"`python benchmarks/ablation.py --timeout {options.timeout:g}`"
    head = f"{command}: sub-domains examined until decided, or in brackets until the time limit. Two cores."
    write_atomically(path, f"{before.rstrip()}\n\n{MARK}\n\n{head}\n\n{text}\n{after and chr(10) + after}".encode())
    return None


if __name__ == "__main__":
    main()
