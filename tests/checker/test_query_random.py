"""Random formulas: the checker's reader against their meaning, and against the engine's reader, which shares no code with it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.checker.query import Query, QueryRow, read_query
from secateur.checker.refusal import Refusal
from secateur.specification import parse_query
from secateur.specification import read_query as engine_query
from tests.checker.query_support import HEADS, INPUTS, Tree, assertions, boxed, contains, query_of, text_of

coordinates = st.sampled_from([Fraction(n, 2) for n in range(-4, 5)] + [Fraction(3, 10), Fraction(1, 7)])


@given(assertions, st.lists(st.lists(coordinates, min_size=5, max_size=5), min_size=1, max_size=8))
@settings(deadline=None, max_examples=100)
def test_a_point_satisfies_the_query_if_it_lies_in_a_disjunct(
    found: tuple[int, list[Tree]], points: list[list[Fraction]]
) -> None:
    version, trees = found
    query = query_of(boxed(text_of(version, trees), version), version)
    disjuncts = list(query.disjuncts())
    for point in points:
        inputs, outputs = point[:INPUTS], point[INPUTS:]
        expected = all(tree.value(point) for tree in trees)
        assert query.holds_at(inputs, outputs) is expected
        assert any(contains(d, inputs, outputs) for d in disjuncts) is expected


# The engine's reader as a twin

Bounds = tuple[Fraction | None, ...]
Shape = tuple[Bounds, Bounds, tuple[QueryRow, ...]]


def engine_disjuncts(query: Any) -> list[Shape]:
    def row(found: Any) -> QueryRow:
        parts: dict[int, list[tuple[int, Fraction]]] = {0: [], 2: []}
        for variable, a in found.coefficients:
            parts[variable.kind.value].append((variable.position, a))
        return QueryRow(tuple(parts[0]), tuple(parts[2]), found.bound, found.strict)

    return [(p.lower, p.upper, tuple(row(r) for r in p.rows)) for p in query.disjuncts()]


def checker_disjuncts(query: Query) -> list[Shape]:
    return [(d.lower, d.upper, d.rows) for d in query.disjuncts()]


@given(assertions, st.booleans())
@settings(deadline=None, max_examples=100)
def test_both_readers_find_the_same_disjuncts_in_the_same_order(found: tuple[int, list[Tree]], bounded: bool) -> None:
    version, trees = found
    body = text_of(version, trees)
    text = HEADS[version] + (boxed(body, version) if bounded else body)
    query, expected = read_query(text.encode()), engine_disjuncts(parse_query(text))
    if any(None in (*lower, *upper) for lower, upper, _ in expected):  # the engine leaves it to its caller to refuse open boxes
        with pytest.raises(Refusal, match="bound"):
            checker_disjuncts(query)
    else:
        assert checker_disjuncts(query) == expected


@pytest.mark.parametrize("folder", ["acasxu", "cersyve", "reach_prob_density", "rl_benchmarks", "test"])
def test_both_readers_agree_on_published_queries(data_dir: Path, folder: str) -> None:
    paths = sorted((data_dir / "vnncomp" / folder).rglob("*.vnnlib*"))
    assert paths
    for path in paths:
        query, twin = read_query(path.read_bytes()), engine_query(path)
        assert (query.input_size, query.output_size) == (twin.input_count, twin.output_count)
        assert checker_disjuncts(query) == engine_disjuncts(twin), path.name
