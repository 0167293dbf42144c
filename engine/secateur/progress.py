"""Tells the person in front of the terminal what is going on, on standard error and only there.

Long work takes a `Progress` and speaks to it; it never prints. On a terminal `ConsoleProgress` keeps one
live line (rich, imported only then); elsewhere it writes plain lines, an update at most every two seconds.
A reader of standard error that goes away never disturbs the work. Texts may hold anything: control
characters are shown, not obeyed.

One thread speaks to a `Progress`. Use it as a context manager, so that Ctrl-C leaves the terminal as it was.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

__all__ = ["ConsoleProgress", "Progress", "SilentProgress"]

PLAIN_PERIOD = 2.0  # seconds between two plain updates


class Progress(Protocol):
    """What long work may say. Every method returns at once and never fails."""

    def stage(self, name: str) -> None:
        """A new part of the work begins, named in a word or two."""

    def update(self, text: str, fraction: float | None = None) -> None:
        """How far the stage is; `fraction` lies in [0, 1], or is None where nobody knows."""

    def note(self, text: str) -> None:
        """A line that stays: something the user should know."""

    def close(self) -> None:
        """Clears the live line; may be called more than once."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class _Closing:
    """A context manager that closes, whatever happened inside."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to clear."""


class SilentProgress(_Closing):
    """Says nothing: the default for the Python interface."""

    def stage(self, name: str) -> None:
        """Ignored."""

    def update(self, text: str, fraction: float | None = None) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


class _Forgiving:
    """A text stream that goes quiet when its reader has gone, instead of raising."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None where the process was started without standard error
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._attempt(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(lambda stream: stream.flush())

    def isatty(self) -> bool:
        return bool(self._attempt(lambda stream: stream.isatty()))

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    def _attempt(self, action: Callable[[TextIO], object]) -> object:
        if self._stream is None:
            return None
        try:
            return action(self._stream)
        except (OSError, ValueError):  # ValueError: the stream was closed by someone else
            self._stream = None
            return None


def _printable(text: str) -> str:
    """One line in which nothing moves the cursor: file names may hold escape sequences."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


class ConsoleProgress(_Closing):
    """A live line on a terminal, plain lines elsewhere.

    Parameters
    ----------
    stream : where to write; standard error by default.
    clock : seconds from any origin, non-decreasing.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = _Forgiving(sys.stderr if stream is None else stream)
        self._clock = clock
        self._begun = self._stage_begun = clock()
        self._next_line = self._begun
        self._stage, self._text = "", ""
        self._fraction: float | None = None
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._live: Live | None = None

    def stage(self, name: str) -> None:
        self._stage, self._text, self._fraction = _printable(name), "", None
        self._stage_begun = self._clock()
        if self._terminal:
            self._show()
        else:
            self._line(self._stage)

    def update(self, text: str, fraction: float | None = None) -> None:
        self._text, self._fraction = _printable(text), fraction
        if self._terminal:
            self._show()
        elif self._clock() >= self._next_line:
            self._line(self._summary())

    def note(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(_printable(text), markup=False, highlight=False, soft_wrap=True)
        else:
            self._line(_printable(text))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _summary(self) -> str:
        share = "" if self._fraction is None else f"{min(max(self._fraction, 0.0), 1.0):.0%}"
        return "  ".join(filter(None, (self._stage, share, self._text)))

    def _line(self, text: str) -> None:
        now = self._clock()
        self._next_line = now + PLAIN_PERIOD
        self._stream.write(f"[{now - self._begun:7.1f} s] {text}\n")
        self._stream.flush()

    def _show(self) -> None:
        """Starts the live line; it then reads the present state several times a second by itself."""
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream)  # type: ignore[arg-type]  # the part of TextIO that rich uses
        self._live = Live(
            get_renderable=self._render,
            console=console,
            transient=True,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _render(self) -> Text:
        from rich.text import Text

        seconds = self._clock() - self._stage_begun
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{seconds:6.1f} s  ", style="dim")
        text.append(self._stage, style="bold")
        if self._fraction is not None:
            full = round(24 * min(max(self._fraction, 0.0), 1.0))
            text.append("  ").append("━" * full, style="green").append("━" * (24 - full), style="dim")
        return text.append(f"  {self._text}")
