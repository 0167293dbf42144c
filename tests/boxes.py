"""Boxes by their sides."""

from __future__ import annotations

from fractions import Fraction

from secateur.specification import Domain

__all__ = ["box", "cube"]

Number = Fraction | int | float | str


def box(*sides: tuple[Number, Number]) -> Domain:
    """The product of these intervals."""
    return Domain(tuple(Fraction(low) for low, _ in sides), tuple(Fraction(high) for _, high in sides))


def cube(size: int, low: Number = -1, high: Number = 1) -> Domain:
    """The same interval in every coordinate."""
    return box(*[(low, high)] * size)
