"""What is left for SMT: the normal form of a sub-problem, and the solvers that decide it.

`normal_form` composes all stable neurons away, exactly, so that each remaining ReLU reads the input and the
remaining ReLUs before it; on such problems the solvers are orders of magnitude faster than on one variable
per neuron. `ResidualSolver` keeps the solver children, their limits and the user's choice among them.
"""

from __future__ import annotations

import enum
import logging
import math
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import numpy as np

from secateur.errors import InputError
from secateur.network.exact import ExactArray, Objects, common_denominator
from secateur.network.model import Affine, Network
from secateur_encodings import (
    SOLVERS,
    Interval,
    LinearForm,
    Problem,
    Relu,
    Row,
    Sat,
    SolverChild,
    Unknown,
    Unsat,
    Verdict,
    available_solvers,
    worker_command,
)

__all__ = [
    "Constraint",
    "NormalForm",
    "PhaseBounds",
    "ResidualSolver",
    "Sat",
    "SolverChoice",
    "Unknown",
    "Unsat",
    "Verdict",
    "agreed",
    "negative",
    "normal_form",
    "positive",
    "solver_versions",
]

log = logging.getLogger(__name__)

#: Memory that one child may use.
MEMORY_MIB = 4096

Number = Fraction | float | int

#: Lower and upper bounds of one layer's pre-activations; finite. Floats count as the rationals they are.
PhaseBounds = tuple[Iterable[Number], Iterable[Number]]


# --- questions


@dataclass(frozen=True)
class Constraint:
    """A linear inequality over the input and the affine values of a network.

    The sum is <= `bound`, or < where `strict`. `values` are (k, i, coefficient) for value i of affine k: the
    pre-activations of `network.layers[k]`, or the outputs for k = len(network.layers). `inputs` are
    (i, coefficient).
    """

    values: tuple[tuple[int, int, Fraction], ...]
    bound: Fraction = Fraction(0)
    strict: bool = False
    inputs: tuple[tuple[int, Fraction], ...] = ()


def positive(layer: int, neuron: int) -> Constraint:
    """z > 0 for a neuron of `network.layers[layer]`: unsatisfiable where it is inactive."""
    return Constraint(((layer, neuron, Fraction(-1)),), strict=True)


def negative(layer: int, neuron: int) -> Constraint:
    """z < 0 for a neuron of `network.layers[layer]`: unsatisfiable where it is active."""
    return Constraint(((layer, neuron, Fraction(1)),), strict=True)


# --- the normal form


@dataclass(frozen=True, eq=False)
class NormalForm:
    """A residual problem, and the neuron that each of its ReLUs is: (k, i) for value i of `network.layers[k]`."""

    problem: Problem
    neurons: tuple[tuple[int, int], ...]


def normal_form(
    network: Network,
    lower: Sequence[Number],
    upper: Sequence[Number],
    phase_bounds: Sequence[PhaseBounds],
    objective: Sequence[Constraint],
) -> NormalForm:
    """Is there x in [lower, upper] at which all constraints of `objective` hold? Without the stable neurons.

    `phase_bounds[k]` bounds the pre-activations of layer k, for every layer below the highest one that the
    objective reads (more are ignored). They must hold at every point that matters: on the whole box, or, in a
    sub-problem, wherever the sub-problem's other constraints hold (`Unsat` then speaks of those points only,
    and a `Sat` point must be replayed on the network). Input i of the result is input i of the network, so a
    model is a point of the box.

    `ValueError` where shapes do not match, a bound is not finite, or a lower bound exceeds its upper bound.
    """
    top = max((k for constraint in objective for k, _, _ in constraint.values), default=0)
    box = _intervals(lower, upper, network.input_size, "the box")
    if len(phase_bounds) < top:
        raise ValueError(f"phase bounds of {top} layers are needed, not {len(phase_bounds)}")
    bounds = [
        _intervals(low, high, layer.size, f"layer {k}")
        for k, (layer, (low, high)) in enumerate(zip(network.layers[:top], phase_bounds, strict=False))
    ]
    composition = _Composition(network, bounds, objective)
    rows = [composition.row(constraint) for constraint in objective]
    whole = Problem(tuple(box), tuple(composition.relus()), tuple(rows))
    kept = _read(whole)
    return NormalForm(_restricted(whole, kept), tuple(composition.neurons[k] for k in kept))


def _intervals(lower: Iterable[Number], upper: Iterable[Number], size: int, where: str) -> list[Interval]:
    lows, highs = _rationals(lower, where), _rationals(upper, where)
    if not len(lows) == len(highs) == size:
        raise ValueError(f"{where}: {size} lower and upper bounds are needed, not {len(lows)} and {len(highs)}")
    return [Interval(low, high) for low, high in zip(lows, highs, strict=True)]


def _rationals(values: Iterable[Number], where: str) -> list[Fraction]:
    try:
        return [Fraction(value) for value in values]
    except (OverflowError, ValueError) as error:
        raise ValueError(f"{where}: a bound is not finite") from error


class _Phase(enum.Enum):
    INACTIVE = "inactive"
    ACTIVE = "active"
    UNSTABLE = "unstable"


