"""Questions about the phases of neurons, and what pruning makes of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import secateur
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Phases
from benchmarks.fuzzing.formulas import random_point
from benchmarks.fuzzing.networks import evaluate
from benchmarks.fuzzing.outcomes import Outcome, compared, outside, together, wrong
from benchmarks.fuzzing.pairs import box_of
from benchmarks.fuzzing.truth import Truth
from secateur.checker.evaluation import evaluate as evaluate_file
from secateur.checker.lowering import lower
from secateur.reduction.redundancy import BothSigns

__all__ = ["phases", "pruned"]

_SAMPLES = 16


def phases(bench: Bench, case: Case, asked: Phases, truth: Truth) -> Outcome:
    """A claim of phases: what is proven against the signs, a counterexample against the values there."""
    claim = secateur.RedundancyClaim(asked.layer + 1, asked.neurons, "phase")
    found = bench.engine.redundancy(bench.file(case.network), claim, box_of(case), timeout=bench.timeout)
    match found.verdict:
        case secateur.Unknown(reason=reason):
            return Outcome("unknown", "unknown", reason)
        case secateur.Holds():
            if set(found.phases) != set(asked.neurons):
                return wrong("one phase", f"phases of {sorted(found.phases)} were proven, not of {asked.neurons}")
            signs = [_signed(truth, asked.layer, i, phase.value) for i, phase in found.phases.items()]
            return together("one phase", signs)
        case secateur.Violated():
            shown = found.counterexample
            if not isinstance(shown, BothSigns):
                return wrong("both signs", f"no counterexample but {shown}")
            return _both(case, asked.layer, shown.neuron, shown.points, truth)


def _signed(truth: Truth, layer: int, neuron: int, phase: str) -> Outcome:
    """A neuron that is said to be inactive is positive nowhere, an active one negative nowhere."""
    what = f"neuron {neuron} of layer {layer} is {phase}"
    return compared(what, said=False, true=truth.sign(layer, neuron, positive=phase == "inactive"))


def _both(case: Case, layer: int, neuron: int, points: Sequence[Sequence[Fraction]], truth: Truth) -> Outcome:
    """A positive and a negative value at points of the box."""
    for point, sign in zip(points, (1, -1), strict=True):
        value = evaluate(case.network, point)[layer][neuron]
        if problem := outside(point, case.box) or ("" if sign * value > 0 else f"z is {value} at ({', '.join(map(str, point))})"):
            return wrong(f"both signs of neuron {neuron} of layer {layer}", problem)
    true = [truth.sign(layer, neuron, positive) for positive in (True, False)]
    return together("both signs", [compared("both signs", said=True, true=t, shown=True) for t in true])


def pruned(bench: Bench, case: Case, truth: Truth) -> Outcome:
    """`prune`: every phase that it states, and the values of the reduced file, which the checker's reader evaluates."""
    result = secateur.prune(
        bench.file(case.network), box_of(case), jobs=1, solver="none", timeout=bench.timeout, out=bench.folder / "pruned"
    )
    outcomes = []
    for layer, neurons in enumerate(result.phases.neurons):
        for i, known in enumerate(neurons):
            match known.status:
                case secateur.Status.INACTIVE | secateur.Status.ACTIVE:
                    outcomes.append(_signed(truth, layer, i, known.status.value))
                case secateur.Status.BOTH if known.positive is not None and known.negative is not None:
                    points = [result.phases.witnesses[n] for n in (known.positive, known.negative)]
                    outcomes.append(_both(case, layer, i, points, truth))
    reduced, rng = lower((bench.folder / "pruned" / "reduced.onnx").read_bytes()), random.Random(str(case.box))
    for point in [random_point(rng, case.box) for _ in range(_SAMPLES)]:
        expected, found = evaluate(case.network, point)[-1], evaluate_file(reduced, point)
        if expected != found:
            outcomes.append(wrong("reduced network", f"{found} in place of {expected} at ({', '.join(map(str, point))})"))
    size = sum(reduced.size(layer) for layer in range(len(reduced.layers)))
    return together("smaller" if size < sum(map(len, result.phases.neurons)) else "as large", outcomes)
