"""The rewrites that drop, fold and merge neurons; each says what it matches, what results, and its facts.

A rule maps a state and a layer to a new state, or to None where it does not apply. It is exact over the reals
on the domain. The `Arithmetic` decides which new numbers may be stored: with `exact_only`, those of the
element type alone. Whether the result is worth having (smaller) is judged by the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from secateur.network.linear import Dense
from secateur.network.model import Affine, Term
from secateur.reduction.exact import (
    Arithmetic,
    Rationals,
    affine_from_rationals,
    dense_from_rationals,
    multiply,
    nonzero,
    rational_matrix,
    rational_vector,
)
from secateur.reduction.facts import Phase
from secateur.reduction.state import (
    Neuron,
    State,
    affines_of,
    consumers_of,
    drop_neurons,
    drop_unread_layers,
    is_editable,
    replace_affines,
)

__all__ = [
    "Rule",
    "drop_inactive",
    "drop_unread",
    "fold_active_layer",
    "fold_constants",
    "fold_dead_layer",
    "merge_duplicates",
]

Rule = Callable[[State, int, Arithmetic], State | None]


def _drop(state: State, layer: int, gone: Iterable[int], rule: str, detail: str = "") -> State:
    """Drop the neurons at positions `gone`, and layers that nobody reads any more; record the steps."""
    positions = set(gone)
    keep = [i for i in range(len(state.neurons[layer])) if i not in positions]
    removed = [state.neurons[layer][i] for i in sorted(positions)]
    dropped = drop_neurons(state, layer, keep).record(rule, state.layers[layer], removed, detail)
    return drop_unread_layers(dropped)


def drop_inactive(state: State, layer: int, arithmetic: Arithmetic) -> State | None:  # noqa: ARG001
    """Drop neurons that are never positive.

    Match: inactive neurons of a layer that also has others; of a wholly inactive layer, all but one.
    Result: their rows, and the columns that read them, vanish.
    Needs: z <= 0 on the domain for each of them. All remaining weights stay as they are stored.
    """
    gone = [i for i, neuron in enumerate(state.neurons[layer]) if neuron.phase is Phase.INACTIVE]
    if len(gone) == len(state.neurons[layer]):
        gone = gone[1:]
    if not gone or not is_editable(state.network, layer):
        return None
    return _drop(state, layer, gone, "drop inactive")


def fold_dead_layer(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    """Remove a layer whose output is zero, and what becomes constant by that.

    Match: every neuron of the layer is inactive.
    Result: the layer, and earlier ones that only it read, vanish; in a plain feed-forward network all later
        values are constant and are folded as far as they may be stored. An affine function left without a
        source reads zero times the input.
    Needs: z <= 0 on the domain for each neuron of the layer. Kept weights stay as they are stored; folded
        constants are new biases.
    """
    if any(neuron.phase is not Phase.INACTIVE for neuron in state.neurons[layer]):
        return None
    everything = range(len(state.neurons[layer]))
    dropped = _drop(state, layer, everything, "fold dead layer")
    return _fold_all_constants(dropped, arithmetic)


def fold_constants(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    """Fold neurons that read nothing into the biases of their readers.

    Match: neurons whose incoming weights are all zero: r = max(0, bias).
    Result: they vanish; each reader's bias grows by its weight times r. All at once if the new biases may be
        stored, otherwise the first one whose folding may. Constants that arise when the whole layer vanishes
        are folded too.
    Needs: no facts. Weights stay as they are stored; biases are new where r > 0.
    """
    folded = _fold_constants_of(state, layer, arithmetic)
    if folded is None or state.layers[layer] in folded.layers:
        return folded
    return _fold_all_constants(folded, arithmetic)


def _fold_all_constants(state: State, arithmetic: Arithmetic) -> State:
    """Fold constants everywhere; at once, as halfway a zero matrix may outweigh the layer that went."""
    layer = 0
    while layer < len(state.layers):
        folded = _fold_constants_of(state, layer, arithmetic)
        state, layer = (state, layer + 1) if folded is None else (folded, 0)
    return state


def _fold_constants_of(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    if not is_editable(state.network, layer):
        return None
    affine = state.network.layers[layer]
    reads = np.zeros(affine.size, dtype=bool)
    for term in affine.terms:
        reads |= nonzero(term.map.dense()).any(axis=1)
    constant = np.flatnonzero(~reads).tolist()
    bias = affine.rational_bias()
    for chosen in [constant, *([i] for i in constant)] if constant else []:
        changes = _biases_with(state, layer, {i: max(Fraction(0), bias[i]) for i in chosen}, arithmetic)
        if changes is not None:
            folded = replace(state, network=replace_affines(state.network, changes))
            return _drop(folded, layer, chosen, "fold constants", "constant: added to the biases of its readers")
    return None


def _biases_with(state: State, layer: int, values: dict[int, Fraction], arithmetic: Arithmetic) -> dict[int, Affine] | None:
    """The readers of a layer with the outputs of constant neurons in their biases; None if not storable."""
    chosen = [i for i, value in values.items() if value]
    if not chosen:
        return {}
    constants = rational_vector(values[i] for i in chosen)
    changes = {}
    for position in consumers_of(state.network, layer):
        affine = affines_of(state.network)[position]
        old = rational_vector(affine.rational_bias())
        new = old.copy()
        for term in affine.terms:
            if term.source == layer + 1:
                new += multiply(rational_matrix(term.map.dense())[:, chosen], constants)
        if not arithmetic.accepts(new[new != old]):
            return None
        changes[position] = affine_from_rationals(affine.terms, new)
    return changes


def drop_unread(state: State, layer: int, arithmetic: Arithmetic) -> State | None:  # noqa: ARG001
    """Drop neurons that nobody reads.

    Match: neurons whose outgoing weights are all zero, or all neurons of a layer without readers.
    Result: they vanish.
    Needs: no facts. All remaining weights stay as they are stored.
    """
    readers = consumers_of(state.network, layer)
    if readers and not is_editable(state.network, layer):
        return None
    read = np.zeros(len(state.neurons[layer]), dtype=bool)
    for position in readers:
        for term in affines_of(state.network)[position].terms:
            if term.source == layer + 1:
                read |= nonzero(term.map.dense()).any(axis=0)
    gone = np.flatnonzero(~read).tolist()
    if not gone:
        return None
    return _drop(state, layer, gone, "drop unread", "read by nobody")


def merge_duplicates(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    """Merge neurons that compute the same value.

    Match: neurons with identical incoming weights and bias.
    Result: the first one stays, and is read with the sum of the weights of all.
    Needs: no facts. Incoming weights stay as they are stored; a group merges only if the summed outgoing
        weights may be stored.
    """
    if not is_editable(state.network, layer):
        return None
    for group in _duplicate_groups(state.network.layers[layer]):
        changes = _columns_summed(state, layer, group, arithmetic)
        if changes is None:
            continue
        members = [state.neurons[layer][i] for i in group]
        neurons = list(state.neurons)
        neurons[layer] = tuple(_shared(members) if i == group[0] else neuron for i, neuron in enumerate(state.neurons[layer]))
        merged = replace(state, network=replace_affines(state.network, changes), neurons=tuple(neurons))
        return _drop(merged, layer, group[1:], "merge duplicates", f"equal to neuron {members[0].original}")
    return None


def _duplicate_groups(affine: Affine) -> list[list[int]]:
    """Positions of equal rows, two or more at a time."""
    tables = [t.map.dense().weight if t.map.dense().exact is None else t.map.dense().exact for t in affine.terms]
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, bias in enumerate(affine.rational_bias()):
        groups[(bias, *(tuple(table[i].tolist()) for table in tables if table is not None))].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _columns_summed(state: State, layer: int, group: Sequence[int], arithmetic: Arithmetic) -> dict[int, Affine] | None:
    """The readers of a layer with a group's columns added into its first; None if not storable."""
    changes = {}
    for position in consumers_of(state.network, layer):
        affine = affines_of(state.network)[position]
        terms = []
        for term in affine.terms:
            if term.source != layer + 1:
                terms.append(term)
                continue
            matrix = rational_matrix(term.map.dense()).copy()
            total = matrix[:, list(group)].sum(axis=1)
            if not arithmetic.accepts(total[total != matrix[:, group[0]]]):
                return None
            matrix[:, group[0]] = total
            terms.append(Term(term.source, dense_from_rationals(matrix)))
        changes[position] = replace(affine, terms=tuple(terms))
    return changes


