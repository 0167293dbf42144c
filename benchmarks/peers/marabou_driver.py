"""Marabou on one instance, by the public interface of maraboupy; run by Marabou's own interpreter.

    python marabou_driver.py ONNX VNNLIB RESULTS_FILE TIMEOUT

Writes `sat`, `unsat`, `unknown`, `timeout` or `error` to the results file and, after `sat`, the witness in the competition's
form. One thread, default options. Packed (.gz) files are not for Marabou.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

VERDICTS = {"sat", "unsat", "unknown", "timeout", "error"}


def solve(onnx: str, vnnlib: str, timeout: int) -> tuple[str, dict[int, float], Any]:
    """Marabou's verdict in lower case, its assignment, and the network that names the variables."""
    warnings.simplefilter("ignore")  # a missing TensorFlow is none of our business
    from maraboupy import Marabou

    network = Marabou.read_onnx(onnx)
    options = Marabou.createOptions(verbosity=0, timeoutInSeconds=timeout)
    verdict, values, _ = network.solve(verbose=False, options=options, propertyFilename=vnnlib)
    return verdict.lower(), values, network


def witness(values: dict[int, float], network: Any) -> str:
    """`((X_0 ...)` and so on; the variables of all inputs, then those of all outputs, row-major."""
    named = [("X", array) for array in network.inputVars] + [("Y", array) for array in network.outputVars]
    flat = {letter: [v for name, array in named if name == letter for v in array.flatten().tolist()] for letter in "XY"}
    pairs = [f"({letter}_{i} {values[v]!r})" for letter in "XY" for i, v in enumerate(flat[letter])]
    return "(" + "\n ".join(pairs) + ")\n"


def main(onnx: str, vnnlib: str, results: str, timeout: str) -> None:
    verdict, values, network = solve(onnx, vnnlib, max(1, int(float(timeout))))
    if verdict not in VERDICTS:
        verdict = "unknown"
    Path(results).write_text(verdict + "\n" + (witness(values, network) if verdict == "sat" else ""), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
