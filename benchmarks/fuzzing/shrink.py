"""Makes a failing case smaller while it fails: fewer formula parts, layers, neurons and weights, rounder numbers, a smaller box.

Method: greedy. Every candidate is one change of the case; the first that still fails is taken, until none does. `size` only ever
falls, so it ends. From the command line, for a finding of a campaign (the smaller case is written to FILE):

    python -m benchmarks.fuzzing.shrink fuzzed/finding-1.json tests/regress/FILE.json --expected unsat
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.fuzzing.asking import outcome
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Equivalent, Phases, Query, Ranges, Zeroed, from_json, to_json
from benchmarks.fuzzing.formulas import Atom, Formula, Node
from benchmarks.fuzzing.networks import Described, Layer, Matrix
from benchmarks.fuzzing.truth import Truth

__all__ = ["shrunk"]

_UNITS = (0, 1, 8, 1024)


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest failing case that single steps reach. ValueError where the case does not fail."""
    if not fails(case):
        raise ValueError("this case does not fail")
    while True:
        size = _size(case)
        smaller = next((c for c in _candidates(case) if _size(c) < size and fails(c)), None)
        if smaller is None:
            return case
        case = smaller


def _size(case: Case) -> int:
    """The length of its JSON, in which rounder numbers are shorter; a little for weights other than 0 and inputs not fixed."""
    weights = sum(w != 0 for layer in case.network.layers for _, m in layer.terms for row in m for w in row)
    return len(json.dumps(to_json(case))) + weights + 10 * sum(low < high for low, high in case.box)


def _candidates(case: Case) -> Iterator[Case]:
    """Coarse steps first."""
    if isinstance(case.question, Query):
        yield from (replace(case, question=replace(case.question, formula=f)) for f in _formulas(case.question.formula))
    yield from _fewer_layers(case)
    yield from _fewer_neurons(case)
    yield from (replace(case, box=box) for box in _boxes(case))
    yield from (replace(case, network=network) for network in _rounder(case.network))
    if isinstance(case.question, Equivalent | Ranges) and case.question.other is not None:
        yield from (replace(case, question=replace(case.question, other=n)) for n in _rounder(case.question.other))


def _formulas(formula: Formula) -> Iterator[Formula]:
    """A part in the place of the whole, one part fewer, one part smaller; for an atom fewer terms and a rounder bound."""
    if isinstance(formula, Atom):
        if len(formula.terms) > 1:
            yield from (replace(formula, terms=formula.terms[:i] + formula.terms[i + 1 :]) for i in range(len(formula.terms)))
        yield from (replace(formula, bound=bound) for bound in _rounded(formula.bound))
        return
    yield from formula.parts
    for i, part in enumerate(formula.parts):
        before, after = formula.parts[:i], formula.parts[i + 1 :]
        if len(formula.parts) > 1:
            yield Node(formula.head, before + after)
        yield from (Node(formula.head, (*before, smaller, *after)) for smaller in _formulas(part))


def _fewer_layers(case: Case) -> Iterator[Case]:
    """Without a hidden layer that is as wide as the one before it; only where the question names no layer."""
    if not isinstance(case.question, Query):
        return
    network = case.network
    widths = [network.inputs, *(len(layer.bias) for layer in network.layers)]
    for k in range(len(network.layers) - 1):
        if widths[k] == widths[k + 1] and len(network.layers) > 2:
            layers = [_renumbered(layer, k + 1) for i, layer in enumerate(network.layers) if i != k]
            yield replace(case, network=replace(network, layers=tuple(layers)))


def _renumbered(layer: Layer, gone: int) -> Layer:
    """The layer where a source has been taken out and the one before it is read in its place."""
    terms: dict[int, Matrix] = {}
    for source, matrix in layer.terms:
        terms.setdefault(source - (source >= gone), matrix)
    return replace(layer, terms=tuple(terms.items()))