def _shared(members: Sequence[Neuron]) -> Neuron:
    """What is known about neurons of one value, together."""
    met = members[0].range
    for member in members[1:]:
        met = met.meet(member.range)
    phase = next((m.phase for m in members if m.phase is not Phase.UNSTABLE), Phase.UNSTABLE)
    return replace(members[0], phase=phase, range=met)


def fold_active_layer(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    """Compose a layer that is linear on the domain into its readers.

    Match: every neuron of the layer is active, all maps to and from it are matrices, and the composed
        matrices hold fewer parameters than they replace.
    Result: the layer vanishes; each reader reads the layer's sources with the products of the weights.
    Needs: z >= 0 on the domain for each neuron of the layer. The products are new weights.
    """
    if any(neuron.phase is not Phase.ACTIVE for neuron in state.neurons[layer]):
        return None
    if not is_editable(state.network, layer) or not _composition_is_smaller(state, layer):
        return None
    inner = state.network.layers[layer]
    changes = {}
    for position in consumers_of(state.network, layer):
        composed = _compose(affines_of(state.network)[position], layer + 1, inner, arithmetic)
        if composed is None:
            return None
        changes[position] = composed
    folded = replace(state, network=replace_affines(state.network, changes))
    everything = range(len(state.neurons[layer]))
    return _drop(folded, layer, everything, "fold active layer", "its readers read what it read")


def _composition_is_smaller(state: State, layer: int) -> bool:
    """Counted before any product is computed."""
    affines = affines_of(state.network)
    inner = state.network.layers[layer]
    added = removed = 0
    for position in consumers_of(state.network, layer):
        outer = affines[position]
        present = {t.source for t in outer.terms}
        added += sum(outer.size * t.map.in_size for t in inner.terms if t.source not in present)
        removed += sum(t.map.parameter_count for t in outer.terms if t.source == layer + 1)
    own = inner.size + sum(t.map.parameter_count for t in inner.terms)
    return added < removed + own


def _compose(outer: Affine, source: int, inner: Affine, arithmetic: Arithmetic) -> Affine | None:
    """`outer` with `inner` in place of the source; None if a new number may not be stored."""
    bias = old_bias = rational_vector(outer.rational_bias())
    products: defaultdict[int, list[Rationals]] = defaultdict(list)
    for term in outer.terms:
        if term.source == source:
            factor = rational_matrix(term.map.dense())
            bias = bias + multiply(factor, rational_vector(inner.rational_bias()))
            for deeper in inner.terms:
                products[deeper.source].append(multiply(factor, rational_matrix(deeper.map.dense())))
    if not arithmetic.accepts(bias[bias != old_bias]):
        return None
    kept = [t for t in outer.terms if t.source != source]
    for number, parts in products.items():
        mates = [t for t in kept if t.source == number and isinstance(t.map, Dense)]
        total = sum(parts[1:], parts[0])
        for mate in mates:
            total = total + rational_matrix(mate.map.dense())
        if not arithmetic.accepts(total.ravel()):
            return None
        kept = [t for t in kept if t not in mates] + [Term(number, dense_from_rationals(total))]
    return affine_from_rationals(tuple(sorted(kept, key=lambda t: t.source)), bias)
