"""What the checker says of mutants, and whether that is right."""

from __future__ import annotations

import hashlib
import json
import posixpath
from pathlib import Path
from typing import Any

from secateur.checker import Accepted, CheckInputError, Refused, check
from tests.forged.mutation import Mutant
from tests.forged.truth import Unclear, is_true

__all__ = ["OUTCOMES", "Truth", "judged"]

OUTCOMES = ("refused", "true", "trusted", "unclear", "WRONG", "CRASH", "DISAGREE")


class Truth:
    """Remembers what is true: most mutants state what their base does."""

    def __init__(self) -> None:
        self.known: dict[bytes, bool | None] = {}

    def __call__(self, mutant: Mutant) -> bool | None:
        """Whether the mutant's statement is true; None where that is not clear."""
        length = int.from_bytes(mutant.certificate[10:18], "little")
        header = json.loads(mutant.certificate[18 : 18 + length])
        for value in header.values():
            if isinstance(value, dict) and "file" in value:
                value["file"] = posixpath.normpath(value["file"])
        spoken_of = {"claim", "semantics"} | {key for key, value in header.items() if isinstance(value, dict) and "file" in value}
        named = {key: value for key, value in header.items() if key in spoken_of}
        key = hashlib.sha256(repr((named, sorted(mutant.files.items()))).encode()).digest()
        if key not in self.known:
            try:
                self.known[key] = is_true(header, mutant.files)
            except Unclear:
                self.known[key] = None
        return self.known[key]


def _verdict(path: Path, arithmetic: Any) -> Accepted | Refused | CheckInputError:
    try:
        return check(path, arithmetic=arithmetic)
    except CheckInputError as error:
        return error


def _comparable(verdict: Accepted | Refused | CheckInputError) -> str:
    own = verdict.statement if isinstance(verdict, Accepted) else str(verdict)
    return f"{type(verdict).__name__} {own}".replace("fast integer", "exact integer")


def judged(mutant: Mutant, folder: Path, truth: Truth) -> tuple[str, str]:
    """One of `OUTCOMES`, and its words; the mutant is written to the (empty) folder."""
    for name, data in mutant.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = folder / "mutant.secateur"
    path.write_bytes(mutant.certificate)
    try:
        fast, exact = _verdict(path, "fast"), _verdict(path, "exact")
        strict = check(path, strict=True) if isinstance(fast, Accepted) else None
    except Exception as error:
        return "CRASH", f"{type(error).__name__}: {error}"
    if _comparable(fast) != _comparable(exact):
        return "DISAGREE", f"{fast} / {exact}"
    if not isinstance(fast, Accepted):
        return "refused", str(fast)
    if fast.trusted:
        return ("trusted" if isinstance(strict, Refused) else "WRONG"), fast.statement
    known = truth(mutant)
    return ("unclear" if known is None else "true" if known else "WRONG"), fast.statement
