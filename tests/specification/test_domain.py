"""A domain is checked, exact, and named by one canonical text."""

from __future__ import annotations

import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.specification import Domain, read_domain

F = Fraction
BOX = Domain((F(-1, 2), F(0)), (F(1, 3), F(7)), "box.json")

finite = st.fractions() | st.floats(allow_nan=False, allow_infinity=False).map(Fraction)
intervals = st.tuples(finite, finite).map(sorted)
domains = st.lists(intervals, min_size=1, max_size=6).map(
    lambda pairs: Domain(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
)


def test_canonical_text_is_reduced_fractions_by_line() -> None:
    assert BOX.canonical_text() == "-1/2 1/3\n0 7\n"
    assert BOX.sha256() == hashlib.sha256(b"-1/2 1/3\n0 7\n").hexdigest()


def test_the_name_depends_on_every_bound_and_not_on_the_description() -> None:
    same = Domain((F(-2, 4), F(0)), (F(2, 6), F(7)), "elsewhere")
    other = Domain((F(-1, 2), F(0)), (F(1, 3), F(7) + F(1, 10**30)))
    assert same == BOX
    assert same.sha256() == BOX.sha256()
    assert other.sha256() != BOX.sha256()


def test_containment_is_closed_and_exact() -> None:
    edge, tiny = (F(1, 3), F(0)), F(1, 10**40)
    assert BOX.contains(edge)
    assert not BOX.contains((edge[0] + tiny, edge[1]))
    assert not BOX.contains((edge[0], edge[1] - tiny))
    with pytest.raises(InputError, match="the point has 1 coordinates, the domain 2"):
        BOX.contains((F(0),))


def test_dimension_and_widths() -> None:
    assert BOX.dimension == 2
    assert BOX.widths() == (F(5, 6), F(7))
    BOX.require_dimension(2, "net.onnx")
    with pytest.raises(InputError) as caught:
        BOX.require_dimension(5, "net.onnx")
    expected = "net.onnx: the domain has 2 coordinates but the network has 5 inputs; give a domain of dimension 5"
    assert str(caught.value) == expected


LARGEST = Fraction(sys.float_info.max)


@pytest.mark.parametrize(
    ("low", "high", "fits"),
    [
        (Fraction(0), LARGEST, True),
        (-LARGEST, Fraction(0), True),
        (Fraction(0), LARGEST + 1, False),
        (-LARGEST - 1, Fraction(0), False),
        (-LARGEST, Fraction(1), False),  # the width
        (-LARGEST / 2, LARGEST / 2, True),
    ],
)
def test_sides_that_float64_cannot_hold_are_refused_by_networks(low: Fraction, high: Fraction, fits: bool) -> None:
    domain = Domain((Fraction(0), low), (Fraction(1), high), "box.json")
    if fits:
        domain.require_dimension(2, "net.onnx")
        return
    with pytest.raises(InputError, match=r"^box.json: coordinate 1: .* beyond float64; rescale the inputs$"):
        domain.require_dimension(2, "net.onnx")


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ((), (), "d: the domain has no coordinates"),
        ((F(0),), (F(1), F(1)), "d: the domain has 1 lower but 2 upper bounds"),
        (
            (F(0), F(1, 3)),
            (F(0), F(1, 4)),
            "d: coordinate 1: lower bound 1/3 is above upper bound 0.25",
        ),
        ((F(0),), (F(2**20_000),), "d: coordinate 0: a bound has too many digits"),
        ((F(2**20_000),), (F(0),), "d: coordinate 0: lower bound (too long to print) is above upper bound 0"),
    ],
)
def test_no_box_is_refused(lower: tuple[Fraction, ...], upper: tuple[Fraction, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Domain(lower, upper, "d")
    assert str(caught.value) == message


@settings(deadline=None, max_examples=60)
@given(domain=domains)
def test_json_reads_back_identically(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("json") / "domain.json"
    domain.write_json(path)
    again = read_domain(path)
    assert again == domain
    assert again.sha256() == domain.sha256()


def test_json_holds_exact_strings(tmp_path: Path) -> None:
    assert json.loads(BOX.to_json()) == {"lower": ["-0.5", "0"], "upper": ["1/3", "7"]}
    BOX.write_json(tmp_path / "box.json")
    assert [p.name for p in tmp_path.iterdir()] == ["box.json"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        BOX.write_json(tmp_path / "taken")
    with pytest.raises(InputError, match=r"missing.*: cannot be written: No such file or directory"):
        BOX.write_json(tmp_path / "missing" / "box.json")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
