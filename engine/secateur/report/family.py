"""The report on a family of slices: one HTML page made from its summary.

The summary (`summary.json`) is a JSON object:

- `secateur`, `model`, `domain`, `claim`, `stages`, `seconds`, `interrupted`, `options`: as in `secateur.report` (the domain
  without hash).
- `slices`, `files` (distinct networks), `constant` (slices whose network has no neuron). `late`: what was left undone for want
  of time, or empty.
- `parameters`, `neurons`: `original`, and over the slices `mean`, `median`, `min`, `max`, and `by_volume`, the mean that a
  uniformly drawn input meets. `bytes`: `original`, `family` (all networks), `manifest`, `certificate`.
- `removed`: neurons that are gone, mean per slice, from kind (as in `secateur.report`) to number. `differences`: `slices` whose
  claim is proven by differences, and `nodes`, the sub-domains of these proofs.
- `proven`: neurons with a proven phase, mean per slice. `undecided`: `slices` with undecided neurons, `neurons` of them in all,
  `not_begun` slices that keep the original network. `tree_nodes`: sub-domains in the split trees of the certificate.
- `nodes`: the partition in preorder, the coordinate of a cut, or null for a slice. `leaves`: for each slice in that order
  `[parameters, neurons, undecided neurons, depth, file]`.
- `certificate`: as in `secateur.report`. `manifest`: `file`, `sha256`.
- `agreement`: as in `secateur.report` without `changed`; `float32_noise` is that of the original alone.
  `latency`: `original` and `family`, each from batch size to median and 95th percentile in microseconds, and `find`,
  microseconds a row; or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.report import charts, measures, proof, words
from secateur.report.blocks import claim, file_name, paragraph, section, table
from secateur.report.family_charts import histogram, partition_map
from secateur.report.findings import KINDS
from secateur.report.markup import Markup, element, join
from secateur.report.page import page

__all__ = ["render_family"]

Summary = Mapping[str, Any]


def render_family(summary: Summary) -> str:
    """The report of a sliced network as a self-contained HTML page; every text of the summary is escaped."""
    parts = (_headline, _sizes, _partition, _proof, _check, _speed, measures.domain, measures.time_spent)
    title = f"{summary['model']['file']}, sliced and proven"
    return page(summary, title, "slicing report", [part(summary) for part in parts])


def _headline(s: Summary) -> Markup:
    name = element("span", s["model"]["file"], class_="name")
    lede = element(
        "p",
        name,
        f" became {words.plural(s['slices'], 'slice')} of the domain with a network each"
        f" ({words.plural(s['files'], 'distinct file')}). The claim below holds on every input of the domain, for the slice that"
        " holds it.",
        class_="lede",
    )
    before, mean = s["parameters"]["original"], s["parameters"]["mean"]
    title = f"{words.count(round(mean))} of {words.plural(before, 'parameter')} per slice"
    return join([element("h1", title), lede, _claim(s), _unfinished(s)])


def _claim(s: Summary) -> Markup:
    """The claim, with N' only where it speaks of it: that of exact slices does not."""
    own = ("N'", "of each slice its own network, the file that manifest.json names for it")
    meanings = [("N", file_name(s["model"]["file"])), *([own] if own[0] in s["claim"] else [])]
    return claim(s["claim"], [*meanings, ("D", measures.domain_in_words(s))])


def _unfinished(s: Summary) -> Markup:
    parts = []
    if s["interrupted"]:
        parts.append("The run was stopped before its end; all that is stated here was proved before.")
    if s["late"]:
        parts.append(f"Not all was done: {s['late']}.")
    if s["undecided"]["slices"]:
        parts.append(f"In {words.plural(s['undecided']['slices'], 'slice')} some neurons were not decided and stayed in place.")
    return element("div", element("p", " ".join(parts)), class_="warn", role="note") if parts else Markup("")


def _sizes(s: Summary) -> Markup:
    rows = []
    for key in ("parameters", "neurons"):
        own = s[key]
        cells = [f"{own[k]:,.0f}" for k in ("original", "mean", "median", "min", "max", "by_volume")]
        rows.append([key, *cells, charts.bar(own["mean"], own["original"], own["original"])])
    heads = ["", "original", "mean", "median", "least", "most", "for a uniform input", "mean of original"]
    needs = "needs" if s["constant"] == 1 else "need"
    constant = f"{words.plural(s['constant'], 'slice')} of {words.count(s['slices'])} {needs} no neuron at all."
    return section(
        "Sizes of the slices",
        table(heads, rows, numeric=(1, 2, 3, 4, 5, 6)),
        paragraph("Slices by the parameters of their network, from none to the original's; each bar is a twentieth of that:"),
        histogram([leaf[0] for leaf in s["leaves"]], s["parameters"]["original"]),
        paragraph(constant),
        paragraph(_removed(s)),
    )


