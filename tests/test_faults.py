"""The benchmark of killed runs, in small: a few kills, and that it notices what it looks for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import faults

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark finds processes in /proc")


def small_benchmark(folder: Path) -> faults.Run:
    return faults.Benchmark(folder, 4, isolated=True)


def two_slices(folder: Path) -> faults.Run:
    return faults.Slice(folder, 2)


@pytest.mark.parametrize(("make", "kills"), [(two_slices, 2), (small_benchmark, 1)])
def test_killed_runs_come_to_the_same_end(tmp_path: Path, make: faults.Maker, kills: int) -> None:
    tally = faults.campaign("small", make, kills, random.Random(3), tmp_path)
    assert (tally.kills, tally.again, tally.faults) == (kills, 0, [])


def test_halves_are_noticed(tmp_path: Path) -> None:
    run = faults.Slice(tmp_path, 2)
    run.prepare()
    (tmp_path / "out" / "manifest.json").write_text('{"half')
    (tmp_path / "out" / "net.onnx").write_bytes(faults.WINE.read_bytes()[:-100])
    (tmp_path / "out" / "family.secateur").write_bytes(b"half")
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "x.slice").write_bytes(b"half")
    (tmp_path / "out" / ".hidden.json").write_text("{")
    found = list(run.faults())
    assert [fault.split()[-1] if "slice" in fault else Path(fault.split()[0]).name for fault in sorted(found)] == [
        "family.secateur", "manifest.json", "net.onnx", "damaged",
    ]  # fmt: skip


def test_processes_that_stay_are_noticed_and_ended() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, env=faults.environment(), start_new_session=True) as left:
        assert left.pid in faults.at_work()
        assert faults.orphans() == {left.pid}
        assert left.wait() == -9
    assert left.pid not in faults.at_work()
    assert os.getpid() not in faults.at_work()
