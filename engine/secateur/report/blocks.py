"""The few building blocks that every section uses."""

from __future__ import annotations

from collections.abc import Sequence

from secateur.report.markup import Markup, element, join

__all__ = ["claim", "file_name", "folded", "listed", "paragraph", "section", "table"]


def section(title: str, *content: object) -> Markup:
    return element("section", element("h2", title), *content)


def paragraph(*content: object) -> Markup:
    """Text that follows a table or a picture, at a distance."""
    return element("p", *content, class_="after")


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
    numeric: Sequence[int] = (),
    *,
    narrow: bool = False,
) -> Markup:
    """A table whose first column names its rows.

    The columns listed in `numeric` are aligned to the right, cells that hold a picture get the room that is
    left, and a narrow table does not spread over the page.
    """

    def cell(k: int, content: object) -> Markup:
        picture = isinstance(content, Markup) and content.startswith("<svg")
        look = "picture" if picture else aligned(k)
        return element("td" if k else "th", content, class_=look, scope=None if k else "row")

    def aligned(k: int) -> str | None:
        return "number" if k in numeric else None

    head = [element("th", name, scope="col", class_=aligned(k)) for k, name in enumerate(heads)]
    body = [element("tr", *(cell(k, content) for k, content in enumerate(row))) for row in rows]
    whole = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", whole, class_="scroll narrow" if narrow else "scroll")


def claim(said: str, meanings: Sequence[tuple[str, object]]) -> Markup:
    """The proven claim, set apart, and what its symbols mean."""
    terms = [join([element("dt", symbol), element("dd", meaning)]) for symbol, meaning in meanings]
    words = element("p", "Proven: ", said, class_="said")
    return element("div", words, element("dl", *terms), class_="claim", role="note", aria_label="The proven claim")


def file_name(name: str) -> Markup:
    return element("span", name, class_="name")


def listed(title: str, facts: Sequence[str]) -> Markup:
    return element("div", element("h3", title), element("ul", *(element("li", fact) for fact in facts)))


def folded(shown: str, content: Markup, *, fold: bool) -> Markup:
    """Long content behind a line that opens it; short content as it is."""
    return element("details", element("summary", shown), content) if fold else content
