"""Runs that are killed at random moments: what they leave behind, and whether a later run brings them to the same end.

    python benchmarks/faults.py --out faults [--kills 50] [--seed 0] [--kind prune|slice|vnncomp|isolated]

Each kind runs once undisturbed. Then the same command is killed up to five times with SIGKILL (its whole process group, or only
its first process) and started again until it ends by itself, over and over. Half of the kills wait for a file to change first:
that is where halves would be left. After each kill every file under its final name has to be complete, a certificate that is
there accepted, no finished work gone, and nobody at work. At the end the result has to be that of the undisturbed run.
Needs Linux. Exit code 1 where anything of this fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from secateur.checker import Accepted, check
from secateur.reduction.slicing.ledger import Ledger
from secateur.vnncomp.results import read_results, witness_folder
from secateur.vnncomp.tables import aligned

NETWORKS = Path(__file__).resolve().parent / "networks"
WINE, WINE_DOMAIN = NETWORKS / "wine.onnx", NETWORKS / "wine.domain.json"
MOST = 5  # kills of one run
SETTLE = 5.0  # seconds until whoever was orphaned has to be gone
MARK = "SECATEUR_FAULTS"  # environment variable by which the processes of a run are recognised

Files = Mapping[Path, tuple[int, int]]


class Run(ABC):
    """A command and the folder that it works in. words : of the command line; the same to begin and to go on."""

    words: list[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def prepare(self) -> None:
        """Put into the empty folder what lies there before the first start."""

    @abstractmethod
    def finished(self) -> Mapping[str, object]:
        """Parts of the work that are done, by name; a part whose value changes was done again."""

    @property
    def is_done(self) -> bool:
        """Whether the results are complete, so that the command refuses to begin again."""
        return False

    @abstractmethod
    def result(self) -> object:
        """What has to be the same as after an undisturbed run."""

    def faults(self) -> Iterator[str]:
        """What is wrong with the files under their final names."""
        for path in visible(self.folder):
            try:
                if path.suffix == ".json":
                    json.loads(path.read_text())
                elif path.suffix == ".onnx":
                    onnx.checker.check_model(onnx.load(path))
            except Exception as error:  # whatever a reader of half a file raises
                yield f"{path} is damaged: {error}"
        for path in visible(self.folder):
            if path.suffix != ".secateur":
                continue
            verdict = check(path, original=WINE, strict=True)
            if not isinstance(verdict, Accepted):
                yield f"{path} is refused: {verdict}"


class Prune(Run):
    """wine, exactly, into the folder of an earlier result that is not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.words = ["prune", str(WINE), "--domain", str(WINE_DOMAIN), "--out", str(folder / "out"), "--jobs", "1"]

    def prepare(self) -> None:
        earlier = self.folder.with_name("earlier")
        if not earlier.exists():
            words = [*self.words[:4], "--out", str(earlier), "--tolerance", "0.5", "--timeout", "2"]
            subprocess.run([sys.executable, "-m", "secateur", *words], check=True, capture_output=True, env=environment())
        shutil.copytree(earlier, self.folder / "out")

    def finished(self) -> Mapping[str, object]:
        return {}  # it is short, and begins anew

    def result(self) -> object:
        summary = json.loads((self.folder / "out" / "summary.json").read_text())
        return summary["claim"], summary["status"], summary["neurons"]


class Slice(Run):
    """wine in slices."""

    def __init__(self, folder: Path, slices: int = 12) -> None:
        super().__init__(folder)
        self.words = ["slice", str(WINE), "--domain", str(WINE_DOMAIN), "--slices", str(slices)]
        self.words += ["--out", str(folder / "out"), "--jobs", "2"]

    def prepare(self) -> None:
        (self.folder / "out").mkdir()  # empty, as a folder that somebody made beforehand

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.folder / "out.partial")

    def finished(self) -> Mapping[str, object]:
        return {path.stem: path.stat().st_ino for path in self._ledger.folder.glob("[!.]*.slice")}

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        for name in self.finished():
            if self._ledger.slice(name) is None:
                yield f"slice {name} is damaged"

    @property
    def is_done(self) -> bool:
        return (self.folder / "out" / "family.secateur").exists()

    def result(self) -> object:
        return (self.folder / "out" / "manifest.json").read_bytes()


class Benchmark(Run):
    """Robustness of wine around some of its inputs, as a benchmark of the competition."""

    def __init__(self, folder: Path, instances: int, *, isolated: bool) -> None:
        super().__init__(folder)
        self._instances, self._results = instances, folder / "results.csv"
        self.words = ["vnncomp", "run", str(folder / "wine"), "--out", str(self._results), "--resume"]
        self.words += ["--isolated", "--jobs", "2"] if isolated else ["--jobs", "1"]

    def prepare(self) -> None:
        place = self.folder / "wine"
        (place / "onnx").mkdir(parents=True)
        (place / "vnnlib").mkdir()
        shutil.copy(WINE, place / "onnx")
        points = np.load(NETWORKS / "wine.data.npy").astype(float)
        half = (points.max(axis=0) - points.min(axis=0)) / 2
        for i in range(self._instances):
            radius = half * (0.02 + 0.3 * (i % 7) / 7)
            (place / "vnnlib" / f"{i}.vnnlib").write_text(robustness(points[i], radius, i % 3))
        rows = (f"onnx/wine.onnx,vnnlib/{i}.vnnlib,60\n" for i in range(self._instances))
        (place / "instances.csv").write_text("".join(rows))

    def finished(self) -> Mapping[str, object]:
        whole = self._results.read_bytes().rpartition(b"\n")[0] if self._results.exists() else b""
        return {line.split(",")[2]: line for line in whole.decode().splitlines()}

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        witnesses = {path.stem for path in witness_folder(self._results).rglob("*.counterexample")}
        for name, line in self.finished().items():
            if ",sat," in str(line) and f"wine_{Path(name).stem}" not in witnesses:
                yield f"{name} is sat without a witness"

    def result(self) -> object:
        return [(row.vnnlib, row.result) for row in read_results(self._results)]


