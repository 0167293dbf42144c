"""The grammar of VNN-LIB 1.0 and 2.0: declarations, linear terms, and formulas whose atoms are rows.

Every number is the exact value of its text. Nothing here calls itself on nested input: a formula may be as deep as
its file is long.

A file that begins with `(vnnlib-version <2.0>)` is of version 2.0, any other of version 1.0; neither may use the words
of the other. In version 1.0 the variables X_i and Y_j are tensors without dimensions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from secateur.checker.exact import parse_rational
from secateur.checker.query_tokens import Tokens

__all__ = ["Compound", "Formula", "QueryRow", "Syntax", "read_syntax"]

MAX_BITS = 100_000  # of a numerator or denominator: products of products could fill any memory
MAX_VALUES = 1 << 24  # inputs, outputs
_COMPARISONS = {1: {"<=", ">=", "<", ">", "="}, 2: {"<=", ">=", "<", ">", "==", "!="}}
_CONNECTIVES = {1: {"and", "or", "not", "=>"}, 2: {"and", "or"}}
_ARITHMETIC = {"+", "-", "*"}
_ELEMENT_TYPES = {"real", "float16", "float32", "float64", "bfloat16"}
_FLAT_NAME = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NATURAL = re.compile(r"[0-9]{1,9}")
_NUMBER_STARTS = frozenset("+-.0123456789")

Variable = tuple[bool, int]  # (is it an output?, number)


@dataclass(frozen=True, slots=True)
class QueryRow:
    """sum coefficient * variable <= bound, or < bound if strict; no coefficient is 0, and variables ascend."""

    inputs: tuple[tuple[int, Fraction], ...]
    outputs: tuple[tuple[int, Fraction], ...]
    bound: Fraction
    strict: bool

    def negation(self) -> QueryRow:
        """The row that holds where this one does not."""
        return QueryRow(
            tuple((i, -a) for i, a in self.inputs), tuple((j, -a) for j, a in self.outputs), -self.bound, not self.strict
        )


@dataclass(frozen=True, eq=False, slots=True)
class Compound:
    """`and`, `or`, `not` or `=>` of formulas."""

    operator: str
    parts: tuple[Formula, ...]


Formula = QueryRow | Compound


@dataclass(frozen=True)
class Syntax:
    """A query as it is written: the numbers of its inputs and outputs, and its assertions in order."""

    input_size: int
    output_size: int
    assertions: tuple[Formula, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Term:
    """sum coefficient * variable + constant."""

    coefficients: Mapping[Variable, Fraction]
    constant: Fraction


@dataclass(frozen=True)
class _Tensor:
    """Variables of one side, numbered from `offset` in row-major order."""

    output: bool
    offset: int
    shape: tuple[int, ...]
    position: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """An expression that has been opened: its operator, that token's number, and what it has been given so far."""

    operator: str
    position: int
    operands: list[_Term | Formula] = field(default_factory=list)


_ZERO, _ONE = Fraction(0), Fraction(1)


def _difference(first: _Term, others: Iterable[_Term]) -> _Term:
    coefficients, constant = dict(first.coefficients), first.constant
    for term in others:
        for variable, a in term.coefficients.items():
            coefficients[variable] = coefficients[variable] - a if variable in coefficients else -a
        constant -= term.constant
    return _Term(coefficients, constant)


def _scaled(term: _Term, factor: Fraction) -> _Term:
    return _Term({variable: factor * a for variable, a in term.coefficients.items()}, factor * term.constant)


def _sum(terms: Sequence[_Term]) -> _Term:
    coefficients: dict[Variable, Fraction] = {}
    for term in terms:
        for variable, a in term.coefficients.items():
            coefficients[variable] = coefficients[variable] + a if variable in coefficients else a
    return _Term(coefficients, sum((term.constant for term in terms), _ZERO))


def _row(left: _Term, right: _Term, strict: bool) -> QueryRow:
    """The row of left <= right, or of left < right."""
    difference = _difference(left, (right,))
    found = sorted((variable, a) for variable, a in difference.coefficients.items() if a)
    inputs = tuple((number, a) for (output, number), a in found if not output)
    outputs = tuple((number, a) for (output, number), a in found if output)
    return QueryRow(inputs, outputs, -difference.constant, strict)


