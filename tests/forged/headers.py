"""Changes of a certificate's header, or of any JSON, at one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["drop", "set_in"]


def set_in(*path: str | int, to: Any) -> Callable[[Any], object]:
    """Puts `to` at the end of the path."""

    def change(header: Any) -> None:
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[Any], object]:
    """Removes what is at the end of the path."""

    def change(header: Any) -> None:
        for key in path[:-1]:
            header = header[key]
        del header[path[-1]]

    return change
