"""The page around the sections: one self-contained HTML file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from secateur.report import findings, measures, proof
from secateur.report.charts import symbols
from secateur.report.markup import Markup, element, join
from secateur.report.neurons import neurons

__all__ = ["page", "render"]

# Even a mistake in the escaping could load or run nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
ORDER = (
    findings.headline,
    findings.layers,
    neurons,
    findings.removed,
    proof.evidence,
    proof.check,
    proof.steps,
    measures.speed,
    measures.domain,
    measures.time_spent,
)


def render(summary: Mapping[str, Any]) -> str:
    """The report of one run as a self-contained HTML page.

    Parameters
    ----------
    summary : the content of `summary.json`; the package's docstring lists its keys.

    Returns
    -------
    The page, to be stored as UTF-8. Equal summaries give equal pages. Every text of the summary is escaped,
    so names of files may come from strangers.
    """
    title = f"{summary['model']['file']}, pruned and proven"
    return page(summary, title, "pruning report", [part(summary) for part in ORDER])


def page(summary: Mapping[str, Any], title: str, kind: str, sections: Sequence[Markup]) -> str:
    """A whole page of sections; of the summary it needs `secateur` and `model`."""
    whole = element("html", _head(summary, title), _body(summary, kind, sections), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _head(summary: Mapping[str, Any], title: str) -> Markup:
    style = Markup((files("secateur.report") / "style.css").read_text(encoding="utf-8"))
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"Secateur {summary['secateur']}"),
        element("title", title),
        element("style", style),
    )


def _body(summary: Mapping[str, Any], kind: str, sections: Sequence[Markup]) -> Markup:
    content = join(sections, "\n")
    foot = f"Written by Secateur {summary['secateur']}. The file summary.json holds the same facts for programs."
    return element("body", symbols(), _brand(summary, kind), element("main", content), element("footer", element("p", foot)))


def _brand(summary: Mapping[str, Any], kind: str) -> Markup:
    blades = [
        element("path", d="M5 3.5 14.5 16M19 3.5 9.5 16"),
        element("circle", cx=7.6, cy=18.4, r=2.6),
        element("circle", cx=16.4, cy=18.4, r=2.6),
    ]
    name = summary["model"]["name"]
    return element(
        "header",
        element("svg", *blades, viewBox="0 0 24 24", aria_hidden="true"),
        element("b", "Secateur"),
        element("span", kind, f" for {name}" if name else "", class_="name"),
        class_="brand",
    )
