"""The rewrite that replaces many active neurons of a layer by a few.

Active neurons are linear on the domain, so what they pass on is a product C (W r + b) of two matrices whose
rank is often far below their number: the layer before has few neurons left, or the layer after has. New
neurons that carry the same product are kept active by a bias shift, which the reader's bias takes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from secateur.amounts import plural
from secateur.network.linear import Dense
from secateur.network.model import Affine, Term
from secateur.reduction.exact import (
    Arithmetic,
    Rationals,
    affine_from_rationals,
    coarse_ceiling,
    dense_from_rationals,
    multiply,
    rational_matrix,
    rational_vector,
    row_basis,
)
from secateur.reduction.facts import Phase, Range, affine_ranges
from secateur.reduction.state import (
    Neuron,
    State,
    affines_of,
    consumers_of,
    is_editable,
    replace_affines,
    source_ranges,
)

__all__ = ["replace_active"]


@dataclass(frozen=True)
class _Place:
    """Active neurons at positions `active` of a layer with one source and one reader, and their matrices.

    incoming W : (active, source size). bias b : (active,). outgoing C : (reader size, active).
    """

    layer: int
    reader: int
    active: list[int]
    incoming: Rationals
    bias: Rationals
    outgoing: Rationals
    source: tuple[Range, ...]


@dataclass(frozen=True)
class _Replacement:
    """New neurons z' = rows r + bias, read with `columns`; `correction` is added to the reader's bias."""

    neurons: list[Neuron]
    rows: Rationals
    bias: Rationals
    columns: Rationals
    correction: Rationals
    detail: str


def replace_active(state: State, layer: int, arithmetic: Arithmetic) -> State | None:
    """Replace the active neurons of a layer by fewer representatives.

    Match: m active neurons of a layer with one source and one reader, both matrices, that pass on
        C (W r + b), where W reads fewer than m sources, or fewer than m rows of C differ from zero, or W has
        a rank below both.
    Result: the smallest of three equal forms. *Pass on*: neurons r_j + shift, read with C W. *Combine*:
        neurons (C W)_i r + shift, read with weight 1. *Basis*: some of the m neurons, as they are, read with
        C T, where T writes all rows of W in those that stay.
    Needs: z >= 0 on the domain for each of the m neurons; bounds of r for the shifts, which keep new neurons
        active. Outgoing weights are new, and incoming ones where neurons are combined.
    """
    place = _place(state, layer)
    if place is None:
        return None
    new = _smallest(state, place)
    if new is None or not _accepted(state, place, new, arithmetic):
        return None
    return _installed(state, place, new)


def _place(state: State, layer: int) -> _Place | None:
    active = [i for i, neuron in enumerate(state.neurons[layer]) if neuron.phase is Phase.ACTIVE]
    affine, readers = state.network.layers[layer], consumers_of(state.network, layer)
    if len(active) < 2 or len(readers) != 1 or len(affine.terms) != 1 or not is_editable(state.network, layer):
        return None
    reading = [t for t in affines_of(state.network)[readers[0]].terms if t.source == layer + 1]
    if len(reading) != 1:
        return None
    return _Place(
        layer,
        readers[0],
        active,
        rational_matrix(affine.terms[0].map.dense())[active],
        rational_vector(affine.rational_bias())[active],
        rational_matrix(reading[0].map.dense())[:, active],
        source_ranges(state, affine.terms[0].source),
    )


def _smallest(state: State, place: _Place) -> _Replacement | None:
    """The form with the fewest neurons, if that is fewer than there are; no product is computed before."""
    count = len(place.active)
    support = np.flatnonzero((place.incoming != 0).any(axis=0)).tolist()
    readers = np.flatnonzero((place.outgoing != 0).any(axis=1)).tolist()
    fewest = min(count, len(support), len(readers))
    basis = row_basis(place.incoming[:, support]) if support else None
    if basis is not None and len(basis[0]) < fewest:
        return _basis(state, place, *basis)
    if 0 < len(support) == fewest < count:
        return _passed_on(place, support)
    if 0 < len(readers) == fewest < count:
        return _combined(state, place, readers)
    return None


def _basis(state: State, place: _Place, rows: list[int], transform: Rationals) -> _Replacement:
    """W = T W[rows]: the neurons of these rows stay. b - T b[rows] goes to the reader."""
    offset = place.bias - multiply(transform, place.bias[rows])
    return _Replacement(
        [state.neurons[place.layer][place.active[i]] for i in rows],
        place.incoming[rows],
        place.bias[rows],
        multiply(place.outgoing, transform),
        multiply(place.outgoing, offset),
        f"{len(place.active)} neurons written in {len(rows)} of them",
    )


def _passed_on(place: _Place, support: list[int]) -> _Replacement | None:
    """z' = r[support] + shift >= 0; the reader gets C W."""
    ranges = [place.source[j] for j in support]
    if any(r.lower is None for r in ranges):
        return None
    shift = rational_vector(coarse_ceiling(-(r.lower or Fraction(0))) for r in ranges)
    rows = rational_vector([Fraction(0)] * (len(support) * len(place.source)))
    rows = rows.reshape(len(support), len(place.source))
    rows[range(len(support)), support] = Fraction(1)
    columns = multiply(place.outgoing, place.incoming[:, support])
    return _Replacement(
        _new_neurons(ranges, shift),
        rows,
        shift,
        columns,
        multiply(place.outgoing, place.bias) - multiply(columns, shift),
        f"{len(place.active)} neurons replaced by {plural(len(support), 'that passes', 'that pass')} on what they read",
    )


