"""How long a large VNN-LIB file takes to read, and how much memory: a union of many boxes, as VNN-COMP's nn4sys has them.

    python benchmarks/vnnlib_reading.py [--disjuncts 120000] [--inputs 5] [--gzip]

Prints the processor seconds of reading the file and of going through all its disjuncts once, and this process's peak memory.
"""

from __future__ import annotations

import argparse
import gzip
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from secateur.specification.vnnlib import read_query

_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere


def lines(disjuncts: int, inputs: int) -> Iterator[str]:
    """A query whose disjuncts are boxes with numbers of their own and one condition on the outputs."""
    numbers = random.Random(1)
    for name in (*(f"X_{i}" for i in range(inputs)), "Y_0", "Y_1"):
        yield f"(declare-const {name} Real)\n"
    yield "(assert (or\n"
    for _ in range(disjuncts):
        lower = [numbers.random() for _ in range(inputs)]
        bounds = " ".join(f"(>= X_{i} {x:.9f}) (<= X_{i} {x + 0.1 * numbers.random():.9f})" for i, x in enumerate(lower))
        yield f"    (and {bounds} (<= Y_0 Y_1))\n"
    yield "))\n"


def measure(path: Path) -> None:
    """Read the file and go through its disjuncts."""
    size = path.stat().st_size
    started = time.process_time()
    query = read_query(path)
    read = time.process_time()
    count = sum(1 for _ in query.disjuncts())
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    print(f"file {size / 1e6:.1f} MB, {query.input_count} inputs, {count:,} disjuncts")
    print(f"read {read - started:.2f} s, all disjuncts once {ended - read:.2f} s, peak memory {peak / 1e6:.0f} MB")


def main() -> None:
    """Write such a file and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--disjuncts", type=int, default=120_000)
    parser.add_argument("--inputs", type=int, default=5)
    parser.add_argument("--gzip", action="store_true", help="pack the file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "query.vnnlib"
        with gzip.open(path, "wt") if options.gzip else path.open("w") as stream:
            stream.writelines(lines(options.disjuncts, options.inputs))
        measure(path)


if __name__ == "__main__":
    main()
