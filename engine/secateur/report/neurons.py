"""The part of the report on every neuron: the map of all of them, its legend, and the same facts as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from secateur.report import charts, words
from secateur.report.blocks import folded, paragraph, section, table
from secateur.report.findings import KINDS, removed_kinds
from secateur.report.markup import Markup, element

__all__ = ["neurons"]

Summary = Mapping[str, Any]
Layer = Sequence[tuple[Mapping[str, Any], str]]
"""Its neurons, each with the kind of redundancy by which it was removed, or nothing."""


def neurons(s: Summary) -> Markup:
    """The map of all neurons, its legend, the same in words, and the neurons that were not decided."""
    kinds = removed_kinds(s)
    layers = [
        [(neuron, kinds.get((k, i), "")) for i, neuron in enumerate(layer)] for k, layer in enumerate(s["neuron_status"], 1)
    ]
    counts = Counter(charts.mark(neuron["status"], kind) for layer in layers for neuron, kind in layer)
    across = max(map(charts.columns, map(len, layers)), default=0)
    maps = [element("figure", _caption(k, layer), charts.neuron_map(k, layer)) for k, layer in enumerate(layers, 1)]
    return section(
        "Every neuron",
        element("p", "Each cell is a neuron, row by row from 0; point at one to see what is known of it, or open the table."),
        charts.shares([(mark, counts[mark]) for mark in charts.MARKS if counts[mark]]),
        element("ul", *_legend(layers, counts), class_="legend"),
        element("div", *maps, class_=f"maps by{across}"),
        element("div", _in_words(layers), class_="after"),
        _undecided(s),
    )


def _legend(layers: Sequence[Layer], counts: Mapping[str, int]) -> list[Markup]:
    """What the marks mean; a neuron counts under the mark that it has in the map."""
    went = {(n["status"], kind) for layer in layers for n, kind in layer if charts.mark(n["status"], kind) == charts.GONE}
    parted = {status for status, _ in went}
    entries = [(s, s, text + (" and stays" if s in parted else "")) for s, text in charts.STATUSES.items()]
    if went:
        name = "removed though " + " or ".join(sorted(parted))
        entries.append((charts.GONE, name, "; ".join(KINDS[kind] for kind in sorted({kind for _, kind in went}))))
    return [
        element("li", charts.glyph(mark), element("span", element("b", words.count(counts[mark]), " ", name), ", ", text))
        for mark, name, text in entries
    ]


def _caption(k: int, layer: Layer) -> Markup:
    kinds = Counter(kind for _, kind in layer if kind)
    parts = ", ".join(f"{words.count(number)} {kind}" for kind, number in sorted(kinds.items()))
    said = f"{words.count(kinds.total())} of {words.count(len(layer))} removed" + (f": {parts}" if parts else "")
    if stay := sum(not kind and neuron["status"] in ("inactive", "active") for neuron, kind in layer):
        said += f"; {words.count(stay)} of one phase kept"
    return element("figcaption", element("b", f"Layer {k}"), " ", element("span", said, class_="soft"))


def _in_words(layers: Sequence[Layer]) -> Markup:
    """The facts of the map for those who cannot point at it; neurons of a layer that share them are a row."""
    rows = []
    for k, layer in enumerate(layers, 1):
        alike: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        for i, (neuron, kind) in enumerate(layer):
            alike[neuron["status"], charts.known_by(neuron), kind or "kept"].append(i)
        rows += [[f"Layer {k}", words.ranges(own), *facts] for facts, own in sorted(alike.items())]
    return folded("The map as a table", table(["", "neurons", "status", "known by", "removed as"], rows), fold=True)


def _undecided(s: Summary) -> Markup:
    rows = [
        [f"Layer {k}, neuron {i}", neuron["reason"] or "no reason given"]
        for k, layer in enumerate(s["neuron_status"], 1)
        for i, neuron in enumerate(layer)
        if neuron["status"] == "unknown"
    ]
    if not rows:
        return paragraph("Every neuron was decided.")
    shown = f"The {words.plural(len(rows), 'undecided neuron')} and why"
    content = table(["not decided", "why"], rows, narrow=True)
    return element("div", folded(shown, content, fold=len(rows) > 12), class_="after")
