"""From facts about neurons to the statement about both networks (section 7 of the format).

N' is evaluated symbolically: each neuron that is neither stable nor constant becomes a symbol, and every output is remembered
under the exact expression of its pre-activation. N is then evaluated in the same symbols. Equal pre-activations have equal
outputs, so what N and N' have in common meets in the same expressions, and their outputs must be the same (or, with a tolerance,
close).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from secateur.checker.domain import Domain
from secateur.checker.lowering import Affine, Network
from secateur.checker.records import Claim
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
    """What is known of N': exact bounds of the symbols and inputs, pre-activations, and which output has which expression."""

    next: int
    bounds: dict[int, tuple[Fraction, Fraction]]
    remembered: dict[Key, Value] = field(default_factory=dict)
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


def _run_reduced(network: Network, facts: frozenset[Claim], root: RootBounds, domain: Domain) -> tuple[_Symbols, list[Value]]:
    """Step 1: the symbols of N', and its outputs."""
    values = _start(network)
    ends = zip(domain.lower, domain.upper, strict=True)
    symbols = _Symbols(1 + network.input_size, {0: (Fraction(1), Fraction(1)), **dict(enumerate(ends, 1))})
    for neuron, own, affine in _neurons(network):
        z = _evaluate(affine, affine.rows[neuron[1]], values)
        output = symbols.remembered.get(z.key)
        if output is None:
            output = symbols.remembered[z.key] = _reduced_output(symbols, neuron, z, facts, root)
        (only, *others) = output.terms or (0,)
        if not others and only in symbols.pre_activation and symbols.pre_activation[only] == z:
            symbols.of_neuron[neuron] = only
        values[own] = output
    return symbols, [_evaluate(network.output, row, values) for row in network.output.rows]


def _reduced_output(symbols: _Symbols, neuron: Neuron, z: Value, facts: frozenset[Claim], root: RootBounds) -> Value:
    """The output of a neuron of N' whose expression is new: 0, z', a constant, or a symbol with its bounds."""
    if Claim(*neuron, "inactive") in facts:
        return ZERO
    if Claim(*neuron, "active") in facts:
        return z
    if z.constant():
        return z.positive_part()
    symbol, interval, i = symbols.fresh(), root.interval(neuron[0]), neuron[1]
    low, high = (Fraction(max(0, side[i]), interval.denominator) for side in (interval.lower, interval.upper))
    symbols.bounds[symbol], symbols.pre_activation[symbol] = (low, high), z
    return _symbol(symbol)


def _run_original(statement: Statement, symbols: _Symbols) -> list[Value]:
    """Step 2: the outputs of N in the symbols of N'."""
    network = statement.original
    values = _start(network)
    for neuron, own, affine in _neurons(network):
        z = _evaluate(affine, affine.rows[neuron[1]], values)
        values[own] = _original_output(statement, symbols, neuron, z)
    return [_evaluate(network.output, row, values) for row in network.output.rows]


def _original_output(statement: Statement, symbols: _Symbols, neuron: Neuron, z: Value) -> Value:
    """The output of a neuron of N: the first rule that applies, in the order of the format."""
    known = symbols.remembered.get(z.key)
    if known is not None:
        return Value(known.denominator, known.terms, z.error)
    if Claim(*neuron, "inactive") in statement.original_facts:
        return ZERO
    matched = _matched(symbols, statement.match.get(neuron), z)
    if matched is not None:
        return matched
    if Claim(*neuron, "active") in statement.original_facts:
        return z
    if z.constant():
        return z.positive_part()
    output = _symbol(symbols.fresh())
    if not z.error:  # equal neurons of N have equal outputs, which may cancel
        symbols.remembered[z.key] = output
    return output


def _matched(symbols: _Symbols, partner: Neuron | None, z: Value) -> Value | None:
    """The symbol of a neuron of N' for a neuron of N with about the same pre-activation, with the error of doing so."""
    symbol = symbols.of_neuron.get(partner) if partner else None
    if symbol is None:
        return None
    difference = _difference(z, symbols.pre_activation[symbol])
    if not difference.terms.keys() <= symbols.bounds.keys():
        return None  # it depends on something that N' does not have
    spread = sum((abs(c) * symbols.magnitude(s) for s, c in difference.terms.items()), Fraction(0))
    return _symbol(symbol, z.error + spread / difference.denominator)


def _largest(difference: Value, symbols: _Symbols) -> Fraction:
    """The largest absolute value that an expression can have over the bounds of its symbols."""
    low = high = Fraction(0)
    for symbol, c in difference.terms.items():
        ends = [c * bound for bound in symbols.bounds[symbol]]
        low, high = low + min(ends), high + max(ends)
    return max(abs(low), abs(high)) / difference.denominator


def _shown(value: Fraction) -> str:
    """A number for a message: six digits, or a power of two where it is beyond all floats."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return f"{float(value):.6g}" if exponent < 1000 else f"about 2^{exponent}"


def check_agreement(statement: Statement, reduced_root: RootBounds) -> None:
    """Step 3: every output of N stays within the tolerance of the same output of N'."""
    symbols, expected = _run_reduced(statement.reduced, statement.reduced_facts, reduced_root, statement.domain)
    for index, (found, wanted) in enumerate(zip(_run_original(statement, symbols), expected, strict=True)):
        difference = _difference(found, wanted)
        if not difference.terms.keys() <= symbols.bounds.keys():
            raise Refusal("agree", f"output {index}", "it depends on a neuron that the reduced network does not have")
        largest = _largest(difference, symbols) + difference.error
        if largest > statement.tolerance:
            reason = f"the networks may differ by {_shown(largest)}, more than the tolerance {statement.tolerance}"
            raise Refusal("agree", f"output {index}", reason)
