"""The page as a whole: structure, numbers, nothing loaded from elsewhere, nothing injected."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.report import render
from secateur.report.charts import BASES, MARKS, STATUSES
from tests.report.summaries import make_summary

VOID = {"meta"}
HOSTILE = '"><script>alert(1)</script><img src="https://evil.example/x" onerror=\'x\'>&amp;\x00\u202e.onnx'

SUMMARIES = {
    "small": make_summary(),
    "acas": make_summary((50,) * 6, (0.07, 0.01, 0.9, 0.02), interrupted=True),
    "wide": make_summary((256,) * 3, (0.2, 0.05, 0.65, 0.1), inputs=784),
    "decided": make_summary((24, 24, 24), (0.4, 0.0, 0.6, 0.0), inputs=6),
    "untouched": make_summary((5, 5), (0.0, 0.0, 1.0, 0.0), steps=[], latency=None, agreement=None),
}


class Page(HTMLParser):
    """Reads a page: its elements in order, its text, and whether every element that opens also closes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.titles: list[tuple[dict[str, str | None], str]] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "title" and len(self._open) > 1:
            self.titles.append((self._open[-2][1], data))
        elif not self._open or self._open[-1][0] != "style":
            self.text.append(data)

    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def neurons(self) -> list[tuple[str, str, str]]:
        """Place, status and tooltip of every cell of the map."""
        cells = [(attributes, title) for attributes, title in self.titles if "data-neuron" in attributes]
        return [(str(a["data-neuron"]), str(a["class"]), title) for a, title in cells]


