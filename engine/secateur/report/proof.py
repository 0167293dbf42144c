"""The part of the report that says why to believe it: evidence, trust, rewrites, and how to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.report import words
from secateur.report.blocks import file_name, folded, listed, paragraph, section, table
from secateur.report.markup import Markup, element

__all__ = ["check", "check_it", "evidence", "steps", "trusted", "verified"]

Summary = Mapping[str, Any]

LONG = 16  # rewrites that are shown without unfolding


def evidence(s: Summary) -> Markup:
    """What each claim rests on, what is verified and what is believed."""
    e, tree = s["evidence"], s["tree"]
    boxes = f"{words.plural(tree['nodes'], 'box', 'boxes')}, {words.plural(tree['leaves'], 'leaf', 'leaves')}"
    believed = "believed, not verified: the word of " + str(e["solver_name"])
    rows = [
        ["Intervals", words.count(e["exact"]), "exact interval arithmetic over the whole box"],
        ["Split tree", words.count(e["tree"]), f"replayed box by box ({boxes})"],
        [
            "Solver alone",
            words.count(e["solver"]),
            believed if e["solver"] else "nothing rests on a solver's word",
        ],
    ]
    if s["difference"]:
        boxes = words.plural(s["difference"]["nodes"], "box", "boxes")
        rows.append(
            ["Differences", "1", f"the final claim: both networks bounded by their difference, replayed box by box ({boxes})"]
        )
    return section(
        "What the proof rests on",
        table(["evidence", "claims", "what it is"], rows, numeric=(1,)),
        paragraph(_confirmed(e)),
        element("div", _verified(s), _trusted(s), class_="pair"),
    )


def _confirmed(e: Mapping[str, Any]) -> str:
    total = e["exact"] + e["tree"] + e["solver"]
    if not e["confirmed_by_smt"]:
        return "No phase claim was confirmed by an SMT solver as well."
    late, confirmed = e["late_for_smt"], e["confirmed_by_smt"]
    said = f"Of the {words.plural(total, 'phase claim')}, {words.count(confirmed)} were also confirmed in exact arithmetic by"
    left = f"; for {words.count(late)} there was no time" if late else ""
    return f"{said} {e['solver_name']}{left}."


def _verified(s: Summary) -> Markup:
    but = ", except those that rest on a solver alone" if s["evidence"]["solver"] else ""
    facts = [
        "both ONNX files and the domain are the ones whose SHA-256 is listed below",
        f"the phase of every neuron that the rewriting relied on{but}",
        "the final claim itself, about the two files as they are stored",
    ]
    return verified(facts)


def _trusted(s: Summary) -> Markup:
    alone, solver = s["evidence"]["solver"], s["evidence"]["solver_name"]
    return trusted(
        [f"{solver}, for {words.plural(alone, 'claim')}"] if alone else [],
        "that the kept neurons are needed is no part of the claim: it is shown here, not certified",
    )


def verified(facts: Sequence[str]) -> Markup:
    """What the checker establishes by itself."""
    return listed("Verified by the checker, in exact arithmetic", facts)


def trusted(others: Sequence[str], *outside: str) -> Markup:
    """What has to be believed, beside the checker `others`, and what the claim does not say, whatever it is about."""
    checker = "the checker: a small program that shares no code with the prover"
    rounding = "the claim is about the real numbers that the stored weights define; a float32 runtime rounds on top"
    return listed("Trusted, or outside the claim", [checker, *others, rounding, *outside])


def steps(s: Summary) -> Markup:
    """The rewrites, in order."""
    if not s["steps"]:
        return section("What was rewritten", element("p", "Nothing: the network was left as it is."))
    rows = [
        [k, step["rule"], f"layer {step['layer']}", words.ranges(step["removed"]) or "none", step["detail"]]
        for k, step in enumerate(s["steps"], 1)
    ]
    heads = ["step", "rule", "where", "neurons removed", "detail"]
    if not any(step["detail"] for step in s["steps"]):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    content = folded(f"All {len(rows)} steps", table(heads, rows), fold=len(rows) > LONG)
    requested, claimed = s["tolerance"]["requested"], s["tolerance"]["claimed"]
    proven = "" if claimed is None else f"Tolerance asked for: {requested}; proven: {claimed}."
    return section("What was rewritten", content, paragraph(proven or f"Proven: {s['claim']}."))


def check(s: Summary) -> Markup:
    """How anyone can check the claim, and the SHA-256 of everything that it speaks of."""
    files = [(s[key]["file"], s[key]["sha256"]) for key in ("model", "reduced_model", "certificate")]
    elsewhere = ["a network lies elsewhere, name it with ", element("code", "--original"), " or ", element("code", "--reduced")]
    return check_it(s["certificate"], "both networks", elsewhere, [*files, ("the domain", s["domain"]["sha256"])])


def check_it(
    certificate: Mapping[str, Any], networks: str, elsewhere: Sequence[object], files: Sequence[tuple[str, str]]
) -> Markup:
    """How to run the checker on the folder of a report. networks : that it reads. elsewhere : what to do where those that are
    named lie in other places. files : with their SHA-256.
    """
    reads = [
        "The checker reads ",
        element("code", certificate["file"]),
        f" ({words.count(certificate['bytes'])} bytes) and {networks} with its own code. It ends with exit code 0 and the claim "
        "in words, or with exit code 1 and the step that failed. Where ",
        *elsewhere,
        ".",
    ]
    rows = [[file_name(name), element("span", sha, class_="hash")] for name, sha in files]
    return section(
        "Check it yourself",
        element("p", "You need not believe this page. In the folder that holds it, run"),
        element("pre", element("code", "secateur check .")),
        element("p", *reads),
        table(["file", "SHA-256"], rows),
    )
