"""Section 7: which pairs of networks agree, given facts about their neurons."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from secateur.checker.chain import chain_form
from secateur.checker.domain import Domain
from secateur.checker.lowering import lower
from secateur.checker.records import Claim
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds
from secateur.checker.simulation import Statement, check_agreement
from tests.checker.support import dense_model

BOX = Domain((Fraction(-1), Fraction(0)), (Fraction(1), Fraction(1, 3)))


def layer(rows: Sequence[Sequence[float]], bias: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.float32(rows), np.float32(bias)


# neurons of layer 1: ordinary, its duplicate, active (x1 + 2), inactive (x1 - 2), constant 3
HIDDEN = layer([[1, 2], [1, 2], [1, 0], [1, 0], [0, 0]], [0, 0, 2, -2, 3])
MIDDLE = layer([[1, -3, 2, 7, 1], [1, 1, -1, 5, -1]], [0.25, 0.5])
OUT = layer([[1, 2]], [-1])
FACTS = frozenset({Claim(1, 2, "active"), Claim(1, 3, "inactive")})
# relu(x1 + 2 x2) once, x1 + 2 kept as a neuron, the constant folded into the biases
SMALL_HIDDEN = layer([[1, 2], [1, 0]], [0, 2])
SMALL_MIDDLE = layer([[-2, 2], [2, -1]], [3.25, -2.5])


def agree(original: list, reduced: list, facts: frozenset[Claim] = frozenset(), *, reduced_facts: frozenset[Claim] = frozenset(),
          tolerance: str = "0", match: dict | None = None) -> None:  # fmt: skip
    networks = lower(dense_model(original)), lower(dense_model(reduced))
    root = RootBounds(chain_form(networks[1], BOX))
    for claim in sorted(reduced_facts):
        root.add(claim)
    check_agreement(Statement(*networks, BOX, facts, reduced_facts, Fraction(tolerance), match or {}), root)


def refusal(*args: object, **options: object) -> str:
    with pytest.raises(Refusal) as caught:
        agree(*args, **options)  # type: ignore[arg-type]
    assert caught.value.rule == "agree"
    return caught.value.reason


def test_a_network_agrees_with_itself() -> None:
    agree([HIDDEN, MIDDLE, OUT], [HIDDEN, MIDDLE, OUT])


def test_dropped_merged_and_folded_neurons_agree() -> None:
    active = frozenset({Claim(1, 1, "active")})
    agree([HIDDEN, MIDDLE, OUT], [SMALL_HIDDEN, SMALL_MIDDLE, OUT], FACTS, reduced_facts=active)


def test_a_dropped_neuron_needs_its_fact() -> None:
    reason = refusal([HIDDEN, MIDDLE, OUT], [SMALL_HIDDEN, SMALL_MIDDLE, OUT], FACTS - {Claim(1, 3, "inactive")})
    assert reason == "it depends on a neuron that the reduced network does not have"


def test_a_neuron_that_both_have_may_be_known_to_be_active_in_either() -> None:
    active = frozenset({Claim(1, 1, "active")})
    small = [SMALL_HIDDEN, SMALL_MIDDLE, OUT]
    agree([HIDDEN, MIDDLE, OUT], small, FACTS)
    agree([HIDDEN, MIDDLE, OUT], small, FACTS - {Claim(1, 2, "active")}, reduced_facts=active)


def test_a_duplicate_needs_no_fact() -> None:
    twice, once = layer([[1, 2], [1, 2]], [0.5, 0.5]), layer([[1, 2]], [0.5])
    agree([twice, layer([[0.25, 0.5]], [0])], [once, layer([[0.75]], [0])])
    agree([once, layer([[0.75]], [0])], [twice, layer([[0.25, 0.5]], [0])])
    assert "may differ" in refusal([twice, layer([[0.25, 0.5]], [0])], [once, layer([[0.5]], [0])])


def test_an_active_layer_folds_away() -> None:
    hidden, out = layer([[1, 0], [0, 3]], [1, 0]), layer([[2, -1]], [0.5])
    facts = frozenset({Claim(1, 0, "active"), Claim(1, 1, "active")})
    agree([hidden, out], [layer([[2, -3]], [2.5])], facts)
    assert "does not have" in refusal([hidden, out], [layer([[2, -3]], [2.5])], facts - {Claim(1, 1, "active")})


def test_constant_layers_fold_away() -> None:
    hidden, middle, out = layer([[0, 0], [0, 0]], [2, -1]), layer([[1, 5]], [-0.5]), layer([[4]], [1])
    agree([hidden, middle, out], [layer([[0, 0]], [7])])
    assert "may differ by 0.5" in refusal([hidden, middle, out], [layer([[0, 0]], [7.5])])


def test_facts_of_the_wrong_network_do_not_help() -> None:
    hidden, out = layer([[1, 0]], [1]), layer([[1]], [0])
    affine = [layer([[1, 0]], [1])]
    claim = frozenset({Claim(1, 0, "active")})
    agree([hidden, out], affine, claim)
    agree(affine, [hidden, out], reduced_facts=claim)
    assert "may differ" in refusal(affine, [hidden, out], claim)


def test_the_last_bit_of_a_weight_counts() -> None:
    changed = OUT[0].copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    assert "may differ by" in refusal([HIDDEN, MIDDLE, OUT], [HIDDEN, MIDDLE, (changed, OUT[1])])


@pytest.mark.parametrize(("tolerance", "accepted"), [("1/8", True), ("0.1249999", False)])
def test_a_difference_at_the_output_is_compared_with_the_tolerance(tolerance: str, accepted: bool) -> None:
    # the output changes by x1 / 8, at most 1/8 on the box
    before, after = [layer([[1, 2]], [0])], [layer([[1.125, 2]], [0])]
    if accepted:
        agree(before, after, tolerance=tolerance)
    else:
        assert "may differ by 0.125" in refusal(before, after, tolerance=tolerance)


@pytest.mark.parametrize(("tolerance", "accepted"), [("7/16", True), ("0.4374", False)])
def test_a_matched_neuron_carries_its_error(tolerance: str, accepted: bool) -> None:
    # z and z' differ by x1 / 8 + 1/16 + x2 * 0: at most 3/16; the output weight 2 and 1/16 at the output add up to 7/16
    before = [layer([[1, 2]], [0]), layer([[2]], [0])]
    after = [layer([[1.125, 2]], [0.0625]), layer([[2]], [0.0625])]
    options = {"tolerance": tolerance, "match": {(1, 0): (1, 0)}}
    if accepted:
        agree(before, after, **options)
    else:
        assert "may differ by 0.4375" in refusal(before, after, **options)


def test_errors_pass_through_later_layers() -> None:
    # an error of 1/8 in layer 1 becomes 3/8 behind the weight -3, and 3/4 behind the weight 2
    before = [layer([[1, 2]], [0]), layer([[-3]], [1]), layer([[2]], [0])]
    after = [layer([[1.125, 2]], [0]), layer([[-3]], [1]), layer([[2]], [0])]
    agree(before, after, tolerance="3/4", match={(1, 0): (1, 0)})
    assert "may differ by 0.75" in refusal(before, after, tolerance="0.74", match={(1, 0): (1, 0)})


def test_a_neuron_without_a_match_is_not_guessed() -> None:
    before = [layer([[1, 2]], [0]), layer([[2]], [0])]
    after = [layer([[1.125, 2]], [0]), layer([[2]], [0])]
    assert "does not have" in refusal(before, after, tolerance="100")


def test_a_match_applies_only_to_a_neuron_that_is_a_symbol() -> None:
    before = [layer([[1, 2]], [0]), layer([[2]], [0])]
    after = [layer([[0, 0]], [1]), layer([[2]], [0])]
    for partner in ((1, 0), (1, 1), (3, 0)):
        assert "does not have" in refusal(before, after, tolerance="100", match={(1, 0): partner})


def test_a_match_may_name_the_duplicate_of_a_symbol() -> None:
    before = [layer([[1, 2]], [0]), layer([[2]], [0])]
    after = [layer([[1.125, 2], [1.125, 2]], [0, 0]), layer([[1, 1]], [0])]
    for partner in ((1, 0), (1, 1)):
        agree(before, after, tolerance="1/4", match={(1, 0): partner})


def test_a_match_comes_before_an_active_fact() -> None:
    # folding the active neuron would leave a difference in all of N's own terms; matching it charges the rounding alone
    before = [layer([[1, 0]], [2]), layer([[2]], [0])]
    after = [layer([[1.125, 0]], [2]), layer([[2]], [0])]
    agree(before, after, frozenset({Claim(1, 0, "active")}), tolerance="1/4", match={(1, 0): (1, 0)})
    assert "may differ by 4.25" in refusal(before, after, frozenset({Claim(1, 0, "active")}), tolerance="1/4")


def test_errors_do_not_pass_an_inactive_neuron() -> None:
    before = [layer([[1, 2]], [0]), layer([[-1]], [-1]), layer([[2]], [3])]
    after = [layer([[1.125, 2]], [0]), layer([[0]], [3])]
    agree(before, after, frozenset({Claim(2, 0, "inactive")}), tolerance="1e-9", match={(1, 0): (1, 0)})


def test_a_difference_beyond_all_floats_is_a_refusal_in_words() -> None:
    huge = [layer([[1, 0]], [3]), *[layer([[2.0**127]], [2.0**127])] * 9]
    small = [layer([[1, 0]], [3]), *[layer([[2.0**126]], [2.0**126])] * 9]
    active = frozenset(Claim(k, 0, "active") for k in range(1, 10))
    reason = refusal(huge, small, active, reduced_facts=active)
    assert reason.startswith("the networks may differ by about 2^")
