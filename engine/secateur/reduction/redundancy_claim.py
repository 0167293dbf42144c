"""What is asked about neurons: the four kinds of redundancy, of one neuron or of a set at once.

    RedundancyClaim(2, (3,), "phase")                                            z <= 0 on D, or z >= 0 on D
    RedundancyClaim(2, (3, 7), "forward", lookahead=1)                           layer 3 does not notice
    RedundancyClaim(2, (3,), "relaxed", tolerance=Fraction(1, 100), replace="line")
    RedundancyClaim(2, (3,), "result", decision="argmin")

Layers count from 1, neurons from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from secateur.errors import InputError
from secateur.network import Network
from secateur.specification.comparison import RULES, Agreement, Comparison, Decision
from secateur.specification.numerals import format_rational

__all__ = ["KINDS", "REPLACEMENTS", "RedundancyClaim"]

KINDS = ("phase", "forward", "relaxed", "result")
REPLACEMENTS = ("zero", "identity", "constant", "line")


@dataclass(frozen=True)
class RedundancyClaim:
    """A kind of redundancy of neurons of one layer.

    kind : `phase` (each of the neurons is never positive, or never negative, before its ReLU), `forward` (linearising them all
    changes nothing), `relaxed` (nothing by more than `tolerance`), `result` (no decision). lookahead : with forward and relaxed,
    how many layers on nothing may change; the outputs where it is None, or leads beyond the last layer. replace : what stands in
    for a neuron's output, of `REPLACEMENTS`; None: z of active neurons, 0 of others. decision, margin : as in `Decision`;
    by default argmax and 0. Raises InputError for what makes no sense.
    """

    layer: int
    neurons: tuple[int, ...]
    kind: str
    lookahead: int | None = None
    replace: str | None = None
    tolerance: Fraction | None = None
    decision: str | None = None
    margin: Fraction | None = None

    def __post_init__(self) -> None:
        _require_known(self.kind, KINDS, "kind of redundancy", "--kind")
        if not self.neurons:
            raise InputError("no neuron is named", where="--index")
        twice = next((i for n, i in enumerate(self.neurons) if i in self.neurons[:n]), None)
        if twice is not None:
            raise InputError(f"neuron {twice} is named twice", where="--index")
        self._require_fitting()
        if self.lookahead is not None and self.lookahead < 1:
            problem = f"{self.lookahead} layers on is not beyond the neurons"
            raise InputError(problem, where="--lookahead", remedy="give at least 1")
        if self.replace is not None:
            _require_known(self.replace, REPLACEMENTS, "replacement", "--replace")
        if self.kind == "relaxed":
            self._require_tolerance()
        if self.decision is not None:
            _require_known(self.decision, RULES, "decision", "--decision")
        if self.margin is not None and self.margin < 0:
            raise InputError(f"margin {format_rational(self.margin)} is negative", where="--margin")

    def _require_fitting(self) -> None:
        """InputError for an option of another kind."""
        for value, option, kinds in (
            (self.lookahead, "--lookahead", ("forward", "relaxed")),
            (self.replace, "--replace", ("forward", "relaxed", "result")),
            (self.tolerance, "--tolerance", ("relaxed",)),
            (self.decision, "--decision", ("result",)),
            (self.margin, "--margin", ("result",)),
        ):
            if value is not None and self.kind not in kinds:
                raise InputError(f"is only for --kind {' and '.join(kinds)}", where=option)

    def _require_tolerance(self) -> None:
        if self.tolerance is None:
            raise InputError("is missing", where="--tolerance", remedy="say how much may change, or ask for --kind forward")
        if self.tolerance <= 0:
            problem = f"tolerance {format_rational(self.tolerance)} is not positive"
            raise InputError(problem, where="--tolerance", remedy="for 0 ask for --kind forward")

    def require_fit(self, network: Network, where: str) -> None:
        """InputError where the network, which `where` names, has no such neurons, or nothing to decide."""
        depth = len(network.layers)
        if not 1 <= self.layer <= depth:
            problem = f"there is no ReLU layer {self.layer}"
            raise InputError(problem, where=where, remedy=f"layers count from 1 to {depth}" if depth else "it has none")
        size = network.sizes[self.layer - 1]
        missing = next((i for i in self.neurons if not 0 <= i < size), None)
        if missing is not None:
            problem = f"layer {self.layer} has no neuron {missing}"
            raise InputError(problem, where=where, remedy=f"its neurons count from 0 to {size - 1}")
        if self.kind == "result" and network.output_size < 2:
            raise InputError("with one output there is no decision", where=where, remedy="ask for --kind relaxed")

    def watched_layer(self, network: Network) -> int | None:
        """The layer whose values may not change; None: the outputs."""
        reached = len(network.layers) + 1 if self.lookahead is None else self.layer + self.lookahead
        return reached if reached <= len(network.layers) else None

    def comparison(self) -> Comparison:
        """The claim about the network and the linearised one. ValueError for phases."""
        if self.kind == "phase":
            raise ValueError("a phase is no claim about two networks")
        if self.kind == "result":
            return Decision(self.decision or RULES[0], self.margin or Fraction(0))
        return Agreement(self.tolerance or Fraction(0))

    def words(self, network: Network) -> str:
        """The claim about neurons of this network."""
        names = ", ".join(map(str, self.neurons))
        which = f"neuron {names}" if len(self.neurons) == 1 else f"neurons {names}"
        if self.kind == "phase":
            each = "has" if len(self.neurons) == 1 else "each have"
            return f"{which} of layer {self.layer} {each} one phase on D"
        layer = self.watched_layer(network)
        values = "output" if layer is None else f"value of layer {layer}"
        act = f"linearising {which} of layer {self.layer}"
        match self.comparison():
            case Agreement(tolerance=tolerance):
                limit = f" by more than {format_rational(tolerance)}" if tolerance else ""
                return f"{act} changes no {values} on D{limit}"
            case Decision(rule=rule, margin=margin):
                lead = f" wherever the winner leads by more than {format_rational(margin)}" if margin else ""
                return f"{act} changes no {rule} on D{lead}"


def _require_known(word: str, known: tuple[str, ...], what: str, option: str) -> None:
    if word not in known:
        raise InputError(f"unknown {what} {word!r}", where=option, remedy=f"choose one of {', '.join(known)}")
