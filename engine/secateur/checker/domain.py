"""The domain file: a closed box whose bounds are read from their decimal text, exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secateur.checker.exact import parse_rational
from secateur.checker.refusal import Refusal

__all__ = ["Domain", "no_constant", "read_box", "read_domain", "unique_keys"]


@dataclass(frozen=True)
class Domain:
    """The box lower_j <= x_j <= upper_j."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key occurs twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def no_constant(name: str) -> None:
    """For NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is no number")


def _bound(text: object, where: str) -> Fraction:
    value = parse_rational(text) if isinstance(text, str) else None
    if value is None:
        raise Refusal("domain", where, "not an exact number")
    return value


def read_domain(data: bytes) -> Domain:
    """The box of a domain file."""
    try:
        found = json.loads(data, object_pairs_hook=unique_keys, parse_float=str, parse_int=str, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal("domain", "file", f"not valid JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != {"lower", "upper"}:
        raise Refusal("domain", "file", 'an object with the keys "lower" and "upper" is needed')
    return read_box(found)


def read_box(found: dict[str, Any]) -> Domain:
    """The box between `lower` and `upper` of an object whose numbers were read as texts."""
    sides = []
    for side in ("lower", "upper"):
        if not isinstance(found[side], list):
            raise Refusal("domain", side, "not a list")
        sides.append(tuple(_bound(text, f"{side}[{j}]") for j, text in enumerate(found[side])))
    lower, upper = sides
    if len(lower) != len(upper):
        raise Refusal("domain", "file", "lower and upper have different lengths")
    for j, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if low > high:
            raise Refusal("domain", f"coordinate {j}", "the lower bound exceeds the upper bound")
    return Domain(lower, upper)
