"""A cactus plot: how many instances each tool solves within a time, as an SVG file that needs nothing else.

The time axis is logarithmic. A line starts at the tool's fastest instance and ends at its slowest; further right it would be
flat. Colours repeat after eight tools, then dashes tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from secateur.report.markup import Markup, element

__all__ = ["cactus_svg"]

_WIDTH, _HEIGHT = 980, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 760, 44, 424  # the frame of the plot, in pixels
_SHORTEST = 1e-3  # seconds: what is faster is drawn here
_COLOURS = ("#1b6ca8", "#c8511b", "#2d8a4e", "#8e44ad", "#b8860b", "#c2185b", "#00838f", "#5d4037")  # legible on white
_DASHES = (None, "7 4", "2 3", "10 3 2 3")
_LEGEND_ROW = 19


def cactus_svg(times: Mapping[str, Sequence[float]], title: str) -> str:
    """The plot as the text of an SVG file.

    `times` are the seconds of the solved instances by tool, in any order; tools are listed by the number they solve.
    """
    series = {tool: sorted(max(t, _SHORTEST) for t in seconds) for tool, seconds in times.items()}
    ranked = sorted(series, key=lambda tool: (-len(series[tool]), sum(series[tool])))
    plot = _Plot([t for seconds in series.values() for t in seconds], max(map(len, series.values()), default=0))
    lines = [_line(plot, series[tool], index) for index, tool in enumerate(ranked)]
    legend = [_legend(tool, len(series[tool]), index) for index, tool in enumerate(ranked)]
    parts = [
        element("title", title),
        element("rect", width=_WIDTH, height=_HEIGHT, fill="#fff"),
        element("text", title, x=_LEFT, y=26, font_size=16, font_weight="bold"),
        *plot.grid(),
        *lines,
        *legend,
    ]
    picture = element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        font_family="system-ui, sans-serif",
        font_size=12,
        fill="#222",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{picture}\n'


class _Plot:
    """The scales of the two axes: time in whole decades, and a number of instances."""

    def __init__(self, times: Sequence[float], most: int) -> None:
        exponents = [math.log10(t) for t in times] or [0.0]
        self.first = math.floor(min(exponents))
        self.last = max(math.ceil(max(exponents)), self.first + 1)
        self.step = _round_step(most)
        self.most = max(self.step, math.ceil(most / self.step) * self.step)

    def x(self, seconds: float) -> float:
        share = (math.log10(seconds) - self.first) / (self.last - self.first)
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(self, solved: float) -> float:
        return _BOTTOM - solved / self.most * (_BOTTOM - _TOP)

    def grid(self) -> list[Markup]:
        """Grid lines with their numbers, and the names of the axes."""
        marks: list[Markup] = []
        for exponent in range(self.first, self.last + 1):
            x = f"{self.x(10.0**exponent):.1f}"
            marks.append(element("line", x1=x, x2=x, y1=_TOP, y2=_BOTTOM, stroke="#ddd"))
            marks.append(element("text", f"{10.0**exponent:g}", x=x, y=_BOTTOM + 18, text_anchor="middle"))
        for solved in range(0, self.most + 1, self.step):
            y = f"{self.y(solved):.1f}"
            marks.append(element("line", x1=_LEFT, x2=_RIGHT, y1=y, y2=y, stroke="#ddd"))
            marks.append(element("text", solved, x=_LEFT - 8, y=f"{self.y(solved) + 4:.1f}", text_anchor="end"))
        middle, height = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
        marks.append(element("text", "seconds per instance (logarithmic)", x=middle, y=_BOTTOM + 42, text_anchor="middle"))
        turned = f"translate(18 {height}) rotate(-90)"
        return [*marks, element("text", "instances solved", transform=turned, text_anchor="middle")]


def _round_step(most: int) -> int:
    """A distance of 1, 2 or 5 times a power of ten, for at most ten grid lines."""
    steps = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
    return int(next(step for step in steps if most <= 10 * step))


def _line(plot: _Plot, times: Sequence[float], index: int) -> Markup:
    """The staircase of one tool; nothing where it solved nothing."""
    if not times:
        return Markup("")
    path = f"M{plot.x(times[0]):.1f} {plot.y(0):.1f}"
    path += "".join(f"H{plot.x(seconds):.1f}V{plot.y(solved):.1f}" for solved, seconds in enumerate(times, 1))
    return element("path", d=path, fill="none", stroke_width=2, stroke_linejoin="round", **_style(index))


def _style(index: int) -> dict[str, object]:
    dash = _DASHES[index // len(_COLOURS) % len(_DASHES)]
    return {"stroke": _COLOURS[index % len(_COLOURS)], "stroke_dasharray": dash}


def _legend(tool: str, solved: int, index: int) -> Markup:
    """A sample of the line with the tool's name, beside the frame; the best stands at the top."""
    left, y = _RIGHT + 16, _TOP + 10 + index * _LEGEND_ROW
    sample = element("line", x1=left, x2=left + 28, y1=y - 4, y2=y - 4, stroke_width=2, **_style(index))
    return element("g", sample, element("text", f"{tool} ({solved})", x=left + 36, y=y))
