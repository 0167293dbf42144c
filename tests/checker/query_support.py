"""Queries of three inputs and two outputs in both versions of VNN-LIB: texts, random formulas, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from secateur.checker.query import Disjunct, Query, QueryRow, read_query

__all__ = ["FLAT", "HEADS", "INPUTS", "NAMES", "Tree", "assertions", "boxed", "contains", "query_of", "text_of"]

FLAT = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const X_2 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
TENSORS = """(vnnlib-version <2.0>)
(declare-network f (declare-input A real [2]) (declare-input B real [])
                   (declare-output C float32 [1,2]))"""
HEADS = {1: FLAT, 2: TENSORS}
NAMES = {1: ("X_0", "X_1", "X_2", "Y_0", "Y_1"), 2: ("A[0]", "A[1]", "B", "C[0,0]", "C[0,1]")}  # three inputs, two outputs
INPUTS = 3

Point = Sequence[Fraction]


def query_of(body: str, version: int = 1) -> Query:
    return read_query((HEADS[version] + body).encode())


def boxed(body: str, version: int = 1) -> str:
    bounds = "".join(f"(assert (<= {name} 9))(assert (>= {name} -9))" for name in NAMES[version][:INPUTS])
    return bounds + body


def holds(row: QueryRow, inputs: Point, outputs: Point) -> bool:
    value = sum(a * inputs[i] for i, a in row.inputs) + sum(a * outputs[j] for j, a in row.outputs)
    return value < row.bound or (value == row.bound and not row.strict)


def contains(disjunct: Disjunct, inputs: Point, outputs: Point) -> bool:
    box = zip(disjunct.lower, inputs, disjunct.upper, strict=True)
    return all(low <= x <= high for low, x, high in box) and all(holds(row, inputs, outputs) for row in disjunct.rows)


@dataclass(frozen=True)
class Tree:
    """A formula or term to be written in either version; numbers and variables have no children."""

    head: str | int  # operator, number, or the number of a variable
    children: tuple[Tree, ...] = ()

    def text(self, version: int) -> str:
        if isinstance(self.head, int):
            return NAMES[version][self.head]
        return f"({self.head} {' '.join(c.text(version) for c in self.children)})" if self.children else self.head

    def value(self, point: Point) -> Any:
        if not self.children:
            return point[self.head] if isinstance(self.head, int) else Fraction(self.head)
        return MEANING[str(self.head)](*(child.value(point) for child in self.children))


def product(*values: Fraction) -> Fraction:
    result = Fraction(1)
    for value in values:
        result *= value
    return result


MEANING: dict[str, Any] = {
    "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, ">": lambda a, b: a > b,
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "and": lambda *p: all(p), "or": lambda *p: any(p), "not": lambda p: not p, "=>": lambda p, q: not p or q,
    "+": lambda *v: sum(v), "-": lambda a, *v: a - sum(v) if v else -a, "*": product,
}  # fmt: skip

numbers = st.sampled_from(["0", "1", "-1", "2", "0.5", "-0.5", "1.5", "-2", "1e0", "3e-1"]).map(Tree)
variables = st.integers(0, 4).map(Tree)


def terms() -> st.SearchStrategy[Tree]:
    def extended(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Tree, st.sampled_from(["+", "-"]), several),
            st.builds(lambda n, t: Tree("*", (n, t)), numbers, inner),
        )

    return st.recursive(st.one_of(variables, variables, numbers), extended, max_leaves=4)


def formulas(version: int) -> st.SearchStrategy[Tree]:
    signs = ["<=", "<", ">=", ">", "="] if version == 1 else ["<=", "<", ">=", ">", "==", "!="]
    comparisons = st.builds(lambda s, a, b: Tree(s, (a, b)), st.sampled_from(signs), terms(), terms())
    bounds = st.builds(lambda s, a, b: Tree(s, (a, b)), st.sampled_from(signs), variables, numbers)

    def extended(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        found = [st.builds(Tree, st.sampled_from(["and", "or"]), several)]
        if version == 1:
            found += [inner.map(lambda f: Tree("not", (f,))), st.builds(lambda f, g: Tree("=>", (f, g)), inner, inner)]
        return st.one_of(found)

    return st.recursive(st.one_of(comparisons, bounds), extended, max_leaves=8)


versions = st.sampled_from([1, 2])
assertions = versions.flatmap(lambda v: st.tuples(st.just(v), st.lists(formulas(v), min_size=1, max_size=4)))


def text_of(version: int, trees: list[Tree]) -> str:
    return "\n".join(f"(assert {tree.text(version)})" for tree in trees)
