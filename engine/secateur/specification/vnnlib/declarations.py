"""Declarations of VNN-LIB: which names stand for which variables.

Version 1.0 declares scalars `X_i` and `Y_j` of one unnamed network, in any order; version 2.0 declares
networks with typed tensors. Both give a scope that resolves an operand's text to a variable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from secateur.errors import InputError
from secateur.specification.numerals import shorten
from secateur.specification.vnnlib.formula import Kind, Variable
from secateur.specification.vnnlib.query import NetworkDeclaration, TensorDeclaration
from secateur.specification.vnnlib.tokens import Token

__all__ = ["FlatScope", "Form", "NetworkScope", "Scope", "syntax_error"]

_MAX_SIZE = 100_000_000  # scalars of one kind: more is a slip, and would exhaust the memory
_SCALAR = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TENSOR = re.compile(r"([^\[\s]+)\s*(?:\[([^\]]*)\])?")
_INDEX = re.compile(r"\s*(0|[1-9][0-9]{0,8})\s*")
_TENSOR_KINDS = {"declare-input": Kind.INPUT, "declare-hidden": Kind.HIDDEN, "declare-output": Kind.OUTPUT}
# The element types of ONNX that are numbers, and the reals.
_ELEMENT_TYPES = re.compile(r"real|bool|u?int(4|8|16|32|64)|b?float16|float(32|64|4e2m1|8(e4m3fn|e5m2)(uz)?|8e5m2fnuz)")


def syntax_error(source: str, line: int, problem: str, remedy: str = "") -> InputError:
    """The error for one line of a query."""
    return InputError(problem, where=f"{source}, line {line}", remedy=remedy)


@dataclass(frozen=True)
class Form:
    """A parenthesis: the line where it opens, and what it holds."""

    line: int
    items: tuple[Token | Form, ...]

    @property
    def head(self) -> str:
        """The first item's text; empty where it is none."""
        first = self.items[0] if self.items else None
        return first.text if isinstance(first, Token) else ""

    def words(self, source: str, usage: str, *counts: int) -> list[str]:
        """The items after the head: plain tokens, as many as one of `counts`; `usage` says the right form."""
        words = [item.text for item in self.items[1:] if isinstance(item, Token)]
        if len(words) != len(self.items) - 1 or len(words) not in counts:
            raise syntax_error(source, self.line, f"malformed {self.head}", f"write ({usage})")
        return words


def _text_of(names: Mapping[str, Variable], variable: Variable) -> str:
    return next(text for text, named in names.items() if named == variable)


class Scope(Protocol):
    """The names of a query, while it is read."""

    relations: frozenset[str]
    connectives: frozenset[str]

    def declare(self, form: Form) -> None:
        """Take up a declaration; `InputError` where it is malformed or repeats a name."""
        ...

    def resolve(self, text: str, line: int) -> Variable:
        """The variable of an operand; `InputError` where there is none."""
        ...

    def written(self, variable: Variable) -> str:
        """How the file wrote a variable that it resolved."""
        ...

    def networks(self) -> tuple[NetworkDeclaration, ...]:
        """All networks, at the end of the file; `InputError` where a declaration is missing."""
        ...


