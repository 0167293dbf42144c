"""The command `secateur export`: the claims of a certificate for other tools."""

from __future__ import annotations

import argparse
import sys
from typing import Any

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `export` to the subcommands of a parser."""
    parser = commands.add_parser(
        "export",
        allow_abbrev=False,
        help="write what a certificate claims for other tools to confirm",
        description="Write each claim of a certificate as a query that any verifier or SMT solver can answer, or the certificate "
        "as JSON. Nothing is checked here: that is what secateur check, and those tools, are for.",
    )
    parser.add_argument("certificate", metavar="CERT", help="the certificate, or the folder that contains it")
    form = parser.add_mutually_exclusive_group(required=True)
    for name, text in (
        ("vnnlib", "networks and VNN-LIB queries, 1.0 and 2.0, with instances.csv"),
        ("smtlib", "an SMT-LIB 2 text for each claim, exact"),
        ("json", "the certificate itself, unpacked, to read"),
    ):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=text)
    parser.add_argument("--out", metavar="PATH", required=True, help="a folder that is missing or empty; with --json a new file")
    parser.add_argument("--original", metavar="FILE", help="the (original) network, if it has moved")
    parser.add_argument("--reduced", metavar="FILE", help="the reduced network, if it has moved")
    parser.add_argument("--query", metavar="FILE", help="the VNN-LIB query, if it has moved")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from secateur.progress import ConsoleProgress

    with ConsoleProgress() as progress:
        from secateur.exporting import export

        done = export(
            options.certificate,
            options.out,
            form=options.form,
            original=options.original,
            reduced=options.reduced,
            query=options.query,
            progress=progress,
        )
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    count = len(done.files)
    print(f"{done.path}: {count:,} file{'s' * (count != 1)}\n  claim       {done.claim}")
    return 0
