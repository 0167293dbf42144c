"""Formulas over the inputs and outputs of a network, as VNN-LIB and as what they mean."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.fuzzing.networks import Box, Described, evaluate

__all__ = ["Atom", "Formula", "Node", "Values", "holds", "random_formula", "random_point", "sampled", "vnnlib"]

_MEANING = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}


@dataclass(frozen=True)
class Atom:
    """sum of coefficient * variable, compared with the bound; variables are the inputs, then the outputs."""

    terms: tuple[tuple[int, Fraction], ...]
    sign: str
    bound: Fraction


@dataclass(frozen=True)
class Node:
    """`and` or `or` of at least one part."""

    head: str
    parts: tuple[Formula, ...]


Formula = Atom | Node
Values = list[Fraction]
"""The inputs, then the outputs."""


def holds(formula: Formula, values: Sequence[Fraction]) -> bool:
    """Its truth where inputs and outputs have these values."""
    if isinstance(formula, Node):
        return (all if formula.head == "and" else any)(holds(part, values) for part in formula.parts)
    total = sum((c * values[i] for i, c in formula.terms), Fraction(0))
    return bool(_MEANING[formula.sign](total, formula.bound))


def random_point(rng: random.Random, box: Box) -> tuple[Fraction, ...]:
    """A point of the box, often at its faces."""
    shares = (Fraction(0), Fraction(1), Fraction(1, 2), Fraction(rng.randint(0, 64), 64))
    return tuple(low + (high - low) * rng.choice(shares) for low, high in box)


def sampled(rng: random.Random, network: Described, box: Box, count: int = 24) -> list[Values]:
    """The values at some points of the box."""
    points = [random_point(rng, box) for _ in range(count)]
    return [[*point, *evaluate(network, point)[-1]] for point in points]


def random_formula(rng: random.Random, network: Described, samples: Sequence[Values]) -> Formula:
    """One to three disjuncts of an atom or two, sometimes nested; thresholds are sampled values or near them."""
    disjuncts = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        atoms: tuple[Formula, ...] = tuple(_atom(rng, network, samples) for _ in range(rng.choice((1, 1, 2))))
        if rng.random() < 0.1:
            atoms = (*atoms, Node("or", (_atom(rng, network, samples), _atom(rng, network, samples))))
        disjuncts.append(atoms[0] if len(atoms) == 1 else Node("and", atoms))
    return disjuncts[0] if len(disjuncts) == 1 else Node("or", tuple(disjuncts))


def _atom(rng: random.Random, network: Described, samples: Sequence[Values]) -> Atom:
    outputs = len(network.layers[-1].bias)
    chosen = rng.sample(range(outputs), rng.randint(1, outputs))
    terms = [(network.inputs + j, Fraction(rng.choice((1, -1, 1, -1, 2)))) for j in chosen]
    if rng.random() < 0.15:
        terms.append((rng.randrange(network.inputs), Fraction(rng.choice((1, -1, 2)))))
    sign = rng.choice(tuple(_MEANING))
    values = [sum((c * value[i] for i, c in terms), Fraction(0)) for value in samples]
    return Atom(tuple(sorted(terms)), sign, _threshold(rng, sign, values))


def _threshold(rng: random.Random, sign: str, values: Sequence[Fraction]) -> Fraction:
    """Near the most extreme of the values, where something is decided; now and then 0, or any value."""
    low, high = min(values), max(values)
    unit = max(abs(low), abs(high), Fraction(1))
    fate = rng.random()
    if fate < 0.08:
        return Fraction(0)
    if fate < 0.25:
        return rng.choice(values)
    beyond = (-1 if sign[0] == "<" else 1) * (high - low or unit)
    near = (0, 0, unit / 2**24, -unit / 2**24, unit / 2**60, -unit / 2**60)
    nudge = rng.choice(near) if fate < 0.55 else beyond * Fraction(rng.randint(-4, 16), 16)
    return (low if sign[0] == "<" else high) + nudge


def vnnlib(formula: Formula, network: Described, box: Box, version: int) -> str:
    """The query in either version of the format; numbers are decimals, exact."""
    outputs = len(network.layers[-1].bias)
    if version == 1:
        names = [f"X_{i}" for i in range(network.inputs)] + [f"Y_{j}" for j in range(outputs)]
        head = "".join(f"(declare-const {name} Real)\n" for name in names)
    else:
        names = [f"X[0,{i}]" for i in range(network.inputs)] + [f"Y[0,{j}]" for j in range(outputs)]
        ports = f"(declare-input X {network.kind} [1,{network.inputs}]) (declare-output Y {network.kind} [1,{outputs}])"
        head = f"(vnnlib-version <2.0>)\n(declare-network N {ports})\n"
    bounds = [Atom(((i, Fraction(1)),), s, b) for i, ends in enumerate(box) for s, b in zip((">=", "<="), ends, strict=True)]
    return head + "".join(f"(assert {_text(part, names)})\n" for part in (*bounds, formula))


def _text(formula: Formula, names: Sequence[str]) -> str:
    if isinstance(formula, Node):
        return f"({formula.head} {' '.join(_text(part, names) for part in formula.parts)})"
    factor = math.lcm(formula.bound.denominator, *(c.denominator for _, c in formula.terms))
    if len(formula.terms) == 1 and formula.terms[0][1] == 1 and _is_decimal(formula.bound):
        return f"({formula.sign} {names[formula.terms[0][0]]} {_decimal(formula.bound)})"
    terms = [f"(* {int(c * factor)}.0 {names[i]})" for i, c in formula.terms]
    left = terms[0] if len(terms) == 1 else f"(+ {' '.join(terms)})"
    return f"({formula.sign} {left} {int(formula.bound * factor)}.0)"


def _is_decimal(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _decimal(value: Fraction) -> str:
    places = 0
    while (10**places * value).denominator != 1:
        places += 1
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    whole, rest = (digits[:-places], digits[-places:]) if places else (digits, "0")
    return f"{'-' if value < 0 else ''}{whole}.{rest}"