def _comparison(operator: str, left: _Term, right: _Term) -> Formula:
    if operator in {"=", "=="}:
        return Compound("and", (_row(left, right, False), _row(right, left, False)))
    if operator == "!=":
        return Compound("or", (_row(left, right, True), _row(right, left, True)))
    strict = operator in {"<", ">"}
    return _row(left, right, strict) if operator in {"<", "<="} else _row(right, left, strict)


class _Reader:
    """The state of one pass over the tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._tensors: dict[str, _Tensor] = {}
        self._sizes = {False: 0, True: 0}
        self._networks: list[str] = []
        self._assertions: list[Formula] = []
        self._version = 2 if tokens.follows("(", "vnnlib-version") else 1
        self._operators = _COMPARISONS[self._version] | _CONNECTIVES[self._version] | _ARITHMETIC

    def read(self) -> Syntax:
        if self._version == 2:
            self._read_version()
        while not self._tokens.ended():
            self._read_command()
        if self._version == 1:
            self._check_flat_names()
        for output, what in ((False, "input"), (True, "output")):
            if not self._sizes[output]:
                raise self._tokens.refusal(f"the query declares no {what}")
        return Syntax(self._sizes[False], self._sizes[True], tuple(self._assertions))

    def _read_version(self) -> None:
        self._tokens.expect("(")
        self._tokens.expect("vnnlib-version")
        self._tokens.expect("<2.0>")
        self._tokens.expect(")")

    def _read_command(self) -> None:
        self._tokens.expect("(")
        command = self._tokens.take()
        if command == "assert":
            self._assertions.append(self._formula())
        elif command == "declare-const" and self._version == 1:
            self._declare_flat()
        elif command == "declare-network" and self._version == 2:
            self._declare_network()
        else:
            raise self._tokens.unexpected(f"a command of VNN-LIB {self._version}.0", command)
        self._tokens.expect(")")

    # Declarations

    def _declare(self, name: str, output: bool, offset: int, shape: tuple[int, ...], position: int) -> None:
        if name in self._tensors or name in self._networks:
            raise self._tokens.refusal(f"{name} is declared twice", position)
        self._tensors[name] = _Tensor(output, offset, shape, position)
        self._sizes[output] += math.prod(shape)
        if self._sizes[output] > MAX_VALUES:
            raise self._tokens.refusal(f"more than {MAX_VALUES} variables", position)

    def _declare_flat(self) -> None:
        name, position = self._tokens.take(), self._tokens.position
        match = _FLAT_NAME.fullmatch(name)
        if not match:
            raise self._tokens.unexpected("X_i or Y_j", name)
        self._tokens.expect("Real")
        self._declare(name, match[1] == "Y", int(match[2]), (), position)

    def _check_flat_names(self) -> None:
        """The numbers of n variables are 0..n-1."""
        for name, tensor in self._tensors.items():
            if tensor.offset >= self._sizes[tensor.output]:
                raise self._tokens.refusal(f"{name} is declared, but some {name[0]}_i before it is not", tensor.position)

    def _name(self) -> str:
        name = self._tokens.take()
        if not _NAME.fullmatch(name):
            raise self._tokens.unexpected("a name", name)
        return name

    def _declare_network(self) -> None:
        if self._networks:
            raise self._tokens.refusal("a query about two networks")
        self._networks.append(self._name())
        while not self._tokens.follows(")"):
            self._tokens.expect("(")
            command = self._tokens.take()
            if command not in {"declare-input", "declare-output"}:
                raise self._tokens.unexpected("'declare-input' or 'declare-output'", command)
            self._declare_tensor(command == "declare-output")
            self._tokens.expect(")")

    def _declare_tensor(self, output: bool) -> None:
        name, position = self._name(), self._tokens.position
        element_type = self._tokens.take()
        if element_type not in _ELEMENT_TYPES:
            raise self._tokens.unexpected("an element type of real numbers", element_type)
        self._tokens.expect("[")
        shape = () if self._tokens.follows("]") else self._naturals()
        self._tokens.expect("]")
        if 0 in shape:
            raise self._tokens.refusal(f"{name} has no elements", position)
        self._declare(name, output, self._sizes[output], shape, position)

    def _naturals(self) -> tuple[int, ...]:
        """Natural numbers with commas between them."""
        found: list[int] = []
        while not found or self._tokens.follows(","):
            if found:
                self._tokens.expect(",")
            word = self._tokens.take()
            if not _NATURAL.fullmatch(word):
                raise self._tokens.unexpected("a natural number", word)
            found.append(int(word))
        return tuple(found)

    # Formulas and terms

    def _formula(self) -> Formula:
        frames: list[_Frame] = []
        while True:
            word = self._tokens.take()
            if word == "(":
                frames.append(_Frame(self._operator(), self._tokens.position))
                continue
            value = self._applied(frames.pop()) if word == ")" and frames else self._atom(word)
            if frames:
                frames[-1].operands.append(value)
            elif isinstance(value, _Term):
                raise self._tokens.refusal("an assertion of a term")
            else:
                return value

    def _operator(self) -> str:
        operator = self._tokens.take()
        if operator not in self._operators:
            raise self._tokens.unexpected(f"an operator of VNN-LIB {self._version}.0", operator)
        return operator

    def _atom(self, word: str) -> _Term:
        if word[0] not in _NUMBER_STARTS:
            return _Term({self._variable(word): _ONE}, _ZERO)
        value = None if "/" in word else parse_rational(word)
        if value is None:
            raise self._tokens.unexpected("a number", word)
        return _Term({}, value)

    def _variable(self, name: str) -> Variable:
        """The variable that the name just taken denotes, with the indices that follow it."""
        tensor, position = self._tensors.get(name), self._tokens.position
        if tensor is None:
            raise self._tokens.unexpected("a number or a declared variable", name)
        indices: tuple[int, ...] = ()
        if self._tokens.follows("["):
            self._tokens.expect("[")
            indices = self._naturals()
            self._tokens.expect("]")
        if len(indices) != len(tensor.shape):
            raise self._tokens.refusal(f"{name} takes {len(tensor.shape)} indices, not {len(indices)}", position)
        number = 0
        for index, size in zip(indices, tensor.shape, strict=True):
            if index >= size:
                raise self._tokens.refusal(f"{name}: index {index} of a dimension of {size}", position)
            number = number * size + index
        return tensor.output, tensor.offset + number

    def _applied(self, frame: _Frame) -> _Term | Formula:
        """The value of an expression that has just been closed."""
        operator, operands = frame.operator, frame.operands
        if operator in _CONNECTIVES[1]:
            formulas = tuple(value for value in operands if not isinstance(value, _Term))
            if len(formulas) != len(operands):
                raise self._tokens.refusal(f"'{operator}' takes formulas, not terms", frame.position)
            self._check_count(frame, 2 if operator == "=>" else 1, 1 if operator == "not" else None)
            return Compound(operator, formulas)
        terms = [value for value in operands if isinstance(value, _Term)]
        if len(terms) != len(operands):
            raise self._tokens.refusal(f"'{operator}' takes terms, not formulas", frame.position)
        if operator in _ARITHMETIC:
            self._check_count(frame, 1, None)
            return self._calculated(operator, terms, frame.position)
        self._check_count(frame, 2, 2)
        return _comparison(operator, terms[0], terms[1])

    def _check_count(self, frame: _Frame, least: int, most: int | None) -> None:
        count = len(frame.operands)
        if count < least or (most is not None and count > most):
            raise self._tokens.refusal(f"'{frame.operator}' does not take {count} operands", frame.position)

    def _calculated(self, operator: str, terms: list[_Term], position: int) -> _Term:
        if operator == "+":
            return _sum(terms)
        if operator == "-":
            return _difference(terms[0], terms[1:]) if len(terms) > 1 else _scaled(terms[0], -_ONE)
        result = terms[0]
        for term in terms[1:]:
            if result.coefficients and term.coefficients:
                raise self._tokens.refusal("a product of two terms with variables", position)
            result = _scaled(result, term.constant) if result.coefficients else _scaled(term, result.constant)
            for value in (*result.coefficients.values(), result.constant):
                if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
                    raise self._tokens.refusal(f"a number of more than {MAX_BITS} bits", position)
        return result


def read_syntax(tokens: Tokens) -> Syntax:
    """The query that these tokens write."""
    return _Reader(tokens).read()
