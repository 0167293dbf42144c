"""The command `secateur neuron`: is a neuron, or a set of them, redundant on a domain, and in which way?

Standard output: `holds`, `violated` or `unknown`, then the claim, what took each neuron's place, and after `violated` the exact
point and the values that show it. Everything else goes to standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from secateur.flags import add_search_flags, integer, search_limits
from secateur.one_answer import OneAnswer, tell_beside

if TYPE_CHECKING:
    from secateur.reduction.redundancy import Changed, Redundancy

__all__ = ["add_parsers"]

_LONGEST = 40
"""Characters of an exact value beyond which the nearest float stands in; points are always exact."""


def add_parsers(commands: Any) -> None:
    """Add `neuron` to the subcommands of a parser."""
    parser = commands.add_parser(
        "neuron",
        allow_abbrev=False,
        help="decide whether neurons are redundant on a domain",
        description="Are these neurons redundant wherever the inputs lie in the domain? Prints holds, violated (with the point "
        "and the values that show it) or unknown (the reason goes to standard error).",
    )
    parser.add_argument("model", metavar="MODEL", help="the network, an ONNX file or .gz of one")
    parser.add_argument("--layer", metavar="I", type=integer, required=True, help="the ReLU layer, from 1")
    parser.add_argument("--index", metavar="J[,J...]", type=_indices, required=True, help="the neurons, from 0; several at once")
    parser.add_argument("--domain", metavar="FILE", required=True, help="the inputs: JSON, npz or VNN-LIB (its input part)")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        required=True,
        help="phase (never positive, or never negative, before the ReLU), forward (linearising changes nothing), relaxed "
        "(changes nothing by more than --tolerance) or result (changes no decision)",
    )
    parser.add_argument(
        "--lookahead", metavar="K", type=integer, help="forward, relaxed: nothing in layer I+K (default: no output)"
    )
    parser.add_argument(
        "--replace",
        metavar="HOW",
        help="the output becomes zero, identity (its input z), constant (the middle of its range) or line (the best affine "
        "function of z); default: identity for neurons that are active, zero for others",
    )
    parser.add_argument("--tolerance", metavar="E", help="relaxed: largest admitted change")
    parser.add_argument("--decision", metavar="RULE", help="result: argmax (default) or argmin")
    parser.add_argument("--margin", metavar="M", help="result: only where the winner leads by more than M (default 0)")
    parser.add_argument("--certificate", metavar="FILE", help="write evidence that secateur check accepts")
    add_search_flags(parser)
    parser.set_defaults(run=_neuron)


def _indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 3 or 3,7") from None


def _neuron(options: argparse.Namespace) -> int:
    from secateur.progress import ConsoleProgress

    limits = search_limits(options)  # before anything is read
    # A certificate is checked and written after the verdict, outside the time limit.
    with OneAnswer("unknown", options.timeout if options.certificate is None else None) as answer:
        with ConsoleProgress() as progress:
            from secateur.neurons import redundancy

            found = redundancy(
                options.model,
                options.layer,
                options.index,
                options.domain,
                options.kind,
                lookahead=options.lookahead,
                replace=options.replace,
                tolerance=options.tolerance,
                decision=options.decision,
                margin=options.margin,
                certificate=options.certificate,
                progress=progress,
                **limits,
            )
        answer.give("".join(f"{line}\n" for line in _told(found)))
    return 0


def _told(found: Redundancy) -> list[str]:
    from secateur.search import Holds, Unknown, Violated

    tell_beside(found.verdict)
    match found.verdict:
        case Holds():
            word = "holds"
        case Violated():
            word = "violated"
        case Unknown():
            word = "unknown"
    return [word, f"claim: {found.words}", *_neurons(found), *_shown(found)]


def _neurons(found: Redundancy) -> Iterator[str]:
    """What is known of each neuron, and what took its place."""
    for i in found.claim.neurons:
        facts = [f"r -> {found.lines[i].words}"] if i in found.lines else []
        facts += [f"{found.phases[i].value} on D"] if i in found.phases else []
        if facts:
            yield f"neuron {i}: {', '.join(facts)}"


def _shown(found: Redundancy) -> Iterator[str]:
    """The counterexample, line by line."""
    from secateur.reduction.redundancy import BothSigns, Changed

    match found.counterexample:
        case BothSigns(neuron=neuron, points=points, values=values):
            for point, z in zip(points, values, strict=True):
                yield f"neuron {neuron}: z = {_value(z)} at {_point(point)}"
        case Changed() as changed:
            yield f"at {_point(changed.point)}"
            yield from _compared(changed, decision=found.claim.kind == "result")


def _compared(changed: Changed, *, decision: bool) -> Iterator[str]:
    """The values that tell the networks apart: all of them for a decision, else those that differ."""
    for i, (one, other) in enumerate(zip(changed.original, changed.linearised, strict=True)):
        if decision or one != other:
            yield f"value {i}: {_value(one)}, linearised {_value(other)}, difference {_value(abs(one - other))}"


def _value(value: Fraction) -> str:
    from secateur.search.attack import nearest_floats
    from secateur.specification.numerals import format_rational

    text = format_rational(value)
    return text if len(text) <= _LONGEST else f"about {float(nearest_floats([value])[0])!r}"


def _point(point: Sequence[Fraction]) -> str:
    from secateur.specification.numerals import format_rational

    return "x = " + " ".join(map(format_rational, point))
