"""The pictures of the report: inline SVG without text inside, so that they scale and words stay readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.report.markup import Markup, element

__all__ = [
    "BASES",
    "GONE",
    "MARKS",
    "STATUSES",
    "bar",
    "columns",
    "glyph",
    "known_by",
    "mark",
    "neuron_map",
    "shares",
    "symbols",
]

STATUSES = {
    "inactive": "never positive on the domain: its output is 0",
    "active": "never negative on the domain: its output equals its input",
    "both": "takes both phases",
    "unknown": "not decided",
}
GONE = "gone"
"""The mark of a neuron that was removed although no phase of it is proven; others are marked by their status."""
MARKS = (*STATUSES, GONE)
BASES = {
    "exact": "exact interval arithmetic over the whole domain",
    "tree": "replayed split tree",
    "solver": "solver's word, trusted",
    "witness": "two exact witnesses",
    "none": "no evidence",
}
PITCH, SIDE = 14, 12  # distance between the cells of the map, and their size


def bar(after: float, before: float, longest: float, tick: float | None = None) -> Markup:
    """A horizontal bar: `after` solid on `before` pale, `tick` as a fine mark; all in units of `longest`."""

    def width(value: float) -> str:
        return f"{100 * min(value / longest, 1):.2f}" if longest > 0 else "0"

    parts = [
        element("rect", class_="pale", x=0, y=0, width=width(before), height=10),
        element("rect", class_="solid", x=0, y=0, width=width(after), height=10),
    ]
    if tick is not None:
        parts.append(element("rect", class_="tick", x=width(min(tick, 0.995 * longest)), y=0, width="0.5", height=10))
    return element("svg", *parts, class_="bar", viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")


def shares(parts: Sequence[tuple[str, float]]) -> Markup:
    """One bar cut into shares; each part is (CSS class, size)."""
    total = sum(size for _, size in parts)
    cells, at = [], 0.0
    for class_, size in parts:
        wide = 100 * size / total if total > 0 else 0.0
        cells.append(element("rect", class_=class_, x=f"{at:.3f}", y=0, width=f"{wide:.3f}", height=10))
        at += wide
    return element("svg", *cells, class_="shares", viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")


def symbols() -> Markup:
    """The cells of the map, told apart by shape as well as by colour; referred to by `#cell-MARK`."""
    box = element("rect", x="0.5", y="0.5", width=SIDE - 1, height=SIDE - 1, rx=2)
    marks = {
        "inactive": element("path", d="M3.2 8.8 8.8 3.2"),
        "active": element("path", d="M6 3v6M3 6h6"),
        "both": Markup(""),
        "unknown": element("path", d="M4.2 4.6a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.8.6-.8 1.2M6 9.1v.5"),
        GONE: element("path", d="M3.2 3.2 8.8 8.8M3.2 8.8 8.8 3.2"),
    }
    cells = [element("symbol", box, marks[m], id=f"cell-{m}", viewBox=f"0 0 {SIDE} {SIDE}") for m in MARKS]
    return element("svg", element("defs", *cells), class_="hidden", aria_hidden="true", width=0, height=0)


def mark(status: str, kind: str) -> str:
    """How a neuron is drawn. kind : of the redundancy by which it was removed, or nothing."""
    return GONE if kind and status in ("both", "unknown") else status


def known_by(neuron: Mapping[str, Any]) -> str:
    """What the status of a neuron rests on, or why it has none."""
    basis, reason = neuron["basis"], neuron["reason"]
    facts = [BASES.get(basis, basis)] if basis != "none" else []
    return "; ".join([*facts, *([str(reason)] if reason else [])])


def glyph(mark: str, **attributes: object) -> Markup:
    """One cell by itself, for the legend."""
    cell = element("use", class_=mark, href=f"#cell-{mark}", width=SIDE, height=SIDE)
    return element("svg", cell, class_="glyph", viewBox=f"0 0 {SIDE} {SIDE}", aria_hidden="true", **attributes)


def columns(size: int) -> int:
    """Cells per row of the map: a round number, so that a neuron's index can be read off its place."""
    return 10 if size <= 100 else 20 if size <= 400 else 50


def neuron_map(layer: int, neurons: Sequence[tuple[Mapping[str, Any], str]]) -> Markup:
    """All neurons of one layer as a grid, row by row; each cell says what is known when pointed at.

    With each neuron comes the kind of redundancy by which it was removed, or nothing.
    """
    across = columns(len(neurons))
    down = max(1, -(-len(neurons) // across))
    cells = [_cell(layer, i, *neuron, (i % across, i // across)) for i, neuron in enumerate(neurons)]
    wide, high = across * PITCH - (PITCH - SIDE), down * PITCH - (PITCH - SIDE)
    return element(
        "svg",
        *cells,
        class_=f"map by{across}",
        viewBox=f"0 0 {wide} {high}",
        role="img",
        aria_label=f"Layer {layer}: {_tally(neurons)}",
    )


def _cell(layer: int, index: int, neuron: Mapping[str, Any], kind: str, place: tuple[int, int]) -> Markup:
    status, known, drawn = neuron["status"], known_by(neuron), mark(neuron["status"], kind)
    text = f"Layer {layer}, neuron {index}: {status}" + (f" ({known})" if known else "") + (f", removed ({kind})" if kind else "")
    return element(
        "use",
        element("title", text),
        class_=drawn,
        href=f"#cell-{drawn}",
        x=place[0] * PITCH,
        y=place[1] * PITCH,
        width=SIDE,
        height=SIDE,
        data_neuron=f"{layer}.{index}",
    )


def _tally(neurons: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    counts = {status: sum(neuron["status"] == status for neuron, _ in neurons) for status in STATUSES}
    counts["removed"] = sum(bool(kind) for _, kind in neurons)
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)
