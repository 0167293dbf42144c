"""The public benchmarks: every file is read, and two families agree with an independent naive reader."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import pytest

from secateur.specification.vnnlib import Kind, read_query

BOUND = re.compile(r"\(\s*(<=|>=)\s+X_(\d+)\s+(\S+?)\s*\)")
SAMPLES = 12


def asserted(text: str) -> list[str]:
    """The bodies of all assertions, comments removed."""
    plain = re.sub(r";.*", "", text)
    return [part.strip() for part in plain.split("(assert")[1:]]


def bounds_of(text: str, size: int) -> tuple[list[Fraction], list[Fraction]]:
    """The tightest bounds named anywhere in the text."""
    lower: list[list[Fraction]] = [[] for _ in range(size)]
    upper: list[list[Fraction]] = [[] for _ in range(size)]
    for relation, index, value in BOUND.findall(text):
        (upper if relation == "<=" else lower)[int(index)].append(Fraction(value))
    return [max(values) for values in lower], [min(values) for values in upper]


def naive(path: Path) -> tuple[list[tuple[list[Fraction], list[Fraction]]], int]:
    """The boxes in order of their disjuncts over inputs, and the number of all disjuncts."""
    text = path.read_text()
    size = len(re.findall(r"declare-const X_", text))
    parts = asserted(text)
    unions = [part for part in parts if part.startswith("(or")]
    plain = " ".join(part for part in parts if part not in unions)
    groups = [re.split(r"\(and", union)[1:] for union in unions]
    inputs = [group for group in groups if "X_" in group[0]]
    boxes = [bounds_of(f"{plain} {branch}", size) for group in inputs for branch in group]
    return boxes or [bounds_of(plain, size)], math.prod(len(group) for group in groups)


@pytest.mark.parametrize("family", ["acasxu", "mnist_fc"])
def test_families_agree_with_a_naive_reader(data_dir: Path, family: str) -> None:
    paths = sorted((data_dir / "vnncomp" / family / "vnnlib").glob("*.vnnlib"))
    assert len(paths) >= 10
    for path in paths if family == "acasxu" else paths[::4]:
        boxes, count = naive(path)
        polytopes = list(read_query(path).disjuncts())
        assert len(polytopes) == count, path
        found = list(dict.fromkeys((p.lower, p.upper) for p in polytopes))
        assert found == [(tuple(low), tuple(high)) for low, high in boxes], path


def test_property_6_is_eight_polytopes_over_two_boxes(data_dir: Path) -> None:
    polytopes = list(read_query(data_dir / "vnncomp/acasxu/vnnlib/prop_6.vnnlib").disjuncts())
    assert len(polytopes) == 8
    assert len({(p.lower, p.upper) for p in polytopes}) == 2
    outputs = [tuple((v.position, c) for v, c in p.rows[0].coefficients) for p in polytopes]
    assert outputs == [((0, -1), (j, 1)) for j in (1, 2, 3, 4)] * 2


def test_every_family_is_read(data_dir: Path) -> None:
    families: dict[Path, list[Path]] = {}
    for path in sorted(data_dir.rglob("*.vnnlib")):
        families.setdefault(path.parent, []).append(path)
    assert families
    for paths in families.values():
        for path in paths[:: max(1, len(paths) // SAMPLES)]:
            query = read_query(path)
            assert next(query.disjuncts(), None) is not None or "equivalence" in path.parts, path
            if path.name != "prop_6.vnnlib":
                assert query.input_box().dimension == query.networks[0].size(Kind.INPUT), path


def test_two_networks_on_one_input(data_dir: Path) -> None:
    query = read_query(next((data_dir / "equivalence").rglob("instance_0.vnnlib")))
    f, g = query.networks
    assert (f.name, g.name, g.isomorphic_to) == ("f", "g", "f")
    property_2 = read_query(data_dir / "vnncomp/acasxu/vnnlib/prop_2.vnnlib")
    assert query.input_box() == property_2.input_box()
    (polytope,) = query.disjuncts()
    assert len(polytope.rows) == 2 * 5 + 2 * 5  # two rows per tied input, two per output
    # Unsatisfiable as written: each output of g above f's plus 0.05 and below f's minus 0.05.
    assert not query.satisfied_by([Fraction(1, 2)] * 10, [Fraction(0)] * 10)