@dataclass
class FlatScope:
    """Version 1.0: `(declare-const X_0 Real)`. The indices of X and of Y must run from 0 without gaps."""

    source: str
    relations: frozenset[str] = frozenset({"<=", ">=", "<", ">", "==", "=", "!="})
    connectives: frozenset[str] = frozenset({"and", "or", "not", "=>"})
    _variables: dict[str, Variable] = field(default_factory=dict)

    def declare(self, form: Form) -> None:
        if form.head != "declare-const":
            problem = f"unknown command {shorten(form.head)}"
            remedy = "a file with declare-network begins with (vnnlib-version <2.0>)"
            raise syntax_error(self.source, form.line, problem, remedy if "declare" in form.head else "")
        name, sort = form.words(self.source, "declare-const X_0 Real", 2)
        match = _SCALAR.fullmatch(name)
        if match is None or sort != "Real":
            problem = f"cannot declare {shorten(name)} of sort {shorten(sort)}"
            raise syntax_error(self.source, form.line, problem, "inputs are X_i and outputs Y_j, of sort Real")
        if name in self._variables:
            raise syntax_error(self.source, form.line, f"{shorten(name)} is declared twice")
        kind = Kind.INPUT if match[1] == "X" else Kind.OUTPUT
        self._variables[name] = Variable(kind, int(match[2]))

    def resolve(self, text: str, line: int) -> Variable:
        variable = self._variables.get(text)
        if variable is None:
            raise syntax_error(self.source, line, f"unknown variable {shorten(text)}", "declare it before its use")
        return variable

    def written(self, variable: Variable) -> str:
        return _text_of(self._variables, variable)

    def networks(self) -> tuple[NetworkDeclaration, ...]:
        inputs, outputs = (self._tensor(name, kind) for name, kind in (("X", Kind.INPUT), ("Y", Kind.OUTPUT)))
        if not inputs:
            raise InputError("declares no input", where=self.source, remedy="write (declare-const X_0 Real)")
        return (NetworkDeclaration("N", inputs, (), outputs),)

    def _tensor(self, name: str, kind: Kind) -> tuple[TensorDeclaration, ...]:
        count = sum(variable.kind is kind for variable in self._variables.values())
        gap = next((i for i in range(count) if f"{name}_{i}" not in self._variables), None)
        if gap is not None:
            raise InputError(f"{name}_{gap} is not declared, but a later {name} is", where=self.source)
        return (TensorDeclaration(name, kind, "real", (count,), 0),) if count else ()


