"""Redundancy claims against an exact solver that sees every neuron, and at the edges: ties, dead neurons, negative lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from secateur.network import Affine, Dense, Network, Term
from secateur.options import VerifyOptions
from secateur.progress import SilentProgress
from secateur.reduction import Phase
from secateur.reduction.linearise import Line
from secateur.reduction.redundancy import BothSigns, Changed, Redundancy, decide_redundancy
from secateur.reduction.redundancy_claim import REPLACEMENTS, RedundancyClaim
from secateur.residual import ResidualSolver
from secateur.search import Holds, Unknown, Violated
from secateur.specification import Domain
from tests.boxes import box
from tests.reduction.redundancy_cases import exact_answer, replaced_values
from tests.search.queries import layered

F = Fraction
ZERO = F(0)
_BLOCKS, _CASES = 4, 60


@pytest.fixture(scope="module")
def solver() -> Iterator[ResidualSolver]:
    with ResidualSolver("z3") as one:
        yield one


def ask(
    network: Network, domain: Domain, claim: RedundancyClaim, solver: ResidualSolver, timeout: float = 10.0, seed: int = 0
) -> Redundancy:
    options = VerifyOptions(timeout=timeout, jobs=1, seed=seed)
    return decide_redundancy(network, domain, claim, solver, options, time.monotonic() + timeout, SilentProgress())


# --- random claims


class Drawn:
    """A random network, now and then with skip connections, a box, and a claim about it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        inputs, depth = int(self.rng.integers(1, 3)), int(self.rng.integers(1, 4))
        sizes = [inputs, *self.rng.integers(1, 4, depth).tolist(), int(self.rng.integers(1, 4))]
        skips = self.rng.random() < 0.4
        stack = []
        for k in range(1, len(sizes)):
            read = [s for s in range(k) if s == k - 1 or (skips and self.rng.random() < 0.5)]
            stack.append(self._affine(sizes[k], {s: sizes[s] for s in read}))
        self.network = Network(inputs, tuple(stack[:-1]), stack[-1])
        corners = [F(-1), F(-1, 3), F(0), F(1, 10), F(1, 2), F(3, 2)]
        sides = [sorted(self.rng.choice(len(corners), 2).tolist()) for _ in range(inputs)]
        self.domain = box(*((corners[a], corners[b]) for a, b in sides))

    def _affine(self, size: int, sources: dict[int, int]) -> Affine:
        weights = {s: self.rng.integers(-8, 9, (size, width)) / 4 for s, width in sources.items()}
        bias = self.rng.integers(-6, 7, size) / 4
        for i in range(size):
            fate = self.rng.choice(["plain", "plain", "plain", "plain", "zero", "copy", "dead"])
            for matrix in weights.values():
                matrix[i] = 0.0 if fate == "zero" else matrix[i - 1] if fate == "copy" and i else matrix[i]
            bias[i] = -64.0 if fate == "dead" else bias[i - 1] if fate == "copy" and i else bias[i]
        return Affine(tuple(Term(s, Dense(matrix)) for s, matrix in weights.items()), bias)

    def claim(self) -> RedundancyClaim:
        layer = int(self.rng.integers(1, len(self.network.layers) + 1))
        size = self.network.sizes[layer - 1]
        chosen = self.rng.permutation(size)[: self.rng.integers(1, size + 1)]
        neurons = tuple(sorted(int(i) for i in chosen))
        kinds = ["phase", "forward", "relaxed", *(["result"] if self.network.output_size > 1 else [])]
        kind = str(self.rng.choice(kinds))
        if kind == "phase":
            return RedundancyClaim(layer, neurons, kind)
        how = self.rng.choice([None, *REPLACEMENTS])
        ahead = self.rng.choice([None, 1, 2, 3]) if kind != "result" else None
        tolerance = F(int(self.rng.integers(1, 20)), 8) if kind == "relaxed" else None
        decision = str(self.rng.choice(["argmax", "argmin"])) if kind == "result" else None
        margin = F(int(self.rng.integers(0, 5)), 4) if kind == "result" else None
        return RedundancyClaim(layer, neurons, kind, ahead, how, tolerance, decision, margin)


