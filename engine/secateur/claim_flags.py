"""Flags that several commands share: what a smaller network may change, and which arithmetic a claim is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from secateur.errors import InputError
from secateur.options import SEMANTICS

if TYPE_CHECKING:
    from secateur.specification.comparison import Decision

__all__ = ["add_claim_flags", "add_semantics", "preserved"]

_RULES = ("argmax", "argmin")


def add_claim_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--tolerance`, `--preserve`, `--decision` and `--lead`."""
    parser.add_argument("--tolerance", metavar="E", default="0", help="largest admitted change of an output (default 0)")
    parser.add_argument("--preserve", choices=("decision",), help="outputs may change, the winning output may not")
    parser.add_argument("--decision", choices=_RULES, help="which output wins (default argmax); only with --preserve")
    parser.add_argument("--lead", metavar="M", help="winners that lead by no more than M may change; only with --preserve")


def add_semantics(parser: argparse.ArgumentParser) -> None:
    """Add `--semantics`."""
    parser.add_argument(
        "--semantics",
        choices=SEMANTICS,
        default="real",
        help="what is proven: of the function over the reals, or of every float32 evaluation in the sense of "
        "FORMAT.md, section 11: sums in any order, fused or not (default real)",
    )


def preserved(options: argparse.Namespace) -> Decision | None:
    """The decision that shall stay the same; None where outputs count."""
    from secateur.specification.comparison import Decision
    from secateur.specification.numerals import parse_rational

    if options.preserve is None:
        for flag, value in (("--decision", options.decision), ("--lead", options.lead)):
            if value is not None:
                raise InputError("is only for --preserve decision", where=flag)
        return None
    return Decision(options.decision or "argmax", parse_rational(options.lead or "0", "--lead"))
