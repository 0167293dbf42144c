"""A complete, exact verifier for networks with one input, one ReLU and one output, and benchmarks small enough for it.

It is a real decision procedure: such a network is affine on either side of one breakpoint, so every disjunct of a query is an
intersection of rational intervals on each side. Run as a program it has the standard command line of VNN-LIB.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from onnx import TensorProto

from secateur.errors import InputError
from secateur.network import Network, read_onnx
from secateur.specification import read_query
from secateur.specification.vnnlib.formula import Kind, Polytope
from secateur.vnncomp.verdicts import Answer
from tests.onnx_models import model_bytes, node

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, str(Path(__file__).resolve()))
SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("engine", "encodings", "."))
"""What PYTHONPATH has to be for `COMMAND`."""


def tiny_model(weight: float, bias: float, scale: float = 1.0, shift: float = 0.0) -> bytes:
    """y = scale * max(0, weight * x + bias) + shift."""
    nodes = [node("Gemm", ["x", "w", "b"], "z"), node("Relu", ["z"], "r"), node("Gemm", ["r", "v", "c"], "y")]
    stored = {"w": [[weight]], "b": [bias], "v": [[scale]], "c": [shift]}
    return model_bytes(nodes, stored, inputs={"x": (1, 1)}, outputs={"y": (1, 1)}, input_type=TensorProto.FLOAT)


def tiny_query(low: str, high: str, condition: str) -> str:
    """A 1.0 query: x in [low, high] and a condition on Y_0."""
    return (
        "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
        f"(assert (>= X_0 {low}))\n(assert (<= X_0 {high}))\n(assert {condition})\n"
    )


def decide(models: Mapping[str, Path], query: Path, timeout: float) -> Answer:
    """Exactly whether some input of the query's box satisfies it; `timeout` never matters."""
    assert timeout > 0
    if list(models) != [""]:
        raise InputError("the tiny verifier reads one unnamed network")
    network, asked = read_onnx(models[""]), read_query(query)
    if (network.input_size, network.neuron_count, network.output_size) != (1, 1, 1):
        raise InputError("the tiny verifier reads networks of one neuron", where=str(models[""]))
    for polytope in asked.disjuncts():
        point = _point(network, polytope)
        if point is not None:
            output = network.exact([point]).output[0]
            assert asked.satisfied_by([point], [output])
            return Answer("sat", f"((X_0 {float(point)!r})\n (Y_0 {float(output)!r}))\n")
    return Answer("unsat")


def _point(network: Network, polytope: Polytope) -> Fraction | None:
    (low,), (high,) = polytope.lower, polytope.upper
    assert low is not None
    assert high is not None
    a, b = network.layers[0].rational_bias()[0], Fraction(float(network.layers[0].terms[0].map.dense().weight[0, 0]))
    breakpoint_ = -a / b if b else low
    middle = min(max(breakpoint_, low), high)
    for left, right in ((low, middle), (middle, high)):
        if left > right:
            continue
        ends = [network.exact([x]).output[0] for x in (left, right)]
        slope = (ends[1] - ends[0]) / (right - left) if left < right else Fraction(0)
        first, last = left, right
        for row in polytope.rows:
            # sum = constant + rate * x on this side
            rate = sum((c * (1 if v.kind is Kind.INPUT else slope) for v, c in row.coefficients), Fraction(0))
            at_left = sum((c * (left if v.kind is Kind.INPUT else ends[0]) for v, c in row.coefficients), Fraction(0))
            assert not row.strict
            if rate > 0:
                last = min(last, left + (row.bound - at_left) / rate)
            elif rate < 0:
                first = max(first, left + (row.bound - at_left) / rate)
            elif at_left > row.bound:
                last = first - 1
        if first <= last:
            return (first + last) / 2
    return None


def make_benchmark(folder: Path, *, truth: str = "") -> Path:
    """Four instances of y = max(0, 2x - 1): sat, unsat, sat, unsat; `truth` is the text of ground_truth.csv."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "vnnlib").mkdir()
    (folder / "onnx" / "net.onnx").write_bytes(tiny_model(2.0, -1.0))
    conditions = {"a": "(>= Y_0 0.5)", "b": "(>= Y_0 1.5)", "c": "(<= Y_0 0)", "d": "(<= Y_0 -0.25)"}
    for name, condition in conditions.items():
        (folder / "vnnlib" / f"{name}.vnnlib").write_text(tiny_query("0", "1", condition))
    (folder / "instances.csv").write_text("".join(f"onnx/net.onnx,vnnlib/{name}.vnnlib,20\n" for name in conditions))
    if truth:
        (folder / "ground_truth.csv").write_text(truth)
    return folder


TRUTH = "onnx,vnnlib,consensus\n" + "".join(
    f"onnx/net.onnx,vnnlib/{name}.vnnlib,{verdict}\n"
    for name, verdict in zip("abcd", ["sat", "unsat", "sat", "unsat"], strict=True)
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("query", type=Path)
    parser.add_argument("--network", required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--hang-on", default="no query")
    options = parser.parse_args()
    if options.query.stem == options.hang_on:
        time.sleep(600)
    try:
        answer = decide({"": Path(options.network)}, options.query, options.timeout)
    except InputError as error:
        print(f"tiny: error: {error}", file=sys.stderr)
        return 2
    print(answer.verdict)
    print(answer.text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
