"""Replaying the witness of a `sat`: does onnxruntime's output at the tool's input satisfy the query?

The query is evaluated exactly, in rationals, on the input and output values; only the network itself is run in its own
floating-point type, because that run is what the competition trusts. Two answers are possible for a witness that holds: it
*establishes* that the instance is satisfiable, or it is only *credited* to its tool, because it needs a tolerance. See
`secateur.vnncomp.rules` for the tolerances of each year.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from secateur.errors import InputError
from secateur.network import Replay, Wiring
from secateur.network.exact import Floats
from secateur.specification import Query
from secateur.specification.numerals import parse_decimal
from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Row, fold
from secateur.vnncomp.rules import Rules, Tolerance

__all__ = ["Witness", "WitnessStatus", "check_witness", "parse_witness"]

_ENTRY = re.compile(r"\(\s*([XY])_([0-9]{1,9})\s+([^\s()]+)\s*\)")
_HEADER = re.compile(r"(\S+)\s+\S+\s*\[([0-9,\s]*)\]")
_Values = tuple[Fraction, ...]
_TINY = 1e-6  # outputs below this count as zero in the relative error, as in the competition's script


class WitnessStatus(Enum):
    """What a replay found. `UNSUPPORTED`: the replay itself cannot run this query or network, so nothing is known."""

    ESTABLISHES = "establishes sat"
    CREDITED = "within the tolerance"
    WRONG = "does not hold"
    MISSING = "missing"
    MALFORMED = "malformed"
    UNSUPPORTED = "cannot be replayed"

    @property
    def holds(self) -> bool:
        return self in {WitnessStatus.ESTABLISHES, WitnessStatus.CREDITED}


@dataclass(frozen=True)
class Witness:
    """A point as a tool wrote it: exact input values, and the outputs it claims, if it gave any, over all networks."""

    inputs: tuple[Fraction, ...]
    outputs: tuple[Fraction, ...] | None


def parse_witness(text: str, query: Query) -> Witness:
    """The witness in the form of the query's version; `ValueError` for anything else."""
    return _parse_flat(text, query) if query.version == "1.0" else _parse_tensors(text, query)


def _parse_flat(text: str, query: Query) -> Witness:
    """`((X_0 0.025) ... (Y_4 0.02))`, all inputs in order, then all outputs or none."""
    body = text.strip()
    if not (body.startswith("(") and body.endswith(")")) or _ENTRY.sub("", body[1:-1]).strip():
        raise ValueError("is no list of (name value) pairs")
    entries = _ENTRY.findall(body[1:-1])
    inputs, outputs = query.input_count, query.output_count
    names = [f"{letter}_{int(index)}" for letter, index, _ in entries]
    expected = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    if names not in (expected, expected[:inputs]):
        raise ValueError("names other variables than the query, or in another order")
    values = tuple(_value(number) for _, _, number in entries)
    return Witness(values[:inputs], values[inputs:] if len(values) > inputs else None)


