"""The truth about a question: an exact encoding of the whole network for Z3, made from its description alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import z3

from benchmarks.fuzzing.formulas import Atom, Formula, Node
from benchmarks.fuzzing.networks import Box, Described

__all__ = ["Truth", "encoded"]


def _number(value: Fraction | float) -> Any:
    exact = Fraction(value)
    return z3.RealVal(f"{exact.numerator}/{exact.denominator}")


def encoded(network: Described, inputs: Sequence[Any]) -> list[list[Any]]:
    """Every layer's values before its ReLU, as terms."""
    values, sums = [list(inputs)], []
    for layer in network.layers:
        total = [_number(b) for b in layer.bias]
        for source, matrix in layer.terms:
            for i, row in enumerate(matrix):
                total[i] = z3.Sum([total[i], *(_number(w) * v for w, v in zip(row, values[source], strict=True) if w)])
        sums.append(total)
        values.append([z3.If(z > 0, z, z3.RealVal(0)) for z in total])
    return sums


class Truth:
    """One solver for all questions about networks on a box; `sums` are the pre-activations of each network, layer by layer."""

    def __init__(self, networks: Sequence[Described], box: Box, milliseconds: int = 1000) -> None:
        self.inputs = [z3.Real(f"x{i}") for i in range(len(box))]
        self.solver = z3.Solver()
        self.solver.set("timeout", milliseconds)
        for x, (low, high) in zip(self.inputs, box, strict=True):
            self.solver.add(x >= _number(low), x <= _number(high))
        self.sums = [encoded(network, self.inputs) for network in networks]

    def satisfiable(self, condition: Any) -> bool | None:
        """Whether some point of the box fulfils the condition; None where Z3 does not say."""
        self.solver.push()
        try:
            self.solver.add(condition)
            answer = self.solver.check()
        finally:
            self.solver.pop()
        return None if answer == z3.unknown else bool(answer == z3.sat)

    def query(self, formula: Formula) -> bool | None:
        """Whether some point of the box fulfils a formula over the inputs and outputs of the first network."""
        return self.satisfiable(self._condition(formula))

    def differs(self, epsilon: Fraction) -> bool | None:
        """Whether some output of the two networks differs by more than epsilon."""
        pairs = zip(self.sums[0][-1], self.sums[1][-1], strict=True)
        return self.satisfiable(z3.Or([d for a, b in pairs for d in (a - b > _number(epsilon), b - a > _number(epsilon))]))

    def sign(self, layer: int, neuron: int, positive: bool) -> bool | None:
        """Whether a pre-activation is somewhere positive, or negative."""
        z = self.sums[0][layer][neuron]
        return self.satisfiable(z > 0 if positive else z < 0)

    def beyond(self, output: int, bound: Fraction, above: bool) -> bool | None:
        """Whether an output lies somewhere beyond a bound."""
        y = self.sums[0][-1][output]
        return self.satisfiable(y > _number(bound) if above else y < _number(bound))

    def _condition(self, formula: Formula) -> Any:
        if isinstance(formula, Node):
            parts = [self._condition(part) for part in formula.parts]
            return z3.And(parts) if formula.head == "and" else z3.Or(parts)
        return self._atom(formula)

    def _atom(self, atom: Atom) -> Any:
        variables = [*self.inputs, *self.sums[0][-1]]
        left = z3.Sum([z3.RealVal(0), *(_number(c) * variables[i] for i, c in atom.terms)])
        right = _number(atom.bound)
        return {"<=": left <= right, "<": left < right, ">=": left >= right, ">": left > right}[atom.sign]
