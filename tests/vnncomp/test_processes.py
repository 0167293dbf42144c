"""Child processes: what they leave, and that a limit ends them with all their helpers."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.network import to_model_bytes
from secateur.vnncomp.processes import Children
from tests.search.queries import layered
from tests.vnncomp.tiny import SOURCES

POSIX = pytest.mark.skipif(os.name != "posix", reason="sessions and waitid are POSIX")


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path(f"/proc/{pid}").exists() else True


def test_output_errors_and_exit_code() -> None:
    finished = Children().run(python("import sys; print('sat'); print('log', file=sys.stderr); sys.exit(3)"), 60)
    assert (finished.code, finished.output, finished.errors, finished.killed) == (3, b"sat\n", b"log\n", False)
    assert 0 < finished.seconds < 60


@POSIX
def test_peak_memory_is_that_of_the_child() -> None:
    # Asked by a small process: the system counts what a child shares with its parent before it starts to run.
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; from secateur.vnncomp.processes import Children;"
        "child = [sys.executable, '-c', 'x = bytearray(300_000_000); x[::4096] = bytes(len(x[::4096]))'];"
        "print(Children().run(child, 60).peak_bytes)"
    )
    finished = Children().run(python(program), 120)
    assert finished.code == 0, finished.errors
    assert 300_000_000 <= int(finished.output) < 400_000_000


def test_a_program_that_reads_its_input_finds_none_unless_it_is_on_a_leash() -> None:
    reading = python("import sys; print(len(sys.stdin.read()))")
    found = Children().run(reading, 60)
    assert (found.killed, found.output) == (False, b"0\n")
    assert Children().run(reading, 2, leash=True).killed


@POSIX
def test_the_limit_kills_the_helpers_too(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(helper.pid))\n"
        "print('sat', flush=True)\n"
        "time.sleep(600)\n"
    )
    finished = Children().run(python(code, str(mark)), 3)
    assert finished.killed
    assert finished.code < 0
    assert finished.output == b"sat\n"
    helper = int(mark.read_text())
    for _ in range(100):
        if not alive(helper):
            break
        time.sleep(0.05)
    assert not alive(helper)


@POSIX
def test_kill_all_ends_what_runs_and_what_is_started_later() -> None:
    children = Children()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(children.run(python("import time; time.sleep(600)"), 600)))
    thread.start()
    time.sleep(0.3)
    children.kill_all()
    thread.join(60)
    assert [finished.killed for finished in ended] == [True]
    assert children.run(python("import time; time.sleep(600)"), 600).killed


def test_a_program_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^no-such-program: cannot be started: No such file or directory$"):
        Children().run(["no-such-program"], 1)


def endless_benchmark(folder: Path) -> None:
    """One instance that takes hours: 24 inputs, and a threshold between what points show and what bounds do."""
    random = np.random.default_rng(7)
    sizes = (24, 40, 40, 1)
    layers = [(random.integers(-3, 4, size=(m, n)).tolist(), [0.0] * m) for n, m in itertools.pairwise(sizes)]
    (folder / "net.onnx").write_bytes(to_model_bytes(layered(*layers)))
    inputs = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} -1))(assert (<= X_{i} 1))" for i in range(24))
    (folder / "q.vnnlib").write_text(f"{inputs}(declare-const Y_0 Real)(assert (>= Y_0 6000))")
    (folder / "instances.csv").write_text("net.onnx,q.vnnlib,3600\n")


def commands() -> dict[int, bytes]:
    """The command lines of all processes that are alive."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("when", [0.05, 3.0])
def test_an_isolated_instance_ends_when_its_runner_is_killed(tmp_path: Path, when: float) -> None:
    endless_benchmark(tmp_path)
    words = ["vnncomp", "run", str(tmp_path), "--out", str(tmp_path / "results.csv"), "--isolated"]
    query = bytes(tmp_path / "q.vnnlib")
    with subprocess.Popen([sys.executable, "-m", "secateur", *words], env=os.environ | {"PYTHONPATH": SOURCES}) as runner:
        end = time.monotonic() + 60
        while not (found := [pid for pid, words in commands().items() if query in words.split(b"\0")]):
            assert time.monotonic() < end
        time.sleep(when)
        assert all(map(alive, found))
        runner.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while any(map(alive, found)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, found))
