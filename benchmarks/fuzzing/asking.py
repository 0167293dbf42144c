"""Asks the engine about a case, and compares what it says with the truth. Begin at `outcome`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import secateur
from benchmarks.fuzzing import pairs, phases
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Equivalent, Phases, Pruned, Query, Ranges, Zeroed
from benchmarks.fuzzing.formulas import holds, vnnlib
from benchmarks.fuzzing.networks import evaluate
from benchmarks.fuzzing.outcomes import ARITHMETICS, Outcome, compared, outside, wrong
from benchmarks.fuzzing.truth import Truth
from secateur.specification import parse_query

__all__ = ["outcome"]


def outcome(bench: Bench, case: Case, truth: Truth) -> Outcome:
    """Ask; the truth is one about `case.networks`. Anything that the engine raises is wrong: every case is a fair question."""
    begun = time.perf_counter()
    try:
        found = _asked(bench, case, truth)
    except Exception as error:  # whatever it is, it is a finding, and the campaign goes on
        found = wrong("error", f"{type(error).__name__}: {error}")
    return replace(found, seconds=time.perf_counter() - begun)


def _asked(bench: Bench, case: Case, truth: Truth) -> Outcome:
    match case.question:
        case Query() as question:
            return _query(bench, case, question, truth)
        case Equivalent() as question:
            return pairs.equivalent(bench, case, question, truth)
        case Zeroed() as question:
            return pairs.zeroed(bench, case, question, truth)
        case Ranges(None):
            return pairs.ranges(bench, case, truth)
        case Ranges():
            return pairs.distance(bench, case, truth)
        case Phases() as question:
            return phases.phases(bench, case, question, truth)
        case Pruned():
            return phases.pruned(bench, case, truth)


def _query(bench: Bench, case: Case, query: Query, truth: Truth) -> Outcome:
    text, path = vnnlib(query.formula, case.network, case.box, query.version), bench.file(case.network)
    if not query.certified:
        verdict = bench.engine.verify(path, parse_query(text), timeout=bench.timeout)
        return _judged(verdict, case, query, lambda: truth.query(query.formula))
    file, target = bench.folder / "query.vnnlib", bench.folder / "query.secateur"
    file.write_text(text)
    target.unlink(missing_ok=True)
    verdict = bench.engine.verify(path, file, timeout=bench.timeout, certificate=target)
    found = _judged(verdict, case, query, lambda: truth.query(query.formula))
    return found if found.word in {"unknown", "wrong"} else _checked(found, target)


def _judged(
    verdict: secateur.Holds | secateur.Violated | secateur.Unknown, case: Case, query: Query, truth: Callable[[], bool | None]
) -> Outcome:
    """Whether a verdict on a query is right; a witness is replayed here, by other code than the engine's."""
    match verdict:
        case secateur.Unknown(reason=reason):
            return Outcome("unknown", "unknown", reason)
        case secateur.Holds():
            return compared("unsat", said=False, true=truth())
        case secateur.Violated(witness=witness):
            point = witness.exact_inputs
            if problem := outside(point, case.box):
                return wrong("sat", problem)
            outputs = evaluate(case.network, point)[-1]
            shown = ", ".join(map(str, point))
            if tuple(outputs) != witness.exact_outputs[0]:
                return wrong("sat", f"the outputs at ({shown}) are not those of the witness")
            if not holds(query.formula, [*point, *outputs]):
                return wrong("sat", f"the witness ({shown}) does not fulfil the query")
            return compared("sat", said=True, true=truth(), shown=True)


def _checked(found: Outcome, certificate: Path) -> Outcome:
    """The outcome, unless the checker refuses the certificate in one of its arithmetics."""
    for arithmetic in ARITHMETICS:
        accepted = secateur.check(certificate, arithmetic=arithmetic)
        if not isinstance(accepted, secateur.Accepted):
            return wrong(found.answer, f"{arithmetic} check: {accepted}")
    return found
