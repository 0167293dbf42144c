"""What is said about two networks: a statement, neurons that match, and how the networks are joined (sections 7 and 9)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from secateur.checker.records import PairClaim, Plan
from secateur.checker.schema import MAX_INTEGER, bad, read_bound, read_integer, read_list, read_object, read_quadruple

__all__ = ["read_match", "read_pair_claim", "read_plan"]

MAX_LEVEL = 255
MAX_SHIFT = 64


def read_match(header: dict[str, Any], tolerance: Fraction) -> tuple[tuple[int, int, int, int], ...]:
    """The neurons that are matched, none where the key is absent."""
    if "match" not in header:
        return ()
    if tolerance == 0:
        raise bad("match", "only a claim with a positive tolerance may match neurons")
    pairs = read_list(header["match"], "match", read_quadruple)
    if len({pair[:2] for pair in pairs}) != len(pairs):
        raise bad("match", "a neuron is matched twice")
    return pairs


def read_pair_claim(value: Any, where: str, optional: str = "layer") -> PairClaim:
    """A statement about two networks; without `optional`, it is about their outputs."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "agree":
        value = read_object(value, where, "kind tolerance", optional)
        layers = _two_layers(value["layer"], f"{where}.layer") if "layer" in value else None
        return PairClaim("agree", read_bound(value["tolerance"], f"{where}.tolerance"), layers)
    if kind != "decision":
        raise bad(f"{where}.kind", "a claim of the kind 'agree' or 'decision' is needed")
    value = read_object(value, where, "kind rule margin")
    if value["rule"] not in ("argmax", "argmin"):
        raise bad(f"{where}.rule", "the rule is 'argmax' or 'argmin'")
    return PairClaim(value["rule"], read_bound(value["margin"], f"{where}.margin"))


def _two_layers(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise bad(where, "two layers are needed")
    return read_integer(value[0], where, 1, MAX_INTEGER), read_integer(value[1], where, 1, MAX_INTEGER)


def _level(value: Any, where: str) -> int:
    return read_integer(value, where, 1, MAX_LEVEL)


def _shift(value: Any, where: str) -> int:
    return read_integer(value, where, 0, MAX_SHIFT)


def read_plan(header: dict[str, Any]) -> Plan:
    """How the networks are joined, as far as that can be judged without them."""
    levels = read_list(header["levels"], "levels", _level)
    if any(after <= before for before, after in pairwise(levels)):
        raise bad("levels", "the levels do not increase")
    pairs = header["pairs"]
    if pairs != "position":
        if not isinstance(pairs, list):
            raise bad("pairs", 'a list or the word "position" is needed')
        pairs = read_list(pairs, "pairs", read_quadruple)
        for own, name in ((slice(0, 2), "original"), (slice(2, 4), "reduced")):
            if len({pair[own] for pair in pairs}) != len(pairs):
                raise bad("pairs", f"a neuron of the {name} network is paired twice")
    return Plan(levels, pairs, read_list(header["shifts"], "shifts", _shift))
