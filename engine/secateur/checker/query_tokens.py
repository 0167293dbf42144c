"""The text of a query as a sequence of tokens: parentheses, brackets, commas and words, without comments.

A file that two readers could split differently is refused: the only white space is blank, tab and line end, and a
carriage return counts only before a line feed (a comment would end at it for some readers, and not for others).
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from itertools import islice

from secateur.checker.refusal import Refusal

__all__ = ["Tokens", "query_text"]

MAX_BYTES = 1 << 30  # of a decompressed query
_GZIP = b"\x1f\x8b"
_TOKEN = re.compile(r"[ \t\r\n]+|;[^\n]*|([()\[\],]|[^ \t\r\n()\[\],;]+)")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_SHOWN = 40


def _unpacked(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            plain = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Refusal("query", "file", f"not a valid gzip stream: {error}") from None
    if len(plain) > MAX_BYTES:
        raise Refusal("query", "file", f"more than {MAX_BYTES} bytes when decompressed")
    return plain


def query_text(data: bytes) -> str:
    """The text of a query file, decompressed if it is a gzip stream."""
    try:
        text = (_unpacked(data) if data.startswith(_GZIP) else data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("query", "file", f"not UTF-8: {error.reason}") from None
    lone = _LONE_RETURN.search(text)
    if lone:
        raise Refusal("query", _line(text, lone.start()), "a carriage return that ends no line")
    return text


def _line(text: str, offset: int) -> str:
    return f"line {1 + text.count(chr(10), 0, offset)}"


class Tokens:
    """The tokens of a text, taken one after the other; `position` is the number of the last one taken."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = [token for token in _TOKEN.findall(text) if token]
        self.position = -1

    def follows(self, *tokens: str) -> bool:
        """Whether these tokens come next."""
        start = self.position + 1
        return self._tokens[start : start + len(tokens)] == list(tokens)

    def ended(self) -> bool:
        return self.position + 1 == len(self._tokens)

    def take(self) -> str:
        """The next token."""
        try:
            found = self._tokens[self.position + 1]
        except IndexError:
            raise self.refusal("the file ends too early") from None
        self.position += 1
        return found

    def expect(self, token: str) -> None:
        """Take the next token, which must be this one."""
        found = self.take()
        if found != token:
            raise self.unexpected(f"'{token}'", found)

    def unexpected(self, needed: str, found: str) -> Refusal:
        """The refusal of the token last taken."""
        return self.refusal(f"{needed} is needed, not '{found[:_SHOWN]}'")

    def refusal(self, reason: str, position: int | None = None) -> Refusal:
        """A refusal that names the line of a token (the last one taken)."""
        number = max(0, self.position if position is None else position)
        matches = (match for match in _TOKEN.finditer(self._text) if match.group(1))
        match = next(islice(matches, number, None), None)
        return Refusal("query", _line(self._text, match.start() if match else 0), reason)