def _phase(bounds: Interval) -> _Phase:
    if bounds.upper <= 0:
        return _Phase.INACTIVE
    return _Phase.ACTIVE if bounds.lower >= 0 else _Phase.UNSTABLE


@dataclass(frozen=True, eq=False)
class _Composed:
    """The values `rows` of one affine as functions of the columns: (numerators @ columns) / denominator.

    `numerators` are Python integers of shape (len(rows), columns): weights are dyadic, and integers over one
    denominator are several times faster than fractions. The last column is the constant 1.
    """

    rows: tuple[int, ...]
    numerators: Objects
    denominator: int

    def form(self, row: int) -> LinearForm:
        numerators = self.numerators[self.rows.index(row)].tolist()
        terms = ((v, Fraction(n, self.denominator)) for v, n in enumerate(numerators[:-1]) if n)
        return LinearForm(tuple(terms), Fraction(numerators[-1], self.denominator))

    def select(self, rows: Sequence[int]) -> Objects:
        return self.numerators[[self.rows.index(row) for row in rows]]


class _Composition:
    """The affine values of a network as functions of the input and its unstable ReLUs.

    Columns: the inputs, the unstable neurons in their order, the constant 1.
    """

    def __init__(self, network: Network, bounds: Sequence[Sequence[Interval]], objective: Sequence[Constraint]) -> None:
        self._network, self._bounds = network, bounds
        self._phases = [[_phase(interval) for interval in layer] for layer in bounds]
        self._column: dict[tuple[int, int], int] = {}
        for k, layer in enumerate(self._phases):
            for i in _with_phase(layer, _Phase.UNSTABLE):
                self._column[k, i] = network.input_size + len(self._column)
        self._width = network.input_size + len(self._column) + 1
        read = {(k, i) for constraint in objective for k, i, _ in constraint.values}
        self._composed: list[_Composed] = []
        for k, affine in enumerate((*network.layers, network.output)[: len(bounds) + 1]):
            alive = self._alive(k) if k < len(bounds) else ()
            self._composed.append(self._compose(affine, sorted({*alive, *(i for layer, i in read if layer == k)})))

    @property
    def neurons(self) -> list[tuple[int, int]]:
        """The unstable neurons, in the order of their columns."""
        return list(self._column)

    def relus(self) -> list[Relu]:
        """What they compute."""
        return [Relu(self._composed[k].form(i), self._bounds[k][i].lower, self._bounds[k][i].upper) for k, i in self._column]

    def row(self, constraint: Constraint) -> Row:
        """One constraint in terms of the columns."""
        coefficients: dict[int, Fraction] = {}
        constant = Fraction(0)
        for v, c in constraint.inputs:
            coefficients[v] = coefficients.get(v, Fraction(0)) + c
        for k, i, c in constraint.values:
            form = self._composed[k].form(i)
            constant += c * form.constant
            for v, a in form.terms:
                coefficients[v] = coefficients.get(v, Fraction(0)) + c * a
        return Row(LinearForm.of(coefficients), constraint.bound - constant, constraint.strict)

    def _alive(self, layer: int) -> list[int]:
        return [i for i, phase in enumerate(self._phases[layer]) if phase is not _Phase.INACTIVE]

    def _compose(self, affine: Affine, rows: Sequence[int]) -> _Composed:
        bias = affine.rational_bias()
        parts = [_numerators([bias[i] for i in rows])]
        parts[0] = (self._placed(parts[0][0][:, None], [self._width - 1]), parts[0][1])
        for term in affine.terms:
            matrix = term.map.dense()
            weights, denominator = ExactArray(matrix.weight, matrix.exact).integers()
            parts += self._contributions(weights[list(rows)], denominator, term.source)
        return _Composed(tuple(rows), *_sum(parts))

    def _contributions(self, weights: Objects, denominator: int, source: int) -> list[tuple[Objects, int]]:
        """weights / denominator applied to one source; inactive neurons contribute nothing."""
        if source == 0:
            return [(self._placed(weights, range(self._network.input_size)), denominator)]
        layer = source - 1
        unstable = _with_phase(self._phases[layer], _Phase.UNSTABLE)
        active = _with_phase(self._phases[layer], _Phase.ACTIVE)
        read = (self._placed(weights[:, unstable], [self._column[layer, i] for i in unstable]), denominator)
        if not active:
            return [read]
        inner = self._composed[layer]
        return [read, (weights[:, active].dot(inner.select(active)), denominator * inner.denominator)]

    def _placed(self, block: Objects, columns: Sequence[int]) -> Objects:
        full = np.zeros((block.shape[0], self._width), dtype=object)
        full[:, list(columns)] = block
        return full


def _with_phase(phases: Sequence[_Phase], phase: _Phase) -> list[int]:
    return [i for i, p in enumerate(phases) if p is phase]


