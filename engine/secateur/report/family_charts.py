"""The pictures of the report on a family: how large its networks are, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from secateur.report import words
from secateur.report.markup import Markup, element

__all__ = ["histogram", "partition_map"]

BINS = 20
LEVELS = 5  # shades
DEEPEST = 12  # of finer cuts nothing could be seen, and the page would grow


def histogram(values: Sequence[float], largest: float) -> Markup:
    """Upright bars over `BINS` equal classes from 0 to `largest`; larger values count in the last one."""
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(BINS * value / largest)) if largest > 0 else 0] += 1
    highest = max(counts, default=0) or 1
    bars = []
    for k, number in enumerate(counts):
        height = 100 * number / highest
        title = element("title", f"{largest * k / BINS:,.0f} to {largest * (k + 1) / BINS:,.0f}: {number:,}")
        bars.append(element("rect", title, class_="solid", x=k * 10, y=f"{100 - height:.2f}", width=9, height=f"{height:.2f}"))
    label = f"{words.plural(len(values), 'slice')} by size"
    return element("svg", *bars, class_="histogram", viewBox=f"0 0 {BINS * 10} 100", role="img", aria_label=label)


class _Place(NamedTuple):
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float
    depth: int

    def halves(self) -> tuple[_Place, _Place]:
        if self.width >= self.height:
            first = self._replace(width=self.width / 2, depth=self.depth + 1)
            return first, first._replace(x=self.x + first.width)
        first = self._replace(height=self.height / 2, depth=self.depth + 1)
        return first, first._replace(y=self.y + first.height)


def partition_map(nodes: Sequence[int | None], leaves: Sequence[Sequence[int]], largest: float) -> Markup:
    """The partition as nested rectangles; `nodes` and `leaves` as in the summary. What is cut finer than can be seen is one."""
    cells = []
    waiting = [_Place(0.0, 0.0, 200.0, 100.0, 0)]
    leaf = 0
    for coordinate in nodes:
        place = waiting.pop()
        if coordinate is not None:
            waiting += reversed(place.halves())
            if place.depth == DEEPEST:
                cells.append(_cell(place, 0.0, "cut finer than shown"))
        else:
            parameters, neurons = leaves[leaf][:2]
            if place.depth <= DEEPEST:
                share = parameters / largest if largest > 0 else 0.0
                cells.append(
                    _cell(
                        place, share, f"slice {leaf}: {words.plural(parameters, 'parameter')}, {words.plural(neurons, 'neuron')}"
                    )
                )
            leaf += 1
    label = f"{words.plural(len(leaves), 'slice')} of the domain"
    return element("svg", *cells, class_="partition", viewBox="0 0 200 100", role="img", aria_label=label)


def _cell(place: _Place, share: float, title: str) -> Markup:
    level = min(LEVELS - 1, int(LEVELS * share))
    return element(
        "rect",
        element("title", title),
        class_=f"level{level}",
        x=f"{place.x:.3f}",
        y=f"{place.y:.3f}",
        width=f"{place.width:.3f}",
        height=f"{place.height:.3f}",
    )
