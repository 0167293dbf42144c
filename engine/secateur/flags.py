"""Flags that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError
from secateur.options import SEMANTICS, SOLVERS, VerifyOptions

if TYPE_CHECKING:
    from secateur.specification import Domain
    from secateur.specification.comparison import Decision

__all__ = [
    "add_claim_flags",
    "add_domain_flags",
    "add_search_flags",
    "add_semantics",
    "domain_given",
    "integer",
    "natural",
    "number",
    "preserved",
    "search_limits",
]

_RULES = ("argmax", "argmin")


def number(text: str) -> float:
    """The type of a flag."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def integer(text: str) -> int:
    """The type of a flag."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def natural(text: str) -> int:
    """The type of a flag: a whole number from 0."""
    value = integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def add_domain_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--domain`, `--box`, and `--data` with its `--margin`."""
    domain = parser.add_mutually_exclusive_group(required=True)
    domain.add_argument("--domain", metavar="FILE", help="the inputs of interest: JSON, npz or VNN-LIB (its input part)")
    domain.add_argument("--box", metavar="LO,HI", help="the same interval for every input, such as --box=-1,1")
    domain.add_argument("--data", metavar="FILE", help="the box around a data set, .npy of shape (samples, features)")
    parser.add_argument("--margin", metavar="M", help="widen the box around --data by M on every side (default 0)")


def domain_given(options: argparse.Namespace, input_size: int) -> Domain:
    """The domain that the flags mean, of a network with so many inputs."""
    from secateur.specification import box_domain, data_domain, read_domain

    if options.margin is not None and options.data is None:
        raise InputError("is only for --data", where="--margin")
    if options.box is not None:
        return box_domain(options.box, input_size)
    if options.data is not None:
        return data_domain(options.data, options.margin or "0")
    return read_domain(options.domain)


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


def add_search_flags(parser: argparse.ArgumentParser, *, seconds: int = 300, solver: bool = True) -> None:
    """Add `--timeout`, `--jobs`, `--solver` and `--seed` of a search for one answer."""
    what = f"seconds, reading included (default {seconds})"
    parser.add_argument("--timeout", metavar="S", type=number, default=float(seconds), help=what)
    parser.add_argument("--jobs", metavar="N", type=integer, help="threads (default: all cores)")
    if solver:
        parser.add_argument("--solver", choices=SOLVERS, default="z3", help="who gets what the engine leaves (default z3)")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the attack (default 0)")


def search_limits(options: argparse.Namespace) -> dict[str, Any]:
    """What these flags say, as arguments of the function that searches. InputError where it makes no sense."""
    limits = {name: value for name, value in vars(options).items() if name in ("timeout", "jobs", "solver", "seed")}
    VerifyOptions(**{name: value for name, value in limits.items() if value is not None})
    return limits


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