@dataclass
class NetworkScope:
    """Version 2.0: networks with typed tensors; names are unique in the whole query."""

    source: str
    relations: frozenset[str] = frozenset({"<=", ">=", "<", ">", "==", "!="})
    connectives: frozenset[str] = frozenset({"and", "or"})
    _networks: dict[str, NetworkDeclaration] = field(default_factory=dict)
    _tensors: dict[str, TensorDeclaration] = field(default_factory=dict)
    _sizes: list[int] = field(default_factory=lambda: [0, 0, 0])
    _resolved: dict[str, Variable] = field(default_factory=dict)

    def declare(self, form: Form) -> None:
        if form.head != "declare-network":
            remedy = "version 2.0 declares variables in (declare-network ...)" if "declare" in form.head else ""
            raise syntax_error(self.source, form.line, f"unknown command {shorten(form.head)}", remedy)
        parts = iter(form.items[1:])
        name = next(parts, None)
        if not isinstance(name, Token):
            raise syntax_error(self.source, form.line, "declare-network without a name")
        self._require_new(name.text, name.line)
        network = self._network(name.text, form.line, parts)
        self._networks[network.name] = network

    def resolve(self, text: str, line: int) -> Variable:
        variable = self._resolved.get(text)
        if variable is None:
            variable = self._resolved[text] = self._look_up(text, line)
        return variable

    def written(self, variable: Variable) -> str:
        return _text_of(self._resolved, variable)

    def networks(self) -> tuple[NetworkDeclaration, ...]:
        if not self._networks:
            raise InputError("declares no network", where=self.source, remedy="write (declare-network ...)")
        return tuple(self._networks.values())

    def _network(self, name: str, line: int, parts: Iterator[Token | Form]) -> NetworkDeclaration:
        tensors: list[TensorDeclaration] = []
        alike: dict[str, str] = {}
        for part in parts:
            if not isinstance(part, Form):
                raise syntax_error(self.source, part.line, f"unexpected {shorten(part.text)} in declare-network")
            if part.head in ("equal-to", "isomorphic-to"):
                (alike[part.head],) = part.words(self.source, f"{part.head} NETWORK", 1)
            else:
                tensors.append(self._tensor(part))
        inputs, hidden, outputs = (tuple(t for t in tensors if t.kind is kind) for kind in Kind)
        if not inputs or not outputs:
            problem = f"network {shorten(name)} has no {'output' if inputs else 'input'}"
            raise syntax_error(self.source, line, problem)
        if len({t.onnx_name is None for t in inputs + outputs}) > 1:
            problem = f"network {shorten(name)} gives ONNX names to some inputs and outputs only"
            raise syntax_error(self.source, line, problem, "name all of them or none")
        network = NetworkDeclaration(name, inputs, hidden, outputs, alike.get("equal-to"), alike.get("isomorphic-to"))
        for other in alike.values():
            self._require_alike(network, other, line)
        return network

    def _require_alike(self, network: NetworkDeclaration, other: str, line: int) -> None:
        if other not in self._networks:
            raise syntax_error(self.source, line, f"unknown network {shorten(other)}", "declare it first")
        for kind in (Kind.INPUT, Kind.OUTPUT):
            shapes = [[t.shape for t in n.tensors(kind)] for n in (network, self._networks[other])]
            if shapes[0] != shapes[1]:
                problem = f"{kind.name.lower()} shapes of {shorten(network.name)} and {shorten(other)} differ"
                raise syntax_error(self.source, line, problem)

    def _tensor(self, form: Form) -> TensorDeclaration:
        kind = _TENSOR_KINDS.get(form.head)
        if kind is None:
            raise syntax_error(self.source, form.line, f"unknown declaration {shorten(form.head)}")
        counts = (3,) if kind is Kind.HIDDEN else (2, 3)
        usage = f"{form.head} NAME TYPE [dims]" + (' "onnx name"' if kind is Kind.HIDDEN else "")
        name, typed, *onnx = form.words(self.source, usage, *counts)
        match = _TENSOR.fullmatch(typed)
        if match is None or match[2] is None or not all(word.startswith('"') for word in onnx):
            raise syntax_error(self.source, form.line, f"malformed {form.head}", f"write ({usage})")
        self._require_new(name, form.line)
        if not _ELEMENT_TYPES.fullmatch(match[1].lower()):
            raise syntax_error(self.source, form.line, f"unknown element type {shorten(match[1])}")
        shape = self._integers(match[2], form.line)
        offset = self._sizes[kind]
        onnx_name = onnx[0].strip('"') if onnx else None
        tensor = TensorDeclaration(name, kind, match[1].lower(), shape, offset, onnx_name)
        self._sizes[kind] += tensor.size
        if not tensor.size or self._sizes[kind] > _MAX_SIZE:
            raise syntax_error(self.source, form.line, f"{shorten(name)} has {tensor.size} elements")
        self._tensors[name] = tensor
        return tensor

    def _require_new(self, name: str, line: int) -> None:
        if not _NAME.fullmatch(name):
            remedy = "a name is a letter followed by letters, digits and underscores"
            raise syntax_error(self.source, line, f"{shorten(name)} is no name", remedy)
        if name in self._tensors or name in self._networks:
            raise syntax_error(self.source, line, f"{shorten(name)} is declared twice")

    def _integers(self, text: str, line: int) -> tuple[int, ...]:
        """`0,2` as integers; nothing but blanks is the empty tuple."""
        if not text.strip():
            return ()
        matches = [_INDEX.fullmatch(part) for part in text.split(",")]
        if not all(matches):
            raise syntax_error(self.source, line, f"[{text}] is no list of natural numbers")
        return tuple(int(match[1]) for match in matches if match)

    def _look_up(self, text: str, line: int) -> Variable:
        match = _TENSOR.fullmatch(text)
        tensor = self._tensors.get(match[1]) if match else None
        if tensor is None or match is None:
            raise syntax_error(self.source, line, f"unknown variable {shorten(text)}", "declare it before its use")
        indices = self._integers(match[2] or "", line)
        shape = tensor.shape
        if len(indices) != len(shape) or any(i >= extent for i, extent in zip(indices, shape, strict=True)):
            problem = f"{shorten(text)} is no element of {tensor.name}, whose shape is {list(shape)}"
            raise syntax_error(self.source, line, problem)
        strides = (math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return Variable(tensor.kind, tensor.offset + sum(i * s for i, s in zip(indices, strides, strict=True)))
