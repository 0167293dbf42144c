"""Differential fuzzing: random small networks and questions, every answer compared with an exact encoding of its own in Z3.

    python benchmarks/fuzz.py --seed 1 --minutes 10 --out fuzzed

Ends with a table, and with status 1 where an answer was wrong; each wrong one lies in OUT/finding-*.json. Ctrl-C ends it early.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import secateur
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.driver import Campaign


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--queries", type=int, help="end after so many")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds for a question (default 1)")
    parser.add_argument("--out", type=Path, help="folder for counts.json and finding-*.json")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started it in the background, with Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    secateur.warmup()
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder), options.timeout) as bench:
        campaign = Campaign(options.seed, options.minutes, options.queries, options.out)
        campaign.run(bench)
    print(f"\n{campaign.counts.table()}")
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
