"""From proven phases to a smaller network: apply the rules until none helps, then store the result.

With tolerance 0 every rule may introduce only numbers of the element type, so the reduced network equals the
original on the domain exactly. With a tolerance, the same rules run on with exact rationals, the result is
rounded, and the rounding error is bounded; if the bound exceeds the tolerance, or nothing more was saved
although the exact weights can be stored, the exact reduction stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from secateur.amounts import plural
from secateur.network.model import Network
from secateur.reduction.exact import Arithmetic
from secateur.reduction.facts import Facts, Phase
from secateur.reduction.representatives import replace_active
from secateur.reduction.rounding import is_storable, round_weights, rounding_error
from secateur.reduction.rules import (
    Rule,
    drop_inactive,
    drop_unread,
    fold_active_layer,
    fold_constants,
    fold_dead_layer,
    merge_duplicates,
)
from secateur.reduction.size import network_size
from secateur.reduction.state import Neuron, State, Step, initial_state, is_editable

__all__ = ["Rewrite", "rewrite", "rewrite_exact", "rewrite_unproven"]

# Dropping comes first: it costs nothing, and what is gone need not be multiplied.
_RULES: tuple[Rule, ...] = (
    fold_dead_layer,
    drop_inactive,
    drop_unread,
    fold_constants,
    merge_duplicates,
    fold_active_layer,
    replace_active,
)


@dataclass(frozen=True)
class Rewrite:
    """A reduced network and how it came about.

    network : the reduced network, weights as stored. steps : the rewrites, in order. layers : for each ReLU
    layer the original one's number. neurons : for each of its neurons the original index (None if new), phase
    and range.
    error : a proven bound on |original - reduced| over all outputs and the domain; 0 means equal there, None that nothing is
    proven.
    """

    network: Network
    steps: tuple[Step, ...]
    layers: tuple[int, ...]
    neurons: tuple[tuple[Neuron, ...], ...]
    error: Fraction | None

    @property
    def kept(self) -> tuple[tuple[int | None, ...], ...]:
        """For each ReLU layer, for each neuron, its index in the original layer, or None if it is new.

        A kept neuron has the original pre-activation on the domain, up to rounding.
        """
        return tuple(tuple(neuron.original for neuron in layer) for layer in self.neurons)


def rewrite(network: Network, facts: Facts, tolerance: Fraction = Fraction(0)) -> Rewrite:
    """The smallest network the rules find that stays within `tolerance` of the original on the domain.

    Raises ValueError for facts of another shape, ContradictoryFactsError for facts that exclude each other.
    """
    exact = rewrite_exact(initial_state(network, facts), exact_only=True)
    if tolerance > 0:
        relaxed = rewrite_exact(exact, exact_only=False)
        rounded = round_weights(relaxed.network)
        if network_size(rounded) < network_size(exact.network) or not is_storable(exact.network):
            ranges = [[neuron.range for neuron in layer] for layer in relaxed.neurons]
            error = rounding_error(relaxed.network, rounded, relaxed.box, ranges)
            if error is not None and error <= tolerance:
                return _result(relaxed, rounded, error)
    return _result(exact, exact.network, Fraction(0))


def rewrite_unproven(network: Network, facts: Facts) -> Rewrite:
    """The smallest network the rules find, rounded to the element type, if the facts held; how far it is off is not asked.

    Raises as `rewrite` does, and ContradictoryFactsError more readily: facts that are only assumed may exclude each other.
    """
    exact = rewrite_exact(initial_state(network, facts), exact_only=True)
    relaxed = rewrite_exact(exact, exact_only=False)
    rounded = round_weights(relaxed.network)
    if network_size(rounded) < network_size(exact.network) or not is_storable(exact.network):
        return _result(relaxed, rounded, None)
    return _result(exact, exact.network, None)


def rewrite_exact(state: State, *, exact_only: bool) -> State:
    """Apply every rule wherever it makes the network smaller, until none does; equal on the domain.

    With `exact_only`, new numbers are numbers of the element type; otherwise they are whatever rationals come
    out.
    """
    arithmetic = Arithmetic(state.network.interface.element_type, exact_only)
    while True:
        before = network_size(state.network)
        for rule in _RULES:
            state = _swept(state, rule, arithmetic)
        if network_size(state.network) == before:
            return state


def _swept(state: State, rule: Rule, arithmetic: Arithmetic) -> State:
    """One rule, from the first layer to the last, at each layer as often as it helps."""
    layer = 0
    while layer < len(state.layers):
        candidate = rule(state, layer, arithmetic)
        if candidate is not None and network_size(candidate.network) < network_size(state.network):
            state = candidate
        else:
            layer += 1
    return state


def _result(state: State, network: Network, error: Fraction | None) -> Rewrite:
    for layer, neurons in enumerate(state.neurons):
        inactive = sum(neuron.phase is Phase.INACTIVE for neuron in neurons)
        if inactive and not is_editable(state.network, layer):
            detail = f"{plural(inactive, 'inactive neuron stays', 'inactive neurons stay')}: written or read by a convolution"
            state = state.record("leave convolution", state.layers[layer], (), detail)
    return Rewrite(network, state.steps, state.layers, state.neurons, error)
