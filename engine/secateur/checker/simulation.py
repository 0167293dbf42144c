"""From facts about neurons to the statement about both networks (section 7 of the format).

N' is evaluated symbolically: each neuron that is neither stable nor constant becomes a symbol, remembered under the
exact expression of its pre-activation. N is then evaluated in the same symbols. What N and N' have in common meets in
the same symbols, so their outputs must end as the same expressions (or, with a tolerance, as close ones).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from secateur.checker.container import Claim
from secateur.checker.domain import Domain
from secateur.checker.lowering import Affine, Network
from secateur.checker.refusal import Refusal
from secateur.checker.root import RootBounds
from secateur.checker.tensors import Expression, linear_combination

__all__ = ["Statement", "check_agreement"]

Key = tuple[int, tuple[tuple[int, int], ...]]
Neuron = tuple[int, int]


@dataclass(frozen=True)
class Value:
    """sum terms[s] s / denominator in lowest terms, with an error of at most `error`."""

    denominator: int
    terms: Expression
    error: Fraction = Fraction(0)

    @property
    def key(self) -> Key:
        """Equal for equal expressions, and only for them."""
        return self.denominator, tuple(sorted(self.terms.items()))

    def constant(self) -> bool:
        return not self.terms.keys() - {0} and not self.error

    def positive_part(self) -> Value:
        """max(0, value) of a constant."""
        return self if self.terms.get(0, 0) > 0 else ZERO


ZERO = Value(1, {})


def _symbol(number: int, error: Fraction = Fraction(0)) -> Value:
    return Value(1, {number: 1}, error)


def _reduced(denominator: int, terms: Expression, error: Fraction) -> Value:
    common = math.gcd(denominator, *terms.values())
    return Value(denominator // common, {s: c // common for s, c in terms.items()}, error)


def _evaluate(affine: Affine, row: Expression, values: dict[int, Value]) -> Value:
    """A row of a network, with the values of earlier sources put in place of its own symbols."""
    used = [(coefficient, values[symbol]) for symbol, coefficient in row.items()]
    common = math.lcm(*(value.denominator for _, value in used))
    terms = linear_combination((c * (common // value.denominator), value.terms) for c, value in used)
    error = sum((abs(c) * value.error for c, value in used if value.error), Fraction(0))
    return _reduced(affine.denominator * common, terms, error / affine.denominator)


def _difference(left: Value, right: Value) -> Value:
    """left - right; the error is left's, for right has none."""
    common = math.lcm(left.denominator, right.denominator)
    pairs = ((common // left.denominator, left.terms), (-(common // right.denominator), right.terms))
    return _reduced(common, linear_combination(pairs), left.error)


@dataclass
class _Symbols:
    """The symbols of N' and the inputs: exact bounds, expressions, and the neuron that each belongs to."""

    next: int
    bounds: dict[int, tuple[Fraction, Fraction]]
    remembered: dict[Key, int] = field(default_factory=dict)
    pre_activation: dict[int, Value] = field(default_factory=dict)
    of_neuron: dict[Neuron, int] = field(default_factory=dict)

    def fresh(self) -> int:
        self.next += 1
        return self.next - 1

    def magnitude(self, symbol: int) -> Fraction:
        return max(map(abs, self.bounds[symbol]))


@dataclass(frozen=True)
class Statement:
    """What is to be shown: the networks with their facts, the box, the tolerance, and the neurons to match."""

    original: Network
    reduced: Network
    domain: Domain
    original_facts: frozenset[Claim]
    reduced_facts: frozenset[Claim]
    tolerance: Fraction
    match: dict[Neuron, Neuron]


def _start(network: Network) -> dict[int, Value]:
    """The values of the constant 1 and of the inputs."""
    return {symbol: _symbol(symbol) for symbol in range(1 + network.input_size)}


def _neurons(network: Network) -> Iterable[tuple[Neuron, int, Affine]]:
    """All neurons in order: (layer, index), the network's own symbol, the layer."""
    for k, affine in enumerate(network.layers, 1):
        for i in range(len(affine.rows)):
            yield (k, i), network.starts[k] + i, affine


def _stable(value: Value, neuron: Neuron, facts: frozenset[Claim]) -> Value | None:
    """The output of a neuron that is inactive, active or constant; None of any other."""
    if Claim(*neuron, "inactive") in facts:
        return ZERO
    if Claim(*neuron, "active") in facts:
        return value
    return value.positive_part() if value.constant() else None


def _run_reduced(network: Network, facts: frozenset[Claim], root: RootBounds, domain: Domain) -> tuple[_Symbols, list[Value]]:  # fmt: skip
    """Step 1: the symbols of N', and its outputs."""
    values = _start(network)
    ends = zip(domain.lower, domain.upper, strict=True)
    symbols = _Symbols(1 + network.input_size, {0: (Fraction(1), Fraction(1)), **dict(enumerate(ends, 1))})
    for neuron, own, affine in _neurons(network):
        z = _evaluate(affine, affine.rows[neuron[1]], values)
        output = _stable(z, neuron, facts)
        if output is None:
            output = _symbol(_remember(symbols, neuron, z, root))
        values[own] = output
    return symbols, [_evaluate(network.output, row, values) for row in network.output.rows]


def _remember(symbols: _Symbols, neuron: Neuron, z: Value, root: RootBounds) -> int:
    """The symbol of a neuron of N'; neurons with the same pre-activation have the same output, and share one."""
    known = symbols.remembered.get(z.key)
    if known is None:
        known = symbols.remembered[z.key] = symbols.fresh()
        interval, i = root.interval(neuron[0]), neuron[1]
        low, high = (Fraction(max(0, side[i]), interval.denominator) for side in (interval.lower, interval.upper))
        symbols.bounds[known] = (low, high)
        symbols.pre_activation[known] = z
    symbols.of_neuron[neuron] = known
    return known


def _run_original(statement: Statement, symbols: _Symbols) -> list[Value]:
    """Step 2: the outputs of N in the symbols of N'."""
    network = statement.original
    values = _start(network)
    for neuron, own, affine in _neurons(network):
        z = _evaluate(affine, affine.rows[neuron[1]], values)
        output = _stable(z, neuron, statement.original_facts)
        if output is None:
            known = symbols.remembered.get(z.key)
            output = _symbol(known, z.error) if known is not None else _matched(statement, symbols, neuron, z)
        values[own] = output
    return [_evaluate(network.output, row, values) for row in network.output.rows]


def _matched(statement: Statement, symbols: _Symbols, neuron: Neuron, z: Value) -> Value:
    """The symbol that the header matches to a neuron of N, with the error of doing so; else a fresh symbol."""
    partner = statement.match.get(neuron)
    if partner is None:
        return _symbol(symbols.fresh())
    if partner not in symbols.of_neuron:
        reason = f"neuron {partner[1]} of layer {partner[0]} of the reduced network is no symbol"
        raise Refusal("agree", f"match of neuron {neuron[1]} of layer {neuron[0]}", reason)
    symbol = symbols.of_neuron[partner]
    difference = _difference(z, symbols.pre_activation[symbol])
    if not difference.terms.keys() <= symbols.bounds.keys():
        return _symbol(symbols.fresh())  # it depends on something that N' does not have
    spread = sum((abs(c) * symbols.magnitude(s) for s, c in difference.terms.items()), Fraction(0))
    return _symbol(symbol, z.error + spread / difference.denominator)


def _largest(difference: Value, symbols: _Symbols) -> Fraction:
    """The largest absolute value that an expression can have over the bounds of its symbols."""
    low = high = Fraction(0)
    for symbol, c in difference.terms.items():
        ends = [c * bound for bound in symbols.bounds[symbol]]
        low, high = low + min(ends), high + max(ends)
    return max(abs(low), abs(high)) / difference.denominator


def check_agreement(statement: Statement, reduced_root: RootBounds) -> None:
    """Step 3: every output of N stays within the tolerance of the same output of N'."""
    symbols, expected = _run_reduced(
        statement.reduced, statement.reduced_facts, reduced_root, statement.domain
    )
    for index, (found, wanted) in enumerate(zip(_run_original(statement, symbols), expected, strict=True)):
        difference = _difference(found, wanted)
        if not difference.terms.keys() <= symbols.bounds.keys():
            raise Refusal("agree", f"output {index}", "it depends on a neuron that the reduced network does not have")
        largest = _largest(difference, symbols) + difference.error
        if largest > statement.tolerance:
            reason = f"the networks may differ by {float(largest):.6g}, more than the tolerance {statement.tolerance}"
            raise Refusal("agree", f"output {index}", reason)
