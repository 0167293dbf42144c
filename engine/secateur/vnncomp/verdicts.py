"""What a tool may say of an instance, and the words the competition uses for it.

The harness of VNN-COMP writes `run_instance_timeout`, `error_exit_code_1` or `no_result_in_file` where a tool gave no
result; VNN-LIB 2.0 says `timed-out` for `timeout`; older files say `holds` and `violated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["Answer", "Status", "Verifier", "classify"]


class Status(Enum):
    """The five kinds of result; only the first two decide an instance."""

    UNSAT = "unsat"
    SAT = "sat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def decided(self) -> bool:
        return self in {Status.UNSAT, Status.SAT}


@dataclass(frozen=True)
class Answer:
    """What a verifier found: `text` is what follows the line `sat` in a results file, `reason` why it knows nothing."""

    verdict: Literal["unsat", "sat", "unknown", "timeout"]
    text: str = ""
    reason: str = ""


class Verifier(Protocol):
    """Decides one query within `timeout` seconds.

    `models` maps the names of the query's networks to ONNX files; a single unnamed network has the name "".
    """

    def __call__(self, models: Mapping[str, Path], query: Path, timeout: float) -> Answer: ...


_WORDS = {
    "unsat": Status.UNSAT,
    "holds": Status.UNSAT,
    "sat": Status.SAT,
    "violated": Status.SAT,
    "": Status.UNKNOWN,
    "unknown": Status.UNKNOWN,
    "no_result_in_file": Status.UNKNOWN,
    "timed-out": Status.TIMEOUT,
}
# Verdicts match as whole words only: nothing that merely begins with `sat` is a verdict.
_PREFIXES = {
    "error_nonmaximal": Status.UNKNOWN,
    "error": Status.ERROR,
    "prepare_instance_error": Status.UNKNOWN,
    "prepare_instance_timeout": Status.TIMEOUT,
    "run_instance_timeout": Status.TIMEOUT,
    "timeout": Status.TIMEOUT,
}


def classify(word: str) -> Status | None:
    """The status that a word of a results file stands for; None where it stands for none."""
    text = word.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    return next((status for prefix, status in _PREFIXES.items() if text.startswith(prefix)), None)