def _parse_tensors(text: str, query: Query) -> Witness:
    """Per declared tensor a line `X float32 [1,2]`, then its values row-major, one per line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    values: dict[Kind, list[Fraction]] = {kind: [] for kind in Kind}
    at = 0
    for network in query.networks:
        for tensor in (*network.inputs, *network.hidden, *network.outputs):
            match = _HEADER.fullmatch(lines[at]) if at < len(lines) else None
            if match is None or match[1] != tensor.name or _shape(match[2]) != tensor.shape:
                raise ValueError(f"has no header for {tensor.name}")
            values[tensor.kind] += [_value(line) for line in lines[at + 1 : at + 1 + tensor.size]]
            at += 1 + tensor.size
    if at != len(lines):
        raise ValueError("has too few or too many values")
    return Witness(tuple(values[Kind.INPUT]), tuple(values[Kind.OUTPUT]))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(extent) for extent in text.split(",") if extent.strip())


def _value(text: str) -> Fraction:
    try:
        return parse_decimal(text)
    except InputError as error:
        raise ValueError(error.problem) from None


def check_witness(text: str, networks: Mapping[str, Path], query: Query, rules: Rules) -> WitnessStatus:
    """Replay one witness under the rules of a year.

    `networks` are the ONNX files by the query's network names, or one file under "". Never raises for what a tool wrote; what the
    replay cannot run is `UNSUPPORTED`.
    """
    try:
        witness = parse_witness(text, query)
    except ValueError:
        return WitnessStatus.MALFORMED
    try:
        replayed = _replay(witness, networks, query)
    except InputError:
        return WitnessStatus.UNSUPPORTED
    if replayed is None:
        return WitnessStatus.WRONG
    inputs, hidden, outputs = replayed
    if not rules.rounds_inputs:
        inputs = witness.inputs
    error = 0.0
    if rules.uses_claimed_outputs and witness.outputs is not None:
        error, outputs = _relative_error(witness.outputs, outputs), witness.outputs
    for tolerance, status in ((rules.establishes, WitnessStatus.ESTABLISHES), (rules.credits, WitnessStatus.CREDITED)):
        if error <= tolerance.execution and _loosened(query, tolerance).satisfied_by(inputs, outputs, hidden):
            return status
    return WitnessStatus.WRONG


def _relative_error(claimed: Sequence[Fraction], replayed: Sequence[Fraction]) -> float:
    largest = max((abs(value) for value in claimed), default=Fraction(0))
    if largest < _TINY:
        return 0.0
    return float(max(abs(a - b) for a, b in zip(claimed, replayed, strict=True)) / largest)


def _loosened(query: Query, tolerance: Tolerance) -> Query:
    """The query with every condition relaxed: those on inputs alone by one tolerance, the others by the other."""
    if not (tolerance.inputs or tolerance.outputs):
        return query

    def leaf(row: Row) -> Formula:
        on_inputs = all(variable.kind is Kind.INPUT for variable, _ in row.coefficients)
        return row._replace(bound=row.bound + (tolerance.inputs if on_inputs else tolerance.outputs))

    def join(node: And | Or, children: list[Formula]) -> Formula:
        return type(node)(tuple(children))

    return replace(query, assertions=tuple(fold(assertion, leaf, join) for assertion in query.assertions))


def _replay(witness: Witness, networks: Mapping[str, Path], query: Query) -> tuple[_Values, _Values, _Values] | None:
    """The inputs as the networks see them, hidden values and outputs; None where one is not finite.

    `InputError` where a network cannot be run: other tensors than the query declares, an unknown operator.
    """
    inputs: list[Fraction] = []
    hidden: list[Fraction] = []
    outputs: list[Fraction] = []
    for network in query.networks:
        path = networks.get(network.name, networks.get(""))
        if path is None:
            raise InputError("has no file", where=network.name)
        begin, count = len(inputs), network.size(Kind.OUTPUT)
        rounded, values = _run(path, witness.inputs[begin : begin + network.size(Kind.INPUT)], network.wiring)
        if len(values) != count + network.size(Kind.HIDDEN):
            raise InputError(f"has {len(values)} outputs", where=str(path))
        if not (np.isfinite(rounded).all() and np.isfinite(values).all()):
            return None
        inputs += map(Fraction, rounded.tolist())
        outputs += map(Fraction, values[:count].tolist())
        hidden += map(Fraction, values[count:].tolist())
    return tuple(inputs), tuple(hidden), tuple(outputs)


def _run(path: Path, point: Sequence[Fraction], wiring: Wiring | None) -> tuple[Floats, Floats]:
    """The point rounded to the network's element type, and outputs and hidden values there, both as float64."""
    data = _bytes(path)
    with np.errstate(over="ignore"):
        rounded = np.array([_nearest(value) for value in point]).astype(_element_type(data, path)).astype(np.float64)
    replay = Replay(data, wiring, str(path))
    if replay.input_size != len(point):
        raise InputError(f"has {replay.input_size} inputs", where=str(path))
    try:
        return rounded, replay.evaluate(rounded[None])[0]
    except InputError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no closer base class
        raise InputError(f"onnxruntime cannot run it: {error}", where=str(path)) from None


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from None


def _element_type(data: bytes, path: Path) -> Any:
    """The numpy type of the network's inputs."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_model_from_string(data).graph
        stored = {tensor.name for tensor in graph.initializer}
        (kind,) = {port.type.tensor_type.elem_type for port in graph.input if port.name not in stored}
        return onnx.helper.tensor_dtype_to_np_dtype(kind)
    except (DecodeError, KeyError, ValueError):
        raise InputError("is no ONNX network with inputs of one type", where=str(path)) from None
