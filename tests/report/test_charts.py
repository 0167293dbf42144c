"""The pictures: places and lengths."""

from __future__ import annotations

import re

import pytest

from secateur.report import charts
from tests.report.summaries import make_neurons


def widths(svg: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect[^>]* width="([0-9.]+)"', svg)]


def test_bar_lengths_are_in_proportion() -> None:
    assert widths(charts.bar(25, 50, 200)) == [25.0, 12.5]
    assert widths(charts.bar(3, 5, 0)) == [0.0, 0.0]


def test_tick_stays_inside_the_bar() -> None:
    places = re.findall(r'class="tick" x="([0-9.]+)"', charts.bar(1, 1, 8, tick=8) + charts.bar(1, 1, 8, tick=2))
    assert [float(x) for x in places] == [99.5, 25.0]


def test_shares_fill_the_bar_without_gaps() -> None:
    svg = charts.shares([("inactive", 1), ("both", 2), ("unknown", 1)])
    starts = [float(x) for x in re.findall(r' x="([0-9.]+)"', svg)]
    assert starts == [0.0, 25.0, 75.0]
    assert widths(svg) == [25.0, 50.0, 25.0]


@pytest.mark.parametrize(("size", "across"), [(1, 10), (50, 10), (100, 10), (101, 20), (256, 20), (512, 50)])
def test_cells_lie_row_by_row_and_inside_the_picture(size: int, across: int) -> None:
    assert charts.columns(size) == across
    (layer,) = make_neurons([size], [1, 1, 1, 1], seed=size)
    svg = charts.neuron_map(1, [(neuron, "") for neuron in layer])
    places = [(int(x), int(y)) for x, y in re.findall(r' x="(\d+)" y="(\d+)"', svg)]
    assert places == [(i % across * charts.PITCH, i // across * charts.PITCH) for i in range(size)]
    wide, high = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
    assert max(x for x, _ in places) + charts.SIDE <= wide
    assert max(y for _, y in places) + charts.SIDE == high


def test_each_status_is_counted_and_what_went_in_spite_of_it_has_a_mark() -> None:
    statuses, kinds = ["inactive", "both", "both", "unknown"], ["phase", "relaxed", "", "forward"]
    layer = [({"status": status, "basis": "none", "reason": None}, kind) for status, kind in zip(statuses, kinds, strict=True)]
    svg = charts.neuron_map(4, layer)
    assert 'aria-label="Layer 4: 1 inactive, 2 both, 1 unknown, 3 removed"' in svg
    assert re.findall(r'<use class="(\w+)" href="#cell-(\w+)"', svg) == [(m, m) for m in ("inactive", "gone", "both", "gone")]
    assert "Layer 4, neuron 1: both, removed (relaxed)</title>" in svg


def test_interval_claims_are_not_called_bounds_of_the_first_layer() -> None:
    svg = charts.neuron_map(3, [({"status": "inactive", "basis": "exact", "reason": None}, "")])
    assert "Layer 3, neuron 0: inactive (exact interval arithmetic over the whole domain)" in svg
    assert "first layer" not in svg
