"""Every status against an exact whole-network SMT encoding, and the search's behaviour at its edges."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secateur.bounds import chain_form, root_bounds
from secateur.network import Affine, Dense, Network, Term, read_onnx
from secateur.options import PruneOptions
from secateur.progress import SilentProgress
from secateur.residual import Sat, Unsat, negative, normal_form, positive, solver_versions
from secateur.search import Basis, PhaseResult, Status, decide_phases, deciding_rows
from secateur.specification import Domain, read_domain
from secateur_encodings import Encoding, solve
from tests.bounds.support import boxes, random_network
from tests.reduction.runs import BUNDLED
from tests.strategies import networks, skip_networks


def decide(network: Network, domain: Domain, timeout: float = 20.0) -> PhaseResult:
    return decide_phases(network, domain, PruneOptions(timeout=timeout, jobs=2), SilentProgress())


def z3_says(network: Network, domain: Domain, layer: int, neuron: int, sign: int) -> bool:
    """Whether exact Z3 finds a point with sign * z > 0."""
    bounds = root_bounds(chain_form(network, domain.lower, domain.upper), {})
    ranges = [
        (low[:size], high[:size]) for low, high, size in zip(bounds.exact_lower, bounds.exact_upper, network.sizes, strict=True)
    ]
    question = (positive if sign > 0 else negative)(layer - 1, neuron)
    form = normal_form(network, domain.lower, domain.upper, ranges, [question])
    verdict = solve(form.problem, "z3", encoding=Encoding.CASE_SPLIT)
    assert isinstance(verdict, Sat | Unsat)
    return isinstance(verdict, Sat)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(networks(max_layers=2), skip_networks(max_layers=2)), st.data())
def test_statuses_agree_with_exact_z3(network: Network, data: st.DataObject) -> None:
    domain = Domain(*data.draw(boxes(network.input_size)))
    result = decide(network, domain, timeout=1.0)
    for k, layer in enumerate(result.neurons, start=1):
        for i, neuron in enumerate(layer):
            above, below = z3_says(network, domain, k, i, 1), z3_says(network, domain, k, i, -1)
            match neuron.status:
                case Status.INACTIVE:
                    assert not above
                case Status.ACTIVE:
                    assert not below
                case Status.BOTH:
                    assert above
                    assert below
                case Status.UNKNOWN:
                    assert neuron.reason
                    assert neuron.basis is Basis.NONE


@pytest.fixture(scope="module")
def decided() -> tuple[Network, Domain, PhaseResult]:
    network = random_network([3, 16, 16, 8, 2], seed=3, shift=-0.25)
    domain = Domain((Fraction(-1),) * 3, (Fraction(1),) * 3)
    return network, domain, decide(network, domain)


def test_all_neurons_of_a_small_network_are_decided(decided: tuple[Network, Domain, PhaseResult]) -> None:
    _, _, result = decided
    assert result.count(Status.UNKNOWN) == 0
    assert result.count(Status.INACTIVE) >= 2
    assert {Basis.TREE, Basis.WITNESS} <= {n.basis for layer in result.neurons for n in layer}


def test_witnesses_show_both_signs_exactly(decided: tuple[Network, Domain, PhaseResult]) -> None:
    network, domain, result = decided
    traces = [network.exact(point) for point in result.witnesses]
    assert all(domain.contains(point) for point in result.witnesses)
    for k, layer in enumerate(result.neurons):
        for i, neuron in enumerate(layer):
            if neuron.status is Status.BOTH:
                assert neuron.positive is not None
                assert neuron.negative is not None
                assert traces[neuron.positive].pre_activations[k][i] > 0
                assert traces[neuron.negative].pre_activations[k][i] < 0


def test_deciding_rows_decide(decided: tuple[Network, Domain, PhaseResult]) -> None:
    network, domain, result = decided
    rows = deciding_rows(network, domain, result.evidence)
    assert {r[0] for r in rows} == set(result.evidence.claims)
    for _, coefficients, constant, low, high in rows:
        least = sum((min(a * p, a * q) for a, p, q in zip(coefficients, low, high, strict=True)), Fraction(0))
        assert constant + least / 2**24 >= 0


def test_the_same_seed_gives_the_same_proofs(decided: tuple[Network, Domain, PhaseResult]) -> None:
    network, domain, result = decided
    again = decide(network, domain)
    assert again.neurons == result.neurons
    assert again.witnesses == result.witnesses
    assert [t.claims for t in again.evidence.trees] == [t.claims for t in result.evidence.trees]
    for one, other in zip(again.evidence.trees, result.evidence.trees, strict=True):
        assert (one.symbols == other.symbols).all()


def tie(bias: float) -> Network:
    """Layer 2 computes -|x| + bias from relu(x) and relu(-x), which touches `bias` at x = 0 and nowhere else."""
    first = Affine((Term(0, Dense(np.array([[1.0], [-1.0]]))),), np.zeros(2))
    second = Affine((Term(1, Dense(np.array([[-1.0, -1.0]]))),), np.array([bias]))
    return Network(1, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))


@pytest.mark.parametrize(
    ("bias", "admitted"), [(0.0, {Status.INACTIVE, Status.UNKNOWN}), (2.0**-40, {Status.BOTH, Status.UNKNOWN})]
)
def test_a_tie_is_never_misjudged(bias: float, admitted: set[Status]) -> None:
    """No epsilon: 0 at one point leaves a neuron inactive; 2**-40 at one point does not."""
    result = decide(tie(bias), Domain((Fraction(-1, 3),), (Fraction(1, 2),)), timeout=5.0)
    assert result.neurons[1][0].status in admitted


def test_a_deadline_leaves_reasons() -> None:
    network = random_network([8, 40, 40, 40, 2], seed=1, shift=-0.3)
    result = decide(network, Domain((Fraction(-1),) * 8, (Fraction(1),) * 8), timeout=0.001)
    unknown = [n for layer in result.neurons for n in layer if n.status is Status.UNKNOWN]
    assert unknown
    assert {n.reason for n in unknown} == {"deadline"}


def test_a_point_domain_is_decided_by_evaluation() -> None:
    network = random_network([3, 6, 6, 2], seed=4)
    point = (Fraction(1, 3), Fraction(-1, 7), Fraction(2, 9))
    result = decide(network, Domain(point, point))
    for layer, values in zip(result.neurons, network.exact(point).pre_activations, strict=True):
        for neuron, z in zip(layer, values, strict=True):
            assert neuron.status is (Status.INACTIVE if z <= 0 else Status.ACTIVE)


def plateau() -> Network:
    """z = x - relu(x) = -relu(-x): 0 on half of the domain, where every bound that is rounded down misses 0."""
    first = Affine((Term(0, Dense(np.array([[1.0], [1.0]]))),), np.array([0.0, 1.0]))
    second = Affine((Term(1, Dense(np.array([[-1.0, 1.0]]))),), np.array([-1.0]))
    return Network(1, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))


@pytest.mark.parametrize("solver", ["z3", "cvc5", "both"])
def test_a_plateau_at_zero_is_the_solvers_to_decide(solver: str) -> None:
    domain = Domain((Fraction(-1, 3),), (Fraction(1, 2),))
    options = PruneOptions(timeout=30.0, jobs=2, solver=solver)
    result = decide_phases(plateau(), domain, options, SilentProgress())
    neuron = result.neurons[1][0]
    assert neuron.status is Status.INACTIVE
    if neuron.basis is Basis.SOLVER:
        assert [s.claim for s in result.evidence.solver] == [(2, 0, -1)]
        assert result.evidence.solver[0].by == solver_versions(solver)
    else:
        assert neuron.basis is Basis.TREE


def test_without_a_solver_a_plateau_is_proven_or_unknown() -> None:
    domain = Domain((Fraction(-1, 3),), (Fraction(1, 2),))
    result = decide_phases(plateau(), domain, PruneOptions(timeout=3.0, jobs=2, solver="none"), SilentProgress())
    assert result.neurons[1][0].status in {Status.INACTIVE, Status.UNKNOWN}
    assert result.evidence.solver == ()


def test_a_tie_on_a_cone_is_decided_with_evidence() -> None:
    """|x + y| - |x| - |y| touches 0 wherever x and y have the same sign: no row decides that, multipliers do."""
    signs = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    first = Affine((Term(0, Dense(signs)),), np.zeros(6))
    second = Affine((Term(1, Dense(np.array([[-0.1, -0.1, -0.1, -0.1, 0.1, 0.1]]))),), np.zeros(1))
    network = Network(2, (first, second), Affine((Term(2, Dense(np.array([[1.0]]))),), np.zeros(1)))
    domain = Domain((Fraction(-1, 3), Fraction(-1)), (Fraction(1, 2), Fraction(1)))
    result = decide(network, domain)
    assert (result.neurons[1][0].status, result.neurons[1][0].basis) == (Status.INACTIVE, Basis.TREE)
    (tree,) = result.evidence.trees
    assert tree.refuted
    assert not result.evidence.solver


class Shares(SilentProgress):
    """A progress that remembers how much it was told to be done."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def update(self, _text: str, share: float | None) -> None:
        self.shares += [] if share is None else [share]


def test_the_share_that_is_done_never_falls() -> None:
    network, domain, told = read_onnx(BUNDLED / "wine.onnx"), read_domain(BUNDLED / "wine.domain.json"), Shares()
    result = decide_phases(network, domain, PruneOptions(timeout=60.0, jobs=2, solver="none"), told)
    assert result.count(Status.UNKNOWN) == 0
    assert told.shares == sorted(told.shares)
    assert 0 < told.shares[0] < 1
    assert told.shares[-1] <= 1
