"""Whole runs for tests: the bundled networks, and small ones built for one purpose."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from secateur.api import PruneResult
from secateur.checker import Accepted, Refused, check
from secateur.network import Network, parse_onnx, to_model_bytes
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction.model_file import ModelFile
from secateur.reduction.pipeline import Reduction, Stopwatch, analyse, reduce
from secateur.specification import Domain

__all__ = ["BUNDLED", "EXPECTED", "checked", "reduced_exactly", "run"]

BUNDLED = Path(__file__).resolve().parents[2] / "benchmarks" / "networks"

#: Inactive neurons by layer, as an independent MILP solver found them; no neuron is active.
EXPECTED = {"wine": (2, 13, 16), "iris": (5, 3)}


def run(network: Network, domain: Domain, tolerance: Fraction = Fraction(0), timeout: float = 20.0) -> Reduction:
    """Analyse and reduce a network that lies in no file; nobody confirms anything."""
    data = to_model_bytes(network)
    model = ModelFile(Path("original.onnx"), data, parse_onnx(data, "original.onnx"))
    progress = SilentProgress()
    watch = Stopwatch(progress)
    options = PruneOptions(tolerance, timeout, jobs=1, solver="none")
    return reduce(analyse(model, domain, options, watch, progress), tolerance, watch)


def checked(reduction: Reduction, folder: Path) -> Accepted | Refused:
    """What the independent checker says to the files of a run."""
    PruneResult(reduction, None, {}, 0.0).save(folder / "out")
    original = folder / "original.onnx"
    original.write_bytes(reduction.analysis.model.data)
    return check(folder / "out", original=original)


def reduced_exactly(reduction: Reduction, point: tuple[Fraction, ...]) -> tuple[Fraction, Fraction]:
    """The largest difference of the outputs at a point, exactly, and what the claim allows."""
    sides = (reduction.analysis.model.network, reduction.network)
    outputs = [network.exact(point).output for network in sides]
    return max(abs(a - b) for a, b in zip(*outputs, strict=True)), reduction.tolerance
