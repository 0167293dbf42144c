"""What one call of a warm engine costs beside the kernels: many robustness questions about one network, one after the other.

    python benchmarks/overhead.py [--data ../shared/data] [--calls 1000]

Overhead of a call: the wall time of `Engine.verify(path, robust(x, eps, label))`, less the wall time spent inside the compiled
entry point `bounds.kernels.evaluate_batch` (numba's reading of its arguments included) and inside the attack's evaluations of
the network, values and slopes (`Attack._evaluate`, `Attack._slopes`, `Network.forward`); both are timed by stand-ins around
them. Everything else counts: the file's time stamp, the query, exact bounds, columns, the tree, the verdict. CPU time is that of
the calling thread, for machines that are busy with other work. The specification is made before the clock starts. Points: near
the bundled data, or random ones; boxes so small that most questions are refuted at once.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import secateur
from secateur.bounds import kernels, warmup
from secateur.network import Network, parse_onnx
from secateur.search.attack import Attack

HERE = Path(__file__).resolve().parent
WINE = HERE / "networks" / "wine.onnx"
ACAS = Path("vnncomp", "acasxu", "onnx", "ACASXU_run2a_1_1_batch_2000.onnx")

Floats = NDArray[np.float64]


class Call(NamedTuple):
    """One call: seconds of wall time, those of them that are overhead, the same in CPU time of this thread, and the verdict."""

    wall: float
    overhead: float
    cpu: float
    verdict: str


@dataclass
class Clock:
    """Seconds spent in what is not overhead, wall and CPU; stand-ins that call each other are counted once."""

    wall: float = 0.0
    cpu: float = 0.0
    inside: bool = False

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if self.inside:
                return function(*arguments, **named)
            self.inside = True
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.wall += time.perf_counter() - wall
                self.cpu += time.thread_time() - cpu
                self.inside = False

        return timed


@contextmanager
def watched() -> Iterator[Clock]:
    """A clock around kernels and the attack's evaluations."""
    clock = Clock()
    places = [(kernels, "evaluate_batch"), (Attack, "_evaluate"), (Attack, "_slopes"), (Network, "forward")]
    patches = [patch.object(owner, name, clock.around(getattr(owner, name))) for owner, name in places]
    for one in patches:
        one.start()
    try:
        yield clock
    finally:
        for one in patches:
            one.stop()


def measure(path: Path, points: Floats, radius: Floats, jobs: int) -> list[Call]:
    """One call per point, about the label that the network gives it."""
    network = parse_onnx(path.read_bytes(), str(path), path.parent)
    points = points.astype(np.float32)
    labels = network.forward(points.astype(np.float64)).argmax(axis=1)
    calls = []
    warmup()
    with secateur.Engine(jobs=jobs) as engine, watched() as clock:
        for x, label in zip(points, labels, strict=True):
            claim = secateur.robust(x, radius, int(label))
            clock.wall = clock.cpu = 0.0
            cpu, begun = time.thread_time(), time.perf_counter()
            verdict = engine.verify(path, claim)
            wall, cpu = time.perf_counter() - begun, time.thread_time() - cpu
            calls.append(Call(wall, wall - clock.wall, cpu - clock.cpu, type(verdict).__name__))
    return calls[len(calls) // 10 :]  # the first ones fill the engine's memory


def wine_points(count: int) -> tuple[Floats, Floats]:
    """Points near those of the data; a radius of 0.2 % of each feature's range."""
    data = np.load(HERE / "networks" / "wine.data.npy").astype(np.float64)
    spread = np.ptp(data, axis=0)
    rng = np.random.default_rng(0)
    return data[rng.integers(len(data), size=count)] + rng.uniform(-0.01, 0.01, (count, len(spread))) * spread, 0.002 * spread


def acas_points(count: int) -> tuple[Floats, Floats]:
    """Points anywhere in the middle of the normalised inputs; a radius of 0.001."""
    return np.random.default_rng(0).uniform(-0.3, 0.3, (count, 5)), np.full(5, 0.001)


def told(name: str, calls: list[Call]) -> str:
    wall, overhead, cpu = (np.array([getattr(c, field) for c in calls]) * 1e3 for field in ("wall", "overhead", "cpu"))
    shown = ", ".join(f"{number} {verdict}" for verdict, number in sorted(Counter(c.verdict for c in calls).items()))
    medians = f"median overhead {np.median(overhead):.2f} ms (CPU {np.median(cpu):.2f}), of {np.median(wall):.2f} ms"
    return f"{name}: {len(calls)} calls ({shown}); {medians}; 90 % of calls below {np.percentile(overhead, 90):.2f} ms"


def main() -> None:
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data = Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1, help="threads of the kernels (default 1)")
    options = parser.parse_args()
    print(told("wine", measure(WINE, *wine_points(options.calls), options.jobs)))
    if (options.data / ACAS).exists():
        print(told("ACAS Xu 1_1", measure(options.data / ACAS, *acas_points(options.calls), options.jobs)))
    else:
        print(f"ACAS Xu: {options.data / ACAS} is absent")


if __name__ == "__main__":
    main()