def _removed(s: Summary) -> str:
    """How many neurons are gone, by kind."""
    said = ", ".join(f"{count:,.1f} {kind} ({KINDS[kind]})" for kind, count in s["removed"].items())
    return f"Removed, per slice: {said or 'none'}."


def _partition(s: Summary) -> Markup:
    cuts: dict[int, int] = {}
    for coordinate in s["nodes"]:
        if coordinate is not None:
            cuts[coordinate] = cuts.get(coordinate, 0) + 1
    rows = [[f"input {i}", words.count(number)] for i, number in sorted(cuts.items())]
    text = (
        "The whole area is the domain, every rectangle a slice with its share of the volume; a cut halves an area across its"
        " longer side. The darker a slice, the more parameters its network has."
    )
    return section(
        "The tree of cuts",
        element("p", text),
        partition_map(s["nodes"], s["leaves"], s["parameters"]["original"]),
        paragraph(_depths([leaf[3] for leaf in s["leaves"]])),
        table(["cut along", "times"], rows, numeric=(1,), narrow=True) if rows else "",
    )


def _depths(depths: Sequence[int]) -> str:
    least, most = min(depths), max(depths)
    if least == most:
        return f"Every slice lies {words.plural(most, 'cut')} deep."
    return f"Slices lie {least} to {words.plural(most, 'cut')} deep."


def _speed(s: Summary) -> Markup:
    if s["latency"] is None or s["agreement"] is None:
        return section("In onnxruntime", element("p", "Not measured in this run."))
    latency, agreement, size = s["latency"], s["agreement"], s["bytes"]
    longest = max(p95 for side in ("original", "family") for _, p95 in latency[side].values())
    rows = []
    for batch, times in latency["original"].items():
        for name, (median, p95) in (("original", times), ("family", latency["family"][batch])):
            change = words.change(times[0], median) if name == "family" else ""
            drawn = charts.bar(median if name == "family" else 0.0, median, longest, tick=p95)
            rows.append([f"Batch {batch}, {name}", words.microseconds(median), words.microseconds(p95), change, drawn])
    text = (
        f"On {words.plural(agreement['points'], 'random point')} of the domain the outputs of the family and of the original file"
        f" differ by at most {words.scientific(agreement['max_difference'])}; the original file itself is up to"
        f" {words.scientific(agreement['float32_noise'])} away from a float64 evaluation of its weights, because it rounds."
    )
    if agreement["overflows"]:
        text += f" {measures.overflows(agreement)}"
    stored = (
        f"Finding the slice of a row takes {words.microseconds(latency['find'])}, included above. The networks take"
        f" {words.count(size['family'])} bytes together, the original {words.count(size['original'])}."
    )
    heads = ["time per call", "median", "p95", "change", "median; the mark is p95"]
    return section("In onnxruntime", table(heads, rows, numeric=(1, 2, 3)), paragraph(text), paragraph(stored))


def _proof(s: Summary) -> Markup:
    undecided: Mapping[str, int] = s["undecided"]
    facts: Sequence[Sequence[object]] = [
        ["neurons with a proven phase, per slice", f"{s['proven']:,.1f}"],
        ["slices with undecided neurons", words.count(undecided["slices"])],
        ["undecided neurons in all", words.count(undecided["neurons"])],
        ["slices that keep the original network", words.count(undecided["not_begun"])],
        ["sub-domains in the split trees", words.count(s["tree_nodes"])],
        ["slices proven by differences", words.count(s["differences"]["slices"])],
        ["sub-domains in these proofs", words.count(s["differences"]["nodes"])],
        ["bytes of the certificate", words.count(s["certificate"]["bytes"])],
    ]
    note = (
        f"One certificate, {s['certificate']['file']}, covers the partition (it has no gap by its form) and every slice. It is"
        " bound to the original and to manifest.json, and through that to every network, by SHA-256."
    )
    verified = [
        "the original, the manifest and every network are the ones whose SHA-256 is listed below or in the manifest",
        "the slices cover the domain, and the phase of every neuron that the rewriting of a slice relied on",
        "the claim itself, slice by slice, about the files as they are stored",
    ]
    outside = [
        "that an input is given to the network of a slice that holds it, which Secateur's own code for families does",
        "that the kept neurons are needed is no part of the claim",
    ]
    return section(
        "The proof",
        element("p", note),
        table(["", "number"], facts, numeric=(1,), narrow=True),
        element("div", proof.verified(verified), proof.trusted([], *outside), class_="pair"),
    )


def _check(s: Summary) -> Markup:
    elsewhere = ["the original lies elsewhere, name it with ", element("code", "--original")]
    files = [(s[key]["file"], s[key]["sha256"]) for key in ("model", "manifest", "certificate")]
    return proof.check_it(s["certificate"], "all networks", elsewhere, files)
