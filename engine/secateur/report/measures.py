"""The lower part of the report: speed and agreement in onnxruntime, the domain, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.report import charts, words
from secateur.report.blocks import folded, paragraph, section, table
from secateur.report.markup import Markup, element

__all__ = ["domain", "domain_in_words", "overflows", "speed", "time_spent"]

Summary = Mapping[str, Any]

LONG = 32  # rows of bounds that are shown without unfolding


def speed(s: Summary) -> Markup:
    """onnxruntime before and after: how fast, and how far apart on random points."""
    parts = []
    if s["latency"] is not None:
        parts.append(_latency(s["latency"]))
    if s["agreement"] is not None:
        parts.append(_agreement(s["agreement"], s["tolerance"]["claimed"]))
    return section("In onnxruntime", *(parts or [element("p", "Not measured in this run.")]))


def _latency(latency: Mapping[str, Mapping[str, Sequence[float]]]) -> Markup:
    longest = max(p95 for side in latency.values() for _, p95 in side.values())
    rows = []
    for batch, (before, before95) in latency["original"].items():
        after, after95 = latency["reduced"][batch]
        cases = (
            ("before", before, before95, 0.0, ""),
            ("after", after, after95, after, words.change(before, after)),
        )
        for name, median, p95, solid, change in cases:
            drawn = charts.bar(solid, median, longest, tick=p95)
            times = (words.microseconds(median), words.microseconds(p95))
            rows.append([f"Batch {batch}, {name}", *times, change, drawn])
    heads = ["time per call", "median", "p95", "change", "median; the mark is p95"]
    return table(heads, rows, numeric=(1, 2, 3))


def _agreement(agreement: Mapping[str, Any], claimed: str | None) -> Markup:
    """claimed : the proven tolerance; None where the claim is about decisions."""
    if not agreement["points"]:
        return paragraph(f"{overflows(agreement)} There was nothing to compare.")
    largest, noise = agreement["max_difference"], agreement["float32_noise"]
    points, rounding = words.plural(agreement["points"], "random point"), words.scientific(noise)
    said = [f"On {points} of the domain the outputs of the two files differ by at most {words.scientific(largest)}."]
    if claimed is None:
        changed = agreement["changed"]
        within, worse = not changed, "The claim does not allow this: please report it."
        where = f"at {words.plural(changed, 'point')}" if changed else "nowhere"
        said.append(f"The claim is about winners: these changed {where}, beyond what rounding explains (up to {rounding}).")
    else:
        within, worse = largest <= float(words.rational(claimed)) + noise, "This is more than both together: please report it."
        said.append(f"The claim allows {claimed}; rounding may add {rounding}.")
    if agreement["overflows"]:
        said.append(overflows(agreement))
    return paragraph(" ".join(said), " ", element("b", "Observation and proof agree." if within else worse))


def overflows(agreement: Mapping[str, Any]) -> str:
    """What is to be said of points that were left out."""
    return f"At {words.plural(agreement['overflows'], 'further point')} a value was beyond the range of an element type."


def domain_in_words(s: Summary) -> str:
    """What the D of a claim is."""
    return f"{s['domain']['description']} ({words.plural(len(s['domain']['lower']), 'input')}, listed below)"


def domain(s: Summary) -> Markup:
    """The bounds of every input; neighbours with the same bounds share a row."""
    bounds = list(zip(s["domain"]["lower"], s["domain"]["upper"], strict=True))
    rows = [[str(first) if first == last else f"{first} to {last}", *bounds[first]] for first, last in words.runs(bounds)]
    content = table(["input", "lower", "upper"], rows, numeric=(1, 2), narrow=True)
    note = "The bounds are exact; the claim holds for all inputs between them, ends included."
    shown = f"Bounds of the {words.plural(len(bounds), 'input')}"
    return section("The domain", element("p", note), folded(shown, content, fold=len(rows) > LONG))


def time_spent(s: Summary) -> Markup:
    """Seconds per stage, and the options of the run."""
    stages, whole = s["stages"], s["seconds"]
    longest = max(stages.values(), default=0.0)
    rows = [
        [name, words.duration(seconds), words.share(seconds, whole), charts.bar(seconds, 0, longest)]
        for name, seconds in stages.items()
    ]
    options = ", ".join(f"{name} {value}" for name, value in s["options"].items())
    end = " and was stopped" if s["interrupted"] else ""
    return section(
        "Time",
        element("p", f"The run took {words.duration(whole)}{end}."),
        table(["stage", "time", "share", ""], rows, numeric=(1, 2)),
        paragraph(f"Options: {options}.") if options else "",
    )
