"""Matrices in Python integers over one denominator, for interval arithmetic that fractions would make ten times slower."""

from __future__ import annotations

from typing import NamedTuple

from secateur.network.exact import Objects

__all__ = ["IntegerParts"]


class IntegerParts(NamedTuple):
    """A matrix [W | b] == [rows | biases] / denominator, in Python integers; magnitudes : |rows|."""

    rows: list[list[int]]
    magnitudes: list[list[int]]
    biases: list[int]
    denominator: int

    @classmethod
    def of(cls, numerators: Objects, denominator: int) -> IntegerParts:
        """From the numerators of [W | b]."""
        rows = numerators[:, :-1].tolist()
        return cls(rows, [[abs(w) for w in row] for row in rows], numerators[:, -1].tolist(), denominator)
