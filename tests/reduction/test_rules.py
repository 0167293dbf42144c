"""Each rule on networks where what it must do is planted."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from secateur.network.linear import Dense
from secateur.network.model import Affine, Network, Term
from secateur.reduction import Facts, Phase, Rewrite, Step, rewrite
from tests.reduction.support import Bounds, Convolution, chain, dense, proven_facts

BOX: Bounds = [(Fraction(0), Fraction(1)), (Fraction(0), Fraction(1))]
TENTH = Fraction(1, 10)
# Float32 numbers whose products are none.
ODD = float(np.float32(0.1))
ODDER = float(np.float32(1.7))


def reduced(network: Network, tolerance: Fraction = Fraction(0)) -> Rewrite:
    """The rewrite with all phases that intervals prove on the unit box."""
    box = BOX[: network.input_size]
    result = rewrite(network, proven_facts(network, box), tolerance)
    assert result.error <= tolerance
    for corner in ([0, 0], [0, 1], [1, 0], [1, 1], [Fraction(1, 3), Fraction(2, 7)]):
        point = [Fraction(v) for v in corner[: network.input_size]]
        before, after = network.exact(point).output, result.network.exact(point).output
        assert all(abs(a - b) <= result.error for a, b in zip(before, after, strict=True))
    return result


def rules_of(result: Rewrite) -> list[str]:
    return [step.rule for step in result.steps]


def test_inactive_neurons_vanish_and_the_weights_stay() -> None:
    network = chain(
        ([[1.0, 1.0], [1.0, 0.0], [ODD, -1.0]], [-3.0, -0.5, 0.0]),
        ([[5.0, ODD, 2.0], [6.0, ODDER, 3.0]], [0.25, -0.5]),
    )
    result = reduced(network)
    assert result.steps == (Step("drop inactive", 0, (0,), (Phase.INACTIVE,), ""),)
    assert result.kept == ((1, 2),)
    assert result.network.layers[0].terms[0].map.dense().weight.tolist() == [[1.0, 0.0], [ODD, -1.0]]
    assert result.network.output.terms[0].map.dense().weight.tolist() == [[ODD, 2.0], [ODDER, 3.0]]
    assert result.error == 0


def test_rationals_survive_the_dropping_of_their_neighbours() -> None:
    third = np.array([[Fraction(1, 3)], [Fraction(-1, 3)]], dtype=object)
    hidden = Affine((Term(0, Dense(third.astype(float), third)),), np.zeros(2), (Fraction(-1, 7), Fraction(0)))
    network = Network(1, (hidden,), Affine((Term(1, dense([[1.0, 1.0]])),), np.zeros(1)))
    result = reduced(network)
    assert result.kept == ((0,),)
    assert result.network.exact([Fraction(1)]).output == (Fraction(1, 3) - Fraction(1, 7),)


def test_a_dead_layer_makes_the_network_constant() -> None:
    network = chain(
        ([[1.0, 2.0], [3.0, -1.0]], [0.5, 0.0]),
        ([[-1.0, -1.0]], [0.0]),
        ([[ODD], [ODDER], [1.0]], [2.0, 0.5, -1.0]),
        ([[1.0, 0.5, 7.0]], [0.25]),
    )
    result = reduced(network)
    assert result.network.sizes == ()
    assert result.network.is_chain
    assert result.network.output.terms[0].map.dense().weight.tolist() == [[0.0, 0.0]]
    assert result.network.output.bias.tolist() == [2.0 + 0.25 + 0.25]
    assert rules_of(result)[:2] == ["fold dead layer", "drop unread"]
    assert result.steps[0].removed == (0,)
    assert result.steps[1] == Step("drop unread", 0, (0, 1), (Phase.ACTIVE, Phase.UNSTABLE), "read by nobody")


def test_a_constant_that_cannot_be_stored_is_folded_only_with_a_tolerance() -> None:
    network = chain(
        ([[1.0], [3.0], [2.0]], [0.5, 0.0, 1.0]),
        ([[-1.0, -1.0, 0.0]], [0.0]),
        ([[ODD]], [ODD]),
        ([[ODDER], [1.0]], [0.0, 0.0]),
    )
    exact = reduced(network)
    assert exact.network.sizes == (1,)  # the constant neuron max(0, ODD), which now reads nothing
    assert exact.layers == (2,)
    assert exact.kept == ((0,),)
    assert exact.error == 0
    folded = reduced(network, TENTH)
    assert folded.network.sizes == ()
    assert 0 < folded.error < Fraction(1, 10**6)


def test_a_dead_layer_that_costs_less_than_a_zero_matrix_keeps_one_neuron() -> None:
    wide = 50
    narrow = ([[1.0] * wide], [-100.0])
    network = chain(narrow, ([[ODD]] * 9, [ODD] * 9), ([[ODDER] * 9] + [[1.0] * 9] * 8, [0.0] * 9))
    box = [(Fraction(0), Fraction(1))] * wide
    facts = Facts([lo for lo, _ in box], [hi for _, hi in box], [[Phase.INACTIVE], [Phase.UNSTABLE] * 9])
    result = rewrite(network, facts)
    assert result.network.sizes[0] == 1
    assert result.network.exact([Fraction(1)] * wide).output == network.exact([Fraction(1)] * wide).output


def test_duplicates_merge_where_the_summed_weights_can_be_stored() -> None:
    hidden = ([[1.0, -1.0], [2.0, 0.5], [1.0, -1.0], [2.0, 0.5]], [0.25, -1.0, 0.25, -1.0])
    output = ([[1.0, 2.0**24, 0.5, 1.0], [1.0, 0.0, -1.0, 0.0]], [0.0, 0.0])
    network = chain(hidden, output)
    result = reduced(network)
    # 2**24 + 1 is no float32 number: the second pair stays apart.
    assert result.steps == (Step("merge duplicates", 0, (2,), (Phase.UNSTABLE,), "equal to neuron 0"),)
    assert result.kept == ((0, 1, 3),)
    assert result.network.output.terms[0].map.dense().weight.tolist() == [
        [1.5, 2.0**24, 1.0],
        [0.0, 0.0, 0.0],
    ]
    assert reduced(network, Fraction(2)).kept == ((0, 1),)


def test_a_merged_neuron_has_the_phase_that_was_claimed_for_its_twin() -> None:
    network = chain(([[1.0], [1.0], [-2.0]], [0.5, 0.5, 1.0]), ([[ODD, 2 * ODD, 1.0]], [0.0]))
    facts = Facts([Fraction(0)], [Fraction(1)], [[Phase.UNSTABLE, Phase.ACTIVE, Phase.UNSTABLE]])
    result = rewrite(network, facts, TENTH)
    assert result.kept == ((0, 2),)
    assert [neuron.phase for neuron in result.neurons[0]] == [Phase.ACTIVE, Phase.UNSTABLE]


def test_unread_and_constant_neurons_vanish_without_any_fact() -> None:
    network = chain(
        ([[1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [0.0, 0.5, -0.5, -3.0]),
        ([[1.0, 2.0, 0.0, 4.0]], [0.125]),
    )
    facts = Facts([Fraction(0)] * 2, [Fraction(1)] * 2, [[Phase.UNSTABLE] * 4])
    result = rewrite(network, facts)
    assert result.kept == ((0,),)
    assert sorted(rules_of(result)) == ["drop unread", "fold constants"]
    assert result.network.output.bias.tolist() == [1.125]


def test_one_constant_that_cannot_be_stored_does_not_hold_back_the_others() -> None:
    network = chain(
        ([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]], [0.0, ODD, 0.5]),
        ([[1.0, ODDER, 2.0]], [1.0]),
    )
    result = reduced(network)
    assert result.kept == ((0, 1),)
    assert result.network.output.bias.tolist() == [2.0]


def test_an_active_layer_folds_where_its_products_can_be_stored() -> None:
    def network(weight: float) -> Network:
        return chain(([[weight, 1.0], [2.0, 3.0], [1.0, 1.0]], [0.0, 1.0, 0.5]), ([[weight, 1.0, 1.0]], [0.0]))

    exact = reduced(network(0.5))
    assert rules_of(exact) == ["fold active layer"]
    assert exact.network.sizes == ()
    assert exact.network.output.terms[0].map.dense().weight.tolist() == [[3.25, 4.5]]
    assert exact.network.output.bias.tolist() == [1.5]
    assert reduced(network(ODD)).steps == ()
    rounded = reduced(network(ODD), TENTH)
    assert rounded.network.sizes == ()
    assert 0 < rounded.error < Fraction(1, 10**6)


def test_an_active_layer_stays_where_its_product_would_be_larger() -> None:
    network = chain(([[1.0, 2.0]], [0.0]), ([[1.0]] * 9, [-0.1 * k for k in range(9)]), ([[1.0] * 9], [0.0]))
    facts = Facts([Fraction(0)] * 2, [Fraction(1)] * 2, [[Phase.ACTIVE], [Phase.UNSTABLE] * 9])
    assert rewrite(network, facts, Fraction(10)).steps == ()


def test_active_neurons_are_replaced_by_what_they_read_shifted_above_zero() -> None:
    active = ([[1.0], [2.0], [0.5]], [3.0, 4.0, 5.0])
    network = chain(
        ([*active[0], [1.0]], [*active[1], 0.25]),
        ([[1.0, -1.0, 2.0, 1.0], [0.0, 1.0, 0.0, -1.0]], [-8.0, 2.0]),
        ([[1.0, 1.0]], [0.0]),
    )
    box = [(Fraction(-1), Fraction(1))]
    result = rewrite(network, proven_facts(network, box))
    assert result.steps[0].rule == "replace active"
    assert result.steps[0].removed == (0, 1, 2)
    assert result.kept[0] == (3, None)
    assert result.network.layers[0].terms[0].map.dense().weight.tolist() == [[1.0], [1.0]]
    assert result.network.layers[0].bias.tolist() == [0.25, 1.0]
    for x in (Fraction(-1), Fraction(-1, 3), Fraction(1)):
        before, after = network.exact([x]), result.network.exact([x])
        assert after.output == before.output
        assert after.pre_activations[1] == before.pre_activations[1]


def test_active_neurons_are_combined_for_a_narrow_reader() -> None:
    hidden = ([[1.0, 2.0], [3.0, -1.0], [-1.0, 0.5], [1.0, -1.0]], [0.0, 1.0, 1.0, 0.0])
    network = chain(hidden, ([[1.0, -2.0, 1.0, 1.0]], [0.5]))
    result = reduced(network)
    assert result.kept == ((3, None),)
    assert result.steps[-1].detail == "3 neurons combined into 1"
    shifted = result.neurons[0][1]
    assert shifted.phase is Phase.ACTIVE
    assert shifted.range.lower is not None
    assert shifted.range.lower >= 0


def test_dependent_active_neurons_are_written_in_a_basis_of_kept_ones() -> None:
    rows = [[1.0, 1.0, 2.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    network = chain(
        ([*rows, [1.0, -1.0, 1.0]], [1.0, 2.0, 3.0, -0.5]),
        ([[1.0, 2.0, 3.0, 1.0], [-1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 2.0]], [-9.0, 1.0, -2.0]),
        ([[1.0, 1.0, -1.0]], [0.0]),
    )
    box = [(Fraction(0), Fraction(1))] * 3
    phases = [[Phase.ACTIVE] * 3 + [Phase.UNSTABLE], [Phase.UNSTABLE] * 3]
    result = rewrite(network, Facts([lo for lo, _ in box], [hi for _, hi in box], phases))
    assert result.kept == ((3, 0, 1), (0, 1, 2))
    assert result.steps == (Step("replace active", 0, (2,), (Phase.ACTIVE,), "3 neurons written in 2 of them"),)
    point = [Fraction(1, 3), Fraction(1), Fraction(2, 7)]
    assert result.network.exact(point).pre_activations[1] == network.exact(point).pre_activations[1]
    assert result.error == 0


def test_the_rules_work_across_skip_connections() -> None:
    first = Affine((Term(0, dense([[1.0], [1.0], [-1.0], [1.0]])),), np.array([-0.5, -2.0, 0.5, -0.5]))
    second = Affine((Term(0, dense([[1.0]])), Term(1, dense([[1.0, 9.0, -2.0, 1.0]]))), np.array([-0.75]))
    output = Affine((Term(1, dense([[1.0, 8.0, 1.0, 2.0]])), Term(2, dense([[1.0]]))), np.array([0.0]))
    network = Network(1, (first, second), output)
    result = reduced(network)
    assert result.kept == ((0, 2), (0,))
    assert sorted(rules_of(result)) == ["drop inactive", "merge duplicates"]
    assert result.network.output.terms[0].map.dense().weight.tolist() == [[3.0, 1.0]]


def test_an_active_layer_joins_existing_skip_connections() -> None:
    first = Affine((Term(0, dense([[1.0], [2.0]])),), np.array([1.0, 0.0]))
    second = Affine((Term(0, dense([[1.0]])), Term(1, dense([[1.0, -1.5]]))), np.array([0.5]))
    output = Affine((Term(1, dense([[1.0, 0.5]])), Term(2, dense([[1.0]]))), np.array([0.0]))
    result = reduced(Network(1, (first, second), output))
    assert rules_of(result) == ["fold active layer"]
    assert result.layers == (1,)
    # 0.5 + x + (x + 1) - 1.5 (2 x) = 1.5 - x, in one term; the output reads (x + 1) + 0.5 (2 x) = 2 x + 1.
    hidden, reader = result.network.layers[0], result.network.output
    assert [(t.source, t.map.dense().weight.tolist()) for t in hidden.terms] == [(0, [[-1.0]])]
    assert hidden.bias.tolist() == [1.5]
    assert [(t.source, t.map.dense().weight.tolist()) for t in reader.terms] == [(0, [[2.0]]), (1, [[1.0]])]
    assert reader.bias.tolist() == [1.0]


def convolutional(bias: list[float]) -> Network:
    kernel = np.array([1.0, -1.0])
    first = Affine((Term(0, Convolution(kernel, 3)),), np.array(bias))
    second = Affine((Term(1, dense([[1.0, 1.0], [1.0, -1.0], [1.0, ODD]])),), np.array([-9.0, 0.0, 0.0]))
    return Network(3, (first, second), Affine((Term(2, dense([[1.0, 1.0, 1.0]])),), np.zeros(1)))


def test_a_convolution_keeps_its_inactive_neurons_and_says_so() -> None:
    network = convolutional([-5.0, 0.0])
    facts = Facts(
        [Fraction(0)] * 3,
        [Fraction(1)] * 3,
        [[Phase.INACTIVE, Phase.UNSTABLE], [Phase.INACTIVE, Phase.UNSTABLE, Phase.UNSTABLE]],
    )
    result = rewrite(network, facts, TENTH)
    assert result.kept == ((0, 1), (1, 2))
    detail = "1 inactive neuron stays: written or read by a convolution"
    assert result.steps[-1] == Step("leave convolution", 0, (), (), detail)
    point = [Fraction(1), Fraction(0), Fraction(1, 3)]
    assert result.network.exact(point).output == network.exact(point).output


def test_a_convolution_that_is_never_positive_goes_as_a_whole() -> None:
    network = convolutional([-5.0, -5.0])
    result = rewrite(network, proven_by_hand(network))
    assert result.network.sizes == ()
    assert result.network.exact([Fraction(1)] * 3).output == network.exact([Fraction(1)] * 3).output


def proven_by_hand(network: Network) -> Facts:
    phases = [[Phase.INACTIVE] * 2, [Phase.UNSTABLE] * 3]
    return Facts([Fraction(0)] * network.input_size, [Fraction(1)] * network.input_size, phases)


@pytest.mark.parametrize("phase", [Phase.INACTIVE, Phase.ACTIVE])
def test_a_false_claim_is_obeyed_and_never_repaired(phase: Phase) -> None:
    """Intervals cannot refute the claim (z is 2 |x| - 1), so the result shows what was claimed."""
    network = chain(([[1.0], [-1.0]], [0.0, 0.0]), ([[2.0, 2.0], [1.0, -1.0]], [-1.0, 0.0]), ([[1.0, 1.0]], [0.0]))
    facts = Facts([-Fraction(1)], [Fraction(1)], [[Phase.UNSTABLE] * 2, [phase, Phase.UNSTABLE]])
    result = rewrite(network, facts)
    witness = [Fraction(1)]
    kept_second = 0 in result.kept[-1]
    assert kept_second is (phase is Phase.ACTIVE)
    expected = Fraction(1) if phase is Phase.INACTIVE else network.exact(witness).output[0]
    assert result.network.exact(witness).output == (expected,)
