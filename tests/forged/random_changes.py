"""Random changes of bytes, and of JSON values in place: other numbers and texts; entries and keys come, go, change places."""

from __future__ import annotations

import copy
import random
from typing import Any

__all__ = ["change_list", "change_value", "other_bytes", "other_text", "places"]

NUMBERS = (0, 1, 2, 3, 7, 255, 256, 1000, -1, -200, 201, 1 << 24, 1 << 53, 1 << 70)
TEXTS = ("", "0", "1/1000", "-1/7", "1e9", "1/0", "nan", "argmin", "agree", "active", "position", "0" * 64, "a" * 5000, "\x00")
ODD = (None, True, 0.5, [], {}, "x", 10**400)


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found.append((value, key))
        places(value[key], found)
    return found


def number(old: int, rng: random.Random) -> int:
    return rng.choice([old + 1, old - 1, old + 1, old - 1, -old, 2 * old, old // 2, rng.choice(NUMBERS)])


def other_text(old: str, rng: random.Random) -> str:
    """Mostly another number, phase or rule; else other characters."""
    if old in ("inactive", "active"):
        return "active" if old == "inactive" else "inactive"
    if old in ("argmax", "argmin"):
        return "argmin" if old == "argmax" else "argmax"
    digits = [i for i, c in enumerate(old) if c.isdigit()]
    if digits and rng.random() < 0.6:
        i = rng.choice(digits)
        return f"{old[:i]}{rng.choice('0123456789')}{old[i + 1 :]}"
    changes = [f"-{old}", f"{old}0", f"{old}/3", old[1:], old[:-1], f"./{old}", f"../{old}", rng.choice(TEXTS)]
    return rng.choice(changes)


def change_value(container: Any, key: Any, rng: random.Random) -> None:
    value = container[key]
    if rng.random() < 0.06:
        container[key] = copy.deepcopy(rng.choice(ODD))
    elif isinstance(value, bool) or not isinstance(value, (int, str, list, dict)):
        container[key] = rng.choice([0, "0", []])
    elif isinstance(value, int):
        container[key] = number(value, rng)
    elif isinstance(value, str):
        container[key] = other_text(value, rng)
    elif isinstance(value, list):
        change_list(value, rng)
    else:
        change_object(value, rng)


def change_list(value: list[Any], rng: random.Random) -> None:
    """Drops, duplicates, swaps or reverses entries."""
    if not value:
        value.append(rng.choice([0, [1, 0, "inactive"], {}]))
        return
    i, j = rng.randrange(len(value)), rng.randrange(len(value))
    kind = rng.randrange(4)
    if kind == 0:
        del value[i]
    elif kind == 1:
        value.insert(j, copy.deepcopy(value[i]))
    elif kind == 2:
        value[i], value[j] = value[j], value[i]
    else:
        value.reverse()


def change_object(value: dict[str, Any], rng: random.Random) -> None:
    """Drops, adds, renames or exchanges keys."""
    if not value:
        value["x"] = 0
        return
    first, second = rng.choice(list(value)), rng.choice(list(value))
    kind = rng.randrange(4)
    if kind == 0:
        del value[first]
    elif kind == 1:
        value[rng.choice(["x", "match", "layer", "trusted", "point"])] = copy.deepcopy(value[first])
    elif kind == 2:
        value[f"{first}s"] = value.pop(first)
    else:
        value[first], value[second] = value[second], value[first]


def other_bytes(data: bytes, rng: random.Random) -> bytes:
    """Another byte, one more or less, or an end that is too early."""
    if not data:
        return b"\0"
    i, kind = rng.randrange(len(data)), rng.randrange(4)
    own = bytes([rng.randrange(256)])
    return [data[:i] + own + data[i + 1 :], data[:i] + data[i + 1 :], data[:i], data[:i] + own + data[i:]][kind]
