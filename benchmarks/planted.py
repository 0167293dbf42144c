"""Soundness on networks whose hidden counterexample is known, built by `benchmarks/planting.py`: no answer may be wrong.

    python benchmarks/planted.py [--seed 0] [--count 100] [--timeout 3] [--jobs 1]

Asked of every network: whether the output stays below the threshold that only the planted spike reaches, and whether the
network equals its twin without the spike up to just below the spike's height. Both are false. For balance the first question
is asked of the twin without the spike and of the twin whose spike ends one float32 number below the threshold: there it is
true, and an answer `violated` would be wrong. Prints a table by margin and size; ends with 1, naming the seeds, if any answer is
wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import secateur

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.planting import MARGINS, Planted, plant, write_network

WRONG = {"planted": "holds", "equivalence": "holds", "removed": "violated", "thin": "violated"}
"""The answer that would be wrong, for every kind of question."""

SIZES = ((6, 8), (12, 20), (30, 40))
"""Most inputs, and most random neurons of a layer; each is used for one seed of every margin in turn."""


def ask(engine: secateur.Engine, made: Planted, folder: Path, timeout: float) -> Iterator[tuple[str, str]]:
    """All questions about one network: kind and answer (`holds`, `violated` or `unknown`)."""
    files = {kind: write_network(folder / f"{kind}.onnx", getattr(made, kind)) for kind in ("layers", "removed", "thin")}
    box = secateur.Box([-1] * len(made.point), [1] * len(made.point))
    below = secateur.Specification(box, secateur.outputs @ [1] < Fraction(made.threshold))
    for kind, file in (("planted", "layers"), ("removed", "removed"), ("thin", "thin")):
        yield kind, type(engine.verify(files[file], below, timeout=timeout)).__name__.lower()
    same = engine.equivalent(files["layers"], files["removed"], box, epsilon=made.threshold, timeout=timeout)
    yield "equivalence", type(same).__name__.lower()


def main() -> int:
    """Ask, print the table, and say what was wrong."""
    parser = argparse.ArgumentParser(description="Planted counterexamples: no answer may be wrong.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds per question")
    parser.add_argument("--jobs", type=int, default=1)
    flags = parser.parse_args()
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong = []
    with secateur.Engine(jobs=flags.jobs) as engine, tempfile.TemporaryDirectory() as folder:
        for seed in range(flags.seed, flags.seed + flags.count):
            largest, width = SIZES[seed // len(MARGINS) % len(SIZES)]
            made = plant(seed, largest=largest, width=width)
            for kind, answer in ask(engine, made, Path(folder), flags.timeout):
                counts[f"{made.margin}, {width}", kind, answer] += 1
                if answer == WRONG[kind]:
                    wrong.append(f"seed {seed}: {kind} is said to be {answer}")
            print(f"{seed - flags.seed + 1} of {flags.count}, wrong: {len(wrong)}", file=sys.stderr, flush=True)
    print(table(counts))
    print("\n".join(wrong) or "No wrong answer.")
    return 1 if wrong else 0


def table(counts: Counter[tuple[str, str, str]]) -> str:
    """A row per margin and size: for every kind, how often it held, was violated, and stayed unknown."""
    lines = [
        "| margin, width | " + " | ".join(f"{kind}: holds / violated / unknown" for kind in WRONG) + " |",
        "|---" * (len(WRONG) + 1) + "|",
    ]
    for margin in (f"{margin}, {width}" for _, width in SIZES for margin in MARGINS):
        cells = (" / ".join(str(counts[margin, kind, answer]) for answer in ("holds", "violated", "unknown")) for kind in WRONG)
        lines.append(f"| {margin} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
