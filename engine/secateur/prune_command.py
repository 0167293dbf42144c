"""The command `secateur prune`: one smaller network, with its certificate and report."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from secateur.amounts import plural
from secateur.flags import add_claim_flags, add_domain_flags, domain_given, integer, natural, number, preserved
from secateur.options import SOLVERS

if TYPE_CHECKING:
    from secateur.api import PruneResult

__all__ = ["add_parser"]

_OK, _INTERRUPTED = 0, 130


def add_parser(commands: Any) -> None:
    """Add `prune` to the subcommands of a parser."""
    parser = commands.add_parser(
        "prune",
        allow_abbrev=False,
        help="write a smaller network with a certificate and a report",
        description="Prove which neurons a network does not need on a domain, and write a smaller network, a certificate "
        "and a report. Ctrl-C ends the search and saves what was decided.",
    )
    parser.add_argument("model", metavar="MODEL", help="the network, an ONNX file")
    add_domain_flags(parser)
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the results")
    add_claim_flags(parser)
    parser.add_argument("--timeout", metavar="S", type=number, default=300.0, help="seconds for the search (default 300)")
    parser.add_argument("--jobs", metavar="N", type=integer, help="threads (default: all cores)")
    parser.add_argument("--solver", choices=SOLVERS, default="z3", help="who confirms each proof (default z3)")
    parser.add_argument("--seed", metavar="N", type=natural, default=0, help="of the random points (default 0)")
    parser.set_defaults(run=_prune)


def _prune(options: argparse.Namespace) -> int:
    from secateur.options import PruneOptions
    from secateur.progress import ConsoleProgress
    from secateur.specification.numerals import parse_rational

    tolerance = parse_rational(options.tolerance, "--tolerance")
    jobs = {} if options.jobs is None else {"jobs": options.jobs}
    preserve = preserved(options)
    # before anything is read
    PruneOptions(tolerance, options.timeout, solver=options.solver, seed=options.seed, preserve=preserve, **jobs)
    with ConsoleProgress() as progress:
        from secateur.api import prune, read_model

        model = read_model(options.model)
        result = prune(
            model,
            domain_given(options, model.network.input_size),
            out=options.out,
            tolerance=tolerance,
            preserve=preserve,
            timeout=options.timeout,
            jobs=options.jobs,
            solver=options.solver,
            seed=options.seed,
            progress=progress,
        )
    print("\n".join(_told(result, options.out)))
    return _INTERRUPTED if result.interrupted else _OK


def _told(result: PruneResult, folder: str) -> list[str]:
    """The outcome in a few lines."""
    s = result.summary
    status, evidence = s["status"], s["evidence"]
    lines = [f"{s['model']['file']} -> {folder}/{s['reduced_model']['file']}"]
    lines += [f"  {key:<11} {s[key]['original']:,} -> {s[key]['reduced']:,}" for key in ("neurons", "parameters", "bytes")]
    lines.append("  status      " + ", ".join(f"{number:,} {name}" for name, number in status.items()))
    kinds = Counter(neuron["kind"] for neuron in s["removed"])
    if kinds:
        lines.append("  removed     " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items())))
    lines.append(f"  claim       {s['claim']}")
    lines.append(
        f"  evidence    {plural(evidence['exact'], 'claim')} by intervals, {evidence['tree']:,} by split trees "
        f"({plural(s['tree']['nodes'], 'box', 'boxes')}), {evidence['solver']:,} by a solver alone"
    )
    if evidence["solver_name"]:
        claims = evidence["exact"] + evidence["tree"] + evidence["solver"]
        left = f", no time for {evidence['late_for_smt']:,}" if evidence["late_for_smt"] else ""
        confirmed = f"{evidence['confirmed_by_smt']:,} of {plural(claims, 'claim')}"
        lines.append(f"  confirmed   {confirmed} by {evidence['solver_name']}{left}")
    if s["interrupted"]:
        lines.append("  stopped     by Ctrl-C after " + f"{s['seconds']:.1f} s; what was decided is saved")
    lines.append(f"  report      {folder}/report.html")
    lines.append(f"  check it    secateur check {folder}")
    return lines