def _fewer_neurons(case: Case) -> Iterator[Case]:
    """Without one neuron, as far as the question does not name neurons or another network."""
    if not isinstance(case.question, Query | Phases | Zeroed):
        return
    for k, layer in enumerate(case.network.layers[:-1]):
        named = getattr(case.question, "layer", None) == k
        if len(layer.bias) > 1 and not named:
            yield from (replace(case, network=_without_neuron(case.network, k, i)) for i in range(len(layer.bias)))


def _without_neuron(network: Described, k: int, i: int) -> Described:
    def cut(row: tuple[float, ...]) -> tuple[float, ...]:
        return row[:i] + row[i + 1 :]

    layers = []
    for number, layer in enumerate(network.layers):
        terms = tuple((s, tuple(map(cut, m)) if s == k + 1 else m) for s, m in layer.terms)
        own = replace(layer, terms=terms, kernel=())
        if number == k:
            own = Layer(tuple((s, m[:i] + m[i + 1 :]) for s, m in own.terms), cut(own.bias))
        layers.append(own)
    return replace(network, layers=tuple(layers))


def _boxes(case: Case) -> Iterator[tuple[tuple[Fraction, Fraction], ...]]:
    """One coordinate fixed at an end or its middle, halved, or with rounder ends."""
    for i, (low, high) in enumerate(case.box):
        middle = (low + high) / 2
        ends = [(low, low), (high, high), (middle, middle), (low, middle), (middle, high)] if low < high else []
        ends += [(a, high) for a in _rounded(low) if a <= high] + [(low, b) for b in _rounded(high) if low <= b]
        yield from ((*case.box[:i], pair, *case.box[i + 1 :]) for pair in ends)


def _rounded(value: Fraction) -> Iterator[Fraction]:
    """0, and the value with fewer digits."""
    for rounder in (Fraction(0), *(Fraction(round(value * unit), unit) for unit in (1, 8, 1000))):
        if rounder != value:
            yield rounder


def _rounder(network: Described) -> Iterator[Described]:
    """One weight or bias 0, or with fewer digits; all of them at once first. Convolutions become matrices."""
    plain = replace(network, layers=tuple(replace(layer, kernel=()) for layer in network.layers))
    for unit in _UNITS[1:]:
        yield replace(plain, layers=tuple(_coarser(layer, unit) for layer in plain.layers))
    for k, layer in enumerate(plain.layers):
        count = len(layer.bias) + sum(len(row) for _, m in layer.terms for row in m)
        for position in range(count):
            for unit in _UNITS:
                own = _coarser(layer, unit, only=position)
                yield replace(plain, layers=(*plain.layers[:k], own, *plain.layers[k + 1 :]))


def _coarser(layer: Layer, unit: int, only: int | None = None) -> Layer:
    """All numbers of a layer, or the one at a position, as multiples of 1 / unit that float32 holds; unit 0: as 0."""
    seen = itertools.count()

    def new(w: float) -> float:
        if only not in {None, next(seen)}:
            return w
        return float(np.float32(round(w * unit) / unit)) if unit else 0.0

    terms = tuple((s, tuple(tuple(map(new, row)) for row in m)) for s, m in layer.terms)
    return Layer(terms, tuple(map(new, layer.bias)))


def main() -> None:
    """Shrink a finding."""
    parser = argparse.ArgumentParser(description="shrink a finding of a campaign")
    parser.add_argument("finding", type=Path)
    parser.add_argument("to", type=Path)
    parser.add_argument("--expected", required=True, help="the true answer, in the words of a campaign's table")
    options = parser.parse_args()
    finding = json.loads(options.finding.read_text())
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder)) as bench:

        def fails(case: Case) -> bool:
            return outcome(bench, case, Truth(case.networks, case.box)).word == "wrong"

        case = shrunk(from_json(finding), fails)
    kept = {"about": finding["wrong"], "expected": options.expected, "may_be_unknown": False}
    options.to.write_text(json.dumps(kept | to_json(case), indent=1) + "\n")
    print(f"{options.to}: {_size(case)} characters")


if __name__ == "__main__":
    main()