def _numerators(values: Sequence[Fraction]) -> tuple[Objects, int]:
    denominator = common_denominator(values)
    numerators = np.empty(len(values), dtype=object)
    numerators[:] = [v.numerator * (denominator // v.denominator) for v in values]
    return numerators, denominator


def _sum(parts: Sequence[tuple[Objects, int]]) -> tuple[Objects, int]:
    """The sum of matrices over denominators, in lowest terms."""
    denominator = math.lcm(*(d for _, d in parts))
    total = sum(numerators * (denominator // d) for numerators, d in parts[1:]) + parts[0][0] * (denominator // parts[0][1])
    common = math.gcd(denominator, *total.ravel().tolist())
    return total // common, denominator // common


def _read(problem: Problem) -> list[int]:
    """The ReLUs that some row depends on."""
    first = len(problem.inputs)
    read = {v for row in problem.rows for v, _ in row.form.terms}
    for k in reversed(range(len(problem.relus))):
        if first + k in read:
            read.update(v for v, _ in problem.relus[k].pre.terms)
    return [k for k in range(len(problem.relus)) if first + k in read]


def _restricted(problem: Problem, kept: Sequence[int]) -> Problem:
    """The same problem without the ReLUs that no row depends on.

    Exact both ways: the values of a dropped ReLU follow from the input, and its bounds hold wherever they
    matter.
    """
    first = len(problem.inputs)
    number = {v: v for v in range(first)} | {first + k: first + position for position, k in enumerate(kept)}

    def renumbered(form: LinearForm) -> LinearForm:
        return LinearForm(tuple((number[v], c) for v, c in form.terms), form.constant)

    relus = [problem.relus[k] for k in kept]
    return Problem(
        problem.inputs,
        tuple(Relu(renumbered(relu.pre), relu.lower, relu.upper) for relu in relus),
        tuple(Row(renumbered(row.form), row.bound, row.strict) for row in problem.rows),
    )


# --- the solvers


class SolverChoice(enum.StrEnum):
    """Who answers residual queries. `BOTH` refutes only where z3 and cvc5 agree; `NONE` answers nothing."""

    Z3 = "z3"
    CVC5 = "cvc5"
    BOTH = "both"
    NONE = "none"

    @property
    def solvers(self) -> tuple[str, ...]:
        return {"both": tuple(SOLVERS), "none": ()}.get(self.value, (self.value,))


class ResidualSolver:
    """Decides problems in solver children, each killed at the limit; a context manager that ends them.

    `choice` is a `SolverChoice` or its text; a text that is none and a solver that is not installed are
    `InputError`s. To be used by one thread at a time.
    """

    def __init__(self, choice: SolverChoice | str = SolverChoice.Z3, *, memory_mib: int = MEMORY_MIB) -> None:
        self.choice = _checked_choice(choice)
        self._children = {s: SolverChild(worker_command(s, memory_mib)) for s in self.choice.solvers}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all children. Idempotent."""
        for child in self._children.values():
            child.close()

    def solve(self, problem: Problem, limit: float | None = None) -> Verdict:
        """The verdict within `limit` seconds of wall time; a `Sat` model has been replayed exactly."""
        if limit is not None and not limit > 0:
            return Unknown("the time limit is used up")
        if limit is not None and limit > threading.TIMEOUT_MAX:  # infinity included
            limit = None
        if not self._children:
            return Unknown("no SMT solver was asked for")
        children = list(self._children.values())
        if len(children) == 1:
            return children[0].ask(problem, limit)
        with ThreadPoolExecutor(len(children)) as threads:
            verdicts = list(threads.map(lambda child: child.ask(problem, limit), children))
        return agreed(dict(zip(self._children, verdicts, strict=True)))


def _checked_choice(choice: SolverChoice | str) -> SolverChoice:
    if choice not in list(SolverChoice):
        raise InputError(f"there is no solver choice {choice!r}", remedy=f"use one of {', '.join(SolverChoice)}")
    installed = available_solvers()
    for solver in SolverChoice(choice).solvers:
        if solver not in installed:
            raise InputError(f"the SMT solver {solver} is not installed", remedy=f"run: pip install {SOLVERS[solver]}")
    return SolverChoice(choice)


def solver_versions(choice: SolverChoice | str) -> str:
    """The solvers of a choice with their versions, such as `z3 5.4.0`; empty for `none`."""
    installed = available_solvers()
    return " and ".join(f"{name} {installed.get(name, 'not installed')}" for name in SolverChoice(choice).solvers)


def agreed(verdicts: dict[str, Verdict]) -> Verdict:
    """One verdict out of several solvers': `Unsat` needs all of them, `Sat` needs one and no dissent.

    A model has been replayed exactly, so a solver that merely does not know cannot cast doubt on it.
    """
    models = [v for v in verdicts.values() if isinstance(v, Sat)]
    refutations = [name for name, v in verdicts.items() if isinstance(v, Unsat)]
    if models and refutations:
        names = " and ".join(verdicts)
        log.error("%s disagree: a replayed model against unsat of %s", names, ", ".join(refutations))
        return Unknown(f"{names} disagree")
    if models:
        return models[0]
    if len(refutations) == len(verdicts):
        return Unsat()
    return Unknown("; ".join(f"{n}: {_in_words(v)}" for n, v in verdicts.items()))


def _in_words(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, Unknown) else "unsat"
