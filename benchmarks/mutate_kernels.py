"""Whether the tests notice faults in the arithmetic: plants one at a time in a copy of the sources, and runs the tests on it.

    python benchmarks/mutate_kernels.py [--only PART] [--first N] [--count N] [--jobs 1] [--seconds 240]

The faults are those of `kernel_faults.py`. Each is planted in a copy of engine, encodings and tests in a temporary folder, where
the tests of the module's package run until one fails. The kernels are not compiled for that (`NUMBA_DISABLE_JIT=1`): the
vector loops, which exist only as compiled code, are replaced by `tests/bounds/plain_microkernel.py`, which has faults of its own,
and the test that compares digests of sources is left out, for it would notice any change. Tests that do not end count as failed;
their limit is one of CPU time, lest a busy machine look like a fault. The tests run first without a fault, and have to pass in a
third of that. One line per fault, with the first test that failed and how; exit code 1 where one survived.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kernel_faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("engine", "encodings", "tests", "benchmarks", "pyproject.toml")
SUITES = {
    "bounds": [
        f"tests/bounds/test_{name}.py"
        for name in (
            "agreement", "differences", "goals", "batch", "root", "columns", "quantised", "rounding", "microkernel", "slack",
        )
    ],
    "checker": [
        f"tests/checker/test_{name}.py"
        for name in (
            "exact", "walk", "root", "chain", "differences", "arithmetic", "pair_arithmetic", "goals", "row_layer", "slack",
            "slack_arithmetic", "refutation", "refuted_leaves",
        )
    ],
}  # fmt: skip
FIRST = {
    "python_arithmetic": "arithmetic",
    "relaxation": "pair_arithmetic",
    "differences": "differences",
    "mixing": "goals",
    "root": "root",
    "chain": "chain",
    "walk": "walk",
    "nodes": "goals",
    "fast_rows": "arithmetic",
    "fast_kernels": "goals",
    "fast_differences": "pair_arithmetic",
    "columns": "columns",
    "slack": "slack",
    "refutation": "refutation",
}  # by module, the tests that are nearest: they run first
PLAIN = "tests/bounds/plain_microkernel.py"
LEFT_OUT = "tests/checker/test_arithmetic.py::test_compiled_code_is_dropped_when_what_it_calls_into_changes"
WARM = "    warmup()\n"
UNSHRUNK = """
from hypothesis import HealthCheck, Phase, settings

phases = [Phase.explicit, Phase.generate]  # a failure is all that counts, and none is that the machine is busy
settings.register_profile("unshrunk", phases=phases, database=None, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("unshrunk")
"""
LIMITED = ("/bin/sh", "-c", 'ulimit -t "$0" && exec "$@"')  # followed by CPU seconds and a command


def copied(folder: Path) -> None:
    """The sources in a folder, with tests that run without compiled kernels."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    conftest = folder / "tests" / "conftest.py"
    planted(conftest, WARM, WARM.replace("warmup()", "assert warmup"))
    conftest.write_text(conftest.read_text() + UNSHRUNK)


def planted(path: Path, old: str, new: str) -> None:
    """Replaces a text that must occur exactly once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"error: {path.name}: {old!r} occurs {text.count(old)} times, not once")
    path.write_text(text.replace(old, new))


def run_tests(folder: Path, package: str, nearest: str, seconds: int) -> str:
    """The first test that fails and its error, "" where none does."""
    suite = sorted(SUITES[package], key=lambda path: not path.endswith(f"test_{nearest}.py"))
    arguments = [*LIMITED, str(seconds), sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    arguments += ["--hypothesis-seed=0", *suite, "--deselect", LEFT_OUT]
    arguments += ["-W", "ignore::RuntimeWarning"]  # inf * 0 in a void row, of which compiled kernels do not warn
    paths = os.pathsep.join(str(folder / name) for name in ("engine", "encodings"))
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    if done.returncode == -signal.SIGXCPU:
        return f"no end within {seconds} s of CPU time"
    found = re.search(r"^(?:FAILED|ERROR) (.+)", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"error: the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1].strip()


def tried(fault: Fault | None, package: str, seconds: int) -> str:
    """The first test that notices a fault, and how; "" for none."""
    with tempfile.TemporaryDirectory(prefix="secateur-mutant-") as name:
        folder = Path(name)
        copied(folder)
        if fault:
            planted(folder / fault.path, fault.old, fault.new)
        shutil.copy(folder / PLAIN, folder / "engine" / "secateur" / "bounds" / "microkernel.py")
        nearest = FIRST.get(Path(fault.file).stem, "") if fault else ""
        return run_tests(folder, package, nearest, seconds)


def check_list(faults: Sequence[Fault]) -> None:
    """Stops before anything runs where a fault cannot be planted."""
    for fault in faults:
        unfit = fault.unfit((ROOT / fault.path).read_text())
        if unfit:
            raise SystemExit(f"error: {unfit}")


def shown(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def report(number: int, fault: Fault, seconds: int) -> bool:
    """Plants one fault and prints what came of it. Whether it was noticed."""
    start = time.monotonic()
    noticed = tried(fault, fault.package, seconds)
    words = f"{number:3d} {'caught  ' if noticed else 'SURVIVED'} {time.monotonic() - start:5.0f} s  {fault.file}"
    print(f"{words}: {shown(fault.old)} -> {shown(fault.new) or '(nothing)'}  {shown(noticed, 160)}", flush=True)
    return noticed != ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the file's name")
    parser.add_argument("--first", type=int, default=0, help="number of the first fault, of those chosen")
    parser.add_argument("--count", type=int, default=len(FAULTS))
    parser.add_argument("--jobs", type=int, default=1, help="faults that are tried side by side")
    parser.add_argument("--seconds", type=int, default=240, help="CPU time for the tests of one fault")
    own = parser.parse_args()
    check_list(FAULTS)
    chosen = [fault for fault in FAULTS if own.only in fault.file][own.first : own.first + own.count]
    packages = sorted({fault.package for fault in chosen})
    with ThreadPoolExecutor(own.jobs) as pool:
        for failed in pool.map(lambda package: tried(None, package, own.seconds // 3), packages):
            if failed:
                raise SystemExit(f"error: without any fault: {failed}")
        numbered = enumerate(chosen, own.first)
        caught = sum(pool.map(lambda pair: report(*pair, own.seconds), numbered))
    print(f"{len(chosen)} faults, {caught} caught, {len(chosen) - caught} survived")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
