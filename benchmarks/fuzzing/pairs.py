"""Questions about how far two networks are apart, or how far one reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import secateur
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Equivalent, Zeroed
from benchmarks.fuzzing.networks import Described, evaluate
from benchmarks.fuzzing.outcomes import Outcome, compared, outside, together, wrong
from benchmarks.fuzzing.truth import Truth

__all__ = ["apart", "box_of", "distance", "equivalent", "ranges", "zeroed"]


def box_of(case: Case) -> secateur.Domain:
    """The box in the engine's form."""
    return secateur.Domain(tuple(low for low, _ in case.box), tuple(high for _, high in case.box), "fuzzed")


def apart(networks: Sequence[Described], point: Sequence[Fraction]) -> Fraction:
    """The largest difference of an output at a point."""
    first, second = (evaluate(network, point)[-1] for network in networks)
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def equivalent(bench: Bench, case: Case, asked: Equivalent, truth: Truth) -> Outcome:
    """`Engine.equivalent` against whether the networks differ by more than epsilon."""
    first, second = map(bench.file, case.networks)
    verdict = bench.engine.equivalent(first, second, box_of(case), epsilon=asked.epsilon, timeout=bench.timeout)
    match verdict:
        case secateur.Unknown(reason=reason):
            return Outcome("unknown", "unknown", reason)
        case secateur.Holds():
            return compared("equivalent", said=False, true=truth.differs(asked.epsilon))
        case secateur.Violated(witness=witness):
            n = case.network.inputs
            point, twice = witness.exact_inputs[:n], witness.exact_inputs[n:]
            if twice not in {(), point}:
                return wrong("different", f"the witness has two inputs: {point} and {twice}")
            return _different(case, point, asked.epsilon, lambda: truth.differs(asked.epsilon))


def zeroed(bench: Bench, case: Case, asked: Zeroed, truth: Truth) -> Outcome:
    """Redundancy with 0 in the neurons' place, forward where the tolerance is 0, against the same difference."""
    kind, tolerance = ("relaxed", asked.tolerance) if asked.tolerance else ("forward", None)
    claim = secateur.RedundancyClaim(asked.layer + 1, asked.neurons, kind, replace="zero", tolerance=tolerance)
    found = bench.engine.redundancy(bench.file(case.network), claim, box_of(case), timeout=bench.timeout)
    match found.verdict:
        case secateur.Unknown(reason=reason):
            return Outcome("unknown", "unknown", reason)
        case secateur.Holds():
            return compared("redundant", said=False, true=truth.differs(asked.tolerance))
        case secateur.Violated():
            point = getattr(found.counterexample, "point", ())
            return _different(case, point, asked.tolerance, lambda: truth.differs(asked.tolerance))


def _different(case: Case, point: Sequence[Fraction], epsilon: Fraction, truth: Callable[[], bool | None]) -> Outcome:
    if problem := outside(point, case.box):
        return wrong("different", problem)
    found = apart(case.networks, point)
    if found <= epsilon:
        return wrong("different", f"at ({', '.join(map(str, point))}) they differ by {found} only")
    return compared("different", said=True, true=truth(), shown=True)


def ranges(bench: Bench, case: Case, truth: Truth) -> Outcome:
    """`Engine.bounds`: nothing lies beyond them, and what is said to be attained is."""
    found = bench.engine.bounds(bench.file(case.network), box_of(case), timeout=bench.timeout)
    outcomes = []
    for output in range(len(found.lower)):
        for above, certified, attained, at in (
            (False, found.lower[output], found.attained_lower[output], found.lowest_at[output]),
            (True, found.upper[output], found.attained_upper[output], found.highest_at[output]),
        ):
            what = f"{'upper' if above else 'lower'} bound of output {output}"
            if problem := outside(at, case.box):
                outcomes.append(wrong(what, problem))
            elif evaluate(case.network, at)[-1][output] != attained:
                outcomes.append(wrong(what, f"{attained} is not attained at ({', '.join(map(str, at))})"))
            outcomes.append(compared(what, said=False, true=truth.beyond(output, certified, above)))
    return together("finished" if found.finished else "wide", outcomes)


def distance(bench: Bench, case: Case, truth: Truth) -> Outcome:
    """`Engine.distance`: the networks differ nowhere by more than the upper bound, and by the lower one where it says."""
    first, second = map(bench.file, case.networks)
    found = bench.engine.distance(first, second, box_of(case), timeout=bench.timeout)
    outcomes = [compared("upper bound", said=False, true=truth.differs(found.upper))]
    if problem := outside(found.point, case.box):
        outcomes.append(wrong("point", problem))
    elif apart(case.networks, found.point) != found.lower:
        outcomes.append(wrong("lower bound", f"{found.lower} is not the difference at ({', '.join(map(str, found.point))})"))
    return together("distance finished" if found.finished else "distance wide", outcomes)
