"""Progress lines: what is written, how often, and that nothing ever disturbs the work."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from secateur.progress import ConsoleProgress, Progress, SilentProgress

ENGINE = Path(__file__).resolve().parent.parent / "engine"


class Clock:
    """Time that the test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_child(code: str, **streams: int) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ENGINE), "TERM": "xterm"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        timeout=60,
        check=False,
        stdout=subprocess.PIPE,
        **streams,
    )


def on_terminal(code: str) -> tuple[int, bytes, str]:
    """Exit code, standard output and what a terminal on standard error received."""
    leader, follower = pty.openpty()
    try:
        done = run_child(code, stderr=follower)
        os.close(follower)
        received = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # Linux says so when the last follower has gone and everything was read
                break
            if not chunk:
                break
            received += chunk
    finally:
        os.close(leader)
    return done.returncode, done.stdout, received.decode()


def test_plain_lines_name_time_stage_share_and_text() -> None:
    clock, stream = Clock(), io.StringIO()
    with ConsoleProgress(stream, clock) as progress:
        progress.stage("search")
        clock.now += 2.5
        progress.update("120 boxes, 3 open", 0.25)
        clock.now += 2.5
        progress.update("240 boxes, 1 open")
    assert stream.getvalue().splitlines() == [
        "[    0.0 s] search",
        "[    2.5 s] search  25%  120 boxes, 3 open",
        "[    5.0 s] search  240 boxes, 1 open",
    ]


def test_plain_updates_are_at_least_two_seconds_apart() -> None:
    clock, stream = Clock(), io.StringIO()
    with ConsoleProgress(stream, clock) as progress:
        progress.stage("search")
        for _ in range(100):
            clock.now += 0.125
            progress.update("working")
    times = [float(line[1:8]) for line in stream.getvalue().splitlines()]
    assert times == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]


def test_stages_and_notes_are_never_held_back() -> None:
    stream = io.StringIO()
    progress = ConsoleProgress(stream, Clock())
    for name in ("read", "attack", "search"):
        progress.stage(name)
    progress.note("first run: compiling")
    words = [line.split("] ")[1] for line in stream.getvalue().splitlines()]
    assert words == ["read", "attack", "search", "first run: compiling"]


@pytest.mark.parametrize(("fraction", "shown"), [(-1.0, "0%"), (0.0, "0%"), (0.5, "50%"), (7.0, "100%")])
def test_fraction_is_clamped(fraction: float, shown: str) -> None:
    clock, stream = Clock(), io.StringIO()
    progress = ConsoleProgress(stream, clock)
    clock.now += 5
    progress.update("x", fraction)
    assert f" {shown}  x" in stream.getvalue()


def test_control_characters_are_shown_not_obeyed() -> None:
    stream = io.StringIO()
    ConsoleProgress(stream, Clock()).note("net\x1b[2J\n.onnx\a [bold]")
    assert stream.getvalue() == "[    0.0 s] net\ufffd[2J .onnx\ufffd [bold]\n"


def test_nothing_reaches_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with ConsoleProgress() as progress:
        progress.stage("search")
        progress.note("hello")
    out, err = capfd.readouterr()
    assert out == ""
    assert "search" in err
    assert "hello" in err


def test_silent_progress_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress: Progress = SilentProgress()
    with progress:
        progress.stage("search")
        progress.update("x", 0.5)
        progress.note("y")
    assert capfd.readouterr() == ("", "")


def test_close_may_be_called_twice_and_passes_errors_on() -> None:
    progress = ConsoleProgress(io.StringIO(), Clock())
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    progress.close()
    progress.close()
    progress.note("still usable")


def test_a_closed_stream_is_survived() -> None:
    stream = io.StringIO()
    progress = ConsoleProgress(stream, Clock())
    progress.stage("one")
    stream.close()
    progress.stage("two")
    progress.note("three")
    assert stream.closed


SPEAK = """
from secateur.progress import ConsoleProgress
with ConsoleProgress() as progress:
    for k in range(3):
        progress.stage(f"stage {k}"); progress.update("half", 0.5); progress.note(f"note {k}")
print("done")
"""


def test_a_reader_that_went_away_is_survived() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_child(SPEAK, stderr=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_process_without_standard_error_is_survived() -> None:
    close = "import os, sys; os.close(2); sys.stderr = None\n"
    done = run_child(close + SPEAK)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_terminal_gets_a_live_line_and_its_cursor_back() -> None:
    code, out, received = on_terminal(SPEAK)
    assert (code, out) == (0, b"done\n")
    assert "\x1b[?25l" in received, "a live line hides the cursor"
    assert received.rindex("\x1b[?25h") > received.rindex("\x1b[?25l")
    assert "stage 0" in received
    assert all(f"note {k}" in received for k in range(3))


def test_interrupt_gives_the_cursor_back() -> None:
    interrupted = (
        "import os, signal\nfrom secateur.progress import ConsoleProgress\n"
        "with ConsoleProgress() as progress:\n"
        "    progress.stage('search')\n    os.kill(os.getpid(), signal.SIGINT)\n    input()\n"
    )
    code, _, received = on_terminal(interrupted)
    assert code != 0
    assert "KeyboardInterrupt" in received
    assert received.rindex("\x1b[?25h") > received.rindex("\x1b[?25l")


def test_rich_is_not_imported_without_a_terminal() -> None:
    done = run_child(SPEAK + "import sys; print('rich' in sys.modules)", stderr=subprocess.DEVNULL)
    assert done.stdout.split() == [b"done", b"False"]
