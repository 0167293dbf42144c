"""The command `secateur slice`: a family of smaller networks, one for each part of the domain."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from secateur.amounts import plural
from secateur.flags import add_claim_flags, add_domain_flags, domain_given, integer, natural, number, preserved

if TYPE_CHECKING:
    from secateur.slicing import FamilyResult

__all__ = ["add_parser"]

_OK, _INTERRUPTED = 0, 130


def add_parser(commands: Any) -> None:
    """Add `slice` to the subcommands of a parser."""
    parser = commands.add_parser(
        "slice",
        allow_abbrev=False,
        help="cut the domain into slices, and write a smaller network for each",
        description="Cut the domain into boxes and write a smaller network for each of them, with one certificate and a report. "
        "Ctrl-C ends the search and saves what was decided; a run that was killed goes on when it is started again.",
    )
    parser.add_argument("model", metavar="MODEL", help="the network, an ONNX file")
    add_domain_flags(parser)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--slices", metavar="N", type=integer, help="so many, cut where it stabilises most neurons")
    how.add_argument("--max-neurons", metavar="K", type=integer, help="cut until no slice's network has more neurons")
    how.add_argument("--rounds", metavar="R", type=integer, help="cut every coordinate of every slice in half, R times")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the results, which does not exist yet")
    add_claim_flags(parser)
    parser.add_argument("--timeout", metavar="S", type=number, default=3600.0, help="seconds for all slices (default 3600)")
    parser.add_argument("--jobs", metavar="N", type=integer, help="slices in work at a time (default: all cores)")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the sampled points (default 0)")
    parser.set_defaults(run=_slice)


def _slice(options: argparse.Namespace) -> int:
    from secateur.options import SliceOptions
    from secateur.progress import ConsoleProgress
    from secateur.specification.numerals import parse_rational

    claim: dict[str, Any] = {"tolerance": parse_rational(options.tolerance, "--tolerance"), "preserve": preserved(options)}
    jobs = {} if options.jobs is None else {"jobs": options.jobs}
    how = {"slices": options.slices, "max_neurons": options.max_neurons, "rounds": options.rounds}
    SliceOptions(**how, timeout=options.timeout, seed=options.seed, **claim, **jobs)  # before anything is read
    with ConsoleProgress() as progress:
        from secateur.api import read_model
        from secateur.slicing import slice_network

        model = read_model(options.model)
        result = slice_network(
            model,
            domain_given(options, model.network.input_size),
            out=options.out,
            **how,
            **claim,
            timeout=options.timeout,
            jobs=options.jobs,
            seed=options.seed,
            progress=progress,
        )
    print("\n".join(_told(result, options.out)))
    return _INTERRUPTED if result.interrupted else _OK


def _told(result: FamilyResult, folder: str) -> list[str]:
    """The outcome in a few lines."""
    s = result.summary
    lines = [f"{s['model']['file']} -> {folder}, {plural(s['slices'], 'slice')} ({plural(s['files'], 'distinct network')})"]
    for key in ("parameters", "neurons"):
        own = s[key]
        spread = f"(median {own['median']:,.0f}, {own['min']:,} to {own['max']:,})"
        lines.append(f"  {key:<11} {own['original']:,} -> {own['mean']:,.0f} on average {spread}")
    undecided = s["undecided"]
    if s["removed"]:
        kinds = ", ".join(f"{count:,.1f} {kind}" for kind, count in s["removed"].items())
        lines.append(f"  removed     {kinds}, per slice")
    lines.append(f"  claim       {s['claim']}")
    lines.append(f"  undecided   {plural(undecided['neurons'], 'neuron')} in {plural(undecided['slices'], 'slice')}")
    if s["late"]:
        lines.append(f"  not done    {s['late']}")
    if s["interrupted"]:
        lines.append(f"  stopped     by Ctrl-C after {s['seconds']:.1f} s; what was decided is saved")
    lines.append(f"  report      {folder}/report.html")
    lines.append(f"  check it    secateur check {folder}")
    lines.append(f"  use it      secateur.Family.load({folder!r}).predict(X)")
    return lines