def robustness(point: np.ndarray, radius: np.ndarray, label: int) -> str:
    """A query for a point of the box at which output `label` does not lead alone."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(point))] + [f"(declare-const Y_{j} Real)" for j in range(3)]
    for i, (centre, r) in enumerate(zip(point, radius, strict=True)):
        lines += [f"(assert (>= X_{i} {centre - r:.6f}))", f"(assert (<= X_{i} {centre + r:.6f}))"]
    others = " ".join(f"(and (>= Y_{j} Y_{label}))" for j in range(3) if j != label)
    return "\n".join([*lines, f"(assert (or {others}))", ""])


Maker = Callable[[Path], Run]
KINDS: Mapping[str, Maker] = {
    "prune": Prune,
    "slice": Slice,
    "vnncomp": lambda folder: Benchmark(folder, 60, isolated=False),
    "isolated": lambda folder: Benchmark(folder, 12, isolated=True),
}


@dataclass
class Tally:
    """What the kills of a kind showed. seconds : of an undisturbed run; worked : of all killed runs together."""

    seconds: float
    runs: int = 0
    kills: int = 0
    worked: float = 0.0
    done: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)

    def cells(self, kind: str) -> list[str]:
        mean = f"{self.worked / max(1, self.runs):.1f}"
        return [kind, *map(str, (self.kills, self.runs, self.done, self.again, len(self.faults))), f"{self.seconds:.1f}", mean]


HEADER = ("kind", "kills", "runs", "parts done before a kill", "lost or done again", "faults", "undisturbed s", "killed, mean s")


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), MARK: str(os.getpid())}


def visible(folder: Path) -> list[Path]:
    """The files under final names."""
    below = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def snapshot(folder: Path) -> Files:
    found = {}
    for path in folder.rglob("*"):
        try:
            found[path] = (path.stat().st_ino, path.stat().st_size)
        except FileNotFoundError:  # it was temporary
            continue
    return found


def at_work() -> set[int]:
    """The processes of our runs, wherever they belong; zombies have no environment, and are dead."""
    mark, found = f"{MARK}={os.getpid()}".encode(), set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def started(run: Run) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "secateur", *run.words]
    log = (run.folder.parent / "log.txt").open("ab")
    with log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=environment(), start_new_session=True)


def killed(run: Run, process: subprocess.Popen[bytes], chance: random.Random, seconds: float) -> bool:
    """Kill the process within so many seconds; False if it ended by itself before."""
    end, aimed, whole = time.monotonic() + chance.uniform(0, seconds), chance.random() < 0.5, chance.random() < 0.5
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.005)
    before = snapshot(run.folder)
    while aimed and process.poll() is None and snapshot(run.folder) == before:
        pass
    if process.poll() is not None:
        return False
    (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    return True


def orphans() -> set[int]:
    """Who is still at work some seconds after the kill; they are ended."""
    end = time.monotonic() + SETTLE
    while (left := at_work()) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def disturbed(run: Run, chance: random.Random, kills: int, tally: Tally) -> None:
    """Start the command, kill it up to `kills` times, start it again, and let it end."""
    run.prepare()
    tally.runs += 1
    while True:
        begun, before = time.monotonic(), run.finished()
        process = started(run)
        ended = not (kills and killed(run, process, chance, tally.seconds * 0.7))
        code = process.wait()
        tally.worked += time.monotonic() - begun
        if left := orphans():
            tally.faults.append(f"{len(left)} processes still at work")
        tally.faults += run.faults()
        after = run.finished()
        tally.again += sum(after.get(name) != value for name, value in before.items() if not run.is_done)
        if ended:
            tally.faults += [f"exit code {code}"] if code else []
            return
        tally.kills, tally.done, kills = tally.kills + 1, tally.done + len(after), kills - 1
        if run.is_done:
            return


def campaign(kind: str, make: Maker, kills: int, chance: random.Random, place: Path) -> Tally:
    """So many kills of one kind of run, below `place`."""

    def fresh() -> Run:
        shutil.rmtree(place / "run", ignore_errors=True)
        (place / "run").mkdir(parents=True)
        return make(place / "run")

    calm, tally = fresh(), Tally(float("inf"))
    disturbed(calm, chance, 0, tally)
    expected, tally = calm.result(), Tally(tally.worked, faults=tally.faults)
    while tally.kills < kills:
        run, known = fresh(), len(tally.faults)
        disturbed(run, chance, min(chance.randint(1, MOST), kills - tally.kills), tally)
        if len(tally.faults) == known and run.result() != expected:
            tally.faults.append("another result than the undisturbed run's")
        for fault in tally.faults[known:]:
            print(f"{kind}: {fault}", file=sys.stderr, flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--kills", metavar="N", type=int, default=50, help="in all, shared by the kinds (default 50)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only this kind; may be given again")
    options = parser.parse_args()
    kinds, chance = options.kind or list(KINDS), random.Random(options.seed)
    rows, clean = [], True
    for number, kind in enumerate(kinds):
        share = options.kills * (number + 1) // len(kinds) - options.kills * number // len(kinds)
        tally = campaign(kind, KINDS[kind], share, chance, options.out.resolve() / kind)
        rows.append(tally.cells(kind))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        clean = clean and not tally.faults
    print("\n".join(aligned(HEADER, rows)))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
