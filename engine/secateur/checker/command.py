"""`secateur check` and `python -m secateur.checker`: exit 0 accepted, 1 refused, 2 bad input."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from secateur.checker.check import Accepted, check
from secateur.checker.refusal import CheckInputError

__all__ = ["main"]

PERIOD = 2.0  # seconds between two lines of progress


class _Lines:
    """Progress as plain lines on standard error, at most one every two seconds, none in the first two."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PERIOD

    def __call__(self, text: str, _: float | None) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PERIOD
            print(text, file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as for any other bad input."""

    def error(self, message: str) -> NoReturn:
        raise CheckInputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="secateur check",
        description="Checks that a certificate proves its claim, independently of the engine.",
    )
    parser.add_argument("path", help="the certificate, or the folder that contains certificate.secateur or family.secateur")
    parser.add_argument("--original", metavar="FILE", help="the (original) network, if it has moved")
    parser.add_argument("--query", metavar="FILE", help="the VNN-LIB query, if it has moved")
    parser.add_argument("--reduced", metavar="FILE", help="the reduced network, if it has moved")
    parser.add_argument("--strict", action="store_true", help="refuse what rests on a solver's word")
    parser.add_argument(
        "--arithmetic",
        choices=("fast", "exact"),
        default="fast",
        help="fast: compiled (default); exact: plain Python integers",
    )
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=os.cpu_count() or 1, help="processes for a large family (default: all cores)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Checks what the arguments say, prints the verdict on standard output, and returns the exit code."""
    try:
        given = _parser().parse_args(argv)
        verdict = check(
            given.path,
            original=given.original,
            reduced=given.reduced,
            query=given.query,
            strict=given.strict,
            arithmetic=given.arithmetic,
            progress=_Lines(),
            jobs=given.jobs,
        )
    except SystemExit as stop:  # the help was printed
        return stop.code if isinstance(stop.code, int) else 2
    except CheckInputError as error:
        print(f"secateur: error: {error}", file=sys.stderr)
        return 2
    print(verdict.statement if isinstance(verdict, Accepted) else verdict)
    return 0 if isinstance(verdict, Accepted) else 1
