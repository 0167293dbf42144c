"""The commands `secateur equiv` and `secateur distance`: two networks compared on a box.

Standard output carries the answer (`holds`, `violated` with a point, `unknown`; or the bounds of a distance), standard error the
rest. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from secateur.amounts import plural
from secateur.errors import InputError
from secateur.flags import add_search_flags, add_semantics, number, search_limits
from secateur.one_answer import OneAnswer, tell_beside

if TYPE_CHECKING:
    from secateur.search import Distance, Verdict

__all__ = ["add_parsers"]

_LEAST_SECONDS = 0.05


def add_parsers(commands: Any) -> None:
    """Add `equiv` and `distance` to the subcommands of a parser."""
    _add_equiv(commands)
    _add_distance(commands)


def _add_equiv(commands: Any) -> None:
    parser = commands.add_parser(
        "equiv",
        allow_abbrev=False,
        help="decide whether two networks agree on a box",
        description="Do two networks agree wherever the inputs lie in the domain? Prints holds, violated (with a point where "
        "they do not, and both networks' outputs there) or unknown (the reason goes to standard error).",
    )
    _add_pair(parser)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--epsilon", metavar="E", help="agree means: every output differs by at most E")
    how.add_argument(
        "--decision",
        metavar="RULE",
        help="agree means: where ORIGINAL has a single winner (argmax or argmin), OTHER has the same",
    )
    parser.add_argument("--margin", metavar="M", help="with --decision: only where the winner leads by more than M (default 0)")
    add_semantics(parser)
    parser.add_argument("--certificate", metavar="FILE", help="write evidence that secateur check accepts")
    add_search_flags(parser)
    parser.set_defaults(run=_equiv)


def _add_distance(commands: Any) -> None:
    parser = commands.add_parser(
        "distance",
        allow_abbrev=False,
        help="bound the largest difference of two networks' outputs on a box",
        description="How far apart are two networks' outputs at most, wherever the inputs lie in the domain? Prints a lower "
        "bound, a certified upper bound, and the output and the point where the lower one is attained.",
    )
    _add_pair(parser)
    parser.add_argument(
        "--tolerance",
        metavar="SHARE",
        type=number,
        default=0.01,
        help="how far the bounds may stay apart, as a share of the lower (default 0.01)",
    )
    parser.add_argument("--certificate", metavar="FILE", help="write evidence of the upper bound, proven once more")
    add_search_flags(parser, seconds=60, solver=False)
    parser.set_defaults(run=_distance)


def _add_pair(parser: Any) -> None:
    parser.add_argument("original", metavar="ORIGINAL", help="a network, an ONNX file or .gz of one")
    parser.add_argument("other", metavar="OTHER", help="another with as many inputs and outputs")
    what = "the inputs of interest: JSON, npz or VNN-LIB (its input part)"
    parser.add_argument("--domain", metavar="FILE", required=True, help=what)


def _equiv(options: argparse.Namespace) -> int:
    from secateur.progress import ConsoleProgress

    limits = search_limits(options)  # before anything is read
    if options.margin is not None and options.decision is None:
        raise InputError("is only for --decision", where="--margin")
    # A certificate is checked and written after the verdict, outside the time limit.
    with OneAnswer("unknown", options.timeout if options.certificate is None else None) as answer:
        with ConsoleProgress() as progress:
            from secateur.oracle import equivalent

            verdict = equivalent(
                options.original,
                options.other,
                options.domain,
                epsilon=options.epsilon,
                decision=options.decision,
                margin=options.margin or "0",
                semantics=options.semantics,
                certificate=options.certificate,
                progress=progress,
                **limits,
            )
        answer.give(_told(verdict))
    return 0


def _told(verdict: Verdict) -> str:
    from secateur.search import Holds, Unknown, Violated

    tell_beside(verdict)
    match verdict:
        case Holds():
            return "holds\n"
        case Violated(witness=witness):
            return "violated\n" + witness.text()
        case Unknown():
            return "unknown\n"


def _distance(options: argparse.Namespace) -> int:
    from secateur.progress import ConsoleProgress

    limits = search_limits(options)  # before anything is read
    begun = time.monotonic()
    # A certificate is proven, checked and written after the answer, outside the time limit.
    with OneAnswer("unknown", options.timeout if options.certificate is None else None) as answer:
        with ConsoleProgress() as progress:
            from secateur.oracle import distance

            limits["timeout"] = max(options.timeout - (time.monotonic() - begun), _LEAST_SECONDS)  # imports took their time
            found = distance(
                options.original,
                options.other,
                options.domain,
                tolerance=options.tolerance,
                certificate=options.certificate,
                progress=progress,
                **limits,
            )
        answer.give(_measured(found))
    return 0


def _measured(found: Distance) -> str:
    from secateur.specification.numerals import format_rational

    s = found.statistics
    print(f"{plural(s.nodes, 'sub-domain')}, {s.seconds:.2f} s", file=sys.stderr)
    if not found.finished:
        print("secateur: the bounds are further apart than asked for; more time would narrow them", file=sys.stderr)
    lower, upper = found.floats()
    lines: list[tuple[str, Iterable[object]]] = [
        ("lower", [lower]),
        ("upper", [upper]),
        ("output", [found.output]),
        ("point", map(format_rational, found.point)),
        ("original", map(float, found.outputs[0])),
        ("other", map(float, found.outputs[1])),
    ]
    return "".join(f"{name} {' '.join(map(str, values))}\n" for name, values in lines)
