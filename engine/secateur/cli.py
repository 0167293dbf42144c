"""The command `secateur`: prune, slice, verify, supports, equiv, distance, neuron, vnncomp, check, export, warmup.

Exit codes: 0 done (or accepted), 1 a certificate was refused, 2 bad input, or results that cannot be written (one line on
standard error), 130 stopped by Ctrl-C, after saving what was decided. Results go to standard output, progress to standard error.
Heavy modules are imported by the command that needs them, so that help comes at once.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from secateur.equiv_command import add_parsers as add_equiv_parsers
from secateur.errors import InputError
from secateur.export_command import add_parser as add_export_parser
from secateur.neuron_command import add_parsers as add_neuron_parsers
from secateur.prune_command import add_parser as add_prune_parser
from secateur.slice_command import add_parser as add_slice_parser
from secateur.verify_command import add_parsers as add_verify_parsers
from secateur.verify_command import open_verifier
from secateur.vnncomp.command import add_parsers as add_vnncomp_parsers

__all__ = ["main", "run"]

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130
_COLLECT_AFTER = 200_000
"""Objects after which cycles are looked for: the usual 700 would look through all imported modules, over and over."""


def run() -> NoReturn:
    """The program: `main` in a process that ends with it, at once.

    To take apart all modules takes a quarter of a second and frees nothing that the system would not. Threads are joined and
    everybody's clean-up is done before, since what was registered first comes last.
    """
    ended: list[int] = []
    atexit.register(_leave, ended)
    gc.set_threshold(_COLLECT_AFTER)
    ended.append(main())
    sys.exit(ended[0])


def _leave(ended: list[int]) -> None:
    if ended:  # otherwise an error is on its way, and Python has to tell of it
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # it may be closed
                stream.flush()
        os._exit(ended[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` by default) and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # numpy's products here are small: threads of BLAS would only spin beside those of the kernels.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        if words[:1] == ["check"]:  # the checker reads its own arguments: it is a program of its own
            from secateur.checker import main as check

            code: int = check(words[1:])
        else:
            options = _parser().parse_args(words)
            code = options.run(options)
        sys.stdout.flush()  # what cannot be written has to be said while there is somebody to say it
    except InputError as error:
        print(f"secateur: error: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        place = "standard output" if error.filename is None else error.filename
        print(f"secateur: error: {place}: {error.strerror or error}", file=sys.stderr)
        _forget_output()
        return BAD_INPUT
    except KeyboardInterrupt:
        print("secateur: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return code


def _forget_output() -> None:
    """Let nothing try again to write what standard output has not taken: Python would complain at its end."""
    with contextlib.suppress(OSError, ValueError):  # it may be no file, or closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as for any other bad input."""

    def error(self, message: str) -> NoReturn:
        found = re.fullmatch(r"argument (--[a-z-]+): expected one argument", message)
        hint = f"where its value begins with a minus sign write {found[1]}=VALUE, and " if found else ""
        raise InputError(message, remedy=f"{hint}see {self.prog} --help")


class _Version(argparse.Action):
    """Looks the version up when it is asked for: that costs more than the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from secateur.version import version

        print(f"secateur {version()}")
        parser.exit()


class _Name(argparse.Action):
    """The standard command line of VNN-LIB 2.0 asks for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print("Secateur")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="secateur",
        description="Prove which neurons a piecewise-linear network does not need, remove them, certify the result.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("--name", action=_Name, nargs=0, help="show the name and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    add_prune_parser(commands)
    add_slice_parser(commands)
    add_verify_parsers(commands)
    add_equiv_parsers(commands)
    add_neuron_parsers(commands)
    add_vnncomp_parsers(commands, open_verifier)
    commands.add_parser("check", add_help=False, help="check a certificate, independently of the program that wrote it")
    add_export_parser(commands)
    warmup = commands.add_parser("warmup", allow_abbrev=False, help="compile the numeric kernels now, once")
    warmup.set_defaults(run=_warmup)
    return parser


def _warmup(_: argparse.Namespace) -> int:
    from secateur.api import warmup
    from secateur.progress import ConsoleProgress

    with ConsoleProgress() as progress:
        warmup(progress)
    print("kernels are compiled")
    return OK
