"""Random conditions in the tests' own form: nested tuples, evaluated naively and printed as VNN-LIB.

Terms: ("const", q), ("var", "X", i), ("+", ...), ("-", ...), ("*", ...). Conditions: ("<=", a, b) and the
other relations, ("and", ...), ("or", ...), ("not", a), ("=>", a, ..., b). Nothing is shared with the reader.
"""

from __future__ import annotations

import itertools
import operator
import random
from fractions import Fraction
from functools import reduce
from typing import Any, TypeAlias

from hypothesis import strategies as st

Tree: TypeAlias = tuple[Any, ...]
INPUTS, OUTPUTS = 3, 2
RELATIONS = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}

values = st.integers(-6, 6).map(lambda n: Fraction(n, 4))
points = st.tuples(st.lists(values, min_size=INPUTS, max_size=INPUTS), st.lists(values, min_size=OUTPUTS, max_size=OUTPUTS))
constants = values.map(lambda q: ("const", q))
variables = st.sampled_from([("var", "X", i) for i in range(INPUTS)] + [("var", "Y", i) for i in range(OUTPUTS)])


def _terms(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(children, min_size=1, max_size=3)
    sums = st.tuples(st.sampled_from("+-"), several).map(lambda t: (t[0], *t[1]))
    products = st.tuples(constants, children, constants, st.permutations(range(3))).map(lambda t: ("*", *(t[i] for i in t[3])))
    return sums | products


terms = st.recursive(variables | constants, _terms, max_leaves=5)
bounds = st.tuples(st.sampled_from(sorted(RELATIONS)), variables, constants)
atoms = bounds | st.tuples(st.sampled_from(sorted(RELATIONS)), terms, terms)


def _conditions(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.tuples(st.sampled_from(["and", "or"]), several).map(lambda t: (t[0], *t[1]))


def _with_negations(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    implications = st.lists(children, min_size=2, max_size=3).map(lambda c: ("=>", *c))
    return _conditions(children) | children.map(lambda c: ("not", c)) | implications


conditions = st.recursive(atoms, _conditions, max_leaves=7)
old_conditions = st.recursive(atoms, _with_negations, max_leaves=7)


def evaluate(tree: Tree, inputs: list[Fraction], outputs: list[Fraction]) -> Any:
    """The value of a term or the truth of a condition."""
    head, *rest = tree
    if head == "const":
        return rest[0]
    if head == "var":
        return (inputs if rest[0] == "X" else outputs)[rest[1]]
    parts = [evaluate(part, inputs, outputs) for part in rest]
    if head in RELATIONS:
        return RELATIONS[head](*parts)
    match head:
        case "+":
            return sum(parts)
        case "*":
            return reduce(operator.mul, parts)
        case "-":
            return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:])
        case "and":
            return all(parts)
        case "or":
            return any(parts)
        case "not":
            return not parts[0]
        case _:
            return not all(parts[:-1]) or parts[-1]


def _decimal(value: Fraction, layout: random.Random) -> str:
    """A multiple of 1/4 as decimal text, now and then with an exponent."""
    hundredths = int(value * 100)
    sign, digits = "-" if hundredths < 0 else "", f"{abs(hundredths):03d}"
    if layout.random() < 0.2:
        return f"{sign}{digits}e-2"
    return f"{sign}{digits[:-2]}.{digits[-2:]}"


def to_text(tree: Tree, version: str, layout: random.Random) -> str:
    """The tree as VNN-LIB, with random blanks, line ends and comments wherever they may stand."""

    def blank() -> str:
        return layout.choice([" ", " ", "  ", "\n", "\t", " ; (odd] comment\n"])

    def write(node: Tree) -> str:
        head, *rest = node
        if head == "const":
            return _decimal(rest[0], layout)
        if head == "var":
            return f"{rest[0]}_{rest[1]}" if version == "1.0" else f"{rest[0]}[0,{rest[1]}]"
        name = "=" if head == "==" and version == "1.0" and layout.random() < 0.5 else head
        inner = "".join(itertools.chain.from_iterable((blank(), write(part)) for part in rest))
        return f"({name}{inner}{layout.choice(['', blank()])})"

    return write(tree)


def query_text(trees: list[Tree], version: str, layout: random.Random) -> str:
    """A whole query that asserts the trees."""
    if version == "1.0":
        names = [f"X_{i}" for i in range(INPUTS)] + [f"Y_{i}" for i in range(OUTPUTS)]
        layout.shuffle(names)
        head = "".join(f"(declare-const {name} Real)" for name in names)
    else:
        head = (
            f"(vnnlib-version <2.0>)(declare-network N(declare-input X real [1,{INPUTS}])(declare-output Y real [1, {OUTPUTS}]))"
        )
    return head + "".join(f"(assert {to_text(tree, version, layout)})\n" for tree in trees)
