"""Processes that kill themselves at a chosen moment."""

from __future__ import annotations

__all__ = ["DYING"]

DYING = """
import os, signal, sys
def die_at(event, number, mark):
    left = [number]
    def hook(name, arguments):
        if name == event and mark in str(arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
"""
"""Code that defines `die_at(event, number, mark)`: SIGKILL just before the so-many-th event of CPython's audit table (such as
`os.rename` and `os.remove`) whose arguments contain the mark."""
