"""Options of a run: one frozen record, built at the edge and passed down."""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from secateur.errors import InputError

if TYPE_CHECKING:  # numpy comes with it, and help should not wait for that
    from secateur.specification.comparison import Comparison, Decision

__all__ = ["SEMANTICS", "SOLVERS", "PruneOptions", "SliceOptions", "VerifyOptions", "check_semantics"]

SOLVERS = ("z3", "cvc5", "both", "none")
SEMANTICS = ("real", "float32")
"""What a claim is about: the function over the reals, or all float32 evaluations in the sense of FORMAT.md, section 11."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class PruneOptions:
    """How to prune.

    tolerance : largest admitted |N - N'| on the domain, exact. preserve : the decision that shall stay the same, in place of a
    tolerance; None where outputs count.
    timeout : seconds for the search, after which what is decided is kept.
    jobs : threads. solver : who confirms the deciding inequalities and gets the residual queries; "none" for nobody.
    seed : of the falsifier's random points. Raises InputError for values that make no sense.
    """

    tolerance: Fraction = Fraction(0)
    timeout: float = 300.0
    jobs: int = field(default_factory=_cores)
    solver: str = "z3"
    seed: int = 0
    preserve: Decision | None = None

    def __post_init__(self) -> None:
        _make_whole(self, "jobs", "seed")
        _check_claim(self.tolerance, self.preserve)
        _check_resources(self.timeout, self.jobs, self.solver, self.seed)

    @property
    def relaxed_claim(self) -> Comparison | None:
        """What may be claimed instead of exact equality; None where nothing but that will do."""
        return _relaxed_claim(self.tolerance, self.preserve)


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify a query.

    timeout : seconds from the start of the search to its end, decided or not. jobs : threads. solver : who gets the residual
    queries that the engine's own deciders leave; "none" for nobody. seed : of the attack. certify : keep what a certificate
    needs, and prefer proofs that it can hold. Raises InputError for values that
    make no sense.
    """

    timeout: float = 300.0
    jobs: int = field(default_factory=_cores)
    solver: str = "z3"
    seed: int = 0
    certify: bool = False

    def __post_init__(self) -> None:
        _make_whole(self, "jobs", "seed")
        _check_resources(self.timeout, self.jobs, self.solver, self.seed)


@dataclass(frozen=True)
class SliceOptions:
    """How to slice: exactly one of the first three.

    slices : how many, by adaptive cuts. max_neurons : cut until no slice's network has more. rounds : cut every coordinate of
    every slice in half, so often.
    tolerance, preserve : as in `PruneOptions`, for every slice.
    timeout : seconds for cutting and all slices. jobs : slices in work at a time, one thread each. seed : of sampled points.
    Raises InputError for values that make no sense.
    """

    slices: int | None = None
    max_neurons: int | None = None
    rounds: int | None = None
    timeout: float = 3600.0
    jobs: int = field(default_factory=_cores)
    seed: int = 0
    tolerance: Fraction = Fraction(0)
    preserve: Decision | None = None

    def __post_init__(self) -> None:
        _make_whole(self, "slices", "max_neurons", "rounds", "jobs", "seed")
        if sum(given is not None for given in (self.slices, self.max_neurons, self.rounds)) != 1:
            raise InputError("how to cut is not said", remedy="give one of --slices, --max-neurons and --rounds")
        if self.slices is not None and self.slices < 1:
            raise InputError(f"{self.slices} slices cannot cover the domain", where="--slices", remedy="give at least 1")
        if self.max_neurons is not None and self.max_neurons < 0:
            raise InputError(f"a network cannot have {self.max_neurons} neurons", where="--max-neurons")
        if self.rounds is not None and self.rounds < 1:
            raise InputError(f"{self.rounds} rounds cut nothing", where="--rounds", remedy="give at least 1")
        _check_claim(self.tolerance, self.preserve)
        _check_resources(self.timeout, self.jobs, "none", self.seed)

    @property
    def claim(self) -> Comparison:
        """What is claimed of every slice."""
        from secateur.specification.comparison import Agreement

        return _relaxed_claim(self.tolerance, self.preserve) or Agreement(Fraction(0))

    @property
    def is_exact(self) -> bool:
        """Whether nothing but equality will do."""
        return self.preserve is None and not self.tolerance


def check_semantics(semantics: str) -> None:
    """InputError for a word that is none of SEMANTICS."""
    if semantics not in SEMANTICS:
        remedy = f"choose {' or '.join(SEMANTICS)}"
        raise InputError(f"unknown semantics {semantics!r}", where="--semantics", remedy=remedy)


def _make_whole(options: PruneOptions | VerifyOptions | SliceOptions, *names: str) -> None:
    """Make these fields Python's own whole numbers; InputError where one is none."""
    for name in names:
        value = getattr(options, name)
        if value is not None:
            try:
                object.__setattr__(options, name, operator.index(value))
            except TypeError:
                raise InputError(f"{value!r} is not a whole number", where=f"--{name.replace('_', '-')}") from None


def _check_claim(tolerance: Fraction, preserve: Decision | None) -> None:
    from secateur.specification.comparison import Decision

    if preserve is not None and not isinstance(preserve, Decision):
        raise InputError(f"{preserve!r} is no decision", where="--preserve", remedy='give for example Decision("argmax")')
    if tolerance < 0:
        raise InputError(f"tolerance {tolerance} is negative", where="--tolerance")
    if preserve is not None and tolerance:
        raise InputError("a tolerance and a decision exclude each other", where="--preserve", remedy="give one of them")


def _relaxed_claim(tolerance: Fraction, preserve: Decision | None) -> Comparison | None:
    from secateur.specification.comparison import Agreement

    return preserve or (Agreement(tolerance) if tolerance else None)


def _check_resources(timeout: float, jobs: int, solver: str, seed: int) -> None:
    if not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise InputError(f"time limit {timeout} is not a positive number of seconds", where="--timeout")
    if jobs < 1:
        raise InputError(f"{jobs} threads cannot work", where="--jobs", remedy="give at least 1")
    if solver not in SOLVERS:
        raise InputError(f"unknown solver {solver!r}", where="--solver", remedy=f"choose one of {', '.join(SOLVERS)}")
    if seed < 0:
        raise InputError(f"seed {seed} is negative", where="--seed", remedy="give a number from 0")