@pytest.fixture(params=sorted(SUMMARIES))
def summary(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SUMMARIES[request.param]


def test_summaries_are_json(summary: dict[str, Any]) -> None:
    assert json.loads(json.dumps(summary)) == summary


def test_every_neuron_appears_once_with_its_status(summary: dict[str, Any]) -> None:
    expected = [
        (f"{k}.{i}", neuron["status"]) for k, layer in enumerate(summary["neuron_status"], 1) for i, neuron in enumerate(layer)
    ]
    assert [(place, status) for place, status, _ in Page(render(summary)).neurons()] == expected


def test_tooltips_name_place_status_basis_and_reason(summary: dict[str, Any]) -> None:
    for place, status, title in Page(render(summary)).neurons():
        layer, index = map(int, place.split("."))
        neuron = summary["neuron_status"][layer - 1][index]
        assert title.startswith(f"Layer {layer}, neuron {index}: {status}")
        assert neuron["basis"] == "none" or BASES[neuron["basis"]] in title
        assert neuron["reason"] is None or neuron["reason"] in title


def test_map_refers_only_to_cells_that_exist(summary: dict[str, Any]) -> None:
    elements = Page(render(summary)).elements
    defined = [a["id"] for tag, a in elements if tag == "symbol"]
    used = {str(a["href"]) for tag, a in elements if tag == "use"}
    assert defined == [f"cell-{mark}" for mark in MARKS]
    assert used <= {f"#{name}" for name in defined}


def test_figures_are_on_the_page(summary: dict[str, Any]) -> None:
    said = Page(render(summary)).words()
    for pair in (summary["neurons"], summary["parameters"], summary["bytes"]):
        assert f"{pair['reduced']:,}before: {pair['original']:,}" in said
    for status, number in summary["status"].items():
        assert f"{number} {status}, {STATUSES[status]}" in said
    for k, (before, after) in enumerate(zip(*summary["layers"].values(), strict=True), 1):
        assert f"Layer {k}{before}{after}" in said
    for file in (summary["model"], summary["reduced_model"], summary["certificate"], summary["domain"]):
        assert file["sha256"] in said
    assert f"{summary['certificate']['bytes']:,} bytes" in said
    assert f"Proven: {summary['claim']}" in said
    assert "secateur check" in said


def test_domain_bounds_are_on_the_page(summary: dict[str, Any]) -> None:
    said = Page(render(summary)).words()
    domain = summary["domain"]
    for k, (low, high) in enumerate(zip(domain["lower"], domain["upper"], strict=True)):
        assert f"{k}{low}{high}" in said


def test_headline_counts_what_was_removed(summary: dict[str, Any]) -> None:
    pair = summary["neurons"]
    removed = pair["original"] - pair["reduced"]
    heading = f"{removed} of {pair['original']} neurons removed" if removed else "Nothing removed"
    page = render(summary)
    assert re.findall(r"<h1>(.*?)</h1>", page) == [heading]


def test_undecided_neurons_are_listed_with_their_reasons(summary: dict[str, Any]) -> None:
    said = Page(render(summary)).words()
    listed = re.findall(r"Layer (\d+), neuron (\d+)deadline", said)
    unknown = [
        (str(k), str(i))
        for k, layer in enumerate(summary["neuron_status"], 1)
        for i, neuron in enumerate(layer)
        if neuron["status"] == "unknown"
    ]
    assert listed == unknown
    assert ("Every neuron was decided." in said) == (not unknown)
    assert ("not decided and stayed in place" in said) == bool(unknown)


def test_nothing_is_loaded_from_elsewhere(summary: dict[str, Any]) -> None:
    page = render(summary)
    tags = Counter(tag for tag, _ in Page(page).elements)
    assert not {"script", "link", "img", "iframe", "object", "base", "image"} & set(tags)
    assert "//" not in page
    assert "url(" not in page
    assert "@import" not in page
    for _, attributes in Page(page).elements:
        assert "src" not in attributes
        assert str(attributes.get("href", "#")).startswith("#")


def test_equal_summaries_give_equal_pages(summary: dict[str, Any]) -> None:
    assert render(json.loads(json.dumps(summary))) == render(summary)


def test_interruption_is_said_only_when_it_happened() -> None:
    said = "The run was stopped before its end"
    assert said in Page(render(make_summary(interrupted=True))).words()
    assert said not in Page(render(make_summary())).words()


def test_tolerance_changes_the_promise() -> None:
    within = make_summary(tolerance={"requested": "0.01", "claimed": "1/128"}, claim="|N - N'| <= 1/128 on D")
    said = Page(render(within)).words()
    assert "their outputs differ by at most 1/128." in said
    assert "Tolerance asked for: 0.01; proven: 1/128." in said
    assert "exactly" not in said
    assert "the two compute the same outputs, exactly." in Page(render(make_summary())).words()


def relaxed_summary() -> dict[str, Any]:
    """Layer 1 inactive, both, both, unknown, active, of which the first, second and fourth are gone."""
    known = [("inactive", "exact", None), ("both", "witness", None), ("both", "witness", None), ("unknown", "none", "deadline")]
    layer = [dict(zip(("status", "basis", "reason"), facts, strict=True)) for facts in [*known, ("active", "tree", None)]]
    gone = [(0, "phase", "inactive on D"), (1, "relaxed", "linearised: replaced by 0"), (3, "forward", "read by nobody")]
    return make_summary(
        (5,),
        neuron_status=[layer],
        status={"inactive": 1, "active": 1, "both": 2, "unknown": 1},
        removed=[{"layer": 1, "neuron": i, "kind": kind, "why": why} for i, kind, why in gone],
    )


def test_what_went_without_a_phase_is_marked_and_counted() -> None:
    page = Page(render(relaxed_summary()))
    assert [mark for _, mark, _ in page.neurons()] == ["inactive", "gone", "both", "gone", "active"]
    said = page.words()
    for text in (
        "1 both, takes both phases and stays",
        "2 removed though both or unknown, not needed once the others are gone, or computed elsewhere; linearised within",
        "3 of 5 removed: 1 forward, 1 phase, 1 relaxed; 1 of one phase kept",
        "1 neuron was not decided; 1 went with others, 0 stayed.",
    ):
        assert text in said, text
    assert "removed though" not in Page(render(make_summary())).words()


def test_the_facts_of_the_map_are_a_table_too() -> None:
    said = Page(render(relaxed_summary())).words()
    for row in (
        f"Layer 10inactive{BASES['exact']}phase",
        f"Layer 11both{BASES['witness']}relaxed",
        f"Layer 12both{BASES['witness']}kept",
        "Layer 13unknowndeadlineforward",
        f"Layer 14active{BASES['tree']}kept",
    ):
        assert row in said, row


def test_the_table_of_a_large_network_is_small_beside_the_map() -> None:
    page = render(SUMMARIES["wide"])
    start = page.index("The map as a table")
    assert page.index("</table>", start) - start < 6 * 3 * 256 + 2500


def test_neurons_that_went_for_the_same_reason_share_a_row() -> None:
    reasons = [("phase", "inactive on D"), ("relaxed", "linearised: replaced by 0")]
    removed = [
        {"layer": 1 + i // 50, "neuron": i % 50, "kind": k, "why": w} for i in range(100) for k, w in [reasons[i % 50 > 9]]
    ]
    page = render(make_summary((50, 50), removed=removed, claim="max |N - N'| <= 1/2 on D"))
    part = page[page.index("Why they could go") : page.index("What the proof rests on")]
    assert part.count("<tr>") == 1 + 4
    for text in ("20 phase", "80 relaxed", "Layer 1</th><td>0 to 9</td><td>phase</td><td>inactive on D"):
        assert text in part, text
    assert part.count("max |N - N&#x27;| &lt;= 1/2 on D") == 1


@pytest.mark.parametrize(
    ("claimed", "largest", "agrees"),
    [("0", 0.0, True), ("0", 1e-3, False), ("1/100", 1e-3, True), ("1/100", 0.02, False)],
)
def test_a_difference_beyond_claim_and_noise_is_reported(claimed: str, largest: float, *, agrees: bool) -> None:
    measured = {"points": 1000, "overflows": 0, "max_difference": largest, "float32_noise": 1e-6, "changed": None}
    tolerance = {"requested": claimed, "claimed": claimed}
    said = Page(render(make_summary(agreement=measured, tolerance=tolerance))).words()
    assert ("Observation and proof agree." in said) == agrees
    assert ("This is more than both together" in said) == (not agrees)


@pytest.mark.parametrize("changed", [0, 1, 17])
def test_a_claim_about_decisions_is_measured_by_winners(changed: int) -> None:
    measured = {"points": 1000, "overflows": 0, "max_difference": 5.0, "float32_noise": 1e-6, "changed": changed}
    tolerance = {"requested": "0", "claimed": None}
    said = Page(render(make_summary(agreement=measured, tolerance=tolerance, claim="the same winner on D"))).words()
    assert "the two take the same decisions" in said
    assert "Proven: the same winner on D." in said
    assert ("Observation and proof agree." in said) == (changed == 0)
    assert ("The claim does not allow this: please report it." in said) == (changed > 0)
    assert {0: "nowhere", 1: "at 1 point,", 17: "at 17 points,"}[changed] in said
    assert "None" not in said


def test_points_that_overflow_are_said() -> None:
    measured = {"points": 10, "overflows": 1, "max_difference": 0.0, "float32_noise": 1e-6, "changed": None}
    said = Page(render(make_summary(agreement=measured))).words()
    assert "At 1 further point a value was beyond the range of an element type. Observation and proof agree." in said
    said = Page(render(make_summary(agreement=measured | {"points": 0, "overflows": 11}))).words()
    assert "At 11 further points a value was beyond the range of an element type. There was nothing to compare." in said
    assert "Observation and proof agree." not in said


def test_folded_layers_are_shown_side_by_side() -> None:
    said = Page(render(make_summary((8, 8), layers={"original": [8, 8], "reduced": [5]}))).words()
    assert "2 layers before, 1 after" in said
    assert "Layer 15" in said
    assert "No hidden layer is left." in Page(render(make_summary((4,), layers={"original": [4], "reduced": []}))).words()


def test_trust_in_a_solver_is_said_only_where_it_exists() -> None:
    alone = {"exact": 1, "tree": 2, "solver": 3, "late_for_smt": 0, "confirmed_by_smt": 0, "solver_name": "cvc5 1.2"}
    said = Page(render(make_summary(evidence=alone))).words()
    assert "cvc5 1.2, for 3 claims" in said
    assert "except those that rest on a solver alone" in said
    nobody = {"exact": 1, "tree": 2, "solver": 0, "late_for_smt": 0, "confirmed_by_smt": 0, "solver_name": None}
    said = Page(render(make_summary(evidence=nobody))).words()
    assert "No phase claim was confirmed by an SMT solver" in said
    some = {"exact": 1, "tree": 2, "solver": 0, "late_for_smt": 2, "confirmed_by_smt": 1, "solver_name": "cvc5 1.2"}
    assert (
        "1 were also confirmed in exact arithmetic by cvc5 1.2; for 2 there was no time."
        in Page(render(make_summary(evidence=some))).words()
    )
    assert "None" not in said


def test_missing_measurements_are_said() -> None:
    said = Page(render(SUMMARIES["untouched"])).words()
    assert "Not measured in this run." in said
    assert "Latency" not in said
    assert "Nothing: the network was left as it is." in said


def hostile_summary(text: str) -> dict[str, Any]:
    summary = make_summary((12, 3), (0.2, 0.1, 0.4, 0.3))
    for part in ("model", "reduced_model", "certificate"):
        summary[part]["file"] = text
    summary["model"]["name"] = summary["domain"]["description"] = summary["claim"] = text
    summary["domain"]["lower"][0] = summary["secateur"] = summary["evidence"]["solver_name"] = text
    summary["options"] = {text: text}
    summary["stages"] = {text: 1.0}
    summary["evidence"]["solver"] = 2
    for layer in summary["neuron_status"]:
        for neuron in layer:
            neuron["reason"] = text
    summary["steps"] = [{"rule": text, "layer": 1, "removed": [1], "detail": text}]
    return summary


def skeleton(page: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in Page(page).elements]


def test_hostile_texts_stay_text() -> None:
    page = render(hostile_summary(HOSTILE))
    assert skeleton(page) == skeleton(render(hostile_summary("harmless")))
    shown = HOSTILE.replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
    assert Page(page).words().count(" ".join(shown.split())) > 10
    assert "\x00" not in page
    assert "\u202e" not in page


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_no_text_changes_the_structure(text: str) -> None:
    page = render(hostile_summary(text))
    assert skeleton(page) == skeleton(render(hostile_summary("harmless")))
    page.encode("utf-8")


def test_page_is_made_for_readers_and_screens() -> None:
    page = render(make_summary())
    assert page.startswith('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">')
    elements = Page(page).elements
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in elements
    assert any(tag == "meta" and str(a.get("content", "")).startswith("default-src 'none'") for tag, a in elements)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    maps = [a for tag, a in elements if tag == "svg" and str(a.get("class")).startswith("map")]
    assert len(maps) == 3
    assert all(a["role"] == "img" and str(a["aria-label"]).startswith("Layer ") for a in maps)
    assert all("aria-hidden" in a or a.get("role") == "img" for tag, a in elements if tag == "svg"), (
        "every picture is either described or hidden from screen readers"
    )
