"""Do two networks agree on a box? From loaded files and options to a verdict.

The claim's negation is a query about both networks, which the search answers in the form that `better_pairing` chooses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.errors import InputError
from secateur.models import LoadedModel
from secateur.network import Network, Replay
from secateur.options import VerifyOptions
from secateur.progress import Progress
from secateur.residual import ResidualSolver
from secateur.search import Unknown, Verdict, better_pairing, decide
from secateur.specification import Domain
from secateur.specification.comparison import Agreement, Comparison, Decision, comparison_query
from secateur.specification.numerals import Number, exact_rational

if TYPE_CHECKING:
    from secateur.pair_certificate import PairCertificate

__all__ = ["Pair", "certificate_target", "claimed", "decide_pair"]


def claimed(epsilon: Number | None, decision: str | None, margin: Number) -> Comparison:
    """The claim that options ask for. InputError unless they ask for exactly one."""
    if (epsilon is None) == (decision is None):
        problem = "neither an epsilon nor a decision is given" if epsilon is None else "both an epsilon and a decision are given"
        raise InputError(problem, remedy="say how the networks shall agree by one of them: --epsilon or --decision")
    lead = exact_rational(margin, "--margin")
    if epsilon is None:
        return Decision(str(decision), lead)
    if lead:
        raise InputError("is only for --decision", where="--margin")
    return Agreement(exact_rational(epsilon, "--epsilon"))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two networks that can be compared on a domain; `domain_file` is where that was read from, if it was.

    InputError unless both have the domain's number of inputs, and as many outputs.
    """

    first: LoadedModel
    second: LoadedModel
    domain: Domain
    domain_file: Path | None = None

    def __post_init__(self) -> None:
        where = f"{self.first.path}, {self.second.path}"
        for name, counts in (
            ("inputs", [network.input_size for network in self.networks]),
            ("outputs", [network.output_size for network in self.networks]),
        ):
            if counts[0] != counts[1]:
                problem = f"the networks have {counts[0]} and {counts[1]} {name}"
                raise InputError(problem, where=where, remedy="compare networks for the same task")
        self.domain.require_dimension(self.networks[0].input_size, where)

    @property
    def networks(self) -> tuple[Network, Network]:
        return self.first.network, self.second.network

    def meant(self, semantics: str) -> tuple[Network, Network]:
        """The networks as claims of this semantics mean them."""
        return self.first.meant(semantics), self.second.meant(semantics)

    def replays(self) -> tuple[Replay, Replay]:
        """Both files in onnxruntime."""
        return self.first.replay, self.second.replay


def decide_pair(
    pair: Pair,
    claim: Comparison,
    solver: ResidualSolver,
    options: VerifyOptions,
    begun: float,
    certificate: str | Path | None,
    progress: Progress,
    semantics: str = "real",
) -> Verdict:
    """The verdict on a claim, `options.timeout` seconds after `begun` (`time.monotonic`) at the latest; then its certificate."""
    networks = pair.meant(semantics)
    types = [network.interface.element_type for network in pair.networks]
    query = comparison_query(claim, pair.domain, pair.networks[0].output_size, types)
    target = None if certificate is None else certificate_target(certificate, claim, pair, semantics)
    pairing = better_pairing(query, networks, begun + options.timeout)
    left = options.timeout - (time.monotonic() - begun)
    if left <= 0:
        return Unknown(f"the time limit of {options.timeout:g} s is used up", timed_out=True)
    if pairing is None and semantics == "float32":
        return Unknown("float32 claims about two networks need split trees, for which these are too large")
    options = replace(options, timeout=left, certify=target is not None and pairing is not None)
    verdict = decide(query, networks, pair.replays, solver, options, progress, pairing=pairing)
    if target is not None:
        target.write(verdict, pairing, progress)
    return verdict


def certificate_target(certificate: str | Path, claim: Comparison, pair: Pair, semantics: str = "real") -> PairCertificate:
    """Where the certificate of a claim goes; InputError for what one cannot speak about, or where it cannot be written."""
    from secateur.pair_certificate import PairCertificate  # loads the checker: only where it is needed

    return PairCertificate(certificate, claim, (pair.first, pair.second), pair.domain, pair.domain_file, semantics=semantics)
