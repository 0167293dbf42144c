"""Tokens of VNN-LIB text, streamed from blocks, with their lines.

A comparison of two plain operands, `(<= X_0 0.5)`, is nearly all of a large file and one token here, which is
what makes files of 100 MB bearable in Python; any other spelling comes in single tokens and means the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

__all__ = ["Token", "tokenize"]

_BLOCK = 1 << 20

_REST = r"""[^\s()\[\];",]*+"""
_OPERAND = rf"""(?:[A-Za-z_]{_REST}(?:\s*+\[[^\[\]();"]*+\])?+|[-+]?\.?[0-9]{_REST})"""
_RELATION = r"(?:<=|>=|==|!=|<|>|=)"
_TOKEN = re.compile(
    r"\s*+(?:;[^\n]*+\s*+)*+(?:"
    rf"(?P<comparison>\(\s*+({_RELATION})\s*+({_OPERAND})\s++({_OPERAND})\s*+\))"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<version><[0-9]+\.[0-9]+>)"
    rf"|(?P<operand>{_OPERAND})"
    rf"|(?P<operator>=>|{_RELATION}|[-+*])"
    r"""|(?P<string>"[^"\n]*")"""
    r"|(?P<end>\Z)|(?P<bad>\S))"
)


class Token(NamedTuple):
    """A token: its kind (the name of its group), its text, the line where it starts.

    Kinds: open, close, operand (a number, or a name with its indices), operator, version, string, bad, and
    comparison, whose three `parts` are relation, left and right operand.
    """

    kind: str
    text: str
    line: int
    parts: tuple[str, str, str] | None = None


def tokenize(stream: TextIO) -> Iterator[Token]:
    """The tokens of a text stream, in order; a character that starts no token is a token of kind `bad`."""
    line = 1
    for block in _blocks(stream):
        seen = 0
        for match in _TOKEN.finditer(block):
            kind = match.lastgroup
            if kind is None or kind == "end":
                continue
            start = match.start(kind)
            line += block.count("\n", seen, start)
            seen = start
            parts = (match[2], match[3], match[4]) if kind == "comparison" else None
            yield Token(kind, match[kind], line, parts)
        line += block.count("\n", seen)


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
