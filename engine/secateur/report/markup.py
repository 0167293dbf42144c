"""HTML that nothing can be injected into: text is escaped where elements are built, always.

`Markup` is a string that is already HTML. `element` takes children that are either `Markup`, kept as they
are, or anything else, escaped. File and layer names come from strangers, so characters that are not printable
(controls, and the marks that reverse the direction of reading) are replaced as well.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["Markup", "element", "escape", "join"]

VOID = frozenset({"meta", "path", "rect", "line", "circle", "use"})


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


def escape(content: object) -> Markup:
    """`content` as HTML text, fit for element content and for quoted attributes."""
    if isinstance(content, Markup):
        return content
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(content))
    return Markup(html.escape(shown, quote=True))


def join(parts: Iterable[object], between: str = "") -> Markup:
    """The parts one after another, each escaped unless it is `Markup`."""
    return Markup(escape(between).join(escape(part) for part in parts))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """`<tag ...>children</tag>`.

    Attribute names are written with `_` for `-` and may end in `_` where they are Python words (`class_`); an
    attribute that is None is left out.
    """
    pairs = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    head = tag + "".join(f' {name}="{escape(value)}"' for name, value in pairs if value is not None)
    if tag in VOID and not children:
        return Markup(f"<{head}>" if tag == "meta" else f"<{head}/>")
    return Markup(f"<{head}>{join(children)}</{tag}>")
