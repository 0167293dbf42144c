"""Queries as VNN-LIB text: version 1.0 with closed bounds, version 2.0 with strict atoms and several networks.

A box whose bounds are no decimals is written a little larger, so that `unsat` still speaks about all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from secateur.exporting.decimals import decimal, is_decimal
from secateur.exporting.violations import Bound, Closed
from secateur.network import Network
from secateur.specification import Domain
from secateur.specification.vnnlib.formula import Kind, Row
from secateur.specification.vnnlib.query import TensorDeclaration

__all__ = ["exact_numbers", "flat_text", "typed_text"]


def flat_text(comments: Sequence[str], domain: Domain, asked: Closed) -> str:
    """Version 1.0: is there a point of the box where a disjunct holds? Output j is form j."""
    lines = [_comment(line) for line in comments]
    lines += [f"(declare-const X_{i} Real)" for i in range(domain.dimension)]
    lines += [f"(declare-const Y_{j} Real)" for j in range(len(asked.forms))]
    for i, (low, high) in enumerate(zip(domain.lower, domain.upper, strict=True)):
        lines += [f"(assert (>= X_{i} {decimal(low, up=False)}))", f"(assert (<= X_{i} {decimal(high, up=True)}))"]
    disjuncts = [[_closed_atom(bound) for bound in bounds] for bounds in asked.disjuncts]
    if len(disjuncts) == 1:
        lines += [f"(assert {atom})" for atom in disjuncts[0]]
    else:
        lines.append(_any_of(f"(and {' '.join(atoms)})" for atoms in disjuncts))
    return "\n".join(lines) + "\n"


def typed_text(comments: Sequence[str], networks: Sequence[Network], domain: Domain, disjuncts: Sequence[Sequence[Row]]) -> str:
    """Version 2.0: one network `N`, or two, `f` and `g`, with the same input; the rows are over their outputs in this order."""
    names = ("N",) if len(networks) == 1 else ("f", "g")
    lines = ["(vnnlib-version <2.0>)", *(_comment(line) for line in comments)]
    inputs, outputs = [], []
    offset = 0
    for name, network in zip(names, networks, strict=True):
        suffix = "" if len(networks) == 1 else f"_{name}"
        inputs.append(_tensor(f"X{suffix}", Kind.INPUT, network, 0))
        outputs.append(_tensor(f"Y{suffix}", Kind.OUTPUT, network, offset))
        offset += network.output_size
        declared = (_declared("declare-input", inputs[-1]), _declared("declare-output", outputs[-1]))
        lines.append(f"(declare-network {name}\n  {declared[0]}\n  {declared[1]})")
    first = inputs[0]
    for i, (low, high) in enumerate(zip(domain.lower, domain.upper, strict=True)):
        x = first.element_name(i)
        lines += [f"(assert (>= {x} {decimal(low, up=False)}))", f"(assert (<= {x} {decimal(high, up=True)}))"]
        lines += [f"(assert (== {x} {other.element_name(i)}))" for other in inputs[1:]]
    rows = [[_open_atom(row, outputs) for row in own] for own in disjuncts]
    if len(rows) == 1:
        lines += [f"(assert {atom})" for atom in rows[0]]
    else:
        lines.append(_any_of(atoms[0] if len(atoms) == 1 else f"(and {' '.join(atoms)})" for atoms in rows))
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "; " + "".join(c if c.isprintable() else "?" for c in text)


def _any_of(parts: Iterable[str]) -> str:
    return "(assert (or\n  " + "\n  ".join(parts) + "))"


def _closed_atom(bound: Bound) -> str:
    # Rounding widens what is asked for.
    return f"({'>=' if bound.least else '<='} Y_{bound.form} {decimal(bound.value, up=not bound.least)})"


def _tensor(name: str, kind: Kind, network: Network, offset: int) -> TensorDeclaration:
    """The network's port; the first axis, where it is open, has one element."""
    ports, size = network.interface, network.input_size if kind is Kind.INPUT else network.output_size
    shape = tuple(1 if n is None else n for n in (ports.input_shape if kind is Kind.INPUT else ports.output_shape))
    tensor = TensorDeclaration(name, kind, ports.element_type, shape, offset)
    return tensor if tensor.size == size else TensorDeclaration(name, kind, ports.element_type, (1, size), offset)


def _declared(word: str, tensor: TensorDeclaration) -> str:
    return f"({word} {tensor.name} {tensor.element_type} [{','.join(map(str, tensor.shape))}])"


def _open_atom(row: Row, outputs: Sequence[TensorDeclaration]) -> str:
    """A row whose coefficients are 1 and -1, as `left < right`."""
    left = [_element(v.position, outputs) for v, c in row.coefficients if c > 0]
    right = [_element(v.position, outputs) for v, c in row.coefficients if c < 0]
    # sum(left) - sum(right) <= bound; rounding the bound up widens what is asked for.
    if row.bound or not right:
        right.append(decimal(row.bound, up=True))
    return f"({'<' if row.strict else '<='} {_sum(left)} {_sum(right)})"


def _sum(terms: Sequence[str]) -> str:
    if not terms:
        return "0.0"
    return terms[0] if len(terms) == 1 else f"(+ {' '.join(terms)})"


def _element(position: int, outputs: Sequence[TensorDeclaration]) -> str:
    tensor = next(t for t in outputs if t.offset <= position < t.offset + t.size)
    return tensor.element_name(position - tensor.offset)


def exact_numbers(domain: Domain, bounds: Iterable[Fraction]) -> bool:
    """Whether all numbers of a query are written exactly."""
    return all(map(is_decimal, (*domain.lower, *domain.upper, *bounds)))
