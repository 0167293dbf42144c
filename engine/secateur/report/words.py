"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from secateur.amounts import count, plural

__all__ = [
    "change",
    "count",
    "duration",
    "is_zero",
    "microseconds",
    "plural",
    "ranges",
    "rational",
    "runs",
    "scientific",
    "share",
]

MINUS = "\N{MINUS SIGN}"


def change(before: float, after: float) -> str:
    """The relative change in percent, signed; empty where `before` is 0."""
    if before == 0:
        return ""
    percent = 100 * (after - before) / before
    digits = 0 if abs(percent) >= 10 or percent == 0 else 1
    text = f"{abs(percent):.{digits}f}"
    sign = "" if float(text) == 0 else ("+" if percent > 0 else MINUS)
    return f"{sign}{text} %"


def duration(seconds: float) -> str:
    """0.08 s, 12.3 s, 4 min 05 s, 1 h 02 min."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def microseconds(value: float) -> str:
    """12.3 µs, 245 µs, 1.24 ms."""
    if value >= 1000:
        return f"{value / 1000:.3g} ms" if value < 1e6 else f"{value / 1e6:,.2f} s"
    return f"{value:.3g} µs" if value < 99.95 else f"{value:.0f} µs"


def scientific(value: float) -> str:
    """0, or two significant digits: 3.0e-07."""
    return "0" if value == 0 else f"{value:.1e}"


def share(part: float, whole: float) -> str:
    """A part in whole percent; empty where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole > 0 else ""


def rational(number: str) -> Fraction:
    """The exact value of a decimal or fractional string."""
    return Fraction(number)


def is_zero(number: str) -> bool:
    """Whether a decimal or fractional string means exactly 0."""
    return rational(number) == 0


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in short: 0 to 3, 7, 9, 10."""
    ordered = sorted(numbers)
    # Along a block of neighbours the difference between a number and its place stays the same.
    blocks = [ordered[a : b + 1] for a, b in runs([number - k for k, number in enumerate(ordered)])]
    ends = (f"{block[0]} to {block[-1]}" if len(block) > 2 else ", ".join(map(str, block)) for block in blocks)
    return ", ".join(ends)


def runs(items: Sequence[object]) -> list[tuple[int, int]]:
    """First and last index of each longest run of equal neighbours."""
    starts = [0, *(k for k, (a, b) in enumerate(pairwise(items), 1) if a != b)] if items else []
    return list(zip(starts, [*(s - 1 for s in starts[1:]), len(items) - 1], strict=True)) if starts else []