def require_consistent(network: Network, domain: Domain, found: Redundancy, answer: bool | None) -> None:
    claim = found.claim
    match found.verdict:
        case Holds():
            assert answer is not False
            assert found.counterexample is None
        case Violated():
            assert answer is not True
        case Unknown(reason=reason):
            assert reason
            assert found.counterexample is None
    match found.counterexample:
        case BothSigns(neuron=neuron, points=points, values=values):
            assert claim.kind == "phase"
            assert all(domain.contains(point) for point in points)
            assert values == tuple(network.exact(p).pre_activations[claim.layer - 1][neuron] for p in points)
            assert values[0] > 0 > values[1]
        case Changed(point=point, original=original, linearised=replaced):
            assert domain.contains(point)
            watched = claim.watched_layer(network)
            for lines, values in (({}, original), (found.lines, replaced)):
                layers, output = replaced_values(network, claim.layer, lines, point)
                assert list(values) == (output if watched is None else layers[watched - 1])
            assert is_shown(claim, original, replaced)
        case None:
            assert not isinstance(found.verdict, Violated)


def is_shown(claim: RedundancyClaim, ours: tuple[Fraction, ...], theirs: tuple[Fraction, ...]) -> bool:
    """Whether the values are against the claim."""
    if claim.kind != "result":
        return max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > (claim.tolerance or 0)
    sign = 1 if claim.decision in {None, "argmax"} else -1
    ours, theirs = tuple(sign * v for v in ours), tuple(sign * v for v in theirs)
    order = sorted(range(len(ours)), key=lambda i: ours[i])
    winner, second = order[-1], order[-2]
    beaten = any(theirs[k] >= theirs[winner] for k in order[:-1])
    return ours[winner] - ours[second] > (claim.margin or 0) and beaten


@pytest.mark.parametrize("block", range(_BLOCKS))
def test_verdicts_never_contradict_exact_z3(block: int, solver: ResidualSolver) -> None:
    decided: set[tuple[str, type]] = set()
    open_ones = 0
    for seed in range(block * _CASES, (block + 1) * _CASES):
        drawn = Drawn(seed)
        claim = drawn.claim()
        found = ask(drawn.network, drawn.domain, claim, solver, timeout=2.0)
        answer = exact_answer(drawn.network, drawn.domain, claim, found.lines)
        require_consistent(drawn.network, drawn.domain, found, answer)
        if isinstance(found.verdict, Unknown):
            open_ones += 1
        else:
            decided.add((claim.kind, type(found.verdict)))
    assert open_ones <= 0.05 * _CASES
    assert len(decided) >= 7  # both verdicts, about nearly every kind


# --- phases

ABSOLUTE = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0], [-1.0, 1.0]], [-1.0, -2.0]), ([[1.0, 1.0]], [0.0]))
"""Layer 2: |x| - 1 and -x - 2."""


@pytest.mark.parametrize(
    ("side", "layer", "neurons", "phase"),
    [
        ((F(-1), F(1)), 2, (0,), Phase.INACTIVE),
        ((F(-1), F(1)), 2, (0, 1), Phase.INACTIVE),
        ((F(1), F(2)), 2, (0,), Phase.ACTIVE),
        ((F(0), F(1)), 1, (0,), Phase.ACTIVE),
        ((F(0), F(0)), 1, (0, 1), Phase.INACTIVE),
    ],
)
def test_a_phase_that_touches_zero_holds(
    side: tuple[Fraction, Fraction], layer: int, neurons: tuple[int, ...], phase: Phase, solver: ResidualSolver
) -> None:
    found = ask(ABSOLUTE, box(side), RedundancyClaim(layer, neurons, "phase"), solver)
    assert isinstance(found.verdict, Holds)
    assert found.phases == dict.fromkeys(neurons, phase)


@pytest.mark.parametrize("excess", [F(1, 10**3), F(1, 10**12)])
def test_a_phase_is_lost_with_the_smallest_excess(excess: Fraction, solver: ResidualSolver) -> None:
    """No epsilon: where z reaches beyond 0 by a trillionth, at a point that no float32 number hits, it is not inactive."""
    found = ask(ABSOLUTE, box((F(1, 3), 1 + excess)), RedundancyClaim(2, (0, 1), "phase"), solver)
    assert isinstance(found.verdict, Violated | Unknown)
    if excess > F(1, 10**6):
        assert isinstance(found.counterexample, BothSigns)
        assert found.counterexample.neuron == 0


def test_neurons_of_either_phase_at_once(solver: ResidualSolver) -> None:
    found = ask(ABSOLUTE, box((F(1, 2), F(1))), RedundancyClaim(1, (0, 1), "phase"), solver)
    assert isinstance(found.verdict, Holds)
    assert found.phases == {0: Phase.ACTIVE, 1: Phase.INACTIVE}
    assert (found.lines, found.linearised) == ({}, None)


# --- replacements


