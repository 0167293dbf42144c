"""The partition of a domain into boxes, as a tree of exact cuts.

Covers the domain by construction: a region is cut into two closed halves that share a face, or it is a slice. What is proven on a
region holds on all regions inside it and is inherited. Coordinates of width 0 are never cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds import Claim
from secateur.certificate.family import NO_FACTS, WrittenFacts, written_facts
from secateur.errors import InputError
from secateur.network import Network
from secateur.search import Candidates, PhaseEvidence, prove_at_once, sample
from secateur.specification import Domain

__all__ = ["Analysis", "Partition", "Region", "analyse_region", "halves"]

_POINTS = 4_096
"""Sampled points of a region that is about to be cut."""
_DEEPEST, _FINEST = 200, Fraction(1, 1 << 20)
"""Cuts on a path, and share of the domain's width that a coordinate must have to be cut: where many neurons switch at one point
(in a network without biases, say), cuts towards it would never end."""
_COORDINATES = 16
"""Coordinates that are tried as a cut; of more, those that change the pre-activations most."""


@dataclass(frozen=True)
class Analysis:
    """A first look at a region: facts that cost milliseconds, and where to cut it.

    unstable : neurons that sampling saw with both signs. coordinate : the cut that leaves fewest of them in both halves
    together; None where it is not to be cut.
    """

    facts: WrittenFacts
    unstable: int
    coordinate: int | None


@dataclass(eq=False)
class Region:
    """A node of the partition. known : facts of the regions around it, in the order of the certificate; facts : its own."""

    box: Domain
    known: tuple[Claim, ...] = ()
    depth: int = 0
    facts: WrittenFacts = NO_FACTS
    coordinate: int | None = None
    children: tuple[Region, ...] = ()

    @property
    def cut(self) -> Fraction:
        """Where the region is cut along `coordinate`: in the middle."""
        if self.coordinate is None:
            raise ValueError("a slice is not cut")
        return (self.box.lower[self.coordinate] + self.box.upper[self.coordinate]) / 2


@dataclass(eq=False)
class Partition:
    """All regions, from the whole domain down. count : of slices, the regions that are not cut."""

    root: Region
    count: int = 1

    def split(self, region: Region, coordinate: int) -> tuple[Region, ...]:
        """Cut a slice in the middle; its halves inherit all facts. InputError where the coordinate has width 0."""
        known = (*region.known, *region.facts.claims)
        first, second = halves(region.box, coordinate)
        region.coordinate = coordinate
        region.children = (Region(first, known, region.depth + 1), Region(second, known, region.depth + 1))
        self.count += 1
        return region.children

    def slices(self) -> Iterator[Region]:
        """The regions that are not cut, in preorder."""
        return (region for region in self.preorder() if not region.children)

    def preorder(self) -> Iterator[Region]:
        """All regions, a region before its halves and the first half first."""
        waiting = [self.root]
        while waiting:
            region = waiting.pop()
            yield region
            waiting += reversed(region.children)


def halves(box: Domain, coordinate: int) -> tuple[Domain, Domain]:
    """The two halves of a box, each with the face between them. InputError where the coordinate has width 0."""
    low, high = box.lower[coordinate], box.upper[coordinate]
    if low == high:
        raise InputError(f"coordinate {coordinate} has width 0 and cannot be cut")
    middle = (low + high) / 2
    upper, lower = list(box.upper), list(box.lower)
    upper[coordinate] = lower[coordinate] = middle
    return Domain(box.lower, tuple(upper)), Domain(tuple(lower), box.upper)


def analyse_region(network: Network, region: Region, whole: Domain, seed: int) -> Analysis:
    """Look at a region once. `whole` : the domain, in whose units widths are compared where halves are otherwise alike."""
    candidates = sample(network, region.box, _seed(region.box, seed), _POINTS)
    names = {c[:2] for c in (*candidates.claims, *region.known)}
    unstable = network.neuron_count - len(names)
    known = {c[:2] for c in region.known}
    fresh = [c for c in candidates.claims if c[:2] not in known]
    evidence = prove_at_once(network, region.box, region.known, fresh) if fresh else PhaseEvidence(())
    coordinate = _best_cut(candidates, region.box, whole) if region.depth < _DEEPEST else None
    return Analysis(written_facts(evidence, network.input_size), unstable, coordinate)


def _seed(box: Domain, seed: int) -> tuple[int, int]:
    """A seed that a region always gets, in whatever order regions are looked at."""
    return seed, int.from_bytes(hashlib.sha256(box.canonical_text().encode()).digest()[:8], "little")


def _best_cut(candidates: Candidates, box: Domain, whole: Domain) -> int | None:
    """The coordinate whose halves have fewest unstable neurons together; of equals, the one that was cut least."""
    sides = zip(box.widths(), whole.widths(), strict=True)
    shares = {i: own / full for i, (own, full) in enumerate(sides) if own > 0 and own > _FINEST * full}
    wide = list(shares)
    if not wide:
        return None
    upper = candidates.points > 0.5
    tried = _most_influential(candidates, wide, upper)
    return min(tried, key=lambda i: (_unstable_in_halves(candidates.values, upper[:, i]), -shares[i], i))


def _most_influential(candidates: Candidates, wide: list[int], upper: NDArray[np.bool_]) -> list[int]:
    if len(wide) <= _COORDINATES:
        return wide
    side = np.where(upper[:, wide], 1.0, -1.0)
    spread = candidates.values.std(axis=0)
    effect = np.abs(side.T @ (candidates.values / np.where(spread > 0, spread, 1.0))).sum(axis=1)
    return [wide[k] for k in np.sort(np.argsort(-effect)[:_COORDINATES])]


def _unstable_in_halves(values: NDArray[np.float64], upper: NDArray[np.bool_]) -> int:
    count = 0
    for half in (values[~upper], values[upper]):
        if len(half):
            count += int(((half.max(axis=0) > 0) & (half.min(axis=0) < 0)).sum())
    return count
