"""Tokens of VNN-LIB text, streamed from blocks, with their lines.

A comparison of two plain operands, `(<= X_0 0.5)`, and a conjunction of such, `(and (<= X_0 0.5) (>= X_0 0))`,
are nearly all of a large file and one token here, which is what makes files of 100 MB bearable in Python; any
other spelling comes in single tokens and means the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

__all__ = ["Token", "decompose", "tokenize"]

_BLOCK = 1 << 20

_REST = r"""[^\s()\[\];",]*+"""
_NAME = rf"""[A-Za-z_]{_REST}(?:\s*+\[[^\[\]();"]*+\])?+"""
_OPERAND = rf"(?:{_NAME}|[-+]?\.?[0-9]{_REST})"
_RELATION = r"(?:<=|>=|==|!=|<|>|=)"
_COMPARISON = rf"\(\s*+({_RELATION})\s*+({_OPERAND})\s++({_OPERAND})\s*+\)"
# Numerals so short that nothing can be wrong with them: nobody has to look at them before their value is needed.
_NUMERAL = r"[-+]?+(?:[0-9]{1,99}+(?:\.[0-9]{0,99}+)?+|\.[0-9]{1,99}+)(?:[eE][-+]?+[0-9]{1,3}+)?+"
_PLAIN = rf"\(\s*+[<>]=?+\s*+{_NAME}\s++(?:{_NAME}|{_NUMERAL})\s*+\)"
# Larger ones would rarely be alike, which is what reading them in one piece lives on.
_MOST_PLAIN = 256
_TOKEN = re.compile(
    r"\s*+(?:;[^\n]*+\s*+)*+(?:"
    rf"(?P<comparison>{_COMPARISON})"
    rf"|(?P<conjunction>\(\s*+and(?:\s*+{_PLAIN}){{1,{_MOST_PLAIN}}}+\s*+\))"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<version><[0-9]+\.[0-9]+>)"
    rf"|(?P<operand>{_OPERAND})"
    rf"|(?P<operator>=>|{_RELATION}|[-+*])"
    r"""|(?P<string>"[^"\n]*")"""
    r"|(?P<end>\Z)|(?P<bad>\S))"
)


class Token(NamedTuple):
    """A token: its kind (the name of its group), its text, the line where it starts.

    Kinds: open, close, operand (a number, or a name with its indices), operator, version, string, bad,
    comparison, whose three `parts` are relation, left and right operand, and conjunction: the word `and` and
    comparisons by <=, <, >= or > of a name with a name or with a numeral that has certainly a value.
    """

    kind: str
    text: str
    line: int
    parts: tuple[str, str, str] | None = None


def tokenize(stream: TextIO) -> Iterator[Token]:
    """The tokens of a text stream, in order; a character that starts no token is a token of kind `bad`."""
    line = 1
    for block in _blocks(stream):
        yield from _tokens(block, line)
        line += block.count("\n")


def decompose(conjunction: Token) -> Iterator[Token]:
    """The tokens that a conjunction consists of."""
    yield Token("open", "(", conjunction.line)
    yield from _tokens(conjunction.text, conjunction.line, 1)


def _tokens(text: str, line: int, start: int = 0) -> Iterator[Token]:
    """The tokens of a text from position `start` on; `line` is that of the text's beginning."""
    seen = 0
    for match in _TOKEN.finditer(text, start):
        kind = match.lastgroup
        if kind is None or kind == "end":
            continue
        start = match.start(kind)
        line += text.count("\n", seen, start)
        seen = start
        parts = (match[2], match[3], match[4]) if kind == "comparison" else None
        yield Token(kind, match[kind], line, parts)


def _blocks(stream: TextIO) -> Iterator[str]:
    """The text in pieces that cut no token: each ends before a line that starts with a parenthesis."""
    rest, size = "", _BLOCK
    while piece := stream.read(size):
        rest += piece
        cut = _last_safe_cut(rest)
        if cut > 0:
            yield rest[:cut]
            rest, size = rest[cut:], _BLOCK
        else:
            size = max(size, len(rest))  # doubling: a text without safe cuts is still read in linear time
    yield rest


def _last_safe_cut(text: str) -> int:
    """The last newline that is followed by blanks and `(`, or -1: no token, string or comment spans it."""
    newline = text.rfind("\n")
    while newline >= 0:
        following = newline + 1
        while text[following : following + 1] in (" ", "\t"):
            following += 1
        if text[following : following + 1] == "(":
            return newline
        newline = text.rfind("\n", 0, newline)
    return -1
