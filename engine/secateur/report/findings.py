"""The upper part of the report: what was removed, from which layers, and why it could go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from secateur.report import charts, measures, words
from secateur.report.blocks import claim, file_name, folded, paragraph, section, table
from secateur.report.markup import Markup, element, join

__all__ = ["KINDS", "headline", "layers", "removed", "removed_kinds"]

Summary = Mapping[str, Any]

KINDS = {
    "phase": "proven to be linear on the domain",
    "forward": "not needed once the others are gone, or computed elsewhere",
    "relaxed": "linearised within the tolerance",
    "result": "linearised without a change of decision",
}
LINEARISED = {"relaxed", "result"}


def headline(s: Summary) -> Markup:
    """What was removed, what is proven about it, and what was not finished."""
    before, after = s["neurons"]["original"], s["neurons"]["reduced"]
    removed = before - after
    title = f"{words.count(removed)} of {words.plural(before, 'neuron')} removed" if removed else "Nothing removed"
    promise = _promise(s["tolerance"]["claimed"])
    lede = [
        _name(s["model"]),
        " became ",
        _name(s["reduced_model"]),
        ". On every input of the domain ",
        promise,
    ]
    return join([element("h1", title), element("p", *lede, class_="lede"), _claim(s), _unfinished(s), _tiles(s)])


def _promise(claimed: str | None) -> str:
    if claimed is None:
        return "the two take the same decisions, as stated below."
    return (
        "the two compute the same outputs, exactly." if words.is_zero(claimed) else f"their outputs differ by at most {claimed}."
    )


def _name(file: Mapping[str, Any]) -> Markup:
    return file_name(file["file"])


def _claim(s: Summary) -> Markup:
    meanings = [("N", _name(s["model"])), ("N'", _name(s["reduced_model"])), ("D", measures.domain_in_words(s))]
    return claim(s["claim"], meanings)


def _unfinished(s: Summary) -> Markup:
    parts = []
    if s["interrupted"]:
        parts.append("The run was stopped before its end; all that is stated here was proved before.")
    if unknown := s["status"]["unknown"]:
        gone = removed_kinds(s)
        went = sum(s["neuron_status"][k - 1][i]["status"] == "unknown" for k, i in gone)
        fate = f"; {words.count(went)} went with others, {words.count(unknown - went)} stayed" if went else " and stayed in place"
        parts.append(f"{words.plural(unknown, 'neuron was', 'neurons were')} not decided{fate}.")
    if not parts:
        return Markup("")
    return element("div", element("p", " ".join(parts)), class_="warn", role="note")


def _tiles(s: Summary) -> Markup:
    counted = (("Neurons", s["neurons"]), ("Parameters", s["parameters"]), ("Bytes on disk", s["bytes"]))
    tiles = [_tile(name, pair["original"], pair["reduced"], words.count) for name, pair in counted]
    if s["latency"] is not None:
        batch = next(iter(s["latency"]["original"]))
        before, after = (s["latency"][side][batch][0] for side in ("original", "reduced"))
        tiles.append(_tile(f"Latency, batch {batch}", before, after, words.microseconds))
    return element("ul", *tiles, class_="tiles")


def _tile(name: str, before: float, after: float, shown: Callable[[Any], str]) -> Markup:
    percent = words.change(before, after)
    change = element("span", f"({percent})", class_="keep") if percent else ""
    return element(
        "li",
        element("span", name, class_="label"),
        element("span", shown(after), class_="value"),
        element("span", f"before: {shown(before)} ", change, class_="was"),
        charts.bar(after, before, max(before, after)),
    )


def layers(s: Summary) -> Markup:
    """Neurons of each layer, before and after."""
    before, after = s["layers"]["original"], s["layers"]["reduced"]
    longest = max([*before, *after], default=0)
    if len(before) != len(after):
        return _layers_apart(before, after, longest)
    rows = [
        [f"Layer {k}", words.count(b), words.count(a), words.change(b, a), charts.bar(a, b, longest)]
        for k, (b, a) in enumerate(zip(before, after, strict=True), 1)
    ]
    return section("Layer by layer", table(["", "before", "after", "change", "kept"], rows, numeric=(1, 2, 3)))


def _layers_apart(before: Sequence[int], after: Sequence[int], longest: int) -> Markup:
    """Where whole layers were folded away, the layers of the two networks do not correspond."""
    note = f"Whole layers were folded away: {words.plural(len(before), 'layer')} before, {len(after)} after."
    sides = []
    for title, sizes in (("Before", before), ("After", after)):
        rows = [[f"Layer {k}", words.count(n), charts.bar(n, 0, longest)] for k, n in enumerate(sizes, 1)]
        content = table(["", "neurons", ""], rows, numeric=(1,)) if rows else "No hidden layer is left."
        sides.append(element("div", element("h3", title), content))
    return section("Layer by layer", element("p", note), element("div", *sides, class_="pair"))


def removed_kinds(s: Summary) -> dict[tuple[int, int], str]:
    """Of every neuron that is gone, as (layer, neuron), the kind of its redundancy."""
    return {(n["layer"], n["neuron"]): n["kind"] for n in s["removed"]}


def removed(s: Summary) -> Markup:
    """Every neuron that is gone, the kind of its redundancy, and why it could go; those of a layer that share both are a row."""
    gone: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
    for n in s["removed"]:
        gone[n["layer"], n["kind"], n["why"]].append(n["neuron"])
    if not gone:
        return Markup("")
    counts = Counter(n["kind"] for n in s["removed"])
    said = ", ".join(f"{words.count(number)} {kind} ({KINDS[kind]})" for kind, number in counts.items())
    text = [f"Of the neurons that are gone: {said}."]
    if counts.keys() & LINEARISED:
        text.append(f"That all the linearised ones could go together is the final claim itself: {s['claim']}.")
    rows = [[f"Layer {k}", words.ranges(own), kind, why] for (k, kind, why), own in sorted(gone.items())]
    shown = f"All {words.plural(len(s['removed']), 'neuron')}, layer by layer"
    content = folded(shown, table(["", "neurons", "kind", "why"], rows), fold=len(rows) > 12)
    return section("Why they could go", paragraph(" ".join(text)), content)
