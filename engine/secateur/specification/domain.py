"""The domain of a claim: a closed box with exact rational bounds.

Every claim of the tool is "for all x in D", and a certificate names D by the SHA-256 of its canonical text.
So a domain is a value: exact, checked when made, and printed in one way only.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from secateur.errors import InputError
from secateur.files import write_atomically
from secateur.specification.numerals import MAX_BITS, format_rational, shown

__all__ = ["Domain"]

_LARGEST = Fraction(sys.float_info.max)


@dataclass(frozen=True)
class Domain:
    """A closed box: the points x with lower[i] <= x[i] <= upper[i] for every coordinate i.

    Parameters ---------- lower, upper : exact bounds, one per network input (flattened, row-major).
    description : how the domain was given (a file, an option), for reports and error lines; not part of its
    identity.

    Raises
    ------
    InputError : no coordinate, different numbers of bounds, or lower[i] > upper[i].
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper):
            problem = f"the domain has {len(self.lower)} lower but {len(self.upper)} upper bounds"
            raise InputError(problem, where=self.description)
        if not self.lower:
            raise InputError("the domain has no coordinates", where=self.description)
        for index, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            _check_bounds(index, low, high, self.description)

    def __repr__(self) -> str:
        origin = f", {self.description}" if self.description else ""
        return f"<Domain of dimension {self.dimension}: {shown(self.lower)} to {shown(self.upper)}{origin}>"

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.lower)

    def contains(self, point: Sequence[Fraction]) -> bool:
        """Whether the point lies in the box, decided exactly; `InputError` where it has another dimension."""
        if len(point) != self.dimension:
            raise InputError(f"the point has {len(point)} coordinates, the domain {self.dimension}")
        return all(low <= x <= high for low, x, high in zip(self.lower, point, self.upper, strict=True))

    def widths(self) -> tuple[Fraction, ...]:
        """upper - lower, by coordinate."""
        return tuple(high - low for low, high in zip(self.lower, self.upper, strict=True))

    def require_dimension(self, size: int, where: str) -> None:
        """`InputError` unless the domain fits a network of `size` inputs, which `where` names, and float64 holds its sides."""
        if self.dimension != size:
            problem = f"the domain has {self.dimension} coordinates but the network has {size} inputs"
            raise InputError(problem, where=where, remedy=f"give a domain of dimension {size}")
        for index, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            if max(-low, high, high - low) > _LARGEST:
                problem = f"coordinate {index}: a bound or the distance of both is beyond float64"
                raise InputError(problem, where=self.description, remedy="rescale the inputs")

    def canonical_text(self) -> str:
        """One line per coordinate, `lower upper` as reduced `p/q` (integers as `p`), ended by a newline."""
        return "".join(f"{low} {high}\n" for low, high in zip(self.lower, self.upper, strict=True))

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the canonical text in UTF-8: the name a certificate binds itself to."""
        return hashlib.sha256(self.canonical_text().encode()).hexdigest()

    def to_json(self) -> str:
        """JSON text with exact strings, which `read_domain` reads back as the same domain."""
        bounds = {"lower": self.lower, "upper": self.upper}
        return json.dumps({key: list(map(format_rational, values)) for key, values in bounds.items()}) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `to_json()`, whole or not at all; `InputError` where the file cannot be written."""
        write_atomically(path, self.to_json().encode())


def _check_bounds(index: int, low: Fraction, high: Fraction, where: str) -> None:
    if low > high:
        problem = f"coordinate {index}: lower bound {_shown(low)} is above upper bound {_shown(high)}"
        raise InputError(problem, where=where)
    # Longer numbers could not be printed, so the domain could not be named by its text.
    parts = (low.numerator, low.denominator, high.numerator, high.denominator)
    if max(map(int.bit_length, parts)) > MAX_BITS:
        raise InputError(f"coordinate {index}: a bound has too many digits", where=where)


def _shown(value: Fraction) -> str:
    """The bound for a message: exact where short, otherwise rounded for reading."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        return "(too long to print)"
    text = format_rational(value)
    return text if len(text) <= 30 else f"{text[:27]}..."