def _combined(state: State, place: _Place, readers: list[int]) -> _Replacement | None:
    """z' = (C W)[readers] r + shift >= 0; each is read once, with weight 1."""
    rows = multiply(place.outgoing[readers], place.incoming)
    offset = multiply(place.outgoing[readers], place.bias)
    zeros = rational_vector([Fraction(0)] * len(readers))
    through_source = affine_ranges(_affine(0, rows, zeros), [place.source])
    # The same sums in terms of the active neurons, whose own bounds may be the better ones.
    own = [state.neurons[place.layer][i].range for i in place.active]
    through_neurons = affine_ranges(_affine(0, place.outgoing[readers], -offset), [own])
    ranges = [a.meet(b) for a, b in zip(through_source, through_neurons, strict=True)]
    if any(r.lower is None for r in ranges):
        return None
    shift = rational_vector(coarse_ceiling(-(r.lower or Fraction(0))) for r in ranges)
    size = len(place.outgoing)
    columns = rational_vector([Fraction(0)] * (size * len(readers))).reshape(size, len(readers))
    columns[readers, range(len(readers))] = Fraction(1)
    correction = rational_vector([Fraction(0)] * size)
    correction[readers] = offset - shift
    detail = f"{len(place.active)} neurons combined into {len(readers)}"
    return _Replacement(_new_neurons(ranges, shift), rows, shift, columns, correction, detail)


def _affine(source: int, rows: Rationals, bias: Rationals) -> Affine:
    return affine_from_rationals((Term(source, dense_from_rationals(rows)),), bias)


def _new_neurons(ranges: Sequence[Range], shift: Rationals) -> list[Neuron]:
    """Active neurons: values with these ranges (lower bounds known) plus a shift that lifts them."""
    shifted = [
        Range((r.lower or Fraction(0)) + s, None if r.upper is None else r.upper + s) for r, s in zip(ranges, shift, strict=True)
    ]
    return [Neuron(None, Phase.ACTIVE, bound) for bound in shifted]


def _accepted(state: State, place: _Place, new: _Replacement, arithmetic: Arithmetic) -> bool:
    old = rational_vector(affines_of(state.network)[place.reader].rational_bias())
    changed = (old + new.correction)[new.correction != 0]
    if new.neurons[0].original is None and not arithmetic.accepts([*new.rows.ravel(), *new.bias]):
        return False
    return arithmetic.accepts([*new.columns.ravel(), *changed])


def _installed(state: State, place: _Place, new: _Replacement) -> State:
    """The state with the other neurons first and the replacement after them."""
    others = [i for i in range(len(state.neurons[place.layer])) if i not in set(place.active)]
    layer, reader = state.network.layers[place.layer], affines_of(state.network)[place.reader]
    changes = {
        place.layer: _with_rows(layer, others, new),
        place.reader: _with_columns(reader, place.layer + 1, others, new),
    }
    neurons = list(state.neurons)
    neurons[place.layer] = (*(state.neurons[place.layer][i] for i in others), *new.neurons)
    replaced = replace(state, network=replace_affines(state.network, changes), neurons=tuple(neurons))
    stay = {neuron.original for neuron in new.neurons}
    gone = [n for i in place.active if (n := state.neurons[place.layer][i]).original not in stay]
    return replaced.record("replace active", state.layers[place.layer], gone, new.detail)


def _with_rows(affine: Affine, others: list[int], new: _Replacement) -> Affine:
    term = affine.terms[0]
    rows = np.concatenate([rational_matrix(term.map.dense())[others], new.rows])
    bias = [*rational_vector(affine.rational_bias())[others], *new.bias]
    return affine_from_rationals((Term(term.source, dense_from_rationals(rows)),), bias)


def _with_columns(affine: Affine, source: int, others: list[int], new: _Replacement) -> Affine:
    terms = tuple(Term(source, _replaced_columns(t.map.dense(), others, new)) if t.source == source else t for t in affine.terms)
    return affine_from_rationals(terms, rational_vector(affine.rational_bias()) + new.correction)


def _replaced_columns(dense: Dense, others: list[int], new: _Replacement) -> Dense:
    return dense_from_rationals(np.concatenate([rational_matrix(dense)[:, others], new.columns], axis=1))
