"""Whether the tests notice faults in the arithmetic: plants one at a time in a copy of the sources, and runs the tests on it.

    python benchmarks/mutate_kernels.py [--only PART] [--first N] [--count N] [--timeout 300]

The faults are those of `kernel_faults.py`. Each is planted in a copy of engine, encodings and tests in a temporary folder, where
the tests of the module's package run until one fails. The kernels are not compiled for that (`NUMBA_DISABLE_JIT=1`): the
vector loops, which exist only as compiled code, are replaced by `tests/bounds/plain_microkernel.py`, and the test that compares
digests of sources is left out, for it would notice any change. The tests run first without a fault, and have to pass. One
line per fault, with the first test that failed; exit code 1 where one survived.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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
            "exact", "walk", "root", "chain", "differences", "arithmetic", "pair_arithmetic", "goals", "row_layer",
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
}  # by module, the tests that are nearest: they run first
LEFT_OUT = "tests/checker/test_arithmetic.py::test_compiled_code_is_dropped_when_what_it_calls_into_changes"
WARM = "    warmup()\n"
UNSHRUNK = """
from hypothesis import Phase, settings

settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate], database=None)  # a failure is all that counts
settings.load_profile("unshrunk")
"""


def copied(folder: Path) -> None:
    """The sources in a folder, made to run without compiled kernels."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shutil.copy(ROOT / "tests" / "bounds" / "plain_microkernel.py", folder / "engine" / "secateur" / "bounds" / "microkernel.py")
    conftest = folder / "tests" / "conftest.py"
    planted(conftest, WARM, WARM.replace("warmup()", "assert warmup"))
    conftest.write_text(conftest.read_text() + UNSHRUNK)


def planted(path: Path, old: str, new: str) -> None:
    """Replaces a text that must occur exactly once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"error: {path.name}: {old!r} occurs {text.count(old)} times, not once")
    path.write_text(text.replace(old, new))


def run_tests(folder: Path, package: str, nearest: str, timeout: float) -> str:
    """The first test that fails, "" where none does."""
    suite = sorted(SUITES[package], key=lambda path: not path.endswith(f"test_{nearest}.py"))
    arguments = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    arguments += [*suite, "--deselect", LEFT_OUT]
    paths = os.pathsep.join(str(folder / name) for name in ("engine", "encodings"))
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {timeout:g} s"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"error: the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1]


def tried(fault: Fault | None, package: str, timeout: float) -> str:
    """The first test that notices a fault; "" for none."""
    with tempfile.TemporaryDirectory(prefix="secateur-mutant-") as name:
        folder = Path(name)
        copied(folder)
        if fault:
            planted(folder / "engine" / "secateur" / fault.file, fault.old, fault.new)
        nearest = FIRST.get(Path(fault.file).stem, "") if fault else ""
        return run_tests(folder, package, nearest, timeout)


def check_list(faults: Sequence[Fault]) -> None:
    """Stops before anything runs where a fault cannot be planted."""
    for fault in faults:
        count = (ROOT / "engine" / "secateur" / fault.file).read_text().count(fault.old)
        if count != 1:
            raise SystemExit(f"error: {fault.file}: {fault.old!r} occurs {count} times, not once")


def shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the file's name")
    parser.add_argument("--first", type=int, default=0, help="number of the first fault, of those chosen")
    parser.add_argument("--count", type=int, default=len(FAULTS))
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the tests of one fault")
    own = parser.parse_args()
    check_list(FAULTS)
    chosen = [fault for fault in FAULTS if own.only in fault.file][own.first : own.first + own.count]
    for package in sorted({fault.file.split("/")[0] for fault in chosen}):
        failed = tried(None, package, own.timeout)
        if failed:
            raise SystemExit(f"error: without any fault, {failed} fails")
    survivors = []
    for number, fault in enumerate(chosen, own.first):
        start = time.monotonic()
        noticed = tried(fault, fault.file.split("/")[0], own.timeout)
        if not noticed:
            survivors.append(fault)
        words = f"{number:3d} {'caught  ' if noticed else 'SURVIVED'} {time.monotonic() - start:5.0f} s  {fault.file}"
        print(f"{words}: {shown(fault.old)} -> {shown(fault.new) or '(nothing)'}  {noticed}", flush=True)
    print(f"{len(chosen)} faults, {len(chosen) - len(survivors)} caught, {len(survivors)} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
