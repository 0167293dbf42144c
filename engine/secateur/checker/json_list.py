"""A JSON list that is too large to be held as objects: its entries are read one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from secateur.checker.domain import no_constant, unique_keys
from secateur.checker.refusal import Refusal

__all__ = ["Entry", "JsonList"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=no_constant)


class Entry(NamedTuple):
    """A value of the list, and where its text begins."""

    value: Any
    start: int


class JsonList:
    """The text of a JSON list (UTF-8); what is malformed is refused by `rule` at `step`, when it is reached."""

    def __init__(self, data: bytes, rule: str, step: str) -> None:
        self._rule, self._step = rule, step
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._malformed(str(error)) from None

    def _malformed(self, reason: str) -> Refusal:
        return Refusal(self._rule, self._step, f"not valid JSON: {reason}")

    def entries(self) -> Iterator[Entry]:
        """The values, in order."""
        text, at = self._text, self._skip(0, "[")
        after = self._after_space(at)
        if text[after : after + 1] == "]":
            at = after + 1
        else:
            while text[at - 1] != "]":
                start = self._after_space(at)
                value, at = self._decoded(start)
                yield Entry(value, start)
                at = self._skip(at, ",]")
        if self._after_space(at) != len(text):
            raise self._malformed(f"characters follow the list at place {at}")

    def value(self, start: int) -> Any:
        """The value whose text begins there, once more."""
        return self._decoded(start)[0]

    def _decoded(self, start: int) -> tuple[Any, int]:
        """The value that begins at a place, and where it ends."""
        try:
            return _DECODER.raw_decode(self._text, start)
        except (ValueError, RecursionError) as error:
            raise self._malformed(str(error)) from None

    def _after_space(self, at: int) -> int:
        """Behind the white space that begins at a place."""
        space = _SPACE.match(self._text, at)  # always matches: it may be empty
        return space.end() if space else at

    def _skip(self, at: int, wanted: str) -> int:
        """Behind white space and one of the wanted characters."""
        at = self._after_space(at)
        if self._text[at : at + 1] not in tuple(wanted):
            choice = " or ".join(f"'{character}'" for character in wanted)
            raise self._malformed(f"{choice} is needed at place {at}")
        return at + 1
