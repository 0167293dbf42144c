"""The scoring rules of VNN-COMP 2025 and 2026.

Both years: 10 points for a correct verdict, -150 for a wrong one, 0 for unknown, time-out and error; no bonus for time. A
benchmark's score is the percentage of the best tool's points, at least 0; the total is the sum over benchmarks; ties are broken
by run time. A `sat` needs a witness that replays; a missing, malformed or wrong one costs as much as a wrong verdict.

What differs is the replay (an absolute tolerance on the conditions, a relative one on the outputs a tool claims):

- 2025, the scoring with small tolerances: the tool's own outputs are used if they match onnxruntime's within 1e-3. Input
  and output conditions may be missed by 1e-4. Such a witness is credited, but makes other tools' `unsat` wrong only if it
  holds within 1e-7 and its outputs match within 1e-6.
- 2026: the tool's outputs are ignored; the input is rounded to the network's type and replayed on the CPU. Input conditions
  may be missed by 1e-4, output conditions by nothing; only a witness that needs no tolerance at all makes an `unsat` wrong.
  A run time above the limit is a time-out. What cannot be replayed scores 0.

Source: the scoring scripts in VNN-COMP/vnncomp2025_results (SCORING-SMALL-TOL) and VNN-COMP/vnncomp2026_results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

__all__ = ["CORRECT", "RULES", "WRONG", "Rules", "Tolerance"]

CORRECT, WRONG = 10, -150  # points


@dataclass(frozen=True)
class Tolerance:
    """How far conditions on inputs alone, and all others, may be missed; relative error admitted for claimed outputs."""

    inputs: Fraction
    outputs: Fraction
    execution: float = 0.0


@dataclass(frozen=True)
class Rules:
    """One year's rules; see the module's text."""

    year: int
    uses_claimed_outputs: bool
    rounds_inputs: bool
    late_is_timeout: bool
    establishes: Tolerance
    credits: Tolerance


_NOTHING, _SMALL, _LARGE = Fraction(0), Fraction(1, 10**7), Fraction(1, 10**4)

RULES: Mapping[int, Rules] = MappingProxyType(
    {
        2025: Rules(2025, True, False, False, Tolerance(_SMALL, _SMALL, 1e-6), Tolerance(_LARGE, _LARGE, 1e-3)),
        2026: Rules(2026, False, True, True, Tolerance(_NOTHING, _NOTHING), Tolerance(_LARGE, _NOTHING)),
    }
)
