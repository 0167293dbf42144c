"""Tokens and their lines, however the text is laid out and wherever it is cut into blocks."""

from __future__ import annotations

import io

import pytest

from secateur.specification.vnnlib import tokens
from secateur.specification.vnnlib.tokens import decompose, tokenize


def kinds(text: str) -> list[tuple[str, str, int]]:
    return [token[:3] for token in tokenize(io.StringIO(text))]


def test_plain_comparisons_are_one_token() -> None:
    (token,) = tokenize(io.StringIO("(<=X[0, 2]\t-1.5e3 )"))
    assert token.kind == "comparison"
    assert token.parts == ("<=", "X[0, 2]", "-1.5e3")


def test_plain_conjunctions_are_one_token() -> None:
    text = "\n( and(<= X_0\n\n-.5e-3) (>X [0, 2] Y_0 ) )"
    (token,) = tokenize(io.StringIO(text))
    assert token[:3] == ("conjunction", text[1:], 2)
    parts = list(decompose(token))
    assert [(t.kind, t.line) for t in parts] == [
        ("open", 2),
        ("operand", 2),
        ("comparison", 2),
        ("comparison", 4),
        ("close", 4),
    ]
    assert parts[-2].parts == (">", "X [0, 2]", "Y_0")


@pytest.mark.parametrize(
    "inside",
    [
        "(== X_0 1)",
        "(<= 1 X_0)",
        "(<= X_0 1) ; comment\n",
        "(<= X_0 1) X_0",
        "(<= X_0 0x1)",
        "(<= X_0 1e9999)",
        f"(<= X_0 {'1' * 100})",
        "(<= X_0 (+ 1))",
        "(<= X_0 1) (or (<= X_0 1))",
        "(<= X_0 1)" * 257,
        "",
    ],
)
def test_other_conjunctions_are_not(inside: str) -> None:
    assert kinds(f"(and {inside})")[:2] == [("open", "(", 1), ("operand", "and", 1)]


def test_operands_are_never_cut() -> None:
    assert [kind for kind, _, _ in kinds("(<= X_01)")] == ["open", "operator", "operand", "close"]
    assert kinds("(<= X_0 12)")[0][0] == "comparison"


def test_blanks_comments_and_adjacent_parentheses() -> None:
    text = "; a (comment\n(and(<= X_0 1)(-X_0;x)\n1)\r\n\t) ;end"
    expected = [
        ("open", "(", 2),
        ("operand", "and", 2),
        ("comparison", "(<= X_0 1)", 2),
        ("open", "(", 2),
        ("operator", "-", 2),
        ("operand", "X_0", 2),
        ("operand", "1", 3),
        ("close", ")", 3),
        ("close", ")", 4),
    ]
    assert kinds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X [0,\n 1]", [("operand", "X [0,\n 1]", 1)]),
        ("<2.0>", [("version", "<2.0>", 1)]),
        (
            "=> >= == != - -1",
            [("operator", o, 1) for o in ("=>", ">=", "==", "!=", "-")] + [("operand", "-1", 1)],
        ),
        ('"a (b"', [("string", '"a (b"', 1)]),
        ('\n"open', [("bad", '"', 2), ("operand", "open", 2)]),
        ("] #", [("bad", "]", 1), ("bad", "#", 1)]),
        ("", []),
        (" \n ; nothing", []),
    ],
)
def test_single_tokens(text: str, expected: list[tuple[str, str, int]]) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    text = (
        "; comment with (\n  (assert (<= X[0,\n   1] 1.25))\n\n\t(assert ; (x)\n (or (> Y_0\n 0) (= 1 2)))\n"
        '(declare-hidden H real [] "a(b")\n' + "(assert\n(and\n(<= X_0 1)\n(<= X_1 2)))\n" * 5
    )
    whole = kinds(text)
    monkeypatch.setattr(tokens, "_BLOCK", block)
    assert flattened(kinds(text)) == flattened(whole)


def flattened(found: list[tuple[str, str, int]]) -> list[str]:
    """All tokens as words: a comparison that spans a cut comes in single tokens."""
    return [word for _, text, _ in found for word in text.replace("(", " ( ").replace(")", " ) ").split()]


def test_lines_survive_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"(a{i}\n ; (\n{i})\n" for i in range(50))
    monkeypatch.setattr(tokens, "_BLOCK", 5)
    assert kinds(text) == [
        token
        for i in range(50)
        for token in (
            ("open", "(", 3 * i + 1),
            ("operand", f"a{i}", 3 * i + 1),
            ("operand", str(i), 3 * i + 3),
            ("close", ")", 3 * i + 3),
        )
    ]
