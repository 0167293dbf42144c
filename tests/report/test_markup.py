"""Escaping by construction."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from secateur.report.markup import Markup, element, escape, join


def test_elements_nest_and_escape_only_text() -> None:
    inner = element("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert element("p", "x", inner, 3) == "<p>x<b>a &lt; b &amp; c</b>3</p>"


def test_attributes_are_quoted_named_and_dropped() -> None:
    made = element("use", class_='a"b', aria_label="<", data_neuron="1.2", title=None)
    assert made == '<use class="a&quot;b" aria-label="&lt;" data-neuron="1.2"/>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert element("td") == "<td></td>"


def test_join_escapes_the_parts_and_the_separator() -> None:
    assert join(["a&", Markup("<i>")], " < ") == "a&amp; &lt; <i>"


@given(st.text())
def test_escaped_text_reads_back_as_itself_where_it_is_printable(text: str) -> None:
    escaped = escape(text)
    assert not set("<>\"'") & set(escaped)
    expected = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    assert html.unescape(escaped) == expected
