"""The report on a family: what it says, what it draws, and that nothing can be injected."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from secateur.report.family import render_family
from secateur.report.family_charts import BINS, histogram, partition_map


def summary(**changes: Any) -> dict[str, Any]:
    """Three slices: one large, two small, cut along input 1 and then 0."""
    spread = {"mean": 40.0, "median": 10.0, "min": 10, "max": 100, "by_volume": 55.0}
    return {
        "secateur": "0.1.0",
        "model": {"file": "net.onnx", "sha256": "0" * 64, "name": "net"},
        "domain": {"description": "box.json", "lower": ["0", "0"], "upper": ["1", "1"]},
        "claim": "on every slice of D, its network and N agree exactly",
        "slices": 3, "files": 2, "constant": 1, "late": "", "interrupted": False,
        "parameters": {"original": 100, **spread},
        "neurons": {"original": 20, **spread},
        "bytes": {"original": 900, "family": 700, "manifest": 300, "certificate": 1234},
        "proven": 7.25, "undecided": {"slices": 0, "neurons": 0, "not_begun": 0}, "tree_nodes": 4321,
        "removed": {"phase": 3.5, "relaxed": 1.25}, "differences": {"slices": 2, "nodes": 56},
        "nodes": [1, None, 0, None, None],
        "leaves": [[100, 20, 0, 1, 0], [10, 2, 0, 2, 1], [10, 2, 0, 2, 1]],
        "manifest": {"file": "manifest.json", "sha256": "2" * 64},
        "certificate": {"file": "family.secateur", "sha256": "1" * 64, "bytes": 1234},
        "agreement": {"points": 500, "overflows": 0, "max_difference": 1e-7, "float32_noise": 2e-7},
        "latency": {"original": {"1": [10.0, 12.0]}, "family": {"1": [20.0, 25.0]}, "find": 0.05},
        "stages": {"slice": 1.5}, "seconds": 1.5, "options": {"slices": 3, "jobs": 2},
    } | changes  # fmt: skip


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens and closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_says_the_numbers() -> None:
    page = render_family(summary())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    for text in (
        "40 of 100 parameters per slice",
        "3 slices",
        "2 distinct files",
        "1 slice of 3 needs no neuron",
        "4,321",
        "3.5 phase",
        "1.2 relaxed",
        "1,234",
    ):
        assert text in page, text
    assert 'role="note">' not in page.split("<section")[1]
    assert render_family(summary()) == page


def test_the_reader_learns_how_to_check_it_and_what_to_trust() -> None:
    page = render_family(summary())
    for text in (
        "secateur check .",
        "--original",
        "Trusted, or outside the claim",
        "a float32 runtime rounds on top",
        *(digit * 64 for digit in "012"),
    ):
        assert text in page, text
    assert "--reduced" not in page


@pytest.mark.parametrize("said", ["its network and N agree exactly", "with N' its network: max |N - N'| <= 1/2"])
def test_the_symbols_of_the_claim_are_explained(said: str) -> None:
    page = render_family(summary(claim=f"on every slice of D, {said}"))
    symbols = [html.unescape(symbol) for symbol in re.findall("<dt>(.*?)</dt>", page)]
    assert symbols == [symbol for symbol in ("N", "N'", "D") if symbol in said or symbol == "D"]
    assert "box.json (2 inputs, listed below)" in page


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        ((2, 2), "Every slice lies 2 cuts deep."),
        ((1, 1), "Every slice lies 1 cut deep."),
        ((1, 3), "Slices lie 1 to 3 cuts deep."),
    ],
)
def test_the_depth_of_the_cuts(depths: tuple[int, int], said: str) -> None:
    assert said in render_family(summary(leaves=[[1, 1, 0, depth, 0] for depth in (depths[0], *depths)]))


def test_what_is_unfinished_is_said() -> None:
    undecided = {"slices": 2, "neurons": 5, "not_begun": 1}
    page = render_family(
        summary(interrupted=True, late="time was up at 3 slices", undecided=undecided, latency=None, agreement=None)
    )
    for text in ("stopped before its end", "time was up at 3 slices", "In 2 slices some neurons", "Not measured in this run"):
        assert text in page, text


def test_names_are_escaped() -> None:
    page = render_family(summary(model={"file": "<script>x</script>", "sha256": "0" * 64, "name": "<b>"}))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def areas(svg: str) -> list[float]:
    sizes = re.findall(r'width="([0-9.]+)" height="([0-9.]+)"', svg)
    return [float(w) * float(h) for w, h in sizes]


def test_the_map_gives_every_slice_its_share_of_the_volume() -> None:
    svg = partition_map([1, None, 0, None, None], summary()["leaves"], 100)
    assert areas(svg) == pytest.approx([10_000, 5_000, 5_000])
    assert re.findall(r'class="level(\d)"', svg) == ["4", "0", "0"]


def test_cuts_finer_than_can_be_seen_are_one_cell() -> None:
    depth = 20
    nodes: list[int | None] = [0] * depth + [None] * (depth + 1)
    leaves = [[1, 1, 0, depth - max(k - 1, 0), 0] for k in range(depth + 1)]
    svg = partition_map(nodes, leaves, 1)
    assert sum(areas(svg)) == pytest.approx(20_000, rel=1e-3)
    assert svg.count("cut finer than shown") == 1


def test_the_histogram_counts_every_slice() -> None:
    svg = histogram([0, 0, 49, 50, 100, 250], 100)
    assert svg.count("<rect") == BINS
    counts = [int(n) for n in re.findall(r": (\d+)</title>", svg)]
    assert sum(counts) == 6
    assert (counts[0], counts[9], counts[10], counts[-1]) == (2, 1, 1, 2)
