"""Questions about the phases of neurons, and what pruning makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import secateur
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Phases
from benchmarks.fuzzing.formulas import random_point
from benchmarks.fuzzing.networks import evaluate
from benchmarks.fuzzing.outcomes import ARITHMETICS, Outcome, compared, outside, together, wrong
from benchmarks.fuzzing.pairs import box_of
from benchmarks.fuzzing.truth import Truth
from secateur.checker.evaluation import evaluate as evaluate_file
from secateur.checker.lowering import lower
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.reduction.model_file import read_model
from secateur.reduction.pipeline import Reduction, Stopwatch, analyse, reduce
from secateur.reduction.redundancy import BothSigns
from secateur.reduction.summary import CERTIFICATE, DOMAIN, REDUCED, certificate_for, domain_file

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
    """What `prune` does before it measures: the phases that it states, the certificate, the values of the reduced file."""
    watch = Stopwatch(SilentProgress())
    options = PruneOptions(timeout=bench.timeout, jobs=1, solver="none")
    analysis = analyse(read_model(bench.file(case.network)), box_of(case), options, watch, SilentProgress())
    reduction = reduce(analysis, Fraction(0), watch)
    outcomes = [found for layer in range(len(analysis.phases.neurons)) for found in _stated(case, analysis.phases, layer, truth)]
    outcomes += _same_values(case, reduction.data) + _certified(bench.folder / "pruned", reduction)
    before = sum(map(len, analysis.phases.neurons))
    return together("smaller" if sum(reduction.network.sizes) < before else "as large", outcomes)


def _stated(case: Case, found: secateur.PhaseResult, layer: int, truth: Truth) -> Iterator[Outcome]:
    for i, known in enumerate(found.neurons[layer]):
        if known.status in {secateur.Status.INACTIVE, secateur.Status.ACTIVE}:
            yield _signed(truth, layer, i, known.status.value)
        elif known.positive is not None and known.negative is not None:
            yield _both(case, layer, i, [found.witnesses[n] for n in (known.positive, known.negative)], truth)


def _same_values(case: Case, data: bytes) -> list[Outcome]:
    """The reduced file, read and evaluated by the checker's code, at random points."""
    network, rng = lower(data), random.Random(str(case.box))
    outcomes = []
    for point in [random_point(rng, case.box) for _ in range(_SAMPLES)]:
        expected, found = evaluate(case.network, point)[-1], evaluate_file(network, point)
        if expected != found:
            outcomes.append(wrong("reduced network", f"{found} in place of {expected} at ({', '.join(map(str, point))})"))
    return outcomes


def _certified(folder: Path, reduction: Reduction) -> list[Outcome]:
    """Whether the checker accepts the certificate, in both arithmetics."""
    folder.mkdir(exist_ok=True)
    original = folder / "original.onnx"
    files = {REDUCED: reduction.data, DOMAIN: domain_file(reduction.analysis), CERTIFICATE: certificate_for(reduction, None)}
    for name, data in {original.name: reduction.analysis.model.data, **files}.items():
        (folder / name).write_bytes(data)
    answers = {word: secateur.check(folder, original=original, arithmetic=word) for word in ARITHMETICS}
    return [wrong("certificate", f"{word} check: {a}") for word, a in answers.items() if not isinstance(a, secateur.Accepted)]
