"""A network in the course of being rewritten: its neurons know their origin and what is proven.

The invariant of every rewrite: on the domain, the network of a `State` has the outputs of the original as a
function over the reals, and a neuron that has an `original` index has that neuron's pre-activation. Layers
and sources are numbered as in `Network`: layer k writes source k + 1; position len(layers) among the affines
is the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from secateur.network.linear import Dense, LinearMap
from secateur.network.model import Affine, Network, Term
from secateur.reduction.exact import zero_map
from secateur.reduction.facts import Facts, Phase, Range, layer_ranges, relu_range

__all__ = [
    "Neuron",
    "State",
    "Step",
    "affines_of",
    "consumers_of",
    "drop_neurons",
    "drop_unread_layers",
    "initial_state",
    "is_editable",
    "replace_affines",
    "source_ranges",
]


@dataclass(frozen=True)
class Step:
    """One rewrite that was applied.

    rule : its name. layer : the original layer, counted from 0. removed : original indices of the neurons
        that vanished. phases : which phase each of them was taken to have; whether it has it, the step does not know.
    detail : in words, what is true of each of them whatever its phase, or what took their place; may be empty.
    """

    rule: str
    layer: int
    removed: tuple[int, ...]
    phases: tuple[Phase, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Neuron:
    """A neuron: its index in the original layer (None if it is new), its proven phase and its range."""

    original: int | None
    phase: Phase
    range: Range


@dataclass(frozen=True)
class State:
    """A network, its neurons by layer, the layers' original numbers, the input box, the steps so far."""

    network: Network
    neurons: tuple[tuple[Neuron, ...], ...]
    layers: tuple[int, ...]
    box: tuple[Range, ...]
    steps: tuple[Step, ...] = ()

    def record(self, rule: str, layer: int, removed: Sequence[Neuron], detail: str) -> State:
        """This state with one more step; `layer` is an original number."""
        gone = [(neuron.original, neuron.phase) for neuron in removed if neuron.original is not None]
        step = Step(rule, layer, tuple(i for i, _ in gone), tuple(phase for _, phase in gone), detail)
        return replace(self, steps=(*self.steps, step))


def initial_state(network: Network, facts: Facts) -> State:
    """The untouched network. Raises as `Facts.check_shape` and `layer_ranges` do."""
    facts.check_shape(network)
    ranges = layer_ranges(network, facts)
    neurons = tuple(
        tuple(Neuron(i, phase, bound) for i, (phase, bound) in enumerate(zip(phases, bounds, strict=True)))
        for phases, bounds in zip(facts.phases, ranges, strict=True)
    )
    box = tuple(Range(Fraction(lo), Fraction(hi)) for lo, hi in zip(facts.lower, facts.upper, strict=True))
    return State(network, neurons, tuple(range(len(network.layers))), box)


def affines_of(network: Network) -> list[Affine]:
    """The affine functions of the layers and then of the output."""
    return [*network.layers, network.output]


def replace_affines(network: Network, changes: Mapping[int, Affine]) -> Network:
    """The network with some affine functions exchanged, by position."""
    affines = [changes.get(k, affine) for k, affine in enumerate(affines_of(network))]
    return replace(network, layers=tuple(affines[:-1]), output=affines[-1])


def consumers_of(network: Network, layer: int) -> list[int]:
    """Positions of the affine functions that read the output of a layer."""
    return [
        position for position, affine in enumerate(affines_of(network)) if any(term.source == layer + 1 for term in affine.terms)
    ]


def is_editable(network: Network, layer: int) -> bool:
    """Whether single neurons of a layer can be dropped: only matrices lead to it and away from it."""
    incoming = all(isinstance(term.map, Dense) for term in network.layers[layer].terms)
    return incoming and all(
        isinstance(term.map, Dense) for affine in affines_of(network) for term in affine.terms if term.source == layer + 1
    )


def source_ranges(state: State, source: int) -> tuple[Range, ...]:
    """Ranges of the values of one source: the input box, or the outputs of a layer."""
    if source == 0:
        return state.box
    return tuple(relu_range(neuron.range) for neuron in state.neurons[source - 1])


def drop_neurons(state: State, layer: int, keep: Sequence[int]) -> State:
    """Delete all neurons of a layer but those at positions `keep`, with rows and columns.

    The caller has made sure that nothing is lost. A layer that is left without neurons goes too; if neurons
    remain, the layer must be editable.
    """
    if not keep:
        return _remove_layer(state, layer)
    index = np.array(keep, dtype=np.intp)
    affines = affines_of(state.network)
    changes = {p: _select_columns(affines[p], layer + 1, index) for p in consumers_of(state.network, layer)}
    changes[layer] = _select_rows(state.network.layers[layer], index)
    neurons = list(state.neurons)
    neurons[layer] = tuple(state.neurons[layer][i] for i in keep)
    return replace(state, network=replace_affines(state.network, changes), neurons=tuple(neurons))


def _select_rows(affine: Affine, index: np.typing.NDArray[np.intp]) -> Affine:
    terms = tuple(Term(t.source, _slice(t.map, index, axis=0)) for t in affine.terms)
    exact = affine.exact_bias
    return Affine(terms, affine.bias[index], None if exact is None else tuple(exact[i] for i in index))


def _select_columns(affine: Affine, source: int, index: np.typing.NDArray[np.intp]) -> Affine:
    terms = tuple(Term(source, _slice(t.map, index, axis=1)) if t.source == source else t for t in affine.terms)
    return replace(affine, terms=terms)


def _slice(linear: LinearMap, index: np.typing.NDArray[np.intp], axis: int) -> Dense:
    dense = linear.dense()
    exact = None if dense.exact is None else np.take(dense.exact, index, axis=axis)
    return Dense(np.take(dense.weight, index, axis=axis), exact)


def _remove_layer(state: State, layer: int) -> State:
    """Delete a layer whose outputs are zero on the domain, or which nobody reads; renumber the sources."""
    affines = [_without_source(affine, layer + 1, state) for affine in affines_of(state.network)]
    del affines[layer]
    network = replace(state.network, layers=tuple(affines[:-1]), output=affines[-1])
    neurons = state.neurons[:layer] + state.neurons[layer + 1 :]
    return replace(state, network=network, neurons=neurons, layers=state.layers[:layer] + state.layers[layer + 1 :])


def _without_source(affine: Affine, source: int, state: State) -> Affine:
    terms = tuple(replace(t, source=t.source - 1) if t.source > source else t for t in affine.terms if t.source != source)
    # An affine function has to read something: a constant reads zero times the input.
    terms = terms or (Term(0, zero_map(affine.size, state.network.input_size)),)
    return replace(affine, terms=terms)


def drop_unread_layers(state: State) -> State:
    """Remove the layers that nobody reads, the last one first: those before it may lose their only reader."""
    for layer in reversed(range(len(state.network.layers))):
        if not consumers_of(state.network, layer):
            number, neurons = state.layers[layer], state.neurons[layer]
            state = _remove_layer(state, layer).record("drop unread", number, neurons, "read by nobody")
    return state
