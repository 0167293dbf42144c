"""Child processes: what they leave, and that a limit ends them with all their helpers."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.vnncomp.processes import Children

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