def test_the_default_is_identity_for_active_neurons_and_zero_for_others(solver: ResidualSolver) -> None:
    found = ask(ABSOLUTE, box((F(1, 2), F(1))), RedundancyClaim(1, (0, 1), "forward", lookahead=1), solver)
    assert found.lines == {0: Line.identity(), 1: Line.zero()}
    assert isinstance(found.verdict, Holds)


@pytest.mark.parametrize(("how", "expected"), [("zero", Holds), ("identity", Holds), ("line", Holds), ("constant", Violated)])
def test_a_dead_reader_does_not_notice_an_unstable_neuron(how: str, expected: type, solver: ResidualSolver) -> None:
    """|x| - 1 stays dead with 0, x or x / 2 + 1/4 in place of relu(x), exactly at 0 for some x; with 1/2 it is 1/2 at x = -1."""
    network = layered(([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0]), ([[1.0]], [0.0]))
    claim = RedundancyClaim(1, (0,), "forward", lookahead=1, replace=how)
    assert isinstance(ask(network, box((F(-1), F(1))), claim, solver).verdict, expected)


def test_lines_may_be_negative(solver: ResidualSolver) -> None:
    """z in [-1, 1] gives the line z / 2 + 1/4, which is -1/4 at z = -1; a reader that is cut off there shows it."""
    network = layered(([[1.0]], [0.0]), ([[-1.0]], [0.0]), ([[1.0]], [0.0]))
    claim = RedundancyClaim(1, (0,), "relaxed", tolerance=F(1, 5), replace="line")
    found = ask(network, box((F(-1), F(1))), claim, solver)
    assert isinstance(found.verdict, Violated)
    assert isinstance(found.counterexample, Changed)
    assert found.counterexample.original == (0,)
    assert found.counterexample.linearised > (F(1, 5),)
    claim = RedundancyClaim(1, (0,), "relaxed", tolerance=F(26, 100), replace="line")
    assert isinstance(ask(network, box((F(-1), F(1))), claim, solver).verdict, Holds)


@pytest.mark.parametrize(("tolerance", "expected"), [(F(1, 2), Holds), (F(1, 2) - F(1, 1000), Violated)])
def test_a_change_of_exactly_the_tolerance_holds(tolerance: Fraction, expected: type, solver: ResidualSolver) -> None:
    network = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
    claim = RedundancyClaim(1, (0,), "relaxed", tolerance=tolerance, replace="constant")
    assert isinstance(ask(network, box((F(-1), F(1))), claim, solver).verdict, expected)


def test_constants_come_from_certified_ranges(solver: ResidualSolver) -> None:
    network = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
    claim = RedundancyClaim(1, (0,), "relaxed", tolerance=F(1), replace="line")
    line = ask(network, box((F(-1), F(2))), claim, solver).lines[0]
    assert abs(line.slope - F(2, 3)) < F(1, 100)
    assert abs(line.constant - F(1, 3)) < F(1, 100)


def test_a_lookahead_beyond_the_last_layer_is_about_the_outputs(solver: ResidualSolver) -> None:
    found = ask(ABSOLUTE, box((F(-3), F(3))), RedundancyClaim(1, (0,), "forward", lookahead=2), solver)
    assert found.words == "linearising neuron 0 of layer 1 changes no output on D"
    assert isinstance(found.verdict, Violated)


def test_ties_are_no_decisions(solver: ResidualSolver) -> None:
    """Outputs r and 0: r wins where z > 0; without the neuron both are 0, a tie, which is not the same winner."""
    network = layered(([[1.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.0]))
    wide, narrow = box((F(-1), F(1))), box((F(-1), F(0)))
    assert isinstance(ask(network, wide, RedundancyClaim(1, (0,), "result"), solver).verdict, Violated)
    assert isinstance(ask(network, wide, RedundancyClaim(1, (0,), "result", margin=F(1)), solver).verdict, Holds)
    assert isinstance(ask(network, narrow, RedundancyClaim(1, (0,), "result"), solver).verdict, Holds)
    assert isinstance(ask(network, wide, RedundancyClaim(1, (0,), "result", decision="argmin"), solver).verdict, Violated)


def test_no_time_is_unknown_and_no_truth_value(solver: ResidualSolver) -> None:
    found = ask(ABSOLUTE, box((F(-1), F(1))), RedundancyClaim(2, (0,), "forward"), solver, timeout=1e-9)
    assert isinstance(found.verdict, Unknown)
    assert found.verdict.timed_out
    with pytest.raises(TypeError, match="no truth value"):
        bool(found)
