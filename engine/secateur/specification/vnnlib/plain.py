"""Plain conjunctions, the disjuncts of large files: read once for their shape, evaluated whenever they are asked.

`(and (>= X_0 0.25) (<= Y_0 Y_1))` is a mould, the rows without their numbers, and the text of its numerals. The
disjuncts of a file share a few moulds, so a file of a hundred thousand costs little more memory than its digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias, overload

from secateur.specification.numerals import short_decimal
from secateur.specification.vnnlib.formula import Coefficients, Row

__all__ = ["Mould", "MouldRow", "PlainRows", "cut"]

# What stands last in a comparison and begins as no name does. The indices of a name never stand before a `)`.
_NUMERAL = re.compile(r"\s([-+.0-9][-+.0-9eE]*+)\s*+\)")
_ZERO = Fraction(0)


class MouldRow(NamedTuple):
    """A row whose bound is `sign` times the next numeral; 0 without a numeral where the sign is 0."""

    coefficients: Coefficients
    sign: int
    strict: bool


Mould: TypeAlias = tuple[MouldRow, ...]


def cut(text: str) -> tuple[tuple[str, ...], str]:
    """The text of a plain conjunction as what is common to all of its shape, and its numerals, separated by blanks."""
    pieces = _NUMERAL.split(text)
    return tuple(pieces[::2]), " ".join(pieces[1::2])


class PlainRows(Sequence[Row]):
    """The rows of a plain conjunction, made anew each time that they are asked for; equal to the tuple of them."""

    __slots__ = ("_mould", "_numerals")

    def __init__(self, mould: Mould, numerals: str) -> None:
        self._mould = mould
        self._numerals = numerals

    def __iter__(self) -> Iterator[Row]:
        numerals = iter(self._numerals.split())
        for coefficients, sign, strict in self._mould:
            yield Row(coefficients, short_decimal(next(numerals), sign) if sign else _ZERO, strict)

    def __len__(self) -> int:
        return len(self._mould)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (tuple, PlainRows)) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
