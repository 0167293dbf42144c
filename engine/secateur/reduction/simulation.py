"""Candidates by simulation: what linearising neurons does to a claim on sample points, in float64.

A neuron is linearised to 0 (as if it were inactive) or to its pre-activation (as if it were active). `Simulation.order`
estimates, neuron by neuron and to first order, what share of the claim's room that takes; `choose` puts together the largest set
that the samples admit. Everything here proposes; difference bounds decide (relax.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.network import Network
from secateur.reduction.facts import Phase
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison

__all__ = ["Linearised", "Simulation"]

Floats = NDArray[np.float64]

Linearised = Mapping[tuple[int, int], Phase]
"""(layer from 1, neuron) to the phase that it is given."""

_FEWEST, _PRODUCTS = 512, 5e8
"""Samples at least; no more where an evaluation takes that many multiplications."""
_CORNERS = 8
"""Every so manyth of them is a corner."""
_CHUNK = 1_024
_HARD = 64
"""Points that spoke against a set, the last ones: they are asked first."""
_SINGLES = 40
"""Neurons tried one by one beyond the largest prefix of the order that the samples admit."""


class Simulation:
    """One network on sample points of a domain, under one claim.

    given : phases that are proven; neurons that have them are neither candidates nor changed. most : samples.
    """

    def __init__(
        self, network: Network, domain: Domain, claim: Comparison, given: Linearised, seed: int, most: int = 16_384
    ) -> None:
        self._network, self._claim, self._given = network, claim, given
        low, high = (np.array([float(v) for v in side]) for side in (domain.lower, domain.upper))
        rng = np.random.default_rng(seed)
        weights = sum(t.map.in_size * layer.size for layer in (*network.layers, network.output) for t in layer.terms)
        count = int(np.clip(_PRODUCTS / max(weights, 1), _FEWEST, most))
        places = rng.random((count, len(low)))
        places[::_CORNERS] = np.rint(places[::_CORNERS])
        self._points = low + (high - low) * places
        self._outputs = np.concatenate([network.forward(points) for points in self._chunks()])
        self._hard: list[int] = []

    def add_point(self, point: Sequence[Fraction]) -> None:
        """One more sample, such as a point where the claim turned out to be false."""
        row = np.array([[float(v) for v in point]])
        self._hard.append(len(self._points))
        self._points = np.concatenate([self._points, row])
        self._outputs = np.concatenate([self._outputs, self._network.forward(row)])

    def strain(self, linearised: Linearised) -> float:
        """The share of the claim's room that the samples need; from 1 on, one of them contradicts the claim."""
        return max(float(self._strains(slice(i, i + _CHUNK), linearised).max()) for i in range(0, len(self._points), _CHUNK))

    def fits(self, linearised: Linearised, room: float) -> bool:
        """Whether the samples need at most `room`. Those that spoke against a set before are asked first, and settle most."""
        if self._hard and self._strains(self._hard[-_HARD:], linearised).max() > room:
            return False
        for i in range(0, len(self._points), _CHUNK):
            needs = self._strains(slice(i, i + _CHUNK), linearised)
            if needs.max() > room:
                self._hard.append(i + int(needs.argmax()))
                return False
        return True

    def _strains(self, which: slice | list[int], linearised: Linearised) -> Floats:
        """The same for some of the samples, each for itself."""
        before = self._outputs[which]
        needs = self._needs(before, self._changed(self._points[which], linearised) - before)
        worst: Floats = needs.max(axis=1, initial=0.0)
        return worst

    def order(self) -> list[tuple[float, tuple[int, int], Phase]]:
        """Every neuron without a proven phase with its better replacement and what that needs, the least first.

        Of equals (most need nothing on samples) the one that is clearest of a change of sign comes first.
        """
        best: dict[tuple[int, int], tuple[float, float, Phase]] = {}
        margins = self._margins()
        for phase in (Phase.INACTIVE, Phase.ACTIVE):
            needs = [np.zeros(size) for size in self._network.sizes]
            for points in self._chunks():
                for k, own in enumerate(self._single_needs(points, phase)):
                    needs[k] = np.maximum(needs[k], own)
            for k, own in enumerate(needs, start=1):
                for i, need in enumerate(own.tolist()):
                    if (k, i) not in self._given and need < best.get((k, i), (1.0, 0.0, phase))[0]:
                        best[k, i] = need, -float(margins[k - 1][i]), phase
        order = sorted((need, margin, neuron, phase.value) for neuron, (need, margin, phase) in best.items())
        return [(need, neuron, Phase(phase)) for need, _, neuron, phase in order]

    def _margins(self) -> list[Floats]:
        """For each layer how far its neurons keep from 0 on the first samples, in units of their spread there."""
        margins = []
        for z in self._network.pre_activations(self._points[:_CHUNK]):
            spread = np.ptp(z, axis=0)
            margins.append(np.abs(z).min(axis=0) / np.where(spread > 0.0, spread, 1.0))
        return margins

    def choose(self, candidates: Sequence[tuple[tuple[int, int], Phase]], kept: Linearised, room: float) -> list[tuple[int, int]]:
        """The candidates, in their order, that together with `kept` need at most `room`: a prefix, then one by one."""

        def fits(chosen: Sequence[tuple[tuple[int, int], Phase]]) -> bool:
            return self.fits({**kept, **dict(chosen)}, room)

        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high + 1) // 2
            if fits(candidates[:middle]):
                low = middle
            else:
                high = middle - 1
        chosen = list(candidates[:low])
        for candidate in candidates[low + 1 : low + 1 + _SINGLES]:
            if fits([*chosen, candidate]):
                chosen.append(candidate)
        return [neuron for neuron, _ in chosen]

    def _chunks(self) -> list[Floats]:
        return [self._points[i : i + _CHUNK] for i in range(0, len(self._points), _CHUNK)]

    def _changed(self, points: Floats, linearised: Linearised) -> Floats:
        """The outputs where these neurons are linearised."""
        by_layer: dict[int, tuple[list[int], list[int]]] = {}
        for (k, i), phase in linearised.items():
            by_layer.setdefault(k, ([], []))[phase is Phase.ACTIVE].append(i)
        values = [points]
        for k, layer in enumerate(self._network.layers, start=1):
            z = layer.apply(values)
            r = np.maximum(z, 0.0)
            zeroed, passed = by_layer.get(k, ([], []))
            r[:, zeroed] = 0.0
            r[:, passed] = z[:, passed]
            values.append(r)
        return self._network.output.apply(values)

    def _needs(self, outputs: Floats, change: Floats) -> Floats:
        """What changes of the outputs need of the room. All shapes are (points, outputs, ...)."""
        if isinstance(self._claim, Agreement):
            return np.abs(change) / max(float(self._claim.tolerance), np.finfo(float).tiny)
        sign = 1.0 if self._claim.rule == "argmax" else -1.0
        rows = np.arange(len(outputs))
        winner = (sign * outputs).argmax(axis=1)
        leads = sign * (outputs[rows, winner][:, None] - outputs)
        leads[rows, winner] = np.inf
        leads[leads.min(axis=1) <= float(self._claim.margin)] = np.inf  # undecided points, ties among them: nothing is to be kept
        drops = sign * (change - change[rows, winner][:, None])
        needs: Floats = drops / leads.reshape(*leads.shape, *(1,) * (change.ndim - 2))
        return needs

    def _single_needs(self, points: Floats, phase: Phase) -> list[Floats]:
        """For each layer what giving one neuron alone this phase needs, to first order; shape (neurons,)."""
        pre = self._network.pre_activations(points)
        outputs = self._network.forward(points)
        slopes = self._output_slopes(pre, outputs.shape[1])
        needs = []
        for z, slope in zip(pre, slopes, strict=True):
            change = -np.maximum(z, 0.0) if phase is Phase.INACTIVE else np.minimum(z, 0.0)
            moved = slope * change[:, None, :]
            needs.append(self._needs(outputs, moved).max(axis=(0, 1), initial=0.0))
        return needs

    def _output_slopes(self, pre: Sequence[Floats], count: int) -> list[Floats]:
        """Derivatives of the outputs by the outputs of each layer's neurons, shape (points, outputs, neurons)."""
        n = len(pre[0]) if pre else 0
        sources: list[Floats] = [np.zeros((0, 0)), *(np.zeros((n * count, z.shape[1])) for z in pre)]
        for term in self._network.output.terms:
            if term.source:
                sources[term.source] += np.tile(term.map.dense().weight, (n, 1))
        for k in range(len(pre), 0, -1):
            through = sources[k] * np.repeat(pre[k - 1] > 0.0, count, axis=0)
            for term in self._network.layers[k - 1].terms:
                if term.source:
                    sources[term.source] += term.map.apply_transposed(through)
        return [s.reshape(n, count, -1) for s in sources[1:]]
