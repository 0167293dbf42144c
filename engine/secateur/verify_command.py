"""The commands `secateur verify` and `secateur supports`: the standard command line of VNN-LIB 2.0 (chapter "Solver interface").

Standard output carries the verdict (`unsat`, `sat`, `unknown`, `timed-out`) and, after `sat`, the assignment; everything else
goes to standard error. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError
from secateur.flags import add_search_flags, add_semantics, search_limits
from secateur.one_answer import OneAnswer, tell_beside

if TYPE_CHECKING:
    from secateur.search import Verdict, Witness
    from secateur.vnncomp.verdicts import Answer, Verifier

__all__ = ["add_parsers", "open_verifier"]


def add_parsers(commands: Any) -> None:
    """Add `verify` and `supports` to the subcommands of a parser."""
    _add_verify(commands)
    supports = commands.add_parser("supports", allow_abbrev=False, help="what of ONNX and VNN-LIB is supported, a word a line")
    which = supports.add_mutually_exclusive_group(required=True)
    for flag in (*_CAPABILITIES, "onnx-operators"):
        which.add_argument(f"--{flag}", dest="asked", action="store_const", const=flag)
    supports.set_defaults(run=_supports)


def _add_verify(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        allow_abbrev=False,
        help="decide a VNN-LIB query",
        description="Is there a point that satisfies the query? Prints unsat, sat (with the assignment), unknown or timed-out.",
    )
    parser.add_argument("query", metavar="QUERY", help="a VNN-LIB file, 1.0 or 2.0, or .gz of one")
    parser.add_argument(
        "--network",
        metavar="[NAME=]FILE",
        action="append",
        required=True,
        help="an ONNX file; with its name in the query where there are several",
    )
    add_semantics(parser)
    parser.add_argument("--certificate", metavar="FILE", help="write evidence that secateur check accepts (one network)")
    parser.add_argument("--serialise-assignments", metavar="DIR", help="after sat, write every variable as DIR/NAME.pb")
    add_search_flags(parser)
    parser.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from secateur.progress import ConsoleProgress

    limits = search_limits(options)  # before anything is read
    networks = _networks(options.network)
    # A certificate is checked and written after the verdict, outside the time limit.
    with OneAnswer("timed-out", options.timeout if options.certificate is None else None) as answer:
        with ConsoleProgress() as progress:
            from secateur.oracle import verify

            model: Path | Mapping[str, Path] = networks.get("", networks)
            verdict = verify(
                model,
                options.query,
                semantics=options.semantics,
                certificate=options.certificate,
                progress=progress,
                **limits,
            )
        answer.give(_told(verdict, options))
    return 0


def _networks(words: list[str]) -> dict[str, Path]:
    """Files by name; the name "" stands for the only network."""
    networks: dict[str, Path] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or _exists(word):  # a path may contain an equals sign
            name, path = "", word
        if name in networks:
            raise InputError(f"network {name!r} is given twice" if name else "two files but no names", where="--network")
        networks[name] = Path(path)
    if "" in networks and len(networks) > 1:
        raise InputError("one of the networks has no name", where="--network", remedy="write --network NAME=FILE for each")
    return networks


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long, for one
        return False


def _told(verdict: Verdict, options: argparse.Namespace) -> str:
    from secateur.search import Holds, Unknown, Violated

    tell_beside(verdict)
    match verdict:
        case Holds():
            return "unsat\n"
        case Violated(witness=witness):
            if options.serialise_assignments:
                _serialise(witness, Path(options.serialise_assignments))
            return "sat\n" + witness.text()
        case Unknown(timed_out=timed_out):
            return "timed-out\n" if timed_out else "unknown\n"


def _serialise(witness: Witness, folder: Path) -> None:
    """Write each variable of the assignment as a TensorProto."""
    from onnx import numpy_helper

    from secateur.files import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror or error}", where=str(folder)) from None
    for tensor, values in witness.tensors():
        proto = numpy_helper.from_array(values, tensor.name)
        write_atomically(folder / f"{tensor.name}.pb", proto.SerializeToString())


_CAPABILITIES = {
    "onnx-element-types": ("real", "float32", "float64", "float16"),
    "vnnlib-versions": ("1.0", "2.0"),
    "hidden-node-theories": ("NH", "H"),
    "multiple-input-output-theories": ("SIO", "MIO"),
    "multiple-network-theories": ("SNET", "MENET", "MINET", "MNET"),
    "multiple-node-comparison-theories": ("SNC", "MNC"),
    "arithmetic-complexity-theories": ("BND", "OUTC", "LIN"),
    "optimised-disjunctive-reasoning": ("true",),
    "serialise-assignments": ("true",),
    "onnx-opset-versions": (),
}
"""What the standard asks for, in its words; empty where the reader knows."""


def _supports(options: argparse.Namespace) -> int:
    words = _CAPABILITIES.get(options.asked, ())
    if options.asked == "onnx-opset-versions":
        from secateur.network import SUPPORTED_OPSETS

        words = (str(SUPPORTED_OPSETS[0]), str(SUPPORTED_OPSETS[-1]))
    elif options.asked == "onnx-operators":
        from secateur.network.operators import OPERATORS

        words = tuple(sorted(OPERATORS))
    print("\n".join(words))
    return 0


@contextmanager
def open_verifier(jobs: int | None) -> Iterator[Verifier]:
    """A warm engine as the competition's front end asks it; kernels are compiled before the first instance."""
    from secateur.bounds import warmup
    from secateur.oracle import Engine

    warmup()
    with Engine(jobs=jobs) as engine:

        def verifier(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
            model: Path | Mapping[str, Path] = models.get("", models)
            return _as_answer(engine.verify(model, query, timeout=timeout))

        yield verifier


def _as_answer(verdict: Verdict) -> Answer:
    from secateur.search import Holds, Unknown, Violated
    from secateur.vnncomp.verdicts import Answer

    match verdict:
        case Holds():
            return Answer("unsat")
        case Violated(witness=witness):
            return Answer("sat", witness.text())
        case Unknown(reason=reason, timed_out=timed_out):
            return Answer("timeout" if timed_out else "unknown", reason=reason)
