"""Reader of VNN-LIB 1.0 and 2.0 queries (vnnlib.org): text to a `Query`, exactly.

One pass over the tokens with an explicit stack, so neither depth nor size of a file matters: a parenthesis is
reduced to a linear form or a formula when it closes. Literals are rationals from their text; exponents are
tolerated in both versions. In 1.0 also `not`, `=>` and `=` are understood, which later versions dropped.
Whatever is not linear, not declared or not well-formed ends in an `InputError` with file, line and token.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TextIO, TypeAlias, cast

from secateur.errors import InputError
from secateur.specification.numerals import parse_decimal, shorten
from secateur.specification.vnnlib.declarations import FlatScope, Form, NetworkScope, Scope, syntax_error
from secateur.specification.vnnlib.formula import And, Coefficients, Formula, Or, Row, Variable, fold
from secateur.specification.vnnlib.linear import Linear, NonlinearError, add, compare, multiply, subtract
from secateur.specification.vnnlib.plain import Mould, MouldRow, PlainRows, cut
from secateur.specification.vnnlib.query import Query
from secateur.specification.vnnlib.tokens import Token, decompose, tokenize

__all__ = ["parse_query", "read_query"]

_Value: TypeAlias = Linear | Formula
_ARITHMETIC = {"+": add, "-": subtract, "*": multiply}
_BOUNDS = {"<=": (1, False), "<": (1, True), ">=": (-1, False), ">": (-1, True)}
_CONDITION_COUNTS: dict[str, tuple[int, int | None, str]] = {
    "and": (1, None, "conditions"),
    "or": (1, None, "conditions"),
    "=>": (2, None, "two conditions"),
    "not": (1, 1, "one condition"),
    "assert": (1, 1, "one condition"),
}
_CACHED_LITERALS = 100_000
_CACHED_MOULDS = 1_000
_ZERO, _ONE = Fraction(0), Fraction(1)


def read_query(path: str | Path) -> Query:
    """Read a query from a file, gzipped or plain (told by its content); `InputError` for any fault of it."""
    path = Path(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with cast(TextIO, (gzip.open if packed else open)(path, "rt", encoding="utf-8-sig")) as stream:
            return _Reader(stream, str(path)).query()
    except UnicodeDecodeError:
        raise InputError("is no UTF-8 text", where=str(path)) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"is a damaged gzip file: {error}", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def parse_query(text: str, source: str = "query") -> Query:
    """Read a query from its text; `source` names it in messages."""
    return _Reader(io.StringIO(text, newline=None), source).query()


@dataclass(slots=True)
class _Frame:
    """An open parenthesis of an assertion: its operator, line, and the operands read so far."""

    operator: str
    line: int
    operands: list[_Value] = field(default_factory=list)


class _Reader:
    """State of one pass over one file."""

    def __init__(self, stream: TextIO, source: str) -> None:
        self._tokens = tokenize(stream)
        self._source = source
        self._scope: Scope = FlatScope(source)
        self._version = "1.0"
        self._assertions: list[Formula] = []
        self._literals: dict[str, Fraction] = {}
        self._units: dict[tuple[Variable, int], Coefficients] = {}
        self._moulds: dict[tuple[str, ...], Mould] = {}

    def query(self) -> Query:
        """The whole file."""
        for count, (head, line) in enumerate(self._commands()):
            if head.text == "assert":
                self._assertions.append(self._assertion(line))
                continue
            form = self._form(head, line)
            if head.text == "vnnlib-version":
                self._set_version(form, is_first=count == 0)
            elif self._assertions and self._version != "1.0":
                raise self._error(line, f"{head.text} after an assertion", "declare networks before all assertions")
            else:
                self._scope.declare(form)
        networks = self._scope.networks()
        if not self._assertions:
            raise InputError("asserts nothing", where=self._source, remedy="add (assert ...)")
        return Query(self._version, networks, tuple(self._assertions), self._source)

    def _commands(self) -> Iterator[tuple[Token, int]]:
        """The head of each top-level parenthesis, and the line where it opens."""
        while (token := self._single()) is not None:
            if token.kind != "open":
                raise self._unexpected(token, "a file is a list of (declare-...) and (assert ...)")
            head = self._next(token.line)
            if head.kind != "operand":
                raise self._unexpected(head)
            yield head, token.line

    def _next(self, opened: int) -> Token:
        token = self._single()
        if token is None:
            raise self._unfinished(opened)
        return token

    def _single(self) -> Token | None:
        """The next token where no conjunction is expected in one piece."""
        token = next(self._tokens, None)
        if token is not None and token.kind == "conjunction":
            self._tokens = itertools.chain(decompose(token), self._tokens)
            return next(self._tokens)
        return token

    def _form(self, head: Token, line: int) -> Form:
        """A declaration: nested parentheses of plain tokens, up to the closing one."""
        open_forms: list[tuple[int, list[Token | Form]]] = [(line, [head])]
        while True:
            token = self._next(open_forms[-1][0])
            if token.kind == "open":
                open_forms.append((token.line, []))
            elif token.kind == "close":
                opened, items = open_forms.pop()
                form = Form(opened, tuple(items))
                if not open_forms:
                    return form
                open_forms[-1][1].append(form)
            elif token.kind in ("operand", "string", "version"):
                open_forms[-1][1].append(token)
            else:
                raise self._unexpected(token)

    def _set_version(self, form: Form, is_first: bool) -> None:
        (text,) = form.words(self._source, "vnnlib-version <2.0>", 1)
        if not is_first:
            raise self._error(form.line, "vnnlib-version must come first")
        if text not in ("<1.0>", "<2.0>"):
            raise self._error(form.line, f"unknown version {shorten(text)}", "versions 1.0 and 2.0 are understood")
        self._version = text.strip("<>")
        if self._version == "2.0":
            self._scope = NetworkScope(self._source)

    def _assertion(self, line: int) -> Formula:
        """The condition after `(assert`, up to the closing parenthesis."""
        frames = [_Frame("assert", line)]
        while True:
            token = next(self._tokens, None)
            if token is None:
                raise self._unfinished(frames[-1].line)
            if token.kind == "conjunction":
                frames[-1].operands.append(self._plain(token))
            elif token.parts is not None:
                frames[-1].operands.append(self._comparison(*token.parts, token.line))
            elif token.kind == "operand":
                frames[-1].operands.append(_linear(self._atom(token.text, token.line)))
            elif token.kind == "open":
                frames.append(self._opened(token.line))
            elif token.kind == "close":
                closed = frames.pop()
                if not frames:
                    return self._condition(closed)
                frames[-1].operands.append(self._reduce(closed))
            else:
                raise self._unexpected(token)

    def _opened(self, line: int) -> _Frame:
        head = self._next(line)
        if head.kind not in ("operand", "operator"):
            raise self._unexpected(head, "an operator must follow a parenthesis")
        scope = self._scope
        if head.text not in _ARITHMETIC and head.text not in scope.relations and head.text not in scope.connectives:
            problem = f"unknown operator {shorten(head.text)} in version {self._version}"
            raise self._error(head.line, problem)
        return _Frame(head.text, head.line)

    def _plain(self, token: Token) -> Formula:
        """A plain conjunction; those of one shape are looked at once."""
        shape, numerals = cut(token.text)
        mould = self._moulds.get(shape)
        if mould is None:
            parts = ((part.parts, part.line) for part in decompose(token))
            mould = tuple(self._mould_row(*operands, line) for operands, line in parts if operands is not None)
            if len(self._moulds) < _CACHED_MOULDS:
                self._moulds[shape] = mould
        return And(PlainRows(mould, numerals))

    def _mould_row(self, relation: str, left: str, right: str, line: int) -> MouldRow:
        first, second = self._scope.resolve(left, line), self._atom(right, line)
        row = self._ordered(relation, first, second)
        return MouldRow(row.coefficients, _BOUNDS[relation][0] if isinstance(second, Fraction) else 0, row.strict)

    def _comparison(self, relation: str, left: str, right: str, line: int) -> Formula:
        """A comparison of two plain operands."""
        if relation not in self._scope.relations:
            raise self._error(line, f"unknown operator {shorten(relation)} in version {self._version}")
        first, second = self._atom(left, line), self._atom(right, line)
        if isinstance(first, Variable) and relation in _BOUNDS:
            return self._ordered(relation, first, second)
        return compare(relation, _linear(first), _linear(second))

    def _ordered(self, relation: str, first: Variable, second: Variable | Fraction) -> Row:
        """A comparison by <=, <, >= or > of a variable, made directly: a large file consists of these."""
        sign, strict = _BOUNDS[relation]
        if isinstance(second, Fraction):
            return Row(self._unit(first, sign), second if sign > 0 else -second, strict)
        if first == second:
            return Row((), _ZERO, strict)
        return Row(tuple(sorted(self._unit(first, sign) + self._unit(second, -sign))), _ZERO, strict)

    def _unit(self, variable: Variable, sign: int) -> Coefficients:
        """One coefficient object for all bounds of a variable."""
        unit = self._units.get((variable, sign))
        if unit is None:
            unit = self._units[variable, sign] = ((variable, Fraction(sign)),)
        return unit

    def _atom(self, text: str, line: int) -> Variable | Fraction:
        """A variable, or the exact value of a literal."""
        if text[0] not in "+-.0123456789":
            return self._scope.resolve(text, line)
        value = self._literals.get(text)
        if value is None:
            value = parse_decimal(text, f"{self._source}, line {line}")
            if len(self._literals) < _CACHED_LITERALS:
                self._literals[text] = value
        return value

    def _reduce(self, frame: _Frame) -> _Value:
        """The value of a closed parenthesis."""
        if frame.operator in _ARITHMETIC:
            return self._arithmetic(frame.operator, self._terms(frame, "terms"), frame.line)
        if frame.operator in self._scope.relations:
            terms = self._terms(frame, "two terms", 2, 2)
            return compare(frame.operator, *terms)
        return self._condition(frame)

    def _arithmetic(self, operator: str, terms: list[Linear], line: int) -> Linear:
        try:
            return _ARITHMETIC[operator](terms)
        except NonlinearError as error:
            first, second = map(self._scope.written, error.factors)
            problem = f"the product of {first} and {second} is not linear"
            raise self._error(line, problem, "at most one factor may depend on variables") from None

    def _condition(self, frame: _Frame) -> Formula:
        """The formula of a connective, or of the assertion itself."""
        conditions = self._conditions(frame)
        match frame.operator:
            case "and":
                return And(conditions)
            case "or":
                return Or(conditions)
            case "=>":
                return Or((*map(_negated, conditions[:-1]), conditions[-1]))
            case "not":
                return _negated(conditions[0])
            case _:
                return conditions[0]

    def _terms(self, frame: _Frame, wanted: str, least: int = 1, most: int | None = None) -> list[Linear]:
        terms = [operand for operand in frame.operands if isinstance(operand, Linear)]
        if len(terms) < len(frame.operands):
            raise self._error(frame.line, f"{frame.operator} takes {wanted}, not a condition")
        self._require_count(frame, wanted, least, most)
        return terms

    def _conditions(self, frame: _Frame) -> tuple[Formula, ...]:
        least, most, wanted = _CONDITION_COUNTS[frame.operator]
        conditions = tuple(operand for operand in frame.operands if not isinstance(operand, Linear))
        if len(conditions) < len(frame.operands):
            raise self._error(frame.line, f"{frame.operator} takes {wanted}, not a term")
        self._require_count(frame, wanted, least, most)
        return conditions

    def _require_count(self, frame: _Frame, wanted: str, least: int, most: int | None) -> None:
        count = len(frame.operands)
        if count < least or (most is not None and count > most):
            raise self._error(frame.line, f"{frame.operator} takes {wanted}, {count} are given")

    def _unfinished(self, opened: int) -> InputError:
        return self._error(opened, "the file ends inside the parenthesis opened here", "is it complete?")

    def _unexpected(self, token: Token, remedy: str = "") -> InputError:
        return self._error(token.line, f"unexpected {shorten(token.text)}", remedy)

    def _error(self, line: int, problem: str, remedy: str = "") -> InputError:
        return syntax_error(self._source, line, problem, remedy)


def _linear(atom: Variable | Fraction) -> Linear:
    if isinstance(atom, Fraction):
        return Linear({}, atom)
    return Linear({atom: _ONE}, _ZERO)


def _negated(formula: Formula) -> Formula:
    def join(node: And | Or, children: list[Formula]) -> Formula:
        return Or(tuple(children)) if isinstance(node, And) else And(tuple(children))

    return fold(formula, Row.negated, join)
