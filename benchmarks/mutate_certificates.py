"""Mutants of valid certificates of every kind: none may be accepted unless what it states is true.

    python benchmarks/mutate_certificates.py --seed S --mutants N [--kind KIND ...] --out DIR

Makes small certificates (tests/forged/bases.py), changes them (tests/forged/mutation.py), and checks every mutant in both
arithmetics. A mutant is refused; or accepted and true (tests/forged/truth.py decides, by Z3 and, of claims about float32, by
evaluations, too); or accepted under the condition of trusted facts that it names, and refused by `--strict`. The judge may
leave it unclear. Anything else is a fault of the checker:
WRONG (accepted, but false), CRASH (another exception than CheckInputError), DISAGREE (the two arithmetics differ). Such
mutants are written to DIR, with the table; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "engine"), str(ROOT / "encodings")]

from tests.forged.bases import KINDS, base  # noqa: E402 - from the checkout
from tests.forged.judging import OUTCOMES, Truth, judged  # noqa: E402 - as above
from tests.forged.mutation import Mutant, mutant_of  # noqa: E402

EACH = 40  # mutants of one base
FAULTS = ("WRONG", "CRASH", "DISAGREE")
PERIOD = 10.0  # seconds between lines of progress


def save(mutant: Mutant, outcome: str, words: str, folder: Path) -> None:
    """Writes a mutant that shows a fault."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**mutant.files, "mutant.secateur": mutant.certificate}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "why.txt").write_text(f"{outcome}: {mutant.change}\n{words}\n")


def campaign(kind: str, seed: int, mutants: int, out: Path) -> Counter[str]:
    """The outcomes of mutants of one kind."""
    rng, truth, found, said = random.Random(f"{kind} {seed}"), Truth(), Counter[str](), time.monotonic()
    for number in range(mutants):
        if number % EACH == 0:
            own, truth = base(kind, seed + number // EACH), Truth()
        mutant = mutant_of(own, rng)
        with tempfile.TemporaryDirectory() as name:
            outcome, words = judged(mutant, Path(name), truth)
        found[outcome] += 1
        if outcome in FAULTS:
            save(mutant, outcome, words, out / f"{kind.replace(', ', '-')}-{seed}-{number}")
        if time.monotonic() - said > PERIOD:
            said = time.monotonic()
            counts = ", ".join(f"{count:,} {outcome}" for outcome, count in found.most_common())
            print(f"{kind}: {number + 1:,} of {mutants:,}: {counts}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutants", type=int, default=1500, help="of each kind")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="several are possible; default: all")
    parser.add_argument("--out", type=Path, required=True)
    own = parser.parse_args()
    own.out.mkdir(parents=True, exist_ok=True)
    table = {}
    print(f"| kind | mutants | {' | '.join(OUTCOMES)} |\n|---|---|{'---|' * len(OUTCOMES)}", flush=True)
    for kind in own.kind or KINDS:
        found = table[kind] = campaign(kind, own.seed, own.mutants, own.out)
        print(f"| {kind} | {found.total():,} | {' | '.join(f'{found[o]:,}' for o in OUTCOMES)} |", flush=True)
        (own.out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    return 1 if any(found[o] for found in table.values() for o in FAULTS) else 0


if __name__ == "__main__":
    sys.exit(main())
